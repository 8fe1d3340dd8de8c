//! Clients that others have written: browsers' `EventSource` and `WebSocket` in Chromium, npm's `eventsource` and `ws`, Python's
//! `websockets`, and curl. `.ci/run` installs them; `VOLLEY_TEST_CLIENTS` names the folder with `node_modules` and `venv`.

use crate::browser::Browser;
use crate::client::{Session, publish};
use crate::harness::{Server, wait_until, workspace};
use crate::http::PATIENCE;
use crate::secure::Authority;
use crate::stub::{Answer, Stub};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

/// Says it even when the test passes.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}

fn clients() -> PathBuf {
    std::env::var_os("VOLLEY_TEST_CLIENTS").map_or_else(|| workspace().join("target/clients"), PathBuf::from)
}

fn script(name: &str) -> PathBuf {
    workspace().join("tests/e2e/clients").join(name)
}

/// A client that runs, and what it prints.
struct Client {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Client {
    /// None, with words, where it is not installed; `.ci/run` has them all, and says so.
    fn start(what: &str, mut command: Command) -> Option<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("VOLLEY_TEST_CLIENTS").is_none(), "{what} is to be there");
            say(&format!("SKIPPED: {what} is not installed (.ci/run does that)"));
            return None;
        };
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Some(Self { child, lines })
    }

    fn node(what: &str, script_name: &str, arguments: &[&str]) -> Option<Self> {
        Self::node_trusting(None, what, script_name, arguments)
    }

    /// The same with a certificate authority that it trusts besides.
    fn node_trusting(ca: Option<&str>, what: &str, script_name: &str, arguments: &[&str]) -> Option<Self> {
        let modules = clients().join("node_modules");
        let mut command = Command::new(if modules.join(what).exists() { "node" } else { "no such program" });
        command.env("NODE_PATH", modules).arg(script(script_name)).args(arguments);
        if let Some(ca) = ca {
            command.env("NODE_EXTRA_CA_CERTS", ca);
        }
        Self::start(&format!("npm's {what}"), command)
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// Nothing more is said, and all went well.
    #[track_caller]
    fn ends(mut self) {
        assert_eq!(self.lines.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
        let started = Instant::now();
        while self.child.try_wait().expect("wait").is_none() {
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A way to the server that can be cut.
pub(crate) struct Way {
    pub(crate) address: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    pub(crate) fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (open, listen) = (Arc::<Mutex<Vec<TcpStream>>>::default(), server.listen.clone());
        let opened = open.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // The server may be away for a while.
                let Ok(far) = TcpStream::connect(&listen) else { continue };
                opened
                    .lock()
                    .expect("the connections")
                    .extend([&near, &far].map(|end| end.try_clone().expect("a copy")));
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, open }
    }

    pub(crate) fn cut(&self) {
        for end in self.open.lock().expect("the connections").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Says 1 to 20 to somebody who listens, and cuts the way behind each five, which may be under way then.
fn say_and_cut(server: &Server, topic: &str, listener: &Session, way: &Way) {
    for n in 1..=20 {
        if n % 5 == 1 {
            server.wait_until_parked(&listener.pid);
        }
        publish(server, topic, &json!(n));
        if n % 5 == 0 {
            way.cut();
        }
    }
}

#[test]
fn npm_eventsource_resumes_by_itself() {
    let server = Server::shared();
    let (ann, way) = (Session::on(&server, "real.eventsource"), Way::to(&server));
    let url = format!("http://{}/v1/stream?session={}", way.address, ann.token);
    let Some(client) = Client::node("eventsource", "eventsource.cjs", &[&url, "20"]) else { return };
    say_and_cut(&server, "real.eventsource", &ann, &way);
    for n in 1..=20 {
        let line = client.line();
        let (id, message) = line.split_once(' ').expect("id and data");
        assert_eq!(id, n.to_string(), "what was cut off comes again, once");
        assert_eq!(serde_json::from_str::<Value>(message).expect("JSON")["data"], n);
    }
    client.ends();
}

#[test]
fn npm_ws() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    let url = format!("ws://{}/v1/ws?session={}&cursor=0", server.listen, ann.token);
    let Some(client) = Client::node("ws", "ws.cjs", &[&url, "100", "real.ws"]) else { return };
    for n in 1..=100 {
        assert_eq!(client.line(), n.to_string());
    }
    assert_eq!(client.line(), "300000");
    assert_eq!(client.line(), "closed 1000");
    client.ends();
    assert_eq!(ann.poll_at(0, 0).raw, r#"{"cursor":101,"messages":[]}"#, "it has acknowledged all");
}

#[test]
fn npm_clients_over_tls() {
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let server = authority.serve("server", &[]);
    let ca = authority.path("ca.pem");
    let ann = Session::on(&server, "real.tls");
    let url = format!("https://{}/v1/stream?session={}", server.tls(), ann.token);
    let Some(events) = Client::node_trusting(Some(&ca), "eventsource", "eventsource.cjs", &[&url, "20"]) else {
        return;
    };
    server.wait_until_parked(&ann.pid);
    for n in 1..=20 {
        publish(&server, "real.tls", &json!(n));
        let line = events.line();
        assert!(line.starts_with(&format!("{n} {{")) && line.ends_with(&format!("\"data\":{n}}}")), "{line}");
    }
    events.ends();
    let bob = Session::open(&server);
    let url = format!("wss://{}/v1/ws?session={}&cursor=0", server.tls(), bob.token);
    let Some(socket) = Client::node_trusting(Some(&ca), "ws", "ws.cjs", &[&url, "100", "real.wss"]) else { return };
    for n in 1..=100 {
        assert_eq!(socket.line(), n.to_string());
    }
    assert_eq!((socket.line(), socket.line()), ("300000".into(), "closed 1000".into()));
    socket.ends();
}

#[test]
fn python_websockets() {
    let server = Server::shared();
    let ann = Session::open(&server);
    let url = format!("ws://{}/v1/ws?session={}", server.listen, ann.token);
    let mut command = Command::new(clients().join("venv/bin/python"));
    command.arg(script("websockets_client.py")).args([&url, "100", "real.python"]);
    let Some(client) = Client::start("Python's websockets", command) else { return };
    assert_eq!(client.line(), "real.python");
    for n in 1..=100 {
        assert_eq!(client.line(), n.to_string());
    }
    assert_eq!(client.line(), "closed 1003", "binary is refused with its code");
    client.ends();
}

#[test]
fn curl_shows_events_as_they_come() {
    let server = Server::shared();
    let ann = Session::on(&server, "real.curl");
    let mut command = Command::new("curl");
    command.args(["-sN", "--max-time", "60", "-H", &format!("Volley-Session: {}", ann.token)]);
    command.arg(format!("http://{}/v1/stream", server.listen));
    let Some(client) = Client::start("curl", command) else { return };
    assert_eq!((client.line(), client.line()), ("retry: 1000".into(), String::new()));
    for n in 1..=3 {
        publish(&server, "real.curl", &json!(n));
        assert_eq!(client.line(), format!("id: {n}"));
        let line = client.line();
        let message: Value = serde_json::from_str(line.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!((&message["data"], client.line()), (&json!(n), String::new()));
    }
}

/// One page, three ways to listen: an `EventSource` whose connection is cut again and again and that resumes by itself, a
/// WebSocket, and a poll.
#[test]
fn a_page_in_chromium() {
    let server = Server::shared();
    let (ann, way) = (Session::on(&server, "real.page"), Way::to(&server));
    let page = std::fs::read(script("page.html")).expect("the page");
    let web = Stub::start(move |call| match call.line() {
        ("POST", _) => Answer::status(204),
        _ if call.path == "/" => Answer::status(200).header("Content-Type", "text/html").body(page.clone()),
        _ => Answer::status(404),
    });
    let url = format!("http://{}/?volley={}&cuts={}&session={}", web.address, server.listen, way.address, ann.token);
    let Some(mut browser) = Browser::start() else { return };
    let _page = browser.page(&url);
    let reports = || -> Vec<Value> { web.calls("POST").iter().map(crate::stub::Call::json).collect() };
    let wait_for = |what: &str| {
        wait_until(&format!("the page to report {what}"), || {
            let reports = reports();
            let failed = reports.iter().find(|report| report.get("error").is_some());
            assert!(failed.is_none(), "{reports:?}");
            reports.into_iter().find(|report| report.get(what).is_some() || report["listens"] == what)
        })
    };
    wait_for("events");
    say_and_cut(&server, "real.page", &ann, &way);
    wait_for("websocket");
    for n in 21..=30 {
        publish(&server, "real.page", &json!(n));
    }
    wait_for("poll");
    publish(&server, "real.page", &json!(31));
    let result = wait_for("polled");
    let expected: Vec<Value> = (1..=20).map(|n| json!([n, n])).collect();
    assert_eq!(result["events"], json!(expected), "nothing lost, nothing twice, in order");
    assert_eq!(result["socket"]["got"], json!((21..=30).collect::<Vec<_>>()));
    assert_eq!((&result["socket"]["clean"], &result["socket"]["code"]), (&json!(true), &json!(1000)));
    assert_eq!(result["polled"]["messages"][0]["data"], 31);
}
