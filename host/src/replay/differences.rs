//! What another version did otherwise with an event: who gets what, what is written, what was read that nobody knows.

use super::Played;
use crate::pid::Pid;
use crate::trace::{Answer, Delivery, EventLine, GroupTouch, Met, Op, Recorded, Term, To, Trace, values_words};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// One event.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its number.
    pub event: String,
    /// Where.
    pub topic: String,
    /// What happened.
    pub kind: String,
    /// Who caused it.
    pub by: Option<String>,
    /// What was answered, if only one of them has a list, or they have other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Pair>,
    /// Who receives something only from the version that was asked again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<String>,
    /// And only from the one that was recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Who receives something else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageChange>,
    /// Whose subscriptions end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Pair>,
    /// Keys, groups and timers that are left otherwise.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub writes: BTreeMap<String, Pair>,
    /// What the trace does not know well enough, in sentences. No difference by itself.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub uncertain: BTreeSet<String>,
    /// Somebody else changed what the recorded version read, while it read: what differs may be due to that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub raced: bool,
}

/// As it was recorded, and as it is now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// As it was recorded.
    pub recorded: String,
    /// As it is now.
    pub now: String,
}

/// Some who receive other messages than they did.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct MessageChange {
    /// They.
    pub who: Vec<String>,
    /// What they received; nothing if they were not on any list.
    pub recorded: Vec<String>,
    /// What they receive now.
    pub now: Vec<String>,
}

impl Pair {
    fn of(recorded: String, now: String) -> Option<Self> {
        (recorded != now).then_some(Self { recorded, now })
    }
}

type Received = BTreeMap<Pid, Vec<String>>;

impl Difference {
    /// Between what was recorded and what is played now.
    pub fn between(trace: &Trace, recorded: &Recorded, played: &Played) -> Self {
        let line = &recorded.line;
        let kind_of = |answer: &Answer| match answer {
            // It has not come to lists: all that is known is what the rule said.
            Answer::Routed(routed) if line.unrouted.is_some() => {
                format!("routed: {}", serde_json::to_string(&routed.deliveries).unwrap_or_default())
            }
            Answer::Routed(_) => "routed".into(),
            Answer::Refused(words) => format!("refused: {words}"),
            Answer::Invalid(words) => format!("invalid: {words}"),
            // Words of faults have numbers in them that depend on the machine.
            Answer::Fault(fault) => format!("failed ({})", fault.kind),
        };
        let (before, now) = (received(line, &line.answer), received(line, &played.answer));
        let name = |pids: BTreeSet<Pid>| pids.into_iter().map(|pid| trace.name(pid)).collect::<Vec<_>>();
        let only = |these: &Received, others: &Received| {
            name(these.keys().filter(|pid| !others.contains_key(pid)).copied().collect())
        };
        let mut difference = Self {
            event: line.event.to_string(),
            topic: line.topic.to_string(),
            kind: line.kind.to_string(),
            by: line.sender.map(|sender| trace.name(sender)).or_else(|| line.user.clone()),
            answer: Pair::of(kind_of(&line.answer), kind_of(&played.answer)),
            extra: only(&now, &before),
            missing: only(&before, &now),
            messages: messages(trace, &before, &now),
            removed: Pair::of(name(removed(&line.answer)).join(", "), name(removed(&played.answer)).join(", ")),
            ..Self::default()
        };
        match &played.met {
            Some(met) => {
                difference.compare_tables(&line.met, met);
                difference.compare_groups(trace, &line.met, met);
                difference.compare_timers(&line.met, met);
                difference.note_unknown(recorded, played, met);
            }
            None => {
                difference.uncertain.insert("what it wrote is not compared: there was no room to note it".into());
            }
        }
        let met = &line.met;
        difference.raced = !difference.is_none()
            && (met.tables.iter().any(|touch| touch.raced && (touch.read || touch.told.is_some()))
                || met.groups.iter().any(|touch| touch.raced && touch.is_looked_at()));
        if difference.raced {
            let words = "somebody else changed what it read while it did, so what differs here is not counted";
            difference.uncertain.insert(words.into());
        }
        difference
    }

    /// Whether something differs, and not only since others did something at the same time.
    pub fn counts(&self) -> bool {
        !self.is_none() && !self.raced
    }

    /// Whether nothing differs.
    pub fn is_none(&self) -> bool {
        let Self { answer, extra, missing, messages, removed, writes, .. } = self;
        answer.is_none()
            && extra.is_empty()
            && missing.is_empty()
            && messages.is_empty()
            && removed.is_none()
            && writes.is_empty()
    }

    fn differs(&mut self, what: String, recorded: String, now: String) {
        self.writes.extend(Pair::of(recorded, now).map(|pair| (what, pair)));
    }

    fn raced(&mut self, what: &str) {
        self.uncertain
            .insert(format!("{what} was changed by somebody else meanwhile: what became of it is not compared"));
    }

    fn unknown(&mut self, what: &str) {
        self.uncertain.insert(format!("it looks at {what}, which the trace does not have: taken as absent"));
    }

    /// What keys have after the event. What one of them has not touched stays as it was.
    fn compare_tables<'a>(&mut self, recorded: &'a Met, now: &'a Met) {
        let left = |met: &Met| {
            let touch = |touch: &crate::trace::TableTouch| {
                let values = touch.after.as_ref().unwrap_or(&touch.before).clone();
                ((touch.table.clone(), touch.key.clone()), values)
            };
            met.tables.iter().map(touch).collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (left(recorded), left(now));
        for at in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let of = |met: &'a Met| met.tables.iter().find(|touch| (&touch.table, &touch.key) == (&at.0, &at.1));
            if of(recorded).is_some_and(|touch| touch.raced) {
                self.raced(&format!("table {} {}", at.0, at.1.words()));
                continue;
            }
            let untouched = of(recorded).or_else(|| of(now)).map(|touch| touch.before.clone()).unwrap_or_default();
            let words = |left: &BTreeMap<_, Vec<Term>>| values_words(left.get(at).unwrap_or(&untouched));
            self.differs(format!("table {} {}", at.0, at.1.words()), words(&before), words(&after));
        }
    }

    fn compare_groups(&mut self, trace: &Trace, recorded: &Met, now: &Met) {
        let of = |met: &Met, at: (&String, &Term)| {
            met.groups
                .iter()
                .find(|touch| (&touch.scope, &touch.group) == at)
                .map(|touch| (touch.before.clone(), touch.after.as_ref().unwrap_or(&touch.before).clone()))
        };
        let all = recorded.groups.iter().chain(&now.groups).map(|touch| (&touch.scope, &touch.group));
        for at in all.collect::<BTreeSet<_>>() {
            if recorded.groups.iter().any(|touch| touch.raced && (&touch.scope, &touch.group) == at) {
                self.raced(&format!("group {} {}", at.0, at.1.words()));
                continue;
            }
            let (before, after) = (of(recorded, at), of(now, at));
            let untouched = before.as_ref().or(after.as_ref()).map(|(untouched, _)| untouched.clone());
            let words = |of: &Option<(Vec<Pid>, Vec<Pid>)>| {
                let left = of.as_ref().map(|(_, left)| left).or(untouched.as_ref());
                left.into_iter().flatten().map(|pid| trace.name(*pid)).collect::<Vec<_>>().join(", ")
            };
            self.differs(format!("group {} {}", at.0, at.1.words()), words(&before), words(&after));
        }
    }

    fn compare_timers(&mut self, recorded: &Met, now: &Met) {
        let set = |met: &Met| {
            let timer = |timer: &crate::trace::Timer| {
                let limit = timer.limit.as_ref().map_or_else(String::new, |limit| format!(" denied ({limit})"));
                format!("{} in {} ms with {}{limit}", timer.topic, timer.delay_ms, timer.data.words())
            };
            met.timers.iter().map(timer).collect::<Vec<_>>().join("; ")
        };
        let cancelled = |met: &Met| {
            let effective = met.cancelled.iter().filter(|cancelled| cancelled.was_waiting);
            effective.map(|cancelled| cancelled.id.to_string()).collect::<Vec<_>>().join(", ")
        };
        self.differs("timers set".into(), set(recorded), set(now));
        self.differs("timers cancelled".into(), cancelled(recorded), cancelled(now));
    }

    /// What the rule now looked at, and the trace knows nothing of.
    fn note_unknown(&mut self, recorded: &Recorded, played: &Played, now: &Met) {
        let known = &recorded.line.met;
        let addressed = deliveries(&played.answer).iter().flat_map(|delivery| match &delivery.to {
            To::Expr(ops) => &ops[..],
            To::Subscribers | To::Pids => &[],
        });
        for op in addressed {
            if let Op::Subscribers(topic) = op
                && !recorded.subscribers.contains_key(topic)
            {
                self.uncertain.insert(format!(
                    "it addresses the subscribers of {topic}: taken as what the trace said of them last, if it did"
                ));
            }
        }
        for touch in now.tables.iter().filter(|touch| touch.read || touch.told.is_some()) {
            if !known.tables.iter().any(|known| known.table == touch.table && known.key == touch.key)
                && !known.pages.iter().any(|page| page.table == touch.table && touch.key.0.starts_with(&page.prefix.0))
            {
                self.unknown(&format!("table {} {}", touch.table, touch.key.words()));
            }
        }
        for page in &now.pages {
            let is_it = |known: &&crate::trace::Page| {
                known.table == page.table && page.prefix.0.starts_with(&known.prefix.0) && known.limit >= page.limit
            };
            if !known.pages.iter().any(|known| is_it(&known)) {
                self.unknown(&format!("the keys of {} that begin with {}", page.table, page.prefix.words()));
            }
        }
        let is_known = |table: &String| {
            known.sizes.contains_key(table) || known.counted.iter().any(|counted| counted.table == *table)
        };
        for counted in now.counted.iter().filter(|counted| !is_known(&counted.table)) {
            self.unknown(&format!("the size of {}", counted.table));
        }
        let is_known = |touch: &GroupTouch| {
            known.groups.iter().any(|known| known.scope == touch.scope && known.group == touch.group)
        };
        for touch in now.groups.iter().filter(|touch| touch.is_looked_at() && !is_known(touch)) {
            self.unknown(&format!("group {} {}", touch.scope, touch.group.words()));
        }
        for of in &now.memberships {
            if !known.memberships.iter().any(|known| known.scope == of.scope && known.pid == of.pid) {
                self.unknown(&format!("the groups of {} in {}", of.pid, of.scope));
            }
        }
    }
}

/// The rule's own: what was delivered when it failed is not its doing.
fn deliveries(answer: &Answer) -> &[Delivery] {
    if let Answer::Routed(routed) = answer { &routed.deliveries } else { &[] }
}

fn removed(answer: &Answer) -> BTreeSet<Pid> {
    if let Answer::Routed(routed) = answer { routed.remove.iter().copied().collect() } else { BTreeSet::new() }
}

/// What everybody receives whose session had not ended, in the order of its arrival. Forwarding is sending the event's own
/// data.
fn received(line: &EventLine, answer: &Answer) -> Received {
    let mut received = Received::new();
    let ended: HashSet<Pid> = line.deliveries().flat_map(|delivery| delivery.ended.iter().copied()).collect();
    for delivery in deliveries(answer) {
        let message = delivery.message.as_ref().map_or_else(|| line.own_data().words(), crate::trace::Data::words);
        for pid in delivery.list.iter().flatten().filter(|pid| !ended.contains(pid)) {
            received.entry(*pid).or_default().push(message.clone());
        }
    }
    received
}

fn messages(trace: &Trace, before: &Received, now: &Received) -> Vec<MessageChange> {
    let mut changes: BTreeMap<(&[String], &[String]), Vec<String>> = BTreeMap::new();
    for pid in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (before.get(pid).map_or(&[][..], Vec::as_slice), now.get(pid).map_or(&[][..], Vec::as_slice));
        if was != is {
            changes.entry((was, is)).or_default().push(trace.name(*pid));
        }
    }
    let change = |((was, is), who): ((&[String], &[String]), Vec<String>)| MessageChange {
        who,
        recorded: was.to_vec(),
        now: is.to_vec(),
    };
    changes.into_iter().map(change).collect()
}
