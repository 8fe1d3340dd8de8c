//! The report of an answer: its worker is called when there is something for it to do, and only then.

use crate::{ALL, explore};
use loom::future::block_on;
use loom::sync::Notify;
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use volley_loom::limits::Limits;
use volley_loom::report::{Answered, Report};
use volley_loom::socket::Socket;
use volley_loom::unsent::Unsent;

fn owed() -> Arc<Report> {
    let report = Arc::new(Report::default());
    report.owe();
    report
}

/// Whoever answers, and the worker's epoll.
fn tells(report: &Arc<Report>, answered: Answered) -> (thread::JoinHandle<bool>, Arc<Notify>) {
    let (report, called) = (report.clone(), Arc::new(Notify::new()));
    let calls = called.clone();
    let tell = move || {
        let call = report.tell(answered);
        if call {
            calls.notify();
        }
        call
    };
    (thread::spawn(tell), called)
}

/// What it finds when it is called. It may look for nothing in between, but nobody calls it twice.
fn until_called(report: &Report, called: &Notify) -> Answered {
    loop {
        called.wait();
        if let Some(answered) = report.look() {
            return answered;
        }
    }
}

#[test]
fn a_worker_that_waits_is_called() {
    explore(ALL, || {
        let report = owed();
        let (writer, called) = tells(&report, Answered::Written);
        // First it looks, then it can do nothing but wait.
        let answered = report.look().or_else(|| report.wait()).unwrap_or_else(|| until_called(&report, &called));
        assert_eq!(answered, Answered::Written);
        writer.join().unwrap();
        report.owe();
    });
}

#[test]
fn what_is_left_to_write_calls_a_worker_that_only_looked() {
    explore(ALL, || {
        let rest = Unsent::keep(b"x", &Limits::default()).expect("there is room");
        for left in [Answered::Broken, Answered::Unfinished(rest)] {
            let report = owed();
            let (writer, called) = tells(&report, left);
            let answered = report.look().unwrap_or_else(|| until_called(&report, &called));
            assert_ne!(answered, Answered::Written);
            writer.join().unwrap();
        }
    });
}

#[test]
fn nobody_is_called_for_nothing() {
    explore(ALL, || {
        let report = owed();
        let (writer, _) = tells(&report, Answered::Written);
        let seen = report.look();
        assert!(!writer.join().unwrap(), "its client's next request calls it");
        assert_eq!(seen.or_else(|| report.look()), Some(Answered::Written), "told once, whenever it looks");
        report.owe();
        assert_eq!(report.look(), None, "and the next one is another");
    });
}

#[test]
fn the_wish_to_wait_does_not_outlive_its_poll() {
    explore(ALL, || {
        let report = owed();
        let (writer, _) = tells(&report, Answered::Written);
        let waits = report.wait().is_none();
        assert_eq!(writer.join().unwrap(), waits);
        if waits {
            assert!(report.look().is_some());
        }
        report.owe();
        assert_eq!(report.look(), None);
        assert!(!report.tell(Answered::Written), "for this one nobody waited");
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
