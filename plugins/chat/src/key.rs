//! What all keys of a room begin with, in the table and among the groups.

/// A zero byte ends the topic, which can't hold one.
pub(crate) fn room_prefix(topic: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(topic.as_bytes());
    bytes.push(0);
}
