//! HTTP/1.1 over TLS: what `connection` and `hyper_io` do for a plain one.

use super::connection::run;
use super::requests::{Answered, Upgrading, react};
use super::websocket;
use super::wire::Wire;
use crate::hyper_io::{RECEIVED, bare_complaint};
use crate::limits::Limits;
use crate::node::Node;
use crate::protocol::answer::Answer;
use crate::protocol::client;
use crate::socket::Socket;
use bytes::{Buf as _, Bytes};
use http_body_util::Either;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_rustls::server::TlsStream;

/// Serves requests until the connection ends.
pub(super) async fn serve(stream: TlsStream<Wire>, socket: &Arc<Socket>, node: &Arc<Node>) {
    let limits = &node.shared.limits;
    socket.idle_until(Limits::second_in(limits.idle_ms));
    let io = Http1Io { stream, socket: socket.clone(), limits: limits.clone(), complaint: Bytes::new() };
    let upgrading = RefCell::<Option<Upgrading>>::default();
    let service = service_fn(async |request: Request<Incoming>| {
        socket.serving_until(Limits::second_in(limits.request_ms));
        let Answered { response, upgrading: begins } = react(node, request, socket, || socket.never_expire()).await;
        match response.body() {
            Either::Left(_) => socket.responding_until(Limits::second_in(limits.write_ms)),
            Either::Right(_) => socket.stream(),
        }
        *upgrading.borrow_mut() = begins;
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None) // The sweep closes what takes too long.
        .max_buf_size(limits.request_head_bytes_max as usize)
        .serve_connection(io, service)
        .with_upgrades();
    run(pin!(connection), http1::UpgradeableConnection::graceful_shutdown, socket, node).await;
    if let Some(upgrading) = upgrading.take() {
        websocket::serve(upgrading, socket, node).await;
    }
}

/// The decrypted stream as hyper sees it. It knows where the connection is between two requests, and has our words for
/// a head that hyper could not parse.
pub(super) struct Http1Io {
    stream: TlsStream<Wire>,
    socket: Arc<Socket>,
    limits: Arc<Limits>,
    /// What is left to write in place of hyper's own.
    complaint: Bytes,
}

impl Http1Io {
    /// What is no more HTTP's.
    pub(super) fn into_stream(self) -> TlsStream<Wire> {
        self.stream
    }
}

impl Read for Http1Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        RECEIVED.with_borrow_mut(|received| {
            let length = received.len().min(to.remaining());
            let mut space = ReadBuf::new(&mut received[..length]);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut space) else {
                if self.socket.is_responding() && !self.socket.is_blocked() {
                    self.socket.idle_until(Limits::second_in(self.limits.idle_ms));
                }
                return Poll::Pending;
            };
            read?;
            to.put_slice(space.filled());
            if self.socket.is_idle() || self.socket.is_responding() {
                self.socket.receiving_until(Limits::second_in(self.limits.head_ms));
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Http1Io {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match bare_complaint(bytes) {
            Some(0) => {
                let mut answer = Answer::default();
                answer.last_problem(&client::complaint(bytes));
                self.complaint = Bytes::copy_from_slice(answer.whole());
                Poll::Ready(Ok(bytes.len()))
            }
            Some(before) => Pin::new(&mut self.stream).poll_write(context, &bytes[..before]),
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, complaint, .. } = &mut *self;
        while !complaint.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, complaint))?;
            complaint.advance(written);
        }
        Pin::new(stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
