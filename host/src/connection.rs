//! One client connection: hyper reads its requests; a poll that has to wait leaves hyper, and only the bare socket and
//! this small task stay.
//!
//! What keeps a parked poll right: the service only says that the request is a poll. The task takes the socket out of
//! hyper first and parks it then, in one step with the check of the mailbox, so that a volley never finds a park
//! without a socket. Whoever takes the poll out of its session writes the answer (see `socket`), and this task reads no
//! further request until that is reported.

use crate::clock;
use crate::node::Node;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client::{self, Reaction};
use crate::session::AnswerTo;
use crate::sessions::{Beginning, PollCall};
use crate::socket::{Answered, HyperIo, Peer, Socket};
use crate::volley::Writer;
use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;

thread_local! {
    /// For answers that a connection's own task writes.
    static ANSWER: RefCell<Answer> = RefCell::default();
}

/// The whole life of a connection. While it is idle or parked, only this future and the socket are there.
pub async fn serve(socket: &Arc<Socket>, node: &Arc<Node>) {
    // Errors end the connection; the peer knows better than we do why.
    let _ = try_serve(socket, node).await;
}

async fn try_serve(socket: &Arc<Socket>, node: &Arc<Node>) -> io::Result<()> {
    let mut leftover = Bytes::new();
    loop {
        socket.idle_until(clock::now_s() + seconds(node.shared.limits.idle_ms));
        if leftover.is_empty() {
            socket.readable().await?;
        }
        // Boxed: hyper's state lives only that long.
        let Some((poll, more)) = Box::pin(read_requests(socket, node, leftover)).await else { return Ok(()) };
        leftover = more;
        if !serve_poll(socket, node, poll, &leftover).await? {
            return Ok(());
        }
    }
}

/// Lets hyper serve requests until one of them is a poll that leaves it, or the connection ends.
async fn read_requests(socket: &Arc<Socket>, node: &Arc<Node>, leftover: Bytes) -> Option<(PollCall, Bytes)> {
    let limits = &node.shared.limits;
    let leaving = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let leaving = &leaving;
        Box::pin(async move {
            socket.busy_until(clock::now_s() + seconds(limits.request_ms));
            match client::handle(node, request, socket.is_blocked()).await {
                Reaction::Respond(response) => {
                    socket.idle_until(clock::now_s() + seconds(limits.idle_ms));
                    Ok::<_, Infallible>(response)
                }
                Reaction::Park(poll) => {
                    *leaving.lock() = Some(poll);
                    pending().await
                }
                Reaction::Hold(held) => {
                    socket.never_expire();
                    let response = held.answered().await;
                    socket.idle_until(clock::now_s() + seconds(limits.idle_ms));
                    Ok(response)
                }
            }
        })
    });
    let io = HyperIo::new(socket.clone(), leftover, seconds(limits.head_ms));
    let mut connection = http1::Builder::new()
        .half_close(true) // Without it hyper reads once more while the service is pending.
        .header_read_timeout(None) // The sweep closes what takes too long.
        .max_buf_size(limits.request_head_bytes_max as usize)
        .serve_connection(io, service);
    let left = poll_fn(|context| {
        let ended = connection.poll_without_shutdown(context);
        match leaving.lock().take() {
            Some(poll) => Poll::Ready(Some(poll)),
            None => ended.map(|_| None),
        }
    })
    .await;
    let poll = left?;
    let read_too_much = connection.into_parts().read_buf;
    // An empty buffer still holds hyper's 8 KB.
    Some((poll, if read_too_much.is_empty() { Bytes::new() } else { read_too_much }))
}

/// Answers a poll or parks it until somebody does; false when the connection has ended.
async fn serve_poll(socket: &Arc<Socket>, node: &Arc<Node>, mut poll: PollCall, leftover: &Bytes) -> io::Result<bool> {
    let shared = &node.shared;
    if !leftover.is_empty() {
        // The next request is here already: this poll is not to keep it waiting.
        poll.wait_ms = 0;
    }
    socket.owe();
    socket.never_expire();
    let begun = ANSWER.with_borrow_mut(|answer| {
        let begun = shared.sessions.begin_poll(
            &poll,
            || AnswerTo::Bare(socket.clone()),
            |owed, page| answer.messages(owed, page),
        );
        match &begun {
            None => answer.ending(&poll.owed, 0, Ending::SessionOver),
            Some(begun) if begun.state == Beginning::CursorTooHigh => client::cursor_too_high(&poll, answer),
            Some(_) => {}
        }
        begun.map(|begun| {
            if let Some(superseded) = begun.superseded {
                Writer::default().end(superseded, Ending::Superseded, &shared.limits);
            }
            begun.state
        })
    });
    match begun {
        Some(Beginning::Parked(serial)) => wait(socket, node, &poll, serial).await,
        Some(Beginning::Answered | Beginning::CursorTooHigh) | None => {
            socket.disown();
            write_answer(socket, node).await
        }
    }
}

/// While the poll is parked.
async fn wait(socket: &Arc<Socket>, node: &Arc<Node>, poll: &PollCall, serial: u32) -> io::Result<bool> {
    if node.is_draining() {
        // It came too late for the drain's round.
        node.end_parked(poll.pid);
    }
    let answered = loop {
        if let Some(answered) = socket.answered_or_readable().await {
            break answered;
        }
        let peer = socket.look();
        if peer == Peer::Quiet {
            continue;
        }
        let Some(parked) = node.shared.sessions.unpark(poll.pid, serial) else {
            // Somebody else is answering just now.
            break socket.answered().await;
        };
        // A pipelined request ends the poll early. So does the end of the stream: the peer may have closed its side
        // only and still read, and if not, the messages wait in the mailbox.
        socket.disown();
        ANSWER.with_borrow_mut(|answer| answer.ending(&parked.owed, parked.after, Ending::Deadline));
        return Ok(write_answer(socket, node).await? && peer == Peer::Sends);
    };
    match answered {
        Answered::Written => Ok(true),
        Answered::Unfinished(rest) => write(socket, node, &rest).await,
        Answered::Broken => Ok(false),
    }
}

/// Writes this thread's answer; what the socket does not take at once is copied and waited for.
async fn write_answer(socket: &Socket, node: &Node) -> io::Result<bool> {
    let rest = ANSWER.with_borrow(|answer| socket.write_now(answer.whole()))?;
    if rest.is_empty() { Ok(true) } else { write(socket, node, &rest).await }
}

/// Writes what is left of an answer, for as long as `write_ms`.
async fn write(socket: &Socket, node: &Node, bytes: &[u8]) -> io::Result<bool> {
    socket.busy_until(clock::now_s() + seconds(node.shared.limits.write_ms));
    socket.write_all(bytes).await?;
    Ok(true)
}

/// At least one: the sweep works in whole seconds.
fn seconds(ms: u64) -> u32 {
    ms.div_ceil(1000).max(1) as u32
}
