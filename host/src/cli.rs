//! The command line: `volley serve`, building rules, and the commands that speak to a server.

use crate::config::{AdminToken, Config, Flags, LogFormat, limits_help};
use crate::server::Server;
use crate::{bench, commands, toolchain};
use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
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
    /// on stdout is `volley ready listen=ADDR admin=ADDR`; the log goes to stderr. SIGTERM or Ctrl-C drains: parked
    /// polls are answered, accepted events are routed, then it exits with 0.
    Serve(Box<Flags>),
    /// Build rules, bring them to a server, swap them, watch them
    #[command(subcommand)]
    Plugin(Plugin),
    #[command(flatten)]
    Operate(Box<commands::Command>),
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

#[derive(Subcommand)]
enum Plugin {
    /// Build a rule's crate into a component
    ///
    /// Needs a Rust toolchain with the target wasm32-unknown-unknown; rustup adds it by itself where it can, Debian's
    /// packages are the fallback. Prints the component's path.
    Build {
        /// The folder of the crate
        dir: PathBuf,
        /// Where the component goes [default: the crate's target folder]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Name the toolchain that `build` would use here
    Toolchain,
    #[command(flatten)]
    Operate(Box<commands::Plugins>),
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
            Ok(config) => serve(config),
            Err(bad) => {
                eprintln!("volley: {bad}");
                return ExitCode::from(2);
            }
        },
        Command::Plugin(Plugin::Build { dir, output }) => build(&dir, output.as_deref()),
        Command::Plugin(Plugin::Toolchain) => describe(),
        Command::Plugin(Plugin::Operate(plugins)) => plugins.run(),
        Command::Operate(command) => command.run(),
        Command::Bench(bench) => bench.run(),
        Command::Completions { shell } => complete(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough, as with `| head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<commands::WrongUsage>() => {
            eprintln!("volley: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("volley: {error:#}");
            ExitCode::FAILURE
        }
    }
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

/// Open files that are no client's: listeners, logs, operators.
const OWN_FILES: u64 = 128;

fn serve(mut config: Config) -> anyhow::Result<()> {
    log_to_stderr(config.log_format);
    if let Some(files) = raise_open_files() {
        // Clients must not use up the files that operators need to get in.
        config.limits.connections_max = config.limits.connections_max.min(files.saturating_sub(OWN_FILES).max(1));
        tracing::info!(open_files = files, connections_max = config.limits.connections_max, "room for clients");
    }
    if config.admin_token == AdminToken::Off {
        tracing::warn!("the admin listener asks for no token (--admin-no-token)");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let server = Server::start(config).await?;
        print_ready(&server)?;
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

fn print_ready(server: &Server) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "volley ready listen={} admin={}", server.listen, server.admin)?;
    let url = format!("http://{}", server.listen);
    let token = server.admin_token_file.as_ref().map(|path| format!("\nAdmin token:  {}", path.display()));
    let token = token.unwrap_or_default();
    let text = include_str!("ready.txt");
    out.write_all(
        text.replace("{url}", &url).replace("{admin}", &server.admin.to_string()).replace("{token}", &token).as_bytes(),
    )?;
    out.flush().context("can't write to stdout")
}

fn build(dir: &std::path::Path, output: Option<&std::path::Path>) -> anyhow::Result<()> {
    let built = toolchain::build(dir, output)?;
    eprintln!("built with {}", built.toolchain.lines().next().unwrap_or_default());
    eprintln!("{} bytes, sha256:{}", built.size, built.sha256);
    println!("{}", built.path.display());
    Ok(())
}

fn describe() -> anyhow::Result<()> {
    print!("{}", toolchain::describe(std::path::Path::new("."))?);
    Ok(())
}
