//! What TLS and HTTP/2 cost beside a plain connection: memory of a parked poll (that of a plain one is too little to be seen
//! here: `volley-load compare --only idle` sees it), CPU time of a delivery with the poll that follows. A measurement, which
//! fails only where a delivery is missing; run it by hand, and alone:
//! `cargo test -p volley --test e2e -- --ignored --nocapture what_a_poll_costs`

use crate::client::publish;
use crate::harness::{Server, say};
use crate::http::{call, post};
use crate::secure::{Authority, Http2, in_time, receive, request, run, wait_for_metric};
use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

const POLLS: usize = 2_000;
const ROUNDS: u64 = 10;
const POLLS_A_CONNECTION: usize = 200;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

fn session(server: &Server) -> String {
    let opened = call(&server.listen, &post("/v1/sessions").json(&json!({"topics": ["costs"]}))).expect(201).json();
    opened["session"].as_str().expect("a token").into()
}

/// Publishes to parked polls, round after round; `answered` takes all answers and polls again.
async fn measure(what: &str, server: &Server, before_mib: u64, mut answered: impl AsyncFnMut(u64)) {
    wait_for_metric(server, "volley_parked_polls", |polls| polls == POLLS as u64).await;
    let bytes = (server.memory_mib().saturating_sub(before_mib) << 20) / POLLS as u64;
    let before = server.cpu_time();
    for round in 1..=ROUNDS {
        assert_eq!(publish(server, "costs", &json!("hello")).recipients, POLLS as u64);
        answered(round).await;
        wait_for_metric(server, "volley_parked_polls", |polls| polls == POLLS as u64).await;
    }
    let spent = server.cpu_time().saturating_sub(before).as_secs_f64() * 1e6 / (POLLS as u64 * ROUNDS) as f64;
    say(&format!("{what}: {:.1} KiB a parked poll, {spent:.1} CPU-s for a million deliveries", bytes as f64 / 1024.0));
}

/// A connection for each poll.
async fn by_http1(what: &str, server: &Server, connect: impl AsyncFn() -> Box<dyn Stream>) {
    let tokens: Vec<String> = (0..POLLS).map(|_| session(server)).collect();
    let before = server.memory_mib();
    let mut clients = Vec::new();
    let head = |cursor: u64, token: &str| {
        format!("GET /v1/poll?cursor={cursor}&wait=50 HTTP/1.1\r\nHost: x\r\nVolley-Session: {token}\r\n\r\n")
    };
    for token in &tokens {
        let mut stream = connect().await;
        stream.write_all(head(0, token).as_bytes()).await.expect("sent");
        stream.flush().await.expect("sent");
        clients.push(stream);
    }
    measure(what, server, before, async |round| {
        for (stream, token) in clients.iter_mut().zip(&tokens) {
            let mut answer = [0; 1024];
            let length = in_time(stream.read(&mut answer)).await.expect("an answer");
            assert!(answer[..length].ends_with(b"]}"), "{}", String::from_utf8_lossy(&answer[..length]));
            stream.write_all(head(round, token).as_bytes()).await.expect("sent");
            stream.flush().await.expect("sent");
        }
    })
    .await;
}

async fn by_http2(server: &Server, authority: &Authority) {
    let tokens: Vec<String> = (0..POLLS).map(|_| session(server)).collect();
    let before = server.memory_mib();
    let mut clients: Vec<Http2> = Vec::new();
    for _ in 0..POLLS / POLLS_A_CONNECTION {
        clients.push(authority.http2(server).await);
    }
    let poll = |at: usize, cursor: u64| {
        let target = format!("/v1/poll?cursor={cursor}&wait=50");
        clients[at / POLLS_A_CONNECTION].send(request(Method::GET, &target, Some(&tokens[at])))
    };
    let mut waiting = Vec::new();
    for at in 0..POLLS {
        waiting.push(poll(at, 0).await);
    }
    measure("HTTP/2 over TLS, 200 polls a connection", server, before, async |round| {
        for (at, answer) in std::mem::take(&mut waiting).into_iter().enumerate() {
            assert_eq!(receive(answer).await.expect(200).json()["cursor"], round);
            waiting.push(poll(at, round).await);
        }
    })
    .await;
}

#[test]
#[ignore = "a measurement, to be run alone"]
fn what_a_poll_costs() {
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let serve = || authority.serve("server", &["--limit", "linger_ms=600000"]);
    run(async {
        let server = serve();
        by_http1("HTTP/1.1, plain", &server, async || {
            let stream = TcpStream::connect(&server.listen).await.expect("a connection");
            stream.set_nodelay(true).expect("nodelay");
            Box::new(stream) as Box<dyn Stream>
        })
        .await;
        let server = serve();
        by_http1("HTTP/1.1 over TLS", &server, async || {
            Box::new(authority.connect(&server, "http/1.1").await) as Box<dyn Stream>
        })
        .await;
        by_http2(&serve(), &authority).await;
    });
}
