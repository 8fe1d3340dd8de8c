//! Many sessions that change at random how they listen, under load: a poll, server-sent events, a WebSocket, each of them
//! plain or over TLS; ended, cut off without a word, or just left standing. Nobody loses a message, gets one twice, or out of order.
//!
//! `VOLLEY_TEST_CHANGING=SECONDS` says for how long (8), `VOLLEY_TEST_SEED=N` repeats the decisions of a run.

use crate::client::{Page, Session, poll, publish};
use crate::http::{Connection, get};
use crate::secure::Authority;
use crate::streaming::{Events, Ws, upgrade};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::Message;

const SESSIONS: usize = 200;
const TOPICS: usize = 10;

/// What came of all of them.
#[derive(Default)]
struct Tally {
    received: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    reordered: AtomicU64,
}

/// Decisions that can be made again: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A client that follows its cursor, whatever it listens with.
struct Listener<'a> {
    /// The listener for plain HTTP, and a way to the one that speaks TLS.
    addresses: [&'a str; 2],
    session: Session,
    chance: Chance,
    tally: &'a Tally,
    /// The last number that was heard.
    heard: u64,
    /// It has sent polls that it did not wait for.
    has_unheard: bool,
    /// How often it began to listen in each way, and how each ended.
    ways: BTreeMap<(&'static str, &'static str), u64>,
    /// Connections that were left standing, and are not read any more.
    left: Vec<Connection>,
}

impl Listener<'_> {
    fn hear(&mut self, number: u64) {
        self.tally.received.fetch_add(1, Relaxed);
        match number {
            next if next == self.heard + 1 => {}
            later if later > self.heard => drop(self.tally.lost.fetch_add(later - self.heard - 1, Relaxed)),
            same if same == self.heard => drop(self.tally.doubled.fetch_add(1, Relaxed)),
            _ => drop(self.tally.reordered.fetch_add(1, Relaxed)),
        }
        self.heard = self.heard.max(number);
    }

    fn hear_page(&mut self, page: &Value) {
        assert_eq!(page.get("gap"), None, "{page}");
        for message in page["messages"].as_array().expect("messages") {
            self.hear(message["data"].as_u64().expect("a number"));
        }
        self.session.cursor = page["cursor"].as_u64().expect("a cursor");
    }

    /// Listens until all of it is heard, once it is known how much that is.
    fn run(mut self, all: &AtomicU64) -> BTreeMap<(&'static str, &'static str), u64> {
        while self.heard == 0 || self.heard != all.load(Relaxed) {
            let messages = self.chance.below(30);
            let connection = Connection::open(self.addresses[self.chance.below(2) as usize]);
            match self.chance.below(3) {
                0 => self.polls(connection, messages),
                1 => self.events(connection, messages),
                _ => self.websocket(connection, messages),
            }
        }
        self.ways
    }

    fn polls(&mut self, mut connection: Connection, messages: u64) {
        for _ in 0..messages.div_ceil(8) {
            let page = Page::of(connection.call(&poll(self.session.cursor, 1).token(&self.session.token)));
            if page.superseded {
                return self.superseded();
            }
            self.hear_page(&serde_json::from_str(&page.raw).expect("a page"));
        }
        // A poll that is sent and not waited for: its answer is lost.
        if self.chance.below(3) == 0 {
            self.has_unheard = true;
            connection.send(&poll(self.session.cursor, 1).token(&self.session.token));
        }
        self.end("poll", connection);
    }

    fn events(&mut self, connection: Connection, messages: u64) {
        let request = get("/v1/stream").token(&self.session.token);
        let request = request.header("Last-Event-ID", self.session.cursor.to_string());
        let mut events = Events::asked(connection, &request);
        for _ in 0..messages {
            if !events.connection.hears_within(Duration::from_secs(1)) {
                break; // all may be said
            }
            let event = events.next().expect("the stream goes on");
            if event.name.as_deref() == Some("superseded") {
                return self.superseded();
            }
            assert_eq!((&event.name, event.id), (&None, Some(self.session.cursor + 1)), "{event:?}");
            self.session.cursor += 1;
            self.hear(event.data.expect("a message")["data"].as_u64().expect("a number"));
        }
        self.end("events", events.connection);
    }

    fn websocket(&mut self, connection: Connection, messages: u64) {
        let request = upgrade(format!("/v1/ws?cursor={}", self.session.cursor)).token(&self.session.token);
        let mut ws = Ws::asked(connection, &request);
        ws.0.get_ref().set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let until = self.heard + messages;
        while self.heard < until {
            match ws.0.read() {
                Ok(Message::Text(text)) => self.hear_page(&serde_json::from_str(&text).expect("a page")),
                Ok(Message::Ping(_)) => {}
                Ok(Message::Close(Some(close))) if u16::from(close.code) == 4409 => return self.superseded(),
                Err(tungstenite::Error::Io(wrong)) if wrong.kind() == std::io::ErrorKind::WouldBlock => break,
                other => panic!("{other:?}"),
            }
            if self.chance.below(4) == 0 {
                ws.say(&json!({"ack": self.session.cursor}));
            }
        }
        if self.chance.below(4) == 0 {
            ws.0.close(None).expect("sent");
            *self.ways.entry(("websocket", "closed")).or_default() += 1;
            return;
        }
        let stream = ws.0.get_ref().try_clone().expect("a copy");
        self.end("websocket", Connection::over(self.addresses[0], stream));
    }

    /// By a poll of its own that was sent before, not waited for, and reached the server late.
    fn superseded(&mut self) {
        *self.ways.entry(("any", "superseded")).or_default() += 1;
        assert!(self.has_unheard, "nobody else has the session");
    }

    /// Closed, reset, or left standing until another one takes its place.
    fn end(&mut self, way: &'static str, connection: Connection) {
        let how = match self.chance.below(3) {
            0 => {
                connection.reset();
                "reset"
            }
            1 => {
                drop(connection);
                "dropped"
            }
            _ => {
                self.left.push(connection);
                self.left.drain(..self.left.len().saturating_sub(2));
                "left standing"
            }
        };
        *self.ways.entry((way, how)).or_default() += 1;
    }
}

#[test]
fn sessions_that_change_how_they_listen_miss_nothing() {
    let asked = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let time = Duration::from_secs(asked("VOLLEY_TEST_CHANGING").unwrap_or(8));
    let seed = asked("VOLLEY_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let server = authority.serve("server", &[]);
    let tunnel = authority.tunnel(&server);
    let addresses = [&*server.listen, &tunnel.address];
    let (tally, ends) = (Tally::default(), [const { AtomicU64::new(0) }; TOPICS]);
    let topic = |topic: usize| format!("changing.{topic}");
    let ways = thread::scope(|scope| {
        let listeners: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let session = Session::on(&server, &topic(number % TOPICS));
                let chance = Chance((seed + number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
                let (tally, ways, left) = (&tally, BTreeMap::new(), Vec::new());
                let listener = Listener { addresses, session, chance, tally, heard: 0, has_unheard: false, ways, left };
                let end = &ends[number % TOPICS];
                scope.spawn(move || listener.run(end))
            })
            .collect();
        for (number, end) in ends.iter().enumerate() {
            let (server, name) = (&server, topic(number));
            scope.spawn(move || {
                let (started, mut n) = (Instant::now(), 0);
                while started.elapsed() < time {
                    n += 1;
                    let recipients = publish(server, &name, &json!(n)).recipients;
                    assert_eq!(recipients as usize, SESSIONS / TOPICS);
                    thread::sleep(Duration::from_millis(2)); // a pace that the clients here can follow on few cores
                }
                end.store(n, Relaxed);
            });
        }
        let mut ways: BTreeMap<_, u64> = BTreeMap::new();
        for listener in listeners {
            for (way, times) in listener.join().expect("a listener") {
                *ways.entry(way).or_default() += times;
            }
        }
        ways
    });
    let published: u64 = ends.iter().map(|end| end.load(Relaxed)).sum();
    let of = |count: &AtomicU64| count.load(Relaxed);
    let _ = writeln!(
        std::io::stderr().lock(),
        "{SESSIONS} sessions, seed {seed}: {published} published, {} received, {} lost, {} doubled, {} reordered; {ways:?}",
        of(&tally.received),
        of(&tally.lost),
        of(&tally.doubled),
        of(&tally.reordered),
    );
    assert_eq!((of(&tally.lost), of(&tally.doubled), of(&tally.reordered)), (0, 0, 0));
    assert_eq!(of(&tally.received), published * (SESSIONS / TOPICS) as u64);
    assert!(ways.len() >= 10 && published > 100, "{ways:?}");
    assert!(server.metric("volley_tls_handshakes_total") > SESSIONS as u64, "about half of them over TLS");
    assert_eq!(server.metric("volley_mailbox_dropped_total"), 0);
    // Nothing is left of them.
    server.wait_for_metric("volley_event_streams", 0);
    server.wait_for_metric("volley_websockets", 0);
    server.wait_for_metric("volley_parked_polls", 0);
}
