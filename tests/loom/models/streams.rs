//! A parked stream and all who may write to it: volleys, the heartbeat, its worker, and whoever ends it. Whatever their
//! order, each message is written once and in order, what the worker has to say is said, and the stream is parked again
//! or ended, once.

use crate::{ALL, ask_now, both, explore, node, node_of, open, volley};
use loom::thread;
use volley_loom::event::Unrouted;
use volley_loom::limits::Limits;
use volley_loom::pid::Pid;
use volley_loom::session::ExitReason;
use volley_loom::socket::Socket;
use volley_loom::streaming::listen;
use volley_loom::volley::Writer;
use volley_loom::{clock, node::Node};

/// A lane with one event.
fn lane(node: &std::sync::Arc<Node>, pid: Pid, text: &'static str) -> thread::JoinHandle<u64> {
    let node = node.clone();
    thread::spawn(move || volley(&node, pid, text))
}

/// What the client has got, but for the head; the cursors count on.
fn heard(socket: &Socket) -> Vec<String> {
    let mut lines = socket.client().answers();
    assert_eq!(lines.remove(0), "head");
    let mut cursor = 0;
    for (newest, page) in lines.iter().filter_map(|line| line.split_once(':')) {
        cursor += page.split(',').count();
        assert_eq!(newest, cursor.to_string(), "each once, in order: {lines:?}");
    }
    lines
}

fn parked(node: &Node) -> u64 {
    node.shared.sessions.parked()
}

#[test]
fn it_begins_against_a_volley() {
    let outcomes = explore(ALL, || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let lane = lane(&node, pid, "a");
        let mut stream = listen(&socket, &node, pid, None);
        let had_it = socket.client().answers().len() == 2;
        lane.join().unwrap();
        assert!(stream.work());
        assert_eq!((heard(&socket), parked(&node)), (vec!["1:a".to_owned()], 1));
        had_it
    });
    both(&outcomes, [false, true]);
}

#[test]
fn it_begins_against_a_poll() {
    let outcomes = explore(ALL, || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let poll = thread::spawn({
            let node = node.clone();
            move || ask_now(&node, pid)
        });
        let mut stream = listen(&socket, &node, pid, None);
        poll.join().unwrap();
        assert!(stream.work());
        let heard = heard(&socket);
        assert_eq!((parked(&node) == 1, heard.is_empty()), (!stream.has_left(), !stream.has_left()), "{heard:?}");
        stream.has_left()
    });
    both(&outcomes, [false, true]);
}

#[test]
fn two_volleys() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let lanes = [lane(&node, pid, "a"), lane(&node, pid, "b")];
        for lane in lanes {
            assert_eq!(lane.join().unwrap(), 1);
        }
        assert!(stream.work());
        assert_eq!(parked(&node), 1);
        heard(&socket).len()
    });
    both(&outcomes, [1, 2]);
}

#[test]
fn the_worker_has_something_to_say_meanwhile() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let lane = lane(&node, pid, "a");
        socket.client().send();
        assert!(stream.work());
        lane.join().unwrap();
        assert!(stream.work());
        assert_eq!(parked(&node), 1, "it waits again");
        heard(&socket)
    });
    both(&outcomes, [["1:a", "pong"], ["pong", "1:a"]].map(|lines| lines.map(String::from).to_vec()));
}

/// A worker that was called for what has come finds an answer that is to be written, or no room for another call.
#[test]
fn what_comes_while_calls_are_answered_is_heard() {
    for (calls, room_for) in [(1, 9), (2, 9), (1, 1), (2, 2)] {
        explore(Some(3), move || {
            let node = node_of(Limits { socket_calls_max: room_for, ..Limits::default() });
            let (pid, socket) = (open(&node).pid, Socket::new());
            let mut stream = listen(&socket, &node, pid, None);
            let asked: Vec<_> = (0..calls).map(|_| stream.ask()).collect();
            let lane = thread::spawn(move || asked.into_iter().for_each(|call| call.tell(Err(Unrouted::Draining))));
            socket.client().send();
            assert!(stream.work());
            lane.join().unwrap();
            assert!(stream.work());
            assert_eq!(parked(&node), 1, "it waits again");
            let mut heard = heard(&socket);
            heard.sort();
            let mut expected = vec!["answer"; calls];
            expected.push("pong");
            assert_eq!(heard, expected);
        });
    }
}

#[test]
fn what_a_volley_cannot_write_the_worker_does() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        socket.take_only(2);
        let lanes = [lane(&node, pid, "a"), lane(&node, pid, "b")];
        assert!(stream.work());
        for lane in lanes {
            lane.join().unwrap();
        }
        assert!(stream.work());
        assert_eq!(parked(&node), 1);
        heard(&socket).len()
    });
    both(&outcomes, [1, 2]);
}

#[test]
fn a_poll_that_is_answered_at_once_ends_it() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let lane = lane(&node, pid, "a");
        let polled = ask_now(&node, pid);
        lane.join().unwrap();
        assert!(stream.work());
        assert_eq!((parked(&node), stream.has_left()), (0, true), "it is not parked behind a newer consumer");
        let heard = heard(&socket);
        assert_eq!(heard.last().map(String::as_str), Some("superseded"));
        (heard.len(), polled)
    });
    both(&outcomes, [(1, "0:"), (1, "1:a"), (2, "1:a")].map(|(lines, polled)| (lines, polled.to_owned())));
}

#[test]
fn a_newer_stream_takes_over() {
    explore(Some(3), || {
        let node = node();
        let (pid, first, second) = (open(&node).pid, Socket::new(), Socket::new());
        let mut before = listen(&first, &node, pid, None);
        let lane = lane(&node, pid, "a");
        let mut after = listen(&second, &node, pid, None);
        lane.join().unwrap();
        assert!(before.work() && after.work());
        assert_eq!(heard(&first).last().map(String::as_str), Some("superseded"));
        assert_eq!(heard(&second), ["1:a"], "whoever is new has it in any case");
        assert_eq!(parked(&node), 1);
    });
}

#[test]
fn the_sessions_end_against_a_volley() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let lane = lane(&node, pid, "a");
        assert!(node.end_session(pid, ExitReason::Normal));
        lane.join().unwrap();
        assert!(stream.work());
        assert_eq!((parked(&node), stream.has_left()), (0, true));
        let heard = heard(&socket);
        assert_eq!(heard.last().map(String::as_str), Some("session over"));
        heard.len()
    });
    both(&outcomes, [1, 2]);
}

#[test]
fn a_client_that_goes_is_let_go() {
    explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let lane = lane(&node, pid, "a");
        socket.client().close();
        let stays = stream.work();
        lane.join().unwrap();
        assert!(!stays || !stream.work(), "the connection ends");
        assert_eq!(parked(&node), 0);
        assert_eq!(ask_now(&node, pid), "1:a", "nobody has acknowledged it");
    });
}

#[test]
fn the_drain_against_a_volley() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let lane = lane(&node, pid, "a");
        node.begin_drain(0);
        node.close_streams();
        let mut waiting = Vec::new();
        node.shared.sessions.walk(0, |pid, session| {
            waiting.extend(session.is_parked().then_some(pid));
            true
        });
        for pid in waiting {
            node.end_parked(pid);
        }
        lane.join().unwrap();
        assert!(stream.work());
        assert_eq!((parked(&node), stream.has_left()), (0, true));
        let heard = heard(&socket);
        assert_eq!(heard.last().map(String::as_str), Some("draining"));
        heard.len()
    });
    both(&outcomes, [1, 2]);
}

#[test]
fn a_heartbeat_against_a_volley() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let (pid, socket) = (open(&node).pid, Socket::new());
        let mut stream = listen(&socket, &node, pid, None);
        let heartbeat_ms = node.shared.limits.heartbeat_ms;
        clock::set(heartbeat_ms);
        let lane = lane(&node, pid, "a");
        node.shared.sessions.come_due(heartbeat_ms, |due| match due {
            volley_loom::sessions::Due::Poll(pid, parked) => {
                let shared = &node.shared;
                Writer::default().wait_is_over(&shared.sessions, &shared.limits, pid, parked);
            }
            volley_loom::sessions::Due::Linger(..) => unreachable!("its client is there"),
        });
        lane.join().unwrap();
        assert!(stream.work());
        assert_eq!(parked(&node), 1);
        heard(&socket).concat()
    });
    assert!(outcomes.contains("beat1:a") && outcomes.contains("1:a"), "{outcomes:?}");
}
