//! From what the server works with to what stands in a trace, and back.

use super::answer::{Delivery, Fault, Op, Routed, To};
use super::line::{EventLine, Kind, Reason};
use super::met::{GroupTouch, Met, TableKind};
use super::text::{Data, Term};
use crate::event::{Event, Happening, Reply};
use crate::fault;
use crate::outcome::{self, Outcome, Recipients, SetOp};
use crate::payload::Payload;
use crate::pid::Pid;
use crate::session::ExitReason;
use crate::tables;

/// Those that can be anybody's.
pub fn pids(bits: &[u64]) -> Vec<Pid> {
    bits.iter().filter_map(|bits| Pid::from_bits(*bits)).collect()
}

impl Delivery {
    /// A rule's delivery, with the list that came of it.
    pub fn of(delivery: &outcome::Delivery, list: Option<&Vec<u64>>) -> Self {
        let op = |op: &SetOp| match op {
            SetOp::Pids(list) => Op::Pids(pids(list)),
            SetOp::Members { scope, group } => Op::Members(scope.clone(), Term(group.clone())),
            SetOp::Subscribers(topic) => Op::Subscribers(topic.clone()),
            SetOp::Union => Op::Union,
            SetOp::Intersection => Op::Intersection,
            SetOp::Subtract => Op::Subtract,
        };
        let (to, named) = match &delivery.to {
            Recipients::Subscribers => (To::Subscribers, None),
            Recipients::Pids(list) => (To::Pids, Some(list)),
            Recipients::Expression(ops) => (To::Expr(ops.iter().map(op).collect()), None),
        };
        let as_set = |list: &Vec<u64>| {
            let mut list = pids(list);
            list.sort_unstable();
            list.dedup();
            list
        };
        let message = delivery.message.clone().map(Data);
        Self { to, list: list.or(named).map(as_set), ended: Vec::new(), message }
    }
}

impl Routed {
    /// A rule's answer of which nothing came: no lists but those that the rule gave itself.
    pub fn as_said(outcome: &Outcome) -> Self {
        let deliveries = outcome.deliveries.iter().map(|to| Delivery::of(to, None)).collect();
        Self { deliveries, remove: pids(&outcome.remove) }
    }
}

/// The steps of all sets that an answer names.
pub fn steps(outcome: &Outcome) -> impl Iterator<Item = &SetOp> {
    outcome.deliveries.iter().flat_map(|delivery| match &delivery.to {
        Recipients::Expression(ops) => &ops[..],
        Recipients::Subscribers | Recipients::Pids(_) => &[],
    })
}

/// The groups that an answer names, with their members as they are.
pub fn named_groups(outcome: &Outcome, members: impl Fn(&str, &[u8]) -> Vec<u64>) -> Vec<GroupTouch> {
    let group = |step: &SetOp| {
        let SetOp::Members { scope, group } = step else { return None };
        let (before, scope, group) = (pids(&members(scope, group)), scope.clone(), Term(group.clone()));
        Some(GroupTouch { named: true, ..GroupTouch::of(scope, group, before) })
    };
    steps(outcome).filter_map(group).collect()
}

impl Met {
    /// The answer names these groups. What the rule has touched is known already.
    pub fn name(&mut self, groups: Vec<GroupTouch>) {
        for named in groups {
            let is_it = |touch: &&mut GroupTouch| touch.scope == named.scope && touch.group == named.group;
            match self.groups.iter_mut().find(is_it) {
                Some(touch) => {
                    touch.named = true;
                    let known = touch.after.as_ref().unwrap_or(&touch.before);
                    // Somebody else came in between.
                    touch.resolved = (named.before != *known).then_some(named.before);
                    touch.raced |= touch.resolved.is_some();
                }
                None => self.groups.push(named),
            }
        }
    }
}

impl From<tables::Kind> for TableKind {
    fn from(kind: tables::Kind) -> Self {
        match kind {
            tables::Kind::Set => Self::Set,
            tables::Kind::OrderedSet => Self::OrderedSet,
            tables::Kind::Bag => Self::Bag,
        }
    }
}

impl From<TableKind> for tables::Kind {
    fn from(kind: TableKind) -> Self {
        match kind {
            TableKind::Set => Self::Set,
            TableKind::OrderedSet => Self::OrderedSet,
            TableKind::Bag => Self::Bag,
        }
    }
}

impl From<&fault::Fault> for Fault {
    fn from(fault: &fault::Fault) -> Self {
        Self { kind: fault.kind().label().into(), words: fault.to_string() }
    }
}

/// What happened, as a trace has it.
#[derive(Debug)]
pub struct What {
    pub(crate) kind: Kind,
    pub(crate) data: Option<Data>,
    pub(crate) reason: Option<Reason>,
    pub(crate) params: Option<Data>,
}

impl From<&Happening> for What {
    fn from(what: &Happening) -> Self {
        let (mut data, mut reason, mut params) = (None, None, None);
        let kind = match what {
            Happening::Publish(published) => {
                data = Some(Data(published.clone()));
                Kind::Publish
            }
            Happening::Timer(carried) => {
                data = Some(Data(carried.clone()));
                Kind::Timer
            }
            Happening::Join { params: given } => {
                params = given.as_deref().map(Data::json);
                Kind::Join
            }
            Happening::Leave => Kind::Leave,
            Happening::Exit(why) => {
                reason = Some(match why {
                    ExitReason::Normal => Reason::Normal,
                    ExitReason::Killed => Reason::Killed,
                    ExitReason::Timeout => Reason::Timeout,
                });
                Kind::Exit
            }
        };
        Self { kind, data, reason, params }
    }
}

impl EventLine {
    /// The event, for nobody who waits for its answer.
    pub fn to_event(&self) -> Event {
        let what = match self.kind {
            Kind::Publish => Happening::Publish(self.own_data().0),
            Kind::Timer => Happening::Timer(self.own_data().0),
            Kind::Join => Happening::Join { params: self.params.as_ref().map(|params| json(params).into()) },
            Kind::Leave => Happening::Leave,
            Kind::Exit => Happening::Exit(match self.reason {
                Some(Reason::Killed) => ExitReason::Killed,
                Some(Reason::Timeout) => ExitReason::Timeout,
                Some(Reason::Normal) | None => ExitReason::Normal,
            }),
        };
        Event {
            id: self.event,
            topic: self.topic.clone(),
            sender: self.sender,
            user: self.user.as_deref().map(Into::into),
            time_ms: self.time_ms,
            what,
            reply: Reply::nobody(),
        }
    }
}

/// The text of JSON; what is none is none here either.
pub fn json(data: &Data) -> String {
    match &data.0 {
        Payload::Json(json) => String::from_utf8_lossy(json).into_owned(),
        Payload::Text(_) | Payload::Binary(_) => "null".into(),
    }
}
