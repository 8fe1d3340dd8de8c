//! The TLS listener: who speaks it, who does not, and who takes too long.

use crate::cli::serve;
use crate::client::{Session, publish};
use crate::harness::Server;
use crate::http::{Connection, call, post};
use crate::secure::{Authority, curl, in_time, run, wait_for_metric, wait_until_parked};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn secure(arguments: &[&str]) -> (Authority, Server) {
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let server = authority.serve("server", arguments);
    (authority, server)
}

/// Opens a session, waits in a poll, and gets what is published meanwhile, all with curl.
fn conversation(authority: &Authority, server: &Server, version: &[&str], expected: &str) {
    let (ca, url) = (authority.path("ca.pem"), format!("https://{}", server.tls()));
    let shown = "\n%{http_version} %{response_code}";
    let call = |arguments: &[&str]| {
        let (code, said) = curl(&[&["--cacert", &ca, "-w", shown], version, arguments].concat());
        assert_eq!(code, 0, "{said}");
        let (body, shown) = said.rsplit_once('\n').expect("two lines");
        let (version, status) = shown.split_once(' ').expect("two words");
        assert_eq!(version, expected, "{said}");
        (serde_json::from_str::<Value>(body).unwrap_or_default(), status.to_owned())
    };
    let (opened, status) = call(&["-d", r#"{"topics":["tls.curl"]}"#, &format!("{url}/v1/sessions")]);
    assert_eq!(status, "201", "{opened}");
    let token = format!("Volley-Session: {}", opened["session"].as_str().expect("a token"));
    std::thread::scope(|scope| {
        let polled = scope.spawn(|| call(&["-H", &token, &format!("{url}/v1/poll?cursor=0&wait=30")]));
        wait_until_parked(server, 1);
        assert_eq!(publish(server, "tls.curl", &json!("hello")).recipients, 1);
        let (page, status) = polled.join().expect("a poll");
        assert_eq!((&*status, &page["messages"][0]["data"]), ("200", &json!("hello")), "{page}");
    });
    let (problem, status) = call(&["-H", &token, &format!("{url}/v1/poll?cursor=9")]);
    assert_eq!((&*status, &problem["status"]), ("400", &json!(400)), "{problem}");
    let (_, status) = call(&["-X", "DELETE", "-H", &token, &format!("{url}/v1/sessions")]);
    assert_eq!(status, "204");
}

#[test]
fn curl_converses_by_http2() {
    let (authority, server) = secure(&[]);
    conversation(&authority, &server, &["--http2"], "2");
}

#[test]
fn curl_converses_by_http1() {
    let (authority, server) = secure(&[]);
    conversation(&authority, &server, &["--http1.1"], "1.1");
}

#[test]
fn curl_converses_by_tls_1_2_and_nothing_older() {
    let (authority, server) = secure(&[]);
    conversation(&authority, &server, &["--http2", "--tls-max", "1.2"], "2");
    let (code, said) = curl(&["-k", "--tls-max", "1.1", &format!("https://{}/v1/poll", server.tls())]);
    assert_eq!(code, 35, "{said}");
}

#[test]
fn a_client_without_tls_is_told() {
    let (_authority, server) = secure(&[]);
    let mut plain = Connection::open(server.tls());
    plain.send(&post("/v1/sessions"));
    let words = plain.receive_answer_to("POST").problem(400);
    assert!(words.contains("https://"), "{words}");
    plain.expect_closed();
    let mut rubbish = Connection::open(server.tls());
    rubbish.send_raw(b"\0\x01\x02");
    assert_eq!(rubbish.receive().status, 400);
    rubbish.expect_closed();
    server.wait_for_metric("volley_connections", 0);
}

#[test]
fn a_client_with_tls_on_the_plain_listener_is_closed_cleanly() {
    let (_authority, server) = secure(&[]);
    let (code, said) = curl(&["-k", &format!("https://{}/v1/poll", server.listen)]);
    assert_eq!(code, 35, "{said}");
    server.wait_for_metric("volley_connections", 0);
    call(&server.listen, &post("/v1/sessions")).expect(201);
}

#[test]
fn http2_without_tls_is_not_offered() {
    let server = Server::shared();
    let mut connection = Connection::open(&server.listen);
    connection.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    connection.receive().problem(400);
    connection.expect_closed();
}

#[test]
fn a_handshake_that_takes_too_long_is_cut_off_and_a_broken_one_is_counted() {
    let (_authority, server) = secure(&["--limit", "tls_handshake_ms=1000"]);
    // Nothing, the beginning of a record, and a record that is no greeting.
    for (bytes, is_slow) in [(&b""[..], true), (b"\x16\x03\x01\x02", true), (b"\x16\x03\x01\0\x04\x63\0\0\0", false)] {
        let mut stream = TcpStream::connect(server.tls()).expect("a connection");
        stream.write_all(bytes).expect("sent");
        let started = Instant::now();
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(8), "{bytes:?}: {took:?}");
        assert!(took > Duration::from_secs(1) || !is_slow, "{bytes:?}: {took:?}");
    }
    server.wait_for_metric("volley_tls_handshake_failures_total", 2);
    server.wait_for_metric("volley_tls_connections", 0);
    server.wait_for_metric("volley_connections", 0);
}

#[test]
fn connections_with_tls_have_a_bound_of_their_own() {
    let (authority, server) = secure(&["--limit", "tls_connections_max=1"]);
    run(async {
        let first = authority.connect(&server, "http/1.1").await;
        wait_for_metric(&server, "volley_tls_connections", |connections| connections == 1).await;
        let mut second = tokio::net::TcpStream::connect(server.tls()).await.expect("a connection");
        assert_eq!(in_time(second.read(&mut [0; 16])).await.unwrap_or(0), 0);
        Session::open(&server);
        drop(first);
        wait_for_metric(&server, "volley_tls_connections", |connections| connections == 0).await;
        authority.connect(&server, "http/1.1").await;
    });
}

/// Sends this over HTTP/1.1 and reads to the end.
async fn last_answer(authority: &Authority, server: &Server, bytes: &[u8]) -> String {
    let mut stream = authority.connect(server, "http/1.1").await;
    stream.write_all(bytes).await.expect("sent");
    let mut said = Vec::new();
    in_time(stream.read_to_end(&mut said)).await.expect("an end that is announced");
    String::from_utf8(said).expect("text")
}

#[test]
fn what_is_no_http_is_told_in_our_words_over_tls_too() {
    let (authority, server) = secure(&[]);
    run(async {
        let long = format!("GET /v1/poll HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(40_000));
        for (bytes, status) in [(&b"rubbish\r\n\r\n"[..], 400), (long.as_bytes(), 431)] {
            let said = last_answer(&authority, &server, bytes).await;
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
            assert!(said.contains("application/problem+json") && said.contains("no-store"), "{said}");
        }
    });
}

#[test]
fn half_a_head_ends_by_head_ms_and_nothing_by_idle_ms() {
    let (authority, server) = secure(&["--limit", "head_ms=1000", "--limit", "idle_ms=2000"]);
    run(async {
        for (bytes, limit_ms) in [(&b"GET /v1/poll HT"[..], 1000), (b"", 2000)] {
            let mut stream = authority.connect(&server, "http/1.1").await;
            stream.write_all(bytes).await.expect("sent");
            let started = Instant::now();
            let ended = in_time(stream.read_to_end(&mut Vec::new())).await;
            let took = started.elapsed();
            assert!((limit_ms..limit_ms + 5000).contains(&(took.as_millis() as u64)), "{took:?}");
            // Amid a head there is nothing to say; who is idle is told goodbye.
            assert!(ended.is_ok() || !bytes.is_empty(), "{ended:?}");
        }
    });
}

#[test]
fn a_client_that_is_gone_finds_its_messages_later() {
    let (authority, server) = secure(&[]);
    let mut ann = Session::on(&server, "tls.gone");
    run(async {
        for n in 1..=5_u64 {
            let mut stream = authority.connect(&server, "http/1.1").await;
            let poll = format!(
                "GET /v1/poll?cursor={}&wait=50 HTTP/1.1\r\nHost: x\r\nVolley-Session: {}\r\n\r\n",
                n - 1,
                ann.token
            );
            stream.write_all(poll.as_bytes()).await.expect("sent");
            wait_for_metric(&server, "volley_parked_polls", |polls| polls == 1).await;
            drop(stream);
            publish(&server, "tls.gone", &json!(n));
            ann.expect(&[json!(n)]);
        }
    });
    server.wait_for_metric("volley_tls_connections", 0);
}

#[test]
fn polls_by_http1_are_answered_on_a_drain() {
    let (authority, server) = secure(&[]);
    let ann = Session::on(&server, "tls.drain");
    run(async {
        let poll =
            format!("GET /v1/poll?cursor=0&wait=50 HTTP/1.1\r\nHost: x\r\nVolley-Session: {}\r\n\r\n", ann.token);
        let mut stream = authority.connect(&server, "http/1.1").await;
        stream.write_all(poll.as_bytes()).await.expect("sent");
        let _idle = authority.connect(&server, "http/1.1").await;
        wait_for_metric(&server, "volley_parked_polls", |polls| polls == 1).await;
        server.terminate();
        let mut said = Vec::new();
        in_time(stream.read_to_end(&mut said)).await.expect("an end that is announced");
        let said = String::from_utf8(said).expect("text");
        assert!(said.contains("retry_ms") && said.contains("connection: close"), "{said}");
    });
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn a_listener_without_its_files_is_wrong_usage() {
    let said = |arguments: &[&str]| {
        let output = serve(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let words = said(&["--tls-listen", "127.0.0.1:0"]);
    assert!(words.contains("--tls-cert FILE and --tls-key FILE"), "{words}");
    let words = said(&["--tls-cert", "x.pem", "--tls-key", "x.key"]);
    assert!(words.contains("--tls-listen ADDR"), "{words}");
}
