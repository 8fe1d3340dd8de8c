//! What a poll returns, and what its cursor acknowledges.

use crate::client::{Page, Session, batch_of, publish};
use crate::harness::Server;
use crate::http::get;
use serde_json::{Value, json};

/// A session with the messages 1 to `count` in its mailbox.
fn with_messages(server: &Server, topic: &str, count: u64) -> Session {
    let session = Session::on(server, topic);
    for n in 1..=count {
        publish(server, topic, &json!(n));
    }
    session
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

#[test]
fn without_a_cursor_all_kept_is_returned_and_nothing_acknowledged() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.peek", 3);
    for _ in 0..3 {
        let page = ann.peek();
        assert_eq!((page.cursor, page.data(), page.gap), (3, numbers(1..=3), None));
    }
    ann.poll_at(2, 0);
    let page = ann.peek();
    assert_eq!((page.cursor, page.data(), page.gap), (3, numbers(3..=3), None));
}

#[test]
fn a_cursor_acknowledges() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.acknowledge", 4);
    for (cursor, first) in [(0, 1), (1, 2), (1, 2), (3, 4), (3, 4)] {
        let page = ann.poll_at(cursor, 0);
        assert_eq!((page.cursor, page.data(), page.gap), (4, numbers(first..=4), None), "after {cursor}");
    }
    let page = ann.poll_at(4, 0);
    assert_eq!(page.raw, r#"{"cursor":4,"messages":[]}"#);
    publish(&server, "polls.acknowledge", &json!(5));
    let page = ann.poll_at(4, 0);
    assert_eq!((page.cursor, page.data(), page.gap), (5, numbers(5..=5), None));
}

/// The answer of a poll may be lost on its way: it is asked for again with the cursor before.
#[test]
fn asking_again_repeats_the_answer() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.again", 2);
    let first = ann.poll_at(0, 0);
    assert_eq!(ann.poll_at(0, 0).raw, first.raw);
    publish(&server, "polls.again", &json!(3));
    assert_eq!(ann.poll_at(0, 0).data(), numbers(1..=3));
}

#[test]
fn a_cursor_below_what_was_acknowledged_is_served_from_there_on() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.below", 4);
    ann.poll_at(3, 0);
    let page = ann.poll_at(1, 0);
    assert_eq!((page.cursor, page.data(), page.gap), (4, numbers(4..=4), None), "nothing was lost: {}", page.raw);
    let page = ann.poll_at(4, 0);
    assert!(page.messages.is_empty());
    let page = ann.poll_at(0, 0);
    assert_eq!((page.data(), page.gap), (vec![], None), "{}", page.raw);
}

#[test]
fn cursors_that_are_none() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.none", 2);
    let huge = ["9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999"];
    for cursor in ["3", "-1", "x", "", "1.5", "1x", "0x1", "%20", "1e0", "NaN", "%00"].iter().chain(&huge) {
        let response = ann.call(get(format!("/v1/poll?wait=0&cursor={cursor}")));
        assert_eq!(response.status, 400, "cursor={cursor}: {response}");
        response.problem(400);
        if !cursor.is_empty() && !cursor.contains('%') {
            ann.call(get("/v1/poll?wait=0").header("Volley-Cursor", *cursor)).problem(400);
        }
    }
    assert_eq!(ann.poll_at(0, 0).data(), numbers(1..=2), "nothing was acknowledged by them");
}

#[test]
fn the_header_is_a_cursor_as_well() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.header", 3);
    let page = Page::of(ann.call(get("/v1/poll?wait=0").header("Volley-Cursor", "1")));
    assert_eq!((page.cursor, page.data()), (3, numbers(2..=3)));
    let page = Page::of(ann.call(get("/v1/poll?wait=0&cursor=2").header("Volley-Cursor", "2")));
    assert_eq!(page.data(), numbers(3..=3));
    let page = Page::of(ann.call(get("/v1/poll?wait=0").header("volley-cursor", "3")));
    assert_eq!(page.raw, r#"{"cursor":3,"messages":[]}"#);
}

#[test]
fn a_parameter_that_nobody_knows_does_no_harm() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.unknown", 1);
    assert_eq!(Page::of(ann.call(get("/v1/poll?_=17&wait=0&cursor=0"))).data(), numbers(1..=1));
}

#[test]
fn each_session_numbers_its_own_messages() {
    let server = Server::shared();
    let mut ann = with_messages(&server, "polls.own", 2);
    let mut bob = Session::on(&server, "polls.own");
    publish(&server, "polls.own", &json!(3));
    assert_eq!(ann.poll(0).cursor, 3);
    let page = bob.poll(0);
    assert_eq!((page.cursor, page.data()), (1, numbers(3..=3)));
}

#[test]
fn between_two_polls_nothing_is_lost() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "polls.between");
    let mut got = Vec::new();
    for n in 1..=60_u64 {
        publish(&server, "polls.between", &json!(n));
        if n % 7 == 0 {
            got.extend(ann.poll(0).data());
        }
    }
    got.extend(ann.poll(0).data());
    assert_eq!(got, numbers(1..=60));
}

#[test]
fn a_full_mailbox_drops_the_oldest_and_says_so() {
    let server = Server::start_plain(&["--limit", "mailbox_messages_max=5"]);
    let mut ann = with_messages(&server, "polls.gap", 8);
    assert_eq!(publish(&server, "polls.gap", &json!(9)).recipients, 1, "the publisher is served all the same");
    for page in [ann.poll_at(0, 0), ann.peek()] {
        assert_eq!((page.cursor, page.gap, page.data()), (9, Some(4), numbers(5..=9)), "{}", page.raw);
    }
    let page = ann.poll_at(2, 0);
    assert_eq!((page.cursor, page.gap, page.data()), (9, Some(2), numbers(5..=9)), "{}", page.raw);
    let page = ann.poll_at(4, 0);
    assert_eq!((page.cursor, page.gap, page.data()), (9, None, numbers(5..=9)), "{}", page.raw);
    let page = ann.poll_at(9, 0);
    assert_eq!(page.raw, r#"{"cursor":9,"messages":[]}"#);
    for n in 10..=15_u64 {
        publish(&server, "polls.gap", &json!(n));
    }
    let page = ann.poll_at(9, 0);
    assert_eq!(page.gap, Some(1), "{}", page.raw);
    assert!(page.raw.ends_with(r#"],"gap":1}"#), "{}", page.raw);
}

#[test]
fn a_mailbox_is_full_by_its_bytes_as_well() {
    let server = Server::start_plain(&["--limit", "mailbox_bytes_max=4000"]);
    let mut ann = Session::on(&server, "polls.bytes");
    for n in 0..10 {
        publish(&server, "polls.bytes", &json!(format!("{n}{}", "x".repeat(900))));
    }
    let page = ann.poll_at(0, 0);
    assert_eq!(page.cursor, 10);
    assert!((2..=4).contains(&page.messages.len()), "{}", page.messages.len());
    assert_eq!(page.gap, Some(10 - page.messages.len() as u64));
    publish(&server, "polls.bytes", &json!("y".repeat(9000)));
    let page = ann.poll_at(10, 0);
    assert_eq!(page.data(), [json!("y".repeat(9000))], "the newest always stays");
}

#[test]
fn an_answer_has_so_many_messages_and_no_more() {
    let server = Server::start_plain(&["--limit", "response_messages_max=3"]);
    let mut ann = with_messages(&server, "polls.bound", 7);
    for (cursor, range) in [(3, 1..=3), (6, 4..=6), (7, 7..=7)] {
        let page = ann.poll(0);
        assert_eq!((page.cursor, page.data(), page.gap), (cursor, numbers(range), None), "{}", page.raw);
    }
}

#[test]
fn an_answer_has_so_many_bytes_and_no_more() {
    let server = Server::start_plain(&["--limit", "response_bytes_max=2500"]);
    let mut ann = Session::on(&server, "polls.answer-bytes");
    let data: Vec<Value> = (0..7).map(|n| json!(format!("{n}{}", "x".repeat(900)))).collect();
    for value in &data {
        publish(&server, "polls.answer-bytes", value);
    }
    publish(&server, "polls.answer-bytes", &json!("y".repeat(9000)));
    let mut got = Vec::new();
    while got.len() < 8 {
        let page = ann.poll(0);
        assert!(!page.messages.is_empty() && (page.messages.len() == 1 || page.raw.len() < 2600), "{}", page.raw);
        got.extend(page.data());
    }
    assert_eq!((&got[..7], &got[7]), (&data[..], &json!("y".repeat(9000))));
}

#[test]
fn an_answer_has_a_thousand_messages_if_nobody_says_otherwise() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "polls.thousand");
    let body = batch_of("polls.thousand", (1..=2100).map(Value::from));
    ann.call(crate::http::post("/v1/events").typed("application/x-ndjson", body)).expect(200);
    let page = ann.poll(0);
    assert_eq!((page.cursor, page.gap, page.data()), (1100, Some(100), numbers(101..=1100)));
    let page = ann.poll(0);
    assert_eq!((page.cursor, page.gap, page.data()), (2100, None, numbers(1101..=2100)));
}
