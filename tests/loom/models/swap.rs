//! A rule is replaced while its lane routes, and traps while it is replaced.

use crate::{ALL, explore, node, publish};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use volley_loom::lane::{LaneThread, Swap};
use volley_loom::router::Mounted;

/// Two events while the first version is replaced by the second, and one after that. An instance is not asked again once
/// it trapped: the stand-in sees to that.
fn replaced_while_routing(old_traps_at: usize, new_traps_at: usize, check: fn(&[Result<u64, String>], [usize; 2])) {
    explore(ALL, move || {
        let node = node();
        let (old, new) = (Mounted::new(1, old_traps_at), Mounted::new(2, new_traps_at));
        let mounted = Swap::new(old.clone());
        let lane = node.lane();
        let thread = LaneThread::new(&lane, mounted.clone(), node.shared.clone());
        let routing = thread::spawn(move || thread.run());
        for id in 1..=2 {
            assert!(lane.offer(publish(id)).is_ok());
        }
        mounted.store(new.clone());
        assert!(lane.offer(publish(3)).is_ok());
        lane.close();
        let outcomes = routing.join().unwrap();
        assert_eq!(outcomes.len(), 3, "each is routed once");
        let count = |count: fn(&Mounted) -> usize| [&old, &new].map(|mounted: &Arc<Mounted>| count(mounted));
        check(&outcomes, count(|mounted| mounted.made.load(SeqCst)));
        assert_eq!(count(|mounted| mounted.instances.load(SeqCst)), [0, 0], "none is left behind");
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
        assert_eq!(made, [1, failed], "one event each, and a fresh instance for the next: {outcomes:?}");
    });
}
