//! A stream as its worker sees it, which is the server's own but for what its peer says, and for what is counted.

use crate::Response;
use crate::bare::{self, Doing, Turn};
use crate::calls::Call;
use crate::dialogue::Dialogue;
use crate::limits::Limits;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client;
use crate::protocol::command::Asked;
use crate::protocol::stream::stream_head;
use crate::report::Answered;
use crate::session::{Form, Owed};
use crate::sessions::NotBegun;
use crate::socket::{RECV_BYTES, Socket};
use crate::stream::{Stream, Went};
use crate::unsent::Unsent;
use crate::volley::Writer;
use std::io;
use std::sync::Arc;

const LAST_WORDS_MS: u64 = 2_000;

include!(concat!(env!("OUT_DIR"), "/streaming.rs"));

/// Counts nothing.
pub struct Open(Form);

impl Open {
    /// One more.
    pub fn new(form: Form) -> Self {
        Self(form)
    }

    /// How messages look in it.
    pub fn form(&self) -> Form {
        self.0
    }
}

/// A stream under way, as its worker has it in its list.
pub struct Listening {
    socket: Arc<Socket>,
    node: Arc<Node>,
    doing: Doing,
}

/// A client listens from that message on.
pub fn listen(socket: &Arc<Socket>, node: &Arc<Node>, pid: Pid, cursor: Option<u64>) -> Listening {
    let call = StreamCall {
        pid,
        cursor,
        form: Form::WebSocket,
        head: Response(()),
        owed: Owed::default(),
        behind: Vec::new(),
    };
    let mut doing = Doing::Idle;
    let begun = begin(socket, node, call, &mut doing);
    assert!(matches!(begun, Ok(Turn::Stays)));
    Listening { socket: socket.clone(), node: node.clone(), doing }
}

impl Listening {
    /// The worker does what there is to do by now; false when the connection has ended.
    pub fn work(&mut self) -> bool {
        while self.socket.is_ready() {
            match bare::turn(&self.socket, &self.node, &mut self.doing) {
                Turn::Stays => {}
                _ => return false,
            }
        }
        true
    }

    /// A lane is asked something over it.
    pub fn ask(&self) -> Call {
        let Doing::Streaming(streaming) = &self.doing else { panic!("it has ended") };
        let (calls, whose) = (streaming.dialogue.calls(), (streaming.pid, streaming.serial));
        Call::new(calls, &self.socket, &self.node.shared, whose, (None, Asked::Publish))
    }

    /// Whether its last words are said.
    pub fn has_left(&self) -> bool {
        matches!(self.doing, Doing::Left)
    }
}
