//! Stands in for what is said over a stream: whatever the client sends is answered with a pong, if there is room for a call.

use crate::calls::Calls;
use crate::node::Node;
use crate::pid::Pid;
use crate::socket::Socket;
use std::sync::Arc;

/// What is to be written.
#[derive(Default)]
pub struct Dialogue {
    out: Vec<u8>,
    calls: Arc<Calls>,
}

impl Dialogue {
    /// Begins with the head of a response.
    pub fn beginning(head: Vec<u8>, _: Vec<u8>) -> Self {
        Self { out: head, calls: Arc::default() }
    }

    /// What lanes have been asked.
    pub fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// Whether there is something to be written.
    pub fn has_to_write(&self) -> bool {
        !self.out.is_empty() || self.calls.has_answers()
    }

    /// Nothing comes behind a request.
    pub fn has_unread(&self) -> bool {
        false
    }

    /// Adds it; it is not the last.
    pub fn say(&mut self, to: &mut Vec<u8>, socket: &Socket) -> bool {
        to.append(&mut self.out);
        if self.calls.take_answers(to) {
            socket.call_again();
        }
        false
    }

    /// Messages are whole.
    pub fn whole_by(&self) -> Option<u32> {
        None
    }

    /// There is nothing to forget.
    pub fn rest(&mut self) {}

    /// False when the peer is gone.
    pub fn hear(&mut self, socket: &Arc<Socket>, node: &Node, _: (Pid, u32)) -> bool {
        if self.calls.are_full(node.shared.limits.socket_calls_max) {
            return true;
        }
        match socket.receive(<[u8]>::len) {
            Ok(Some(0)) | Err(_) => false,
            Ok(Some(_)) => {
                self.out.extend_from_slice(b"pong\n");
                true
            }
            Ok(None) => true,
        }
    }
}
