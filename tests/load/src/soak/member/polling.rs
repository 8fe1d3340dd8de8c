//! The ways in which a session polls, most of them rude.

use std::thread;
use std::time::Duration;

use super::super::books::Books;
use super::super::inbox::Page;
use super::super::random::Random;
use super::super::wire::Wire;
use super::{Done, Member, micros, wrong};

/// A slow reader reads no longer than that.
const SLOW_TIME_MAX: Duration = Duration::from_secs(1);
/// Times are whole milliseconds to the server.
const WAIT_SLACK: Duration = Duration::from_millis(2);

/// A way to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Way {
    Plain,
    /// The request comes in two pieces.
    Pieces,
    /// The connection is closed, or reset, before the answer.
    CutBefore(bool),
    /// The same after the first bytes of the answer.
    CutWithin(bool),
    /// Our side is closed; the answer is still read.
    HalfClosed,
    /// The next request comes at once.
    Pipelined,
    /// A second poll comes on another connection.
    Elsewhere,
    /// HTTP/1.0.
    Old,
    /// `Connection: close`.
    Last,
    /// On a connection with a tiny window.
    Slow,
}

impl Way {
    fn told(self) -> &'static str {
        match self {
            Self::Plain => "polls",
            Self::Pieces => "polls in pieces",
            Self::CutBefore(false) => "polls closed before the answer",
            Self::CutBefore(true) => "polls reset before the answer",
            Self::CutWithin(false) => "polls closed within the answer",
            Self::CutWithin(true) => "polls reset within the answer",
            Self::HalfClosed => "polls half closed",
            Self::Pipelined => "polls with a second one pipelined",
            Self::Elsewhere => "polls superseded from elsewhere",
            Self::Old => "polls in HTTP/1.0",
            Self::Last => "polls with Connection: close",
            Self::Slow => "polls with a tiny window",
        }
    }
}

impl Member<'_> {
    fn poll_request(&self, cursor: Option<u64>, wait: Duration, random: &mut Random, form: &str) -> Vec<u8> {
        let (version, extra) = match form {
            "" => ("1.1", ""),
            "old" => ("1.0", ""),
            _ => ("1.1", "Connection: close\r\n"),
        };
        let (query, header) = match cursor {
            None => (String::new(), String::new()),
            Some(cursor) if random.chance(50) => (format!("&cursor={cursor}"), String::new()),
            Some(cursor) => (String::new(), format!("Volley-Cursor: {cursor}\r\n")),
        };
        let (wait, token) = (wait.as_secs_f64(), self.header());
        format!("GET /v1/poll?wait={wait}{query} HTTP/{version}\r\nHost: soak\r\n{extra}{header}{token}\r\n")
            .into_bytes()
    }

    /// Polls once, that way.
    pub(in super::super) fn poll(&mut self, way: Way, wait: Duration, random: &mut Random, books: &mut Books) -> Done {
        books.count(way.told());
        // Mostly what was received is acknowledged; sometimes less, or nothing.
        let acknowledged = self.inbox.acknowledged();
        let cursor = match random.below(20) {
            // Both polls of a pair begin at the same place, in whatever order they are served.
            _ if way == Way::Elsewhere => Some(self.inbox.newest),
            0 => None,
            1 => Some(acknowledged),
            _ => Some(self.inbox.newest),
        };
        self.inbox.ask(cursor);
        let sent = self.world.now();
        let place = self.actor as usize;
        match way {
            Way::Plain | Way::Pieces => {
                let request = self.poll_request(cursor, wait, random, "");
                let mut wire = self.wire()?;
                if way == Way::Pieces {
                    let (first, second) = request.split_at(random.below(request.len()));
                    wire.send(first)?;
                    thread::sleep(Duration::from_millis(random.below(3) as u64));
                    wire.send(second)?;
                } else {
                    wire.send(&request)?;
                }
                let answer = wire.answer()?;
                self.wire = Some(wire);
                let idle = self.take(cursor, sent, wait, &answer, books)?;
                let waited = Duration::from_micros(self.world.now() - sent);
                if idle && waited + WAIT_SLACK < wait {
                    return wrong(format!("a poll that waits {wait:?} was ended without messages after {waited:?}"));
                }
            }
            Way::Slow => self.poll_slowly(cursor, wait, random, books)?,
            Way::CutBefore(reset) | Way::CutWithin(reset) => {
                let request = self.poll_request(cursor, wait, random, "");
                let mut wire = self.wire()?;
                wire.send(&request)?;
                if let Way::CutWithin(_) = way {
                    wire.nibble(1 + random.below(600))?;
                } else {
                    thread::sleep(Duration::from_micros(random.below(3000) as u64));
                }
                self.cut = self.world.now();
                if !reset {
                    wire.close();
                }
            }
            Way::HalfClosed => {
                let request = self.poll_request(cursor, wait, random, "");
                let mut wire = self.wire()?;
                wire.send(&request)?;
                wire.half_close()?;
                let answer = wire.last_answer("HTTP/1.1 ")?;
                self.take(cursor, sent, Duration::ZERO, &answer, books)?;
            }
            Way::Pipelined => {
                let mut requests = self.poll_request(cursor, wait, random, "");
                requests.extend(self.poll_request(cursor, Duration::ZERO, random, ""));
                let mut wire = self.wire()?;
                wire.send(&requests)?;
                for _ in 0..2 {
                    let answer = wire.answer()?;
                    self.take(cursor, sent, Duration::ZERO, &answer, books)?;
                }
                self.wire = Some(wire);
            }
            Way::Elsewhere => self.poll_twice(cursor, wait, random, books)?,
            Way::Old | Way::Last => {
                let (form, version) = if way == Way::Old { ("old", "HTTP/1.0 ") } else { ("last", "HTTP/1.1 ") };
                let request = self.poll_request(cursor, wait, random, form);
                let mut wire = Wire::open(self.world.server, place)?;
                wire.send(&request)?;
                let answer = wire.last_answer(version)?;
                self.take(cursor, sent, wait, &answer, books)?;
            }
        }
        Ok(())
    }

    /// On a connection that takes little at a time.
    fn poll_slowly(&mut self, cursor: Option<u64>, wait: Duration, random: &mut Random, books: &mut Books) -> Done {
        let (sent, place) = (self.world.now(), self.actor as usize);
        let request = self.poll_request(cursor, wait, random, "");
        let mut wire = Wire::open_narrow(self.world.server, place)?;
        wire.send(&request)?;
        // An answer of some size takes minutes that way, so it is cut after a few pieces.
        let cut = self.world.now() + micros(SLOW_TIME_MAX);
        while !wire.has_answer()? && self.world.now() < cut {
            wire.nibble(1 + random.below(2000))?;
            thread::sleep(Duration::from_millis(random.below(20) as u64));
        }
        if wire.has_answer()? {
            let answer = wire.answer()?;
            self.take(cursor, sent, wait, &answer, books)?;
        } else {
            books.count("polls cut since they took too long");
            self.cut = self.world.now();
        }
        Ok(())
    }

    /// Here and, before that is answered, elsewhere.
    fn poll_twice(&mut self, cursor: Option<u64>, wait: Duration, random: &mut Random, books: &mut Books) -> Done {
        let (sent, place) = (self.world.now(), self.actor as usize);
        let (mut here, mut there) = (self.wire()?, Wire::open(self.world.server, place + 1)?);
        let (first, second) = (
            self.poll_request(cursor, Duration::from_secs(1), random, ""),
            self.poll_request(cursor, wait, random, ""),
        );
        here.send(&first)?;
        self.cut = self.world.now();
        there.send(&second)?;
        let mut answers = [here.answer()?, there.answer()?];
        // Either may have been served first: the one that begins lower, if something was dropped in between.
        answers.sort_by_key(|answer| Page::read(&answer.body).map_or(0, |page| page.begin()));
        for answer in &answers {
            self.take(cursor, sent, Duration::ZERO, answer, books)?;
        }
        self.wire = Some(here);
        Ok(())
    }

    /// A cursor that no message has reached.
    pub(in super::super) fn poll_too_high(&mut self, random: &mut Random, books: &mut Books) -> Done {
        books.count("cursors too high");
        // It may hold more than has been read, but never so much.
        let request = self.poll_request(Some(u64::MAX - random.below(9) as u64), Duration::ZERO, random, "");
        let answer = self.call(&request)?;
        if answer.status == 400 { Ok(()) } else { Err(answer.unexpected("a cursor that is too high").into()) }
    }
}
