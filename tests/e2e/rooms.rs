//! The bundled `chat`: coming, going, and what is said.

use crate::client::{Session, publish, try_publish};
use crate::harness::Server;
use serde_json::{Value, json};

/// Opens a session in the room; its `welcome`.
#[track_caller]
pub(crate) fn enter(server: &Server, user: &str, room: &str) -> (Session, Value) {
    let mut session = Session::open_as(server, user);
    session.join(room);
    let mut first = session.next();
    assert_eq!(first.as_object().map(serde_json::Map::len), Some(1), "first comes the welcome: {first}");
    (session, first["welcome"].take())
}

#[track_caller]
pub(crate) fn say(session: &mut Session, room: &str, text: &str) -> u64 {
    session.publish(room, &json!({ "say": text })).recipients
}

pub(crate) fn said(user: &str, text: &str) -> Value {
    json!({"said": {"user": user, "text": text}})
}

#[test]
fn who_joins_is_welcomed_and_the_others_are_told() {
    let (server, room) = (Server::shared(), "chat.rooms-welcome");
    let (mut ann, welcome) = enter(&server, "ann", room);
    assert_eq!(welcome, json!({"members": ["ann"], "subject": null, "backlog": []}));
    let (mut bob, mut welcome) = enter(&server, "bob", room);
    welcome["members"].as_array_mut().expect("a list").sort_by_key(Value::to_string);
    assert_eq!(welcome, json!({"members": ["ann", "bob"], "subject": null, "backlog": []}));
    ann.expect(&[json!({"joined": "bob"})]);
    ann.expect_no_more();
    bob.expect_no_more();
}

#[test]
fn what_is_said_is_heard_by_all() {
    let (server, room) = (Server::shared(), "chat.rooms-said");
    let ((mut ann, _), (mut bob, _)) = (enter(&server, "ann", room), enter(&server, "bob", room));
    assert_eq!(say(&mut bob, room, "hello"), 2);
    assert_eq!(say(&mut ann, room, "hello \"bob\" 👋"), 2);
    assert_eq!(say(&mut ann, room, ""), 2, "saying nothing is saying something");
    let all = [said("bob", "hello"), said("ann", "hello \"bob\" 👋"), said("ann", "")];
    ann.expect(&[json!({"joined": "bob"})]);
    ann.expect(&all);
    bob.expect(&all);
}

#[test]
fn the_message_names_its_sender() {
    let (server, room) = (Server::shared(), "chat.rooms-from");
    let (mut ann, _) = enter(&server, "ann", room);
    let published = ann.publish(room, &json!({"say": "hello"}));
    let message = ann.next_message();
    assert_eq!(
        message,
        json!({"topic": room, "from": ann.pid, "event": published.event, "data": said("ann", "hello")})
    );
}

#[test]
fn rooms_hear_nothing_of_each_other() {
    let server = Server::shared();
    let (mut ann, _) = enter(&server, "ann", "chat.rooms-one");
    let (mut bob, welcome) = enter(&server, "bob", "chat.rooms-two");
    assert_eq!(welcome["members"], json!(["bob"]));
    assert_eq!(say(&mut ann, "chat.rooms-one", "hello"), 1);
    bob.expect_no_more();
}

#[test]
fn typing_is_for_the_others() {
    let (server, room) = (Server::shared(), "chat.rooms-typing");
    let ((mut ann, _), (mut bob, _)) = (enter(&server, "ann", room), enter(&server, "bob", room));
    let (mut ann_again, _) = enter(&server, "ann", room);
    assert_eq!(ann.publish(room, &json!({"typing": true})).recipients, 1);
    assert_eq!(ann.publish(room, &json!({"typing": false})).recipients, 1);
    bob.expect(&[true, false].map(|typing| json!({"typing": {"user": "ann", "typing": typing}})));
    ann.expect(&[json!({"joined": "bob"})]);
    ann.expect_no_more();
    ann_again.expect_no_more();
}

#[test]
fn one_is_told() {
    let (server, room) = (Server::shared(), "chat.rooms-told");
    let ((mut ann, _), (mut bob, _), (mut cid, _)) =
        (enter(&server, "ann", room), enter(&server, "bob", room), enter(&server, "cid", room));
    ann.skip_all();
    bob.skip_all();
    assert_eq!(ann.publish(room, &json!({"tell": {"user": "bob", "text": "psst"}})).recipients, 2);
    let told = json!({"told": {"user": "ann", "text": "psst"}});
    bob.expect(std::slice::from_ref(&told));
    ann.expect(&[told]);
    cid.expect_no_more();
    let words = ann.try_publish(room, &json!({"tell": {"user": "nobody", "text": "psst"}})).problem(403);
    assert!(words.contains("nobody"), "{words}");
}

#[test]
fn the_subject_is_told_and_kept() {
    let (server, room) = (Server::shared(), "chat.rooms-subject");
    let (mut ann, _) = enter(&server, "ann", room);
    assert_eq!(ann.publish(room, &json!({"subject": "volleys"})).recipients, 1);
    ann.expect(&[json!({"subject": "volleys"})]);
    assert_eq!(enter(&server, "bob", room).1["subject"], "volleys");
}

#[test]
fn a_newcomer_gets_the_last_fifty_sayings() {
    let (server, room) = (Server::shared(), "chat.rooms-backlog");
    let (mut ann, _) = enter(&server, "ann", room);
    for n in 0..3 {
        say(&mut ann, room, &format!("saying {n}"));
    }
    let saying = |n: u32| json!({"user": "ann", "text": format!("saying {n}")});
    assert_eq!(enter(&server, "bob", room).1["backlog"], json!((0..3).map(saying).collect::<Vec<_>>()));
    for n in 3..120 {
        say(&mut ann, room, &format!("saying {n}"));
    }
    ann.publish(room, &json!({"typing": true}));
    ann.publish(room, &json!({"subject": "not a saying"}));
    assert_eq!(enter(&server, "cid", room).1["backlog"], json!((70..120).map(saying).collect::<Vec<_>>()));
}

#[test]
fn who_leaves_is_seen_to_leave() {
    let (server, room) = (Server::shared(), "chat.rooms-left");
    let ((mut ann, _), (mut bob, _), (mut cid, _)) =
        (enter(&server, "ann", room), enter(&server, "bob", room), enter(&server, "cid", room));
    ann.skip_all();
    bob.leave(room);
    ann.expect(&[json!({"left": {"user": "bob", "reason": "leave"}})]);
    cid.end();
    ann.expect(&[json!({"left": {"user": "cid", "reason": "exit"}})]);
    assert_eq!(say(&mut ann, room, "alone"), 1);
    bob.skip_all();
    bob.join(room);
    assert_eq!(bob.next()["welcome"]["backlog"], json!([{"user": "ann", "text": "alone"}]));
    ann.expect(&[said("ann", "alone"), json!({"joined": "bob"})]);
}

#[test]
fn joining_twice_says_nothing() {
    let (server, room) = (Server::shared(), "chat.rooms-twice");
    let ((mut ann, _), (mut bob, _)) = (enter(&server, "ann", room), enter(&server, "bob", room));
    bob.join(room);
    say(&mut bob, room, "fence");
    ann.expect(&[json!({"joined": "bob"}), said("bob", "fence")]);
    bob.expect(&[said("bob", "fence")]);
}

#[test]
fn a_user_with_several_sessions_is_one_member() {
    let (server, room) = (Server::shared(), "chat.rooms-several");
    let ((mut ann, _), (mut bob, _)) = (enter(&server, "ann", room), enter(&server, "bob", room));
    let (mut bob_again, welcome) = enter(&server, "bob", room);
    assert_eq!(welcome["members"], json!(["ann", "bob"]));
    assert_eq!(say(&mut bob_again, room, "with two heads"), 3);
    bob.leave(room);
    assert_eq!(say(&mut ann, room, "still here?"), 2);
    bob_again.end();
    ann.expect(&[
        json!({"joined": "bob"}),
        said("bob", "with two heads"),
        said("ann", "still here?"),
        json!({"left": {"user": "bob", "reason": "exit"}}),
    ]);
    ann.expect_no_more();
}

#[test]
fn who_has_not_joined_is_refused() {
    let (server, room) = (Server::shared(), "chat.rooms-outside");
    let (mut ann, _) = enter(&server, "ann", room);
    let mut bob = Session::open_as(&server, "bob");
    for data in [json!({"say": "hi"}), json!({"typing": true}), json!({"subject": "x"}), json!({"kick": "ann"})] {
        bob.try_publish(room, &data).problem(403);
    }
    bob.join(room);
    bob.leave(room);
    bob.try_publish(room, &json!({"say": "hi"})).problem(403);
    ann.expect(&[json!({"joined": "bob"}), json!({"left": {"user": "bob", "reason": "leave"}})]);
}

#[test]
fn a_back_end_speaks_without_a_name() {
    let (server, room) = (Server::shared(), "chat.rooms-back-end");
    let (mut ann, _) = enter(&server, "ann", room);
    assert_eq!(publish(&server, room, &json!({"say": "maintenance at noon"})).recipients, 1);
    ann.expect(&[json!({"said": {"user": null, "text": "maintenance at noon"}})]);
    let (_bob, welcome) = enter(&server, "bob", room);
    assert_eq!(welcome["backlog"], json!([{"user": null, "text": "maintenance at noon"}]));
}

#[test]
fn what_is_no_command_is_malformed() {
    let (server, room) = (Server::shared(), "chat.rooms-malformed");
    let (mut ann, _) = enter(&server, "ann", room);
    for data in [
        json!({"dance": true}),
        json!({"say": 7}),
        json!({"say": "a", "typing": true}),
        json!({}),
        json!([]),
        json!("hello"),
        json!(null),
        json!({"tell": {"user": "ann"}}),
        json!({"typing": "yes"}),
        json!({"kick": null}),
    ] {
        let response = ann.try_publish(room, &data);
        assert_eq!(response.status, 400, "{data}: {response}");
        response.problem(400);
    }
    ann.call(crate::http::post(crate::client::events(room)).typed("text/plain", "hello")).problem(400);
    try_publish(&server, room, &json!({"dance": true})).problem(400);
    ann.expect_no_more();
}

#[test]
fn a_user_without_a_name_is_somebody() {
    let (server, room) = (Server::shared(), "chat.rooms-nameless");
    let mut nameless = Session::on(&server, room);
    let welcome = nameless.next()["welcome"].clone();
    assert_eq!(welcome["members"], json!([nameless.pid]));
    let pid = nameless.pid.clone();
    say(&mut nameless, room, "it is me");
    nameless.expect(&[said(&pid, "it is me")]);
}
