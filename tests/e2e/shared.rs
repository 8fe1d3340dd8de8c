//! Servers that several tests share, each on topics of its own.

use crate::harness::Server;
use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

impl Server {
    /// A server with the bundled plugins that several tests share, each on topics of its own.
    #[track_caller]
    pub(crate) fn shared() -> Shared {
        static SERVER: SharedSlot = OnceLock::new();
        Shared::get(&SERVER, || Self::start(&[]))
    }

    /// The same with the chat page, in rooms of each test's own.
    #[track_caller]
    pub(crate) fn shared_with_demo() -> Shared {
        static SERVER: SharedSlot = OnceLock::new();
        Shared::get(&SERVER, || Self::start(&["--demo"]))
    }

    /// The same with `topic`, and the probe on `probe.>` in four lanes, however many cores there are.
    #[track_caller]
    pub(crate) fn shared_with_probe() -> Shared {
        static SERVER: SharedSlot = OnceLock::new();
        Shared::get(&SERVER, || Self::start_with_probe(&["--lanes", "4"]))
    }
}

/// A server that others use, too; it ends with the test program.
pub(crate) struct Shared(&'static Server);

/// The server, and the shell that will end it.
pub(crate) type SharedSlot = OnceLock<(Server, Child)>;

impl Shared {
    pub(crate) fn get(slot: &'static SharedSlot, start: impl FnOnce() -> Server) -> Self {
        let (server, _) = slot.get_or_init(|| {
            let server = start();
            let shell = end_with_this_program(&server);
            (server, shell)
        });
        Self(server)
    }
}

/// Statics are never dropped, so a shell does it: its stdin ends when this program does, however it does. Until then
/// nobody waits for the server, so its process id stays its own.
fn end_with_this_program(server: &Server) -> Child {
    let pid = server.child.lock().expect("the child").id().to_string();
    Command::new("sh")
        .args(["-c", "read -r line; kill -KILL \"$0\" 2>/dev/null", &pid])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

impl Deref for Shared {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.show_log();
        }
    }
}
