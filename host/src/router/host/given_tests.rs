//! What was noted of a live instance, given to another one in an empty world, gets the same calls the same answers; and
//! what it leaves behind is noted in the same words.

use super::calls_tests::{Instance, Step, live, shared, steps};
use crate::caller::Caller;
use crate::limits::Limits;
use crate::replay::world;
use crate::router::source::Given;
use crate::trace::{Answer, EventLine, Kind, Line, Met, Routed};
use proptest::prelude::*;
use std::collections::BTreeMap;

const EVENT: u64 = 7;
const LONG_MS: u64 = 3_600_000;

/// What opens something new is there for good, and whose session ends meanwhile is no call of the rule.
fn is_a_call(step: &Step) -> bool {
    !matches!(step, Step::OpenNew(_) | Step::OpenScope(_) | Step::Open(..) | Step::Exit(_))
}

fn line(met: Met) -> EventLine {
    EventLine {
        event: EVENT,
        time_ms: 1,
        topic: "a.b".parse().unwrap(),
        kind: Kind::Publish,
        sender: None,
        user: None,
        data: None,
        reason: None,
        params: None,
        by: 1,
        generation: 1,
        users: BTreeMap::new(),
        subscribers: BTreeMap::new(),
        met,
        answer: Answer::Routed(Routed::default()),
        fell_back: None,
        instead: None,
        unrouted: None,
    }
}

fn noted(instance: &mut Instance, steps: &[Step]) -> (Vec<String>, Met) {
    instance.state.begin_call(EVENT);
    instance.state.begin_notes(EVENT);
    let answers = steps.iter().map(|step| instance.take(step.clone())).collect();
    let notes = instance.state.end_notes().unwrap();
    (answers, notes.finish(&instance.shared).expect("there is room"))
}

/// A further instance in an empty world of the same sessions, which meets with that.
fn given(met: &Met, before: &Instance, limits: Limits) -> Instance {
    let shared = shared(limits);
    let mut instance = Instance::on(live(&shared), before.pids.clone());
    world::set(&shared, &Caller::of("me"), met);
    // A line of a trace is all that a replay has.
    let Ok(Line::Event(read)) = Line::parse(&String::from_utf8(Line::Event(line(met.clone())).render()).unwrap())
    else {
        panic!("it is an event")
    };
    assert_eq!(read.met, *met);
    instance.state.give(Given::of(&read));
    instance
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_gets_the_answers_that_were_recorded(
        before in steps(LONG_MS, 20),
        ended in prop::collection::vec(0..5usize, 0..3),
        calls in steps(LONG_MS, 12),
    ) {
        let limits = || Limits { timers_max: 6, ..Limits::default() };
        let mut live = Instance::new(limits());
        before.into_iter().filter(is_a_call).for_each(|step| drop(live.take(step)));
        for index in ended {
            live.end(index);
        }
        let calls: Vec<Step> = calls.into_iter().filter(is_a_call).collect();
        let (answers, met) = noted(&mut live, &calls);
        let mut again = given(&met, &live, limits());
        let (answers_again, met_again) = noted(&mut again, &calls);
        prop_assert_eq!(&answers_again, &answers, "of {:?} that met with {:?}", calls, met);
        let noted_again = Met { sizes: met.sizes.clone(), ..met_again };
        prop_assert_eq!(&noted_again, &met, "of {:?}", calls);
        world::clear(&again.shared, &Caller::of("me"), &met);
        prop_assert_eq!((again.shared.tables.dump().iter().any(|table| table.contains('[')), again.shared.groups.memberships()), (false, 0));
    }
}

/// The first version of the notes had the group among what was there before.
#[test]
fn what_an_event_joins_by_itself_was_no_membership_before_it() {
    let calls = [Step::Join(0, 0, vec![3]), Step::Groups(0, 3), Step::Leave(0, 0, vec![3]), Step::Groups(0, 3)];
    let mut live = Instance::new(Limits::default());
    let (answers, met) = noted(&mut live, &calls);
    assert!(met.memberships.iter().all(|of| of.groups.is_empty()), "{met:?}");
    let mut again = given(&met, &live, Limits::default());
    assert_eq!(noted(&mut again, &calls).0, answers);
}

/// The first version of a replay had it cancelled as often as it was asked to.
#[test]
fn a_timer_is_cancelled_once() {
    let mut live = Instance::new(Limits::default());
    live.take(Step::SendAfter(LONG_MS));
    let calls = [Step::Cancel(1), Step::Cancel(1), Step::SendAfter(LONG_MS), Step::Cancel(2), Step::Cancel(2)];
    let (answers, met) = noted(&mut live, &calls);
    let mut again = given(&met, &live, Limits::default());
    assert_eq!(noted(&mut again, &calls).0, answers);
}

#[test]
fn beyond_what_is_given_time_stands_and_chance_is_the_same_twice() {
    let met = Met { system_ms: vec![5, 6], random: vec![1], ..Met::default() };
    let look = || {
        let live = Instance::new(Limits::default());
        let mut again = given(&met, &live, Limits::default());
        let times: Vec<String> = (0..3).map(|_| again.take(Step::Time)).collect();
        (times, again.take(Step::Rand(3)), again.take(Step::SendAfter(10)), again.take(Step::Cancel((1 << 52) + 1)))
    };
    let (times, random, set, cancelled) = look();
    assert_eq!(times, ["(5, 0)", "(6, 0)", "(6, 0)"]);
    assert!(random.starts_with("[1, "), "{random}");
    assert!(set.contains(&((1_u64 << 52) + 1).to_string()) && cancelled.contains("true"), "{set} {cancelled}");
    assert_eq!(look(), (times, random, set, cancelled));
}
