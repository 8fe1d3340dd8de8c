//! Accepting: a thread of its own, so that nothing that happens to connections keeps further ones from being accepted.

use crate::metrics::{AcceptError, Metrics};
use crate::shared::Shared;
use crate::workers::Workers;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

/// As large as the system allows: the kernel caps it at `somaxconn`.
const BACKLOG: i32 = i32::MAX;
/// How long accepting pauses when the process is out of file descriptors or memory. Connections wait in the backlog.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener that is being accepted from.
pub struct Acceptor {
    /// Where it really listens.
    pub address: SocketAddr,
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

/// Binds, with the largest backlog there is.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Acceptor {
    /// Starts accepting; what is accepted is handed over to the workers.
    pub fn start(
        listener: TcpListener,
        shared: Arc<Shared>,
        hand_over: impl Fn(&Workers, TcpStream) + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = Arc::new(listener);
        let of_thread = listener.clone();
        let thread =
            std::thread::Builder::new().name("accept".into()).spawn(move || accept(&of_thread, &shared, hand_over))?;
        Ok(Self { address, listener, thread: Some(thread) })
    }

    /// Stops accepting; further connects are refused.
    pub fn stop(&mut self) {
        // On Linux this ends a blocked accept.
        let _ = SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the accept thread does not panic");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Shared, hand_over: impl Fn(&Workers, TcpStream)) {
    let Shared { workers, metrics, limits, .. } = shared;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                metrics.accepted.inc();
                if workers.connections.fetch_add(1, Relaxed) >= limits.connections_max {
                    workers.connections.fetch_sub(1, Relaxed);
                    metrics.connections_refused.inc();
                    continue;
                }
                // Without it a failure costs latency, nothing else.
                let _ = stream.set_nodelay(true);
                hand_over(workers, stream);
            }
            // Shut down.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF)) => return,
            Err(error) => {
                // Anything else is the peer's, which was gone before we came.
                if let Some(kind) = error.raw_os_error().and_then(AcceptError::from_number) {
                    out_of_files(metrics, kind, &error);
                }
            }
        }
    }
}

fn out_of_files(metrics: &Metrics, kind: AcceptError, error: &io::Error) {
    if metrics.accept_failures.of(kind).inc().wrapping_add(1).is_power_of_two() {
        tracing::error!("can't accept: {error}; connections wait in the backlog (raise the limit of open files)");
    }
    std::thread::sleep(PAUSE);
}
