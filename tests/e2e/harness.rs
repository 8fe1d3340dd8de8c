//! Real servers for tests: each on ports of its own, ended with its test, its log shown when the test fails.

use crate::ending::InTime as _;
use crate::guests;
use crate::http::{Connection, PATIENCE, call, get};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Of a log so much is shown when a test fails.
const LOG_LINES_SHOWN: usize = 40;

/// Between two looks at a condition; nothing is taken for granted after it.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The program under test, with nothing of the caller's environment to configure it.
pub(crate) fn volley() -> Command {
    let mut command = Command::new(volley_path());
    unconfigured(&mut command);
    command
}

/// Takes from a command what of the caller's environment would configure the program.
pub(crate) fn unconfigured(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("VOLLEY_") && name != "VOLLEY_TOOLCHAIN") {
            command.env_remove(name);
        }
    }
}

/// Has a command look for programs in that folder first.
pub(crate) fn with_programs_of(command: &mut Command, folder: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).expect("a PATH"));
}

/// What the ready line says under that key.
pub(crate) fn address(ready: &str, key: &str) -> Option<String> {
    let mut words = ready.split(' ').filter_map(|word| word.split_once('='));
    words.find(|(name, _)| *name == key).map(|(_, address)| address.to_owned())
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Output {
    let output = volley().args(arguments).output_in_time();
    output.unwrap_or_else(|wrong| panic!("{}: {wrong}", volley_path().display()))
}

pub(crate) fn volley_path() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_volley"))
}

/// Cargo's, in which the program under test was built.
pub(crate) fn target() -> &'static Path {
    volley_path().ancestors().nth(2).expect("target/PROFILE/volley")
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A running server. It is killed, by its process id, when its holder lets go of it.
pub(crate) struct Server {
    pub(crate) child: Mutex<Child>,
    pub(crate) listen: String,
    pub(crate) admin: String,
    /// Of the listener that speaks TLS, if there is one.
    pub(crate) tls: Option<String>,
    stdout: Log,
    stderr: Log,
}

const FREE_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
/// Of a config: nothing is mounted but `topic`.
pub(crate) const TOPIC_ONLY: &str = "[[routes]]\ntopics = \">\"\nplugin = \"topic\"\n";

impl Server {
    /// Starts a server with the bundled plugins and these arguments besides, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_bare(&[&FREE_PORTS, arguments].concat())
    }

    /// The same with nothing but `topic`, which starts sooner.
    #[track_caller]
    pub(crate) fn start_plain(arguments: &[&str]) -> Self {
        let folder = Scratch::new();
        let config = folder.file("volley.toml", TOPIC_ONLY);
        Self::start(&[&["--config", &config], arguments].concat())
    }

    /// The same with the probe on `probe.>` besides.
    #[track_caller]
    pub(crate) fn start_with_probe(arguments: &[&str]) -> Self {
        let plugin = format!("probe={}", guests::probe().display());
        Self::start_plain(&[&["--plugin", &plugin, "--route", "probe.>=probe"], arguments].concat())
    }

    /// Starts one whose addresses are named by a config or these arguments.
    #[track_caller]
    pub(crate) fn start_bare(arguments: &[&str]) -> Self {
        Self::start_as(volley().args(["serve", "--ephemeral", "--admin-no-token"]).args(arguments))
    }

    /// Runs this command, which is to be a server.
    #[track_caller]
    pub(crate) fn start_as(command: &mut Command) -> Self {
        Self::start_slowly_as(command, PATIENCE)
    }

    /// The same for one that has much to do first.
    #[track_caller]
    pub(crate) fn start_slowly_as(command: &mut Command, patience: Duration) -> Self {
        let mut child = command
            .args(fresh_components())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|wrong| panic!("{}: {wrong}", volley_path().display()));
        let stderr = Log::of(child.stderr.take().expect("piped"));
        let stdout = Log::of(child.stdout.take().expect("piped"));
        let Some(ready) = stdout.first_line(patience) else {
            let _ = child.kill();
            panic!("the server did not get ready:\n{}", stderr.text());
        };
        let address = |key: &str| address(&ready, key);
        let both = address("listen").zip(address("admin")).unwrap_or_else(|| panic!("not the ready line: {ready}"));
        Self { child: Mutex::new(child), listen: both.0, admin: both.1, tls: address("tls"), stdout, stderr }
    }

    /// All that was said on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The first lines of stdout up to one that the condition likes.
    pub(crate) fn wait_for_stdout(&self, enough: impl Fn(&str) -> bool) -> String {
        wait_until("stdout to say it", || Some(self.stdout()).filter(|text| enough(text)))
    }

    pub(crate) fn wait_for_stderr(&self, words: &str) -> String {
        wait_until(&format!("the log to say {words:?}"), || Some(self.stderr()).filter(|text| text.contains(words)))
    }

    /// A number of `/metrics`, summed over its labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&mut Connection::open(&self.admin), name)
    }

    /// Waits until a number of `/metrics` is this.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, value: u64) {
        wait_until(&format!("{name} to be {value}"), || (self.metric(name) == value).then_some(()));
    }

    /// Waits until a poll of this session is parked.
    #[track_caller]
    pub(crate) fn wait_until_parked(&self, pid: &str) {
        wait_until(&format!("a poll of {pid} to park"), || self.is_parked(pid).then_some(()));
    }

    #[track_caller]
    pub(crate) fn is_parked(&self, pid: &str) -> bool {
        let session = call(&self.admin, &get(format!("/admin/v1/sessions/{}", in_path(pid))));
        assert_eq!(session.status, 200, "{session}");
        let session = session.json();
        session["parked"].as_bool().unwrap_or_else(|| panic!("whether a poll is parked: {session}"))
    }

    /// Sends SIGTERM, as an init system does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.lock().expect("the child").id();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill");
        assert!(sent.success(), "kill -{name} {pid}");
    }

    /// Waits until the process has ended.
    pub(crate) fn wait_for_exit(&self) -> ExitStatus {
        wait_until("the server to exit", || self.child.lock().expect("the child").try_wait().expect("wait"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            self.show_log();
        }
    }
}

impl Server {
    pub(crate) fn show_log(&self) {
        let log = self.stderr();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        eprintln!("---- log of the server at {} ----\n{}\n----", self.listen, last.join("\n"));
    }
}

/// A number of `/metrics`, summed over its labels, asked over this connection to operators.
#[track_caller]
pub(crate) fn metric(admin: &mut Connection, name: &str) -> u64 {
    let text = admin.call(&get("/metrics"));
    assert_eq!(text.status, 200, "{text}");
    let of_name = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])) // not a longer name
    };
    let lines = text.text().lines().filter(of_name);
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a number")).sum()
}

/// With `VOLLEY_TEST_DIST=DIR` the bundled plugins are those of that folder.
fn fresh_components() -> Vec<String> {
    let Some(dist) = std::env::var_os("VOLLEY_TEST_DIST").filter(|dist| !dist.is_empty()) else { return Vec::new() };
    let component = |name: &str| format!("{name}={}", Path::new(&dist).join(format!("{name}.wasm")).display());
    ["chat", "topic"].iter().flat_map(|name| ["--plugin".to_owned(), component(name)]).collect()
}

/// What a stream of the server has said so far.
struct Log {
    text: Arc<Mutex<String>>,
    first_line: Mutex<mpsc::Receiver<String>>,
}

impl Log {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let (sender, first_line) = mpsc::channel();
        let into = text.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let said = String::from_utf8_lossy(&line).into_owned();
                into.lock().expect("the log").push_str(&said);
                let _ = sender.send(said.trim_end().to_owned());
                line.clear();
            }
        });
        Self { text, first_line: Mutex::new(first_line) }
    }

    fn text(&self) -> String {
        self.text.lock().expect("the log").clone()
    }

    fn first_line(&self, patience: Duration) -> Option<String> {
        self.first_line.lock().expect("the log").recv_timeout(patience).ok()
    }
}

/// Looks again and again until there is something, and fails when there is nothing in bounded time.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, &mut look).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

/// The same for so long; none if there is nothing by then.
pub(crate) fn wait_within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = look();
        if found.is_some() || started.elapsed() >= patience {
            return found;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// `<0.17.1>` as a segment of a path.
pub(crate) fn in_path(pid: &str) -> String {
    pid.replace('<', "%3C").replace('>', "%3E")
}

/// A folder that is gone with its holder.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("e2e-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("write");
        path.to_str().expect("UTF-8").into()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Says something at once, whether or not the test's output is captured.
pub(crate) fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
