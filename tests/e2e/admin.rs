//! What operators can look at: health, numbers, plugins, routes, tables, sessions.

use crate::client::{Session, publish};
use crate::harness::{Server, in_path, wait_until, workspace};
use crate::http::{Response, call, get};
use crate::rooms::{enter, say};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[track_caller]
fn look(server: &Server, target: &str) -> Value {
    let response = call(&server.admin, &get(target));
    assert_eq!(response.status, 200, "{target}: {response}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{response}");
    response.json()
}

#[track_caller]
fn problem(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response}");
    crate::http::assert_problem(&response.json(), status);
}

/// The rows of a listing: the list itself, or the one list in its object.
#[track_caller]
fn rows(listing: &Value) -> Vec<Value> {
    let list = listing.as_array().or_else(|| listing.as_object()?.values().find_map(Value::as_array));
    list.unwrap_or_else(|| panic!("no rows: {listing}")).clone()
}

#[test]
fn it_is_healthy_and_ready() {
    let server = Server::shared();
    for target in ["/healthz", "/readyz"] {
        let response = call(&server.admin, &get(target));
        assert_eq!(response.status, 200, "{target}: {response}");
    }
}

#[test]
fn the_numbers_are_prometheus_text() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "admin.metrics");
    ann.publish("admin.metrics", &json!(1));
    let response = call(&server.admin, &get("/metrics"));
    assert_eq!(response.status, 200);
    let kind = response.header("content-type").expect("a type").to_owned();
    assert!(kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"), "{kind}");
    for line in response.text().lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok() && name.starts_with("volley_"), "{line}");
    }
    assert_eq!(server.metric("volley_sessions"), 1);
    assert_eq!(server.metric("volley_parked_polls"), 0);
    assert!(server.metric("volley_events_total") >= 1);
    ann.poll(0);
    let _parked = ann.park(&server);
    assert_eq!(server.metric("volley_parked_polls"), 1);
}

/// The page that operators read names what a server says, and a server says all that it names.
#[test]
fn the_numbers_are_those_of_the_page() {
    let server = Server::start(&[]);
    let page = std::fs::read_to_string(workspace().join("host/METRICS.md")).expect("the page");
    let listed: BTreeSet<&str> =
        page.lines().filter_map(|row| row.strip_prefix("| `volley_")?.split('`').next()).collect();
    let scrape = call(&server.admin, &get("/metrics"));
    let told: BTreeSet<String> = scrape
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE volley_")?.split_once(' '))
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    assert!(told.iter().map(String::as_str).eq(listed.iter().copied()), "{told:?} is not {listed:?}");
}

#[test]
fn volleys_and_recipients_are_counted() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "admin.volleys");
    let bob = Session::on(&server, "admin.volleys");
    ann.poll(0);
    let _parked = ann.park(&server);
    let before = server.metric("volley_volley_seconds_count");
    publish(&server, "admin.volleys", &json!(1));
    server.wait_for_metric("volley_volley_seconds_count", before + 1);
    let recipients = |line: &&str| line.starts_with("volley_event_recipients_sum{plugin=\"topic\"} ");
    let scrape = call(&server.admin, &get("/metrics"));
    let line = scrape.text().lines().find(recipients).unwrap_or_else(|| panic!("no recipients: {scrape}")).to_owned();
    assert!(line.ends_with(" 2.0"), "{line}");
    drop(bob);
}

#[test]
fn plugins() {
    let server = Server::shared();
    publish(&server, "admin.plugins", &json!(1));
    let listing = look(&server, "/admin/v1/plugins");
    let names: Vec<Value> = rows(&listing).iter().map(|plugin| plugin["name"].clone()).collect();
    for name in ["chat", "topic"] {
        assert!(names.contains(&json!(name)), "{listing}");
        let plugin = look(&server, &format!("/admin/v1/plugins/{name}"));
        assert_eq!(plugin["name"], name);
        assert!(plugin.to_string().contains("sha256:"), "its version: {plugin}");
        assert!(plugin["calls"].is_u64() && plugin["traps"].is_u64(), "{plugin}");
    }
    problem(&call(&server.admin, &get("/admin/v1/plugins/nobody")), 404);
}

#[test]
fn routes_the_most_specific_first() {
    let server = Server::shared();
    let routes = look(&server, "/admin/v1/routes");
    let rows = routes.as_array().expect("a list");
    let short: Vec<_> = rows.iter().map(|row| (row["topics"].as_str(), row["plugin"].as_str())).collect();
    assert_eq!(short, [(Some("chat.>"), Some("chat")), (Some(">"), Some("topic"))]);
    assert!(rows.iter().all(|row| row.get("config").is_some()), "{routes}");
}

#[test]
fn tables_page_by_page() {
    let server = Server::start(&[]);
    let (mut ann, _) = enter(&server, "ann", "chat.admin-tables");
    for n in 0..20 {
        say(&mut ann, "chat.admin-tables", &format!("saying {n}"));
    }
    let tables = rows(&look(&server, "/admin/v1/tables"));
    let name = tables
        .iter()
        .filter_map(|table| table["name"].as_str())
        .find(|name| name.contains("rooms"))
        .unwrap_or_else(|| panic!("the chat's table is not listed: {tables:?}"))
        .to_owned();
    let path = format!("/admin/v1/tables/{}", name.replace('/', "%2F").replace(':', "%3A"));
    let all = rows(&look(&server, &format!("{path}?limit=1000")));
    assert!(all.len() > 20, "{all:?}");
    let mut paged: Vec<Value> = Vec::new();
    let mut after = String::new();
    loop {
        let page = look(&server, &format!("{path}?limit=7{after}"));
        let some = rows(&page);
        assert!(some.len() <= 7, "{page}");
        paged.extend(some);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"), // escaped already, as its key may be any bytes
            None => break,
        }
    }
    assert_eq!(paged, all);
    problem(&call(&server.admin, &get("/admin/v1/tables/nobody")), 404);
    problem(&call(&server.admin, &get(format!("{path}?limit=x"))), 400);
}

#[test]
fn sessions() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["admin.sessions"]}));
    let bob = Session::open_as(&server, "bob");
    publish(&server, "admin.sessions", &json!(1));
    let listing = look(&server, "/admin/v1/sessions");
    let pids: Vec<_> = rows(&listing).iter().map(|row| row["pid"].clone()).collect();
    assert_eq!(pids.len(), 2, "{listing}");
    assert!(pids.contains(&json!(ann.pid)) && pids.contains(&json!(bob.pid)), "{listing}");
    let one = look(&server, &format!("/admin/v1/sessions/{}", in_path(&ann.pid)));
    assert_eq!((&one["pid"], &one["user"], &one["parked"]), (&json!(ann.pid), &json!("ann"), &json!(false)));
    assert!(one.to_string().contains("admin.sessions"), "its topics: {one}");
    for said in [listing, one] {
        assert!(!said.to_string().contains(&ann.token), "a token shows: {said}");
    }
    ann.poll(0);
    let parked = ann.park(&server);
    assert!(server.is_parked(&ann.pid));
    drop(parked);
    wait_until("the poll to be gone", || (!server.is_parked(&ann.pid)).then_some(()));
    for nobody in ["%3C0.1.1%3E", "nonsense", "0.17.1"] {
        let response = call(&server.admin, &get(format!("/admin/v1/sessions/{nobody}")));
        assert!([400, 404].contains(&response.status), "{nobody}: {response}");
        problem(&response, response.status);
    }
}

#[test]
fn sessions_page_by_page() {
    let server = Server::start_plain(&[]);
    let mut all: Vec<String> = (0..10).map(|_| Session::open(&server).pid).collect();
    let (mut found, mut after) = (Vec::new(), String::new());
    for pages in 0.. {
        assert!(pages < 10, "the pages have no end");
        let page = look(&server, &format!("/admin/v1/sessions?limit=4{after}"));
        let some = rows(&page);
        assert!(some.len() <= 4, "{page}");
        found.extend(some.iter().map(|row| row["pid"].as_str().expect("a pid").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", in_path(next)),
            None => break,
        }
    }
    all.sort();
    found.sort();
    assert_eq!(found, all);
}

#[test]
fn who_calls_it_by_another_name_is_refused() {
    let server = Server::shared();
    let port = server.admin.rsplit(':').next().expect("a port");
    for name in ["evil.example", &format!("evil.example:{port}"), &format!("127.0.0.1.evil.example:{port}")] {
        for target in ["/admin/v1/plugins", "/admin/v1/sessions", "/metrics"] {
            let response = call(&server.admin, &get(target).header("Host", name));
            assert!((400..500).contains(&response.status), "{name}{target}: {response}");
            problem(&response, response.status);
        }
    }
    for name in [server.admin.clone(), format!("localhost:{port}")] {
        let response = call(&server.admin, &get("/admin/v1/plugins").header("Host", &*name));
        assert_eq!(response.status, 200, "{name}: {response}");
    }
}

#[test]
fn foreign_pages_are_refused() {
    let server = Server::shared();
    for origin in ["https://evil.example", "http://127.0.0.1:1", "null", &format!("http://{}", server.listen)] {
        let response = call(&server.admin, &get("/admin/v1/plugins").header("Origin", origin));
        problem(&response, 403);
        assert!(response.header("access-control-allow-origin").is_none(), "{response}");
    }
    let own = format!("http://{}", server.admin);
    assert_eq!(call(&server.admin, &get("/admin/v1/plugins").header("Origin", own)).status, 200);
}

#[test]
fn what_is_not_there_is_a_problem() {
    let server = Server::shared();
    problem(&call(&server.admin, &get("/admin/v1/nothing")), 404);
    problem(&call(&server.admin, &get("/v1/poll")), 404);
    problem(&call(&server.admin, &crate::http::delete("/admin/v1/plugins")), 405);
}
