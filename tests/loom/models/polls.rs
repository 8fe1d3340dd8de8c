//! A parked poll and all who may take it: a volley, the deadline, a second poll, its own task, the session's end, the
//! drain. Whatever their order, it is answered once, and no message is lost.

use crate::{ALL, ask_now, both, explore, node, open, volley};
use loom::future::block_on;
use loom::thread;
use volley_loom::bare::{poll, poll_for, publish};
use volley_loom::limits::Limits;
use volley_loom::session::ExitReason;
use volley_loom::socket::Socket;
use volley_loom::volley::Writer;
use volley_loom::{clock, node::Node, pid::Pid};

/// Nobody waits any more, and so many sessions are there.
fn at_rest(node: &Node, live: u64) {
    assert_eq!((node.shared.sessions.parked(), node.shared.sessions.live()), (0, live), "parked and live");
}

fn end(node: &Node, pid: Pid) -> bool {
    node.end_session(pid, ExitReason::Normal)
}

#[test]
fn park_against_deliver() {
    explore(ALL, || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let lane = thread::spawn({
            let node = node.clone();
            move || assert_eq!(volley(&node, pid, "a"), 1)
        });
        assert_eq!(block_on(poll_for(&socket, &node, pid, 1)), ["1:a"], "once, and at once");
        lane.join().unwrap();
        at_rest(&node, 1);
    });
}

#[test]
fn park_against_two_deliveries() {
    let outcomes = explore(Some(4), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let lane = thread::spawn({
            let node = node.clone();
            move || {
                volley(&node, pid, "a");
                volley(&node, pid, "b");
            }
        });
        let answers = block_on(poll_for(&socket, &node, pid, 2));
        assert!(answers == ["2:a,b"] || answers == ["1:a", "2:b"], "each once, in order: {answers:?}");
        lane.join().unwrap();
        at_rest(&node, 1);
        answers
    });
    both(&outcomes, [vec!["2:a,b".to_owned()], vec!["1:a".to_owned(), "2:b".to_owned()]]);
}

#[test]
fn two_lanes_deliver_to_one_poll() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let parked = poll(&socket, &node, pid, None, 60_000);
        let lanes = ["a", "b"].map(|text| {
            let node = node.clone();
            thread::spawn(move || volley(&node, pid, text))
        });
        block_on(parked.answered());
        for lane in lanes {
            assert_eq!(lane.join().unwrap(), 1);
        }
        let answers = socket.client().answers();
        assert_eq!(answers.len(), 1, "one poll, one answer: {answers:?}");
        let kept = ask_now(&node, pid);
        assert!(kept == "2:a,b" || kept == "2:b,a", "both in the mailbox: {kept}");
        at_rest(&node, 1);
        answers.concat()
    });
    both(&outcomes, ["1:a", "1:b", "2:a,b", "2:b,a"].map(String::from));
}

#[test]
fn a_late_volley_does_not_answer_the_next_poll() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let first = poll(&socket, &node, pid, None, 60_000);
        let late = thread::spawn({
            let node = node.clone();
            move || volley(&node, pid, "a")
        });
        volley(&node, pid, "b");
        assert!(block_on(first.answered()));
        let cursor = socket.client().answers()[0].split_once(':').and_then(|(cursor, _)| cursor.parse().ok());
        let next = poll(&socket, &node, pid, cursor, 60_000);
        late.join().unwrap();
        let parked = node.shared.sessions.parked() == 1;
        assert_eq!(parked, cursor == Some(2) && next.is_parked(), "it waits unless there is something for it");
        socket.client().send();
        assert!(block_on(next.answered()));
        let answers = socket.client().answers();
        let last = if parked { "deadline" } else { &answers[1] };
        assert!(answers.len() == 2 && answers[1] == last && !last.ends_with(':'), "{answers:?}");
        at_rest(&node, 1);
        parked
    });
    both(&outcomes, [false, true]);
}

#[test]
fn a_write_that_blocks_is_finished_by_the_worker() {
    explore(ALL, || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::taking(2));
        let parked = poll(&socket, &node, pid, None, 60_000);
        let lane = thread::spawn({
            let node = node.clone();
            move || volley(&node, pid, "a")
        });
        assert!(block_on(parked.answered()));
        lane.join().unwrap();
        assert_eq!(socket.client().answers(), ["1:a"]);
        at_rest(&node, 1);
    });
}

/// One that has only ended its side still reads.
#[test]
fn a_publisher_that_closes_gets_its_answer() {
    explore(ALL, || {
        let (node, socket) = (node(), Socket::taking(2));
        let published = publish(&socket, &node);
        let lane = thread::spawn({
            let socket = socket.clone();
            move || socket.answer(b"routed\n", &Limits::default())
        });
        socket.client().close();
        assert!(block_on(published.answered()));
        lane.join().unwrap();
        assert_eq!(socket.client().answers(), ["routed"]);
    });
}

#[test]
fn deliver_against_timeout() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let parked = poll(&socket, &node, pid, None, 1);
        clock::set(50);
        let lane = thread::spawn({
            let node = node.clone();
            move || assert_eq!(volley(&node, pid, "a"), 1)
        });
        let clock = thread::spawn({
            let node = node.clone();
            move || node.tick(&mut Writer::default())
        });
        assert!(block_on(parked.answered()));
        lane.join().unwrap();
        clock.join().unwrap();
        let answers = socket.client().answers();
        assert!(answers == ["1:a"] || answers == ["deadline"], "one answer: {answers:?}");
        assert_eq!(ask_now(&node, pid), "1:a", "it stays in the mailbox");
        at_rest(&node, 1);
        // The session's entry in the wheel was not lost on the way.
        clock::set(200);
        node.tick(&mut Writer::default());
        at_rest(&node, 0);
        answers.concat()
    });
    both(&outcomes, ["1:a", "deadline"].map(String::from));
}

#[test]
fn second_poll_against_first() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let pid = open(&node).pid;
        let sockets = [Socket::new(), Socket::new()];
        let polls = sockets.clone().map(|socket| {
            let node = node.clone();
            thread::spawn(move || block_on(poll(&socket, &node, pid, None, 60_000).answered()))
        });
        volley(&node, pid, "a");
        for poll in polls {
            assert!(poll.join().unwrap());
        }
        let mut answers = sockets.map(|socket| {
            let answers = socket.client().answers();
            assert_eq!(answers.len(), 1, "each poll is answered once: {answers:?}");
            answers.concat()
        });
        answers.sort();
        assert!(answers == ["1:a", "1:a"] || answers == ["1:a", "superseded"], "{answers:?}");
        at_rest(&node, 1);
        answers.concat()
    });
    both(&outcomes, ["1:a1:a", "1:asuperseded"].map(String::from));
}

#[test]
fn a_poll_that_was_superseded_does_not_take_the_other_one_back() {
    let outcomes = explore(Some(4), || {
        let node = node();
        let (pid, old, new) = (open(&node).pid, Socket::new(), Socket::new());
        let first = poll(&old, &node, pid, None, 60_000);
        let second = thread::spawn({
            let (node, new) = (node.clone(), new.clone());
            move || {
                let second = poll(&new, &node, pid, None, 60_000);
                volley(&node, pid, "a");
                block_on(second.answered())
            }
        });
        // The client of the first is gone by now.
        old.client().close();
        block_on(first.answered());
        assert!(second.join().unwrap());
        assert_eq!(new.client().answers(), ["1:a"]);
        let answers = old.client().answers();
        assert!(answers == ["superseded"] || answers == ["deadline"], "one owner: {answers:?}");
        at_rest(&node, 1);
        answers.concat()
    });
    both(&outcomes, ["deadline", "superseded"].map(String::from));
}

#[test]
fn the_peer_closes_against_deliver() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let parked = poll(&socket, &node, pid, None, 60_000);
        let lane = thread::spawn({
            let node = node.clone();
            move || assert_eq!(volley(&node, pid, "a"), 1)
        });
        let client = thread::spawn({
            let client = socket.client();
            move || client.close()
        });
        block_on(parked.answered());
        lane.join().unwrap();
        client.join().unwrap();
        let answers = socket.client().answers();
        assert!(answers == ["1:a"] || answers == ["deadline"], "one owner: {answers:?}");
        assert_eq!(ask_now(&node, pid), "1:a", "it stays in the mailbox");
        at_rest(&node, 1);
        answers.concat()
    });
    both(&outcomes, ["1:a", "deadline"].map(String::from));
}

#[test]
fn the_session_ends_against_deliver() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let parked = poll(&socket, &node, pid, None, 60_000);
        let lane = thread::spawn({
            let node = node.clone();
            move || volley(&node, pid, "a")
        });
        let client = thread::spawn({
            let node = node.clone();
            move || assert!(end(&node, pid))
        });
        assert!(block_on(parked.answered()));
        let live = lane.join().unwrap();
        client.join().unwrap();
        let answers = socket.client().answers();
        assert!((live == 1 && answers == ["1:a"]) || answers == ["session over"], "{live} {answers:?}");
        at_rest(&node, 0);
        (live, answers.concat())
    });
    both(
        &outcomes,
        [(0, "session over"), (1, "session over"), (1, "1:a")].map(|(live, answer)| (live, answer.to_owned())),
    );
}

#[test]
fn the_session_ends_against_park_and_deliver() {
    let outcomes = explore(Some(2), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let lane = thread::spawn({
            let node = node.clone();
            move || volley(&node, pid, "a")
        });
        let other = thread::spawn({
            let node = node.clone();
            move || [end(&node, pid), end(&node, pid)]
        });
        assert!(block_on(poll(&socket, &node, pid, None, 60_000).answered()));
        lane.join().unwrap();
        assert_eq!(other.join().unwrap(), [true, false], "it ends once");
        let answers = socket.client().answers();
        assert!(answers == ["1:a"] || answers == ["session over"], "{answers:?}");
        at_rest(&node, 0);
        answers.concat()
    });
    both(&outcomes, ["1:a", "session over"].map(String::from));
}

#[test]
fn the_drain_ends_a_poll_that_parks_meanwhile() {
    explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let drain = thread::spawn({
            let node = node.clone();
            move || {
                node.begin_drain(0);
                let mut parked = Vec::new();
                node.shared.sessions.walk(0, |pid, session| {
                    parked.extend(session.is_parked().then_some(pid));
                    true
                });
                for pid in parked {
                    node.end_parked(pid);
                }
            }
        });
        assert!(block_on(poll(&socket, &node, pid, None, 60_000).answered()));
        drain.join().unwrap();
        assert_eq!(socket.client().answers(), ["draining"]);
        at_rest(&node, 1);
    });
}

#[test]
fn a_large_volley_is_written_by_the_worker() {
    let outcomes = explore(ALL, || {
        let node = crate::node_of(volley_loom::limits::Limits { volley_inline_pids_max: 0, ..Default::default() });
        let (pid, socket) = (open(&node).pid, Socket::new());
        let parked = poll(&socket, &node, pid, None, 60_000);
        let lane = thread::spawn({
            let node = node.clone();
            move || {
                volley(&node, pid, "a");
                volley(&node, pid, "b");
            }
        });
        let worker = thread::spawn({
            let node = node.clone();
            move || {
                let shared = &node.shared;
                for pid in shared.workers.called() {
                    Writer::default().fire(&shared.sessions, &shared.limits, pid);
                }
            }
        });
        lane.join().unwrap();
        worker.join().unwrap();
        // What the worker did not see in its first turn it sees in the next.
        for pid in node.shared.workers.called() {
            Writer::default().fire(&node.shared.sessions, &node.shared.limits, pid);
        }
        assert!(block_on(parked.answered()));
        let answers = socket.client().answers();
        assert!(answers == ["1:a"] || answers == ["2:a,b"], "{answers:?}");
        at_rest(&node, 1);
        answers.concat()
    });
    both(&outcomes, ["1:a", "2:a,b"].map(String::from));
}

#[test]
fn a_poll_that_parks_behind_a_large_volley_is_called_by_the_next() {
    let outcomes = explore(ALL, || {
        let node = crate::node_of(volley_loom::limits::Limits { volley_inline_pids_max: 0, ..Default::default() });
        let (pid, socket) = (open(&node).pid, Socket::new());
        let work = |node: &Node| {
            for pid in node.shared.workers.called() {
                Writer::default().fire(&node.shared.sessions, &node.shared.limits, pid);
            }
        };
        let first = poll(&Socket::new(), &node, pid, None, 60_000);
        let lane = thread::spawn({
            let node = node.clone();
            move || volley(&node, pid, "a")
        });
        drop(first);
        // The client polls again, and on from there if it has an answer at once: that poll is not the one on the list.
        let mut waiting = poll(&socket, &node, pid, None, 60_000);
        let polled_on = !waiting.is_parked();
        if polled_on {
            assert!(block_on(waiting.answered()));
            waiting = poll(&socket, &node, pid, Some(1), 60_000);
        }
        lane.join().unwrap();
        work(&node);
        volley(&node, pid, "b");
        work(&node);
        assert_eq!(node.shared.sessions.parked(), 0, "it was called");
        assert!(block_on(waiting.answered()));
        polled_on
    });
    both(&outcomes, [false, true]);
}
