//! Pages in browsers: preflights, and what each answer says to them.

use crate::client::{Page, Session, events, poll, publish, subscription};
use crate::harness::{Scratch, Server, TOPIC_ONLY};
use crate::http::{Request, Response, call, delete, get, post, put};
use serde_json::json;

const PAGE: &str = "https://chat.example";

fn server_for(origins: &str) -> (Server, Scratch) {
    let folder = Scratch::new();
    let config = folder.file("volley.toml", &format!("[cors]\norigins = {origins}\n{TOPIC_ONLY}"));
    (Server::start(&["--config", &config]), folder)
}

fn preflight(target: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", target)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "content-type,idempotency-key,volley-cursor,volley-session")
}

fn listed(response: &Response, name: &str) -> Vec<String> {
    let value = response.header(name).unwrap_or_else(|| panic!("no {name}: {response}"));
    value.split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
}

fn assert_allows(response: &Response, origin: &str) {
    assert_eq!(response.header("access-control-allow-origin"), Some(origin), "{response}");
    let vary = response.header("vary").unwrap_or_default().to_ascii_lowercase();
    assert!(vary.split(',').any(|name| name.trim() == "origin"), "{response}");
}

#[test]
fn a_preflight_needs_no_session() {
    let (server, _folder) = server_for(r#"["https://chat.example"]"#);
    for (target, method) in [
        ("/v1/sessions".to_owned(), "POST"),
        ("/v1/sessions".to_owned(), "DELETE"),
        ("/v1/poll".to_owned(), "GET"),
        (subscription("chat.lobby"), "PUT"),
        (subscription("chat.lobby"), "DELETE"),
        (events("chat.lobby"), "POST"),
        ("/v1/events".to_owned(), "POST"),
    ] {
        let response = call(&server.listen, &preflight(&target, PAGE, method));
        assert!([200, 204].contains(&response.status), "{target}: {response}");
        assert_allows(&response, PAGE);
        assert_eq!(response.header("access-control-max-age"), Some("600"), "{response}");
        let methods = listed(&response, "access-control-allow-methods");
        assert!(methods.contains(&method.to_ascii_lowercase()), "{target}: {response}");
        let headers = listed(&response, "access-control-allow-headers");
        for header in ["volley-session", "volley-cursor", "content-type", "idempotency-key"] {
            assert!(headers.contains(&header.to_owned()), "{header}: {response}");
        }
    }
}

#[test]
fn every_answer_names_the_page() {
    let (server, _folder) = server_for(r#"["https://other.example", "https://chat.example"]"#);
    let mut ann = Session::on(&server, "cors.a");
    let origin = |request: Request| request.header("Origin", PAGE);
    for (request, status) in [
        (get("/v1/poll?wait=0"), 200),
        (get("/v1/poll?cursor=x"), 400),
        (put(subscription("cors.a")), 204),
        (put(subscription("cors..a")), 400),
        (delete(subscription("cors.a")), 204),
        (post(events("cors.a")).json(&json!(1)), 200),
        (post("/v1/events").body("{\"topic\":\"cors.a\",\"data\":1}"), 200),
        (post("/v1/sessions"), 201),
        (get("/v1/nothing"), 404),
        (delete("/v1/sessions"), 204),
        (get("/v1/poll"), 410),
    ] {
        let response = ann.call(origin(request)).expect(status);
        assert_allows(&response, PAGE);
    }
    let response = call(&server.listen, &origin(get("/v1/poll")));
    response.problem(401);
    assert_allows(&response, PAGE);
}

#[test]
fn a_parked_poll_names_the_page() {
    let (server, _folder) = server_for(r#"["https://chat.example"]"#);
    let mut ann = Session::on(&server, "cors.parked");
    let from_page = |request: Request| request.header("Origin", PAGE);
    let mut first = ann.park_with(&server, from_page(poll(0, 30)));
    let mut second = ann.park_with(&server, from_page(poll(0, 30)));
    assert_allows(&first.receive().expect(200), PAGE);
    publish(&server, "cors.parked", &json!(1));
    let answer = second.receive().expect(200);
    assert_allows(&answer, PAGE);
    assert_eq!(Page::of(answer).data(), [json!(1)]);
    let deadline = second.call(&from_page(poll(1, 1)).token(&ann.token)).expect(200);
    assert_allows(&deadline, PAGE);
    let mut parked = ann.park_with(&server, from_page(poll(1, 30)));
    ann.end();
    let over = parked.receive();
    over.problem(410);
    assert_allows(&over, PAGE);
}

#[test]
fn another_page_is_not_named() {
    let (server, _folder) = server_for(r#"["https://chat.example"]"#);
    let ann = Session::on(&server, "cors.other");
    for origin in ["https://evil.example", "http://chat.example", "https://chat.example.evil.example", "null"] {
        let response = call(&server.listen, &preflight("/v1/poll", origin, "GET"));
        assert!(response.header("access-control-allow-origin").is_none(), "{origin}: {response}");
        let mut parked = ann.park_with(&server, poll(0, 1).header("Origin", origin));
        let response = parked.receive();
        assert!(response.header("access-control-allow-origin").is_none(), "{origin}: {response}");
    }
}

#[test]
fn without_a_page_there_is_nobody_to_name() {
    let (server, _folder) = server_for(r#"["https://chat.example"]"#);
    let response = call(&server.listen, &post("/v1/sessions")).expect(201);
    assert!(response.header("access-control-allow-origin").is_none(), "{response}");
}

#[test]
fn any_page_may_where_the_config_says_so() {
    let (server, _folder) = server_for(r#"["*"]"#);
    let response = call(&server.listen, &post("/v1/sessions").header("Origin", "https://anybody.example")).expect(201);
    let named = response.header("access-control-allow-origin");
    assert!([Some("*"), Some("https://anybody.example")].contains(&named), "{response}");
}
