//! The JSON object of a message, rendered once for all its recipients.

use crate::event::{Event, Payload};
use crate::protocol::payload;
use std::io::Write as _;

/// `{"topic":…,"from":…,"event":…,"data":…}`; `from` is null when a back-end published, or a timer fired.
pub fn render(event: &Event, data: &Payload) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + event.topic.as_str().len() + 80);
    // Topics and PIDs have no character that JSON would escape.
    write!(out, "{{\"topic\":\"{}\",\"from\":", event.topic).expect("a Vec takes everything");
    match event.sender {
        Some(pid) => write!(out, "\"{pid}\"").expect("a Vec takes everything"),
        None => out.extend_from_slice(b"null"),
    }
    write!(out, ",\"event\":\"{}\",", event.id).expect("a Vec takes everything");
    payload::write_members(data, &mut out);
    out.push(b'}');
    out
}
