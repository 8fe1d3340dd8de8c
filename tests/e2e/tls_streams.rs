//! Streams over TLS, which say and do what plain ones do: server-sent events by HTTP/1.1 and HTTP/2, and `WebSocket`s. That no
//! message is lost while clients go from one to another is `changing`.

use crate::client::{Session, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, get};
use crate::secure::{Authority, Http2, Tunnel, curl, in_time, receive, request, run, wait_for_metric};
use crate::streaming::{Event, Events, Ws, upgrade};
use hyper::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tungstenite::Message;

struct Secure {
    authority: Authority,
    server: Server,
    tunnel: Tunnel,
}

fn secure(arguments: &[&str]) -> Secure {
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let server = authority.serve("server", arguments);
    let tunnel = authority.tunnel(&server);
    Secure { authority, server, tunnel }
}

/// Nothing is left of streams whose clients are gone.
fn nothing_is_left(server: &Server) {
    for name in ["volley_event_streams", "volley_websockets", "volley_parked_polls", "volley_http2_requests"] {
        server.wait_for_metric(name, 0);
    }
}

#[test]
fn events_come_as_they_are_published() {
    let Secure { server, tunnel, .. } = secure(&["--limit", "heartbeat_ms=500"]);
    let mut ann = Session::on(&server, "tls.events");
    publish(&server, "tls.events", &json!("before"));
    let mut events = Events::open_at(&tunnel.address, &ann);
    for (header, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        assert_eq!(events.head.header(header), Some(value), "{}", events.head);
    }
    assert_eq!(events.message(&mut ann), json!("before"));
    server.wait_until_parked(&ann.pid);
    for n in 1..=50 {
        assert_eq!(publish(&server, "tls.events", &json!({"n": n, "text": "a\nb"})).recipients, 1);
        assert_eq!(events.message(&mut ann), json!({"n": n, "text": "a\nb"}));
    }
    assert_eq!(events.next(), Some(Event { comment: true, ..Event::default() }), "a heartbeat");
    publish(&server, "tls.events", &json!("x".repeat(300_000)));
    assert_eq!(events.message(&mut ann), json!("x".repeat(300_000)));
    drop(events);
    nothing_is_left(&server);
}

#[test]
fn a_websocket_says_and_hears_what_a_plain_one_does() {
    let Secure { server, tunnel, .. } = secure(&["--limit", "heartbeat_ms=500"]);
    let mut ann = Session::open_as(&server, "ann");
    let mut ws = Ws::open_at(&tunnel.address, &ann);
    assert_eq!(ws.ask(json!({"join": "tls.ws"})), json!({"joined": "tls.ws"}));
    server.wait_until_parked(&ann.pid);
    for length in [1, 100, 200, 70_000, 300_000] {
        publish(&server, "tls.ws", &json!("x".repeat(length)));
        assert_eq!(ws.messages(&mut ann), [json!("x".repeat(length))]);
    }
    assert_eq!(ws.ask(json!({"ack": 5})), json!({"acknowledged": 5}));
    assert_eq!(ws.ask(json!({"publish": {"topic": "tls.other", "data": 1}}))["recipients"], 0);
    assert_eq!(ws.ask(json!({"publish": {"topic": "no topic", "data": 1}}))["error"]["status"], 400);
    // More calls than are under way at a time, all of them said before one answer is read.
    for n in 0..200 {
        ws.say(&json!({"ref": n, "publish": {"topic": "tls.other", "data": n}}));
    }
    for n in 0..200 {
        assert_eq!(ws.hear()["ref"], n);
    }
    ws.0.send(Message::Ping("are you there?".into())).expect("sent");
    loop {
        match ws.0.read().expect("a pong") {
            Message::Pong(data) => break assert_eq!(data, "are you there?"),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(ws.0.read(), Ok(Message::Ping(_))), "a heartbeat");
    ws.0.close(None).expect("sent");
    let close = ws.expect_close();
    assert_eq!(u16::from(close.code), 1000);
    nothing_is_left(&server);
}

#[test]
fn how_they_end() {
    let Secure { server, tunnel, .. } = secure(&[]);
    let mut ann = Session::on(&server, "tls.end");
    let (first, second) = (Events::open_at(&tunnel.address, &ann), Ws::open_at(&tunnel.address, &ann));
    let (mut first, mut second) = (first, second);
    let last = first.next().expect("the reason");
    assert_eq!((last.name.as_deref(), last.data), (Some("superseded"), Some(json!({"superseded": true}))));
    server.wait_until_parked(&ann.pid);
    ann.poll(0);
    assert_eq!(u16::from(second.expect_close().code), 4409);
    let mut ws = Ws::open_at(&tunnel.address, &ann);
    let mut bob = Session::on(&server, "tls.end");
    let mut events = Events::open_at(&tunnel.address, &bob);
    for session in [&mut ann, &mut bob] {
        server.wait_until_parked(&session.pid);
        session.call(crate::http::delete("/v1/sessions")).expect(204);
    }
    assert_eq!(u16::from(ws.expect_close().code), 4410);
    assert_eq!(events.next().and_then(|event| event.name).as_deref(), Some("end"));
    nothing_is_left(&server);
}

#[test]
fn what_is_refused() {
    let Secure { server, tunnel, authority } = secure(&["--cors-origin", "https://chat.example"]);
    let ann = Session::on(&server, "tls.refused");
    let status = |request: &crate::http::Request| Connection::open(&tunnel.address).call(request).status;
    for request in [get("/v1/stream"), upgrade("/v1/ws")] {
        assert_eq!(status(&request), 401);
        assert_eq!(status(&request.clone().token("nobody")), 410);
        assert_eq!(status(&request.clone().token(&ann.token).header("Volley-Cursor", "1")), 400);
        assert_eq!(status(&request.token(&ann.token).header("Last-Event-ID", "x")), 400);
    }
    assert_eq!(status(&get("/v1/ws").token(&ann.token)), 426, "no handshake");
    assert_eq!(status(&upgrade("/v1/ws").token(&ann.token).header("Origin", "https://evil.example")), 403);
    let own = format!("https://{}", tunnel.address); // what the client takes the server for
    let request = upgrade("/v1/ws").token(&ann.token).header("Origin", own);
    Ws::asked(Connection::open(&tunnel.address), &request);
    let mut ws = Ws::open_at(&tunnel.address, &ann);
    ws.send_raw(b"\x81\x02no"); // not masked
    assert_eq!(u16::from(ws.expect_close().code), 1002);
    run(async {
        let client = authority.http2(&server).await;
        let refused = client.get("/v1/ws", &ann.token).await.expect(501).json();
        assert!(refused["detail"].as_str().is_some_and(|words| words.contains("HTTP/1.1")), "{refused}");
    });
    nothing_is_left(&server);
}

/// A client whose connection takes in more than its streams do: one that is not read keeps none of the others waiting.
async fn http2_with_room(authority: &Authority, server: &Server) -> Http2 {
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(16 << 20);
    Http2::over(authority.connect(server, "h2").await, &mut builder).await
}

/// What of a stream has come over HTTP/2.
struct Listening {
    body: h2::RecvStream,
    text: String,
}

impl Listening {
    async fn begin(client: &Http2, token: &str) -> Self {
        let response = in_time(client.send(request(Method::GET, "/v1/stream?cursor=0", Some(token))).await).await;
        let response = response.expect("an answer");
        assert_eq!((response.status().as_u16(), response.headers().get("connection")), (200, None));
        Self { body: response.into_body(), text: String::new() }
    }

    /// Reads on until this many messages have come, or the stream has ended: their data.
    async fn messages(&mut self, count: usize) -> Vec<Value> {
        loop {
            let whole = &self.text[..self.text.rfind("\n\n").map_or(0, |at| at + 2)];
            let data = whole.lines().filter_map(|line| line.strip_prefix("data: "));
            let messages: Vec<Value> = data.map(|data| serde_json::from_str(data).expect("JSON")).collect();
            if messages.len() >= count {
                return messages.iter().map(|message| message["data"].clone()).collect();
            }
            self.more().await;
        }
    }

    async fn more(&mut self) -> bool {
        let Some(more) = in_time(self.body.data()).await else { return false };
        let more = more.expect("more");
        self.body.flow_control().release_capacity(more.len()).expect("room");
        self.text += std::str::from_utf8(&more).expect("UTF-8");
        true
    }

    async fn read_to_end(&mut self) -> &str {
        while self.more().await {}
        &self.text
    }
}

#[test]
fn a_hundred_streams_of_events_on_one_http2_connection() {
    let Secure { server, authority, .. } = secure(&[]);
    run(async {
        let client = http2_with_room(&authority, &server).await;
        let (mut tokens, mut listening) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            tokens.push(client.session("tls.many").await);
            listening.push(Listening::begin(&client, tokens.last().expect("a token")).await);
        }
        assert_eq!(server.metric("volley_tls_connections"), 1);
        wait_for_metric(&server, "volley_event_streams", |streams| streams == 100).await;
        for n in 0..20 {
            if n % 2 == 0 {
                wait_for_metric(&server, "volley_parked_polls", |parked| parked == 100).await;
            }
            assert_eq!(publish(&server, "tls.many", &json!(n)).recipients, 100);
        }
        let all: Vec<Value> = (0..20).map(Value::from).collect();
        for stream in &mut listening {
            assert_eq!(stream.messages(20).await, all);
        }
        // A poll takes the first one's place; the second one's session ends; the others are dropped.
        receive(client.send(request(Method::GET, "/v1/poll?wait=0", Some(&tokens[0]))).await).await.expect(200);
        assert!(listening[0].read_to_end().await.ends_with("event: superseded\ndata: {\"superseded\":true}\n\n"));
        receive(client.send(request(Method::DELETE, "/v1/sessions", Some(&tokens[1]))).await).await.expect(204);
        assert!(listening[1].read_to_end().await.contains("event: end\n"));
    });
    nothing_is_left(&server);
}

/// Its mailbox fills while it reads nothing of one stream; its other streams, and its polls, are none the worse.
#[test]
fn a_window_that_closes_stops_its_own_stream_alone() {
    let Secure { server, authority, .. } = secure(&["--limit", "write_ms=2000", "--limit", "h2_ping_ms=500"]);
    run(async {
        let client = http2_with_room(&authority, &server).await;
        let (slow, quick) = (client.session("tls.window").await, client.session("tls.window").await);
        let mut slow = Listening::begin(&client, &slow).await;
        let mut quick = Listening::begin(&client, &quick).await;
        let large = "x".repeat(20_000);
        for n in 1..=30 {
            publish(&server, "tls.window", &json!(large));
            assert_eq!(quick.messages(n).await.len(), n);
        }
        tokio::time::sleep(Duration::from_secs(3)).await; // longer than any write may take
        publish(&server, "tls.window", &json!("last"));
        assert_eq!(quick.messages(31).await.last(), Some(&json!("last")));
        assert_eq!(slow.messages(31).await.last(), Some(&json!("last")), "it reads on, and has missed nothing");
    });
}

/// A client that reads nothing is closed after `write_ms`. Its messages wait, as far as its mailbox has room.
#[test]
fn a_client_that_reads_nothing_is_closed_and_its_messages_wait() {
    let Secure { server, authority, .. } =
        secure(&["--limit", "write_ms=1000", "--limit", "stream_buffer_bytes_max=4096"]);
    for target in ["/v1/stream?cursor=0", "/v1/ws?cursor=0"] {
        let mut ann = Session::on(&server, "tls.nothing");
        run(async {
            use tokio::io::AsyncWriteExt as _;
            let mut client = authority.connect_narrow(&server, "http/1.1").await;
            let asked = if target.contains("ws") { upgrade(target) } else { get(target) };
            client.write_all(&asked.token(&ann.token).bytes("127.0.0.1")).await.expect("sent");
            client.flush().await.expect("sent");
            wait_for_metric(&server, "volley_parked_polls", |parked| parked == 1).await;
            for n in 0..100 {
                publish(&server, "tls.nothing", &json!([n, "x".repeat(50_000)]));
            }
            wait_for_metric(&server, "volley_tls_connections", |connections| connections == 0).await;
        });
        // What its mailbox had no room for is told, and all that it had room for comes.
        let (mut missing, mut heard) = (0, Vec::new());
        for _ in 0..20 {
            let page = ann.poll(0);
            missing += page.gap.unwrap_or(0);
            heard.extend(page.messages.iter().map(|message| message["data"][0].as_u64().expect("a number")));
        }
        assert_eq!(heard, (missing..100).collect::<Vec<_>>());
        nothing_is_left(&server);
    }
}

#[test]
fn a_drain_ends_them_with_their_last_words() {
    let Secure { server, tunnel, authority } = secure(&[]);
    let (ann, bob) = (Session::on(&server, "tls.drain"), Session::on(&server, "tls.drain"));
    let (mut events, mut ws) = (Events::open_at(&tunnel.address, &ann), Ws::open_at(&tunnel.address, &bob));
    run(async {
        let client = authority.http2(&server).await;
        let token = client.session("tls.drain").await;
        let mut listening = Listening::begin(&client, &token).await;
        wait_for_metric(&server, "volley_parked_polls", |parked| parked == 3).await;
        server.terminate();
        assert!(listening.read_to_end().await.contains("event: end\ndata: {\"retry_ms\":"), "{}", listening.text);
    });
    assert_eq!(events.next().and_then(|event| event.name).as_deref(), Some("end"));
    let close = ws.expect_close();
    assert!(u16::from(close.code) == 1012 && close.reason.contains("retry_ms"), "{close:?}");
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn curl_shows_events_as_they_come_by_http2() {
    let Secure { server, authority, .. } = secure(&[]);
    let ann = Session::on(&server, "tls.curl");
    for n in 1..=3 {
        publish(&server, "tls.curl", &json!(n));
    }
    let (ca, url) = (authority.path("ca.pem"), format!("https://{}/v1/stream?cursor=0", server.tls()));
    let token = format!("Volley-Session: {}", ann.token);
    std::thread::scope(|scope| {
        let shown =
            scope.spawn(|| curl(&["--http2", "-N", "--cacert", &ca, "-H", &token, "-w", "%{http_version}", &url]));
        wait_until("all to be written", || (server.is_parked(&ann.pid)).then_some(()));
        server.terminate();
        let (code, shown) = shown.join().expect("curl");
        let ids: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!((code, ids), (0, vec!["1", "2", "3"]), "{shown}");
        assert!(shown.ends_with('2'), "{shown}");
    });
}
