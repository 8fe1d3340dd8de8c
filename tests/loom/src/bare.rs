//! A connection whose client does nothing but poll. How a poll begins, waits and is answered is the server's own; reading
//! the next request is the model's.

use crate::limits::Limits;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client;
use crate::report::Answered;
use crate::session::{AnswerTo, Owed};
use crate::sessions::{Began, Beginning, PollCall};
use crate::socket::{Peer, Socket};
use crate::streaming::{self, Streaming};
use crate::unsent::Unsent;
use crate::volley::Writer;
use bytes::Bytes;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;

include!(concat!(env!("OUT_DIR"), "/bare.rs"));

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

/// Something is to be done with this thread's answer.
pub fn with_answer<R>(act: impl FnOnce(&mut Answer) -> R) -> R {
    ANSWER.with_borrow_mut(act)
}

/// The connection waits for the next request, which the model takes.
fn receive(_: &Arc<Socket>, _: &Node, _: &mut Doing) -> io::Result<Turn> {
    Ok(Turn::Stays)
}

/// A poll under way.
pub struct Poll {
    socket: Arc<Socket>,
    node: Arc<Node>,
    doing: Doing,
}

/// Receives a poll, and parks it or answers it.
pub fn poll(socket: &Arc<Socket>, node: &Arc<Node>, pid: Pid, cursor: Option<u64>, wait_ms: u64) -> Poll {
    socket.take_request();
    let call = PollCall { pid, cursor, wait_ms, owed: Owed::default() };
    let mut doing = Doing::Idle;
    begin(socket, node, &call, &mut doing).expect("the network does not fail");
    Poll { socket: socket.clone(), node: node.clone(), doing }
}

/// A publish whose event a lane has, which answers it.
pub fn publish(socket: &Arc<Socket>, node: &Arc<Node>) -> Poll {
    socket.take_request();
    socket.owe();
    Poll { socket: socket.clone(), node: node.clone(), doing: Doing::Publishing }
}

impl Poll {
    /// Until it is answered; false when the connection has ended.
    pub async fn answered(mut self) -> bool {
        while !matches!(self.doing, Doing::Idle) {
            self.socket.ready().await;
            match turn(&self.socket, &self.node, &mut self.doing) {
                Turn::Stays => {}
                Turn::Serve(_) => unreachable!("nothing but plain polls here"),
                Turn::Ends => return false,
            }
        }
        true
    }

    /// Whether it waits for a message.
    pub fn is_parked(&self) -> bool {
        matches!(self.doing, Doing::Parked(..))
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
