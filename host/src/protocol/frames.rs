//! The frames that a client sends over a WebSocket, read piece by piece as they come. The header of a frame is tungstenite's
//! to read; what RFC 6455 says about their order is here.
//!
//! Between two messages nothing is kept. What has come of one grows with what really came, never with what was announced.

use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The longest header of a frame.
const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

/// What has come of a frame or a message that is not whole yet.
#[derive(Debug, Default)]
pub struct Frames {
    /// Of a header.
    header: Vec<u8>,
    payload: Option<Payload>,
    /// What came of a text, in fragments that may still go on.
    text: Vec<u8>,
    fragmented: bool,
    /// What came of a control frame, which may come between two fragments.
    control: Vec<u8>,
}

/// The frame whose payload is coming.
#[derive(Debug)]
struct Payload {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    /// So much of it has come.
    at: usize,
    length: usize,
}

/// Something whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message.
    Text(&'a str),
    /// To be answered with a pong of the same data.
    Ping(&'a [u8]),
    /// The answer to a ping.
    Pong,
    /// The peer ends the connection: what it is told in answer.
    Close(u16),
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Not what RFC 6455 allows: 1002.
    Protocol(&'static str),
    /// A binary message: 1003.
    Binary,
    /// A text or a reason that is not UTF-8: 1007.
    NotUtf8,
    /// A message above the bound: 1009.
    TooBig,
}

impl Violation {
    /// The code of the close frame, and its reason.
    pub fn words(self) -> (u16, &'static str) {
        match self {
            Self::Protocol(words) => (CloseCode::Protocol.into(), words),
            Self::Binary => (CloseCode::Unsupported.into(), "messages here are text"),
            Self::NotUtf8 => (CloseCode::Invalid.into(), "a text is UTF-8"),
            Self::TooBig => (CloseCode::Size.into(), "the message is too large (event_bytes_max)"),
        }
    }
}

impl Frames {
    /// Whether nothing has come in part.
    pub fn is_empty(&self) -> bool {
        self.header.is_empty() && self.payload.is_none() && !self.fragmented
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.header.len() + self.text.len() + self.control.len()
    }

    /// Reads on, up to and with the next thing that is whole; how many bytes that took, and the thing. None when all that
    /// came was read.
    pub fn read(&mut self, bytes: &[u8], text_bytes_max: usize) -> Result<(usize, Option<Heard<'_>>), Violation> {
        let mut taken = 0;
        loop {
            if self.payload.is_none() {
                taken += self.read_header(&bytes[taken..], text_bytes_max)?;
            }
            let Some(payload) = &mut self.payload else { return Ok((taken, None)) };
            let into = if let OpCode::Control(_) = payload.opcode { &mut self.control } else { &mut self.text };
            taken += payload.read(&bytes[taken..], into);
            if payload.at < payload.length {
                return Ok((taken, None));
            }
            let (opcode, is_final) = (payload.opcode, payload.is_final);
            self.payload = None;
            self.fragmented = if let OpCode::Data(_) = opcode { !is_final } else { self.fragmented };
            if is_final {
                return Ok((taken, Some(self.whole(opcode)?)));
            }
        }
    }

    /// How much of the bytes the header took. If it is whole, what it announces is allowed.
    fn read_header(&mut self, bytes: &[u8], text_bytes_max: usize) -> Result<usize, Violation> {
        let before = self.header.len();
        self.header.extend_from_slice(&bytes[..bytes.len().min(HEADER_BYTES_MAX - before)]);
        let mut cursor = Cursor::new(&self.header);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Protocol("no such opcode"))?;
        let taken = cursor.position() as usize;
        let Some((header, length)) = parsed else { return Ok(self.header.len() - before) };
        self.header.clear();
        self.payload = Some(self.allowed(&header, length, text_bytes_max)?);
        Ok(taken - before)
    }

    fn allowed(&mut self, header: &FrameHeader, length: u64, text_bytes_max: usize) -> Result<Payload, Violation> {
        let wrong = |words| Err(Violation::Protocol(words));
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return wrong("no extension was agreed upon");
        }
        let Some(mask) = header.mask else { return wrong("a client masks its frames") };
        match header.opcode {
            OpCode::Control(_) if !header.is_final => return wrong("a control frame is not fragmented"),
            OpCode::Control(_) if length > CONTROL_BYTES_MAX => return wrong("a control frame has 125 bytes at most"),
            OpCode::Control(_) => self.control.clear(),
            OpCode::Data(Data::Continue) if !self.fragmented => return wrong("there is nothing to continue"),
            OpCode::Data(Data::Continue) => {}
            OpCode::Data(_) if self.fragmented => return wrong("a message was not finished"),
            OpCode::Data(Data::Binary) => return Err(Violation::Binary),
            OpCode::Data(_) => self.text = Vec::new(),
        }
        let is_too_big = length > text_bytes_max.saturating_sub(self.text.len()) as u64;
        if is_too_big && matches!(header.opcode, OpCode::Data(_)) {
            return Err(Violation::TooBig);
        }
        Ok(Payload { opcode: header.opcode, is_final: header.is_final, mask, at: 0, length: length as usize })
    }

    fn whole(&self, opcode: OpCode) -> Result<Heard<'_>, Violation> {
        match opcode {
            OpCode::Data(_) => str::from_utf8(&self.text).map(Heard::Text).map_err(|_| Violation::NotUtf8),
            OpCode::Control(Control::Ping) => Ok(Heard::Ping(&self.control)),
            OpCode::Control(Control::Close) => close(&self.control).map(Heard::Close),
            OpCode::Control(_) => Ok(Heard::Pong),
        }
    }
}

impl Payload {
    /// Takes what belongs to it, unmasked; how much that is.
    fn read(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> usize {
        let taken = bytes.len().min(self.length - self.at);
        let at = self.at;
        into.extend(bytes[..taken].iter().enumerate().map(|(index, byte)| byte ^ self.mask[(at + index) % 4]));
        self.at += taken;
        taken
    }
}

/// The code that answers a close frame: its own, if that is one.
fn close(payload: &[u8]) -> Result<u16, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let empty = payload.is_empty();
        return if empty { Ok(CloseCode::Normal.into()) } else { Err(Violation::Protocol("half a close code")) };
    };
    str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    let code = u16::from_be_bytes(*code);
    if CloseCode::from(code).is_allowed() { Ok(code) } else { Err(Violation::Protocol("no such close code")) }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
