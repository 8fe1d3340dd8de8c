//! Rooms as their members see them, on the SDK's server in memory.

use serde_json::{Value, json};
use volley_plugin::testing::Server;
use volley_plugin::{ExitReason, Pid, Refusal, Table};

use crate::Chat;
use crate::rule::{OPTIONS, ROOMS};
use crate::state::{Entry, Slot, Tag};

const LOBBY: &str = "chat.lobby";

/// Ann is op; all have read their welcomes.
fn lobby<const N: usize>(users: [&str; N]) -> (Server<Chat>, [Pid; N]) {
    let mut server = Server::start("");
    let pids = users.map(|user| {
        let pid = server.open(user);
        server.join(LOBBY, pid).unwrap();
        pid
    });
    for pid in pids {
        server.inbox(pid);
    }
    (server, pids)
}

fn say(server: &mut Server<Chat>, pid: impl Into<Option<Pid>>, command: &Value) -> Result<(), Refusal> {
    server.publish(LOBBY, pid, &command.to_string())
}

fn refused(result: Result<(), Refusal>) -> String {
    match result {
        Err(Refusal::Refused(words)) => words,
        other => panic!("a refusal, not {other:?}"),
    }
}

#[test]
fn a_newcomer_is_welcomed_and_the_others_are_told() {
    let (mut server, [ann]) = lobby(["ann"]);
    let bob = server.open("bob");
    say(&mut server, ann, &json!({"subject": "tea"})).unwrap();
    say(&mut server, ann, &json!({"say": "first"})).unwrap();
    server.inbox(ann);
    server.join(LOBBY, bob).unwrap();
    let backlog = json!([{"user": "ann", "text": "first"}]);
    let welcome = json!({"welcome": {"members": ["ann", "bob"], "subject": "tea", "backlog": backlog}});
    assert_eq!(server.inbox(bob), [welcome]);
    assert_eq!(server.inbox(ann), [json!({"joined": "bob"})]);
}

#[test]
fn the_backlog_is_the_last_fifty_in_order() {
    for sayings in [49, 50, 51, 99, 100, 137] {
        let (mut server, [ann]) = lobby(["ann"]);
        for number in 0..sayings {
            say(&mut server, ann, &json!({"say": number.to_string()})).unwrap();
        }
        let bob = server.open("bob");
        server.join(LOBBY, bob).unwrap();
        let welcome = &server.inbox(bob)[0]["welcome"]["backlog"];
        let expected: Vec<_> = (0..sayings).map(|n| json!({"user": "ann", "text": n.to_string()})).collect();
        let first = expected.len().saturating_sub(50);
        assert_eq!(*welcome, json!(expected[first..]), "after {sayings} sayings");
    }
}

#[test]
fn sayings_go_to_all_even_empty_ones() {
    let (mut server, [ann, bob]) = lobby(["ann", "bob"]);
    say(&mut server, bob, &json!({"say": ""})).unwrap();
    say(&mut server, None, &json!({"say": "news"})).unwrap();
    let said = [json!({"said": {"user": "bob", "text": ""}}), json!({"said": {"user": null, "text": "news"}})];
    assert_eq!(server.inbox(ann), said);
    assert_eq!(server.inbox(bob), said);
}

#[test]
fn a_user_is_one_member_however_many_sessions() {
    let (mut server, [ann, bob]) = lobby(["ann", "bob"]);
    let again = server.open("bob");
    server.join(LOBBY, again).unwrap();
    assert_eq!(server.inbox(again)[0]["welcome"]["members"], json!(["ann", "bob"]));
    say(&mut server, bob, &json!({"typing": true})).unwrap();
    server.leave(LOBBY, bob);
    assert_eq!(server.inbox(ann), [json!({"typing": {"user": "bob", "typing": true}})]);
    assert!(server.inbox(again).is_empty());
    server.exit(again, ExitReason::Timeout);
    assert_eq!(server.inbox(ann), [json!({"left": {"user": "bob", "reason": "timeout"}})]);
}

#[test]
fn tell_reaches_two_users_only() {
    let (mut server, [ann, bob, eve]) = lobby(["ann", "bob", "eve"]);
    say(&mut server, ann, &json!({"tell": {"user": "bob", "text": "psst"}})).unwrap();
    let told = [json!({"told": {"user": "ann", "text": "psst"}})];
    assert_eq!(server.inbox(ann), told);
    assert_eq!(server.inbox(bob), told);
    assert!(server.inbox(eve).is_empty());
    let nobody = say(&mut server, ann, &json!({"tell": {"user": "zoe", "text": "?"}}));
    assert_eq!(refused(nobody), "zoe is not in this room");
}

#[test]
fn only_ops_rule() {
    let (mut server, [ann, bob, eve]) = lobby(["ann", "bob", "eve"]);
    assert_eq!(refused(say(&mut server, bob, &json!({"mute": "eve"}))), "only an op may do this");
    say(&mut server, ann, &json!({"op": "bob"})).unwrap();
    say(&mut server, bob, &json!({"mute": "eve"})).unwrap();
    assert_eq!(refused(say(&mut server, eve, &json!({"say": "hm"}))), "you are muted in this room");
    assert!(say(&mut server, eve, &json!({"tell": {"user": "bob", "text": "hm"}})).is_err());
    say(&mut server, None, &json!({"unmute": "eve"})).unwrap();
    say(&mut server, eve, &json!({"say": "hm"})).unwrap();
    assert_eq!(server.inbox(ann).len(), 1);
}

#[test]
fn a_kicked_session_may_come_back_a_banned_one_may_not() {
    let (mut server, [ann, bob]) = lobby(["ann", "bob"]);
    let left = [json!({"left": {"user": "bob", "reason": "kick"}})];
    say(&mut server, ann, &json!({"kick": "bob"})).unwrap();
    assert_eq!(server.inbox(bob), left);
    assert_eq!(server.inbox(ann), left);
    assert!(!server.is_subscribed(LOBBY, bob));
    assert_eq!(refused(say(&mut server, bob, &json!({"say": "why"}))), "join the room first");
    server.join(LOBBY, bob).unwrap();
    say(&mut server, ann, &json!({"ban": "bob"})).unwrap();
    assert!(!server.is_subscribed(LOBBY, bob));
    assert_eq!(refused(server.join(LOBBY, bob)), "you are banned from this room");
    say(&mut server, ann, &json!({"unban": "bob"})).unwrap();
    server.join(LOBBY, bob).unwrap();
}

#[test]
fn an_empty_room_loses_its_ops_at_once_and_all_else_later() {
    let (mut server, [ann, bob]) = lobby(["ann", "bob"]);
    say(&mut server, ann, &json!({"subject": "tea"})).unwrap();
    server.leave(LOBBY, ann);
    server.leave(LOBBY, bob);
    server.join(LOBBY, bob).unwrap();
    assert_eq!(server.inbox(bob).pop().unwrap()["welcome"]["subject"], "tea");
    assert_eq!(server.fire_timers(), 0, "the timer was cancelled");
    server.join(LOBBY, ann).unwrap();
    assert!(say(&mut server, ann, &json!({"op": "ann"})).is_err(), "bob came first");
    server.exit(ann, ExitReason::Normal);
    server.exit(bob, ExitReason::Normal);
    assert_eq!(server.fire_timers(), 1);
    assert_eq!(server.rule().table.size(), 0);
    say(&mut server, None, &json!({"subject": "nobody reads this"})).unwrap();
    assert_eq!(server.fire_timers(), 1);
    assert_eq!(server.rule().table.size(), 0);
}

#[test]
fn a_session_without_a_user_has_its_pid_for_a_name() {
    let (mut server, [ann]) = lobby(["ann"]);
    let nameless = server.open_nameless();
    server.join(LOBBY, nameless).unwrap();
    assert_eq!(server.inbox(ann), [json!({"joined": nameless.to_string()})]);
}

fn invalid(result: Result<(), Refusal>) -> String {
    match result {
        Err(Refusal::Invalid(words)) => words,
        other => panic!("invalid, not {other:?}"),
    }
}

/// Five sayings of a megabyte closed a room: its welcome did not fit into an outcome any more.
#[test]
fn the_longest_backlog_fits_into_a_welcome() {
    let (mut server, [ann]) = lobby(["ann"]);
    let long = "\u{1}".repeat(4_096);
    assert!(invalid(say(&mut server, ann, &json!({"say": format!("{long}!")}))).contains("at most 4096 bytes"));
    assert!(invalid(say(&mut server, ann, &json!({"subject": format!("{long}!")}))).contains("at most 4096 bytes"));
    assert!(invalid(say(&mut server, ann, &json!({"ban": "x".repeat(256)}))).contains("at most 255 bytes"));
    say(&mut server, ann, &json!({ "subject": long })).unwrap();
    for _ in 0..50 {
        say(&mut server, ann, &json!({ "say": long })).unwrap();
    }
    for number in 0..1_100 {
        let name = format!("{number:04}{}", "\u{1}".repeat(251));
        let member = Slot { topic: LOBBY, tag: Tag::Member, name: name.as_bytes() };
        server.rule().table.insert(&member, &Entry::Mark).unwrap();
    }
    let bob = server.open("bob");
    server.join(LOBBY, bob).unwrap();
    let welcome = &server.inbox(bob)[0]["welcome"];
    assert_eq!(welcome["backlog"].as_array().unwrap().len(), 50);
    assert_eq!(welcome["members"].as_array().unwrap().len(), (256 << 10) / 255);
    assert!(welcome.to_string().len() < 4 << 20, "{}", welcome.to_string().len());
}

/// There is room for a member, and none for an op: who was refused stayed in the list, and the room for ever.
#[test]
fn who_is_refused_leaves_the_room_as_empty_as_it_was() {
    let (mut server, [ann]) = lobby(["ann"]);
    server.leave(LOBBY, ann);
    let bob = server.open("bob");
    // Opened once more it has so much room.
    Table::<str, ()>::open(ROOMS, OPTIONS.max_objects(2)).unwrap();
    server.join(LOBBY, bob).unwrap_err();
    assert_eq!(server.rule().table.size(), 1, "the timer that ends it");
    assert_eq!(server.fire_timers(), 1);
    assert_eq!(server.rule().table.size(), 0);
}

#[test]
fn a_room_has_so_many_of_the_banned_and_no_more() {
    let (mut server, [ann]) = lobby(["ann"]);
    for number in 0..1_000 {
        say(&mut server, ann, &json!({"ban": number.to_string()})).unwrap();
    }
    assert!(refused(say(&mut server, ann, &json!({"ban": "one more"}))).contains("at most 1000"));
    say(&mut server, ann, &json!({"unban": "7"})).unwrap();
    say(&mut server, ann, &json!({"ban": "one more"})).unwrap();
}

#[test]
fn what_is_no_command_is_told_what_is() {
    let (mut server, [ann]) = lobby(["ann"]);
    for wrong in ["null", "{}", "[]", r#"{"shout":"x"}"#, r#"{"say":1}"#, r#"{"say":"a","tell":"b"}"#, r#""say""#] {
        match server.publish(LOBBY, ann, wrong) {
            Err(Refusal::Invalid(words)) => assert!(words.contains(r#"the commands are {"say":TEXT}"#), "{words}"),
            other => panic!("{wrong} is invalid, not {other:?}"),
        }
    }
    assert!(server.inbox(ann).is_empty());
}
