//! Two answers to one event: whether everybody would have received the same.

use crate::denied::Allowed;
use crate::event::{Event, Happening, Payload};
use crate::outcome::{Delivery, Outcome, Recipients, Refusal, SetOp};
use crate::recipients::Resolver;
use crate::router::Fault;
use crate::shared::Shared;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a rule answered.
pub(super) enum Said {
    Outcome(Outcome),
    Refusal(Refusal),
    Fault(String),
}

/// What is to be said of a pair of answers.
pub(super) struct Verdict {
    /// The candidate failed.
    pub(super) is_trap: bool,
    /// None if they are the same.
    pub(super) difference: Option<Difference>,
}

/// How two answers differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Who receives something from the candidate only.
    pub(super) extra: BTreeSet<u64>,
    /// And who from the live rule only.
    pub(super) missing: BTreeSet<u64>,
    pub(super) what: String,
}

/// The members of a group of the plugin, as one of the rules saw them when it had answered.
pub(super) type Members<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Allowed<Vec<u64>>;

/// What both are compared by.
pub(super) struct Comparison<'a> {
    pub(super) event: &'a Event,
    pub(super) plugin: &'a Arc<str>,
    /// The topic's.
    pub(super) subscribers: &'a [u64],
    pub(super) shared: &'a Shared,
}

impl Said {
    pub(super) fn of(answer: &Result<Result<Outcome, Refusal>, Fault>) -> Self {
        match answer {
            Ok(Ok(outcome)) => Self::Outcome(outcome.clone()),
            Ok(Err(refusal)) => Self::Refusal(refusal.clone()),
            Err(fault) => Self::Fault(fault.to_string()),
        }
    }

    /// What it weighs, about.
    pub(super) fn bytes(&self) -> u64 {
        let step = |step: &SetOp| match step {
            SetOp::Pids(pids) => size_of_val(&**pids),
            SetOp::Members { scope, group } => scope.len() + group.len(),
            SetOp::Subscribers(topic) => topic.len(),
            SetOp::Union | SetOp::Intersection | SetOp::Subtract => 0,
        };
        let delivery = |delivery: &Delivery| {
            let to = match &delivery.to {
                Recipients::Subscribers => 0,
                Recipients::Pids(pids) => size_of_val(&**pids),
                Recipients::Expression(steps) => size_of_val(&**steps) + steps.iter().map(step).sum::<usize>(),
            };
            size_of::<Delivery>() + to + delivery.message.as_ref().map_or(0, Payload::len)
        };
        let bytes = match self {
            Self::Outcome(outcome) => {
                outcome.deliveries.iter().map(delivery).sum::<usize>() + size_of_val(&*outcome.remove)
            }
            Self::Refusal(Refusal::Refused(words) | Refusal::Invalid(words)) | Self::Fault(words) => words.len(),
        };
        bytes as u64
    }

    fn words(&self) -> String {
        match self {
            Self::Outcome(_) => "routed it".into(),
            Self::Refusal(Refusal::Refused(words)) => format!("refused it ({words})"),
            Self::Refusal(Refusal::Invalid(words)) => format!("called it invalid ({words})"),
            Self::Fault(words) => format!("failed ({words})"),
        }
    }
}

impl Comparison<'_> {
    /// Both failing is the same: the candidate is no worse.
    pub(super) fn verdict(&self, live: &Said, shadow: &Said, of_live: Members<'_>, of_shadow: Members<'_>) -> Verdict {
        let same = match (live, shadow) {
            (Said::Outcome(live), Said::Outcome(shadow)) => self.outcomes(live, shadow, of_live, of_shadow),
            (Said::Refusal(live), Said::Refusal(shadow)) if live == shadow => Ok(None),
            (Said::Fault(_), Said::Fault(_)) => Ok(None),
            _ => {
                let what = format!("the live rule {}, the candidate {}", live.words(), shadow.words());
                Ok(Some(Difference { what, ..Difference::default() }))
            }
        };
        let is_trap = matches!(shadow, Said::Fault(_));
        match same {
            Ok(difference) => Verdict { is_trap, difference },
            Err(what) => Verdict { is_trap: true, difference: Some(Difference { what, ..Difference::default() }) },
        }
    }

    /// Or what is wrong with the candidate's answer.
    fn outcomes(
        &self,
        live: &Outcome,
        shadow: &Outcome,
        of_live: Members<'_>,
        of_shadow: Members<'_>,
    ) -> Result<Option<Difference>, String> {
        let (ours, theirs) = (&live.deliveries, &shadow.deliveries);
        let ends = |outcome: &Outcome| outcome.remove.iter().copied().collect::<BTreeSet<u64>>();
        let is_same =
            |(ours, theirs): (&Delivery, &Delivery)| ours.to == theirs.to && self.message(ours) == self.message(theirs);
        // Most answers are the same word for word, and nothing needs to be resolved. A group is what each has made of it.
        let are_same =
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(is_same) && !ours.iter().any(names_groups);
        let (ours, theirs) = if are_same {
            (Ok(Received::new()), Ok(Received::new()))
        } else {
            (self.received(ours, of_live), self.received(theirs, of_shadow))
        };
        let (ours, theirs) = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(_), Err(_)) => return Ok(None),
            (Ok(_), Err(words)) => return Err(format!("the candidate's answer can't be delivered: {words}")),
            (Err(words), Ok(_)) => {
                let what = format!("the live rule's answer can't be delivered ({words}), the candidate's can");
                return Ok(Some(Difference { what, ..Difference::default() }));
            }
        };
        let only = |one: &Received<'_>, other: &Received<'_>| {
            one.keys().filter(|pid| !other.contains_key(pid)).copied().collect::<BTreeSet<u64>>()
        };
        let (extra, missing) = (only(&theirs, &ours), only(&ours, &theirs));
        let others = ours.iter().filter(|(pid, got)| theirs.get(pid).is_some_and(|other| other != *got)).count();
        let mut what = Vec::new();
        if !extra.is_empty() || !missing.is_empty() {
            what.push(format!("{} recipients extra, {} missing", extra.len(), missing.len()));
        }
        if others > 0 {
            what.push(format!("{others} recipients get other messages"));
        }
        if ends(live) != ends(shadow) {
            what.push("other subscriptions end".into());
        }
        Ok((!what.is_empty()).then(|| Difference { extra, missing, what: what.join("; ") }))
    }

    /// What each recipient gets, in its order.
    fn received<'b>(&'b self, deliveries: &'b [Delivery], members: Members<'_>) -> Result<Received<'b>, String> {
        let (subscriptions, groups) = (&self.shared.subscriptions, &self.shared.groups);
        let topic = &self.event.topic;
        let mut resolver = Resolver::new(self.plugin, topic, subscriptions, groups, &self.shared.limits);
        let mut received = Received::new();
        for delivery in deliveries {
            let to = self.as_it_was(&delivery.to, members)?;
            for pid in resolver.resolve(to)? {
                received.entry(pid).or_default().push(self.message(delivery));
            }
        }
        Ok(received)
    }

    /// The same list with what it names as it was. Subscribers of other topics are those of now.
    fn as_it_was(&self, to: &Recipients, members: Members<'_>) -> Result<Recipients, String> {
        let mut step = |step: &SetOp| match step {
            SetOp::Members { scope, group } => members(scope, group)
                .map(SetOp::Pids)
                .map_err(|denied| format!("the scope {scope:?} of a recipient expression: {denied}")),
            SetOp::Subscribers(topic) if topic == self.event.topic.as_str() => {
                Ok(SetOp::Pids(self.subscribers.to_vec()))
            }
            other => Ok(other.clone()),
        };
        Ok(match to {
            Recipients::Subscribers => Recipients::Pids(self.subscribers.to_vec()),
            Recipients::Pids(pids) => Recipients::Pids(pids.clone()),
            Recipients::Expression(steps) => {
                Recipients::Expression(steps.iter().map(&mut step).collect::<Result<_, String>>()?)
            }
        })
    }

    /// Forwarding is sending the event's own data.
    fn message<'b>(&'b self, delivery: &'b Delivery) -> Message<'b> {
        match (&delivery.message, &self.event.what) {
            (Some(data), _) | (None, Happening::Publish(data) | Happening::Timer(data)) => Message::Data(data),
            (None, _) => Message::Null,
        }
    }
}

type Received<'a> = HashMap<u64, Vec<Message<'a>>>;

/// One message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message<'a> {
    Data(&'a Payload),
    /// An event that has no data is forwarded as this.
    Null,
}

fn names_groups(delivery: &Delivery) -> bool {
    let Recipients::Expression(steps) = &delivery.to else { return false };
    steps.iter().any(|step| matches!(step, SetOp::Members { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reply;
    use crate::limits::Limits;
    use crate::workers::Workers;

    const ANN: u64 = 1;
    const BOB: u64 = 2;

    fn to(pids: &[u64], message: Option<&str>) -> Delivery {
        let message = message.map(|json| Payload::Json(json.to_owned().into()));
        Delivery { to: Recipients::Pids(pids.to_vec()), message }
    }

    fn routed(deliveries: Vec<Delivery>) -> Said {
        Said::Outcome(Outcome { deliveries, remove: Vec::new() })
    }

    fn verdict(live: &Said, shadow: &Said) -> Verdict {
        let shared = Shared::new(0, Limits { recipients_max: 10, ..Limits::default() }, Workers::new(1).0);
        let event = Event {
            id: 1,
            topic: "a.b".parse().unwrap(),
            sender: None,
            user: None,
            time_ms: 0,
            what: Happening::Publish(Payload::Json("\"own\"".into())),
            reply: Reply::nobody(),
        };
        let comparison = Comparison { event: &event, plugin: &"me".into(), subscribers: &[ANN, BOB], shared: &shared };
        let mut in_group = |_: &str, _: &[u8]| Ok(vec![ANN]);
        let mut in_no_group = |_: &str, _: &[u8]| Ok(Vec::new());
        comparison.verdict(live, shadow, &mut in_group, &mut in_no_group)
    }

    fn words(live: &Said, shadow: &Said) -> String {
        verdict(live, shadow).difference.map_or_else(String::new, |difference| difference.what)
    }

    #[test]
    fn what_everybody_receives_alike_is_the_same_however_it_is_said() {
        let all = || Delivery { to: Recipients::Subscribers, message: None };
        let step = |step| Delivery { to: Recipients::Expression(step), message: None };
        let same = [
            (vec![all()], vec![to(&[BOB, ANN, BOB], None)]),
            (vec![all()], vec![to(&[ANN], None), to(&[BOB], Some("\"own\""))]),
            (vec![all()], vec![step(vec![SetOp::Subscribers("a.b".into())])]),
            (vec![to(&[ANN], Some("1")), to(&[BOB], Some("2"))], vec![to(&[BOB], Some("2")), to(&[ANN], Some("1"))]),
            (vec![all(), to(&[], None)], vec![all()]),
        ];
        for (live, shadow) in same {
            assert_eq!(words(&routed(live), &routed(shadow)), "");
        }
    }

    #[test]
    fn what_somebody_receives_otherwise_is_different() {
        let group = || Delivery {
            to: Recipients::Expression(vec![SetOp::Members { scope: "s".into(), group: vec![1] }]),
            message: Some(Payload::Text("t".into())),
        };
        let other = "1 recipients get other messages";
        let different = [
            (vec![to(&[ANN], Some("1"))], vec![to(&[ANN], Some("2"))], other),
            (
                vec![to(&[ANN], Some("1")), to(&[ANN], Some("2"))],
                vec![to(&[ANN], Some("2")), to(&[ANN], Some("1"))],
                other,
            ),
            (vec![to(&[ANN], Some("1"))], vec![to(&[ANN], Some("1")), to(&[ANN], Some("1"))], other),
            (vec![to(&[ANN], None)], vec![to(&[BOB], None)], "1 recipients extra, 1 missing"),
            (vec![group(), group()], vec![to(&[], None), group()], "0 recipients extra, 1 missing"),
        ];
        for (live, shadow, what) in different {
            assert_eq!(words(&routed(live), &routed(shadow)), what);
        }
        let removing = Said::Outcome(Outcome { deliveries: Vec::new(), remove: vec![ANN] });
        assert_eq!(words(&routed(Vec::new()), &removing), "other subscriptions end");
    }

    #[test]
    fn a_candidate_that_fails_is_different_unless_the_live_rule_failed_too() {
        let (routed, failed) = (|| routed(Vec::new()), || Said::Fault("panicked".into()));
        let refused = |words: &str| Said::Refusal(Refusal::Refused(words.into()));
        let trapped = verdict(&routed(), &failed());
        assert!(trapped.is_trap);
        assert_eq!(trapped.difference.unwrap().what, "the live rule routed it, the candidate failed (panicked)");
        assert_eq!(words(&failed(), &failed()), "");
        assert_eq!(words(&refused("no"), &refused("no")), "");
        let what = "the live rule refused it (no), the candidate refused it (never)";
        assert_eq!(words(&refused("no"), &refused("never")), what);
        let too_many = self::routed(vec![to(&(0..11).collect::<Vec<_>>(), None)]);
        let verdict = verdict(&routed(), &too_many);
        assert!(verdict.is_trap && verdict.difference.unwrap().what.contains("recipients_max"));
    }
}
