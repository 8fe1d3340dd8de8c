//! A message: rendered once, as the JSON object that every recipient gets, and shared by all mailboxes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A message's own memory, besides its JSON: the shared count, the pointers, what the allocator rounds up to.
const MESSAGE_BYTES: u64 = 64;

/// What all messages and large mailboxes weigh.
#[derive(Debug, Default)]
pub struct MessageBytes(AtomicU64);

impl MessageBytes {
    /// How many bytes there are now.
    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

/// One rendered message.
#[derive(Debug)]
pub struct Message {
    json: Box<[u8]>,
    counted_in: Arc<MessageBytes>,
}

impl Message {
    /// Takes the rendered object; what it weighs counts until the last mailbox has let go of it.
    pub fn new(json: Vec<u8>, counted_in: &Arc<MessageBytes>) -> Arc<Self> {
        counted_in.add(MESSAGE_BYTES + json.len() as u64);
        Arc::new(Self { json: json.into(), counted_in: counted_in.clone() })
    }

    /// The JSON object.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// A mailbox that keeps this message has grown or shrunk by itself.
    pub fn count_mailbox(&self, bytes_before: u64, bytes_now: u64) {
        if bytes_now > bytes_before {
            self.counted_in.add(bytes_now - bytes_before);
        } else if bytes_now < bytes_before {
            self.counted_in.subtract(bytes_before - bytes_now);
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.counted_in.subtract(MESSAGE_BYTES + self.json.len() as u64);
    }
}
