//! Calls into a lane's thread: each is done, or its caller is told that it never will be.

use crate::{ALL, both, explore, node, node_of_rule, publish};
use loom::future::block_on;
use loom::thread;
use std::time::Duration;
use volley_loom::lane::LaneThread;
use volley_loom::router::Rule;

#[test]
fn a_call_is_done_by_a_lane_that_falls_asleep() {
    explore(ALL, || {
        let node = node();
        let (plugin, lane) = (node.plugin(), node.lane());
        let thread = LaneThread::new(&plugin, node.shared.clone());
        let routing = thread::spawn(move || thread.route_all());
        // No event comes: a call that is missed here is waited for for ever.
        assert!(block_on(plugin.settled(Duration::MAX)), "it is there");
        lane.close();
        assert!(routing.join().unwrap().is_empty());
    });
}

#[test]
fn a_call_against_an_event() {
    explore(Some(2), || {
        let node = node();
        let (plugin, lane) = (node.plugin(), node.lane());
        let thread = LaneThread::new(&plugin, node.shared.clone());
        let routing = thread::spawn(move || thread.route_all());
        let publisher = thread::spawn({
            let lane = lane.clone();
            move || assert!(lane.offer(publish(1)).is_ok())
        });
        assert!(block_on(plugin.settled(Duration::MAX)), "it is there");
        publisher.join().unwrap();
        lane.close();
        assert_eq!(routing.join().unwrap(), [Ok(1)]);
    });
}

#[test]
fn a_call_against_close() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (plugin, lane) = (node.plugin(), node.lane());
        let thread = LaneThread::new(&plugin, node.shared.clone());
        let routing = thread::spawn(move || thread.route_all());
        let ends = thread::spawn(move || lane.close());
        let told = block_on(plugin.settled(Duration::MAX));
        ends.join().unwrap();
        routing.join().unwrap();
        told
    });
    both(&outcomes, [false, true]);
}

#[test]
fn nothing_waits_only_once_all_is_routed() {
    let outcomes = explore(Some(3), || {
        let rule = Rule::new(1, 0);
        let node = node_of_rule(&rule);
        let (plugin, lane) = (node.plugin(), node.lane());
        let thread = LaneThread::new(&plugin, node.shared.clone());
        let routing = thread::spawn(move || thread.route_all());
        assert!(lane.offer(publish(1)).is_ok());
        let waits = block_on(plugin.any_waiting(|_| true));
        assert!(waits || *rule.asked.lock().unwrap() == [1], "one that is in the lane's hand waits, too");
        lane.close();
        assert_eq!(routing.join().unwrap(), [Ok(1)]);
        waits
    });
    both(&outcomes, [false, true]);
}
