//! A topic moves from one plugin to another while it is published to.

use crate::{both, explore, node_of_rule, publish};
use loom::future::block_on;
use loom::thread;
use std::collections::VecDeque;
use volley_loom::deploy::Deployer;
use volley_loom::generation::Generation;
use volley_loom::lane::LaneThread;
use volley_loom::node::row;
use volley_loom::plugin::Plugin;
use volley_loom::router::Rule;
use volley_loom::routes::Route;

/// One event before, and those of each publisher meanwhile: what the plugin before routed, and what waits for the other
/// one in the end, which routes it later than all that comes before: so its lane needs no thread.
fn moved(publishers: &[&'static [u64]]) -> [Vec<u64>; 2] {
    let rule = Rule::new(1, 0);
    let node = node_of_rule(&rule);
    let from = node.plugin();
    let generation = Generation::new(&"other".into(), Rule::new(2, 0), vec![row()], None);
    let to = Plugin::new("other", generation, &node.shared);
    node.publish(publish(1));
    let thread = LaneThread::new(&from, node.shared.clone());
    let routing = thread::spawn(move || thread.route_all());
    let publishers = publishers.iter().map(|ids| {
        let (ids, node) = (*ids, node.clone());
        thread::spawn(move || ids.iter().for_each(|id| node.publish(publish(*id))))
    });
    let publishers: Vec<_> = publishers.collect();
    let deployer = Deployer { node: node.clone() };
    block_on(deployer.set_routes(vec![Route { row: row(), plugin: to.clone() }]));
    let before = rule.asked.lock().unwrap().clone();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    from.only_lane().close();
    routing.join().unwrap();
    assert_eq!(*rule.asked.lock().unwrap(), before, "once it has moved the plugin before has nothing of it");
    let (lane, mut after) = (to.only_lane(), VecDeque::new());
    lane.close();
    while lane.take_batch(&mut after) {}
    [before, after.iter().map(|event| event.id).collect()]
}

#[test]
fn a_topic_that_moves_keeps_the_order_of_its_events() {
    let outcomes = explore(Some(3), || {
        let [before, after] = moved(&[&[2, 3]]);
        assert_eq!([&before[..], &after].concat(), [1, 2, 3], "each once, in order");
        before.len()
    });
    both(&outcomes, [1, 2, 3]);
}

#[test]
fn a_topic_that_moves_keeps_the_order_of_each_publisher() {
    let outcomes = explore(Some(2), || {
        let [before, after] = moved(&[&[2], &[12]]);
        let mut all = [&before[..], &after].concat();
        assert_eq!(all.remove(0), 1);
        all.sort_unstable();
        assert_eq!(all, [2, 12], "each once");
        before.len()
    });
    both(&outcomes, [1, 2, 3]);
}
