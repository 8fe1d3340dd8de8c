//! What all keys of a room begin with, now and in the version before.

/// The topic's length says where it ends.
pub(crate) fn room_prefix(topic: &str, bytes: &mut Vec<u8>) {
    let length = u16::try_from(topic.len()).expect("topics are short");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(topic.as_bytes());
}

/// The topic of a key, and the rest of it.
pub(crate) fn split(key: &[u8]) -> Option<(&str, &[u8])> {
    let (length, key) = key.split_first_chunk()?;
    let (topic, rest) = key.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((str::from_utf8(topic).ok()?, rest))
}

/// A zero byte ended the topic.
pub(crate) fn old_room_prefix(topic: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(topic.as_bytes());
    bytes.push(0);
}

pub(crate) fn split_old(key: &[u8]) -> Option<(&str, &[u8])> {
    let at = key.iter().position(|byte| *byte == 0)?;
    Some((str::from_utf8(&key[..at]).ok()?, &key[at + 1..]))
}
