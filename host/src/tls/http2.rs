//! HTTP/2 over TLS: many requests on a connection, most of them polls that wait.
//!
//! What a peer can make us keep is bounded by named limits: the streams of a connection and of all, what they may send
//! before it is asked for (windows), the size of a head. What waits to be sent in answer to PING and SETTINGS (one each),
//! and the CONTINUATION frames of a head, h2 bounds by itself.

use super::connection::run;
use super::outgoing::{FRAME_BYTES_MAX, Outgoing};
use super::requests::{Body, react};
use super::streams::Streams;
use super::wire::Wire;
use crate::limits::Limits;
use crate::node::Node;
use crate::protocol::client;
use crate::socket::Socket;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::server::TlsStream;

/// Streams that the peer has reset before we looked at them (`max_pending_accept_reset_streams`); one more ends the
/// connection.
const UNSEEN_RESETS_MAX: usize = 20;
/// Streams that we reset for what was wrong with them (`max_local_error_reset_streams`); one more ends the connection.
const ERRORS_MAX: usize = 256;

/// Streams are served by tasks of the connection's own worker.
#[derive(Clone)]
struct Here;

impl<F: Future + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(async { drop(stream.await) });
    }
}

/// Serves requests until the connection ends.
pub(super) async fn serve(stream: TlsStream<Wire>, socket: &Arc<Socket>, node: &Arc<Node>) {
    let streams = Streams::of(socket.clone(), node.shared.limits.clone());
    let service = service_fn(|request| answer(node.clone(), socket.clone(), streams.clone(), request));
    let connection = settings(&node.shared.limits).serve_connection(TokioIo::new(stream), service);
    run(pin!(connection), http2::Connection::graceful_shutdown, socket, node).await;
}

fn settings(limits: &Limits) -> http2::Builder<Here> {
    let window = limits.h2_window_bytes_max as u32;
    let mut builder = http2::Builder::new(Here);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max as u32)
        .max_header_list_size(limits.request_head_bytes_max as u32)
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .max_send_buf_size(FRAME_BYTES_MAX)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        // A peer that is gone without a word is found, whether a poll waits or none.
        .keep_alive_interval(Duration::from_millis(limits.h2_ping_ms))
        .keep_alive_timeout(Duration::from_millis(limits.write_ms));
    builder
}

async fn answer(
    node: Arc<Node>,
    socket: Arc<Socket>,
    streams: Rc<Streams>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing<Body>>, Infallible> {
    let (reply, stream) = match streams.begin() {
        // What waits is looked after by the deadlines of polls.
        Some(stream) => (react(&node, request, &socket, || ()).await.response, Some(stream)),
        None => (client::too_many_requests().response().map(Either::Left), None),
    };
    Ok(reply.map(|body| Outgoing::new(body, stream)))
}
