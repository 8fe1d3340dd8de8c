//! The end of a session against all that would still count on it: a poll, a subscription, a group, its PID.

use crate::{ALL, both, explore, node, node_of_rule, open, volley};
use loom::future::block_on;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use volley_loom::bare::poll;
use volley_loom::caller::Caller;
use volley_loom::clock;
use volley_loom::lane::LaneThread;
use volley_loom::router::Rule;
use volley_loom::session::ExitReason;
use volley_loom::socket::Socket;
use volley_loom::topic::Topic;
use volley_loom::volley::Writer;

#[test]
fn linger_expiry_against_a_poll() {
    let outcomes = explore(ALL, || {
        let node = node();
        let (token, socket) = (open(&node), Socket::new());
        clock::set(50);
        let clock = thread::spawn({
            let node = node.clone();
            move || node.tick(&mut Writer::default())
        });
        let sessions = &node.shared.sessions;
        let heard = sessions.authenticate(&token).is_some();
        let polled = poll(&socket, &node, token.pid, None, 1);
        clock.join().unwrap();
        let parked = u64::from(polled.is_parked());
        assert_eq!((sessions.live(), sessions.parked()), (parked, parked), "no poll waits in a dead session");
        let polled_on = polled.is_parked();
        assert!(!heard || polled_on, "who was heard has not lingered");
        // And if it lives, its entry in the wheel does, too.
        clock::set(200);
        node.tick(&mut Writer::default());
        assert!(block_on(polled.answered()));
        assert_eq!(socket.client().answers(), [if parked == 1 { "deadline" } else { "session over" }]);
        clock::set(400);
        node.tick(&mut Writer::default());
        assert_eq!((sessions.live(), sessions.parked()), (0, 0));
        (heard, polled_on)
    });
    both(&outcomes, [(false, false), (true, true)]);
}

#[test]
fn linger_expiry_against_the_end() {
    let outcomes = explore(ALL, || {
        let node = node();
        let pid = open(&node).pid;
        clock::set(50);
        let clock = thread::spawn({
            let node = node.clone();
            move || node.tick(&mut Writer::default())
        });
        let ended = node.end_session(pid, ExitReason::Normal);
        clock.join().unwrap();
        assert_eq!(node.shared.sessions.live(), 0, "it ends once");
        // Its slot is free once: two sessions have two slots.
        assert_ne!(open(&node).pid.slot(), open(&node).pid.slot());
        assert!(node.shared.sessions.open(None, None).is_err());
        ended
    });
    both(&outcomes, [false, true]);
}

#[test]
fn a_subscription_against_the_end() {
    let outcomes = explore(ALL, || {
        let rule = Rule::new(1, 0);
        let node = node_of_rule(&rule);
        let pid = open(&node).pid;
        let topic: Topic = "a".parse().unwrap();
        let lane = node.lane();
        node.join(&topic, pid);
        let routing = thread::spawn({
            let thread = LaneThread::new(&node.plugin(), node.shared.clone());
            move || thread.route_all()
        });
        assert!(node.end_session(pid, ExitReason::Normal));
        lane.close();
        let routed = routing.join().unwrap().len();
        let mut left = Vec::new();
        node.shared.subscriptions.copy_into("a", &mut left);
        assert_eq!((left, node.shared.subscriptions.topics()), (vec![], 0), "no dead PID is subscribed");
        assert_eq!(rule.members.load(SeqCst), 0, "whoever joined has left, as the rule sees it");
        assert_eq!(lane.queued(), 0);
        routed
    });
    both(&outcomes, [0, 1, 2]);
}

#[test]
fn a_group_against_the_end() {
    let outcomes = explore(ALL, || {
        let node = node();
        let pid = open(&node).pid;
        let groups = &node.shared.groups;
        let by = Arc::new(Caller::of("plugin"));
        let scope = groups.open(&by, "scope").unwrap();
        let rule = thread::spawn({
            let (scope, by) = (scope.clone(), by.clone());
            move || scope.join(&by, b"group", &[pid.to_bits()], &mut Vec::new()).unwrap()
        });
        assert!(node.end_session(pid, ExitReason::Normal));
        let joined = rule.join().unwrap();
        assert_eq!((scope.members(&by, b"group"), groups.memberships()), (vec![], 0), "no dead PID is a member");
        joined
    });
    both(&outcomes, [0, 1]);
}

#[test]
fn a_slot_that_is_used_again_gets_no_old_mail() {
    let outcomes = explore(ALL, || {
        let node = node();
        let (old, _other) = (open(&node).pid, open(&node).pid);
        let lane = thread::spawn({
            let node = node.clone();
            move || volley(&node, old, "a")
        });
        assert!(node.end_session(old, ExitReason::Normal));
        let new = open(&node).pid;
        assert_eq!((new.slot(), new == old), (old.slot(), false));
        let live = lane.join().unwrap();
        let newest = node.shared.sessions.with(new, |session| session.mailbox.newest());
        assert_eq!(newest, Some(0));
        live
    });
    both(&outcomes, [0, 1]);
}

#[test]
fn the_count_of_sessions_holds() {
    explore(ALL, || {
        let node = crate::node_of(volley_loom::limits::Limits { sessions_max: 1, ..Default::default() });
        let other = thread::spawn({
            let node = node.clone();
            move || node.shared.sessions.open(None, None).map(|token| token.pid).ok()
        });
        let pids = [node.shared.sessions.open(None, None).map(|token| token.pid).ok(), other.join().unwrap()];
        let opened = pids.iter().flatten().count() as u64;
        assert!(opened <= 1, "sessions_max");
        assert_eq!(node.shared.sessions.live(), opened);
    });
}
