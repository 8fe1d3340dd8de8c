//! What the actors of a round note down: what was published and what became of it, and who stayed on which topic and
//! received what. The audit compares the two.

use std::collections::BTreeMap;

/// Microseconds since the round began, all read from one clock.
pub(super) type Micros = u64;

/// What never happened, happens later than everything.
pub(super) const NEVER: Micros = Micros::MAX;

#[derive(Default)]
pub(super) struct Books {
    pub(super) publishes: Vec<Publish>,
    pub(super) stays: Vec<Stay>,
    /// How often what was done or seen.
    pub(super) tally: BTreeMap<&'static str, u64>,
}

impl Books {
    pub(super) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(super) fn add(&mut self, what: &'static str, times: u64) {
        *self.tally.entry(what).or_default() += times;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.publishes.extend(other.publishes);
        self.stays.extend(other.stays);
        for (what, times) in other.tally {
            self.add(what, times);
        }
    }
}

pub(super) struct Publish {
    /// The stamp's.
    pub(super) key: u64,
    /// Index of the topic.
    pub(super) topic: usize,
    /// It cannot have been routed before.
    pub(super) sent: Micros,
    /// It was routed by then; never, if nobody was told.
    pub(super) answered: Micros,
    pub(super) fate: Fate,
    /// The key of its batch's first line.
    pub(super) batch: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its publisher was told so.
    Accepted { event: u64, recipients: u64 },
    /// It was accepted, and its event has a number that nobody was told: a timer that fired.
    Owed,
    /// It was refused, failed or cancelled.
    Never,
    /// The answer was not waited for.
    Unknown,
}

/// One session on one topic, from a join to a leave or an end.
pub(super) struct Stay {
    pub(super) session: u32,
    pub(super) topic: usize,
    /// It was there before the first publish and polls all the time.
    pub(super) witness: bool,
    /// The session was on no other topic, ever, and the rule delivers nothing but publishes: cursors count the topic's.
    pub(super) only: bool,
    pub(super) join_sent: Micros,
    /// It was a subscriber by then; never, if nobody was told.
    pub(super) joined: Micros,
    pub(super) leave_sent: Micros,
    /// It was a subscriber for certain until then, whether it read its mailbox or not.
    pub(super) sure_until: Micros,
    /// It was no subscriber any more by then.
    pub(super) left: Micros,
    /// The mailbox was read to its end after that.
    pub(super) complete: bool,
    /// All that was accepted before this was read.
    pub(super) read_to: Micros,
    /// In the order of their numbers.
    pub(super) receipts: Vec<Receipt>,
    /// Runs of numbers that the mailbox dropped, first and last, while it stayed.
    pub(super) gaps: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    /// In the session's mailbox.
    pub(super) number: u64,
    pub(super) key: u64,
    pub(super) event: u64,
    /// A poll that was sent (or surely still waited) at this time had not brought it.
    pub(super) read_to: Micros,
}

impl Stay {
    pub(super) fn begin(session: u32, topic: usize, join_sent: Micros) -> Self {
        Self {
            session,
            topic,
            witness: false,
            only: false,
            join_sent,
            joined: NEVER,
            leave_sent: NEVER,
            sure_until: 0,
            left: NEVER,
            complete: false,
            read_to: 0,
            receipts: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// How many numbers between two were dropped.
    pub(super) fn dropped_between(&self, after: u64, before: u64) -> u64 {
        let within = |(first, last): &(u64, u64)| (last + 1).min(before).saturating_sub((*first).max(after + 1));
        self.gaps.iter().map(within).sum()
    }
}
