//! HTTP/2: many polls on one connection, and peers that make the most of its freedoms.

use crate::client::publish;
use crate::harness::Server;
use crate::http::{Connection, PATIENCE, post};
use crate::secure::{Answer, Authority, Http2, in_time, receive, request, run, try_receive, wait_for_metric};
use hyper::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;

const POLLS: usize = 200;

fn secure(arguments: &[&str]) -> (Authority, Server) {
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let server = authority.serve("server", arguments);
    (authority, server)
}

/// The messages of a poll's answer, and the cursor.
#[track_caller]
fn page(answer: Answer) -> (Vec<serde_json::Value>, u64) {
    let page = answer.expect(200).json();
    assert!(page.get("gap").is_none() && page.get("superseded").is_none(), "{page}");
    let messages = page["messages"].as_array().expect("messages");
    (messages.iter().map(|message| message["data"].clone()).collect(), page["cursor"].as_u64().expect("a cursor"))
}

fn poll(cursor: u64) -> String {
    format!("/v1/poll?cursor={cursor}&wait=50")
}

#[test]
fn two_hundred_polls_on_one_connection_are_answered_by_one_broadcast_and_lose_nothing() {
    let (authority, server) = secure(&[]);
    run(async {
        let client = authority.http2(&server).await;
        let mut sessions = Vec::new();
        for _ in 0..POLLS {
            sessions.push((client.session("http2.many").await, 0));
        }
        assert_eq!(server.metric("volley_tls_connections"), 1);
        for round in 0..20 {
            let mut waiting = Vec::new();
            for (token, cursor) in &sessions {
                waiting.push(client.send(request(Method::GET, &poll(*cursor), Some(token))).await);
            }
            // In every other round some of the polls come after the message.
            if round % 2 == 0 {
                wait_for_metric(&server, "volley_parked_polls", |polls| polls == POLLS as u64).await;
            }
            assert_eq!(publish(&server, "http2.many", &json!(round)).recipients, POLLS as u64);
            for (answer, (_, cursor)) in waiting.into_iter().zip(&mut sessions) {
                let (messages, next) = page(receive(answer).await);
                assert_eq!((messages, next), (vec![json!(round)], *cursor + 1));
                *cursor = next;
            }
        }
        wait_for_metric(&server, "volley_http2_requests", |requests| requests == 0).await;
    });
}

#[test]
fn a_poll_that_is_taken_back_leaves_its_messages_and_its_place() {
    let (authority, server) = secure(&[]);
    run(async {
        let client = authority.http2(&server).await;
        let token = client.session("http2.back").await;
        for n in 0..10 {
            let waiting = client.send(request(Method::GET, &poll(n), Some(&token))).await;
            wait_for_metric(&server, "volley_parked_polls", |polls| polls == 1).await;
            drop(waiting); // RST_STREAM
            publish(&server, "http2.back", &json!(n));
            assert_eq!(page(client.get(&poll(n), &token).await), (vec![json!(n)], n + 1));
        }
        wait_for_metric(&server, "volley_http2_requests", |requests| requests == 0).await;
    });
}

#[test]
fn a_second_poll_supersedes_the_first_on_the_same_connection() {
    let (authority, server) = secure(&[]);
    run(async {
        let client = authority.http2(&server).await;
        let token = client.session("http2.twice").await;
        let first = client.send(request(Method::GET, &poll(0), Some(&token))).await;
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 1).await;
        let second = client.send(request(Method::GET, &poll(0), Some(&token))).await;
        assert_eq!(receive(first).await.expect(200).json()["superseded"], true);
        publish(&server, "http2.twice", &json!(1));
        assert_eq!(page(receive(second).await).0, [json!(1)]);
    });
}

#[test]
fn more_requests_than_a_connection_may_have_wait_at_the_client() {
    let (authority, server) = secure(&["--limit", "h2_streams_max=3"]);
    run(async {
        let client = authority.http2(&server).await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let token = client.session("http2.few").await;
            waiting.push(client.send(request(Method::GET, &poll(0), Some(&token))).await);
        }
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 3).await;
        let mut fourth = client.requests.clone();
        let (answer, _) = fourth.send_request(request(Method::GET, "/v1/nothing", None), true).expect("kept");
        let mut answer = Box::pin(answer);
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut answer).await.is_err(), "it had no place");
        publish(&server, "http2.few", &json!(1));
        for answer in waiting {
            assert_eq!(page(receive(answer).await).0, [json!(1)]);
        }
        assert_eq!(in_time(answer).await.expect("an answer").status(), 404);
    });
}

#[test]
fn requests_of_all_connections_are_bounded() {
    let (authority, server) = secure(&["--limit", "h2_requests_max=2"]);
    run(async {
        let (one, other) = (authority.http2(&server).await, authority.http2(&server).await);
        let tokens = [one.session("http2.all").await, one.session("http2.all").await];
        let first = one.send(request(Method::GET, &poll(0), Some(&tokens[0]))).await;
        let second = other.send(request(Method::GET, &poll(0), Some(&tokens[1]))).await;
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 2).await;
        let refused = other.get("/v1/nothing", &tokens[0]).await.expect(503).json();
        assert!(refused["detail"].as_str().expect("words").contains("h2_requests_max"), "{refused}");
        publish(&server, "http2.all", &json!(1));
        assert_eq!(page(receive(first).await).0, [json!(1)]);
        assert_eq!(page(receive(second).await).0, [json!(1)]);
    });
}

#[test]
fn a_large_event_comes_through_the_windows_and_one_that_is_too_large_is_refused() {
    let (authority, server) = secure(&[]);
    run(async {
        let client = authority.http2(&server).await;
        let token = client.session("http2.large").await;
        let data = "x".repeat(900_000);
        let published = client.post("/v1/topics/http2.large/events", data.clone()).await.expect(200).json();
        assert_eq!(published["recipients"], 1, "{published}");
        let (messages, _) = page(client.get(&poll(0), &token).await);
        assert!(messages[0].as_str() == Some(&data) || messages[0].to_string().len() > data.len(), "it came whole");
        client.post("/v1/topics/http2.large/events", "x".repeat(2_000_000)).await.expect(413);
        client.get("/v1/poll?wait=0", &token).await.expect(200);
    });
}

#[test]
fn a_head_that_is_too_long_is_refused_and_the_connection_goes_on() {
    let (authority, server) = secure(&[]);
    run(async {
        let client = authority.http2(&server).await;
        let mut long = request(Method::GET, "/v1/poll", None);
        long.headers_mut().insert("x-long", "x".repeat(20_000).parse().expect("a value"));
        receive(client.send(long).await).await.expect(431);
        client.session("http2.long").await;
    });
}

/// Opens streams and takes each back at once, as fast as it can, for a while or until it is thrown out.
async fn flood(client: Http2, token: &str, time: Duration) -> u64 {
    let started = Instant::now();
    let mut requests = client.requests;
    let mut sent = 0;
    while started.elapsed() < time {
        let Ok(ready) = requests.ready().await else { break };
        requests = ready;
        let Ok((answer, _)) = requests.send_request(request(Method::GET, &poll(0), Some(token)), true) else { break };
        drop(answer);
        sent += 1;
        if sent % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    sent
}

#[test]
fn a_rapid_reset_flood_is_thrown_out_and_does_not_hurt_others() {
    let (authority, server) = secure(&[]);
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            run(async {
                let mut thrown_out = 0;
                let started = Instant::now();
                while started.elapsed() < Duration::from_secs(3) {
                    let client = authority.http2(&server).await;
                    let token = client.session("http2.flood").await;
                    let began = Instant::now();
                    let sent = flood(client, &token, Duration::from_secs(3)).await;
                    thrown_out += u64::from(began.elapsed() < Duration::from_secs(3));
                    assert!(sent >= 20, "a flood: {sent}");
                }
                thrown_out
            })
        });
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let started = Instant::now();
            Connection::open(&server.listen).call(&post("/v1/sessions")).expect(201);
            slowest = slowest.max(started.elapsed());
        }
        assert!(slowest < Duration::from_secs(2), "others waited {slowest:?}");
        assert!(flooding.join().expect("a flood") >= 1, "nobody was thrown out");
    });
    server.wait_for_metric("volley_http2_requests", 0);
    server.wait_for_metric("volley_parked_polls", 0);
}

/// Streams that were looked at before they are taken back: what h2 counts does not see them.
#[test]
fn a_peer_that_takes_back_more_than_it_may_is_thrown_out() {
    let (authority, server) = secure(&["--limit", "h2_resets_per_s_max=50"]);
    run(async {
        let client = authority.http2(&server).await;
        let mut tokens = Vec::new();
        for _ in 0..120 {
            tokens.push(client.session("http2.resets").await);
        }
        let mut waiting = Vec::new();
        for token in &tokens {
            waiting.push(client.send(request(Method::GET, &poll(0), Some(token))).await);
        }
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 120).await;
        drop(waiting);
        let _ = in_time(client.driven).await.expect("a task");
        wait_for_metric(&server, "volley_tls_connections", |connections| connections == 0).await;
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 0).await;
    });
}

/// It grants the answer no window: what it does not take is cut off, and the messages stay.
#[test]
fn a_peer_that_takes_nothing_of_an_answer_ends_by_write_ms() {
    let (authority, server) = secure(&["--limit", "write_ms=1000"]);
    run(async {
        let client = authority.http2(&server).await;
        let token = client.session("http2.stuck").await;
        publish(&server, "http2.stuck", &json!("x".repeat(900_000)));
        let stuck = client.send(request(Method::GET, &poll(0), Some(&token))).await;
        let mut body = in_time(stuck).await.expect("a head").into_body();
        let started = Instant::now();
        let broken = loop {
            match in_time(body.data()).await {
                Some(Ok(_)) => {} // the window is never given back
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(broken, "all of it came");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        wait_for_metric(&server, "volley_unsent_bytes", |bytes| bytes == 0).await;
        let again = authority.http2(&server).await;
        assert_eq!(page(again.get(&poll(0), &token).await).1, 1, "the message stayed");
    });
}

#[test]
fn a_peer_that_is_gone_without_a_word_is_found_by_a_ping() {
    let (authority, server) = secure(&["--limit", "h2_ping_ms=500", "--limit", "write_ms=1000"]);
    run(async {
        // It says what a client says first, and no more: no ping is answered.
        let mut stream = authority.connect(&server, "h2").await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .expect("sent");
        let started = Instant::now();
        let mut rest = Vec::new();
        let _ = in_time(stream.read_to_end(&mut rest)).await;
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        wait_for_metric(&server, "volley_tls_connections", |connections| connections == 0).await;
    });
}

#[test]
fn an_idle_connection_is_told_goodbye() {
    let (authority, server) = secure(&["--limit", "idle_ms=1000"]);
    run(async {
        let client = authority.http2(&server).await;
        let token = client.session("http2.idle").await;
        let waiting = client.send(request(Method::GET, &poll(0), Some(&token))).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        publish(&server, "http2.idle", &json!(1));
        assert_eq!(page(receive(waiting).await).0, [json!(1)], "a poll that waits is not idle");
        in_time(client.driven).await.expect("a task").expect("GOAWAY without an error");
    });
}

#[test]
fn a_drain_answers_parked_polls_and_says_goodbye() {
    let (authority, server) = secure(&[]);
    run(async {
        let client = authority.http2(&server).await;
        let mut waiting = Vec::new();
        for _ in 0..50 {
            let token = client.session("http2.drain").await;
            waiting.push(client.send(request(Method::GET, &poll(0), Some(&token))).await);
        }
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 50).await;
        let started = Instant::now();
        server.terminate();
        for answer in waiting {
            let page = try_receive(answer).await.expect("an answer").expect(200).json();
            assert!(page["retry_ms"].is_u64(), "{page}");
        }
        drop(client.requests);
        in_time(client.driven).await.expect("a task").expect("GOAWAY without an error");
        let status = server.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(started.elapsed() < Duration::from_secs(15).min(PATIENCE), "{:?}", started.elapsed());
    });
}
