//! One client connection: a plain poll is parsed where it was received, hyper reads all other requests; while a poll
//! waits, only the bare socket and this small task stay.
//!
//! What keeps a parked poll right: hyper's service only says that the request is a poll. The task takes the socket out
//! of hyper first and parks it then, in one step with the check of the mailbox, so that a volley never finds a park
//! without a socket. Whoever takes the poll out of its session writes the answer (see `socket`), and this task reads no
//! further request until that is reported.

use crate::limits::Limits;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client::{self, Reaction};
use crate::report::Answered;
use crate::session::AnswerTo;
use crate::sessions::{Began, Beginning, PollCall};
use crate::socket::{HyperIo, Peer, Socket};
use crate::unsent::Unsent;
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
    /// For answers that a connection's own task writes. It does so without an await between rendering and the first
    /// write, so no other task of the thread comes in between.
    static ANSWER: RefCell<Answer> = RefCell::default();
}

/// A connection that we end is read on for this long, and so far: closing a socket with unread data would reset it, and
/// the peer might lose the answer that it was sent last.
const LAST_WORDS_MS: u64 = 2_000;
const LAST_WORDS_BYTES_MAX: usize = 16 << 20;

/// The whole life of a connection. While a poll is parked, only this future and the socket are there.
pub async fn serve(socket: &Arc<Socket>, node: &Arc<Node>) {
    // Errors end the connection; the peer knows better than we do why.
    let _ = try_serve(socket, node).await;
}

/// What is to be done next on a connection.
enum Next {
    /// A poll of that session is parked under that number: wait until it is answered.
    Wait(Pid, u32),
    /// This thread's answer is to be written, and then these bytes, if any, are for hyper.
    Write(Bytes),
    /// These bytes are for hyper.
    Read(Bytes),
    /// Nothing: the connection has ended, or shall.
    End,
}

async fn try_serve(socket: &Arc<Socket>, node: &Arc<Node>) -> io::Result<()> {
    let mut next = receive(socket, node).await?;
    loop {
        next = match next {
            Next::Wait(pid, serial) if wait(socket, node, pid, serial).await? => receive(socket, node).await?,
            Next::Write(followed_by) => {
                write_answer(socket, node).await?;
                if followed_by.is_empty() { receive(socket, node).await? } else { Next::Read(followed_by) }
            }
            // Boxed: hyper's state lives only that long.
            Next::Read(bytes) => Box::pin(read_requests(socket, node, bytes)).await,
            Next::Wait(..) => return Ok(()),
            Next::End => return Box::pin(last_words(socket)).await,
        }
    }
}

/// Waits for the next request. Nearly always it is a poll like the one before, which is parsed where it was received;
/// whatever is not quite plain goes to hyper as it came.
async fn receive(socket: &Arc<Socket>, node: &Node) -> io::Result<Next> {
    socket.idle_until(Limits::second_in(node.shared.limits.idle_ms));
    loop {
        socket.readable().await?;
        let received = socket.receive(|bytes| match client::plain_poll(node, bytes) {
            Some(poll) => begin(socket, node, poll, Bytes::new()),
            None if bytes.is_empty() => Next::End,
            None => Next::Read(Bytes::copy_from_slice(bytes)),
        })?;
        if let Some(next) = received {
            return Ok(next);
        }
    }
}

/// Lets hyper serve requests until one of them is a poll that leaves it, or the connection ends.
async fn read_requests(socket: &Arc<Socket>, node: &Arc<Node>, leftover: Bytes) -> Next {
    let limits = &node.shared.limits;
    let leaving = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let leaving = &leaving;
        Box::pin(async move {
            socket.serving_until(Limits::second_in(limits.request_ms));
            let response = match client::handle(node, request, socket.is_blocked()).await {
                Reaction::Respond(response) => response,
                Reaction::Park(poll) => {
                    *leaving.lock() = Some(poll);
                    pending().await
                }
                Reaction::Hold(held) => {
                    socket.never_expire();
                    held.answered(socket.peer_closed()).await
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
        .serve_connection(HyperIo::new(socket.clone(), leftover, limits.clone()), service);
    let ended = poll_fn(|context| {
        // hyper does not read while a request is served, so it would not see that the socket was shut down.
        if socket.is_cut_off(context) {
            return Poll::Ready(Err(Ok(())));
        }
        let ended = connection.poll_without_shutdown(context);
        let left = leaving.lock().take();
        match left {
            Some(poll) => Poll::Ready(Ok(poll)),
            None if ended.is_pending() && socket.was_reset(context) => Poll::Ready(Err(Ok(()))),
            None => ended.map(Err),
        }
    })
    .await;
    match ended {
        Ok(poll) => {
            let parts = connection.into_parts();
            begin(socket, node, poll, read_too_much(&parts.read_buf, &parts.io.into_leftover()))
        }
        Err(result) => {
            if let Some(problem) = result.err().and_then(|error| client::bad_head(&error)) {
                ANSWER.with_borrow_mut(|answer| answer.last_problem(&problem));
                // The peer may have gone; then there is nobody to tell.
                let _ = write_answer(socket, node).await;
            }
            Next::End
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

/// Ends our side and waits for the peer to end its own.
async fn last_words(socket: &Socket) -> io::Result<()> {
    socket.shut_write();
    socket.responding_until(Limits::second_in(LAST_WORDS_MS));
    let mut bytes_left = LAST_WORDS_BYTES_MAX;
    while bytes_left > 0 {
        socket.readable().await?;
        match socket.receive(<[u8]>::len)? {
            Some(0) => break,
            received => bytes_left = bytes_left.saturating_sub(received.unwrap_or(0)),
        }
    }
    Ok(())
}

/// Parks a poll, or renders its answer as this thread's.
fn begin(socket: &Arc<Socket>, node: &Node, mut poll: PollCall, followed_by: Bytes) -> Next {
    let shared = &node.shared;
    if !followed_by.is_empty() {
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
        begun
    });
    if let Some(Began { superseded, state }) = begun {
        if let Some(superseded) = superseded {
            Writer::default().end(superseded, Ending::Superseded, &shared.limits);
        }
        if let Beginning::Parked(serial) = state {
            return Next::Wait(poll.pid, serial);
        }
    }
    socket.disown();
    Next::Write(followed_by)
}

/// While the poll is parked; false when the connection has ended.
async fn wait(socket: &Socket, node: &Node, pid: Pid, serial: u32) -> io::Result<bool> {
    if node.is_draining() {
        // It came too late for the drain's round.
        node.end_parked(pid);
    }
    let answered = loop {
        if let Some(answered) = socket.answered_or_readable().await {
            break answered;
        }
        let peer = socket.look();
        if peer == Peer::Quiet {
            continue;
        }
        let Some(parked) = node.shared.sessions.unpark(pid, serial) else {
            // Somebody else is answering just now.
            break socket.answered().await;
        };
        // A pipelined request ends the poll early. So does the end of the stream: the peer may have closed its side
        // only and still read, and if not, the messages wait in the mailbox.
        socket.disown();
        ANSWER.with_borrow_mut(|answer| answer.ending(&parked.owed, parked.after, Ending::Deadline));
        drop(parked);
        return Ok(write_answer(socket, node).await? && peer == Peer::Sends);
    };
    match answered {
        Answered::Written => Ok(true),
        Answered::Unfinished(rest) => Box::pin(write(socket, node, &rest)).await,
        Answered::Broken => Ok(false),
    }
}

/// Writes this thread's answer; what the socket does not take at once is kept and waited for.
async fn write_answer(socket: &Socket, node: &Node) -> io::Result<bool> {
    let rest = ANSWER.with_borrow(|answer| socket.write_now(answer.whole(), &node.shared.limits))?;
    match rest {
        None => Ok(true),
        // Boxed, as everything that is rare: what a parked poll's task weighs is its largest path.
        Some(rest) => Box::pin(write(socket, node, &rest)).await,
    }
}

/// Writes what is left of an answer, as long as some of it leaves within each `write_ms`.
async fn write(socket: &Socket, node: &Node, rest: &Unsent) -> io::Result<bool> {
    let goes_on = || socket.responding_until(Limits::second_in(node.shared.limits.write_ms));
    socket.write_all(rest.as_ref(), goes_on).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::cors::Cors;
    use crate::routes::Routes;
    use crate::shared::Shared;
    use crate::workers::Workers;

    /// 15,000 parked polls are 15,000 of these; one rare path that is not boxed would double them.
    #[tokio::test]
    async fn the_task_of_a_parked_poll_stays_small() {
        let shared = Arc::new(Shared::new(0, Limits::default(), Workers::new(1).0));
        let node = Arc::new(Node::new(shared, Routes::default(), Cors::Any));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Arc::new(Socket::new(stream, 0));
        let bytes = size_of_val(&serve(&socket, &node));
        assert!(bytes <= 352, "{bytes}");
    }
}
