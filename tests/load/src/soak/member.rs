//! One session as its client drives it: opens, joins, leaves and ends, checks every answer at once, and notes its stays.

mod polling;

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::books::{Books, Micros, NEVER, Receipt, Stay};
use super::inbox::{Inbox, Page};
use super::stamp::Stamp;
use super::wire::{Answer, Wire};
use super::world::{Kind, World};

/// The server's clock for lingering is coarse: it stands still while its thread has no core.
const LINGER_SLACK: Duration = Duration::from_millis(250);
/// A parked poll is answered this soon after a publish was.
const WAKE_SLACK: Duration = Duration::from_millis(500);
/// A poll that was cut may be served this much later, and end the one that waits by then.
const CUT_EFFECT: Duration = Duration::from_secs(5);
/// Between two tries of what a full lane turned away.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// Why a step did not come to its end.
pub(super) enum Trouble {
    /// The session's linger time is over.
    Gone,
    /// Something is not as it should be.
    Wrong(String),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Wrong(format!("{error:#}"))
    }
}

pub(super) use polling::Way;

pub(super) type Done<T = ()> = Result<T, Trouble>;

pub(super) fn wrong<T>(words: impl Into<String>) -> Done<T> {
    Err(Trouble::Wrong(words.into()))
}

/// What an answer to a poll was.
struct Taken {
    /// The mailbox was read to its end.
    whole: bool,
    /// There was nothing, and nobody else polled.
    idle: bool,
    /// Some messages are gone.
    dropped: bool,
}

/// A message that a rule made up itself, by its event.
type Said = (u64, Value);

pub(super) struct Member<'w> {
    world: &'w World,
    actor: u32,
    pub(super) id: u32,
    token: String,
    /// The number that rules know it by.
    pub(super) pid: u64,
    inbox: Inbox,
    wire: Option<Wire>,
    /// When the last request was sent that the server has surely seen.
    heard: Micros,
    /// When a poll was last left to itself.
    cut: Micros,
    read_to: Micros,
    /// The probe answers to it, on whatever topic.
    asks: bool,
    /// Topics with a join or a leave that was cut.
    unsure: Vec<usize>,
    pub(super) stays: Vec<Stay>,
}

impl<'w> Member<'w> {
    /// Opens a session that joins these topics; none when a lane was full or the answer was not waited for.
    pub(super) fn open(
        world: &'w World,
        actor: u32,
        topics: &[usize],
        cut: bool,
        books: &mut Books,
    ) -> Done<Option<Self>> {
        let names: Vec<&str> = topics.iter().map(|topic| world.topics[*topic].name.as_str()).collect();
        // Some share a user.
        let user = if actor.is_multiple_of(3) { format!(r#""user":"u{}","#, actor % 30) } else { String::new() };
        let request = post("/v1/sessions", "", &format!(r#"{{{user}"topics":{}}}"#, Value::from(names)));
        let mut wire = Wire::open(world.server, actor as usize)?;
        let sent = world.now();
        let id = world.next_session();
        wire.send(&request)?;
        let mut stays: Vec<Stay> = topics.iter().map(|topic| Stay::begin(id, *topic, sent)).collect();
        if cut {
            books.count("sessions cut while opening");
            drop(wire);
            // If it was opened, it lingers until nobody asks for it.
            let gone = world.now() + micros(world.linger + CUT_EFFECT);
            for stay in &mut stays {
                stay.left = gone;
            }
            books.stays.extend(stays);
            return Ok(None);
        }
        let answer = wire.answer()?;
        let now = world.now();
        match answer.status {
            201 => {}
            // It takes longer than the linger time to join when a lane is held up.
            410 if Duration::from_micros(now - sent) > world.linger => {
                books.count("sessions that lingered out while opening");
                for stay in &mut stays {
                    stay.left = now;
                }
                books.stays.extend(stays);
                return Ok(None);
            }
            status if status == 503 || answer.is_starved() => {
                books.count("sessions refused by a full lane");
                for stay in &mut stays {
                    stay.left = now;
                }
                books.stays.extend(stays);
                return Ok(None);
            }
            _ => return Err(answer.unexpected("opening a session").into()),
        }
        books.count("sessions");
        let opened: Value = serde_json::from_slice(&answer.body).map_err(anyhow::Error::from)?;
        let (Some(token), Some(pid)) = (opened["session"].as_str(), opened["pid"].as_str().and_then(pid_number)) else {
            return wrong(format!("a session without token or PID: {opened}"));
        };
        for stay in &mut stays {
            stay.joined = now;
        }
        Ok(Some(Self {
            world,
            actor,
            id,
            token: token.to_owned(),
            pid,
            inbox: Inbox::new(world.bounds),
            wire: Some(wire),
            heard: sent,
            cut: 0,
            read_to: 0,
            asks: false,
            unsure: Vec::new(),
            stays,
        }))
    }

    pub(super) fn header(&self) -> String {
        format!("Volley-Session: {}\r\n", self.token)
    }

    fn wire(&mut self) -> Done<Wire> {
        match self.wire.take() {
            Some(wire) => Ok(wire),
            None => Ok(Wire::open(self.world.server, self.actor as usize)?),
        }
    }

    /// Sends a request and waits for its answer. A 410 before the linger time is over is a finding.
    pub(super) fn call(&mut self, request: &[u8]) -> Done<Answer> {
        let sent = self.world.now();
        let mut wire = self.wire()?;
        wire.send(request)?;
        let answer = wire.answer()?;
        self.wire = Some(wire);
        self.hear(sent, &answer)?;
        Ok(answer)
    }

    /// The same until a lane has room for it.
    fn insist(&mut self, request: &[u8], books: &mut Books) -> Done {
        loop {
            let answer = self.call(request)?;
            match answer.status {
                204 => return Ok(()),
                status if status == 503 || answer.is_starved() => {
                    books.count("joins and leaves refused by a full lane");
                    thread::sleep(TRY_AGAIN);
                }
                _ => return Err(answer.unexpected("a join or a leave").into()),
            }
        }
    }

    pub(super) fn hear(&mut self, sent: Micros, answer: &Answer) -> Done {
        if answer.status != 410 {
            self.heard = self.heard.max(sent);
            return Ok(());
        }
        let silent = Duration::from_micros(self.world.now() - self.heard);
        if silent + LINGER_SLACK < self.world.linger {
            return wrong(format!("session {} is gone {silent:?} after its last request", self.id));
        }
        Err(Trouble::Gone)
    }

    /// Joins; if `cut`, the answer to the first try is not waited for.
    pub(super) fn join(&mut self, topic: usize, cut: bool, books: &mut Books) -> Done {
        if self.stays.iter().any(|stay| stay.topic == topic && !stay.complete) || self.unsure.contains(&topic) {
            return Ok(());
        }
        let request = self.subscription("PUT", topic);
        self.stays.push(Stay::begin(self.id, topic, self.world.now()));
        if cut {
            books.count("joins cut");
            self.send_and_cut(topic, &request)?;
        }
        self.insist(&request, books)?;
        books.count("joins");
        let now = self.world.now();
        self.stays.last_mut().expect("just begun").joined = now;
        Ok(())
    }

    /// Leaves, if it is there.
    pub(super) fn leave(&mut self, topic: usize, cut: bool, books: &mut Books) -> Done {
        let Some(place) = self.stays.iter().position(|stay| stay.topic == topic && stay.left == NEVER) else {
            return Ok(());
        };
        if self.unsure.contains(&topic) {
            return Ok(());
        }
        let request = self.subscription("DELETE", topic);
        self.stays[place].leave_sent = self.world.now();
        if cut {
            books.count("leaves cut");
            self.send_and_cut(topic, &request)?;
        }
        self.insist(&request, books)?;
        books.count("leaves");
        self.stays[place].left = self.world.now();
        Ok(())
    }

    /// What is cut may come in late, and would undo what is done on the topic after it: so nothing is.
    fn send_and_cut(&mut self, topic: usize, request: &[u8]) -> Done {
        self.unsure.push(topic);
        let mut wire = Wire::open(self.world.server, self.actor as usize)?;
        wire.send(request)?;
        thread::sleep(Duration::from_micros(u64::from(self.id) % 2000));
        Ok(())
    }

    fn subscription(&self, method: &str, topic: usize) -> Vec<u8> {
        let (name, header) = (&self.world.topics[topic].name, self.header());
        format!("{method} /v1/topics/{name}/subscription HTTP/1.1\r\nHost: soak\r\n{header}\r\n").into_bytes()
    }

    /// On which topics it is.
    pub(super) fn topics(&self) -> Vec<usize> {
        self.stays.iter().filter(|stay| stay.left == NEVER).map(|stay| stay.topic).collect()
    }

    /// Reads the mailbox to its end, and returns what rules have said, and whether there was a gap.
    pub(super) fn drain(&mut self, books: &mut Books) -> Done<(Vec<Said>, bool)> {
        let (mut said, mut dropped) = (Vec::new(), false);
        loop {
            let cursor = Some(self.inbox.newest);
            self.inbox.ask(cursor);
            let (cursor_text, header) = (self.inbox.newest, self.header());
            let request =
                format!("GET /v1/poll?wait=0&cursor={cursor_text} HTTP/1.1\r\nHost: soak\r\n{header}\r\n").into_bytes();
            let sent = self.world.now();
            let answer = self.call(&request)?;
            let taken = self.take_all(cursor, sent, Duration::ZERO, &answer, &mut said, books)?;
            dropped |= taken.dropped;
            if taken.whole {
                return Ok((said, dropped));
            }
        }
    }

    /// Checks and notes an answer; whether it had nothing, because its time was over.
    fn take(
        &mut self,
        asked: Option<u64>,
        sent: Micros,
        wait: Duration,
        answer: &Answer,
        books: &mut Books,
    ) -> Done<bool> {
        self.hear(sent, answer)?;
        Ok(self.take_all(asked, sent, wait, answer, &mut Vec::new(), books)?.idle)
    }

    /// Checks and notes an answer, and gathers what rules have said.
    fn take_all(
        &mut self,
        asked: Option<u64>,
        sent: Micros,
        wait: Duration,
        answer: &Answer,
        said: &mut Vec<Said>,
        books: &mut Books,
    ) -> Done<Taken> {
        if answer.status != 200 {
            return Err(answer.unexpected("a poll").into());
        }
        let page = Page::read(&answer.body).map_err(Trouble::Wrong)?;
        let first_new = self.inbox.newest + 1;
        let fresh = self.inbox.take(asked, &page).map_err(|words| self.wrong(&words))?;
        books.add("messages repeated", fresh.repeated as u64);
        if page.superseded {
            books.count("polls ended as superseded");
            if self.cut == 0 || sent > self.cut + micros(CUT_EFFECT) {
                return Err(self.wrong("a poll was superseded, and nobody else had polled"));
            }
        }
        if let Some((first, last)) = fresh.gap {
            books.add("messages in gaps", last + 1 - first);
            for stay in self.stays.iter_mut().filter(|stay| !stay.complete) {
                stay.gaps.push((first, last));
            }
        }
        let first = fresh.gap.map_or(first_new, |(_, last)| last + 1);
        let messages = &page.messages[fresh.repeated..];
        for (number, message) in (first..).zip(messages) {
            self.file(number, message, said, books)?;
        }
        if fresh.whole && !page.superseded {
            let parked_to = sent + micros(wait.saturating_sub(WAKE_SLACK));
            let surely = if page.messages.is_empty() { sent.max(parked_to) } else { sent };
            self.read_to = self.read_to.max(surely);
            for stay in self.stays.iter_mut().filter(|stay| stay.left < sent) {
                stay.complete = true;
            }
        }
        let idle = page.messages.is_empty() && !page.superseded;
        Ok(Taken { whole: fresh.whole, idle, dropped: fresh.gap.is_some() })
    }

    fn file(
        &mut self,
        number: u64,
        message: &super::inbox::Message<'_>,
        said: &mut Vec<Said>,
        books: &mut Books,
    ) -> Done {
        let Some(topic) = self.world.topics.iter().position(|topic| topic.name == message.topic) else {
            return Err(self.wrong(&format!("a message of the topic {}, which nobody uses", message.topic)));
        };
        let stamp = Stamp::read(message.data).map_err(|words| self.wrong(&words))?;
        let stay = self.stays.iter_mut().rev().find(|stay| stay.topic == topic && !stay.complete);
        let Some(stamp) = stamp else {
            books.count("messages that rules made up");
            let kind = self.world.topics[topic].kind;
            let asked = kind == Kind::Probe && self.asks;
            let known = match kind {
                Kind::Plain | Kind::Burst => false,
                Kind::Probe => message.data.starts_with("{\"ok\":") || message.data.starts_with("{\"error\":"),
                Kind::Chat => {
                    ["{\"welcome\":", "{\"joined\":", "{\"left\":"].iter().any(|s| message.data.starts_with(s))
                }
            };
            if !known || (stay.is_none() && !asked) {
                return Err(self.wrong(&format!("on {}: {:.200}", message.topic, message.data)));
            }
            said.push((message.event, serde_json::from_str(message.data).map_err(anyhow::Error::from)?));
            return Ok(());
        };
        books.count("messages received");
        let Some(stay) = stay else {
            return Err(self.wrong(&format!("message {number} of {}, where it is not: {stamp:?}", message.topic)));
        };
        if stamp.round != self.world.round {
            return Err(self.wrong(&format!("message {number} is of another round: {stamp:?}")));
        }
        let (key, event) = (stamp.key(), message.event);
        stay.receipts.push(Receipt { number, key, event, read_to: self.read_to });
        Ok(())
    }

    fn wrong(&self, words: &str) -> Trouble {
        Trouble::Wrong(format!("session {}: {words}", self.id))
    }

    /// What it publishes to the probe from now on may be answered.
    pub(super) fn asks(&mut self) {
        self.asks = true;
    }

    /// Waits until the session must have been ended for want of requests, and sees that it was.
    pub(super) fn linger(&mut self, books: &mut Books) -> Done {
        books.count("sessions left to linger");
        self.wire = None;
        thread::sleep(self.world.linger + Duration::from_secs(1));
        let request = format!("DELETE /v1/sessions HTTP/1.1\r\nHost: soak\r\n{}\r\n", self.header());
        let answer = self.call(request.as_bytes())?;
        Err(answer.unexpected("a session that nobody asked for a second longer than linger_ms").into())
    }

    /// Ends the session.
    pub(super) fn end(&mut self, books: &mut Books) -> Done {
        let request = format!("DELETE /v1/sessions HTTP/1.1\r\nHost: soak\r\n{}\r\n", self.header());
        let sent = self.world.now();
        for stay in self.stays.iter_mut().filter(|stay| stay.left == NEVER) {
            stay.leave_sent = stay.leave_sent.min(sent);
        }
        let answer = self.call(request.as_bytes())?;
        if answer.status != 204 {
            return Err(answer.unexpected("the end of a session").into());
        }
        books.count("sessions ended");
        Ok(())
    }

    /// Closes the books of a session that has ended by now, or is left alone.
    pub(super) fn close(mut self, ended: bool, books: &mut Books) {
        let end = if ended { self.world.now() } else { NEVER };
        let alone = self.stays.len() == 1 && !self.asks;
        // A session that lingers out was there for the linger time at least.
        let lingered = self.heard + micros(self.world.linger.saturating_sub(LINGER_SLACK));
        for stay in &mut self.stays {
            stay.left = stay.left.min(end);
            stay.sure_until = if ended { stay.leave_sent.min(lingered) } else { 0 };
            stay.leave_sent = stay.leave_sent.min(self.heard.max(stay.join_sent));
            stay.read_to = self.read_to;
            stay.only = alone && self.world.topics[stay.topic].kind.only_publishes();
        }
        books.stays.append(&mut self.stays);
    }
}

pub(super) fn micros(time: Duration) -> Micros {
    time.as_micros() as Micros
}

pub(super) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// `<NODE.SLOT.GENERATION>` as rules count it.
fn pid_number(text: &str) -> Option<u64> {
    let mut parts = text.strip_prefix('<')?.strip_suffix('>')?.split('.').map(str::parse::<u64>);
    let (node, slot, generation) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(node << 43 | slot << 18 | generation)
}
