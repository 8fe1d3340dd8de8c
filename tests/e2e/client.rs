//! What a client of Volley does, in the words of the protocol: open a session, join, publish, poll, follow a cursor.

use crate::harness::Server;
use crate::http::{Connection, Request, Response, delete, get, post, put};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A live session, with a connection of its own.
pub(crate) struct Session {
    address: String,
    connection: Connection,
    pub(crate) token: String,
    pub(crate) pid: String,
    /// The last message that was received; the next poll acknowledges it.
    pub(crate) cursor: u64,
    inbox: VecDeque<Value>,
}

/// The answer to a publish.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Published {
    pub(crate) event: String,
    pub(crate) recipients: u64,
}

impl Published {
    #[track_caller]
    pub(crate) fn of(value: &Value) -> Self {
        let fields = value.as_object().unwrap_or_else(|| panic!("{value}"));
        assert_eq!(fields.len(), 2, "{value}");
        Self {
            event: value["event"].as_str().unwrap_or_else(|| panic!("event: {value}")).into(),
            recipients: value["recipients"].as_u64().unwrap_or_else(|| panic!("recipients: {value}")),
        }
    }
}

/// The answer to a poll.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) cursor: u64,
    pub(crate) messages: Vec<Value>,
    pub(crate) gap: Option<u64>,
    pub(crate) superseded: bool,
    pub(crate) retry_ms: Option<u64>,
    /// The body to the letter.
    pub(crate) raw: String,
}

impl Page {
    #[track_caller]
    pub(crate) fn of(response: Response) -> Self {
        let response = response.expect(200);
        assert_eq!(response.header("content-type"), Some("application/json"), "{response}");
        assert!(response.header("content-length").is_some(), "{response}");
        let page = response.json();
        let fields = page.as_object().unwrap_or_else(|| panic!("{page}"));
        for key in fields.keys() {
            assert!(["cursor", "messages", "gap", "superseded", "retry_ms"].contains(&key.as_str()), "{key}: {page}");
        }
        Self {
            cursor: page["cursor"].as_u64().unwrap_or_else(|| panic!("cursor: {page}")),
            messages: page["messages"].as_array().unwrap_or_else(|| panic!("messages: {page}")).clone(),
            gap: page.get("gap").map(|gap| gap.as_u64().expect("a number")),
            superseded: page.get("superseded").is_some_and(|superseded| *superseded == json!(true)),
            retry_ms: page.get("retry_ms").map(|retry| retry.as_u64().expect("a number")),
            raw: response.text().into(),
        }
    }

    /// The `data` of each message.
    pub(crate) fn data(&self) -> Vec<Value> {
        self.messages.iter().map(|message| message["data"].clone()).collect()
    }
}

impl Session {
    #[track_caller]
    pub(crate) fn open(server: &Server) -> Self {
        Self::open_with(server, &json!({}))
    }

    #[track_caller]
    pub(crate) fn open_as(server: &Server, user: &str) -> Self {
        Self::open_with(server, &json!({ "user": user }))
    }

    /// Opens a session that is subscribed to the topic.
    #[track_caller]
    pub(crate) fn on(server: &Server, topic: &str) -> Self {
        Self::open_with(server, &json!({ "topics": [topic] }))
    }

    #[track_caller]
    pub(crate) fn open_with(server: &Server, body: &Value) -> Self {
        let mut connection = Connection::open(&server.listen);
        let created = connection.call(&post("/v1/sessions").json(body)).expect(201).json();
        Self {
            address: server.listen.clone(),
            connection,
            token: created["session"].as_str().expect("a token").into(),
            pid: created["pid"].as_str().expect("a pid").into(),
            cursor: created["cursor"].as_u64().expect("a cursor"),
            inbox: VecDeque::new(),
        }
    }

    /// A call in the name of this session.
    #[track_caller]
    pub(crate) fn call(&mut self, request: Request) -> Response {
        self.connection.call(&request.token(&self.token))
    }

    #[track_caller]
    pub(crate) fn try_join(&mut self, topic: &str) -> Response {
        self.call(put(subscription(topic)))
    }

    #[track_caller]
    pub(crate) fn join(&mut self, topic: &str) {
        self.try_join(topic).expect(204);
    }

    #[track_caller]
    pub(crate) fn leave(&mut self, topic: &str) {
        self.call(delete(subscription(topic))).expect(204);
    }

    #[track_caller]
    pub(crate) fn end(&mut self) {
        self.call(delete("/v1/sessions")).expect(204);
    }

    #[track_caller]
    pub(crate) fn try_publish(&mut self, topic: &str, data: &Value) -> Response {
        self.call(post(events(topic)).json(data))
    }

    #[track_caller]
    pub(crate) fn publish(&mut self, topic: &str, data: &Value) -> Published {
        Published::of(&self.try_publish(topic, data).expect(200).json())
    }

    /// Polls after the cursor and moves it.
    #[track_caller]
    pub(crate) fn poll(&mut self, wait_s: u64) -> Page {
        let page = self.poll_at(self.cursor, wait_s);
        self.cursor = page.cursor;
        page
    }

    #[track_caller]
    pub(crate) fn poll_at(&mut self, cursor: u64, wait_s: u64) -> Page {
        Page::of(self.call(poll(cursor, wait_s)))
    }

    /// All that is kept, without acknowledging anything.
    #[track_caller]
    pub(crate) fn peek(&mut self) -> Page {
        Page::of(self.call(get("/v1/poll?wait=0")))
    }

    /// The next message, waited for.
    #[track_caller]
    pub(crate) fn next_message(&mut self) -> Value {
        if self.inbox.is_empty() {
            let page = self.poll(30);
            assert!(page.gap.is_none() && !page.superseded, "{}", page.raw);
            self.inbox.extend(page.messages);
        }
        self.inbox.pop_front().expect("no message came in time")
    }

    /// The next message's `data`, waited for.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Value {
        self.next_message()["data"].clone()
    }

    /// Waits for exactly these, in this order.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[Value]) {
        for value in expected {
            assert_eq!(&self.next(), value);
        }
    }

    /// Nothing but what was looked at is in the mailbox now.
    #[track_caller]
    pub(crate) fn expect_no_more(&mut self) {
        let page = self.poll(0);
        self.inbox.extend(page.messages);
        assert!(self.inbox.is_empty(), "more came: {:?}", self.inbox);
    }

    /// Forgets what is in the mailbox now.
    #[track_caller]
    pub(crate) fn skip_all(&mut self) {
        while !self.poll(0).messages.is_empty() {}
        self.inbox.clear();
    }

    /// Sends a poll on a connection of its own, and waits until the server has parked it.
    #[track_caller]
    pub(crate) fn park(&self, server: &Server) -> Connection {
        self.park_with(server, poll(self.cursor, 50))
    }

    #[track_caller]
    pub(crate) fn park_with(&self, server: &Server, request: Request) -> Connection {
        let mut connection = Connection::open(&self.address);
        connection.send(&request.token(&self.token));
        server.wait_until_parked(&self.pid);
        connection
    }
}

pub(crate) fn poll(cursor: u64, wait_s: u64) -> Request {
    get(format!("/v1/poll?cursor={cursor}&wait={wait_s}"))
}

pub(crate) fn subscription(topic: &str) -> String {
    format!("/v1/topics/{topic}/subscription")
}

pub(crate) fn events(topic: &str) -> String {
    format!("/v1/topics/{topic}/events")
}

/// A batch for `POST /v1/events`: one event on the topic for each datum.
pub(crate) fn batch_of(topic: &str, data: impl IntoIterator<Item = Value>) -> String {
    data.into_iter().map(|data| json!({"topic": topic, "data": data}).to_string() + "\n").collect()
}

/// A back-end publishing without a session.
#[track_caller]
pub(crate) fn publish(server: &Server, topic: &str, data: &Value) -> Published {
    Published::of(&try_publish(server, topic, data).expect(200).json())
}

#[track_caller]
pub(crate) fn try_publish(server: &Server, topic: &str, data: &Value) -> Response {
    crate::http::call(&server.listen, &post(events(topic)).json(data))
}
