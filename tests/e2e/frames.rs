//! Frames that no WebSocket client sends: each is refused with its code, and nobody else notices.

use crate::client::{Session, publish};
use crate::harness::Server;
use crate::streaming::Ws;
use serde_json::json;
use std::io::Write as _;
use std::time::Duration;
use tungstenite::Message;

/// A frame with that first byte, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len() as u64);
    bytes.extend(payload);
    bytes
}

fn head(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65_536 => {
            bytes.push(0xfe);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0xff);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

/// One who has nothing to do with it, and misses nothing.
struct Neighbour {
    topic: &'static str,
    session: Session,
    ws: Ws,
    said: u64,
}

impl Neighbour {
    fn on(server: &Server, topic: &'static str) -> Self {
        let session = Session::on(server, topic);
        let ws = Ws::open(server, &session);
        Self { topic, session, ws, said: 0 }
    }

    #[track_caller]
    fn notices_nothing(&mut self, server: &Server) {
        self.said += 1;
        publish(server, self.topic, &json!(self.said));
        assert_eq!(self.ws.messages(&mut self.session), [json!(self.said)]);
    }
}

#[test]
fn broken_frames_have_their_codes() {
    let server = Server::shared();
    let mut neighbour = Neighbour::on(&server, "frames.neighbour");
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let huge = head(0x81, 1 << 40);
    let far_too_long = head(0x81, u64::MAX);
    let not_finished = [frame(0x01, b"{"), frame(0x81, b"}")].concat();
    let mut rubbish = vec![0xff; 4096];
    rubbish[0] = 0x16;
    for (what, bytes, code) in [
        ("not masked", unmasked, 1002),
        ("reserved bits", frame(0xf1, b"{}"), 1002),
        ("no such opcode", frame(0x83, b""), 1002),
        ("nothing to continue", frame(0x80, b"{}"), 1002),
        ("a message within a message", not_finished, 1002),
        ("a ping in fragments", frame(0x09, b""), 1002),
        ("a large ping", frame(0x89, &[0; 126]), 1002),
        ("half a close code", frame(0x88, &[3]), 1002),
        ("a close code that nobody may send", frame(0x88, &1006u16.to_be_bytes()), 1002),
        ("a reason that is no text", frame(0x88, &[3, 0xe8, 0xc3]), 1007),
        ("a text that is none", frame(0x81, b"{\"a\":\"\xff\"}"), 1007),
        ("half a character at the end", frame(0x81, b"\"\xf0\x9f\x98"), 1007),
        ("binary", frame(0x82, b"{}"), 1003),
        ("a huge frame", huge, 1009),
        ("a length beyond all", far_too_long, 1009),
        ("TLS, or anything", rubbish, 1002),
    ] {
        let mut ann = Session::on(&server, "frames.broken");
        let mut ws = Ws::open(&server, &ann);
        ws.send_raw(&bytes);
        assert_eq!(u16::from(ws.expect_close().code), code, "{what}");
        publish(&server, "frames.broken", &json!(what));
        assert_eq!(ann.next(), json!(what), "the session lives on");
        ann.end();
        neighbour.notices_nothing(&server);
    }
}

#[test]
fn fragments_add_up_to_the_bound() {
    let server = Server::start_plain(&["--limit", "event_bytes_max=10000"]);
    let ann = Session::open(&server);
    let mut ws = Ws::open(&server, &ann);
    ws.send_raw(&frame(0x01, &[b' '; 9000]));
    ws.send_raw(&frame(0x00, &[b' '; 9000]));
    assert_eq!(u16::from(ws.expect_close().code), 1009);
    server.wait_for_metric("volley_frame_bytes", 0);
}

#[test]
fn fragments_make_a_message_with_pings_between() {
    let server = Server::shared();
    let ann = Session::on(&server, "frames.fragments");
    let mut ws = Ws::open(&server, &ann);
    let text = br#"{"ref":"\u00f6","ack":0}"#;
    for byte in &text[..text.len() - 1] {
        ws.send_raw(&frame(u8::from(*byte == b'{'), &[*byte]));
    }
    ws.send_raw(&frame(0x89, b"hello"));
    assert_eq!(ws.0.read().unwrap(), Message::Pong("hello".into()));
    ws.send_raw(&frame(0x80, &text[text.len() - 1..]));
    assert_eq!(ws.hear(), json!({"ref": "\u{f6}", "acknowledged": 0}));
}

#[test]
fn a_frame_that_comes_byte_by_byte() {
    let server = Server::shared();
    let ann = Session::on(&server, "frames.bytes");
    let mut ws = Ws::open(&server, &ann);
    for byte in frame(0x81, br#"{"ref":1,"ack":0}"#) {
        ws.send_raw(&[byte]);
        std::thread::sleep(Duration::from_millis(2)); // so that each is a packet, mostly
    }
    assert_eq!(ws.hear(), json!({"ref": 1, "acknowledged": 0}));
}

#[test]
fn a_flood_of_pings_is_cut_off() {
    let server = Server::shared();
    let mut neighbour = Neighbour::on(&server, "frames.flood");
    for opcode in [0x89, 0x8a] {
        let ann = Session::open(&server);
        let mut ws = Ws::open(&server, &ann);
        let flood = frame(opcode, b"ping").repeat(100_000);
        // The server may close before all of it is through.
        let _ = ws.0.get_mut().write_all(&flood);
        while let Ok(heard) = ws.0.read() {
            match heard {
                Message::Close(close) => assert_eq!(close.map(|close| u16::from(close.code)), Some(1008)),
                pong => assert_eq!(pong, Message::Pong("ping".into())),
            }
        }
        // Or the close frame was lost with the connection, which is not read from for ever.
        neighbour.notices_nothing(&server);
    }
}

#[test]
fn a_message_that_never_ends_is_cut_off() {
    let server = Server::start_plain(&["--limit", "request_ms=1000"]);
    let mut neighbour = Neighbour::on(&server, "frames.never");
    let mut ann = Session::on(&server, "frames.never");
    let mut ws = Ws::open(&server, &ann);
    ws.send_raw(&frame(0x01, b"{\"ack\":"));
    neighbour.notices_nothing(&server);
    assert_eq!(ws.messages(&mut ann), [json!(1)], "messages come meanwhile");
    server.wait_for_metric("volley_websockets", 1);
    assert!(ws.0.read().is_err(), "it has ended");
    server.wait_for_metric("volley_frame_bytes", 0);
    neighbour.notices_nothing(&server);
}

#[test]
fn messages_in_part_have_a_bound_over_the_whole_process() {
    let server = Server::start_plain(&["--limit", "frames_bytes_max=50000"]);
    let half = |server: &Server| {
        let mut ws = Ws::open(server, &Session::open(server));
        ws.send_raw(&frame(0x01, &vec![b' '; 30_000]));
        ws
    };
    let first = half(&server);
    server.wait_for_metric("volley_frame_bytes", 30_000);
    let mut second = half(&server);
    assert_eq!(u16::from(second.expect_close().code), 1013);
    drop(first);
    server.wait_for_metric("volley_frame_bytes", 0);
}
