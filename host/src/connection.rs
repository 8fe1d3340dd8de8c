//! A connection while hyper serves its requests: all but the plain polls of `bare`, to which it goes back with a poll or a
//! stream that can leave hyper.

use crate::bare;
use crate::hyper_io::{HyperIo, Served};
use crate::limits::Limits;
use crate::node::Node;
use crate::protocol::client::{self, Leaving, Reaction};
use crate::sessions::PollCall;
use crate::socket::Socket;
use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;

/// A connection that we end is read on for this long, and so far: closing a socket with unread data would reset it, and
/// the peer might lose the answer that it was sent last.
const LAST_WORDS_MS: u64 = 2_000;
const LAST_WORDS_BYTES_MAX: usize = 16 << 20;

/// How hyper is done with a connection.
enum Left {
    /// A poll or a stream leaves it, and these bytes came after it.
    With(Leaving, Bytes),
    /// The connection ends.
    End,
}

/// Has hyper serve requests, which begin with these bytes, until one of them is a poll or a stream that can wait without
/// it. None when the connection has ended.
pub async fn serve(socket: Arc<Socket>, node: &Arc<Node>, mut bytes: Bytes) -> Option<Leaving> {
    let served = Arc::new(Served::new(socket).ok()?);
    loop {
        match read_requests(&served, node, bytes).await {
            Left::With(Leaving::Stream(mut call), rest) => {
                call.behind = rest.into();
                return Some(Leaving::Stream(call));
            }
            Left::With(poll, rest) if rest.is_empty() => return Some(poll),
            // The next request is here already: this poll is not to keep it waiting.
            Left::With(Leaving::Poll(poll), rest) => {
                answer_at_once(&served, node, poll).await.ok()?;
                bytes = rest;
            }
            Left::End => {
                // The peer may be gone.
                let _ = last_words(&served).await;
                return None;
            }
        }
    }
}

async fn read_requests(served: &Arc<Served>, node: &Arc<Node>, leftover: Bytes) -> Left {
    let (limits, socket) = (&node.shared.limits, served.socket());
    let leaving = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let leaving = &leaving;
        Box::pin(async move {
            socket.serving_until(Limits::second_in(limits.request_ms));
            let response = match client::handle(node, request, socket).await {
                Reaction::Respond(response) => response,
                Reaction::Leave(what) => {
                    *leaving.lock() = Some(what);
                    pending().await
                }
                Reaction::Hold(held) => {
                    socket.never_expire();
                    held.answered(served.peer_closed()).await
                }
            };
            socket.responding_until(Limits::second_in(limits.write_ms));
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = http1::Builder::new()
        .half_close(true) // Without it hyper reads once more while the service is pending.
        .header_read_timeout(None) // The sweep closes what takes too long.
        .max_buf_size(limits.request_head_bytes_max as usize)
        .serve_connection(HyperIo::new(served.clone(), leftover, limits.clone()), service);
    let ended = poll_fn(|context| {
        // hyper does not read while a request is served, so it would not see that the socket was shut down.
        if socket.is_cut_off(context) {
            return Poll::Ready(Err(Ok(())));
        }
        let ended = connection.poll_without_shutdown(context);
        let left = leaving.lock().take();
        match left {
            Some(what) => Poll::Ready(Ok(what)),
            None if ended.is_pending() && served.was_reset(context) => Poll::Ready(Err(Ok(()))),
            None => ended.map(Err),
        }
    })
    .await;
    match ended {
        Ok(what) => {
            let parts = connection.into_parts();
            Left::With(what, read_too_much(&parts.read_buf, &parts.io.into_leftover()))
        }
        Err(result) => {
            if let Some(problem) = result.err().and_then(|error| client::bad_head(&error)) {
                bare::with_answer(|answer| answer.last_problem(&problem));
                // The peer may have gone; then there is nobody to tell.
                let _ = write_answer(served, node).await;
            }
            Left::End
        }
    }
}

/// What hyper has read beyond the poll. An empty buffer of it would still hold 8 KB, so it is not kept; line breaks after
/// a request are no request.
fn read_too_much(read: &Bytes, unread: &Bytes) -> Bytes {
    let rest = if unread.is_empty() { read.clone() } else { [&read[..], &unread[..]].concat().into() };
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if breaks == rest.len() { Bytes::new() } else { rest.slice(breaks..) }
}

/// Answers a poll with what there is.
async fn answer_at_once(served: &Served, node: &Node, mut poll: PollCall) -> io::Result<()> {
    poll.wait_ms = 0;
    let parked = bare::start(served.socket(), node, &poll);
    debug_assert_eq!(parked, None, "a poll that does not wait is not parked");
    write_answer(served, node).await
}

/// Writes this thread's answer, as long as some of it leaves within each `write_ms`.
pub(crate) async fn write_answer(served: &Served, node: &Node) -> io::Result<()> {
    let limits = &node.shared.limits;
    let rest = bare::with_answer(|answer| served.socket().write_now(answer.whole(), limits))?;
    let goes_on = || served.socket().responding_until(Limits::second_in(limits.write_ms));
    match rest {
        Some(rest) => served.write_all(rest.as_ref(), goes_on).await,
        None => Ok(()),
    }
}

/// Ends our side and waits for the peer to end its own.
pub(crate) async fn last_words(served: &Served) -> io::Result<()> {
    served.socket().shut_write();
    served.socket().responding_until(Limits::second_in(LAST_WORDS_MS));
    let mut bytes_left = LAST_WORDS_BYTES_MAX;
    while bytes_left > 0 {
        match served.skip().await? {
            0 => break,
            received => bytes_left = bytes_left.saturating_sub(received),
        }
    }
    Ok(())
}
