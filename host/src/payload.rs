//! What is published: the data of an event, of a rule's own message, of a timer.

use bytes::Bytes;

/// Valid data: JSON is JSON without line breaks, text is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A JSON text on one line.
    Json(Bytes),
    /// Any text.
    Text(String),
    /// Anything else.
    Binary(Bytes),
}

impl Payload {
    /// What it weighs.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
