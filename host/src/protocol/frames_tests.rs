//! Frames cut in every way, beside tungstenite's own reading of the whole.

use super::*;
use proptest::prelude::*;
use tungstenite::protocol::frame::Frame;

const MASK: [u8; 4] = [1, 0x80, 0, 0xff];

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        long => {
            out.push(0xfe);
            out.extend((long as u16).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    out
}

/// All that is heard of these pieces, in words, and the violation that ended it.
fn heard(pieces: &[&[u8]], text_bytes_max: usize) -> (Vec<String>, Option<Violation>) {
    let (mut frames, mut all) = (Frames::default(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match frames.read(rest, text_bytes_max) {
                Ok((taken, Some(heard))) => {
                    all.push(format!("{heard:?}"));
                    rest = &rest[taken..];
                }
                Ok((taken, None)) => {
                    assert_eq!(taken, rest.len());
                    break;
                }
                Err(violation) => return (all, Some(violation)),
            }
        }
    }
    (all, None)
}

#[test]
fn messages_may_be_fragmented_with_control_frames_between() {
    let bytes = [
        frame(0x81, b"one"),
        frame(0x01, "tw\u{f6}".as_bytes().split_last().unwrap().1),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, &[0xb6]),
        frame(0x8a, b""),
        frame(0x88, &[0x03, 0xe8, b'x']),
    ]
    .concat();
    let expected = ["Text(\"one\")", "Ping([112, 105, 110, 103])", "Text(\"tw\u{f6}\")", "Pong", "Close(1000)"];
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    for pieces in [&[&bytes[..]][..], &pieces] {
        let (all, violation) = heard(pieces, 100);
        assert_eq!((all, violation), (expected.map(String::from).to_vec(), None));
    }
}

#[test]
fn between_messages_nothing_is_kept() {
    let mut frames = Frames::default();
    assert!(matches!(frames.read(&frame(0x81, b"abc"), 10), Ok((9, Some(Heard::Text("abc"))))));
    assert!(frames.is_empty());
    let part = frame(0x01, b"abc");
    assert!(matches!(frames.read(&part, 10), Ok((9, None))));
    assert!(!frames.is_empty(), "a message has begun");
    assert!(matches!(frames.read(&part[..1], 10), Ok((1, None))));
    assert_eq!(frames.bytes(), 4);
}

#[test]
fn what_is_wrong_has_a_code() {
    let unmasked = vec![0x81, 1, b'a'];
    let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &MASK].concat();
    let too_much = [frame(0x01, b"123456"), frame(0x80, b"12345")].concat();
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(0xc1, b"a"), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x8b, b""), 1002),
        (frame(0x80, b""), 1002),
        (frame(0x09, b""), 1002),
        (frame(0x89, &[0; 126]), 1002),
        ([frame(0x01, b""), frame(0x81, b"")].concat(), 1002),
        (frame(0x88, &[3]), 1002),
        (frame(0x88, &1005u16.to_be_bytes()), 1002),
        (frame(0x88, &[3, 0xe8, 0xff]), 1007),
        (frame(0x81, &[0xff]), 1007),
        (frame(0x81, &[0xc3]), 1007),
        (frame(0x82, b"a"), 1003),
        (frame(0x81, &[b'a'; 11]), 1009),
        (huge, 1009),
        (too_much, 1009),
    ] {
        let (all, violation) = heard(&[&bytes], 10);
        assert_eq!((all.len(), violation.map(|violation| violation.words().0)), (0, Some(code)), "{bytes:x?}");
    }
}

#[test]
fn a_frame_that_is_announced_takes_no_memory() {
    let mut frames = Frames::default();
    let head = [&[0x81, 0xff][..], &(1u64 << 19).to_be_bytes(), &MASK, b"a"].concat();
    assert!(matches!(frames.read(&head, 1 << 20), Ok((15, None))));
    assert!(frames.text.capacity() < 64);
}

proptest! {
    #[test]
    fn however_it_is_cut_it_is_the_same(
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)), 0..8),
        cuts in prop::collection::vec(0..60usize, 0..6),
    ) {
        // Mostly opcodes that there are.
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| frame(first & 0x8f & !(first >> 4 & 6), payload)).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(heard(&pieces, 20), heard(&[&bytes], 20));
    }

    #[test]
    fn what_tungstenite_writes_is_read(text in ".{0,300}") {
        let opcode = OpCode::Data(Data::Text);
        let mut sent = Frame::message(text.clone(), opcode, true);
        sent.header_mut().mask = Some(MASK);
        let mut bytes = Vec::new();
        sent.format(&mut bytes).unwrap();
        prop_assert_eq!(heard(&[&bytes], 2000), (vec![format!("{:?}", Heard::Text(&text))], None));
    }
}
