//! What a rule met with while it routed one event, for a trace: what each key and group had before the rule touched it,
//! and what after; and what time and chance gave it.
//!
//! All is looked up right after each call, as it was at the moment at which the call saw it (`history`): so other lanes
//! can't get in between, and a call costs nothing more while nobody records.

use crate::denied::{Allowed, Denied};
use crate::event::Payload;
use crate::groups::Scope;
use crate::history::{NOBODY, Past, Since};
use crate::pid::Pid;
use crate::shared::Shared;
use crate::tables::{PageBefore, Table};
use crate::topic::Topic;
use crate::trace::{
    Cancelled, Counted, Data, Denial, GroupTouch, Membership, Met, Opened, Page, TableTouch, Term, Timer,
};
use foldhash::fast::FixedState;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// What a call on a table names, and does.
pub(super) struct Named<'a> {
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) keys: &'a [Vec<u8>],
    /// A part of a walk.
    pub(super) page: Option<OfWalk<'a>>,
}

/// Prefix, beyond which key, how many objects.
type OfWalk<'a> = (&'a [u8], Option<&'a [u8]>, u32);

/// A call that a bound may stand against: which, on what, and with what.
#[derive(Hash)]
pub(crate) struct Made {
    pub(crate) call: &'static str,
    /// The table or scope.
    pub(crate) on: String,
    pub(crate) keys: Vec<Vec<u8>>,
}

impl Made {
    pub(crate) fn new(call: &'static str, on: String, keys: Vec<Vec<u8>>) -> Self {
        Self { call, on, keys }
    }
}

/// How often an event has made the same call, by its hash.
#[derive(Default)]
pub(crate) struct Calls(HashMap<u64, u32>);

impl Calls {
    /// The number of this one, counted from zero.
    pub(crate) fn count(&mut self, made: &Made) -> u32 {
        let count = self.0.entry(FixedState::with_seed(0).hash_one(made)).or_default();
        *count += 1;
        *count - 1
    }
}

/// One event's notes.
pub(crate) struct Notes {
    since: Since,
    event: u64,
    tables: IndexMap<(usize, Vec<u8>), OnKey>,
    groups: IndexMap<(usize, Vec<u8>), OnGroup>,
    walked: Vec<Walked>,
    calls: Calls,
    /// What needs no looking up.
    pub(super) met: Met,
    /// There was no room for all of it.
    is_torn: bool,
}

/// What was seen of a table, page by page: all keys from the one on to the other.
struct Walked {
    table: usize,
    prefix: Vec<u8>,
    beyond: Option<Vec<u8>>,
    /// None if no further page came.
    until: Option<Vec<u8>>,
}

impl Walked {
    fn has(&self, (table, key): &(usize, Vec<u8>)) -> bool {
        self.table == *table
            && key.starts_with(&self.prefix)
            && self.beyond.as_ref().is_none_or(|beyond| key > beyond)
            && self.until.as_ref().is_none_or(|until| key <= until)
    }
}

/// What was done with a key of a table, or with a group: something in `of`, which had `before`.
struct Touch<O, T> {
    of: Arc<O>,
    before: T,
    /// What the rule was told last, if that is not what was before.
    told: Option<T>,
    reads: bool,
    writes: bool,
    raced: bool,
}

type OnKey = Touch<Table, Vec<Vec<u8>>>;
type OnGroup = Touch<Scope, Vec<u64>>;

impl<O, T: PartialEq> Touch<O, T> {
    fn new(of: &Arc<O>, seen: T, reads: bool, writes: bool) -> Self {
        Self { of: of.clone(), before: seen, told: None, reads, writes, raced: false }
    }

    /// Once more; without the event's own doing there is `of_others`. Whether it has become heavier.
    fn again(&mut self, seen: T, of_others: &T, reads: bool, writes: bool) -> bool {
        self.writes |= writes;
        self.raced |= *of_others != self.before;
        if !reads {
            return false;
        }
        let is_as_before = seen == self.before;
        self.reads |= is_as_before;
        self.told = (!is_as_before).then_some(seen);
        !is_as_before
    }
}

impl Notes {
    pub(super) fn begin(since: Since, event: u64) -> Box<Self> {
        Box::new(Self {
            since,
            event,
            tables: IndexMap::new(),
            groups: IndexMap::new(),
            walked: Vec::new(),
            calls: Calls::default(),
            met: Met::default(),
            is_torn: false,
        })
    }

    fn at(&self, moment: u64, event: u64) -> Past {
        // A call that was refused at once has seen nothing, and says when the one before it saw something.
        Past { moment: moment.max(self.since.moment()), event, since: self.since.moment() }
    }

    /// What the event itself has done by now. What it did for a rule that failed on it, is another's.
    fn own(&self) -> Past {
        self.at(u64::MAX, self.event)
    }

    fn weigh(&mut self, bytes: usize) {
        self.is_torn |= !self.since.take_room(bytes as u64);
    }

    /// A table was opened, or is used; its full name.
    pub(super) fn on_open(&mut self, table: &Arc<Table>, shared: &Shared) -> String {
        let name = name_of(table, shared);
        let opened = || Opened { kind: table.kind().into(), owner: table.owner().to_string() };
        self.met.opened.entry(name.clone()).or_insert_with(opened);
        name
    }

    /// A call on a table was made.
    pub(super) fn on_table(&mut self, table: &Arc<Table>, named: &Named<'_>, moment: u64, shared: &Shared) {
        let as_seen = self.at(moment, NOBODY);
        self.on_open(table, shared);
        for key in named.keys {
            let seen = table.values_before(as_seen, key);
            self.on_key(table, key, seen, named.reads, named.writes, moment);
        }
        if let Some((prefix, after, limit)) = named.page {
            let fits = u64::from(limit).min(shared.limits.table_call_max) as usize;
            let (page, is_cut) = table.page_before(as_seen, prefix, after, fits, |_| false);
            self.on_page(table, (prefix, after), page, is_cut, moment, fits);
            let (table, prefix, after) = (self.on_open(table, shared), Term::from(prefix), after.map(Term::from));
            self.met.pages.push(Page { table, prefix, after, limit });
        }
    }

    /// A page was read. What an earlier walk had seen there and this one does not, or the other way round, somebody else has
    /// changed meanwhile, if the event has not.
    fn on_page(
        &mut self,
        table: &Arc<Table>,
        (prefix, after): (&[u8], Option<&[u8]>),
        page: PageBefore,
        is_cut: bool,
        moment: u64,
        fits: usize,
    ) {
        let until = if is_cut { page.last().map(|(key, _)| key.clone()) } else { None };
        let (id, beyond) = (Arc::as_ptr(table).addr(), after.map(<[u8]>::to_vec));
        let walked = Walked { table: id, prefix: prefix.to_vec(), beyond, until };
        // As long as nobody has changed anything there is nothing to be compared.
        if self.since.now() != self.since.moment() {
            let on_page: HashSet<&Vec<u8>> = page.iter().map(|(key, _)| key).collect();
            let known = self.tables.keys().filter(|at| walked.has(at) && !on_page.contains(&at.1));
            let gone: Vec<Vec<u8>> = known.map(|(_, key)| key.clone()).collect();
            for key in gone {
                self.on_key(table, &key, Vec::new(), true, false, moment);
            }
        }
        let (last, mut left) = (page.len().saturating_sub(1), fits);
        for (at, (key, seen)) in page.into_iter().enumerate() {
            // One that is not on it says only that there is another page.
            let is_on_it = left > 0 && !(is_cut && at == last);
            left = left.saturating_sub(seen.len());
            let at = (id, key);
            if !self.tables.contains_key(&at) && self.walked.iter().any(|walked| walked.has(&at)) {
                self.on_key(table, &at.1, Vec::new(), true, false, moment);
            }
            self.on_key(table, &at.1, seen, is_on_it, false, moment);
        }
        self.weigh(size_of::<Walked>() + prefix.len() + after.map_or(0, <[u8]>::len));
        self.walked.push(walked);
    }

    /// A call was made that a bound may have stood against.
    pub(super) fn on_call(&mut self, made: Made, denied: Option<&Denied>) {
        self.weigh(size_of::<(u64, u32)>());
        let nth = Some(self.calls.count(&made));
        if let Some(Denied::Limit(limit)) = denied {
            let keys = made.keys.into_iter().map(Term).collect();
            self.met.denied.push(Denial { call: made.call.into(), table: made.on, keys, nth, limit: (*limit).into() });
        }
    }

    fn on_key(
        &mut self,
        table: &Arc<Table>,
        key: &Vec<u8>,
        seen: Vec<Vec<u8>>,
        reads: bool,
        writes: bool,
        moment: u64,
    ) {
        let bytes = seen.iter().map(Vec::len).sum::<usize>() + key.len() + size_of::<OnKey>();
        let of_others = self.at(moment, self.event);
        let id = (Arc::as_ptr(table).addr(), key.clone());
        let is_heavier = if let Some(touch) = self.tables.get_mut(&id) {
            touch.again(seen, &table.values_before(of_others, key), reads, writes)
        } else {
            self.tables.insert(id, OnKey::new(table, seen, reads, writes));
            true
        };
        if is_heavier {
            self.weigh(bytes);
        }
    }

    /// The size of a table was asked for, and told.
    pub(super) fn on_size(&mut self, table: &Arc<Table>, objects: u64, shared: &Shared) {
        let (own, table) = (table.growth_by(self.own()), self.on_open(table, shared));
        self.weigh(size_of::<Counted>() + table.len());
        self.met.counted.push(Counted { table, objects, own });
    }

    /// A call on a group was made.
    pub(super) fn on_group(&mut self, scope: &Arc<Scope>, group: &[u8], reads: bool, writes: bool, moment: u64) {
        let of_others = self.at(moment, self.event);
        let id = (Arc::as_ptr(scope).addr(), group.to_vec());
        let seen = members(scope, self.at(moment, NOBODY), group);
        let bytes = size_of_val(&*seen) + group.len() + size_of::<OnGroup>();
        let is_heavier = if let Some(touch) = self.groups.get_mut(&id) {
            touch.again(seen, &members(scope, of_others, group), reads, writes)
        } else {
            self.groups.insert(id, OnGroup::new(scope, seen, reads, writes));
            true
        };
        if is_heavier {
            self.weigh(bytes);
        }
    }

    /// What a PID is a member of was asked for. Noted is what it was before the event: what this one has changed is noted with
    /// the groups.
    pub(super) fn on_memberships(&mut self, scope: &Arc<Scope>, pid: u64, moment: u64, shared: &Shared) {
        let groups = scope.groups_before(self.at(moment, self.event), pid);
        let Some(pid) = Pid::from_bits(pid) else { return };
        let groups = groups.into_iter().map(Term).collect();
        self.met.memberships.push(Membership { scope: scope_name(scope, shared), pid, groups });
    }

    /// These had ended when they were to join.
    pub(super) fn on_dead(&mut self, dead: &[u64]) {
        self.met.dead.extend(pids(dead));
    }

    /// A timer was to be set.
    pub(super) fn on_timer(&mut self, delay_ms: u64, topic: &Topic, data: &Payload, set: &Allowed<u64>) {
        self.weigh(data.len() + size_of::<Timer>());
        let limit = if let Err(Denied::Limit(limit)) = set { Some((*limit).to_owned()) } else { None };
        if set.is_ok() || limit.is_some() {
            let (id, topic, data) = (set.as_ref().ok().copied(), topic.to_string(), Data(data.clone()));
            self.met.timers.push(Timer { id, limit, delay_ms, topic, data });
        }
    }

    /// A timer was to be cancelled.
    pub(super) fn on_cancel(&mut self, id: u64, was_waiting: bool) {
        self.met.cancelled.push(Cancelled { id, was_waiting });
    }

    /// All of it, once the rule has answered; none if there was no room for all of it.
    pub(crate) fn finish(mut self: Box<Self>, shared: &Shared) -> Option<Met> {
        let now = self.since.now();
        let of_others = self.at(now, self.event);
        let mut met = std::mem::take(&mut self.met);
        for ((_, key), touch) in std::mem::take(&mut self.tables) {
            let OnKey { of: table, before, told, reads, writes, raced } = touch;
            let raced = raced || (writes && table.values_before(of_others, &key) != before);
            let after = writes.then(|| table.values_right_after(self.own(), &key).unwrap_or_else(|| before.clone()));
            let (table, key, before) = (name_of(&table, shared), Term(key), terms(before));
            let (told, after) = (told.map(terms), after.map(terms));
            met.tables.push(TableTouch { table, key, read: reads, before, told, after, raced });
        }
        for ((_, group), touch) in std::mem::take(&mut self.groups) {
            let OnGroup { of: scope, before, told, reads, writes, raced } = touch;
            let raced = raced || (writes && members(&scope, of_others, &group) != before);
            let after = writes.then(|| with(&before, scope.changed_by(self.own(), &group)));
            let (scope, group) = (scope_name(&scope, shared), Term(group));
            let [told, after] = [told, after].map(|bits| bits.map(|bits| pids(&bits).collect()));
            let before = pids(&before).collect();
            let (read, named, resolved) = (reads, false, None);
            met.groups.push(GroupTouch { scope, group, read, named, before, told, after, resolved, raced });
        }
        (!self.is_torn && !self.since.is_lost()).then_some(met)
    }
}

/// Members with those whom an event has let in, and without those whom it has let out.
fn with(before: &[u64], changed: Vec<(u64, bool)>) -> Vec<u64> {
    let mut members: BTreeSet<u64> = before.iter().copied().collect();
    for (pid, is_member) in changed {
        if is_member {
            members.insert(pid);
        } else {
            members.remove(&pid);
        }
    }
    members.into_iter().collect()
}

fn terms(values: Vec<Vec<u8>>) -> Vec<Term> {
    values.into_iter().map(Term).collect()
}

fn pids(bits: &[u64]) -> impl Iterator<Item = Pid> {
    bits.iter().filter_map(|bits| Pid::from_bits(*bits))
}

fn members(scope: &Scope, past: Past, group: &[u8]) -> Vec<u64> {
    let mut members: Vec<u64> = scope.members_before(past, group).into_iter().collect();
    members.sort_unstable();
    members
}

fn name_of(table: &Arc<Table>, shared: &Shared) -> String {
    shared.tables.name_of(table).unwrap_or_default()
}

fn scope_name(scope: &Arc<Scope>, shared: &Shared) -> String {
    shared.groups.name_of(scope).unwrap_or_default()
}
