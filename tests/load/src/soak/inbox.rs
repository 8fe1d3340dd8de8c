//! A session's mailbox as its client must see it: numbers, cursors, gaps and repeats, checked at every answer.
//!
//! An answer to a poll begins behind what is acknowledged, or behind the poll's own cursor if that is higher: its last
//! number less its messages less its gap says where. A poll that was cut may have acknowledged its cursor or not, and may
//! do so late; until a later one settles it, both are right.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use serde_json::value::RawValue;

/// One message of an answer.
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) event: u64,
    pub(super) data: &'a str,
    raw: &'a str,
}

/// An answer to a poll.
pub(super) struct Page<'a> {
    pub(super) cursor: u64,
    pub(super) gap: u64,
    pub(super) superseded: bool,
    pub(super) messages: Vec<Message<'a>>,
}

impl<'a> Page<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, String> {
        Self::parse(body).ok_or_else(|| format!("not an answer to a poll: {:.300}", String::from_utf8_lossy(body)))
    }

    fn parse(body: &'a [u8]) -> Option<Self> {
        let fields: HashMap<&str, &'a RawValue> = serde_json::from_slice(body).ok()?;
        let number = |name: &str| fields.get(name).map_or(Some(0), |value| value.get().parse::<u64>().ok());
        let messages: Vec<&'a RawValue> = serde_json::from_str(fields.get("messages")?.get()).ok()?;
        Some(Self {
            cursor: fields.get("cursor")?.get().parse().ok()?,
            gap: number("gap")?,
            superseded: fields.get("superseded").is_some_and(|value| value.get() == "true"),
            messages: messages.into_iter().map(|raw| Message::parse(raw.get())).collect::<Option<_>>()?,
        })
    }

    /// What the first message is behind.
    pub(super) fn begin(&self) -> u64 {
        self.cursor.saturating_sub(self.messages.len() as u64)
    }

    /// What the messages weigh.
    fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.raw.len()).sum()
    }
}

impl<'a> Message<'a> {
    fn parse(raw: &'a str) -> Option<Self> {
        let fields: HashMap<&str, &'a RawValue> = serde_json::from_str(raw).ok()?;
        let text = |name: &str| fields.get(name)?.get().strip_prefix('"')?.strip_suffix('"');
        Some(Self { topic: text("topic")?, event: text("event")?.parse().ok()?, data: fields.get("data")?.get(), raw })
    }
}

/// The server's bounds that an answer is held to.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) mailbox_messages: usize,
    pub(super) mailbox_bytes: usize,
    pub(super) response_messages: usize,
    /// No message is larger.
    pub(super) message_bytes: usize,
}

pub(super) struct Inbox {
    bounds: Bounds,
    hasher: RandomState,
    /// The highest number received, or told to be gone.
    pub(super) newest: u64,
    /// Cursors that the server may have been brought; at least the lowest it has.
    acknowledged: BTreeSet<u64>,
    /// Number and hash of what may come again.
    kept: VecDeque<(u64, u64)>,
}

/// What an answer brought that is new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fresh {
    /// So many of the messages at the end are new.
    pub(super) messages: usize,
    /// First and last number of those that were dropped unseen.
    pub(super) gap: Option<(u64, u64)>,
    /// How many had been seen before.
    pub(super) repeated: usize,
    /// Nothing was left behind for the next answer.
    pub(super) whole: bool,
}

impl Inbox {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, hasher: RandomState::new(), newest: 0, acknowledged: [0].into(), kept: VecDeque::new() }
    }

    /// The highest cursor that was sent so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.last().copied().unwrap_or(0)
    }

    /// A poll with this cursor is being sent.
    pub(super) fn ask(&mut self, cursor: Option<u64>) {
        self.acknowledged.extend(cursor);
    }

    /// Checks the answer to a poll that was sent with this cursor.
    pub(super) fn take(&mut self, asked: Option<u64>, page: &Page<'_>) -> Result<Fresh, String> {
        let count = page.messages.len();
        let Some(base) = page.cursor.checked_sub(count as u64 + page.gap) else {
            return Err(format!("cursor {}, gap {} and {count} messages do not fit", page.cursor, page.gap));
        };
        let asked = asked.unwrap_or(0);
        if !self.acknowledged.iter().any(|cursor| asked.max(*cursor) == base) {
            let known = &self.acknowledged;
            return Err(format!("a poll from {asked} was answered from {base}; acknowledged is one of {known:?}"));
        }
        // Acknowledged is at least this now: lower ones are out of the question.
        self.acknowledged.retain(|cursor| *cursor > base);
        self.acknowledged.insert(base);
        while self.kept.front().is_some_and(|(number, _)| *number <= base) {
            self.kept.pop_front();
        }
        let full = count >= self.bounds.mailbox_messages || count >= self.bounds.response_messages;
        if page.gap > 0 && !full && page.bytes() + self.bounds.message_bytes < self.bounds.mailbox_bytes {
            return Err(format!("a gap of {} in a mailbox of {count} messages, {} bytes", page.gap, page.bytes()));
        }
        let mut fresh = Fresh { whole: count < self.bounds.response_messages, ..Fresh::default() };
        let first = base + page.gap + 1;
        if first > self.newest + 1 {
            if page.gap == 0 {
                return Err(format!("number {first} follows {} without a gap", self.newest));
            }
            fresh.gap = Some((self.newest + 1, first - 1));
            self.newest = first - 1;
        }
        for (number, message) in (first..).zip(&page.messages) {
            let hash = self.hasher.hash_one(message.raw);
            if number == self.newest + 1 {
                self.newest = number;
                self.kept.push_back((number, hash));
                fresh.messages += 1;
            } else {
                self.repeat(number, hash)?;
                fresh.repeated += 1;
            }
        }
        Ok(fresh)
    }

    fn repeat(&self, number: u64, hash: u64) -> Result<(), String> {
        let place = self.kept.binary_search_by_key(&number, |(number, _)| *number);
        match place.map(|place| self.kept[place].1 == hash) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("message {number} came again with other bytes")),
            Err(_) => Err(format!("message {number} came again after it was acknowledged or dropped")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { mailbox_messages: 100, mailbox_bytes: 400, response_messages: 100, message_bytes: 100 };

    fn answer(cursor: u64, gap: u64, events: &[u64]) -> String {
        let message = |event: &u64| format!(r#"{{"topic":"a.b","from":null,"event":"{event}","data":"{event:0>60}"}}"#);
        let messages = events.iter().map(message).collect::<Vec<_>>().join(",");
        format!(r#"{{"cursor":{cursor},"messages":[{messages}],"gap":{gap}}}"#)
    }

    fn take(inbox: &mut Inbox, asked: Option<u64>, answer: &str) -> Result<Fresh, String> {
        inbox.ask(asked);
        inbox.take(asked, &Page::read(answer.as_bytes()).unwrap())
    }

    fn fresh(messages: usize, repeated: usize) -> Fresh {
        Fresh { messages, gap: None, repeated, whole: true }
    }

    #[test]
    fn what_was_not_acknowledged_comes_again_with_the_same_bytes() {
        let mut inbox = Inbox::new(BOUNDS);
        assert_eq!(take(&mut inbox, Some(0), &answer(2, 0, &[11, 12])), Ok(fresh(2, 0)));
        assert_eq!(take(&mut inbox, None, &answer(3, 0, &[11, 12, 13])), Ok(fresh(1, 2)));
        assert!(take(&mut inbox, None, &answer(3, 0, &[11, 12, 14])).unwrap_err().contains("other bytes"));
        assert_eq!(take(&mut inbox, Some(3), &answer(3, 0, &[])), Ok(fresh(0, 0)));
        assert!(take(&mut inbox, None, &answer(3, 0, &[11, 12, 13])).is_err(), "acknowledged");
    }

    #[test]
    fn a_number_is_not_skipped_without_a_gap_and_a_gap_needs_a_full_mailbox() {
        let mut inbox = Inbox::new(BOUNDS);
        assert!(take(&mut inbox, Some(0), &answer(3, 0, &[11, 12])).is_err());
        assert!(take(&mut inbox, Some(0), &answer(3, 1, &[11, 12])).unwrap_err().contains("a gap of 1"));
        let full = answer(7, 3, &[14, 15, 16, 17]);
        let expected = Fresh { messages: 4, gap: Some((1, 3)), repeated: 0, whole: true };
        assert_eq!(take(&mut inbox, Some(0), &full), Ok(expected));
    }

    #[test]
    fn a_poll_that_was_cut_may_have_acknowledged_or_not_until_a_later_one_settles_it() {
        let mut inbox = Inbox::new(BOUNDS);
        take(&mut inbox, Some(0), &answer(2, 0, &[11, 12])).unwrap();
        inbox.ask(Some(2));
        assert_eq!(take(&mut inbox, None, &answer(2, 0, &[11, 12])), Ok(fresh(0, 2)), "not yet");
        assert_eq!(take(&mut inbox, None, &answer(2, 0, &[])), Ok(fresh(0, 0)), "it has come in");
        assert!(take(&mut inbox, None, &answer(2, 0, &[11, 12])).is_err(), "and that is settled");
    }
}
