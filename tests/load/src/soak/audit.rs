//! Compares what was published with what was received, when a round is over. `soak`'s head has the rules.

use std::collections::{HashMap, HashSet};

use super::books::{Books, Fate, Micros, NEVER, Publish, Receipt, Stay};
use super::world::Topic;

/// So many findings of one topic are told; there may be thousands.
const FINDINGS_MAX: usize = 5;

/// What came of it.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) findings: Vec<String>,
    /// Events whose place in the order of their topic is known.
    pub(super) placed: u64,
    /// Deliveries that were compared with that order.
    pub(super) deliveries: u64,
    /// Deliveries that a gap accounts for.
    pub(super) dropped: u64,
    /// Publishes of which nobody was told, that were delivered to all.
    pub(super) cut_and_delivered: u64,
    /// Counts of recipients that were compared, and those among them for which only one number is right.
    pub(super) counts: u64,
    pub(super) exact_counts: u64,
    /// Timers that were to fire and were not seen to.
    pub(super) silent_timers: Vec<String>,
    /// What could not be compared, since no witness saw it: a starved machine.
    pub(super) unwitnessed: u64,
}

pub(super) fn audit(books: &Books, topics: &[Topic]) -> Verdict {
    let publishes: HashMap<u64, &Publish> = books.publishes.iter().map(|publish| (publish.key, publish)).collect();
    let mut verdict = Verdict::default();
    for (index, topic) in topics.iter().enumerate() {
        let stays: Vec<&Stay> = books.stays.iter().filter(|stay| stay.topic == index).collect();
        let mut audit = Audit { index, topic, publishes: &publishes, line: Line::default(), findings: Vec::new() };
        audit.draw_line(&stays);
        audit.check_order(&mut verdict);
        audit.check_publishes(books.publishes.iter().filter(|publish| publish.topic == index), &mut verdict);
        audit.check_stays(&stays, &mut verdict);
        let found = audit.findings.len();
        verdict.findings.extend(audit.findings.into_iter().take(FINDINGS_MAX));
        if found > FINDINGS_MAX {
            verdict.findings.push(format!("{}: {} more of the kind", topic.name, found - FINDINGS_MAX));
        }
    }
    verdict
}

/// The order of a topic's events, as its witnesses saw it.
#[derive(Default)]
struct Line<'a> {
    /// None where no witness had a place in its mailbox for it.
    places: Vec<Option<(u64, u64)>>,
    place_of: HashMap<u64, usize>,
    /// What was published, by place.
    publishes: Vec<Option<&'a Publish>>,
    /// A witness saw it to its end; all that is not here did not happen.
    whole: bool,
}

struct Audit<'a> {
    index: usize,
    topic: &'a Topic,
    publishes: &'a HashMap<u64, &'a Publish>,
    line: Line<'a>,
    findings: Vec<String>,
}

impl Audit<'_> {
    fn found(&mut self, words: &str) {
        self.findings.push(format!("{}: {words}", self.topic.name));
    }

    /// A number as people can look it up: publisher and count.
    fn named(key: u64) -> String {
        format!("{}/{}", key >> 32, key as u32)
    }

    fn draw_line(&mut self, stays: &[&Stay]) {
        for stay in stays.iter().filter(|stay| stay.witness) {
            let counted = self.topic.kind.only_publishes();
            // Where a rule says things of its own, a gap may hold anything: what is behind it has no known place.
            let usable = if counted { NEVER } else { stay.gaps.first().map_or(NEVER, |(first, _)| *first) };
            let receipts = stay.receipts.iter().take_while(|receipt| receipt.number < usable);
            for (count, receipt) in receipts.enumerate() {
                let place = if counted { receipt.number as usize - 1 } else { count };
                self.place(place, receipt, stay.session);
            }
            self.line.whole |= stay.complete && usable == NEVER;
            let last = stay.gaps.iter().map(|(_, last)| *last as usize).max().unwrap_or(0);
            if counted && last > self.line.places.len() {
                self.line.places.resize(last, None);
            }
        }
        let publish = |place: &Option<(u64, u64)>| self.publishes.get(&place.as_ref()?.0).copied();
        self.line.publishes = self.line.places.iter().map(publish).collect();
    }

    fn place(&mut self, place: usize, receipt: &Receipt, session: u32) {
        if place >= self.line.places.len() {
            self.line.places.resize(place + 1, None);
        }
        let seen = (receipt.key, receipt.event);
        if let Some(other) = self.line.places[place].replace(seen)
            && other != seen
        {
            let words = format!(
                "session {session} got {} as number {} of the topic, another one {}",
                Self::named(seen.0),
                place + 1,
                Self::named(other.0)
            );
            return self.found(&words);
        }
        if self.line.place_of.insert(receipt.key, place).is_some_and(|other| other != place) {
            self.found(&format!(
                "{} was delivered twice to session {session}, as two events",
                Self::named(receipt.key)
            ));
        }
    }

    fn at(&self, place: usize) -> Option<&Publish> {
        self.line.publishes[place]
    }

    /// What was answered before something else was sent stands before it, and the lines of a batch in their order.
    fn check_order(&mut self, verdict: &mut Verdict) {
        let (mut latest_sent, mut latest) = (0, 0);
        let mut batches: HashMap<u64, u64> = HashMap::new();
        for place in 0..self.line.places.len() {
            let Some((key, event)) = self.line.places[place] else { continue };
            verdict.placed += 1;
            let Some(publish) = self.publishes.get(&key).copied() else {
                self.found(&format!("{} was delivered and never published", Self::named(key)));
                continue;
            };
            if publish.topic != self.index {
                self.found(&format!("{} was delivered on another topic", Self::named(key)));
            }
            match publish.fate {
                Fate::Accepted { event: told, .. } if told != event => {
                    let words = format!("{} is event {event}; its publisher was told {told}", Self::named(key));
                    self.found(&words);
                }
                Fate::Never => self.found(&format!("{} was refused and delivered", Self::named(key))),
                Fate::Unknown => verdict.cut_and_delivered += 1,
                Fate::Accepted { .. } | Fate::Owed => {}
            }
            if publish.answered < latest_sent {
                let words = format!(
                    "{} stands behind {}, which was sent only after it was answered",
                    Self::named(key),
                    Self::named(latest)
                );
                self.found(&words);
            }
            if publish.sent > latest_sent {
                (latest_sent, latest) = (publish.sent, key);
            }
            if let Some(batch) = publish.batch
                && batches.insert(batch, key).is_some_and(|before| before > key)
            {
                self.found(&format!("{} stands behind a later line of its batch", Self::named(key)));
            }
        }
    }

    /// All that was accepted has a place.
    fn check_publishes<'p>(&mut self, publishes: impl Iterator<Item = &'p Publish>, verdict: &mut Verdict) {
        let mut holes = self.line.places.iter().filter(|place| place.is_none()).count();
        let mut events = HashSet::new();
        for publish in publishes {
            if let Fate::Accepted { event, .. } = publish.fate
                && !events.insert(event)
            {
                self.found(&format!("event {event} was told to two publishers"));
            }
            let due = matches!(publish.fate, Fate::Accepted { .. } | Fate::Owed);
            if !due || self.line.place_of.contains_key(&publish.key) {
                continue;
            }
            if !self.line.whole {
                verdict.unwitnessed += 1;
            } else if holes > 0 {
                holes -= 1;
                verdict.dropped += 1;
            } else if publish.fate == Fate::Owed {
                verdict.silent_timers.push(format!("{}: {}", self.topic.name, Self::named(publish.key)));
            } else {
                let words = format!("{} was accepted and no witness received it: lost", Self::named(publish.key));
                self.found(&words);
            }
        }
    }

    fn check_stays(&mut self, stays: &[&Stay], verdict: &mut Verdict) {
        let places = self.line.places.len();
        // How many were surely recipients, and how many more may have been, as changes from place to place.
        let (mut surely, mut perhaps) = (vec![0_i64; places + 1], vec![0_i64; places + 1]);
        let note = |list: &mut Vec<i64>, from: usize, to: usize| {
            if from < to {
                list[from] += 1;
                list[to] -= 1;
            }
        };
        for stay in stays {
            let Extent { from, to, earliest, latest_end } = self.check_stay(stay, verdict);
            note(&mut surely, from, to);
            note(&mut perhaps, earliest.min(from), from);
            note(&mut perhaps, to, latest_end.max(to));
        }
        let (mut sure, mut maybe) = (0, 0);
        for place in 0..places {
            sure += surely[place];
            maybe += perhaps[place];
            if let Some(publish) = self.at(place)
                && let Fate::Accepted { recipients, .. } = publish.fate
            {
                verdict.counts += 1;
                verdict.exact_counts += u64::from(maybe == 0);
                let (recipients, key) = (recipients as i64, publish.key);
                if recipients < sure || recipients > sure + maybe {
                    let words = format!(
                        "{} had {recipients} recipients as its publisher was told; {sure} received it, and {maybe} more may have",
                        Self::named(key)
                    );
                    self.found(&words);
                }
            }
        }
    }

    /// Compares what a session received while it stayed with the topic's order.
    fn check_stay(&mut self, stay: &Stay, verdict: &mut Verdict) -> Extent {
        let places = self.line.places.len();
        let due = self.due(stay, stay.leave_sent.min(stay.read_to));
        let mut last: Option<(usize, u64)> = None;
        let (mut first_place, mut unplaced) = (None, 0);
        for receipt in &stay.receipts {
            verdict.deliveries += 1;
            let Some(place) = self.line.place_of.get(&receipt.key).copied() else {
                unplaced += 1;
                self.unplaced(stay, receipt, verdict);
                continue;
            };
            self.check_receipt(stay, receipt);
            // What must stand between this and the one before, or the beginning of what is due.
            let (next, after) =
                last.map_or((due.map_or(place, |(first, _)| first), 0), |(last, number)| (last + 1, number));
            if last.is_some_and(|(last, _)| place <= last) {
                let how = if last.is_some_and(|(last, _)| place == last) { "twice" } else { "out of order" };
                let words = format!("session {} received {} {how}", stay.session, Self::named(receipt.key));
                self.found(&words);
                continue;
            }
            let dropped = stay.dropped_between(after, receipt.number) + unplaced;
            self.check_missing(stay, next..place, dropped, last.is_some(), verdict);
            first_place.get_or_insert(place);
            last = Some((place, receipt.number));
            unplaced = 0;
        }
        let (end, number) = last.map_or((due.map_or(0, |(first, _)| first), 0), |(last, number)| (last + 1, number));
        let due_end = due.map_or(end, |(_, last)| last + 1);
        self.check_missing(stay, end..due_end, stay.dropped_between(number, NEVER) + unplaced, false, verdict);
        self.extent(stay, first_place, last.map(|(last, _)| last), places)
    }

    /// First and last place that was for it for certain: sent when it had joined, and answered before that time.
    fn due(&self, stay: &Stay, until: Micros) -> Option<(usize, usize)> {
        let mut due = None;
        for place in 0..self.line.places.len() {
            if self.at(place).is_some_and(|publish| publish.sent > stay.joined && publish.answered < until) {
                due = Some((due.map_or(place, |(first, _)| first), place));
            }
        }
        due
    }

    fn check_missing(
        &mut self,
        stay: &Stay,
        missing: std::ops::Range<usize>,
        dropped: u64,
        within: bool,
        verdict: &mut Verdict,
    ) {
        let count = missing.len() as u64;
        verdict.dropped += count.min(dropped);
        if count > dropped {
            let first = missing.clone().find_map(|place| self.line.places[place]);
            let words = format!(
                "session {} lost {} of {count} messages from {} (place {}) on; {dropped} were dropped as a gap told",
                stay.session,
                count - dropped,
                first.map_or("an unknown one".to_owned(), |(key, _)| Self::named(key)),
                missing.start
            );
            self.found(&words);
        } else if within && stay.only && self.line.whole && count < dropped {
            let words = format!("a gap told session {} of {dropped} messages where there were {count}", stay.session);
            self.found(&words);
        }
    }

    fn unplaced(&mut self, stay: &Stay, receipt: &Receipt, verdict: &mut Verdict) {
        let holes = self.line.places.iter().any(Option::is_none);
        if self.line.whole && !holes {
            let words = format!("session {} received {}, which no witness saw", stay.session, Self::named(receipt.key));
            self.found(&words);
        } else {
            verdict.unwitnessed += 1;
        }
    }

    fn check_receipt(&mut self, stay: &Stay, receipt: &Receipt) {
        let Some(publish) = self.publishes.get(&receipt.key).copied() else { return };
        let place = self.line.place_of[&receipt.key];
        let event = self.line.places[place].map_or(receipt.event, |(_, event)| event);
        let why = if receipt.event != event {
            "as another event than others did"
        } else if publish.answered < stay.join_sent {
            "though it was over before it joined"
        } else if publish.sent > stay.left {
            "though it had left before"
        } else if publish.answered < receipt.read_to {
            "later than a poll that should have brought it"
        } else {
            return;
        };
        let words = format!("session {} received {} {why}", stay.session, Self::named(receipt.key));
        self.found(&words);
    }

    /// Of which places it was a recipient for certain, and of which it may have been.
    fn extent(&self, stay: &Stay, first: Option<usize>, last: Option<usize>, places: usize) -> Extent {
        let due = self.due(stay, stay.sure_until);
        let from = [first, due.map(|due| due.0)].into_iter().flatten().min();
        let to = [last, due.map(|due| due.1)].into_iter().flatten().max().map(|last| last + 1);
        // Behind an event that was sent later, everything happened later; and the like before.
        let begin = |after: Micros, end: usize| {
            let over = |place: &usize| self.at(*place).is_some_and(|publish| publish.answered < after);
            (0..end).rev().find(over).map_or(0, |last| last + 1)
        };
        let end = |from: usize| {
            let later = |place: &usize| self.at(*place).is_some_and(|publish| publish.sent > stay.left);
            (from..places).find(later).unwrap_or(places)
        };
        // What was dropped before the first or behind the last that it received may have been of this topic.
        let first_number = stay.receipts.first().map_or(NEVER, |receipt| receipt.number);
        let last_number = stay.receipts.last().map_or(0, |receipt| receipt.number);
        let dropped_before = stay.dropped_between(0, first_number) > 0;
        let dropped_behind = stay.dropped_between(last_number, NEVER) > 0;
        let (Some(from), Some(to)) = (from, to) else {
            // Nothing was received: nothing before the last look into the mailbox was for it.
            let seen = if dropped_before { stay.join_sent } else { stay.join_sent.max(stay.read_to) };
            let from = begin(seen, places);
            let latest_end = if stay.complete && !dropped_before { from } else { end(from) };
            return Extent { from, to: from, earliest: from, latest_end };
        };
        // What came while it joined may be there, unread.
        let unread = first.is_none() && !stay.complete;
        let earliest = if dropped_before || unread { begin(stay.join_sent, from) } else { from };
        let latest_end = if stay.complete && !dropped_behind { to } else { end(to) };
        Extent { from, to, earliest, latest_end }
    }
}

/// Places from which and to which.
struct Extent {
    from: usize,
    to: usize,
    earliest: usize,
    latest_end: usize,
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
