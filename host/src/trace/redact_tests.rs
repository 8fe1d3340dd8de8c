//! That nothing of what was taken out is anywhere in a line, and what stays.

use super::*;
use crate::pid::Pid;
use crate::trace::{Denial, FellBack, GroupTouch, Line, Membership, Page, Routed, TableTouch, Timer, To};
use std::collections::BTreeMap;

/// Each stands where only what it is called can stand.
const SECRETS: [(&str, Redacted); 19] = [
    ("valuea", Redacted::Tables),
    ("valueb", Redacted::Tables),
    ("valuec", Redacted::Tables),
    ("keya", Redacted::Tables),
    ("keyb", Redacted::Tables),
    ("groupa", Redacted::Tables),
    ("groupb", Redacted::Tables),
    ("messagea", Redacted::Tables),
    ("messageb", Redacted::Tables),
    ("4711", Redacted::Tables),
    ("998877665544", Redacted::Tables),
    ("timera", Redacted::Tables),
    ("faulta", Redacted::Tables),
    ("dataa", Redacted::Data),
    ("paramsa", Redacted::Data),
    ("membera", Redacted::Users),
    ("alice", Redacted::Users),
    ("bob", Redacted::Users),
    ("carol", Redacted::Users),
];

fn line() -> EventLine {
    let term = |text: &str| Term(text.as_bytes().to_vec());
    let pid = Pid::new(0, 1, 1);
    let touch = |key, before, after| TableTouch {
        table: "chat:rooms".into(),
        key: term(key),
        read: true,
        before: vec![term(before)],
        told: Some(vec![term("valuec")]),
        after: Some(vec![term(after)]),
        raced: false,
    };
    let data = Data::json(r#"{"membera":"dataa","n":4711}"#);
    let text = |text: &str| Data(Payload::Text(text.into()));
    let delivery = |message| {
        let ops = vec![Op::Members("rooms".into(), term("groupa")), Op::Subscribers("user.alice".into()), Op::Union];
        Delivery { to: To::Expr(ops), list: Some(vec![pid]), ended: Vec::new(), message: Some(message) }
    };
    EventLine {
        event: 1,
        time_ms: 1,
        topic: "user.alice".parse().unwrap(),
        kind: Kind::Publish,
        sender: Some(pid),
        user: Some("alice".into()),
        data: Some(data),
        reason: None,
        params: Some(Data::json(r#"{"a":"paramsa"}"#)),
        by: 1,
        generation: 1,
        users: BTreeMap::from([(pid, Some("alice".into())), (Pid::new(0, 2, 1), Some("bob".into()))]),
        subscribers: BTreeMap::from([("user.alice".into(), vec![pid])]),
        met: Met {
            tables: vec![touch("keya/carol", "valuea", r#"{"said":"valueb \u0041","n":4711}"#)],
            pages: vec![Page { table: "chat:rooms".into(), prefix: term("keyb"), after: Some(term("keya")), limit: 9 }],
            groups: vec![GroupTouch {
                scope: "rooms".into(),
                group: term("groupa"),
                read: true,
                named: true,
                before: vec![pid],
                told: None,
                after: None,
                resolved: None,
                raced: false,
            }],
            memberships: vec![Membership { scope: "rooms".into(), pid, groups: vec![term("groupb")] }],
            denied: vec![Denial {
                call: "insert".into(),
                table: "chat:rooms".into(),
                keys: vec![term("keyb")],
                nth: Some(0),
                limit: "max-bytes".into(),
            }],
            timers: vec![Timer {
                id: Some(1),
                limit: None,
                delay_ms: 5,
                topic: "user.alice".into(),
                data: text("timera"),
            }],
            random: vec![998_877_665_544],
            ..Met::default()
        },
        answer: Answer::Routed(Routed { deliveries: vec![delivery(text("messagea bob"))], remove: Vec::new() }),
        fell_back: Some(FellBack { by: 1, fault: Fault { kind: "panic".into(), words: "faulta of bob".into() } }),
        instead: Some(vec![delivery(Data::json(r#"["messageb"]"#))]),
        unrouted: Some("faulta".into()),
    }
}

fn redacted(kinds: &[Redacted]) -> String {
    let mut line = line();
    Redaction::of(kinds).event(&mut line);
    String::from_utf8(Line::Event(line).render()).unwrap()
}

#[test]
fn nothing_of_what_is_taken_out_stays_anywhere() {
    for most in [Redacted::Tables, Redacted::Data, Redacted::Config, Redacted::Users] {
        let text = redacted(&[most]);
        for (secret, kind) in SECRETS.into_iter().filter(|(_, kind)| *kind <= most) {
            // What a client says may be a number like one that a rule keeps.
            let is_a_clients = most == Redacted::Tables && secret == "4711";
            assert!(is_a_clients || !text.contains(secret), "{secret} is {kind:?}, and {most:?} are taken out: {text}");
        }
        Line::parse(&text).expect("it is a line all the same");
    }
    assert_eq!(redacted(&[]), String::from_utf8(Line::Event(line()).render()).unwrap());
    let whole = redacted(&[]);
    assert!(SECRETS.iter().all(|(secret, _)| whole.contains(secret)), "the secrets are there to be taken out");
}

#[test]
fn what_clients_say_stays_unless_it_is_taken_out_too() {
    let text = redacted(&[Redacted::Tables]);
    for kept in ["dataa", "paramsa", "alice", "\"user.alice\""] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert!(redacted(&[Redacted::Data]).contains("\"user\":\"alice\""));
}

#[test]
fn pseudonyms_and_shapes_stay_the_same() {
    let mut redaction = Redaction::of(&[Redacted::Users]);
    assert_eq!(redaction.kinds(), [Redacted::Tables, Redacted::Data, Redacted::Config, Redacted::Users]);
    let (mut first, mut second) = (line(), line());
    second.user = Some("bob".into());
    redaction.event(&mut first);
    redaction.event(&mut second);
    assert_eq!((first.user.as_deref(), second.user.as_deref()), (Some("user-1"), Some("user-2")));
    assert_eq!(first.met.tables[0].key, second.met.tables[0].key);
    assert_eq!(first.met.groups[0].group.words(), "\"group-1\"");
    assert_eq!(first.topic.as_str(), "user.user-1");
    assert_eq!(first.data, Some(Data::json(r#"{"xxxxxxx":"xxxxx","x":1111}"#)));
    assert_eq!(first.met.tables[0].after, Some(vec![Term(br#"{"xxxx":"xxxxxx x","x":1111}"#.to_vec())]));
}

/// A user may be called as no segment can be, and a segment as only a pseudonym should.
#[test]
fn no_user_is_left_in_a_topic_and_none_is_mixed_up_with_another() {
    let mut redaction = Redaction::of(&[Redacted::Users]);
    for (user, topic, redacted) in [
        ("ann.lee", "to.inbox.ann.lee", "to.inbox.user-1"),
        ("ann", "to.ann.lee.ann", "to.user-1.user-2"),
        ("bob", "user-1.user-x.user-1.bob", "user-4.user-x.user-4.user-3"),
        ("user-1", "user-1.ann", "user-4.user-2"),
    ] {
        let mut line = line();
        line.users.clear();
        (line.user, line.topic) = (Some(user.into()), topic.parse().unwrap());
        redaction.event(&mut line);
        assert_eq!(line.topic.as_str(), redacted, "{topic}");
    }
    let mut line = line();
    line.topic = ["ann"; 63].join(".").parse().unwrap();
    redaction.event(&mut line);
    assert!(!line.topic.as_str().contains("ann"), "{:?}", line.topic);
}

#[test]
fn the_pattern_and_the_config_are_taken_out_too() {
    let header = Header {
        trace: 1,
        volley: "0".into(),
        node: 0,
        plugin: "chat".into(),
        began_ms: 1,
        sample: 1.0,
        topics: Some("inbox.alice-1.>".into()),
        redacted: Vec::new(),
        faithful: false,
        limits: BTreeMap::new(),
    };
    let version =
        VersionLine { version: 1, sha256: String::new(), release: None, config: Data::json(r#"{"key":"secret"}"#) };
    for (kind, topics, config) in [
        (Redacted::Data, "inbox.alice-1.>", r#"{"key":"secret"}"#),
        (Redacted::Config, "inbox.alice-1.>", r#"{"key":"xxxxxx"}"#),
        (Redacted::Users, "xxxxx.xxxxx-0.>", r#"{"xxx":"xxxxxx"}"#),
    ] {
        let (redaction, mut header, mut version) = (Redaction::of(&[kind]), header.clone(), version.clone());
        redaction.header(&mut header);
        redaction.version(&mut version);
        assert_eq!((header.topics.as_deref(), version.config), (Some(topics), Data::json(config)));
    }
}

#[test]
fn json_keeps_its_shape() {
    for (json, with_names, shaped) in [
        (r#"{"a b": "Ann-Ann 12, é"}"#, false, r#"{"a b": "xxx-xxx 00, x"}"#),
        (r#"{"a" : {"b":[-1.5e10,true,null]}}"#, true, r#"{"x" : {"x":[-1.1e11,true,null]}}"#),
        (r#""a\"b\\c\u00e9\n""#, false, r#""xxxxxxx""#),
        (r#"["a:", ":"]"#, false, r#"["x:", ":"]"#),
        ("\"\"", true, "\"\""),
    ] {
        assert_eq!(String::from_utf8(shape_json(json.as_bytes(), with_names)).unwrap(), shaped, "{json}");
    }
}
