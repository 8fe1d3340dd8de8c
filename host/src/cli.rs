//! The command line: `volley serve`, building rules, and the commands that speak to a server.

use crate::config::{AdminToken, BadConfig, Config, Flags, LogFormat, check_name, limits_help};
use crate::dev::Workbench;
use crate::doctor::Doctor;
use crate::http_client::plain_lines;
use crate::limits::OWN_FILES;
use crate::server::Server;
use crate::topic::Pattern;
use crate::{auth, author, bench, commands, signing, toolchain};
use anyhow::Context as _;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// HTTP long-poll pub/sub whose routing rules are WebAssembly components.
///
/// Clients open a session, join topics and poll; for every event a rule decides the complete list of recipients, and
/// the server fires one batched send: the volley.
#[derive(Parser)]
#[command(name = "volley", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    ///
    /// Without a config the bundled rules are mounted: `chat` on chat.> and `topic` on everything else. The first line
    /// on stdout is `volley ready listen=ADDR admin=ADDR`, with `tls=ADDR` behind it if that was asked for; the log goes
    /// to stderr. SIGTERM or Ctrl-C drains: parked polls are answered, accepted events are routed, then it exits with 0.
    Serve(Box<Flags>),
    /// Build a rule, serve it, and swap it on each save
    ///
    /// What does not compile is told in the compiler's words, and the version before serves on; the log on stderr has
    /// what the rule logs. Nothing is kept unless --data, its variable or the config says where. Example: `volley dev
    /// examples/announcements --topics 'news.>'`
    Dev(Box<Dev>),
    /// Build rules, bring them to a server, swap them, watch them
    #[command(subcommand)]
    Plugin(Plugin),
    /// Make keys for back-ends, which publish without a session
    #[command(subcommand)]
    Keys(Keys),
    #[command(flatten)]
    Operate(Box<commands::Command>),
    /// Compare what this machine allows with what so many connections need
    ///
    /// Open files, backlogs, ports, TCP's memory, connection tracking, the cgroup, and with --behind-nginx the nginx in front:
    /// for each bound what is, what is needed, and the commands that change it, for now and for good. Nothing is changed. What
    /// is in use when it looks counts as somebody else's: ask before the clients come.
    Doctor(Doctor),
    /// Measure on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print a script that completes these commands in a shell
    #[command(after_help = "Example: volley completions bash > ~/.local/share/bash-completion/completions/volley")]
    Completions {
        /// Which shell
        shell: CompletedShell,
    },
}

/// The shells that are known.
#[derive(Clone, Copy, ValueEnum)]
enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
struct Dev {
    /// The folder of the rule's crate
    dir: PathBuf,
    /// What it is mounted on; may be repeated [default: >]
    #[arg(long, value_name = "PATTERN")]
    topics: Vec<Pattern>,
    /// What its `init` gets, as JSON
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json)]
    rule_config: String,
    #[command(flatten)]
    serve: Flags,
}

/// A flag that is JSON, in its shortest form.
pub fn json(text: &str) -> Result<String, String> {
    serde_json::from_str::<serde_json::Value>(text).map(|json| json.to_string()).map_err(|error| error.to_string())
}

#[derive(Subcommand)]
enum Plugin {
    /// Build a rule into a component
    ///
    /// What lies in its folder says what it is written in: Cargo.toml (Rust), rule.c (C), package.json (JavaScript),
    /// pyproject.toml (Python) or go.mod (Go). Rust needs a toolchain with the target wasm32-unknown-unknown; rustup adds it by itself where
    /// it can, Debian's packages are the fallback. C needs clang, and the linker that rustup's toolchains ship. JavaScript
    /// needs Node.js and `npm install` in the folder, Python componentize-py in .venv or on PATH, Go its compiler, 1.24 or later. Prints the component's path.
    Build {
        /// The folder of the rule
        dir: PathBuf,
        /// Where the component goes [default: the target folder of its tools]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    #[command(flatten)]
    Author(Box<author::Author>),
    /// Name the toolchain that `build` would use here
    Toolchain,
    /// Make a key to sign components with
    ///
    /// The secret key goes to a file that only you can read; what is printed is the line for `[signing_keys]` in
    /// the config of the servers that are to take your components.
    Keygen {
        /// Where the secret key goes; a file that is there is never replaced
        #[arg(short, long, value_name = "FILE", default_value = "volley.key")]
        output: PathBuf,
    },
    /// Sign a component, into FILE.sig beside it, whose path is printed
    Sign {
        /// The component
        file: PathBuf,
        /// A secret key as `keygen` makes them
        #[arg(long, value_name = "KEYFILE")]
        key: PathBuf,
    },
    #[command(flatten)]
    Operate(Box<commands::Plugins>),
}

#[derive(Subcommand)]
enum Keys {
    /// Make a key for a back-end
    ///
    /// The key goes to a file that only you can read, for the back-end; what is printed is for the file that the server
    /// has with --auth-publishers, and knows the key's digest alone.
    #[command(after_help = "Example: volley keys new shop --publish 'orders.>' >> publishers.toml")]
    New {
        /// What the key is called in the log and in refusals
        #[arg(value_parser = key_name)]
        name: String,
        /// The topics that its holder may publish to; may be repeated
        #[arg(long, value_name = "PATTERN", default_value = ">")]
        publish: Vec<Pattern>,
        /// Where the key goes; a file that is there is never replaced [default: NAME.key]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

fn key_name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned()).map_err(|_| "a name has 1 to 64 letters, digits, '-' and '_'".into())
}

/// Runs the command line; the exit code is 0 for done, 1 for failed, 2 for wrong usage.
pub fn run() -> ExitCode {
    let command = Cli::command().mut_subcommand("serve", |serve| serve.after_long_help(limits_help()));
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.command {
        Command::Serve(flags) => match flags.resolve() {
            Ok(config) => serve(config, None),
            Err(bad) => return wrong(&bad),
        },
        Command::Dev(dev) => match dev.serve.clone().resolve() {
            // A rule in the making is not to be what the user's server begins with.
            Ok(config) => serve(Config { data: config.data.clone().if_asked_for(), ..config }, Some(*dev)),
            Err(bad) => return wrong(&bad),
        },
        Command::Plugin(Plugin::Build { dir, output }) => build(&dir, output.as_deref()),
        Command::Plugin(Plugin::Author(author)) => author.run(),
        Command::Plugin(Plugin::Toolchain) => describe(),
        Command::Plugin(Plugin::Keygen { output }) => make_key(&output),
        Command::Plugin(Plugin::Sign { file, key }) => sign(&file, &key),
        Command::Plugin(Plugin::Operate(plugins)) => plugins.run(),
        Command::Operate(command) => command.run(),
        Command::Keys(Keys::New { name, publish, output }) => make_publisher(&name, &publish, output),
        Command::Doctor(doctor) => match doctor.run() {
            Ok(false) => return ExitCode::FAILURE,
            done => done.map(drop),
        },
        Command::Bench(bench) => bench.run(),
        Command::Completions { shell } => complete(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough, as with `| head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<commands::Unlike>() => ExitCode::FAILURE,
        Err(error) if error.is::<commands::WrongUsage>() => {
            eprintln!("volley: {}", plain_lines(&error.to_string()));
            ExitCode::from(2)
        }
        Err(error) => {
            // Errors quote what came from outside.
            eprintln!("volley: {}", plain_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn wrong(bad: &BadConfig) -> ExitCode {
    eprintln!("volley: {bad}");
    ExitCode::from(2)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn complete(shell: CompletedShell) -> anyhow::Result<()> {
    use clap_complete::Shell;
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "volley", &mut script);
    std::io::stdout().lock().write_all(&script).context("can't write to stdout")
}

/// Threads that compile and write what is deployed; what is beyond waits. They end when there is nothing to do.
const DEPLOY_THREADS_MAX: usize = 8;
const DEPLOY_THREADS_REST: Duration = Duration::from_millis(200);

fn serve(mut config: Config, dev: Option<Dev>) -> anyhow::Result<()> {
    log_to_stderr(config.log_format);
    if let Some(files) = raise_open_files() {
        // Clients must not use up the files that operators need to get in.
        config.limits.connections_max = config.limits.connections_max.min(files.saturating_sub(OWN_FILES).max(1));
        tracing::info!(open_files = files, connections_max = config.limits.connections_max, "room for clients");
    }
    if !config.auth.is_on() && !config.listen.ip().is_loopback() {
        tracing::warn!(
            "anybody who reaches {} may do everything, under any name (no keys: see --auth-jwks)",
            config.listen
        );
    }
    if config.auth.is_on() && config.auth.anonymous {
        tracing::warn!("a session without a token may do everything, under any name (anonymous)");
    }
    if config.admin_token == AdminToken::Off {
        tracing::warn!("the admin listener asks for no token (--admin-no-token)");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DEPLOY_THREADS_MAX)
        .thread_keep_alive(DEPLOY_THREADS_REST)
        .build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let workbench = match dev {
            None => None,
            Some(dev) => tokio::select! {
                workbench = lay_out(dev, &mut config) => Some(workbench?),
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            },
        };
        let server = Server::start(config).await?;
        let conversation = workbench.as_ref().map_or(include_str!("conversation.txt").into(), Workbench::conversation);
        print_ready(&server, &conversation)?;
        if let Some(workbench) = workbench {
            tokio::task::spawn_local(workbench.run(server.deployer.clone()));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        server.drain().await
    }))?;
    // Blocking threads of the runtime, if a plugin still loops, are not waited for.
    runtime.shutdown_background();
    Ok(())
}

/// Builds the rule of `volley dev` and puts it into the configuration.
async fn lay_out(dev: Dev, config: &mut Config) -> anyhow::Result<Workbench> {
    let folder = dev.dir.canonicalize().with_context(|| format!("no such folder: {}", dev.dir.display()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    check_name(&name).map_err(|words| anyhow::anyhow!("the folder {name:?} gives the plugin its name: {words}"))?;
    let topics = if dev.topics.is_empty() { vec![">".parse()?] } else { dev.topics };
    let mut workbench = Workbench::open(&folder, name, topics)?;
    let component = workbench.first_build(&dev.rule_config, &config.limits).await;
    workbench.mount(component, &dev.rule_config, config);
    Ok(workbench)
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Every client is an open file: takes as many as this process may have, and says how many that are, if bounded.
fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(open_files = limit.current, %error, "can't raise the limit of open files");
            limit.current
        }
    }
}

fn print_ready(server: &Server, conversation: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let tls = server.tls.map(|tls| format!(" tls={tls}")).unwrap_or_default();
    writeln!(out, "volley ready listen={} admin={}{tls}", server.listen, server.admin)?;
    let url = format!("http://{}", server.listen);
    let token = server.admin_token_file.as_ref().map(|path| format!("\nAdmin token:  {}", path.display()));
    let text = include_str!("ready.txt")
        .replace("{demo}", &demo(server, &url))
        .replace("{conversation}", conversation)
        .replace("{url}", &url)
        .replace("{admin}", &server.admin.to_string())
        .replace("{token}", &token.unwrap_or_default());
    out.write_all(text.as_bytes())?;
    out.flush().context("can't write to stdout")
}

/// Where the chat page is.
fn demo(server: &Server, url: &str) -> String {
    if !server.serves_demo {
        return String::new();
    }
    let tls = server.tls.map(|tls| format!(" or https://{tls}/")).unwrap_or_default();
    format!("\nThe chat page (--demo): open {url}/{tls} in two windows.\n")
}

fn build(dir: &Path, output: Option<&Path>) -> anyhow::Result<()> {
    let built = toolchain::build(dir, output)?;
    eprintln!("built with {}", built.toolchain.lines().next().unwrap_or_default());
    eprintln!("{} bytes, sha256:{}", built.size, built.sha256);
    println!("{}", built.path.display());
    Ok(())
}

fn describe() -> anyhow::Result<()> {
    print!("{}", toolchain::describe(Path::new("."))?);
    Ok(())
}

fn make_key(file: &Path) -> anyhow::Result<()> {
    let line = signing::make_key(file)?;
    eprintln!("the secret key is in {}; for [signing_keys] in the config:", file.display());
    println!("{line}");
    Ok(())
}

fn make_publisher(name: &str, publish: &[Pattern], output: Option<PathBuf>) -> anyhow::Result<()> {
    let file = output.unwrap_or_else(|| format!("{name}.key").into());
    let lines = auth::new_key::make(name, publish, &file)?;
    eprintln!("the key is in {}; for the file of --auth-publishers:", file.display());
    print!("{lines}");
    Ok(())
}

fn sign(component: &Path, key: &Path) -> anyhow::Result<()> {
    println!("{}", signing::sign(component, key)?.display());
    Ok(())
}
