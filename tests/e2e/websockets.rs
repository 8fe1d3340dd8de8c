//! What is said over a WebSocket: `GET /v1/ws`.

use crate::client::{Session, publish};
use crate::harness::Server;
use crate::http::{Connection, assert_problem, call, get};
use crate::streaming::{Ws, upgrade};
use serde_json::{Value, json};
use tungstenite::Message;

#[test]
fn messages_come_as_they_are_published() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "ws.come");
    publish(&server, "ws.come", &json!("before"));
    let mut ws = Ws::open(&server, &ann);
    assert_eq!(ws.messages(&mut ann), [json!("before")]);
    server.wait_until_parked(&ann.pid);
    for n in 1..=50 {
        publish(&server, "ws.come", &json!(n));
        assert_eq!(ws.messages(&mut ann), [json!(n)]);
    }
    // Of every length that a frame writes in another way.
    for length in [1, 100, 200, 70_000, 300_000] {
        publish(&server, "ws.come", &json!("x".repeat(length)));
        assert_eq!(ws.messages(&mut ann), [json!("x".repeat(length))]);
    }
}

#[test]
fn a_frame_is_the_body_of_a_poll() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "ws.body");
    publish(&server, "ws.body", &json!(1));
    publish(&server, "ws.body", &json!(2));
    let polled: Value = serde_json::from_str(&ann.peek().raw).unwrap();
    assert_eq!(Ws::after(&server, &ann, 0).hear(), polled);
}

#[test]
fn what_a_client_can_say() {
    let server = Server::shared();
    let mut ann = Session::open_as(&server, "ann");
    let mut ws = Ws::open(&server, &ann);
    assert_eq!(ws.ask(json!({"join": "ws.say"})), json!({"joined": "ws.say"}));
    let published = ws.ask(json!({"publish": {"topic": "ws.other", "data": 1}}));
    assert_eq!((published["recipients"].clone(), published["event"].is_string()), (json!(0), true), "{published}");
    ws.say(&json!({"publish": {"topic": "ws.say", "data": {"a": [1, "\u{f6}"]}}}));
    let (mut answer, mut page) = (ws.hear(), ws.hear());
    if answer.get("messages").is_some() {
        std::mem::swap(&mut answer, &mut page);
    }
    assert_eq!(answer["recipients"], 1, "without a ref there is none in the answer: {answer}");
    assert_eq!(
        (&page["messages"][0]["data"], &page["messages"][0]["from"]),
        (&json!({"a": [1, "\u{f6}"]}), &json!(ann.pid))
    );
    assert_eq!(ws.ask(json!({"ack": 1})), json!({"acknowledged": 1}));
    assert_eq!(ws.ask(json!({"leave": "ws.say"})), json!({"left": "ws.say"}));
    assert_eq!(ws.ask(json!({"leave": "ws.say"})), json!({"left": "ws.say"}));
    assert_eq!(publish(&server, "ws.say", &json!(2)).recipients, 0);
    drop(ws);
    assert_eq!(ann.peek().raw, r#"{"cursor":1,"messages":[]}"#, "it was acknowledged");
}

#[test]
fn an_acknowledgement_is_answered_only_if_it_says_a_ref() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "ws.ack");
    let mut ws = Ws::open(&server, &ann);
    for n in 1..=3 {
        publish(&server, "ws.ack", &json!(n));
        ws.messages(&mut ann);
        ws.say(&json!({"ack": n}));
    }
    assert_eq!(ws.ask(json!({"ack": 3})), json!({"acknowledged": 3}), "nothing else came before");
    assert_problem(&ws.ask(json!({"ack": 4}))["error"], 400);
    ws.say(&json!({"ack": 4}));
    assert_problem(&ws.hear()["error"], 400);
}

#[test]
fn what_is_wrong_is_told_and_the_socket_goes_on() {
    let server = Server::shared_with_probe();
    let ann = Session::open(&server);
    let mut ws = Ws::open(&server, &ann);
    for (what, status) in [
        (json!({}), 400),
        (json!({"join": "a..b"}), 400),
        (json!({"publish": {"topic": "a"}}), 400),
        (json!({"publish": {"topic": "a", "data": 1, "more": 1}}), 400),
        (json!({"ack": "x"}), 400),
        (json!({"shout": 1}), 400),
        (json!({"publish": {"topic": "probe.x", "data": {"do": "refuse", "words": "no"}}}), 403),
    ] {
        assert_problem(&ws.ask(what)["error"], status);
    }
    for text in ["", "1", "[]", "{", "{\"ack\":1,\"ack\":1}", "nonsense"] {
        ws.0.send(Message::text(text)).unwrap();
        assert_problem(&ws.hear()["error"], 400);
    }
    assert_eq!(ws.ask(json!({"join": "ws.wrong"})), json!({"joined": "ws.wrong"}));
}

#[test]
fn data_above_the_bound_is_refused_and_a_message_far_above_it_ends_the_socket() {
    let server = Server::start_plain(&["--limit", "event_bytes_max=1000"]);
    let ann = Session::open(&server);
    let mut ws = Ws::open(&server, &ann);
    let data = |length| json!({"publish": {"topic": "a", "data": "x".repeat(length)}});
    assert_eq!(ws.ask(data(998))["recipients"], 0);
    assert_problem(&ws.ask(data(999))["error"], 413);
    ws.say(&data(10_000));
    assert_eq!(u16::from(ws.expect_close().code), 1009);
}

/// Far more than may be under way at once: further ones are not read until then, and none is lost.
#[test]
fn calls_one_behind_the_other_are_all_answered() {
    let server = Server::start_plain(&["--limit", "socket_calls_max=3"]);
    let mut ann = Session::on(&server, "ws.many");
    let mut ws = Ws::open(&server, &ann);
    for n in 0..500 {
        ws.0.write(Message::text(json!({"ref": n, "publish": {"topic": "ws.many", "data": n}}).to_string())).unwrap();
    }
    ws.0.flush().unwrap();
    let (mut answers, mut messages) = (Vec::new(), Vec::new());
    while answers.len() < 500 || messages.len() < 500 {
        let heard = ws.hear();
        match heard.get("ref") {
            Some(number) => {
                assert_eq!(heard["recipients"], 1, "{heard}");
                answers.push(number.as_u64().unwrap());
            }
            None => messages.extend(heard["messages"].as_array().unwrap().iter().map(|m| m["data"].as_u64().unwrap())),
        }
    }
    assert_eq!(answers, (0..500).collect::<Vec<_>>());
    assert_eq!(messages, answers, "in order, since one socket's calls reach a topic in order");
    ann.cursor = 500;
    drop(ws);
    assert_eq!(ann.poll(0).raw, r#"{"cursor":500,"messages":[]}"#);
}

/// A worker that had no room for a call's answer, and one that had an answer to write when more came, were not called again:
/// the socket was deaf until its next heartbeat.
#[test]
fn no_socket_goes_deaf_under_many_calls() {
    let server = Server::start_plain(&["--limit", "socket_calls_max=2", "--limit", "heartbeat_ms=600000"]);
    std::thread::scope(|scope| {
        for socket in 0..8 {
            let (server, topic) = (&server, format!("ws.deaf-{socket}"));
            scope.spawn(move || {
                let session = Session::on(server, &topic);
                let mut ws = Ws::open(server, &session);
                for round in 0..150 {
                    for n in 0..6 {
                        let call = json!({"ref": n, "publish": {"topic": topic, "data": round}}).to_string();
                        ws.0.write(Message::text(call)).unwrap();
                        ws.0.flush().unwrap();
                    }
                    let mut answers = 0;
                    while answers < 6 {
                        answers += usize::from(ws.hear().get("ref").is_some());
                    }
                }
            });
        }
    });
}

#[test]
fn the_handshake() {
    let server = Server::shared();
    let ann = Session::on(&server, "ws.handshake");
    let status = |request| call(&server.listen, &request).status;
    let plain = call(&server.listen, &get("/v1/ws").token(&ann.token));
    assert_eq!((plain.status, plain.header("upgrade")), (426, Some("websocket")), "{plain}");
    let other = get("/v1/ws").token(&ann.token).header("Connection", "Upgrade").header("Upgrade", "websocket");
    let other = call(&server.listen, &other.header("Sec-WebSocket-Version", "8").header("Sec-WebSocket-Key", "x"));
    assert_eq!((other.status, other.header("sec-websocket-version")), (426, Some("13")), "{other}");
    let bad_key = get("/v1/ws").token(&ann.token).header("Connection", "keep-alive, Upgrade");
    let bad_key = bad_key.header("Upgrade", "WebSocket").header("Sec-WebSocket-Version", "13");
    assert_eq!(status(bad_key.clone()), 400);
    assert_eq!(status(bad_key.header("Sec-WebSocket-Key", "tooshort")), 400);
    assert_eq!(status(upgrade("/v1/ws")), 401);
    assert_eq!(status(upgrade("/v1/ws?session=x")), 410);
    assert_eq!(status(upgrade("/v1/ws?cursor=7").token(&ann.token)), 400);
    let asked = upgrade(format!("/v1/ws?session={}", ann.token));
    Ws::asked(Connection::open(&server.listen), &asked);
}

#[test]
fn pages_of_other_origins_may_not_connect_once_origins_are_named() {
    let server = Server::start_plain(&["--cors-origin", "https://chat.example"]);
    let ann = Session::on(&server, "ws.origin");
    let own = format!("http://{}", server.listen);
    for (origin, may) in
        [("https://chat.example", true), (&own, true), ("https://evil.example", false), ("null", false)]
    {
        let request = upgrade("/v1/ws").token(&ann.token).header("Origin", origin);
        if may {
            Ws::asked(Connection::open(&server.listen), &request);
        } else {
            call(&server.listen, &request).problem(403);
        }
    }
}

#[test]
fn how_the_server_closes() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "ws.closes");
    let mut first = Ws::open(&server, &ann);
    let mut second = Ws::open(&server, &ann);
    assert_eq!(u16::from(first.expect_close().code), 4409, "another consumer");
    ann.end();
    assert_eq!(u16::from(second.expect_close().code), 4410, "the session is over");
    let bob = Session::on(&server, "ws.closes");
    let mut third = Ws::open(&server, &bob);
    server.wait_until_parked(&bob.pid);
    server.terminate();
    let close = third.expect_close();
    let reason: Value = serde_json::from_str(&close.reason).expect("when to come back");
    assert_eq!((u16::from(close.code), reason["retry_ms"].is_u64()), (1012, true));
    assert!(server.wait_for_exit().success());
}

#[test]
fn how_a_client_closes() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "ws.client");
    let mut ws = Ws::open(&server, &ann);
    server.wait_until_parked(&ann.pid);
    ws.0.close(None).unwrap();
    assert!(matches!(ws.0.read(), Ok(Message::Close(_))), "it is answered");
    server.wait_for_metric("volley_websockets", 0);
    server.wait_for_metric("volley_parked_polls", 0);
    Ws::open(&server, &ann).cut();
    server.wait_for_metric("volley_websockets", 0);
    publish(&server, "ws.client", &json!(1));
    ann.expect(&[json!(1)]);
}

#[test]
fn a_peer_that_answers_no_ping_is_closed() {
    let server = Server::start_plain(&["--limit", "heartbeat_ms=200"]);
    let (ann, bob) = (Session::on(&server, "ws.dead"), Session::on(&server, "ws.dead"));
    let dead = Ws::open(&server, &ann);
    let mut alive = Ws::open(&server, &bob);
    let reads = std::thread::spawn(move || {
        let mut pings = 0;
        while pings < 10 {
            match alive.0.read().expect("a ping") {
                Message::Ping(_) => pings += 1,
                other => panic!("{other:?}"),
            }
            alive.0.flush().expect("a pong");
        }
        alive
    });
    server.wait_for_metric("volley_websockets", 1);
    let alive = reads.join().unwrap();
    server.wait_for_metric("volley_websockets", 1);
    drop((dead, alive));
}

#[test]
fn messages_between_the_handshake_and_the_first_frame_are_not_lost() {
    let server = Server::shared();
    let ann = Session::on(&server, "ws.early");
    let mut connection = Connection::open(&server.listen);
    let mut bytes = upgrade("/v1/ws?cursor=0").token(&ann.token).bytes(&server.listen);
    // A text that says {"ref":1,"ack":0}, behind the request in one packet.
    let text = br#"{"ref":1,"ack":0}"#;
    bytes.extend([0x81, 0x80 | text.len() as u8, 0, 0, 0, 0]);
    bytes.extend(text);
    connection.send_raw(&bytes);
    let (head, behind) = connection.receive_upgrade();
    assert_eq!(head.status, 101, "{head}");
    let mut ws = Ws::over(connection, behind);
    assert_eq!(ws.hear(), json!({"ref": 1, "acknowledged": 0}));
}
