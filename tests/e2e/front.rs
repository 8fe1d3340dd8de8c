//! An nginx in front of a server, with the configuration that `volley doctor` prints. `.ci/run` installs nginx;
//! `VOLLEY_TEST_NGINX` says that it is there, and that a test which does not find it fails.

use crate::ending::InTime as _;
use crate::harness::{Scratch, Server, run, say, wait_until};
use crate::terminal::done;
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where it lies beside the folders of `PATH`, in which those of administrators often are not.
const ADMINISTRATORS_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// How often another port is tried when somebody takes it first.
const STARTS_MAX: usize = 5;

/// A running nginx. It is ended when its holder lets go of it, and its workers with it.
pub(crate) struct Front {
    master: Child,
    program: PathBuf,
    config: String,
    pub(crate) folder: Scratch,
    /// Where clients connect.
    pub(crate) listen: String,
}

impl Front {
    /// For so many clients of that server; `change` is for what a test does not have the time for. None, with words, where
    /// no nginx is installed.
    #[track_caller]
    pub(crate) fn of(server: &Server, connections: u64, change: impl Fn(&str) -> String) -> Option<Self> {
        let Some(program) = find() else {
            assert!(std::env::var_os("VOLLEY_TEST_NGINX").is_none(), "nginx is to be there");
            say("SKIPPED: nginx is not installed (.ci/run does that)");
            return None;
        };
        let started = (0..STARTS_MAX).find_map(|_| Self::start(&program, server, connections, &change));
        Some(started.expect("a port for nginx"))
    }

    /// None when its port was taken meanwhile.
    #[track_caller]
    fn start(program: &PathBuf, server: &Server, connections: u64, change: impl Fn(&str) -> String) -> Option<Self> {
        let folder = Scratch::new();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let listen = listener.local_addr().expect("an address").to_string();
        let connections = connections.to_string();
        let arguments = ["--print", "nginx", "--listen", &listen, "--upstream", &server.listen];
        let printed = done(&run(&[&["doctor", "--connections", &connections], &arguments[..]].concat()));
        let config = folder.file("nginx.conf", &change(&in_folder(&printed, &folder)));
        drop(listener);
        let log = std::fs::File::create(folder.path().join("stderr")).expect("a file");
        let mut master = Command::new(program)
            .args(["-e", "stderr", "-c", &config, "-g", "daemon off;"])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nginx");
        let is_up = wait_until("nginx to listen or end", || {
            let ended = master.try_wait().expect("wait").map(|_| false);
            ended.or_else(|| TcpStream::connect(&listen).is_ok().then_some(true))
        });
        let front = Self { master, program: program.clone(), config, folder, listen };
        if is_up {
            return Some(front);
        }
        let said = front.said();
        assert!(said.contains("Address already in use"), "nginx does not start: {said}");
        None
    }

    /// What its logs have.
    pub(crate) fn said(&self) -> String {
        let log = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        log("stderr") + &log("error.log")
    }

    /// The process ids of its workers, those that are shutting down included.
    pub(crate) fn workers(&self) -> BTreeSet<u32> {
        let master = self.master.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("its children");
        children.split_whitespace().map(|pid| pid.parse().expect("a process id")).collect()
    }

    /// As an operator does it after a change of its configuration.
    #[track_caller]
    pub(crate) fn reload(&self) {
        let told =
            Command::new(&self.program).args(["-e", "stderr", "-c", &self.config, "-s", "reload"]).output_in_time();
        let told = told.expect("nginx");
        assert!(told.status.success(), "{told:?}");
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its master ends the workers; killed, it would leave them.
        let pid = self.master.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.master.wait();
        if std::thread::panicking() {
            eprintln!("---- nginx said\n{}----", self.said());
        }
    }
}

/// Its files in this folder instead of the system's, which are another's or of another user.
fn in_folder(config: &str, folder: &Scratch) -> String {
    let folder = folder.path().display();
    let path = |of: &str| format!("\n    {of}_temp_path {folder}/{of};");
    let bodies = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(path).concat();
    let config = config.replace("/run/nginx.pid", &format!("{folder}/nginx.pid"));
    let config = config.replace("/var/log/nginx", &folder.to_string());
    config.replace("\nhttp {", &format!("\nhttp {{{bodies}"))
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ADMINISTRATORS_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}
