//! Models of the places where threads meet: loom runs each through every interleaving, or, where it says so, through
//! every one with so many preemptions. A wake that is lost shows as a deadlock. `../injected-bugs` shows that they see.
//!
//! What they do not see: two atomics that a processor reorders around a lock (loom's locks are stronger than the real
//! ones), what `Arc` and `OnceLock` do inside, and time: a clock says what the model lets it say.

mod control;
mod ends;
mod moving;
mod polls;
mod queue;
mod report;
mod streams;
mod swap;
mod tasks;
mod wheel;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use volley_loom::event::{Event, Happening, Reply};
use volley_loom::limits::Limits;
use volley_loom::message::Message;
use volley_loom::node::Node;
use volley_loom::payload::Payload;
use volley_loom::pid::Pid;
use volley_loom::router::Rule;
use volley_loom::shared::Shared;
use volley_loom::token::Token;
use volley_loom::volley::Volley;

/// Any number of preemptions.
const ALL: Option<usize> = None;

/// Runs a model through its interleavings; how it came out, in all the ways that it did.
fn explore<O: Ord + Send + 'static>(
    preemptions: Option<usize>,
    model: impl Fn() -> O + Send + Sync + 'static,
) -> BTreeSet<O> {
    let outcomes = Arc::new(Mutex::new((0, BTreeSet::new())));
    let (seen, start) = (outcomes.clone(), Instant::now());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        volley_loom::clock::set(0);
        let outcome = model();
        let mut seen = seen.lock().expect("a model that panics ends the test");
        seen.0 += 1;
        seen.1.insert(outcome);
    });
    let mut outcomes = outcomes.lock().expect("a model that panics ends the test");
    println!("{} interleavings in {:.1} s", outcomes.0, start.elapsed().as_secs_f32());
    std::mem::take(&mut outcomes.1)
}

/// A race has to come out in each of these ways, or the model does not race.
fn both<O: Ord + std::fmt::Debug, const N: usize>(outcomes: &BTreeSet<O>, expected: [O; N]) {
    assert_eq!(*outcomes, BTreeSet::from(expected));
}

/// A session lingers for one tick.
fn node() -> Arc<Node> {
    node_of(Limits { linger_ms: 50, ..Limits::default() })
}

fn node_of_rule(rule: &Arc<Rule>) -> Arc<Node> {
    Node::of_rule(Arc::new(Shared::new(Limits { linger_ms: 50, ..Limits::default() })), rule.clone())
}

fn node_of(limits: Limits) -> Arc<Node> {
    Node::new(Arc::new(Shared::new(limits)))
}

fn event(id: u64, what: Happening) -> Event {
    let topic = "a".parse().expect("a topic");
    Event { id, topic, sender: None, user: None, time_ms: 0, what, reply: Reply::nobody() }
}

fn publish(id: u64) -> Event {
    event(id, Happening::Publish(Payload::Text("x".into())))
}

fn open(node: &Node) -> Token {
    node.shared.sessions.open(None, None).expect("there is room")
}

/// One event to one session: delivered, then fired, as a lane does it; how many live recipients it had.
fn volley(node: &Node, pid: Pid, text: &str) -> u64 {
    let shared = &node.shared;
    let message = Message::new(text.into(), &shared.sessions.message_bytes);
    let mut volley = Volley::new(1);
    volley.begin();
    let live = volley.deliver(&shared.sessions, &[pid.to_bits()], &message, drop);
    volley.fire(&shared.sessions, &shared.workers, &shared.limits);
    live
}

/// What a poll gets that does not wait.
fn ask_now(node: &Arc<Node>, pid: Pid) -> String {
    let socket = volley_loom::socket::Socket::new();
    loom::future::block_on(volley_loom::bare::poll(&socket, node, pid, None, 0).answered());
    socket.client().answers().concat()
}
