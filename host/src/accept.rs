//! Accepting: on threads of its own, so that nothing that happens to connections keeps further ones from being accepted.
//! Several accept from one listener: the kernel wakes one of them for each connection.

use crate::addresses::{Proxies, counted};
use crate::limits::OFF;
use crate::metrics::{AcceptError, Denied, Metrics};
use crate::shared::Shared;
use crate::tally::{Place, Tally};
use crate::workers::Workers;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

/// As large as the system allows: the kernel caps it at `somaxconn`.
const BACKLOG: u32 = i32::MAX as u32;
/// How long accepting pauses when the process is out of file descriptors or memory. Connections wait in the backlog.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener that is being accepted from.
pub struct Acceptor {
    /// Where it really listens.
    pub address: SocketAddr,
    listener: Arc<TcpListener>,
    threads: Vec<JoinHandle<()>>,
}

/// A connection that was accepted.
pub struct Fresh {
    /// Its socket.
    pub stream: TcpStream,
    /// Its place among those of its address, where they are counted.
    pub place: Option<Box<Place<IpAddr>>>,
}

/// Who is let in, whichever listener they come to.
pub struct Entrance {
    shared: Arc<Shared>,
    proxies: Proxies,
    by_address: Tally<IpAddr>,
}

/// Binds; without a backlog named, with the largest there is.
pub fn bind(address: SocketAddr, backlog: Option<u32>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.unwrap_or(BACKLOG).min(BACKLOG) as i32)?;
    Ok(socket.into())
}

impl Acceptor {
    /// Starts accepting, on so many threads; what is accepted is handed over to the workers.
    pub fn start(
        listener: TcpListener,
        loops: usize,
        entrance: &Arc<Entrance>,
        hand_over: impl Fn(&Workers, Fresh) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = Arc::new(listener);
        let start = |index| {
            let (listener, entrance, hand_over) = (listener.clone(), entrance.clone(), hand_over.clone());
            let thread = std::thread::Builder::new().name(format!("accept-{index}"));
            thread.spawn(move || entrance.accept(&listener, hand_over))
        };
        let threads = (0..loops).map(start).collect::<io::Result<_>>()?;
        Ok(Self { address, listener, threads })
    }

    /// Stops accepting; further connects are refused.
    pub fn stop(&mut self) {
        // On Linux this ends a blocked accept.
        let _ = SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            thread.join().expect("an accept thread does not panic");
        }
    }
}

impl Entrance {
    /// With nobody in it.
    pub fn new(shared: Arc<Shared>, proxies: Proxies) -> Self {
        Self { shared, proxies, by_address: Tally::default() }
    }

    fn accept(&self, listener: &TcpListener, hand_over: impl Fn(&Workers, Fresh)) {
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    self.shared.metrics.accepted.inc();
                    if let Some(fresh) = self.let_in(stream, peer.ip()) {
                        hand_over(&self.shared.workers, fresh);
                    }
                }
                // Shut down.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF)) => return,
                Err(error) => {
                    // Anything else is the peer's, which was gone before we came.
                    if let Some(kind) = error.raw_os_error().and_then(AcceptError::from_number) {
                        out_of_files(&self.shared.metrics, kind, &error);
                    }
                }
            }
        }
    }

    /// Counts it; none when there are as many as may be, and it is closed.
    fn let_in(&self, stream: TcpStream, peer: IpAddr) -> Option<Fresh> {
        let Shared { workers, metrics, limits, .. } = &*self.shared;
        let max = limits.address_connections_max;
        let place = if max >= OFF || self.proxies.trust(peer) {
            None
        } else if let Some(place) = self.by_address.take(counted(peer), max) {
            Some(Box::new(place))
        } else {
            metrics.denials.of(Denied::Connections).inc();
            return None;
        };
        if workers.connections.fetch_add(1, Relaxed) >= limits.connections_max {
            workers.connections.fetch_sub(1, Relaxed);
            metrics.connections_refused.inc();
            return None;
        }
        // Without it a failure costs latency, nothing else.
        let _ = stream.set_nodelay(true);
        Some(Fresh { stream, place })
    }
}

fn out_of_files(metrics: &Metrics, kind: AcceptError, error: &io::Error) {
    if metrics.accept_failures.of(kind).inc().wrapping_add(1).is_power_of_two() {
        tracing::error!("can't accept: {error}; connections wait in the backlog (raise the limit of open files)");
    }
    std::thread::sleep(PAUSE);
}
