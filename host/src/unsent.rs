//! Answers that wait for clients who read slowly: what their sockets did not take, bounded over the whole process.
//!
//! Nothing is lost when there is no room: the connection ends instead, and the messages are still in the mailbox.

use crate::limits::Limits;
use crate::places::{Places, Reserved};

/// The bound is the process's, as memory is.
static BYTES: Places = Places::new();

/// What a socket did not take. One pointer: a parked poll has room for one.
#[derive(Debug)]
pub struct Unsent(Box<Kept>);

#[derive(Debug)]
struct Kept {
    bytes: Box<[u8]>,
    /// So many of them have left.
    sent: usize,
    _place: Reserved<'static>,
}

impl Unsent {
    /// A copy of it; none when too much waits already.
    pub fn keep(bytes: &[u8], limits: &Limits) -> Option<Self> {
        let place = BYTES.reserve(bytes.len() as u64, limits.unsent_bytes_max)?;
        Some(Self(Box::new(Kept { bytes: bytes.into(), sent: 0, _place: place })))
    }

    /// So many more have left.
    pub fn advance(&mut self, bytes: usize) {
        self.0.sent += bytes;
    }

    /// How many bytes wait in the whole process.
    pub fn bytes_now() -> u64 {
        BYTES.taken()
    }
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes[self.0.sent..]
    }
}

impl PartialEq for Unsent {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Unsent {}
