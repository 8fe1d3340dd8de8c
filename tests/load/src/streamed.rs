//! What comes over a stream: server-sent events or the frames of a WebSocket, as many as are whole.

use crate::response::find;

/// How messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Events,
    Frames,
}

/// How many of these bytes are whole events or frames, the head of the response among them.
pub(crate) fn whole(form: Form, bytes: &[u8], has_head: bool) -> usize {
    let head = if has_head { 0 } else { find(bytes, b"\r\n\r\n").map_or(0, |at| at + 4) };
    if !has_head && head == 0 {
        return 0;
    }
    match form {
        Form::Events => {
            let ends = bytes[head..].windows(2).rposition(|two| two == b"\n\n");
            ends.map_or(head, |at| head + at + 2)
        }
        Form::Frames => {
            let mut at = head;
            while let Some(length) = frame(&bytes[at..]).filter(|length| at + length <= bytes.len()) {
                at += length;
            }
            at
        }
    }
}

/// The length of the first frame, its header included; a server does not mask.
fn frame(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        126 => Some(4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => Some(10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => Some(2 + usize::from(*short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole() {
        let events = b"HTTP/1.1 200 OK\r\n\r\nretry: 1000\n\nid: 1\ndata: {}\n\nid: 2\n";
        for (length, expected) in [(10, 0), (18, 0), (19, 19), (30, 19), (32, 32), (47, 32), (48, 48), (54, 48)] {
            assert_eq!(whole(Form::Events, &events[..length], false), expected, "{length}");
        }
        let frames = [&[0x81, 2][..], b"{}", &[0x89, 0], &[0x81, 126, 0, 130], &[b'x'; 130], &[0x81]].concat();
        for (length, expected) in [(1, 0), (3, 0), (4, 4), (6, 6), (9, 6), (139, 6), (140, 140), (141, 140)] {
            assert_eq!(whole(Form::Frames, &frames[..length], true), expected, "{length}");
        }
    }
}
