//! A connection whose client does nothing but poll. How a poll begins, waits and is answered is the server's own.

use crate::limits::Limits;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client;
use crate::report::Answered;
use crate::session::{AnswerTo, Owed};
use crate::sessions::{Began, Beginning, PollCall};
use crate::socket::{Peer, Socket};
use crate::unsent::Unsent;
use crate::volley::Writer;
use bytes::Bytes;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;

include!(concat!(env!("OUT_DIR"), "/connection.rs"));

loom::thread_local! {
    static OF_THREAD: RefCell<Answer> = RefCell::default();
}

/// The answer of a model's thread, by the names of a local of the system's.
struct Local;

static ANSWER: Local = Local;

impl Local {
    fn with_borrow_mut<R>(&self, act: impl FnOnce(&mut Answer) -> R) -> R {
        OF_THREAD.with(|answer| act(&mut answer.borrow_mut()))
    }

    fn with_borrow<R>(&self, act: impl FnOnce(&Answer) -> R) -> R {
        OF_THREAD.with(|answer| act(&answer.borrow()))
    }
}

/// A poll under way.
pub struct Poll {
    socket: Arc<Socket>,
    node: Arc<Node>,
    next: Next,
}

/// Receives a poll, and parks it or renders its answer.
pub fn poll(socket: &Arc<Socket>, node: &Arc<Node>, pid: Pid, cursor: Option<u64>, wait_ms: u64) -> Poll {
    socket.take_request();
    let call = PollCall { pid, cursor, wait_ms, owed: Owed::default() };
    let next = begin(socket, node, call, Bytes::new());
    Poll { socket: socket.clone(), node: node.clone(), next }
}

impl Poll {
    /// Until it is answered; false when the connection has ended.
    pub async fn answered(self) -> bool {
        let going_on = match self.next {
            Next::Wait(pid, serial) => wait(&self.socket, &self.node, pid, serial).await,
            Next::Write(_) => write_answer(&self.socket, &self.node).await,
            Next::Read(_) | Next::End => unreachable!("nothing but plain polls here"),
        };
        going_on.expect("the network does not fail")
    }

    /// Whether it waits for a message.
    pub fn is_parked(&self) -> bool {
        matches!(self.next, Next::Wait(..))
    }
}

/// Polls again and again, each time with the cursor of the last answer, until it has this many messages; all answers.
pub async fn poll_for(socket: &Arc<Socket>, node: &Arc<Node>, pid: Pid, messages: usize) -> Vec<String> {
    let mut cursor = None;
    loop {
        poll(socket, node, pid, cursor, 60_000).answered().await;
        let answers = socket.client().answers();
        let pages: Vec<&str> =
            answers.iter().filter_map(|answer| answer.split_once(':')).map(|(_, page)| page).collect();
        if pages.iter().flat_map(|page| page.split(',')).count() >= messages {
            return answers;
        }
        cursor = answers.iter().filter_map(|answer| answer.split_once(':')?.0.parse().ok()).max();
    }
}
