//! A stream that a task serves, and all who may take it out of its session: volleys, whoever has an answer to be said, other
//! consumers, the session's end, the drain. The task is always woken, and renders each message once and in order.

use crate::{ALL, ask_now, both, explore, node, open, volley};
use loom::future::block_on;
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use volley_loom::consumer::{Consumer, Next};
use volley_loom::node::Node;
use volley_loom::pid::Pid;
use volley_loom::protocol::answer::Answer;
use volley_loom::session::{ExitReason, Form};
use volley_loom::stream::Stream;
use volley_loom::sync::Mutex;

fn begin(node: &Node, pid: Pid) -> Consumer {
    Consumer::begin(&node.shared, pid, None, Form::Events).expect("the session is there")
}

/// What the task writes, until that is so many messages or the last words.
fn write(consumer: &mut Consumer, messages: usize) -> Vec<String> {
    let (mut answer, mut lines) = (Answer::default(), Vec::new());
    block_on(poll_fn(|context| {
        loop {
            let next = ready!(consumer.poll_next(&mut answer, context));
            if next == Next::Look {
                continue;
            }
            lines.push(String::from_utf8_lossy(answer.whole()).trim_end().to_owned());
            let written: usize = lines.iter().filter_map(|line| line.split_once(':')).map(|page| of(page.1)).sum();
            if next == Next::WriteLast || written == messages {
                return Poll::Ready(());
            }
        }
    }));
    let mut cursor = 0;
    for (newest, page) in lines.iter().filter_map(|line| line.split_once(':')) {
        cursor += of(page);
        assert_eq!(newest, cursor.to_string(), "each once, in order: {lines:?}");
    }
    lines
}

/// So many messages are on a page.
fn of(page: &str) -> usize {
    page.split(',').count()
}

fn lane(node: &Arc<Node>, pid: Pid, text: &'static str) -> thread::JoinHandle<u64> {
    let node = node.clone();
    thread::spawn(move || volley(&node, pid, text))
}

/// The stream's task is gone: nothing of it is parked.
fn nothing_is_left(node: &Node, consumer: Consumer) {
    drop(consumer);
    assert_eq!(node.shared.sessions.parked(), 0);
}

#[test]
fn two_volleys() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let pid = open(&node).pid;
        let lanes = [lane(&node, pid, "a"), lane(&node, pid, "b")];
        let mut consumer = begin(&node, pid);
        let pages = write(&mut consumer, 2).len();
        for lane in lanes {
            assert_eq!(lane.join().unwrap(), 1);
        }
        nothing_is_left(&node, consumer);
        pages
    });
    both(&outcomes, [1, 2]);
}

/// What has come is there for whoever asks next, whether or not the task was woken before it was gone.
#[test]
fn it_goes_while_a_volley_comes() {
    explore(ALL, || {
        let node = node();
        let pid = open(&node).pid;
        let mut consumer = begin(&node, pid);
        let mut answer = Answer::default();
        let is_parked = block_on(poll_fn(|context| Poll::Ready(consumer.poll_next(&mut answer, context).is_pending())));
        assert!(is_parked);
        let lane = lane(&node, pid, "a");
        nothing_is_left(&node, consumer);
        lane.join().unwrap();
        assert_eq!(ask_now(&node, pid), "1:a");
    });
}

#[test]
fn an_answer_is_said() {
    explore(Some(3), || {
        let node = node();
        let pid = open(&node).pid;
        let said = Arc::new(Mutex::new(false));
        let mut consumer = begin(&node, pid);
        let (_, serial) = consumer.whose();
        let other = thread::spawn({
            let (node, tells) = (node.clone(), said.clone());
            move || {
                *tells.lock() = true;
                assert!(Stream::take(&node.shared.sessions, pid, serial).is_none(), "the task writes");
            }
        });
        let lane = lane(&node, pid, "a");
        let (mut answer, mut messages) = (Answer::default(), 0);
        block_on(poll_fn(|context| {
            loop {
                let has_said = *said.lock();
                if has_said && messages == 1 {
                    return Poll::Ready(());
                }
                if ready!(consumer.poll_next(&mut answer, context)) == Next::Write {
                    messages += 1;
                }
            }
        }));
        other.join().unwrap();
        lane.join().unwrap();
        nothing_is_left(&node, consumer);
    });
}

#[test]
fn a_poll_that_is_answered_at_once_ends_it() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let pid = open(&node).pid;
        let mut consumer = begin(&node, pid);
        let poll = thread::spawn({
            let node = node.clone();
            move || ask_now(&node, pid)
        });
        let lane = lane(&node, pid, "a");
        let lines = write(&mut consumer, usize::MAX);
        assert_eq!(lines.last().map(String::as_str), Some("superseded"));
        lane.join().unwrap();
        poll.join().unwrap();
        nothing_is_left(&node, consumer);
        lines.len()
    });
    both(&outcomes, [1, 2]);
}

#[test]
fn the_sessions_end_against_a_volley() {
    let outcomes = explore(Some(3), || {
        let node = node();
        let pid = open(&node).pid;
        let mut consumer = begin(&node, pid);
        let ends = thread::spawn({
            let node = node.clone();
            move || node.end_session(pid, ExitReason::Normal)
        });
        let lane = lane(&node, pid, "a");
        let lines = write(&mut consumer, usize::MAX);
        assert_eq!(lines.last().map(String::as_str), Some("session over"));
        assert!(ends.join().unwrap());
        lane.join().unwrap();
        nothing_is_left(&node, consumer);
        lines.len()
    });
    both(&outcomes, [1, 2]);
}

#[test]
fn the_drain() {
    explore(Some(3), || {
        let node = node();
        let pid = open(&node).pid;
        let drains = thread::spawn({
            let node = node.clone();
            move || {
                node.begin_drain(0);
                node.close_streams();
                node.end_parked(pid);
            }
        });
        let mut consumer = begin(&node, pid);
        assert_eq!(write(&mut consumer, usize::MAX), ["draining"]);
        drains.join().unwrap();
        nothing_is_left(&node, consumer);
    });
}
