//! The servers under test as child processes: started, awaited, asked what went wrong, and ended by their pid on every
//! way out. Should the driver itself be killed, the kernel ends them.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddrV4, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use rustls::ClientConfig;

use crate::dialect::Dialect;
use crate::process;

/// A server may compile its bundled components before it is ready.
const READY_TIME_MAX: Duration = Duration::from_mins(1);
/// How much of the end of a server's stderr is kept for an error.
const STDERR_BYTES_MAX: usize = 4096;
/// A server that dies takes its connections first; its status is there a moment later.
const DEATH_TIME_MAX: Duration = Duration::from_millis(300);
/// How long a server may take to end its own processes.
const FAMILY_END_TIME_MAX: Duration = Duration::from_secs(5);

/// A Volley of its own, on free ports.
const VOLLEY_ARGUMENTS: [&str; 7] =
    ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-no-token", "--ephemeral"];

/// Arguments of a command, owned.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What can be measured: how it is started and what it speaks.
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) shape: Shape,
    /// With which its clients speak TLS, if they do.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// What it takes to know that a server is there, and to end it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One process, which says on stdout where it listens.
    Tells,
    /// Says nothing; listens there once it takes connections. It has processes of its own, which only it can end.
    ListensAt(SocketAddrV4),
}

impl Shape {
    /// The signal by which the kernel ends it should the driver die.
    fn ending(self) -> &'static str {
        match self {
            Self::Tells => "kill",
            Self::ListensAt(_) => "term",
        }
    }
}

impl System {
    /// A Volley of its own, with further arguments.
    pub(crate) fn volley(program: PathBuf, further: impl IntoIterator<Item = String>) -> Self {
        let mut arguments = words(&VOLLEY_ARGUMENTS);
        arguments.extend(further);
        Self { name: "volley", dialect: Dialect::Volley, program, arguments, shape: Shape::Tells, tls: None }
    }
}

/// A running server.
pub(crate) struct Server {
    name: &'static str,
    dialect: Dialect,
    shape: Shape,
    child: Child,
    listen: SocketAddrV4,
    admin: Option<SocketAddrV4>,
    tls: Option<Arc<ClientConfig>>,
    stderr: Arc<Mutex<Said>>,
}

/// What a server said on stderr.
#[derive(Default)]
struct Said {
    end: Vec<u8>,
    /// Lines by which a Rust program tells that it panicked.
    panics: Vec<String>,
}

impl Server {
    /// Starts `system`, with these variables set, and returns when it has said where it listens.
    pub(crate) fn start(system: &System, environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["child", "--end-with", system.shape.ending(), &std::process::id().to_string()])
            .arg(&system.program)
            .args(&system.arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = Arc::<Mutex<Said>>::default();
        let first_line = first_line(child.stdout.take().context("no stdout")?);
        keep_end(child.stderr.take().context("no stderr")?, stderr.clone());
        // Made before anything else can fail: it is what ends the child.
        let mut server = Self {
            name: system.name,
            dialect: system.dialect,
            shape: system.shape,
            child,
            listen: SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0),
            admin: None,
            tls: system.tls.clone(),
            stderr,
        };
        let ready = match system.shape {
            Shape::Tells => {
                let line = first_line.recv_timeout(READY_TIME_MAX);
                line.map_err(|_| anyhow!("ended, or said nothing on stdout for {READY_TIME_MAX:?}"))
                    .and_then(|line| parse_ready(&line, system.tls.is_some()))
            }
            Shape::ListensAt(address) => server.await_listener(address).map(|()| (address, None)),
        };
        match ready {
            Ok((listen, admin)) => (server.listen, server.admin) = (listen, admin),
            Err(error) => return Err(server.explain(&error)),
        }
        Ok(server)
    }

    fn await_listener(&mut self, address: SocketAddrV4) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(self.child.try_wait()?.is_none(), "ended before it listened");
            ensure!(start.elapsed() < READY_TIME_MAX, "does not listen at {address} after {READY_TIME_MAX:?}");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Where clients connect.
    pub(crate) fn listen(&self) -> SocketAddrV4 {
        self.listen
    }

    /// Where operators ask, if it told.
    pub(crate) fn admin(&self) -> Result<SocketAddrV4> {
        self.admin.context("the server has told no admin listener")
    }

    /// The lines of its log so far by which it told of panics of its own.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).panics.clone()
    }

    /// Asks it to go down (SIGTERM), and waits; an error if it is not done with exit status 0 in time.
    pub(crate) fn drain(&mut self, time: Duration) -> Result<Duration> {
        let start = Instant::now();
        let pid = Pid::from_raw(self.child.id().cast_signed()).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        while start.elapsed() < time {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the drain ended with {status}");
                return Ok(start.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("the drain is not done in {time:?}")
    }

    /// Ends it with the processes of its own; those that outlive it by pid.
    fn end_family(&mut self) {
        let family = process::family(self.pid()).unwrap_or_default();
        if self.drain(FAMILY_END_TIME_MAX).is_err() {
            for pid in family.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                // An error means that it is dead already.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Adds to an error what the server has to say about it: how it ended, if it did, and the end of its stderr.
    pub(crate) fn explain(&mut self, error: &anyhow::Error) -> anyhow::Error {
        thread::sleep(DEATH_TIME_MAX);
        let state = match self.child.try_wait() {
            Ok(Some(status)) => format!("dead ({status})"),
            Ok(None) => "alive".to_owned(),
            Err(error) => format!("in an unknown state ({error})"),
        };
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let words = match String::from_utf8_lossy(&stderr.end).trim_end() {
            "" => "its stderr is empty".to_owned(),
            words => format!("its stderr ends:\n{words}"),
        };
        anyhow!("{error:#}; {} is {state}, {words}", self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.shape, Shape::ListensAt(_)) {
            self.end_family();
        }
        // By pid, through the handle; an error means that it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `NAME ready listen=IP:PORT admin=IP:PORT tls=IP:PORT …`, the latter two if there are any: where clients connect, plain or not,
/// and where operators ask.
fn parse_ready(line: &str, tls: bool) -> Result<(SocketAddrV4, Option<SocketAddrV4>)> {
    let address = |key: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
        word.and_then(|address| address.parse::<SocketAddrV4>().ok())
    };
    let listen =
        address(if tls { "tls=" } else { "listen=" }).with_context(|| format!("not a ready line: {line:?}"))?;
    ensure!(listen.ip().is_loopback(), "{listen} is not loopback");
    Ok((listen, address("admin=").filter(|admin| admin.ip().is_loopback())))
}

/// Sends on the first line; what follows is read and dropped, so that the child never blocks on a full pipe.
fn first_line(stdout: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        if let Some(line) = lines.next() {
            let _ = sender.send(line);
        }
        lines.for_each(drop);
    });
    receiver
}

fn keep_end(stderr: impl Read + Send + 'static, kept: Arc<Mutex<Said>>) {
    thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while let Ok(1..) = lines.read_until(b'\n', &mut line) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.end.extend_from_slice(&line);
            let excess = kept.end.len().saturating_sub(STDERR_BYTES_MAX);
            kept.end.drain(..excess);
            if is_panic(&String::from_utf8_lossy(&line)) {
                kept.panics.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            line.clear();
        }
    });
}

/// The server's own; what a rule panics with is in its log too, as the words of a fault.
fn is_panic(line: &str) -> bool {
    line.starts_with("thread '") && line.contains(" panicked at ") || line.contains("the host panicked")
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The signal that it gets when the driver dies
    #[arg(long, value_enum)]
    end_with: Ending,
    /// The driver's process id
    parent: i32,
    /// What to become
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ending {
    Kill,
    Term,
}

/// Runs in the child: asks the kernel to end it with the driver, then becomes the server. The pid stays the same.
pub(crate) fn become_command(options: &Options) -> Result<()> {
    let signal = match options.end_with {
        Ending::Kill => Signal::KILL,
        Ending::Term => Signal::TERM,
    };
    set_parent_process_death_signal(Some(signal))?;
    // The driver may have died before the kernel was asked.
    if getppid() != Pid::from_raw(options.parent) {
        bail!("the driver is gone");
    }
    let (program, arguments) = options.command.split_first().context("no command")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_the_ready_line() {
        let line = "volley ready listen=127.0.0.1:4711 admin=127.0.0.1:4712";
        let (listen, admin) = parse_ready(line, false).unwrap();
        assert_eq!((listen.port(), admin.unwrap().port()), (4711, 4712));
        assert!(parse_ready("volley ready listen=192.0.2.1:80", false).is_err());
        assert!(parse_ready("starting", false).is_err());
    }

    #[test]
    fn tells_a_panic_of_the_server_from_one_of_a_rule() {
        assert!(is_panic("thread 'lane-topic-0' (4711) panicked at host/src/lane.rs:1:2:"));
        assert!(!is_panic("ERROR volley::lane: the plugin failed: panicked at src/lib.rs:1:2: told to"));
    }
}
