//! Publishing one event: what arrives is what was sent.

use crate::client::{Published, Session, events, poll, publish, try_publish};
use crate::harness::Server;
use crate::http::{call, post};
use crate::subscriptions::not_topics;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Publishes a body, and the raw answer of the subscriber's poll.
fn round_trip(topic: &str, content_type: Option<&str>, body: &[u8]) -> (Published, String) {
    let server = Server::shared();
    let mut bob = Session::on(&server, topic);
    let mut request = post(events(topic)).body(body);
    if let Some(content_type) = content_type {
        request = request.header("Content-Type", content_type);
    }
    let published = Published::of(&call(&server.listen, &request).expect(200).json());
    (published, bob.call(poll(0, 10)).expect(200).text().to_owned())
}

#[test]
fn json_arrives_byte_for_byte() {
    for (at, (sent, arrives)) in [
        (r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#),
        (" { \"b\" :\t1 ,  \"a\":[ ] } ", " { \"b\" :\t1 ,  \"a\":[ ] } "),
        ("{\r\n  \"a\": 1,\n  \"b\":\r2\r\n}\n", "{    \"a\": 1,   \"b\": 2  } "),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ("[1e400,-0,0.10,123456789012345678901234567890]", "[1e400,-0,0.10,123456789012345678901234567890]"),
        (r#""\u00e9é\/\n\ud83d\ude00😀""#, r#""\u00e9é\/\n\ud83d\ude00😀""#),
        ("null", "null"),
        ("0", "0"),
        ("\"\"", "\"\""),
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("publish.json-{at}");
        let (Published { event, recipients }, raw) = round_trip(&topic, Some("application/json"), sent.as_bytes());
        let message = format!(r#"{{"topic":"{topic}","from":null,"event":"{event}","data":"#);
        // Whether the space around the value belongs to it is not said; what is within it is.
        let data = raw
            .strip_prefix(r#"{"cursor":1,"messages":["#)
            .and_then(|raw| raw.strip_prefix(&message))
            .and_then(|raw| raw.strip_suffix("}]}"))
            .unwrap_or_else(|| panic!("{message}… was expected: {raw}"));
        assert_eq!((data.trim_matches(' '), recipients), (arrives.trim_matches(' '), 1), "{raw}");
    }
}

#[test]
fn the_sender_is_named() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "publish.sender");
    let event = ann.publish("publish.sender", &json!("hello")).event;
    let message = format!(r#"{{"topic":"publish.sender","from":"{}","event":"{event}","data":"hello"}}"#, ann.pid);
    assert_eq!(ann.poll(10).raw, format!(r#"{{"cursor":1,"messages":[{message}]}}"#));
}

#[test]
fn text_becomes_a_json_string() {
    for (at, (content_type, text)) in [
        ("text/plain", "hello"),
        ("text/plain; charset=utf-8", "quotes \" and \\ and \u{1}\u{1f}, tab\t, lines\r\n, \u{2028}, é, 😀"),
        ("text/html", "<b>bold</b>"),
        ("TEXT/Plain", "types have no case"),
        ("text/plain", ""),
        ("text/plain", "{\"not\":\"JSON here\"}"),
    ]
    .into_iter()
    .enumerate()
    {
        let (_, raw) = round_trip(&format!("publish.text-{at}"), Some(content_type), text.as_bytes());
        let page: Value = serde_json::from_str(&raw).expect("JSON");
        let message = &page["messages"][0];
        assert_eq!((&message["data"], message.get("encoding")), (&json!(text), None), "{raw}");
        assert!(!raw.contains(['\n', '\r']), "{raw:?}");
    }
}

#[test]
fn anything_else_is_base64() {
    let all: Vec<u8> = (0..=255).collect();
    let octets = Some("application/octet-stream");
    for (at, (content_type, body, base64)) in [
        (octets, &b"\x00\xff\x10"[..], Some("AP8Q")),
        (octets, b"", Some("")),
        (octets, b"a", Some("YQ==")),
        (octets, &all, None),
        (Some("image/png"), b"hello", Some("aGVsbG8=")),
        (None, b"hello", Some("aGVsbG8=")),
    ]
    .into_iter()
    .enumerate()
    {
        let (_, raw) = round_trip(&format!("publish.binary-{at}"), content_type, body);
        let page: Value = serde_json::from_str(&raw).expect("JSON");
        let message = &page["messages"][0];
        assert_eq!(message["encoding"], "base64", "{raw}");
        let data = message["data"].as_str().expect("a string");
        match base64 {
            Some(base64) => assert_eq!(data, base64, "{raw}"),
            None => assert_eq!((data.len(), &data[..8]), (344, "AAECAwQF"), "{raw}"),
        }
    }
}

#[test]
fn what_is_not_json_is_malformed() {
    let server = Server::shared();
    let mut bob = Session::on(&server, "publish.malformed");
    for body in [
        &b""[..],
        b" ",
        b"{",
        b"{\"a\":}",
        b"{'a':1}",
        b"{\"a\":1,}",
        b"nul",
        b"01",
        b"NaN",
        b"1 2",
        b"{} {}",
        b"\"line\nbreak\"",
        b"\"\x01\"",
        b"\"\xff\"",
        b"\"\xed\xa0\x80\"",
        b"\"\\x\"",
        b"\xef\xbb\xbf1",
    ] {
        let response = call(&server.listen, &post(events("publish.malformed")).typed("application/json", body));
        assert_eq!(response.status, 400, "{:?}: {response}", String::from_utf8_lossy(body));
        response.problem(400);
    }
    bob.expect_no_more();
}

#[test]
fn json_as_deep_as_it_likes_is_served_or_refused() {
    let server = Server::shared();
    for depth in [1_000, 100_000, 500_000] {
        let body = "[".repeat(depth) + &"]".repeat(depth);
        let response = call(&server.listen, &post(events("publish.deep")).typed("application/json", body));
        assert!([200, 400].contains(&response.status), "{depth}: {response}");
    }
    assert_eq!(publish(&server, "publish.deep", &json!(1)).recipients, 0, "and the server lives");
}

#[test]
fn text_that_is_no_utf_8_is_malformed() {
    let server = Server::shared();
    for body in [&b"\xff"[..], b"caf\xe9", b"\xc3", b"\xed\xa0\x80"] {
        call(&server.listen, &post(events("publish.latin")).typed("text/plain", body)).problem(400);
    }
}

#[test]
fn an_event_has_so_many_bytes_and_no_more() {
    let server = Server::start_plain(&["--limit", "event_bytes_max=1000"]);
    let mut bob = Session::on(&server, "publish.size");
    let text = |bytes: usize| post(events("publish.size")).typed("text/plain", "x".repeat(bytes));
    call(&server.listen, &text(1000)).expect(200);
    call(&server.listen, &text(1001)).problem(413);
    call(&server.listen, &text(300_000)).problem(413);
    call(&server.listen, &text(1001).header("Transfer-Encoding", "chunked")).problem(413);
    assert_eq!(bob.next(), json!("x".repeat(1000)));
    bob.expect_no_more();
}

#[test]
fn a_mebibyte_goes_through() {
    let server = Server::shared();
    let mut bob = Session::on(&server, "publish.mebibyte");
    let text = |bytes: usize| post(events("publish.mebibyte")).typed("text/plain", "y".repeat(bytes));
    call(&server.listen, &text(1 << 20)).expect(200);
    assert_eq!(bob.next().as_str().map(str::len), Some(1 << 20));
    call(&server.listen, &text((1 << 20) + 1)).problem(413);
}

#[test]
fn a_chunked_body_is_a_body() {
    let server = Server::shared();
    let mut bob = Session::on(&server, "publish.chunked");
    let request = post(events("publish.chunked"))
        .typed("application/json", r#"{"say": "in chunks of seven bytes"}"#)
        .header("Transfer-Encoding", "chunked");
    call(&server.listen, &request).expect(200);
    assert_eq!(bob.next(), json!({"say": "in chunks of seven bytes"}));
}

#[test]
fn recipients_are_counted() {
    let server = Server::shared();
    for count in 0..5 {
        assert_eq!(publish(&server, "publish.count", &json!(count)).recipients, count);
        let body = json!({"topics": ["publish.count"]});
        call(&server.listen, &post("/v1/sessions").json(&body)).expect(201);
    }
}

#[test]
fn each_event_has_its_number() {
    let server = Server::shared();
    let mut bob = Session::on(&server, "publish.numbers");
    let published: Vec<String> = (0..50).map(|n| publish(&server, "publish.numbers", &json!(n)).event).collect();
    assert_eq!(published.iter().collect::<HashSet<_>>().len(), 50);
    let page = bob.poll(0);
    let came: Vec<&str> = page.messages.iter().filter_map(|message| message["event"].as_str()).collect();
    assert_eq!(came, published);
    assert_eq!(page.data(), (0..50).map(|n| json!(n)).collect::<Vec<_>>());
}

#[test]
fn a_dead_session_publishes_nothing() {
    let server = Server::shared();
    let mut bob = Session::on(&server, "publish.dead");
    let mut ann = Session::open(&server);
    ann.end();
    ann.try_publish("publish.dead", &json!(1)).problem(410);
    bob.expect_no_more();
}

#[test]
fn what_is_no_topic_is_malformed() {
    let server = Server::shared();
    for topic in not_topics() {
        let response = try_publish(&server, &topic, &json!(1));
        assert_eq!(response.status, 400, "{topic}: {response}");
        response.problem(400);
    }
}
