//! A rule is replaced while its lane routes, and traps while it is replaced; tables change while the lane is held; and
//! whoever asks a lane what waits is told.

use crate::{ALL, explore, node, publish};
use loom::future::block_on;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use volley_loom::lane::{LaneThread, Swap, generation};
use volley_loom::router::Rule;

/// Two events while the first version is replaced by the second, and one after that. An instance is not asked again once
/// it trapped: the stand-in sees to that.
fn replaced_while_routing(old_traps_at: usize, new_traps_at: usize, check: fn(&[Result<u64, String>], [usize; 2])) {
    explore(ALL, move || {
        let node = node();
        let (old, new) = (Rule::new(1, old_traps_at), Rule::new(2, new_traps_at));
        let first = generation(&old, None, &node.shared);
        let second = generation(&new, Some(&first), &node.shared);
        let published = Swap::new(first);
        let lane = node.lane();
        let thread = LaneThread::new(&lane, published.clone(), node.shared.clone());
        let outcomes = thread.outcomes();
        let routing = thread::spawn(move || thread.route_all());
        for id in 1..=2 {
            assert!(lane.offer(publish(id)).is_ok());
        }
        published.store(second);
        assert!(lane.offer(publish(3)).is_ok());
        lane.close();
        routing.join().unwrap();
        let outcomes = outcomes.lock().unwrap();
        assert_eq!(outcomes.len(), 3, "each is routed once");
        let count = |count: fn(&Rule) -> usize| [&old, &new].map(|rule: &Arc<Rule>| count(rule));
        check(&outcomes, count(|rule| rule.made.load(SeqCst)));
        assert_eq!(count(|rule| rule.instances.load(SeqCst)), [0, 0], "none is left behind");
    });
}

/// Nothing is routed meanwhile, and afterwards all of it by the version that the tables are for.
#[test]
fn what_waits_while_tables_change_is_the_new_rules() {
    explore(ALL, || {
        let node = node();
        let tables = Arc::new(AtomicU64::new(1));
        let [old, new] = [1, 2].map(|version| Rule::with_tables(version, &tables));
        let first = generation(&old, None, &node.shared);
        let second = generation(&new, Some(&first), &node.shared);
        let published = Swap::new(first);
        let lane = node.lane();
        let thread = LaneThread::new(&lane, published.clone(), node.shared.clone());
        let outcomes = thread.outcomes();
        let routing = thread::spawn(move || thread.route_all());
        assert!(lane.offer(publish(1)).is_ok());
        let held = lane.hold();
        tables.store(2, SeqCst);
        published.store(second);
        held.let_go();
        assert!(lane.offer(publish(2)).is_ok());
        lane.close();
        routing.join().unwrap();
        assert_eq!(versions(&outcomes.lock().unwrap()).last(), Some(&2));
    });
}

/// An event that is neither waiting nor done would be forgotten by whoever moves its topic elsewhere.
#[test]
fn an_event_waits_until_it_is_routed() {
    explore(ALL, || {
        let node = node();
        let lane = node.lane();
        let published = Swap::new(generation(&Rule::new(1, 0), None, &node.shared));
        let thread = LaneThread::new(&lane, published, node.shared.clone());
        let outcomes = thread.outcomes();
        let routing = thread::spawn(move || thread.route_all());
        assert!(lane.offer(publish(1)).is_ok());
        let told = lane.any_waiting(|_| true);
        let waits = block_on(told.received()).expect("the lane is there");
        let routed = outcomes.lock().unwrap().len();
        assert!(waits || routed == 1, "it is in nobody's hands");
        lane.close();
        routing.join().unwrap();
        assert_eq!(outcomes.lock().unwrap().len(), 1);
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
        assert_eq!(made, [1, 1]);
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
        assert_eq!(made, [1, 1 + failed], "one event each, and a fresh instance for the next: {outcomes:?}");
    });
}
