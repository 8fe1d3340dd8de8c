//! What was noted of a live instance, given to another one in an empty world, gets the same calls the same answers; and
//! what it leaves behind is noted in the same words.

use super::calls_tests::{Instance, Step, live, shared, steps};
use crate::caller::Caller;
use crate::limits::Limits;
use crate::replay::world;
use crate::router::source::Given;
use crate::tables::Object;
use crate::trace::{Answer, EventLine, Kind, Line, Met, Routed, Term};
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
        prop_assert_eq!(&met_again, &met, "of {:?}", calls);
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

/// What another lane does meanwhile.
fn of_another_event() -> Caller {
    let mut by = Caller::of("me");
    by.event = EVENT + 1;
    by
}

/// The first version had the size as it was before the event, whatever the rule was told.
#[test]
fn a_size_is_replayed_as_it_was_told_while_others_wrote() {
    let mut live = Instance::new(Limits::default());
    let table = live.shared.tables.get("me:set").unwrap();
    live.take(Step::Insert(0, vec![(0, 0)]));
    live.state.begin_call(EVENT);
    live.state.begin_notes(EVENT);
    let calls = [Step::Size(0), Step::Insert(0, vec![(1, 0)]), Step::Size(0), Step::Lookup(0, vec![2]), Step::Size(0)];
    let answers: Vec<String> = calls
        .iter()
        .zip(2..)
        .map(|(step, other)| {
            if let Step::Size(_) = step {
                table.insert(&of_another_event(), vec![Object::new(vec![b'k', other], "1")]).unwrap();
            }
            live.take(step.clone())
        })
        .collect();
    assert_eq!([&*answers[0], &answers[2], &answers[4]], ["2", "4", "5"]);
    let met = live.state.end_notes().unwrap().finish(&live.shared).unwrap();
    let told: Vec<(u64, i64)> = met.counted.iter().map(|counted| (counted.objects, counted.own)).collect();
    assert_eq!(told, [(2, 0), (4, 1), (5, 1)]);
    assert_eq!(noted(&mut given(&met, &live, Limits::default()), &calls).0, answers);
    // And a trace of before, which has the size before the event.
    let old = Met { counted: Vec::new(), sizes: BTreeMap::from([("me:set".into(), 1)]), ..Met::default() };
    assert_eq!(noted(&mut given(&old, &live, Limits::default()), &[Step::Size(0)]).0, ["1"]);
}

#[test]
fn what_an_event_wrote_is_noted_without_what_others_did() {
    let mut live = Instance::new(Limits::default());
    let table = live.shared.tables.get("me:set").unwrap();
    live.state.begin_call(EVENT);
    live.state.begin_notes(EVENT);
    live.take(Step::Join(0, 1, vec![0, 1]));
    live.take(Step::Insert(0, vec![(0, 1)]));
    let scope = live.shared.groups.open(&Caller::of("me"), "scope").unwrap();
    scope.join(&of_another_event(), &[1], &[live.pids[2].to_bits()], &mut Vec::new()).unwrap();
    live.end(1);
    table.insert(&of_another_event(), vec![Object::new(vec![b'k', 0], "2")]).unwrap();
    let met = live.state.end_notes().unwrap().finish(&live.shared).unwrap();
    assert_eq!((&met.groups[0].after, met.groups[0].raced), (&Some(live.pids[..2].to_vec()), true));
    assert_eq!((&met.tables[0].after, met.tables[0].raced), (&Some(vec![Term(b"1".to_vec())]), true));
}

/// It was noted as if the rule had been told what was there before it wrote.
#[test]
fn what_an_event_reads_of_its_own_is_noted_as_it_was_told() {
    let mut live = Instance::new(Limits::default());
    let calls = [
        Step::Insert(0, vec![(0, 1)]),
        Step::Lookup(0, vec![0]),
        Step::Lookup(0, vec![1]),
        Step::Insert(0, vec![(1, 2)]),
        Step::Lookup(0, vec![1]),
        Step::Join(0, 1, vec![0]),
        Step::Members(0, 1),
    ];
    let (_, met) = noted(&mut live, &calls);
    let told = |value: &str| Some(vec![Term(value.as_bytes().to_vec())]);
    let tables: Vec<_> = met.tables.iter().map(|touch| (touch.read, touch.told.clone())).collect();
    assert_eq!(tables, [(false, told("1")), (true, told("2"))]);
    assert_eq!((met.groups[0].read, &met.groups[0].told), (false, &Some(vec![live.pids[0]])));
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
