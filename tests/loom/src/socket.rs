//! A socket without a network: the server's functions around the report of an answer, over a stream that keeps what is
//! written for the model to read. The client is as quick as can be: its next request is there once it has an answer.

use crate::limits::Limits;
use crate::report::{Answered, Report};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};
use crate::unsent::Unsent;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

include!(concat!(env!("OUT_DIR"), "/socket.rs"));

/// What one recv takes.
pub const RECV_BYTES: usize = 16 << 10;

/// The socket of one connection.
pub struct Socket {
    stream: Arc<Stream>,
    cut_off: AtomicBool,
    report: Report,
    task: Mutex<Option<Waker>>,
}

/// Stands in for what the kernel knows of a stream.
struct SockRef;

impl From<&Arc<Stream>> for SockRef {
    fn from(_: &Arc<Stream>) -> Self {
        Self
    }
}

impl SockRef {
    /// No model is about what the task would read.
    fn shutdown(&self, _: std::net::Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// The wire, the client at its other end, and the server's epoll.
#[derive(Default)]
pub struct Stream(Mutex<Wire>);

// What is the case on a wire, one beside the other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Default)]
struct Wire {
    /// The worker that waits for something to do.
    waker: Option<Waker>,
    /// Something has come, or somebody has called, since the worker looked last: told once.
    edge: bool,
    /// A request is here that nobody has taken.
    request: bool,
    closed: bool,
    received: Vec<u8>,
    /// How many bytes the kernel takes in one go, for the first write.
    takes: Option<usize>,
    /// What is written is a stream: its client has no next request.
    streams: bool,
}

impl Stream {
    /// The client sends something.
    pub fn send(&self) {
        self.change(|wire| wire.request = true);
    }

    /// The client goes.
    pub fn close(&self) {
        self.change(|wire| wire.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Wire)) {
        let mut wire = self.0.lock();
        let before = (wire.request, wire.closed);
        change(&mut wire);
        wire.edge |= (wire.request, wire.closed) != before && (wire.request || wire.closed);
        let waker = if wire.edge { wire.waker.take() } else { None };
        drop(wire);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The answers that the client has got, whole ones.
    pub fn answers(&self) -> Vec<String> {
        let received = String::from_utf8(self.0.lock().received.clone()).expect("models write text");
        assert!(received.is_empty() || received.ends_with('\n'), "half an answer: {received:?}");
        received.lines().map(ToOwned::to_owned).collect()
    }
}

impl Socket {
    /// Of a fresh connection.
    pub fn new() -> Arc<Self> {
        let (cut_off, report) = (AtomicBool::new(false), Report::default());
        Arc::new(Self { stream: Arc::default(), cut_off, report, task: Mutex::default() })
    }

    /// The kernel takes only so many bytes of the first write.
    pub fn taking(bytes: usize) -> Arc<Self> {
        let socket = Self::new();
        socket.stream.0.lock().takes = Some(bytes);
        socket
    }

    /// The kernel takes only so many bytes of the next write.
    pub fn take_only(&self, bytes: usize) {
        self.stream.0.lock().takes = Some(bytes);
    }

    /// The client's end.
    pub fn client(&self) -> Arc<Stream> {
        self.stream.clone()
    }

    /// There is one.
    pub fn worker(&self) -> usize {
        0
    }

    /// The server reads the request.
    pub fn take_request(&self) {
        let mut wire = self.stream.0.lock();
        wire.request = false;
        // The end of the stream is told with the request that came before it; the worker then looks once more.
        wire.edge = wire.closed;
    }

    /// Until it has something to do.
    pub async fn ready(&self) {
        poll_fn(|context| {
            let mut wire = self.stream.0.lock();
            if std::mem::take(&mut wire.edge) {
                return Poll::Ready(());
            }
            wire.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The worker is to look at it.
    pub fn call_again(&self) {
        self.stream.change(|wire| wire.edge = true);
    }

    /// What a look at it shows.
    pub fn look(&self) -> Peer {
        let wire = self.stream.0.lock();
        match (wire.request, wire.closed) {
            (true, _) => Peer::Sends,
            (false, true) => Peer::Closed,
            (false, false) => Peer::Quiet,
        }
    }

    /// Writes what the kernel takes.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        self.stream.change(|wire| {
            written = wire.takes.take().unwrap_or(bytes.len()).min(bytes.len());
            wire.received.extend_from_slice(&bytes[..written]);
            wire.request |= written == bytes.len() && !wire.streams;
        });
        Ok(written)
    }

    /// A stream begins.
    pub fn hold_at_most(&self, _: u64) {
        self.stream.0.lock().streams = true;
    }

    /// Takes what the client has sent, if it has; its end is told when that is taken.
    pub fn receive<R>(&self, see: impl FnOnce(&[u8]) -> R) -> io::Result<Option<R>> {
        let mut wire = self.stream.0.lock();
        let what: &[u8] = match (std::mem::take(&mut wire.request), wire.closed) {
            (true, _) => b"x",
            (false, true) => b"",
            (false, false) => return Ok(None),
        };
        wire.edge |= !what.is_empty() && wire.closed;
        drop(wire);
        Ok(Some(see(what)))
    }

    /// Whether the worker has something to do, without waiting for it.
    pub fn is_ready(&self) -> bool {
        std::mem::take(&mut self.stream.0.lock().edge)
    }

    /// No model is about peers that are silent.
    pub fn expect_pong(&self) -> bool {
        true
    }

    /// No model is about half-closed sockets.
    pub fn shut_write(&self) {}

    /// No model is about the sweep.
    pub fn serving_until(&self, _: u32) {}

    /// No model is about the sweep, or about resets.
    pub fn is_lost(&self) -> bool {
        false
    }

    /// No model is about the sweep.
    pub fn never_expire(&self) {}

    /// No model is about the sweep.
    pub fn idle_until(&self, _: u32) {}

    /// No model is about the sweep.
    pub fn responding_until(&self, _: u32) {}
}
