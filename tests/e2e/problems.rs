//! What every answer says: errors are problems (RFC 9457), nothing is stored, nothing of the inside shows.

use crate::client::{Session, events, subscription};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, Request, call, delete, get, post, put};
use serde_json::json;

#[test]
fn errors_are_problems() {
    let server = Server::start_plain(&["--limit", "event_bytes_max=100"]);
    let mut ended = Session::open(&server);
    ended.end();
    let json = |request: Request, text: &'static str| request.typed("application/json", text);
    for (request, status) in [
        (get("/"), 404),
        (get("/v1"), 404),
        (get("/v1/poll/"), 404),
        (get("/v2/poll"), 404),
        (put("/v1/topics/a/nothing"), 404),
        (get("/v1/sessions"), 405),
        (post("/v1/poll"), 405),
        (get(events("a")), 405),
        (get("/v1/events"), 405),
        (get("/v1/poll"), 401),
        (put(subscription("a")), 401),
        (get("/v1/poll").token(&ended.token), 410),
        (json(post("/v1/sessions"), "{"), 400),
        (json(post(events("a")), "{"), 400),
        (json(post(events("a..b")), "1"), 400),
        (post(events("a")).body("x".repeat(101)), 413),
    ] {
        let response = call(&server.listen, &request);
        assert_eq!(response.status, status, "{}: {response}", String::from_utf8_lossy(&request.bytes("host")));
        response.problem(status);
        assert!(response.header("content-length").is_some(), "{response}");
    }
}

#[test]
fn the_detail_says_what_is_wrong() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    let malformed = post(events("problems.a")).typed("application/json", "{\"a\":\n tru}");
    let detail = ann.call(malformed).problem(400);
    assert!(detail.contains("line") || detail.contains("column"), "where it is wrong: {detail}");
    let detail = ann.try_join("problems..a").problem(400);
    assert!(detail.contains("segment") || detail.contains("topic"), "{detail}");
    let detail = ann.call(get("/v1/poll?cursor=17")).problem(400);
    assert!(detail.contains("cursor"), "{detail}");
    let detail = ann.call(get("/v1/poll?wait=soon")).problem(400);
    assert!(detail.contains("wait"), "{detail}");
}

#[test]
fn nothing_is_stored_on_the_way() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    // `expect` looks at Cache-Control each time.
    ann.join("problems.store");
    ann.publish("problems.store", &json!(1));
    ann.poll(0);
    ann.poll(1);
    ann.call(post("/v1/events").body("{\"topic\":\"problems.store\",\"data\":1}")).expect(200);
    ann.leave("problems.store");
    ann.call(delete("/v1/sessions")).expect(204);
}

#[test]
fn the_admin_calls_are_not_for_clients() {
    let server = Server::shared();
    for target in ["/admin/v1/plugins", "/admin/v1/sessions", "/metrics"] {
        call(&server.listen, &get(target)).problem(404);
    }
}

#[test]
fn one_connection_survives_its_errors() {
    let server = Server::shared();
    let mut connection = Connection::open(&server.listen);
    let ann = Session::open(&server);
    for _ in 0..20 {
        connection.call(&get("/v1/poll")).problem(401);
        connection.call(&get("/v1/poll?wait=0").token("nobody")).problem(410);
        connection.call(&get("/v1/poll?wait=0&cursor=-1").token(&ann.token)).problem(400);
        connection.call(&get("/v1/poll?wait=0&cursor=0").token(&ann.token)).expect(200);
    }
}

#[test]
fn tokens_stay_out_of_the_log() {
    let server = Server::start(&["--log-format", "json"]);
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.log", "problems.log"]}));
    ann.call(get(format!("/v1/poll?wait=0&session={}", ann.token))).expect(200);
    ann.try_publish("chat.log", &json!({"dance": true})).problem(400);
    ann.call(get("/v1/poll?cursor=99")).problem(400);
    let token = ann.token.clone();
    ann.end();
    server.terminate();
    server.wait_for_exit();
    wait_until("the log to end", || Some(server.stderr()));
    assert!(!server.stderr().contains(&token), "{}", server.stderr());
    assert!(!server.stdout().contains(&token));
}
