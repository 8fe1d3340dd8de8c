//! A rule is replaced while its lane routes, and traps while it is replaced, and while its lane is held.

use crate::{ALL, explore, node_of_rule, publish};
use loom::future::block_on;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use volley_loom::generation::Generation;
use volley_loom::lane::LaneThread;
use volley_loom::node::{Node, row};
use volley_loom::router::{Guest, Rule};

/// The next generation, as whoever deploys makes it: with an instance that is warm, if there is to be one.
fn publish_next(node: &Node, rule: &Arc<Rule>, is_warm: bool) {
    let plugin = node.plugin();
    let next = Generation::new(plugin.name(), rule.clone(), vec![row()], Some(&plugin.generation()));
    let warm = if is_warm { vec![Guest::live(&next.mounted[0], &node.shared).unwrap()] } else { vec![] };
    plugin.publish(Arc::new(next.with_warm(vec![warm])));
}

/// Two events while the first version is replaced by the second, and one after that. An instance is not asked again once
/// it trapped: the stand-in sees to that.
fn replaced_while_routing(old_traps_at: usize, new_traps_at: usize, check: fn(&[Result<u64, String>], [usize; 2])) {
    explore(ALL, move || {
        let (old, new) = (Rule::new(1, old_traps_at), Rule::new(2, new_traps_at));
        let node = node_of_rule(&old);
        let lane = node.lane();
        let thread = LaneThread::new(&node.plugin(), node.shared.clone());
        let routing = thread::spawn(move || thread.route_all());
        for id in 1..=2 {
            assert!(lane.offer(publish(id)).is_ok());
        }
        publish_next(&node, &new, true);
        assert!(lane.offer(publish(3)).is_ok());
        lane.close();
        let outcomes = routing.join().unwrap();
        assert_eq!(outcomes.len(), 3, "each is routed once");
        let count = |count: fn(&Rule) -> usize| [&old, &new].map(|rule: &Arc<Rule>| count(rule));
        check(&outcomes, count(|rule| rule.made.load(SeqCst)));
        assert_eq!(count(|rule| rule.instances.load(SeqCst)), [0, 0], "none is left behind");
    });
}

/// Which version each event was routed by, or failed of.
fn versions(outcomes: &[Result<u64, String>]) -> Vec<u64> {
    let failed = |words: &String| words.chars().find_map(|c| c.to_digit(10)).expect("its version").into();
    outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(failed, |version| *version)).collect()
}

fn is_in_order(outcomes: &[Result<u64, String>]) {
    let versions = versions(outcomes);
    assert!(versions.is_sorted(), "never back to an older one: {versions:?}");
    assert_eq!(versions[2], 2, "what comes after the swap is the new one's: {versions:?}");
}

#[test]
fn what_comes_after_the_swap_is_routed_by_the_new_rule() {
    replaced_while_routing(0, 0, |outcomes, made| {
        is_in_order(outcomes);
        assert!(outcomes.iter().all(Result::is_ok));
        assert!(made[0] <= 1 && made[1] == 1, "the warm one is taken over: {made:?}");
    });
}

#[test]
fn a_trap_of_the_old_rule_is_the_old_rules() {
    replaced_while_routing(1, 0, |outcomes, made| {
        is_in_order(outcomes);
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert_eq!(failed, versions(outcomes).iter().filter(|version| **version == 1).count(), "{outcomes:?}");
        assert_eq!(made[1], 1, "the new rule's instance is not replaced for it: {outcomes:?}");
    });
}

#[test]
fn a_trap_of_the_new_rule_does_not_bring_back_the_old_one() {
    replaced_while_routing(0, 1, |outcomes, made| {
        is_in_order(outcomes);
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert_eq!(made[1], 1 + failed, "one event each, and a fresh instance for the next: {outcomes:?}");
    });
}

#[test]
fn what_comes_after_a_lane_was_held_is_routed_by_the_new_rule() {
    const LONG: Duration = Duration::MAX;
    explore(Some(3), || {
        let (old, new) = (Rule::new(1, 0), Rule::new(2, 0));
        let node = node_of_rule(&old);
        let (plugin, lane) = (node.plugin(), node.lane());
        let thread = LaneThread::new(&plugin, node.shared.clone());
        let routing = thread::spawn(move || thread.route_all());
        assert!(lane.offer(publish(1)).is_ok());
        let paused = block_on(plugin.pause(LONG)).unwrap();
        let asked = |rule: &Rule| rule.asked.lock().unwrap().len();
        let before = asked(&old);
        assert!(lane.offer(publish(2)).is_ok());
        publish_next(&node, &new, true);
        assert_eq!((asked(&old), asked(&new)), (before, 0), "nothing is routed while it is held");
        drop(paused);
        assert!(block_on(plugin.settled(LONG)));
        assert_eq!(old.instances.load(SeqCst), 0, "what nobody needs is let go of");
        lane.close();
        let outcomes = routing.join().unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
        let versions = versions(&outcomes);
        assert_eq!(versions[before..], [2, 2][before..], "what is routed after it was held is the new one's");
        assert_eq!((asked(&old), asked(&old) + asked(&new)), (before, 2), "each is routed by one");
        assert_eq!((new.made.load(SeqCst), new.instances.load(SeqCst)), (1, 0), "the warm one is taken over");
        before
    });
}
