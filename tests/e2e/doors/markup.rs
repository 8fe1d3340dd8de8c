//! What chatters write is text: no header of anybody's answer, and no markup of anybody's page.

use crate::client::{Session, events};
use crate::harness::Server;
use crate::http::{call, post, put};
use serde_json::{Value, json};

const SCRIPT: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'\u{2028}";

#[test]
fn html_in_a_chat_is_data_of_a_type_that_is_no_page() {
    let server = Server::shared();
    let mut ann = Session::open_with(&server, &json!({"user": "<b>ann</b>", "topics": ["chat.doors-markup"]}));
    ann.skip_all();
    ann.publish("chat.doors-markup", &json!({"say": SCRIPT}));
    let answer = ann.call(crate::client::poll(0, 30)).expect(200);
    // JSON, and told so: a browser that is led to this address shows no page.
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.text().contains("script"), "{answer}");
    let page: Value = answer.json();
    assert!(page["messages"].to_string().contains("alert(1)"), "what was said came: {page}");
    // Errors repeat what a client sent as JSON as well.
    let refused = call(&server.listen, &put("/v1/topics/%3Cscript%3E/subscription"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{refused}");
    for request in
        [post(events("%3Cscript%3E")).body("x"), put("/<script>alert(1)</script>"), post("/v1/sessions").body("<")]
    {
        let refused = call(&server.listen, &request);
        assert!(!refused.header("content-type").unwrap_or_default().contains("html"), "{refused}");
    }
}

#[test]
fn a_topic_or_a_user_makes_no_header() {
    let server = Server::shared();
    for topic in ["a%0d%0aSet-Cookie:%20b=c", "a%0aX", "a%00", "a%20b", "..", "a%2e%2e"] {
        let mut ann = Session::open(&server);
        let refused = ann.call(put(format!("/v1/topics/{topic}/subscription")));
        refused.problem(400);
        assert!(refused.header("set-cookie").is_none() && refused.header("x").is_none(), "{refused}");
        call(&server.listen, &post(events(topic)).body("x")).problem(400);
    }
    for user in ["ann\r\nSet-Cookie: b=c", "a\nb", "a\u{0}", "\u{1b}[2J"] {
        let refused = call(&server.listen, &post("/v1/sessions").json(&json!({"user": user})));
        refused.problem(400);
        assert!(refused.header("set-cookie").is_none(), "{refused}");
    }
}
