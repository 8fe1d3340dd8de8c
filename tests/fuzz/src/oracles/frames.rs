//! Frames from a client: however they are cut they are heard the same, and what is heard is what tungstenite's own protocol
//! hears of them.

use crate::protocol::frames::{Frames, Heard, Violation};
use std::io::{self, Read, Write};
use tungstenite::error::Error;
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// Small enough for a fuzzer to go beyond.
const TEXT_BYTES_MAX: usize = 300;

/// Something whole, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    Close(u16),
    /// That is nothing here.
    Binary,
}

/// How it went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    Protocol,
    NotUtf8,
    TooBig,
    Binary,
}

/// The first byte says how the others are cut.
pub fn check(data: &[u8]) {
    let Some((step, bytes)) = data.split_first() else { return };
    let whole = ours([bytes].into_iter());
    assert_eq!(ours(bytes.chunks(usize::from(*step) + 1)), whole, "cut, it is heard otherwise");
    let (ours, end) = whole;
    let (theirs, their_end) = theirs(bytes);
    match (end, their_end) {
        // They hear binary messages.
        (End::Binary, _) => assert!(theirs.starts_with(&ours), "{ours:?} {theirs:?}"),
        // They look at each fragment of a text.
        (_, End::NotUtf8) => assert!(ours.starts_with(&theirs), "{ours:?} {theirs:?}"),
        (End::Open, _) => assert_eq!((ours, End::Open), (theirs, their_end)),
        // They look at a frame when all of it has come.
        (_, End::Open) => assert_eq!(ours, theirs, "{end:?}"),
        // Of two things that are wrong either may be told: they look at the length first.
        (End::Protocol, End::TooBig) => assert_eq!(ours, theirs),
        _ => assert_eq!((ours, end), (theirs, their_end)),
    }
}

fn ours<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Said>, End) {
    let (mut frames, mut all) = (Frames::default(), Vec::new());
    for mut piece in pieces {
        loop {
            match frames.read(piece, TEXT_BYTES_MAX) {
                Ok((taken, None)) => {
                    assert_eq!(taken, piece.len(), "all that came is taken");
                    break;
                }
                Ok((taken, Some(heard))) => {
                    piece = &piece[taken..];
                    let said = said(&heard);
                    let is_last = matches!(said, Said::Close(_));
                    all.push(said);
                    if is_last {
                        return (all, End::Open);
                    }
                }
                Err(violation) => return (all, end(violation)),
            }
        }
        assert!(frames.bytes() <= TEXT_BYTES_MAX + 125 + 14, "what is kept has a bound");
    }
    (all, End::Open)
}

fn said(heard: &Heard<'_>) -> Said {
    match *heard {
        Heard::Text(text) => Said::Text(text.into()),
        Heard::Ping(data) => Said::Ping(data.into()),
        Heard::Pong => Said::Pong,
        Heard::Close(code) => Said::Close(code),
    }
}

fn end(violation: Violation) -> End {
    match violation {
        Violation::Protocol(_) => End::Protocol,
        Violation::NotUtf8 => End::NotUtf8,
        Violation::TooBig => End::TooBig,
        Violation::Binary => End::Binary,
    }
}

/// Bytes that have come, and a peer that takes everything.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(to) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(bytes: &[u8]) -> (Vec<Said>, End) {
    let config = WebSocketConfig::default().max_message_size(Some(TEXT_BYTES_MAX)).max_frame_size(Some(TEXT_BYTES_MAX));
    let (mut context, mut wire, mut all) = (WebSocketContext::new(Role::Server, Some(config)), Wire(bytes), Vec::new());
    loop {
        let said = match context.read(&mut wire) {
            Ok(Message::Text(text)) => Said::Text(text.as_str().into()),
            Ok(Message::Binary(_)) => Said::Binary,
            Ok(Message::Ping(data)) => Said::Ping(data.to_vec()),
            Ok(Message::Pong(_)) => Said::Pong,
            Ok(Message::Close(None)) => Said::Close(1000),
            // A code that nobody may send.
            Ok(Message::Close(Some(close))) if &*close.reason == "Protocol violation" => return (all, End::Protocol),
            Ok(Message::Close(Some(close))) => Said::Close(close.code.into()),
            Ok(Message::Frame(_)) => unreachable!("a whole message is read"),
            Err(Error::Io(_)) => return (all, End::Open),
            Err(Error::Utf8(_)) => return (all, End::NotUtf8),
            Err(Error::Capacity(_)) => return (all, End::TooBig),
            Err(_) => return (all, End::Protocol),
        };
        let is_last = matches!(said, Said::Close(_));
        all.push(said);
        if is_last {
            return (all, End::Open);
        }
    }
}
