//! What goes into a stream, as the bytes of its form: server-sent events, or the frames of a WebSocket.
//!
//! Messages are copied as they were rendered once. A page of a WebSocket is the body of a poll's answer in one text frame.

use crate::mailbox::Page;
use crate::protocol::answer::{Answer, Ending, write_date, write_number, write_page};
use crate::protocol::cors;
use crate::protocol::problem::Problem;
use crate::session::Form;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::sync::Arc;
use tungstenite::handshake::server::write_response;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// After this time a browser that has lost its stream comes back by itself, unless it is told otherwise.
const RETRY_MS: u64 = 1_000;
/// Who was superseded is not to come back by itself: two would take the session from each other again and again.
const SUPERSEDED_RETRY_MS: u64 = 3_600_000;
/// The longest header of a frame that is not masked.
const FRAME_HEADER_BYTES_MAX: usize = 10;
/// The longest reason of a close frame, besides its code.
const REASON_BYTES_MAX: usize = 123;

/// More was sent than is allowed.
pub const FLOODED: u16 = 1008;
/// The server cannot serve this just now.
pub const TRY_AGAIN: u16 = 1013;
/// Close codes of our own; the digits are those of the HTTP status.
const SUPERSEDED: u16 = 4409;
const GONE: u16 = 4410;

/// The head of a response that is a stream of server-sent events.
pub fn events_head(cors: Option<&Arc<str>>) -> Response<()> {
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if let Some(origin) = cors {
        cors::add(&mut head, origin);
    }
    head
}

/// The head of a stream that goes into a bare socket, and how the stream begins.
pub fn stream_head(form: Form, head: &Response<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_response(&mut bytes, head).expect("a Vec takes everything");
    if form == Form::Events {
        let end = bytes.len() - "\r\n".len();
        bytes.truncate(end);
        bytes.extend_from_slice(b"connection: close\r\ndate: ");
        write_date(&mut bytes);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&events_begin());
    }
    bytes
}

/// How a stream of events begins: with when to come back.
pub fn events_begin() -> Vec<u8> {
    let mut begin = Vec::new();
    write_number(&mut begin, b"retry: ", RETRY_MS);
    begin.extend_from_slice(b"\n\n");
    begin
}

impl Answer {
    /// The messages of a page.
    pub fn next(&mut self, form: Form, page: Page<'_>) {
        let out = self.raw();
        match form {
            Form::Events => write_events(out, page),
            Form::WebSocket => {
                let unused = write_text_with_room(out, |out| write_page(out, page));
                self.skip(unused);
            }
        }
    }

    /// A sign of life.
    pub fn heartbeat(&mut self, form: Form) {
        let out = self.raw();
        match form {
            Form::Events => out.extend_from_slice(b":\n\n"),
            Form::WebSocket => write_frame(out, OpCode::Control(Control::Ping), b""),
        }
    }

    /// The last words, and why.
    pub fn last(&mut self, form: Form, ending: Ending) {
        let out = self.raw();
        match form {
            Form::Events => write_last_event(out, ending),
            Form::WebSocket => match ending {
                Ending::Superseded => write_close(out, SUPERSEDED, "the session has another consumer"),
                Ending::SessionOver => write_close(out, GONE, "the session has ended"),
                Ending::Draining { retry_ms } => {
                    write_close(out, CloseCode::Restart.into(), &format!("{{\"retry_ms\":{retry_ms}}}"));
                }
                Ending::Deadline => write_close(out, CloseCode::Normal.into(), ""),
            },
        }
    }
}

fn write_events(out: &mut Vec<u8>, page: Page<'_>) {
    let mut number = page.after;
    if page.gap > 0 {
        // Its id is that of the last message that is missing: who resumes there is not told again.
        write_number(out, b"id: ", number);
        write_number(out, b"\nevent: gap\ndata: {\"gap\":", page.gap);
        out.extend_from_slice(b"}\n\n");
    }
    for message in page.messages {
        number += 1;
        write_number(out, b"id: ", number);
        // A message is one line: no line break survives in it.
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(message.json());
        out.extend_from_slice(b"\n\n");
    }
}

fn write_last_event(out: &mut Vec<u8>, ending: Ending) {
    match ending {
        Ending::Superseded => {
            write_number(out, b"retry: ", SUPERSEDED_RETRY_MS);
            out.extend_from_slice(b"\nevent: superseded\ndata: {\"superseded\":true}\n\n");
        }
        Ending::SessionOver => {
            out.extend_from_slice(b"event: end\ndata: ");
            out.extend_from_slice(&Problem::gone().body());
            out.extend_from_slice(b"\n\n");
        }
        Ending::Draining { retry_ms } => {
            write_number(out, b"retry: ", retry_ms);
            write_number(out, b"\nevent: end\ndata: {\"retry_ms\":", retry_ms);
            out.extend_from_slice(b"}\n\n");
        }
        Ending::Deadline => {}
    }
}

/// A text frame.
pub fn write_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    let unused = write_text_with_room(out, write);
    out.drain(begin..begin + unused);
}

/// The same, with so many unused bytes in front: the header is written once the length is known.
fn write_text_with_room(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let begin = out.len();
    out.resize(begin + FRAME_HEADER_BYTES_MAX, 0);
    write(out);
    let length = (out.len() - begin - FRAME_HEADER_BYTES_MAX) as u64;
    let header = header(OpCode::Data(Data::Text));
    let header_length = header.len(length);
    let unused = FRAME_HEADER_BYTES_MAX - header_length;
    let mut to = &mut out[begin + unused..begin + FRAME_HEADER_BYTES_MAX];
    header.format(length, &mut to).expect("there is room");
    unused
}

/// A pong with the data of its ping.
pub fn write_pong(out: &mut Vec<u8>, data: &[u8]) {
    write_frame(out, OpCode::Control(Control::Pong), data);
}

/// A close frame; a reason that is too long is cut.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    write_frame(out, OpCode::Control(Control::Close), &[&code.to_be_bytes(), reason.as_bytes()].concat());
}

fn write_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    header(opcode).format(payload.len() as u64, out).expect("a Vec takes everything");
    out.extend_from_slice(payload);
}

fn header(opcode: OpCode) -> FrameHeader {
    FrameHeader { opcode, ..FrameHeader::default() }
}
