//! The line of a trace while its event is being routed: what the rule met with and said, and what came of it.

use crate::caller::Caller;
use crate::event::{Answer, Event, Unrouted};
use crate::outcome::{Outcome, Refusal, SetOp};
use crate::pid::Pid;
use crate::recipients::Operands;
use crate::router::{Fault, Mounted};
use crate::shared::Shared;
use crate::trace::convert::{self, What, pids};
use crate::trace::{self, By, Delivery, EventLine, GroupTouch, Met, Recording, Routed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One event's.
pub(super) struct Draft {
    recording: Arc<Recording>,
    asked: Option<Asked>,
    /// Whoever was asked first, and failed.
    fell_back: Option<(By, trace::Fault)>,
    delivered: Option<Delivered>,
}

/// A rule that was asked.
struct Asked {
    by: By,
    /// None if there was no room for all of it.
    met: Option<Met>,
    said: Result<Result<Outcome, Refusal>, Fault>,
}

/// What came of it.
struct Delivered {
    outcome: Outcome,
    /// None if the host could not use the answer.
    lists: Option<Vec<List>>,
    subscribers: trace::Subscribers,
    groups: Vec<GroupTouch>,
}

/// The list of one delivery.
struct List {
    pids: Vec<u64>,
    /// Those of it whose session had ended.
    ended: Vec<Pid>,
}

impl Draft {
    pub(super) fn of(recording: Arc<Recording>) -> Box<Self> {
        Box::new(Self { recording, asked: None, fell_back: None, delivered: None })
    }

    /// A rule has answered, or failed.
    pub(super) fn asked(&mut self, of: &Mounted, met: Option<Met>, said: &Result<Result<Outcome, Refusal>, Fault>) {
        let release = of.rule.release().map(str::to_owned);
        let by = By { sha256: of.rule.version.clone(), release, config: of.config.clone() };
        if let Some(Asked { by, said: Err(fault), .. }) = self.asked.take() {
            self.fell_back = Some((by, (&fault).into()));
        }
        self.asked = Some(Asked { by, met, said: said.clone() });
    }

    /// The lists were resolved, or could not be, from these sets. What they were not looked up for is looked up now.
    pub(super) fn resolved<'a>(
        &mut self,
        event: &Event,
        outcome: Outcome,
        operands: &Operands,
        lists: Option<impl Iterator<Item = &'a Vec<u64>>>,
        plugin: &Arc<str>,
        shared: &Shared,
    ) {
        let subscribers = subscribers(event, &outcome, operands, shared);
        let by = Caller::of(plugin.clone());
        let groups = convert::named_groups(&outcome, |scope, group| {
            if let Some(members) = operands.members(scope, group) {
                let mut members = members.to_vec();
                members.sort_unstable();
                return members;
            }
            let scope = shared.groups.find(&by, scope).ok().flatten();
            scope.map_or_else(Vec::new, |scope| scope.members(&by, group))
        });
        let lists = lists.map(|lists| lists.map(|pids| List { pids: pids.clone(), ended: Vec::new() }).collect());
        self.delivered = Some(Delivered { outcome, lists, subscribers, groups });
    }

    /// One on the list of a delivery, counted from zero, did not get it: its session had ended.
    pub(super) fn had_ended(&mut self, delivery: usize, pid: Pid) {
        let lists = self.delivered.as_mut().and_then(|delivered| delivered.lists.as_mut());
        if let Some(list) = lists.and_then(|lists| lists.get_mut(delivery)) {
            list.ended.push(pid);
        }
    }

    /// The event is over.
    pub(super) fn finish(self, event: &Event, generation: u64, answer: &Answer, shared: &Shared) {
        let Self { recording, asked, fell_back, delivered } = self;
        // Of what the host answers by itself no rule knows anything.
        let Some(Asked { by, met, said }) = asked else { return };
        let Some(mut met) = met else { return recording.leave_out() };
        let (mut instead, mut unrouted, mut seen) = (None, None, trace::Subscribers::new());
        let routed;
        if let Some(Delivered { outcome, lists, subscribers, groups }) = delivered {
            let delivery = |(to, mut list): (_, List)| {
                list.ended.sort_unstable();
                Delivery { ended: list.ended, ..Delivery::of(to, Some(&list.pids)) }
            };
            routed = match lists {
                Some(lists) => Routed {
                    deliveries: outcome.deliveries.iter().zip(lists).map(delivery).collect(),
                    remove: pids(&outcome.remove),
                },
                None => Routed::as_said(&outcome),
            };
            seen = subscribers;
            met.name(groups);
        } else {
            let nobody = Outcome::default();
            let outcome = if let Ok(Ok(outcome)) = &said { outcome } else { &nobody };
            routed = Routed::as_said(outcome);
            seen.extend(subscribers(event, outcome, &Operands::default(), shared));
        }
        let said = match (said, answer) {
            // The host could not use the answer.
            (Ok(Ok(_)), Err(Unrouted::Failed(words))) => {
                trace::Answer::Fault(trace::Fault { kind: "answer".into(), words: words.clone() })
            }
            (Ok(Ok(_)), answer) => {
                unrouted = answer.as_ref().err().map(words);
                trace::Answer::Routed(routed)
            }
            (Ok(Err(Refusal::Refused(words))), _) => trace::Answer::Refused(words),
            (Ok(Err(Refusal::Invalid(words))), _) => trace::Answer::Invalid(words),
            (Err(fault), answer) => {
                instead = answer.is_ok().then_some(routed.deliveries);
                trace::Answer::Fault((&fault).into())
            }
        };
        let What { kind, data, reason, params } = What::from(&event.what);
        let line = EventLine {
            event: event.id,
            time_ms: event.time_ms,
            topic: event.topic.clone(),
            kind,
            sender: event.sender,
            user: event.user.as_deref().map(str::to_owned),
            data,
            reason,
            params,
            by: 0,
            generation,
            users: BTreeMap::new(),
            subscribers: seen,
            met,
            answer: said,
            fell_back: None,
            instead,
            unrouted,
        };
        let fell_back = fell_back.as_ref().map(|(by, fault)| (by, fault.clone()));
        let name_of = |pid| shared.sessions.with(pid, |session| session.user.as_deref().map(str::to_owned));
        recording.keep(line, &by, fell_back, name_of);
    }
}

fn subscribers(event: &Event, outcome: &Outcome, operands: &Operands, shared: &Shared) -> trace::Subscribers {
    let named = convert::steps(outcome);
    let named = named.filter_map(|step| if let SetOp::Subscribers(topic) = step { Some(topic.as_str()) } else { None });
    let of_topic = |topic: &str| {
        let mut list = operands.subscribers(topic).map_or_else(Vec::new, <[u64]>::to_vec);
        if operands.subscribers(topic).is_none() {
            shared.subscriptions.copy_into(topic, &mut list);
        }
        list.sort_unstable();
        (topic.to_owned(), pids(&list))
    };
    named.chain([event.topic.as_str()]).map(of_topic).collect()
}

/// Why nothing came of a rule's answer.
fn words(unrouted: &Unrouted) -> String {
    match unrouted {
        Unrouted::Gone => "the session had ended".into(),
        Unrouted::Unwritten => "what the rule had written was not on the disk in time".into(),
        Unrouted::Refused(words) | Unrouted::Invalid(words) | Unrouted::Failed(words) | Unrouted::Limited(words) => {
            words.clone()
        }
        Unrouted::NoPlugin | Unrouted::Busy | Unrouted::Draining => "the server could not route it".into(),
    }
}
