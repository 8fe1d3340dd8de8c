//! A shadow that makes the same calls gets the same answers, however much later it makes them and whatever happens to the
//! same tables, groups and sessions meanwhile.

use super::calls_tests::{Instance, Step, live, shared, steps};
use super::*;
use crate::limits::Limits;
use crate::pid::Pid;
use crate::router::{Engine, Mounted};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;

const TTL_MS: u64 = 2;

/// What happens next.
#[derive(Clone, Debug)]
enum Move {
    /// A lane makes the next call of its event, or begins the next event.
    Call(usize),
    /// The shadow is played the oldest event that waits.
    Replay,
    /// Time passes, so that what is to expire expires.
    Wait,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let next = prop_oneof![
        30 => (0..3usize).prop_map(Move::Call),
        2 => Just(Move::Replay),
        1 => Just(Move::Wait),
    ];
    prop::collection::vec(next, 0..150)
}

/// An event as it is routed live.
struct Routed {
    event: u64,
    steps: Vec<Step>,
    answers: Vec<String>,
    pids: Vec<Pid>,
    tape: Option<Tape>,
}

struct Lane {
    instance: Instance,
    events: Vec<Vec<Step>>,
    routing: Option<Routed>,
}

static OF: LazyLock<Arc<Mounted>> = LazyLock::new(|| {
    let engine = Engine::new(&Limits::default()).unwrap();
    let rule = engine.compile(crate::bundled::component("topic").unwrap()).unwrap();
    Arc::new(Mounted { plugin: "me".into(), config: "null".into(), rule: Arc::new(rule) })
});

impl Lane {
    /// One call; the event if it is over. Sessions that end are followed by others.
    fn call(&mut self, pids: &mut [Pid]) -> Option<Routed> {
        let shared = self.instance.shared.clone();
        let Some(routing) = &mut self.routing else {
            let steps = self.events.pop()?;
            let event = shared.event_ids.next();
            self.instance.pids = pids.to_vec();
            self.instance.state.begin_call(event);
            self.instance.state.begin_tape(Tape::begin(shared.feed.look_back(), OF.clone(), event));
            self.routing = Some(Routed { event, steps, answers: Vec::new(), pids: pids.to_vec(), tape: None });
            return None;
        };
        if let Some(step) = routing.steps.get(routing.answers.len()) {
            routing.answers.push(self.instance.take(step.clone()));
            if let Step::Exit(index) = step {
                pids[*index] = shared.sessions.open(None, None).unwrap().pid;
            }
            return None;
        }
        routing.tape = self.instance.state.end_tape();
        self.routing.take()
    }
}

fn replay(shadow: &mut Instance, routed: Routed) -> Result<(), TestCaseError> {
    let Routed { event, steps, answers, pids, tape } = routed;
    let tape = tape.unwrap();
    prop_assert!(!tape.is_useless());
    shadow.pids = pids;
    shadow.state.begin_replay(tape);
    shadow.state.begin_call(event);
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| !matches!(step, Step::Exit(_))) {
        let answer = shadow.take(step.clone());
        prop_assert_eq!(&answer, &answers[at], "call {} of {:?}", at, steps);
    }
    shadow.state.end_replay();
    Ok(())
}

/// What opens something new changes what is there for good, which is not looked back to.
fn is_replayed(step: &Step) -> bool {
    !matches!(step, Step::OpenNew(_) | Step::OpenScope(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_shadow_is_answered_as_the_live_rule_was(
        lanes in prop::collection::vec(prop::collection::vec(steps(TTL_MS, 8), 0..8), 3),
        moves in moves(),
    ) {
        let shared = shared(Limits { timers_max: 6, ..Limits::default() });
        let mut pids: Vec<Pid> = (0..5).map(|_| shared.sessions.open(None, None).unwrap().pid).collect();
        let lane = |events: Vec<Vec<Step>>| {
            let keep = |steps: Vec<Step>| steps.into_iter().filter(is_replayed).collect();
            let instance = Instance::on(live(&shared), pids.clone());
            Lane { instance, events: events.into_iter().map(keep).collect(), routing: None }
        };
        let mut lanes: Vec<Lane> = lanes.into_iter().map(lane).collect();
        let mut shadow = HostState::new("me".into(), "v2".into(), &shared);
        shadow.become_shadow();
        let mut shadow = Instance::on(shadow, pids.clone());
        let mut waiting = VecDeque::new();
        for next in moves {
            match next {
                Move::Call(lane) => waiting.extend(lanes[lane].call(&mut pids)),
                Move::Replay => waiting.pop_front().map_or(Ok(()), |routed| replay(&mut shadow, routed))?,
                Move::Wait => {
                    let until_ms = crate::clock::now_ms() + TTL_MS;
                    while crate::clock::now_ms() <= until_ms {
                        std::hint::spin_loop();
                    }
                }
            }
        }
        waiting.into_iter().try_for_each(|routed| replay(&mut shadow, routed))?;
        drop(lanes);
        shared.tables.forget();
        shared.groups.forget();
        prop_assert_eq!(shared.feed.bytes(), 0, "nothing is remembered for nobody");
    }
}

/// A live instance and a shadow of the same plugin.
fn pair() -> (Instance, Instance) {
    let live = Instance::new(Limits::default());
    let mut shadow = HostState::new("me".into(), "v2".into(), &live.shared);
    shadow.become_shadow();
    let pids = live.pids.clone();
    (live, Instance::on(shadow, pids))
}

/// Has the live instance take the steps for an event.
fn tape(live: &mut Instance, event: u64, steps: &[Step]) -> Tape {
    live.state.begin_call(event);
    live.state.begin_tape(Tape::begin(live.shared.feed.look_back(), OF.clone(), event));
    for step in steps {
        live.take(step.clone());
    }
    live.state.end_tape().unwrap()
}

fn looks() -> [Step; 5] {
    [Step::Lookup(0, vec![1]), Step::Select(0, false, None, 9), Step::Size(0), Step::Members(0, 1), Step::Groups(0, 0)]
}

fn look(instance: &mut Instance) -> Vec<String> {
    looks().into_iter().map(|step| instance.take(step)).collect()
}

#[test]
fn a_candidate_that_writes_less_does_not_see_what_the_live_rule_wrote() {
    let (mut live, mut shadow) = pair();
    let nothing = look(&mut live);
    let writes = [Step::Insert(0, vec![(1, 1)]), Step::Join(0, 1, vec![0]), Step::Insert(0, vec![(1, 2)])];
    let tape = tape(&mut live, 1, &[&writes[..], &looks()].concat());
    shadow.state.begin_replay(tape);
    shadow.state.begin_call(1);
    assert_eq!(look(&mut shadow), nothing);
    assert_ne!(look(&mut live), nothing);
}

#[test]
fn what_a_shadow_writes_is_its_own_until_the_event_is_over() {
    let (mut live, mut shadow) = pair();
    live.take(Step::Insert(0, vec![(0, 0)]));
    let as_it_is = look(&mut live);
    let [first, second] = [1, 2].map(|event| tape(&mut live, event, &looks()));
    shadow.state.begin_replay(first);
    shadow.state.begin_call(1);
    assert_eq!(look(&mut shadow), as_it_is);
    for step in [Step::Insert(0, vec![(1, 1)]), Step::Take(0, 0), Step::Join(0, 1, vec![0]), Step::SendAfter(10)] {
        shadow.take(step);
    }
    let of_its_own = look(&mut shadow);
    assert!(as_it_is.iter().zip(&of_its_own).enumerate().all(|(at, (was, is))| (was == is) == (at == 2)), "same size");
    assert_eq!((look(&mut live), live.shared.timers.count()), (as_it_is.clone(), 0));
    shadow.state.end_replay();
    shadow.state.begin_replay(second);
    shadow.state.begin_call(2);
    assert_eq!(look(&mut shadow), as_it_is);
}
