//! A client's socket: hyper reads requests from it, and while a poll is parked it is bare and one other thread may
//! write the answer straight into it.
//!
//! Who may write is decided elsewhere (whoever removes the parked poll from its session). The result of that write comes
//! back to the socket, never to the session (`report`). The socket's task reads no further request until it is told, and
//! finishes a write that would block.

use crate::limits::Limits;
use crate::report::{Answered, Report};
use crate::unsent::Unsent;
use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind::WouldBlock, Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What one recv takes at most; heads are far smaller, large bodies take several.
const RECV_BYTES: usize = 16 << 10;

thread_local! {
    /// Shared by all sockets of a thread, so that no connection keeps a buffer of its own between requests.
    static RECEIVED: RefCell<Box<[u8; RECV_BYTES]>> = RefCell::new(Box::new([0; RECV_BYTES]));
}

/// The socket of one connection, shared by its task and whoever answers its parked poll.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    worker: usize,
    /// Coarse second at which the sweep shuts the socket down; zero while its time is not bounded (a parked poll).
    expires_s: AtomicU32,
    phase: AtomicU8,
    /// The last write of hyper did not go through: something is still unflushed.
    blocked: AtomicBool,
    /// Its time was up.
    cut_off: AtomicBool,
    report: Report,
}

/// Where a connection is between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// The next byte begins a head.
    Idle,
    /// A head is coming in.
    Head,
    /// The request is being served, or a poll is parked.
    Serving,
    /// The response is on its way out.
    Responding,
}

/// What a look at a readable socket shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Peer {
    /// A false alarm.
    Quiet,
    /// The next request has begun.
    Sends,
    /// It will send nothing more, or is gone.
    Closed,
}

impl Socket {
    /// Of a connection that the given worker serves.
    pub fn new(stream: TcpStream, worker: usize) -> Self {
        Self {
            stream,
            worker,
            expires_s: AtomicU32::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            blocked: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            report: Report::default(),
        }
    }

    /// The worker thread that serves it.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// No request is under way; the sweep shuts the socket down at this coarse second.
    pub fn idle_until(&self, second: u32) {
        self.enter(Phase::Idle, second);
    }

    /// A request is being served, which shall be over by this coarse second.
    pub fn serving_until(&self, second: u32) {
        self.enter(Phase::Serving, second);
    }

    /// A poll is parked: the socket may stay open for as long as it likes.
    pub fn never_expire(&self) {
        self.enter(Phase::Serving, 0);
    }

    /// A response is on its way, which shall be out by this coarse second.
    pub fn responding_until(&self, second: u32) {
        self.enter(Phase::Responding, second);
    }

    fn enter(&self, phase: Phase, expires_s: u32) {
        self.phase.store(phase as u8, Relaxed);
        self.expires_s.store(expires_s, Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    /// Whether its time is up.
    pub fn expired(&self, second: u32) -> bool {
        let expires = self.expires_s.load(Relaxed);
        expires != 0 && expires <= second
    }

    /// Whether it waits for a request.
    pub fn is_idle(&self) -> bool {
        self.is(Phase::Idle)
    }

    /// Tells the peer that nothing more comes.
    pub fn shut_write(&self) {
        // It fails only where the peer was faster.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
    }

    /// Ends the connection from outside: its task reads the end of the stream, or is woken where it does not read.
    pub fn shut_down(&self) {
        self.cut_off.store(true, Relaxed);
        // It fails only where the peer was faster.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
        self.report.wake();
    }

    /// Whether it was ended from outside; if not, the task is woken when it is.
    pub fn is_cut_off(&self, context: &Context<'_>) -> bool {
        self.report.note(context);
        self.cut_off.load(Relaxed)
    }

    /// Whether the peer has reset the connection. One that has only ended its side may still read.
    pub fn was_reset(&self, context: &mut Context<'_>) -> bool {
        match self.stream.poll_read_ready(context) {
            Poll::Pending => false,
            Poll::Ready(Err(_)) => true,
            Poll::Ready(Ok(())) => SockRef::from(&self.stream).take_error().is_ok_and(|error| error.is_some()),
        }
    }

    /// Until the peer has ended its side. What it sends stays where it is; if there is any, this never returns.
    pub async fn peer_closed(&self) {
        poll_fn(|context| {
            loop {
                match self.stream.poll_read_ready(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(())) => match self.look() {
                        Peer::Closed => return Poll::Ready(()),
                        Peer::Sends => return Poll::Pending,
                        Peer::Quiet => {}
                    },
                }
            }
        })
        .await;
    }

    /// Whether something that hyper wrote has not left yet.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Until there is something to read. Only one task ever waits for a socket, so it needs none of the room that tokio's
    /// own future takes for several.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.stream.poll_read_ready(context)).await
    }

    /// Takes what has come and shows it; nothing shown is the end of the stream, none a false alarm.
    pub fn receive<R>(&self, see: impl FnOnce(&[u8]) -> R) -> io::Result<Option<R>> {
        RECEIVED.with_borrow_mut(|received| match self.recv(&mut received[..]) {
            Ok(n) => Ok(Some(see(&received[..n]))),
            Err(error) if error.kind() == WouldBlock => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// One recv. A short one means that the socket is drained, so the readiness is cleared without a further syscall.
    fn recv(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut got = None;
        let tried = self.stream.try_io(Interest::READABLE, || {
            let n = (&*SockRef::from(&self.stream)).read(space)?;
            got = Some(n);
            // Returning WouldBlock from inside this very closure clears the readiness seen before the recv. Clearing it
            // later could erase the edge of bytes that came in between, and the connection would sleep for ever.
            if n > 0 && n < space.len() { Err(WouldBlock.into()) } else { Ok(()) }
        });
        got.map_or_else(|| tried.map(|()| 0), Ok)
    }

    /// Looks without taking anything.
    pub fn look(&self) -> Peer {
        let mut one = [std::mem::MaybeUninit::uninit()];
        match self.stream.try_io(Interest::READABLE, || SockRef::from(&self.stream).peek(&mut one)) {
            Ok(0) => Peer::Closed,
            Ok(_) => Peer::Sends,
            Err(error) if error.kind() == WouldBlock => Peer::Quiet,
            Err(_) => Peer::Closed,
        }
    }

    /// To be called before a poll of this socket is parked.
    pub fn owe(&self) {
        self.report.owe();
    }

    /// The poll was not parked after all, or its own task took it back: nobody else will write.
    pub fn disown(&self) {
        self.report.disown();
    }

    /// Writes the whole answer of a poll that the caller removed from its session, and reports. Never blocks; what the
    /// socket does not take now its task finishes.
    pub fn answer(&self, bytes: &[u8], limits: &Limits) {
        self.report.tell(match self.write_now(bytes, limits) {
            Ok(None) => {
                self.idle_until(Limits::second_in(limits.idle_ms));
                Answered::Written
            }
            Ok(Some(rest)) => {
                self.responding_until(Limits::second_in(limits.write_ms));
                Answered::Unfinished(rest)
            }
            Err(_) => Answered::Broken,
        });
    }

    /// Waits until the parked poll was answered (some) or the socket became readable before that was seen (none).
    pub async fn answered_or_readable(&self) -> Option<Answered> {
        poll_fn(|context| {
            if let Some(answered) = self.report.look(context) {
                return Poll::Ready(Some(answered));
            }
            // An error shows in the look that follows.
            self.stream.poll_read_ready(context).map(|_| None)
        })
        .await
    }

    /// Waits for the report of whoever removed the parked poll.
    pub async fn answered(&self) -> Answered {
        poll_fn(|context| self.report.wait(context)).await
    }

    /// Writes what the socket takes without blocking, and keeps the rest. Straight to the kernel: what tokio believes of
    /// the socket matters only to who waits for it.
    pub fn write_now(&self, bytes: &[u8], limits: &Limits) -> io::Result<Option<Unsent>> {
        let written = match (&*SockRef::from(&self.stream)).write(bytes) {
            Ok(n) if n == bytes.len() => return Ok(None),
            Ok(n) => n,
            Err(error) if error.kind() == WouldBlock => 0,
            Err(error) => return Err(error),
        };
        Unsent::keep(&bytes[written..], limits).map(Some).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Writes all of it, as long as that takes; `goes_on` is called whenever some of it has left.
    pub async fn write_all(&self, mut bytes: &[u8], goes_on: impl Fn()) -> io::Result<()> {
        goes_on();
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(n) => {
                    bytes = &bytes[n..];
                    goes_on();
                }
                Err(error) if error.kind() == WouldBlock => {
                    poll_fn(|context| self.stream.poll_write_ready(context)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The socket as hyper sees it, after what was received before.
#[derive(Debug)]
pub struct HyperIo {
    socket: Arc<Socket>,
    leftover: bytes::Bytes,
    limits: Arc<Limits>,
}

impl HyperIo {
    /// `leftover` is read first.
    pub fn new(socket: Arc<Socket>, leftover: bytes::Bytes, limits: Arc<Limits>) -> Self {
        Self { socket, leftover, limits }
    }

    /// A head has begun: from here on it has only so much time.
    fn begin_head(&self) {
        if self.socket.is(Phase::Idle) || self.socket.is(Phase::Responding) {
            self.socket.enter(Phase::Head, Limits::second_in(self.limits.head_ms));
        }
    }

    /// What hyper has not read of the leftover.
    pub fn into_leftover(self) -> bytes::Bytes {
        self.leftover
    }
}

impl Read for HyperIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.leftover.is_empty() {
            let n = self.leftover.len().min(to.remaining());
            to.put_slice(&self.leftover.split_to(n));
            self.begin_head();
            return Poll::Ready(Ok(()));
        }
        let socket = &self.socket;
        RECEIVED.with_borrow_mut(|received| {
            let space = &mut received[..to.remaining().min(RECV_BYTES)];
            loop {
                if socket.stream.poll_read_ready(context)?.is_pending() {
                    if socket.is(Phase::Responding) && !socket.is_blocked() {
                        socket.idle_until(Limits::second_in(self.limits.idle_ms));
                    }
                    return Poll::Pending;
                }
                match socket.recv(space) {
                    Ok(n) => {
                        to.put_slice(&space[..n]);
                        self.begin_head();
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if error.kind() == WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
    }
}

impl Write for HyperIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let ours = bare_complaint(bytes).unwrap_or(bytes.len());
        if ours == 0 {
            // The connection says it in our words once hyper has ended.
            return Poll::Ready(Ok(bytes.len()));
        }
        let socket = &self.socket;
        loop {
            if socket.stream.poll_write_ready(context)?.is_pending() {
                socket.blocked.store(true, Relaxed);
                return Poll::Pending;
            }
            match socket.stream.try_write(&bytes[..ours]) {
                Err(error) if error.kind() == WouldBlock => {}
                done => {
                    socket.blocked.store(false, Relaxed);
                    if socket.is(Phase::Responding) {
                        // Some of it has left: the rest has its time anew.
                        socket.responding_until(Limits::second_in(self.limits.write_ms));
                    }
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.shut_write();
        Poll::Ready(Ok(()))
    }
}

/// Where hyper's own answer to a head that it could not parse begins: all of ours have `Cache-Control`. No body has a line
/// break as it is, so this is never found in one.
fn bare_complaint(written: &[u8]) -> Option<usize> {
    let begin = memchr::memmem::rfind(written, b"HTTP/1.1 4")?;
    let head = &written[begin..];
    let is_bare = head.ends_with(b"\r\n\r\n") && memchr::memmem::find(head, b"\r\ncache-control: ").is_none();
    is_bare.then_some(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_complaint_is_taken_for_one() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let ours = b"HTTP/1.1 403 Forbidden\r\ncache-control: no-store\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(bare_complaint(bare), Some(0));
        assert_eq!(bare_complaint(&[&ours[..], &bare[..]].concat()), Some(ours.len()));
        let empty = b"HTTP/1.1 403 Forbidden\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";
        for kept in [&ours[..], empty, b"HTTP/1.1 100 Continue\r\n\r\n", b"{\"HTTP/1.1 4\":1}"] {
            assert_eq!(bare_complaint(kept), None);
        }
    }
}
