//! A socket while hyper serves its requests: for that time it is in tokio's reactor, too.

use crate::limits::Limits;
use crate::reactor;
use crate::socket::{Peer, RECV_BYTES, Socket};
use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind::WouldBlock};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

thread_local! {
    /// What hyper lends is not initialised: it is received here, and copied.
    pub(crate) static RECEIVED: RefCell<Box<[u8; RECV_BYTES]>> = RefCell::new(Box::new([0; RECV_BYTES]));
}

/// The socket, in the reactor for as long as this lives.
#[derive(Debug)]
pub struct Served(AsyncFd<Arc<Socket>>);

impl Served {
    /// Enters it.
    pub fn new(socket: Arc<Socket>) -> io::Result<Self> {
        reactor::enter(socket, Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// The socket itself.
    pub fn socket(&self) -> &Arc<Socket> {
        self.0.get_ref()
    }

    /// Whether the peer has reset the connection. One that has only ended its side may still read.
    pub fn was_reset(&self, context: &mut Context<'_>) -> bool {
        match self.0.poll_read_ready(context) {
            Poll::Pending => false,
            Poll::Ready(Err(_)) => true,
            Poll::Ready(Ok(_)) => self.socket().has_error(),
        }
    }

    /// Until the peer has ended its side. What it sends stays where it is; if there is any, this never returns.
    pub async fn peer_closed(&self) {
        poll_fn(|context| {
            loop {
                match self.0.poll_read_ready(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(mut ready)) => match self.socket().look() {
                        Peer::Closed => return Poll::Ready(()),
                        Peer::Sends => return Poll::Pending,
                        Peer::Quiet => ready.clear_ready(),
                    },
                }
            }
        })
        .await;
    }

    /// The first byte that comes, which stays; none when the connection ends before.
    pub async fn first_byte(&self) -> Option<u8> {
        loop {
            let mut ready = self.0.readable().await.ok()?;
            if let Ok(byte) = ready.try_io(|fd| fd.get_ref().peek()) {
                return byte.ok()?;
            }
        }
    }

    /// Reads and forgets; how much, nothing at the end of the stream.
    pub async fn skip(&self) -> io::Result<usize> {
        poll_fn(|context| RECEIVED.with_borrow_mut(|received| self.poll_recv(context, &mut received[..]))).await
    }

    /// Writes all of it, as long as that takes; `goes_on` is called whenever some of it has left.
    pub async fn write_all(&self, mut bytes: &[u8], goes_on: impl Fn()) -> io::Result<()> {
        goes_on();
        while !bytes.is_empty() {
            let n = poll_fn(|context| self.poll_send(context, bytes)).await?;
            bytes = &bytes[n..];
            goes_on();
        }
        Ok(())
    }

    /// Receives what has come, as a future.
    pub(crate) fn poll_recv(&self, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.0.poll_read_ready(context) else { return Poll::Pending };
            let mut got = None;
            let tried = ready?.try_io(|fd| {
                let n = fd.get_ref().recv(space)?;
                got = Some(n);
                // A short recv has read the socket dry. Returning WouldBlock from inside this very closure clears the
                // readiness seen before the recv. Clearing it later could erase the edge of bytes that came in between,
                // and the connection would sleep for ever.
                if n > 0 && n < space.len() { Err(WouldBlock.into()) } else { Ok(()) }
            });
            match (got, tried) {
                (Some(n), _) => return Poll::Ready(Ok(n)),
                (None, Ok(failed)) => return Poll::Ready(failed.map(|()| 0)),
                (None, Err(_)) => {}
            }
        }
    }

    /// Sends what the socket takes, as a future.
    fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            // Straight to the kernel: the reactor does not know yet that a socket which has just come takes something, and
            // hyper does not wait for the last answer of a connection if that is not taken at once.
            let n = self.socket().write(bytes)?;
            if n > 0 {
                return Poll::Ready(Ok(n));
            }
            let Poll::Ready(ready) = self.0.poll_write_ready(context) else { return Poll::Pending };
            ready?.clear_ready();
        }
    }

    /// The same for some of a response, which has its time anew whenever some of it has left.
    pub(crate) fn poll_respond(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        limits: &Limits,
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_send(context, bytes);
        self.socket().wrote(written.is_ready(), limits);
        written
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.socket().forget_task();
    }
}

/// The socket as hyper sees it, after what was received before.
#[derive(Debug)]
pub struct HyperIo {
    served: Arc<Served>,
    leftover: Bytes,
    limits: Arc<Limits>,
}

impl HyperIo {
    /// `leftover` is read first.
    pub fn new(served: Arc<Served>, leftover: Bytes, limits: Arc<Limits>) -> Self {
        Self { served, leftover, limits }
    }

    /// A head has begun: from here on it has only so much time.
    fn begin_head(&self) {
        let socket = self.served.socket();
        if socket.is_idle() || socket.is_responding() {
            socket.receiving_until(Limits::second_in(self.limits.head_ms));
        }
    }

    /// What hyper has not read of the leftover.
    pub fn into_leftover(self) -> Bytes {
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
        RECEIVED.with_borrow_mut(|received| {
            let space = &mut received[..to.remaining().min(RECV_BYTES)];
            let Poll::Ready(received) = self.served.poll_recv(context, space) else {
                let socket = self.served.socket();
                if socket.is_responding() && !socket.is_blocked() {
                    socket.idle_until(Limits::second_in(self.limits.idle_ms));
                }
                return Poll::Pending;
            };
            to.put_slice(&space[..received?]);
            self.begin_head();
            Poll::Ready(Ok(()))
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
        self.served.poll_respond(context, &bytes[..ours], &self.limits)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.served.socket().shut_write();
        Poll::Ready(Ok(()))
    }
}

/// Where hyper's own answer to a head that it could not parse begins: all of ours have `Cache-Control`. No body has a line
/// break as it is, so this is never found in one.
pub(crate) fn bare_complaint(written: &[u8]) -> Option<usize> {
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
