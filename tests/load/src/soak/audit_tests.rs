//! Books that are sound, and what is found in those that are not.

use super::super::world::Kind;
use super::*;

/// Two witnesses and a third session, which stays from 100 to 900, and events that are sent at 110, 210 …
struct Case {
    books: Books,
    kind: Kind,
}

const EVENTS: u64 = 9;

fn receipt(number: u64, key: u64) -> Receipt {
    Receipt { number, key, event: 1000 + key, read_to: 0 }
}

fn stay(session: u32, from: Micros, to: Micros, receipts: Vec<Receipt>) -> Stay {
    Stay {
        joined: from + 5,
        leave_sent: to - 5,
        sure_until: to - 5,
        left: to,
        complete: true,
        read_to: NEVER,
        receipts,
        only: true,
        ..Stay::begin(session, 0, from)
    }
}

impl Case {
    fn new() -> Self {
        let mut books = Books::default();
        for key in 1..=EVENTS {
            // The third session misses the first and the last.
            let recipients = if key == 1 || key == EVENTS { 2 } else { 3 };
            let fate = Fate::Accepted { event: 1000 + key, recipients };
            let sent = key * 100 + 10;
            books.publishes.push(Publish { key, topic: 0, sent, answered: sent + 50, fate, batch: None });
        }
        for session in 0..2 {
            let receipts = (1..=EVENTS).map(|key| receipt(key, key)).collect();
            books.stays.push(Stay { witness: true, ..stay(session, 0, 2000, receipts) });
        }
        let receipts = (2..EVENTS).map(|key| receipt(key - 1, key)).collect();
        books.stays.push(stay(2, 190, 900, receipts));
        Self { books, kind: Kind::Plain }
    }

    fn third(&mut self) -> &mut Stay {
        &mut self.books.stays[2]
    }

    fn findings(&self) -> Vec<String> {
        let topics = [Topic { name: "t".into(), kind: self.kind }];
        audit(&self.books, &topics).findings
    }

    #[track_caller]
    fn is_found(&self, words: &str) {
        let findings = self.findings();
        assert!(findings.iter().any(|found| found.contains(words)), "{words:?} is not in {findings:#?}");
    }
}

#[test]
fn sound_books_are_found_sound() {
    assert_eq!(Case::new().findings(), Vec::<String>::new());
}

#[test]
fn a_loss_is_found_wherever_it_is() {
    for lost in 0..EVENTS as usize - 2 {
        let mut case = Case::new();
        case.third().receipts.remove(lost);
        case.is_found("session 2 lost 1 of 1 messages");
    }
    let mut case = Case::new();
    case.books.stays[0].receipts.pop();
    case.books.stays[1].receipts.pop();
    case.is_found("0/9 was accepted and no witness received it: lost");
}

#[test]
fn a_gap_accounts_for_as_many_as_it_says() {
    let dropped = |count: usize, gap: (u64, u64)| {
        let mut case = Case::new();
        case.third().receipts.drain(3..3 + count);
        case.third().gaps.push(gap);
        case
    };
    assert_eq!(dropped(2, (4, 5)).findings(), Vec::<String>::new());
    dropped(2, (4, 4)).is_found("session 2 lost 1 of 2 messages");
    let mut case = dropped(2, (4, 6));
    for receipt in case.third().receipts.iter_mut().skip(3) {
        receipt.number += 1;
    }
    case.is_found("a gap told session 2 of 3 messages where there were 2");
}

#[test]
fn a_witness_with_gaps_still_knows_the_places() {
    let mut case = Case::new();
    for witness in 0..2 {
        case.books.stays[witness].receipts.drain(3..5);
        case.books.stays[witness].gaps.push((4, 5));
    }
    assert_eq!(case.findings(), Vec::<String>::new());
    case.third().receipts.remove(5);
    case.is_found("session 2 lost 1 of 1 messages");
}

#[test]
fn doubles_and_swaps_are_found() {
    let mut case = Case::new();
    let again = case.third().receipts[3];
    case.third().receipts.insert(4, again);
    case.is_found("session 2 received 0/5 twice");
    let mut case = Case::new();
    case.third().receipts.swap(3, 4);
    case.is_found("session 2 received 0/5 out of order");
    let mut case = Case::new();
    case.books.stays[1].receipts[3..5].copy_from_slice(&[receipt(4, 5), receipt(5, 4)]);
    case.is_found("as number 4 of the topic, another one");
    let mut case = Case::new();
    for witness in 0..2 {
        case.books.stays[witness].receipts[3..5].copy_from_slice(&[receipt(4, 5), receipt(5, 4)]);
    }
    case.is_found("0/4 stands behind 0/5, which was sent only after it was answered");
}

#[test]
fn what_was_refused_or_cancelled_is_not_delivered_and_what_is_owed_is() {
    let mut case = Case::new();
    case.books.publishes[4].fate = Fate::Never;
    case.is_found("0/5 was refused and delivered");
    let mut case = Case::new();
    case.books.publishes[4].fate = Fate::Owed;
    assert_eq!(case.findings(), Vec::<String>::new());
    let fate = Fate::Owed;
    case.books.publishes.push(Publish { key: 77, topic: 0, sent: 600, answered: NEVER, fate, batch: None });
    let topics = [Topic { name: "t".into(), kind: case.kind }];
    assert_eq!(audit(&case.books, &topics).silent_timers, ["t: 0/77"]);
    case.books.publishes.pop();
    case.books.publishes.remove(4);
    case.is_found("0/5 was delivered and never published");
}

#[test]
fn recipients_are_counted() {
    for (key, recipients) in [(5, 2), (5, 4), (1, 3)] {
        let mut case = Case::new();
        case.books.publishes[key - 1].fate = Fate::Accepted { event: 1000 + key as u64, recipients };
        case.is_found(&format!("0/{key} had {recipients} recipients as its publisher was told"));
    }
    // Whoever ended without reading may have been a recipient of what was on its way.
    let mut case = Case::new();
    (case.third().complete, case.third().left, case.third().read_to) = (false, 960, 0);
    assert_eq!(case.findings(), Vec::<String>::new());
    case.books.publishes[8].fate = Fate::Accepted { event: 1009, recipients: 3 };
    assert_eq!(case.findings(), Vec::<String>::new());
}

#[test]
fn nothing_comes_before_a_join_after_a_leave_or_past_a_poll() {
    let mut case = Case::new();
    (case.third().join_sent, case.third().joined) = (270, 275);
    case.is_found("session 2 received 0/2 though it was over before it joined");
    let mut case = Case::new();
    (case.third().leave_sent, case.third().left) = (700, 800);
    case.is_found("session 2 received 0/8 though it had left before");
    let mut case = Case::new();
    case.third().receipts[3].read_to = 600;
    case.is_found("session 2 received 0/5 later than a poll that should have brought it");
}

#[test]
fn lines_of_a_batch_keep_their_order() {
    let mut case = Case::new();
    for publish in &mut case.books.publishes {
        (publish.sent, publish.answered, publish.batch) = (100, 950, Some(1));
    }
    assert_eq!(case.findings(), Vec::<String>::new());
    for stay in &mut case.books.stays {
        for one in &mut stay.receipts {
            if let 4 | 5 = one.key {
                *one = receipt(one.number, 9 - one.key);
            }
        }
    }
    case.is_found("0/4 stands behind a later line of its batch");
}
