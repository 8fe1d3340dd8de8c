//! The report of an answer: its task is woken when there is something for it to do, and only then.

use crate::{ALL, explore};
use loom::future::block_on;
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use volley_loom::limits::Limits;
use volley_loom::report::{Answered, Report};
use volley_loom::socket::Socket;
use volley_loom::unsent::Unsent;

/// A task that only counts.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn owed() -> Arc<Report> {
    let report = Arc::new(Report::default());
    report.owe();
    report
}

#[test]
fn a_task_that_waits_is_told() {
    explore(ALL, || {
        let report = owed();
        let writer = thread::spawn({
            let report = report.clone();
            move || report.tell(Answered::Written)
        });
        // As its connection does: first it looks, then it can do nothing but wait.
        let answered = block_on(async {
            if let Some(answered) = poll_fn(|context| Poll::Ready(report.look(context))).await {
                return answered;
            }
            poll_fn(|context| report.wait(context)).await
        });
        assert_eq!(answered, Answered::Written);
        writer.join().unwrap();
        report.owe();
    });
}

#[test]
fn what_is_left_to_write_wakes_a_task_that_only_looked() {
    explore(ALL, || {
        let rest = Unsent::keep(b"x", &Limits::default()).expect("there is room");
        for left in [Answered::Broken, Answered::Unfinished(rest)] {
            let report = owed();
            let writer = thread::spawn({
                let report = report.clone();
                move || report.tell(left)
            });
            let answered = block_on(poll_fn(|context| report.look(context).map_or(Poll::Pending, Poll::Ready)));
            assert_ne!(answered, Answered::Written);
            writer.join().unwrap();
        }
    });
}

#[test]
fn nobody_is_woken_for_nothing() {
    explore(ALL, || {
        let report = owed();
        let task = Arc::new(Counting::default());
        let waker = Waker::from(task.clone());
        let writer = thread::spawn({
            let report = report.clone();
            move || report.tell(Answered::Written)
        });
        let seen = report.look(&Context::from_waker(&waker));
        writer.join().unwrap();
        assert_eq!(task.0.load(Relaxed), 0, "its client's next request wakes it");
        let told = seen.or_else(|| report.look(&Context::from_waker(&waker)));
        assert_eq!(told, Some(Answered::Written), "told once, whenever it looks");
        report.owe();
        assert_eq!(report.look(&Context::from_waker(&waker)), None, "and the next one is another");
    });
}

#[test]
fn the_wish_to_wait_does_not_outlive_its_poll() {
    explore(ALL, || {
        let report = owed();
        let task = Arc::new(Counting::default());
        let waker = Waker::from(task.clone());
        let context = Context::from_waker(&waker);
        let writer = thread::spawn({
            let report = report.clone();
            move || report.tell(Answered::Written)
        });
        let waits = report.wait(&context).is_pending();
        writer.join().unwrap();
        assert_eq!(task.0.load(Relaxed), usize::from(waits));
        if waits {
            assert!(report.wait(&context).is_ready());
        }
        report.owe();
        assert_eq!(report.look(&context), None);
        report.tell(Answered::Written);
        assert_eq!(task.0.load(Relaxed), usize::from(waits), "this one did not wait");
    });
}

#[test]
fn a_task_that_is_cut_off_notices() {
    explore(ALL, || {
        let socket = Socket::new();
        let sweep = thread::spawn({
            let socket = socket.clone();
            move || socket.shut_down()
        });
        // It waits for nothing else: hyper does not read while a request is served.
        block_on(poll_fn(|context| if socket.is_cut_off(context) { Poll::Ready(()) } else { Poll::Pending }));
        sweep.join().unwrap();
    });
}
