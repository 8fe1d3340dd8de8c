//! `volley publish` and `volley poll`: the client protocol from the command line.

use crate::client::Session;
use crate::ending::ended_in_time;
use crate::harness::{Scratch, Server, volley, wait_until};
use crate::stub::{Answer, Stub};
use crate::terminal::{done, failed, stderr};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;

#[track_caller]
fn publish(server: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = volley()
        .arg("publish")
        .args(arguments)
        .args(["--server", server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("volley");
    // One that reads nothing may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input);
    ended_in_time(child)
}

/// A running `volley poll`.
struct Poll {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Poll {
    fn start(server: &str, arguments: &[&str]) -> Self {
        let mut child = volley()
            .arg("poll")
            .args(arguments)
            .args(["--server", server])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("volley");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("a line").expect("UTF-8");
        serde_json::from_str(&line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"))
    }

    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    fn end(mut self) -> Output {
        assert!(self.lines.next().is_none(), "it says more");
        ended_in_time(self.child)
    }
}

#[test]
fn what_is_published_is_polled() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let mut poll = Poll::start(&server.listen, &["cli.a", "cli.b", "--user", "ann"]);
    server.wait_for_metric("volley_parked_polls", 1);
    let file = folder.path().join("bytes");
    std::fs::write(&file, [0xff, 0x00]).expect("a file");
    let file = format!("@{}", file.display());
    let events: [(&[&str], &[u8], Value); 6] = [
        (&["cli.a", "{\"n\":1}"], b"", json!({"n": 1})),
        (&["cli.b", "no JSON"], b"", json!("no JSON")),
        (&["cli.a", "12", "--text"], b"", json!("12")),
        (&["cli.a", "-"], b"{\"n\":2}", json!({"n": 2})),
        (&["cli.a"], b"piped\n", json!("piped\n")),
        (&["cli.b", &file], b"", json!("/wA=")),
    ];
    for (arguments, input, data) in events {
        let answer: Value = serde_json::from_str(&done(&publish(&server.listen, arguments, input))).expect("JSON");
        assert_eq!(answer["recipients"], 1, "{arguments:?}: {answer}");
        let message = poll.next();
        assert_eq!((&message["topic"], &message["data"]), (&json!(arguments[0]), &data));
        assert_eq!(message["event"], answer["event"]);
    }
    let said = failed(&publish(&server.listen, &["cli.a", "{\"n\":", "--json"], b""));
    assert!(said.contains("JSON"), "{said}");
    let said = failed(&publish(&server.listen, &["not a topic", "1"], b""));
    assert!(said.contains("volley: "), "{said}");
    let key = ["cli.a", "1", "--idempotency-key", "once"];
    assert_eq!(
        done(&publish(&server.listen, &key, b"")),
        done(&publish(&server.listen, &key, b"")),
        "the second is answered as the first was"
    );
    poll.next();
    poll.interrupt();
    let output = poll.end();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.metric("volley_sessions"), 0, "it left");
}

#[test]
fn once_ends_with_the_first_that_comes() {
    let server = Server::start_plain(&[]);
    let poll = || {
        let poll = Poll::start(&server.listen, &["cli.once", "--once"]);
        server.wait_for_metric("volley_parked_polls", 1);
        poll
    };
    let mut waits = poll();
    let mut ann = Session::open(&server);
    ann.publish("cli.once", &json!("first"));
    assert_eq!(waits.next()["data"], "first");
    assert_eq!(waits.end().status.code(), Some(0));
    server.wait_for_metric("volley_sessions", 1);
}

#[test]
fn a_lost_answer_and_a_lost_session_are_gone_on_from() {
    let asked = Mutex::new(0);
    let page = |cursor: u64, data: &[u64]| {
        let messages: Vec<Value> = data.iter().map(|n| json!({"topic": "t", "data": n})).collect();
        json!({"cursor": cursor, "messages": messages})
    };
    let stub = Stub::start(move |call| match &*call.method {
        "POST" => {
            let first = *asked.lock().expect("a number") == 0;
            let token = if first { "first" } else { "second" };
            Answer::json(201, &json!({"session": token, "pid": "<0.1.1>", "cursor": 0, "linger_ms": 1, "wait_ms": 1}))
        }
        "DELETE" => Answer::status(204),
        _ => {
            let mut asked = asked.lock().expect("a number");
            *asked += 1;
            match *asked {
                1 => Answer::json(200, &page(2, &[1, 2])),
                2 => Answer::problem(503, "the server is going down", &Value::Null),
                3 => {
                    let mut page = page(4, &[4]);
                    page["gap"] = json!(1);
                    Answer::json(200, &page)
                }
                4 => Answer::problem(410, "no such session", &Value::Null),
                5 => Answer::json(200, &page(1, &[5])),
                _ => Answer::json(200, &json!({"cursor": 1, "messages": [], "superseded": true})),
            }
        }
    });
    let mut poll = Poll::start(&stub.address, &["t"]);
    for n in [1, 2, 4, 5] {
        assert_eq!(poll.next()["data"], n);
    }
    let output = poll.end();
    assert_eq!(output.status.code(), Some(1));
    for words in ["1 messages did not fit", "the session has ended", "another poll has taken this session over"] {
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    let polls: Vec<_> = stub
        .calls("GET")
        .iter()
        .map(|call| (call.header("volley-session").unwrap_or_default().to_owned(), call.query.clone()))
        .collect();
    let asked = |token: &str, cursor: u64| (token.to_owned(), format!("cursor={cursor}"));
    let expected = [("first", 0), ("first", 2), ("first", 2), ("first", 4), ("second", 0), ("second", 1)];
    assert_eq!(polls, expected.map(|(token, cursor)| asked(token, cursor)));
    assert_eq!(stub.last("POST").json(), json!({"user": null, "topics": ["t"]}));
}

/// A server that was started again is found again.
#[test]
fn a_restarted_server_is_polled_on() {
    let server = Server::start_plain(&[]);
    let listen = server.listen.clone();
    let mut poll = Poll::start(&listen, &["cli.restart"]);
    server.wait_for_metric("volley_parked_polls", 1);
    drop(server);
    let folder = Scratch::new();
    let config = folder.file("volley.toml", crate::harness::TOPIC_ONLY);
    let server = Server::start_bare(&["--config", &config, "--listen", &listen, "--admin", "127.0.0.1:0"]);
    wait_until("the poll to come back", || (server.metric("volley_parked_polls") == 1).then_some(()));
    done(&publish(&listen, &["cli.restart", "1"], b""));
    assert_eq!(poll.next()["data"], 1);
    poll.interrupt();
    assert_eq!(poll.end().status.code(), Some(0));
}

#[test]
fn a_topic_that_is_refused_ends_the_poll() {
    let server = Server::start_plain(&[]);
    let output = Poll::start(&server.listen, &["not..a.topic"]).end();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let output = Poll::start(&nobody.to_string(), &["t"]).end();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("--server URL"), "{output:?}");
}
