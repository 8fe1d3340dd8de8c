//! One recording, within bounds. Lanes append whole lines; whoever fetches the trace gets what is there by then. It ends by
//! itself when it has what was asked for, when there is no room and when its time is over; it never makes an event wait for
//! room.
//!
//! Its lock is held while a line is rendered, and a session's slot is locked under it to learn a name: lanes of a plugin that
//! is recorded wait for each other there.

use super::answer::Fault;
use super::line::{End, EventLine, FellBack, Header, Line, VersionLine, Why};
use super::redact::{Redacted, Redaction};
use super::text::Data;
use crate::clock;
use crate::limits::Limits;
use crate::pid::Pid;
use crate::topic::{Pattern, Topic};
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Lines are kept in pieces of so many bytes, so that fetching a trace copies little while lanes wait.
const CHUNK_BYTES: usize = 64 << 10;
/// What is remembered of a PID whose name was said, of a topic, of one in its list of subscribers, and of a version: about,
/// and besides names and configs.
const NAMED_BYTES: usize = 48;
const TOPIC_BYTES: usize = 96;
const LISTED_BYTES: usize = 8;
const VERSION_BYTES: usize = 192;

/// Recordings are told apart by number: one that ends must not end the one that came after it.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How a recording does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Whose.
    pub plugin: String,
    /// Whether it goes on.
    pub state: State,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How many events it has.
    pub events: u64,
    /// Of how many.
    pub events_max: u64,
    /// Bytes of its lines, and of what is remembered for further ones.
    pub bytes: u64,
    /// How many events were to be kept, and could not.
    pub left_out: u64,
    /// The share of the events that it takes.
    pub sample: f64,
    /// Of which topics; none for all.
    pub topics: Option<String>,
    /// What is taken out.
    pub redacted: Vec<Redacted>,
}

/// Whether a recording goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Recording,
    /// It has ended, and waits to be fetched and removed.
    Ended,
}

/// A rule as it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// `sha256:…` of the component.
    pub sha256: String,
    /// What the rule says it is.
    pub release: Option<String>,
    /// What `init` got, as JSON.
    pub config: String,
}

/// One recording.
pub struct Recording {
    number: u64,
    plugin: String,
    limits: Arc<Limits>,
    room: Arc<AtomicU64>,
    /// The number of the one that goes on, or zero.
    goes_on: Arc<AtomicU64>,
    began_ms: u64,
    ends_at_ms: u64,
    events_max: u64,
    sample: f64,
    topics: Option<Pattern>,
    topics_words: Option<String>,
    left_out: AtomicU64,
    written: Mutex<Written>,
}

struct Written {
    chunks: Vec<Bytes>,
    tail: Vec<u8>,
    bytes: u64,
    events: u64,
    over: Option<Why>,
    redaction: Redaction,
    versions: Vec<By>,
    /// Who was named, and who the trace said last was subscribed, by the names that topics have in it.
    named: HashSet<Pid>,
    subscribers: HashMap<String, Vec<Pid>>,
}

impl Recording {
    /// Of events on these topics, with the header as its first line. `place` is the bounds, what all recordings take, and
    /// the number of the one that goes on. None without room.
    pub(super) fn new(
        mut header: Header,
        events_max: u64,
        topics: Option<Pattern>,
        redaction: Redaction,
        place: (Arc<Limits>, Arc<AtomicU64>, Arc<AtomicU64>),
    ) -> Option<Self> {
        let topics_words = header.topics.clone();
        redaction.header(&mut header);
        let written = Written {
            chunks: Vec::new(),
            tail: Vec::new(),
            bytes: 0,
            events: 0,
            over: None,
            redaction,
            versions: Vec::new(),
            named: HashSet::new(),
            subscribers: HashMap::new(),
        };
        let (limits, room, goes_on) = place;
        let recording = Self {
            number: NUMBERS.fetch_add(1, Relaxed),
            plugin: header.plugin.clone(),
            began_ms: header.began_ms,
            ends_at_ms: clock::now_ms().saturating_add(limits.record_ms_max),
            limits,
            room,
            goes_on,
            events_max,
            sample: header.sample,
            topics,
            topics_words,
            left_out: AtomicU64::new(0),
            written: Mutex::new(written),
        };
        let fits = recording.append(&mut recording.written.lock(), &Line::Header(header).render(), 0);
        fits.then_some(recording)
    }

    /// Lanes have to ask from now on.
    pub(super) fn begin(&self) {
        self.goes_on.store(self.number, Relaxed);
    }

    pub(super) fn wants(&self, topic: &Topic) -> bool {
        if self.has_lasted() {
            self.end(&mut self.written.lock(), Why::Time);
            return false;
        }
        self.topics.as_ref().is_none_or(|topics| topics.matches(topic))
            && (self.sample >= 1.0 || rand::random_bool(self.sample))
    }

    #[cfg(test)]
    pub(super) fn end_late(&self) {
        self.end(&mut self.written.lock(), Why::Time);
    }

    fn has_lasted(&self) -> bool {
        clock::now_ms() >= self.ends_at_ms
    }

    /// As it is now: its time ends it, whether an event comes or not.
    fn looked_at(&self) -> MutexGuard<'_, Written> {
        let mut written = self.written.lock();
        if self.has_lasted() {
            self.end(&mut written, Why::Time);
        }
        written
    }

    pub(super) fn status(&self) -> Status {
        let written = self.looked_at();
        Status {
            plugin: self.plugin.clone(),
            state: if written.over.is_none() { State::Recording } else { State::Ended },
            why: written.over.map(|why| why.to_string()),
            began_ms: self.began_ms,
            events: written.events,
            events_max: self.events_max,
            bytes: written.bytes,
            left_out: self.left_out.load(Relaxed),
            sample: self.sample,
            topics: self.topics_words.clone(),
            redacted: written.redaction.kinds(),
        }
    }

    /// Beyond the first so many bytes.
    pub(super) fn lines(&self, from: u64) -> Vec<Bytes> {
        let written = self.looked_at();
        let (mut lines, mut from) = (Vec::new(), from as usize);
        for chunk in &written.chunks {
            if from < chunk.len() {
                lines.push(chunk.slice(from..));
            }
            from = from.saturating_sub(chunk.len());
        }
        lines.push(written.tail.get(from..).unwrap_or_default().to_vec().into());
        lines
    }

    /// An event of the plugin could not be kept whole.
    pub fn leave_out(&self) {
        self.left_out.fetch_add(1, Relaxed);
    }

    /// An event was routed. The line names all subscribers that it needs to, and no users: `name_of` knows the names of
    /// sessions that live.
    pub fn keep(
        &self,
        mut line: EventLine,
        by: &By,
        fell_back: Option<(&By, Fault)>,
        name_of: impl Fn(Pid) -> Option<Option<String>>,
    ) {
        let mut written = self.written.lock();
        if written.over.is_some() {
            return;
        }
        let (mut text, remembered_before) = (Vec::new(), written.remembered());
        line.by = written.version(by, &mut text);
        line.fell_back = fell_back.map(|(by, fault)| FellBack { by: written.version(by, &mut text), fault });
        let unnamed = line.pids().filter(|pid| !written.named.contains(pid));
        line.users = unnamed.collect::<HashSet<_>>().into_iter().filter_map(|pid| Some((pid, name_of(pid)?))).collect();
        if let Some(sender) = line.sender.filter(|sender| !written.named.contains(sender)) {
            line.users.entry(sender).or_insert_with(|| line.user.clone());
        }
        written.redaction.event(&mut line);
        line.subscribers.retain(|topic, pids| written.subscribers.get(topic) != Some(pids));
        let of_topic = |(topic, pids): (&String, &Vec<Pid>)| TOPIC_BYTES + topic.len() + LISTED_BYTES * pids.len();
        let listed: usize = line.subscribers.iter().map(of_topic).sum();
        let remembered = written.remembered() - remembered_before + NAMED_BYTES * line.users.len() + listed;
        let line = Line::Event(line);
        text.extend(line.render());
        let Line::Event(line) = line else { return };
        if !self.append(&mut written, &text, remembered) {
            self.leave_out();
            return self.end(&mut written, Why::Bytes);
        }
        written.named.extend(line.users.into_keys());
        written.subscribers.extend(line.subscribers);
        written.events += 1;
        if written.events >= self.events_max {
            self.end(&mut written, Why::Events);
        }
    }

    /// Whether there was room.
    fn append(&self, written: &mut Written, text: &[u8], remembered: usize) -> bool {
        let bytes = (text.len() + remembered) as u64;
        if self.room.fetch_add(bytes, Relaxed).saturating_add(bytes) > self.limits.record_bytes_max {
            self.room.fetch_sub(bytes, Relaxed);
            return false;
        }
        written.bytes += bytes;
        written.tail.extend_from_slice(text);
        if written.tail.len() >= CHUNK_BYTES {
            // As large as what is in it, and no larger.
            let chunk = std::mem::take(&mut written.tail).into_boxed_slice();
            written.chunks.push(chunk.into());
        }
        true
    }

    /// Nobody will fetch it.
    pub(super) fn forget(&self) {
        self.written.lock().over.get_or_insert(Why::Events);
        self.goes_on_no_more();
    }

    /// Lanes need not ask any more, unless it is for another one that came after this.
    fn goes_on_no_more(&self) {
        let _ = self.goes_on.compare_exchange(self.number, 0, Relaxed, Relaxed);
    }

    fn end(&self, written: &mut Written, why: Why) {
        if written.over.is_none() {
            written.over = Some(why);
            let end = End { end: why, events: written.events, left_out: self.left_out.load(Relaxed) };
            // The one line that needs no room.
            written.tail.extend(Line::End(end).render());
        }
        self.goes_on_no_more();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.room.fetch_sub(self.written.get_mut().bytes, Relaxed);
    }
}

impl Written {
    /// What versions and pseudonyms take that it knows by now: bytes, about.
    fn remembered(&self) -> usize {
        let versions = self.versions.iter().map(|by| VERSION_BYTES + by.config.len());
        self.redaction.bytes() + versions.sum::<usize>()
    }

    /// What the trace calls a version; one that is new to it is described first.
    fn version(&mut self, by: &By, text: &mut Vec<u8>) -> u32 {
        if let Some(at) = self.versions.iter().position(|known| known == by) {
            return at as u32 + 1;
        }
        self.versions.push(by.clone());
        let version = self.versions.len() as u32;
        let By { sha256, release, config } = by.clone();
        let mut line = VersionLine { version, sha256, release, config: Data::json(&config) };
        self.redaction.version(&mut line);
        text.extend(Line::Version(line).render());
        version
    }
}
