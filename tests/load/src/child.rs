//! The servers under test as child processes: started, awaited, asked what went wrong, and ended by their pid on every
//! way out. Should the driver itself be killed, the kernel ends them.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddrV4;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::dialect::Dialect;

/// A server may compile its bundled components before it is ready.
const READY_TIME_MAX: Duration = Duration::from_mins(1);
/// How much of the end of a server's stderr is kept for an error.
const STDERR_BYTES_MAX: usize = 4096;
/// A server that dies takes its connections first; its status is there a moment later.
const DEATH_TIME_MAX: Duration = Duration::from_millis(300);

/// What can be measured: how it is started and what it speaks.
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<&'static str>,
}

/// A running server.
pub(crate) struct Server {
    name: &'static str,
    dialect: Dialect,
    child: Child,
    listen: SocketAddrV4,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// Starts `system`, with these variables set, and returns when it has said where it listens.
    pub(crate) fn start(system: &System, environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["child", &std::process::id().to_string()])
            .arg(&system.program)
            .args(&system.arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let first_line = first_line(child.stdout.take().context("no stdout")?);
        keep_end(child.stderr.take().context("no stderr")?, stderr.clone());
        // Made before anything else can fail: it is what ends the child.
        let mut server = Self {
            name: system.name,
            dialect: system.dialect,
            child,
            listen: SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0),
            stderr,
        };
        let line = first_line.recv_timeout(READY_TIME_MAX);
        let listen = line
            .map_err(|_| anyhow!("ended, or said nothing on stdout for {READY_TIME_MAX:?}"))
            .and_then(|line| parse_ready(&line));
        server.listen = match listen {
            Ok(listen) => listen,
            Err(error) => return Err(server.explain(&error)),
        };
        Ok(server)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn listen(&self) -> SocketAddrV4 {
        self.listen
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
        let words = match String::from_utf8_lossy(&stderr).trim_end() {
            "" => "its stderr is empty".to_owned(),
            words => format!("its stderr ends:\n{words}"),
        };
        anyhow!("{error:#}; {} is {state}, {words}", self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By pid, through the handle; an error means that it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `NAME ready listen=IP:PORT …`
fn parse_ready(line: &str) -> Result<SocketAddrV4> {
    let listen = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("listen="))
        .and_then(|address| address.parse::<SocketAddrV4>().ok())
        .with_context(|| format!("not a ready line: {line:?}"))?;
    ensure!(listen.ip().is_loopback(), "{listen} is not loopback");
    Ok(listen)
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

fn keep_end(mut stderr: impl Read + Send + 'static, kept: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut buffer = [0; STDERR_BYTES_MAX];
        while let Ok(length @ 1..) = stderr.read(&mut buffer) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..length]);
            let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
            kept.drain(..excess);
        }
    });
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The driver's process id
    parent: i32,
    /// What to become
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

/// Runs in the child: asks the kernel to end it with the driver, then becomes the server. The pid stays the same.
pub(crate) fn become_command(options: &Options) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
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
        assert_eq!(parse_ready(line).unwrap().port(), 4711);
        assert!(parse_ready("volley ready listen=192.0.2.1:80").is_err());
        assert!(parse_ready("starting").is_err());
    }
}
