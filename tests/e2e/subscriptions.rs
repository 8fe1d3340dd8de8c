//! Joining and leaving topics.

use crate::client::{Session, publish, subscription};
use crate::harness::{Scratch, Server};
use crate::http::{call, delete, get, put};
use serde_json::json;

#[test]
fn joined_and_left() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    assert_eq!(publish(&server, "subscriptions.a", &json!(0)).recipients, 0);
    ann.join("subscriptions.a");
    assert_eq!(publish(&server, "subscriptions.a", &json!(1)).recipients, 1);
    ann.leave("subscriptions.a");
    assert_eq!(publish(&server, "subscriptions.a", &json!(2)).recipients, 0);
    ann.join("subscriptions.a");
    publish(&server, "subscriptions.a", &json!(3));
    assert_eq!(ann.poll(0).data(), [json!(1), json!(3)]);
}

#[test]
fn twice_is_fine() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    ann.join("subscriptions.twice");
    ann.join("subscriptions.twice");
    assert_eq!(publish(&server, "subscriptions.twice", &json!(1)).recipients, 1);
    ann.leave("subscriptions.twice");
    ann.leave("subscriptions.twice");
    assert_eq!(publish(&server, "subscriptions.twice", &json!(1)).recipients, 0);
}

#[test]
fn a_topic_is_its_whole_name() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "subscriptions.whole.a");
    for other in ["subscriptions.whole", "subscriptions.whole.a.b", "subscriptions.whole.A", "subscriptions.whole.ab"] {
        assert_eq!(publish(&server, other, &json!(1)).recipients, 0, "{other}");
    }
    ann.expect_no_more();
}

#[test]
fn each_topic_has_its_subscribers() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "subscriptions.one");
    let mut bob = Session::on(&server, "subscriptions.two");
    ann.join("subscriptions.two");
    assert_eq!(publish(&server, "subscriptions.one", &json!(1)).recipients, 1);
    assert_eq!(publish(&server, "subscriptions.two", &json!(2)).recipients, 2);
    ann.leave("subscriptions.one");
    assert_eq!(publish(&server, "subscriptions.one", &json!(3)).recipients, 0);
    assert_eq!(publish(&server, "subscriptions.two", &json!(4)).recipients, 2);
    assert_eq!(ann.poll(0).data(), [json!(1), json!(2), json!(4)]);
    assert_eq!(bob.poll(0).data(), [json!(2), json!(4)]);
}

#[test]
fn a_rule_refuses_in_its_own_words() {
    let server = Server::shared_with_probe();
    let mut ann = Session::open_with(&server, &json!({"params": {"refuse": "not you, \"ann\" – no"}}));
    let words = ann.try_join("probe.subscriptions").problem(403);
    assert!(words.contains("not you, \"ann\" – no"), "{words}");
    assert_eq!(publish(&server, "probe.subscriptions", &json!(1)).recipients, 0);
    ann.join("subscriptions.elsewhere");
    ann.expect_no_more();
}

#[test]
fn where_no_plugin_is_mounted_there_is_nothing() {
    let folder = Scratch::new();
    let config = folder.file("volley.toml", "[[routes]]\ntopics = \"rooms.>\"\nplugin = \"topic\"\n");
    let server = Server::start(&["--config", &config]);
    let mut ann = Session::on(&server, "rooms.a");
    for topic in ["elsewhere", "rooms", "chat.lobby"] {
        ann.try_join(topic).problem(404);
        ann.call(delete(subscription(topic))).problem(404);
        ann.try_publish(topic, &json!(1)).problem(404);
        let body = json!({ "topics": ["rooms.b", topic] });
        call(&server.listen, &crate::http::post("/v1/sessions").json(&body)).problem(404);
    }
    assert_eq!(publish(&server, "rooms.b", &json!(1)).recipients, 0, "a refused session has subscribed");
    assert_eq!(ann.publish("rooms.a", &json!(1)).recipients, 1);
}

/// Texts that are no topics, as they stand in a path.
pub(crate) fn not_topics() -> Vec<String> {
    let mut texts: Vec<String> =
        ["a..b", ".a", "a.", ".", "a.*", "*", "a.%3E", "%3E", "a%20b", "caf%C3%A9", "a%00b", "a%2Fb", "a%FFb", "a%ZZb"]
            .map(String::from)
            .to_vec();
    texts.push("a".repeat(256));
    texts.push("a.".repeat(127) + "abc");
    texts
}

#[test]
fn what_is_no_topic_is_malformed() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    for topic in not_topics() {
        for request in [put(subscription(&topic)), delete(subscription(&topic))] {
            let response = ann.call(request);
            assert_eq!(response.status, 400, "{topic}: {response}");
            response.problem(400);
        }
    }
}

#[test]
fn a_topic_of_255_bytes_is_one() {
    let server = Server::shared();
    let longest = "a.".repeat(127) + "b";
    let mut ann = Session::open(&server);
    ann.join(&longest);
    assert_eq!(ann.publish(&longest, &json!("long")).recipients, 1);
    assert_eq!(ann.next_message()["topic"], json!(longest));
}

#[test]
fn an_escaped_topic_is_the_same_topic() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "subscriptions.escaped");
    ann.call(put("/v1/topics/subscriptions%2Eescape%64/subscription")).expect(204);
    assert_eq!(publish(&server, "subscriptions.escaped", &json!(1)).recipients, 1);
}

#[test]
fn a_session_has_so_many_topics_and_no_more() {
    let server = Server::start_plain(&["--limit", "session_topics_max=3"]);
    let mut ann = Session::open(&server);
    for topic in ["many.a", "many.b", "many.c"] {
        ann.join(topic);
    }
    ann.try_join("many.d").problem(403);
    ann.join("many.a");
    ann.leave("many.a");
    ann.join("many.d");
}

#[test]
fn other_methods_are_not_allowed_there() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    let response = ann.call(get(subscription("subscriptions.method")));
    response.problem(405);
    let allow = response.header("allow").unwrap_or_default().to_owned();
    assert!(allow.contains("PUT") && allow.contains("DELETE"), "{allow}");
}
