//! Clients of streams, written down byte by byte where that matters: server-sent events, and a WebSocket with tungstenite's
//! framing.

use crate::client::Session;
use crate::harness::Server;
use crate::http::{Connection, PATIENCE, Request, Response, get};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// One thing that came over a stream of events.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: Option<String>,
    pub(crate) data: Option<Value>,
    pub(crate) retry_ms: Option<u64>,
    /// It is a comment.
    pub(crate) comment: bool,
}

/// A stream of events.
pub(crate) struct Events {
    pub(crate) connection: Connection,
    pub(crate) head: Response,
}

impl Events {
    /// After the session's cursor.
    #[track_caller]
    pub(crate) fn open(server: &Server, session: &Session) -> Self {
        Self::open_at(&server.listen, session)
    }

    #[track_caller]
    pub(crate) fn open_at(address: &str, session: &Session) -> Self {
        let request = get(format!("/v1/stream?cursor={}", session.cursor)).token(&session.token);
        Self::asked(Connection::open(address), &request)
    }

    /// As the request says; the stream has begun then.
    #[track_caller]
    pub(crate) fn asked(mut connection: Connection, request: &Request) -> Self {
        connection.send(request);
        Self::begun(connection)
    }

    /// Whatever was asked before.
    #[track_caller]
    pub(crate) fn begun(mut connection: Connection) -> Self {
        let head = connection.receive_head();
        assert_eq!(head.status, 200, "{head}");
        let mut events = Self { connection, head };
        let first = events.next().expect("a retry time");
        assert_eq!(first, Event { retry_ms: Some(1000), ..Event::default() });
        events
    }

    /// What comes next; none at the end.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let Ok(line) = self.connection.next_line() else {
                assert_eq!(event, Event::default(), "half an event");
                return None;
            };
            let (field, value) = line.split_once(": ").unwrap_or((&line, ""));
            let number = || Some(value.parse().expect("a number"));
            match field {
                "" => return Some(event),
                "id" => event.id = number(),
                "retry" => event.retry_ms = number(),
                "event" => event.name = Some(value.into()),
                "data" => event.data = Some(serde_json::from_str(value).expect("JSON on one line")),
                _ if line.starts_with(':') => event.comment = true,
                _ => panic!("no field of an event: {line}"),
            }
        }
    }

    /// The next message, and moves the session's cursor; heartbeats are skipped.
    #[track_caller]
    pub(crate) fn message(&mut self, session: &mut Session) -> Value {
        loop {
            let event = self.next().expect("the stream goes on");
            if event.comment {
                continue;
            }
            assert_eq!((event.id, event.name), (Some(session.cursor + 1), None));
            session.cursor += 1;
            return event.data.expect("a message")["data"].clone();
        }
    }
}

/// A WebSocket.
pub(crate) struct Ws(pub(crate) WebSocket<TcpStream>);

/// Any key will do.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake.
pub(crate) fn upgrade(target: impl Into<String>) -> Request {
    get(target)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
}

impl Ws {
    /// After the session's cursor.
    #[track_caller]
    pub(crate) fn open(server: &Server, session: &Session) -> Self {
        Self::open_at(&server.listen, session)
    }

    #[track_caller]
    pub(crate) fn open_at(address: &str, session: &Session) -> Self {
        let request = upgrade(format!("/v1/ws?cursor={}", session.cursor)).token(&session.token);
        Self::asked(Connection::open(address), &request)
    }

    #[track_caller]
    pub(crate) fn after(server: &Server, session: &Session, cursor: u64) -> Self {
        let request = upgrade(format!("/v1/ws?cursor={cursor}")).token(&session.token);
        Self::asked(Connection::open(&server.listen), &request)
    }

    /// As the request says.
    #[track_caller]
    pub(crate) fn asked(mut connection: Connection, request: &Request) -> Self {
        connection.send(request);
        let (head, behind) = connection.receive_upgrade();
        assert_eq!(head.status, 101, "{head}");
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self::over(connection, behind)
    }

    /// Behind the handshake.
    pub(crate) fn over(connection: Connection, behind: Vec<u8>) -> Self {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        Self(WebSocket::from_partially_read(connection.into_stream(), behind, Role::Client, Some(config)))
    }

    #[track_caller]
    pub(crate) fn say(&mut self, what: &Value) {
        self.0.send(Message::text(what.to_string())).expect("sent");
    }

    /// The next object; pings are answered on the way.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        loop {
            match self.0.read().expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) => self.0.flush().expect("a pong"),
                other => panic!("not a text: {other:?}"),
            }
        }
    }

    /// The data of the next messages, without a gap, and moves the session's cursor.
    #[track_caller]
    pub(crate) fn messages(&mut self, session: &mut Session) -> Vec<Value> {
        let page = self.hear();
        let messages = page["messages"].as_array().unwrap_or_else(|| panic!("no page: {page}")).clone();
        assert_eq!(page["cursor"], session.cursor + messages.len() as u64, "{page}");
        assert_eq!(page.get("gap"), None);
        session.cursor += messages.len() as u64;
        messages.into_iter().map(|message| message["data"].clone()).collect()
    }

    /// Says something and waits for its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, mut what: Value) -> Value {
        what["ref"] = json!("r");
        self.say(&what);
        let mut answer = self.hear();
        assert_eq!(answer["ref"], "r", "{answer}");
        answer.as_object_mut().expect("an object").remove("ref");
        answer
    }

    /// Bytes as they are.
    #[track_caller]
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("sent");
    }

    /// How the server closes, whatever comes before; the connection ends then.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) -> CloseFrame {
        let close = loop {
            if let Message::Close(close) = self.0.read().expect("a close frame") {
                break close.expect("a code");
            }
        };
        let _ = self.0.flush(); // the answer, if the server still reads
        let mut rest = Vec::new();
        self.0.get_mut().set_read_timeout(Some(PATIENCE)).expect("a timeout");
        match self.0.get_mut().read_to_end(&mut rest) {
            Ok(0) => {}
            Err(wrong) if wrong.kind() == std::io::ErrorKind::ConnectionReset => {}
            other => panic!("more came: {other:?}"),
        }
        close
    }

    /// Goes away without a close frame.
    pub(crate) fn cut(self) {
        let _ = self.0.get_ref().shutdown(Shutdown::Both);
    }
}
