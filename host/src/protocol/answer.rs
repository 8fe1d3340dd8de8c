//! The answer of a poll, as the bytes that go into its socket.
//!
//! Rendered into a buffer that the volley uses again and again: the messages are copied as they were rendered once,
//! only the cursor differs; the head goes in front of the body once its length is known.

use crate::clock;
use crate::mailbox::Page;
use crate::protocol::problem::{Problem, RETRY_AFTER_LINE};
use crate::session::Owed;
use hyper::StatusCode;
use std::cell::RefCell;

/// Room for the head, but for the origin that it may have to name.
const HEAD_BYTES_MAX: usize = 288;

/// Why a poll ends without messages.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// Its time is over.
    Deadline,
    /// Another poll of the session took its place.
    Superseded,
    /// The session has ended.
    SessionOver,
    /// The server goes down; the client comes back after this time, so that not all come at once.
    Draining {
        /// How long to wait.
        retry_ms: u64,
    },
}

/// A rendered response; the buffer stays allocated.
#[derive(Debug, Default)]
pub struct Answer {
    bytes: Vec<u8>,
    head_at: usize,
    body_at: usize,
    status: u16,
}

impl Answer {
    /// Head and body.
    pub fn whole(&self) -> &[u8] {
        &self.bytes[self.head_at..]
    }

    /// The JSON alone.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes that go as they are, to be filled in.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        (self.head_at, self.body_at) = (0, 0);
        self.bytes.clear();
        &mut self.bytes
    }

    /// What is written begins after so many bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.head_at = bytes;
    }

    /// The messages of a page.
    pub fn messages(&mut self, owed: &Owed, page: Page<'_>) {
        self.start_body(owed);
        write_page(&mut self.bytes, page);
        self.finish(owed, 200, "OK", "application/json", "");
    }

    /// No messages, and why.
    pub fn ending(&mut self, owed: &Owed, cursor: u64, ending: Ending) {
        if let Ending::SessionOver = ending {
            return self.problem(owed, &Problem::gone());
        }
        self.begin(owed, cursor);
        self.bytes.push(b']');
        let mut connection = "";
        match ending {
            Ending::Superseded => self.bytes.extend_from_slice(b",\"superseded\":true"),
            Ending::Draining { retry_ms } => {
                self.number(b",\"retry_ms\":", retry_ms);
                connection = "connection: close\r\n";
            }
            Ending::Deadline | Ending::SessionOver => {}
        }
        self.bytes.push(b'}');
        self.finish(owed, 200, "OK", "application/json", connection);
    }

    /// An error.
    pub fn problem(&mut self, owed: &Owed, problem: &Problem) {
        let is_temporary = problem.status() == StatusCode::SERVICE_UNAVAILABLE;
        self.problem_and(owed, problem, if is_temporary { RETRY_AFTER_LINE } else { "" });
    }

    /// A JSON body as it is.
    pub fn json(&mut self, body: &[u8]) {
        let owed = Owed::default();
        self.start_body(&owed);
        self.bytes.extend_from_slice(body);
        self.finish(&owed, 200, "OK", "application/json", "");
    }

    /// An error after which the connection ends.
    pub fn last_problem(&mut self, problem: &Problem) {
        self.last_problem_for(&Owed::default(), problem);
    }

    /// The same for a page, perhaps.
    pub fn last_problem_for(&mut self, owed: &Owed, problem: &Problem) {
        self.problem_and(owed, problem, "connection: close\r\n");
    }

    fn problem_and(&mut self, owed: &Owed, problem: &Problem, connection: &str) {
        self.start_body(owed);
        self.bytes.extend_from_slice(&problem.body());
        let status = problem.status();
        let reason = status.canonical_reason().unwrap_or("Error");
        self.finish(owed, status.as_u16(), reason, "application/problem+json", connection);
    }

    fn start_body(&mut self, owed: &Owed) {
        self.body_at = HEAD_BYTES_MAX + owed.cors.as_ref().map_or(0, |origin| origin.len());
        self.bytes.clear();
        self.bytes.resize(self.body_at, 0);
    }

    fn begin(&mut self, owed: &Owed, cursor: u64) {
        self.start_body(owed);
        self.number(b"{\"cursor\":", cursor);
        self.bytes.extend_from_slice(b",\"messages\":[");
    }

    fn number(&mut self, key: &[u8], number: u64) {
        write_number(&mut self.bytes, key, number);
    }

    /// Puts the head in front of the body.
    fn finish(&mut self, owed: &Owed, status: u16, reason: &str, content_type: &str, connection: &str) {
        self.status = status;
        let mut length = itoa::Buffer::new();
        let length = length.format(self.bytes.len() - self.body_at);
        let (cors, origin, vary) = match &owed.cors {
            Some(origin) => ("access-control-allow-origin: ", &**origin, "\r\nvary: origin\r\n"),
            None => ("", "", ""),
        };
        let mut status_digits = itoa::Buffer::new();
        let status = status_digits.format(status);
        DATE.with_borrow_mut(|date| {
            let head = [
                "HTTP/1.1 ",
                status,
                " ",
                reason,
                "\r\ncontent-type: ",
                content_type,
                "\r\ncache-control: no-store\r\ndate: ",
                date.now(),
                "\r\ncontent-length: ",
                length,
                "\r\n",
                connection,
                cors,
                origin,
                vary,
                "\r\n",
            ];
            self.head_at = self.body_at - head.iter().map(|part| part.len()).sum::<usize>();
            let mut at = self.head_at;
            for part in head {
                self.bytes[at..at + part.len()].copy_from_slice(part.as_bytes());
                at += part.len();
            }
        });
    }
}

/// `{"cursor":…,"messages":[…]}`, and what was lost.
pub(super) fn write_page(out: &mut Vec<u8>, page: Page<'_>) {
    write_number(out, b"{\"cursor\":", page.cursor);
    out.extend_from_slice(b",\"messages\":[");
    for (at, message) in page.messages.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(message.json());
    }
    out.push(b']');
    if page.gap > 0 {
        write_number(out, b",\"gap\":", page.gap);
    }
    out.push(b'}');
}

pub(super) fn write_number(out: &mut Vec<u8>, key: &[u8], number: u64) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Now, as HTTP writes it.
pub(super) fn write_date(out: &mut Vec<u8>) {
    DATE.with_borrow_mut(|date| out.extend_from_slice(date.now().as_bytes()));
}

/// The date of a response, made once a second.
#[derive(Default)]
struct Date {
    text: String,
    second: u64,
}

thread_local! {
    static DATE: RefCell<Date> = RefCell::default();
}

impl Date {
    fn now(&mut self) -> &str {
        let second = clock::coarse_unix_s();
        if second != self.second {
            self.second = second;
            self.text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(second));
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::mailbox::{Mailbox, Room};
    use crate::message::{Message, MessageBytes};
    use std::sync::Arc;

    fn rendered(owed: &Owed, render: impl FnOnce(&mut Answer)) -> (String, serde_json::Value) {
        let mut answer = Answer::default();
        answer.messages(owed, Mailbox::default().after(3, &Limits::default())); // the buffer has been used before
        render(&mut answer);
        let whole = std::str::from_utf8(answer.whole()).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert_eq!(body.as_bytes(), answer.body());
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn messages_gap_and_cursor() {
        let (limits, counter) =
            (Limits { mailbox_messages_max: 2, ..Limits::default() }, Arc::<MessageBytes>::default());
        let mut mailbox = Mailbox::default();
        for n in 1..=3 {
            mailbox.push(&Message::new(format!("{{\"n\":{n}}}").into_bytes(), &counter), &limits, Room::Own);
        }
        let (head, body) =
            rendered(&Owed::default(), |answer| answer.messages(&Owed::default(), mailbox.after(0, &limits)));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(!head.contains("access-control"));
        assert_eq!(body, serde_json::json!({"cursor": 3, "messages": [{"n": 2}, {"n": 3}], "gap": 1}));
    }

    #[test]
    fn a_page_is_told_its_origin_however_long() {
        let owed = Owed { cors: Some(format!("https://{}.example", "a".repeat(4000)).into()) };
        let (head, body) = rendered(&owed, |answer| answer.ending(&owed, 7, Ending::Superseded));
        assert!(head.contains("aaa.example\r\nvary: origin"));
        assert_eq!(body, serde_json::json!({"cursor": 7, "messages": [], "superseded": true}));
    }

    #[test]
    fn the_longest_head_fits() {
        let none = Owed::default();
        let (head, body) =
            rendered(&none, |answer| answer.ending(&none, u64::MAX, Ending::Draining { retry_ms: u64::MAX }));
        assert!(head.contains("connection: close"));
        assert_eq!(body["retry_ms"], u64::MAX);
        let (head, body) = rendered(&none, |answer| answer.ending(&none, 1, Ending::SessionOver));
        assert!(head.starts_with("HTTP/1.1 410 Gone\r\ncontent-type: application/problem+json\r\n"));
        assert_eq!(body["status"], 410);
    }
}
