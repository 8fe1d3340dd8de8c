//! A message: rendered once, as the JSON object that every recipient gets, and shared by all mailboxes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What all messages in memory weigh; a delivery beyond the process-wide bound trims mailboxes.
#[derive(Debug, Default)]
pub struct MessageBytes(AtomicU64);

impl MessageBytes {
    /// How many bytes there are now.
    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
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
        counted_in.0.fetch_add(json.len() as u64, Relaxed);
        Arc::new(Self { json: json.into(), counted_in: counted_in.clone() })
    }

    /// The JSON object.
    pub fn json(&self) -> &[u8] {
        &self.json
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.counted_in.0.fetch_sub(self.json.len() as u64, Relaxed);
    }
}
