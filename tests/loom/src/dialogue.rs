//! Stands in for what is said over a stream: whatever the client sends is answered with a pong.

use crate::node::Node;
use crate::pid::Pid;
use crate::socket::Socket;
use std::sync::Arc;

/// What is to be written.
#[derive(Default)]
pub struct Dialogue(Vec<u8>);

impl Dialogue {
    /// Begins with the head of a response.
    pub fn beginning(head: Vec<u8>, _: Vec<u8>) -> Self {
        Self(head)
    }

    /// Whether there is something to be written.
    pub fn has_to_write(&self) -> bool {
        !self.0.is_empty()
    }

    /// Nothing comes behind a request.
    pub fn has_unread(&self) -> bool {
        false
    }

    /// Adds it; it is not the last.
    pub fn say(&mut self, to: &mut Vec<u8>, _: &Socket) -> bool {
        to.append(&mut self.0);
        false
    }

    /// Messages are whole.
    pub fn whole_by(&self) -> Option<u32> {
        None
    }

    /// There is nothing to forget.
    pub fn rest(&mut self) {}

    /// False when the peer is gone.
    pub fn hear(&mut self, socket: &Arc<Socket>, _: &Node, _: (Pid, u32)) -> bool {
        match socket.receive(<[u8]>::len) {
            Ok(Some(0)) | Err(_) => false,
            Ok(Some(_)) => {
                self.0.extend_from_slice(b"pong\n");
                true
            }
            Ok(None) => true,
        }
    }
}
