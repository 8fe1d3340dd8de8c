//! The bundled `chat` and its next version, which keeps rooms under other keys, while people are in them.

use crate::client::Session;
use crate::guests;
use crate::harness::Server;
use crate::operator::{Operator, done, refused};
use crate::rooms::{enter, said, say};
use serde_json::{Value, json};

const ROOM: &str = "chat.next";

/// People in a room that has a bit of everything: an op, one muted, a subject, a backlog.
struct Room {
    server: Server,
    operator: Operator,
    /// The op.
    ann: Session,
    bob: Session,
    /// Muted.
    eve: Session,
    sayings: Vec<Value>,
}

impl Room {
    fn full() -> Self {
        let server = Server::start(&["--lanes", "2"]);
        let operator = Operator::of(&server, "chat");
        let ([mut ann, mut bob, mut eve], mut sayings) =
            (["ann", "bob", "eve"].map(|user| enter(&server, user, ROOM).0), Vec::new());
        ann.publish(ROOM, &json!({"subject": "tea"}));
        ann.publish(ROOM, &json!({"mute": "eve"}));
        for n in 0..7 {
            let text = format!("saying {n}");
            say(&mut ann, ROOM, &text);
            sayings.push(json!({"user": "ann", "text": text}));
        }
        for session in [&mut ann, &mut bob, &mut eve] {
            session.skip_all();
        }
        Self { server, operator, ann, bob, eve, sayings }
    }

    /// Everybody is who they were, and a newcomer is told all of it.
    #[track_caller]
    fn goes_on(&mut self, text: &str) {
        let Self { server, ann, bob, eve, sayings, .. } = self;
        assert_eq!(say(bob, ROOM, text), 3);
        for session in [ann, bob, eve] {
            session.expect(&[said("bob", text)]);
        }
        sayings.push(json!({"user": "bob", "text": text}));
        let (mut zoe, mut welcome) = enter(server, "zoe", ROOM);
        welcome["members"].as_array_mut().expect("a list").sort_by_key(Value::to_string);
        let all = json!({"members": ["ann", "bob", "eve", "zoe"], "subject": "tea", "backlog": *sayings});
        assert_eq!(welcome, all);
        zoe.end();
        for session in [&mut self.ann, &mut self.bob, &mut self.eve] {
            assert_eq!(session.next(), json!({"joined": "zoe"}));
            assert_eq!(session.next()["left"]["user"], "zoe");
            session.expect_no_more();
        }
        self.eve.try_publish(ROOM, &json!({"say": "let me"})).problem(403);
        self.bob.try_publish(ROOM, &json!({"mute": "ann"})).problem(403);
    }

    fn keys(&self) -> Vec<String> {
        self.operator.table("rooms").keys().cloned().collect()
    }
}

#[test]
fn rooms_go_on_in_the_next_version_and_back_in_this_one() {
    let mut room = Room::full();
    room.goes_on("before");
    let old = room.keys();
    assert!(old.iter().all(|key| key.starts_with("chat.next\0")), "{old:?}");
    room.operator.deploy(&guests::chat_next());
    let new = room.keys();
    assert!(new.len() == old.len() && new.iter().all(|key| key.starts_with("\0\tchat.next")), "{new:?}");
    room.goes_on("in the next version");
    room.operator.rollback();
    room.goes_on("and back");
    assert!(room.keys().iter().all(|key| key.starts_with("chat.next\0")));
}

#[test]
fn an_upgrade_that_fails_leaves_no_trace() {
    let mut room = Room::full();
    let (tables, routes, before) = (room.operator.tables(), room.operator.routes(), room.operator.active());
    let next = room.operator.push(&guests::chat_next());
    for fault in ["panic", "error"] {
        let body = json!({"version": next, "config": {"upgrade": fault}});
        assert!(refused(&room.operator.try_activate(&body), 422).contains("told to"));
        assert_eq!((room.operator.tables(), room.operator.routes()), (tables.clone(), routes.clone()), "{fault}");
        assert_eq!(room.operator.active(), before);
    }
    room.goes_on("as if nothing had happened");
    done(&room.operator.try_activate(&json!({ "version": next })), &[200]);
    room.goes_on("and then it works");
}
