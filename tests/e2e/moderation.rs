//! The bundled `chat`: what ops may do, and what the others may not.

use crate::client::Session;
use crate::harness::Server;
use crate::rooms::{enter, said, say};
use serde_json::{Value, json};

fn left(user: &str, reason: &str) -> Value {
    json!({"left": {"user": user, "reason": reason}})
}

/// Ann, who is op, and Bob, with nothing in their mailboxes.
fn two(server: &Server, room: &str) -> (Session, Session) {
    let ((mut ann, _), (bob, _)) = (enter(server, "ann", room), enter(server, "bob", room));
    ann.expect(&[json!({"joined": "bob"})]);
    (ann, bob)
}

#[test]
fn the_first_is_op_and_the_second_is_not() {
    let (server, room) = (Server::shared(), "chat.mod-first");
    let (mut ann, mut bob) = two(&server, room);
    for command in ["op", "mute", "unmute", "kick", "ban", "unban"] {
        bob.try_publish(room, &json!({ command: "ann" })).problem(403);
    }
    for command in ["op", "mute", "unmute", "unban"] {
        assert_eq!(ann.publish(room, &json!({ command: "bob" })).recipients, 0, "{command} delivers nothing");
    }
    bob.expect_no_more();
    ann.expect_no_more();
}

#[test]
fn an_op_makes_ops() {
    let (server, room) = (Server::shared(), "chat.mod-op");
    let (mut ann, mut bob) = two(&server, room);
    ann.publish(room, &json!({"op": "bob"}));
    assert_eq!(bob.publish(room, &json!({"kick": "ann"})).recipients, 2);
    bob.expect(&[left("ann", "kick")]);
}

#[test]
fn the_muted_may_not_say() {
    let (server, room) = (Server::shared(), "chat.mod-mute");
    let (mut ann, mut bob) = two(&server, room);
    ann.publish(room, &json!({"mute": "bob"}));
    let words = bob.try_publish(room, &json!({"say": "hello?"})).problem(403);
    assert!(words.contains("muted"), "{words}");
    say(&mut ann, room, "quiet now");
    bob.expect(&[said("ann", "quiet now")]);
    bob.leave(room);
    bob.join(room);
    bob.try_publish(room, &json!({"say": "coming back does not help"})).problem(403);
    ann.publish(room, &json!({"unmute": "bob"}));
    assert_eq!(say(&mut bob, room, "thanks"), 2);
    ann.expect(&[said("ann", "quiet now"), left("bob", "leave"), json!({"joined": "bob"}), said("bob", "thanks")]);
}

#[test]
fn the_kicked_are_told_and_may_join_anew() {
    let (server, room) = (Server::shared(), "chat.mod-kick");
    let (mut ann, mut bob) = two(&server, room);
    let (mut bob_again, _) = enter(&server, "bob", room);
    assert_eq!(ann.publish(room, &json!({"kick": "bob"})).recipients, 3);
    for session in [&mut ann, &mut bob, &mut bob_again] {
        session.expect(&[left("bob", "kick")]);
    }
    assert_eq!(say(&mut ann, room, "gone"), 1);
    bob.try_publish(room, &json!({"say": "am I?"})).problem(403);
    bob.expect_no_more();
    bob_again.expect_no_more();
    bob.join(room);
    assert_eq!(bob.next()["welcome"]["members"], json!(["ann", "bob"]));
    assert_eq!(say(&mut bob, room, "back"), 2);
    ann.expect(&[said("ann", "gone"), json!({"joined": "bob"}), said("bob", "back")]);
    ann.expect_no_more();
}

#[test]
fn the_banned_stay_out() {
    let (server, room) = (Server::shared(), "chat.mod-ban");
    let (mut ann, mut bob) = two(&server, room);
    assert_eq!(ann.publish(room, &json!({"ban": "bob"})).recipients, 2, "a ban kicks who is there");
    bob.expect(&[left("bob", "kick")]);
    ann.expect(&[left("bob", "kick")]);
    let words = bob.try_join(room).problem(403);
    assert!(words.contains("banned"), "{words}");
    assert_eq!(ann.publish(room, &json!({"unban": "bob"})).recipients, 0);
    bob.join(room);
    assert!(bob.next()["welcome"].is_object());
    ann.expect(&[json!({"joined": "bob"})]);
}

#[test]
fn who_is_not_there_can_be_banned_but_not_kicked() {
    let (server, room) = (Server::shared(), "chat.mod-absent");
    let (mut ann, _) = enter(&server, "ann", room);
    ann.try_publish(room, &json!({"kick": "cid"})).problem(403);
    assert_eq!(ann.publish(room, &json!({"ban": "cid"})).recipients, 0);
    Session::open_as(&server, "cid").try_join(room).problem(403);
    ann.expect_no_more();
}

#[test]
fn a_kicked_session_has_left_its_room_only() {
    let (server, room) = (Server::shared(), "chat.mod-elsewhere");
    let (mut ann, mut bob) = two(&server, room);
    bob.join("chat.mod-elsewhere-b");
    assert!(bob.next()["welcome"].is_object());
    ann.publish(room, &json!({"kick": "bob"}));
    bob.expect(&[left("bob", "kick")]);
    assert_eq!(say(&mut bob, "chat.mod-elsewhere-b", "here"), 1);
    bob.expect(&[said("bob", "here")]);
    bob.end();
    say(&mut ann, room, "fence");
    ann.expect(&[left("bob", "kick"), said("ann", "fence")]);
    ann.expect_no_more();
}

#[test]
fn a_room_that_was_empty_has_a_new_op() {
    let (server, room) = (Server::shared(), "chat.mod-empty");
    let (mut ann, _) = enter(&server, "ann", room);
    say(&mut ann, room, "remember me");
    ann.leave(room);
    let (mut bob, welcome) = enter(&server, "bob", room);
    assert_eq!(welcome["members"], json!(["bob"]));
    bob.publish(room, &json!({"mute": "ann"}));
    ann.join(room);
    ann.try_publish(room, &json!({"kick": "bob"})).problem(403);
}
