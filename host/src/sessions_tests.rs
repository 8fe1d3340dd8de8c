//! What sessions promise, without a network: polls held as hyper would hold them.

use super::*;
use crate::deadlines::TICK_MS;
use bytes::Bytes;
use tokio::sync::oneshot;

type Held = oneshot::Receiver<(u16, Bytes)>;

fn sessions(limits: Limits) -> Sessions {
    Sessions::new(5, Arc::new(limits))
}

fn message(sessions: &Sessions, text: &str) -> Arc<Message> {
    Message::new(format!("\"{text}\"").into_bytes(), &sessions.message_bytes)
}

fn call(pid: Pid, cursor: Option<u64>) -> PollCall {
    PollCall { pid, cursor, wait_ms: 60_000, owed: Owed::default() }
}

/// Begins a poll; what it was answered at once, and where a later answer comes.
fn poll(sessions: &Sessions, pid: Pid, cursor: Option<u64>) -> (Began, Option<(u64, usize)>, Held) {
    let (tell, told) = oneshot::channel();
    let mut page_seen = None;
    let begun = sessions.begin_poll(
        &call(pid, cursor),
        || AnswerTo::Held(tell),
        |_, page| {
            page_seen = Some((page.cursor, page.messages.count()));
        },
    );
    (begun.expect("a live session"), page_seen, told)
}

fn take(sessions: &Sessions, pid: Pid) -> Option<(u64, usize)> {
    let mut page_seen = None;
    sessions.take_ready(pid, |_, page| page_seen = Some((page.cursor, page.messages.count())))?;
    page_seen
}

#[test]
fn a_token_opens_its_session_and_no_other() {
    let sessions = sessions(Limits { sessions_max: 2, ..Limits::default() });
    let (ann, bob) = (sessions.open(None, None).unwrap(), sessions.open(None, None).unwrap());
    assert!(sessions.open(None, None).is_err(), "sessions_max");
    assert_eq!(sessions.authenticate(&ann), Some(Ok(ann.pid)));
    assert_eq!(sessions.authenticate(&Token { pid: ann.pid, secret: bob.secret }), None);
    assert!(sessions.end(ann.pid).is_some());
    assert!(sessions.end(ann.pid).is_none());
    assert_eq!(sessions.authenticate(&ann), None);
    assert_eq!(sessions.live(), 1);
    let carol = sessions.open(None, None).unwrap();
    assert_ne!(carol.pid.slot(), ann.pid.slot(), "a freed slot rests");
}

#[test]
fn the_dead_the_foreign_and_the_never_issued_get_nothing() {
    let sessions = sessions(Limits::default());
    let ann = sessions.open(None, None).unwrap().pid;
    let other_generation = ann.generation() % GENERATION_MAX + 1;
    for nobody in [
        Pid::new(5, ann.slot(), other_generation),
        Pid::new(6, ann.slot(), ann.generation()),
        Pid::new(5, ann.slot() + 1, 1),
        Pid::new(5, SLOTS_MAX - 1, 1),
    ] {
        assert!(matches!(sessions.push(nobody, &message(&sessions, "x"), 1), Pushed::Dead), "{nobody}");
    }
}

#[test]
fn a_poll_parks_and_the_first_message_of_a_volley_calls_it_once() {
    let sessions = sessions(Limits::default());
    let ann = sessions.open(None, None).unwrap().pid;
    let (begun, _, _held) = poll(&sessions, ann, Some(0));
    assert!(matches!(begun.state, Beginning::Parked(_)));
    assert_eq!(take(&sessions, ann), None, "nothing to answer with");
    assert!(matches!(sessions.push(ann, &message(&sessions, "a"), 1), Pushed::Wakes(0)));
    assert!(matches!(sessions.push(ann, &message(&sessions, "b"), 1), Pushed::Kept));
    assert!(matches!(sessions.push(ann, &message(&sessions, "c"), 2), Pushed::Wakes(0)), "another volley");
    sessions.call(ann);
    assert!(matches!(sessions.push(ann, &message(&sessions, "d"), 3), Pushed::Kept), "a worker has it on its list");
    assert_eq!(take(&sessions, ann), Some((4, 4)), "all that came until now");
    assert_eq!(take(&sessions, ann), None, "one answer a poll");
    assert_eq!(sessions.parked(), 0);
}

#[test]
fn what_waits_is_answered_at_once_and_acknowledged_by_the_next_cursor() {
    let sessions = sessions(Limits::default());
    let ann = sessions.open(None, None).unwrap().pid;
    for text in ["a", "b", "c"] {
        sessions.push(ann, &message(&sessions, text), 1);
    }
    for _ in 0..2 {
        let (begun, page, _) = poll(&sessions, ann, None);
        assert_eq!((begun.state, page), (Beginning::Answered, Some((3, 3))), "nothing is deleted by being sent");
    }
    assert_eq!(poll(&sessions, ann, Some(2)).1, Some((3, 1)));
    assert_eq!(poll(&sessions, ann, Some(1)).1, Some((3, 1)), "served from what was acknowledged");
    assert_eq!(poll(&sessions, ann, Some(4)).0.state, Beginning::CursorTooHigh);
    assert!(matches!(poll(&sessions, ann, Some(3)).0.state, Beginning::Parked(_)));
    assert_eq!(sessions.message_bytes.now(), 0);
}

#[test]
fn a_second_poll_takes_the_place_of_the_first() {
    let sessions = sessions(Limits::default());
    let ann = sessions.open(None, None).unwrap().pid;
    let (first, _, _held) = poll(&sessions, ann, None);
    let Beginning::Parked(first_serial) = first.state else { panic!("parked") };
    let (second, _, _held) = poll(&sessions, ann, None);
    assert_eq!(second.superseded.expect("the first").serial, first_serial);
    assert!(sessions.unpark(ann, first_serial).is_none(), "it is not the first one's any more");
    let Beginning::Parked(serial) = second.state else { panic!("parked") };
    assert!(sessions.unpark(ann, serial).is_some());
    assert_eq!(sessions.parked(), 0);
}

#[test]
fn deadlines_end_polls_and_then_sessions() {
    let sessions = sessions(Limits { linger_ms: 1000, ..Limits::default() });
    let (ann, bob) = (sessions.open(None, None).unwrap().pid, sessions.open(None, None).unwrap().pid);
    let start = clock::now_ms();
    let (_, _, _held) = poll(&sessions, ann, None);
    let due_at = |ms: u64| {
        let mut polls = 0;
        let mut ended = Vec::new();
        sessions.come_due(start + ms, |due| match due {
            Due::Poll(..) => polls += 1,
            Due::Linger(pid, _) => ended.push(pid),
        });
        (polls, ended)
    };
    assert_eq!(due_at(900), (0, vec![]));
    assert_eq!(due_at(1000 + 4 * TICK_MS), (0, vec![bob]), "ann's poll is parked, so she does not expire");
    assert!(!sessions.is_live(bob));
    assert_eq!(due_at(59_000), (0, vec![]));
    assert_eq!(due_at(60_000 + 4 * TICK_MS), (1, vec![]));
    assert!(sessions.is_live(ann));
}

#[test]
fn when_all_mailboxes_are_too_large_the_fat_ones_are_trimmed() {
    let sessions = sessions(Limits { mailboxes_bytes_max: 100_000, ..Limits::default() });
    let (fat, thin) = (sessions.open(None, None).unwrap().pid, sessions.open(None, None).unwrap().pid);
    sessions.push(thin, &message(&sessions, "thin"), 1);
    assert_eq!(sessions.relieve(), 0, "there is room");
    let large = "x".repeat(1000);
    for _ in 0..1000 {
        sessions.push(fat, &message(&sessions, &large), 1);
        assert!(sessions.message_bytes.now() <= 100_000 + 100_000 / 8 + 2 * 1100, "however much is sent");
    }
    // What it was sent beyond the bound left it its newest message, and so made room for others at once.
    for _ in 0..90 {
        sessions.push(fat, &message(&sessions, &large), 1);
    }
    sessions.push(fat, &message(&sessions, &"x".repeat(20_000)), 1);
    let (before, dropped) = (sessions.dropped(), sessions.relieve());
    assert_eq!(sessions.dropped(), before + dropped);
    assert!(sessions.message_bytes.now() <= 50_000, "{}", sessions.message_bytes.now());
    assert_eq!(poll(&sessions, thin, Some(0)).1, Some((1, 1)), "who had little lost nothing");
}

#[test]
fn a_session_does_not_linger_out_while_it_is_opened() {
    let sessions = sessions(Limits { linger_ms: 100, ..Limits::default() });
    let pid = sessions.open(None, None).unwrap().pid;
    sessions.set_opening(pid, true);
    let now = clock::now_ms();
    let ended_by = |ms: u64| {
        let mut ended = 0;
        sessions.come_due(now + ms, |_| ended += 1);
        ended
    };
    assert_eq!(ended_by(5000), 0);
    sessions.set_opening(pid, false);
    assert_eq!(ended_by(10_000), 1);
}
