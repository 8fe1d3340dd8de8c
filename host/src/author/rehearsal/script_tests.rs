use super::*;

fn parse(text: &str) -> Script {
    Script::parse(Path::new("a.jsonl"), text.into()).unwrap_or_else(|bad| panic!("{bad}"))
}

#[track_caller]
fn refused(text: &str, words: &str) {
    let bad = Script::parse(Path::new("a.jsonl"), text.into()).unwrap_err().to_string();
    assert_eq!(bad, words);
}

#[test]
fn a_file_of_every_kind_of_line() {
    let text = concat!(
        "{\"config\": {\"least\": 1}}\n\n",
        "{\"topic\": \"room.1\"}\r\n",
        "{\"open\": \"ann\"}\n",
        "{\"open\": \"bob\", \"user\": null, \"params\": {\"a\": [1]}}\n",
        "{\"join\": \"ann\", \"topic\": \"room.2\", \"expect\": {}}\n",
        "{\"publish\": null, \"data\": {\"say\": \"hi\"}, \"expect\": {\"ann\": [{\"say\": \"$any\"}], \"...\": true}}\n",
        "{\"publish\": \"bob\", \"data\": {\"$text\": \"hi\"}, \"refused\": \"not you\"}\n",
        "{\"publish\": \"bob\", \"data\": {\"$base64\": \"aGk=\"}}\n",
        "{\"leave\": \"ann\"}\n",
        "{\"exit\": \"ann\", \"reason\": \"timeout\", \"expect\": {\"ann\": []}}\n",
        "{\"wait_ms\": 5000}\n",
        "{\"insert\": {\"table\": \"bans\", \"key\": \"bob\", \"value\": \"1\"}}\n",
        "{\"table\": {\"name\": \"bans\", \"key\": \"bob\", \"value\": null}}",
    );
    let script = parse(text);
    assert_eq!(script.config.as_deref(), Some("{\"least\": 1}"));
    assert_eq!(script.steps.len(), 11);
    assert_eq!(script.checks(), 5);
    let [ann, bob, join, say, text, binary, leave, exit, wait, insert, look] = script.steps.as_slice() else {
        panic!()
    };
    assert_eq!((ann.line, script.line(ann)), (4, "{\"open\": \"ann\"}"));
    assert_eq!(ann.action, Action::Open { name: "ann".into(), user: Some("ann".into()), params: None });
    let params = Some("{\"a\": [1]}".into());
    assert_eq!(bob.action, Action::Open { name: "bob".into(), user: None, params });
    let (room_1, room_2) = ("room.1".parse().unwrap(), "room.2".parse().unwrap());
    assert_eq!(join.action, Action::Join { name: "ann".into(), topic: room_2 });
    assert_eq!(join.expected, Expected::Messages { of: Vec::new(), others: false });
    let data = Payload::Json("{\"say\": \"hi\"}".into());
    assert_eq!(say.action, Action::Publish { name: None, topic: room_1, data });
    assert!(matches!(&say.expected, Expected::Messages { of, others: true } if of.len() == 1));
    let said = &script.line(say)[say.said.clone().unwrap()];
    assert_eq!(said, "\"expect\": {\"ann\": [{\"say\": \"$any\"}], \"...\": true}");
    assert!(matches!(&text.action, Action::Publish { data: Payload::Text(text), .. } if text == "hi"));
    assert_eq!(text.expected, Expected::Refused("not you".into()));
    assert!(matches!(&binary.action, Action::Publish { data: Payload::Binary(bytes), .. } if &bytes[..] == b"hi"));
    assert!(matches!(leave.action, Action::Leave { .. }));
    assert_eq!(exit.action, Action::Exit { name: "ann".into(), reason: ExitReason::Timeout });
    assert_eq!(wait.action, Action::Wait { ms: 5000 });
    let (table, key) = ("bans".to_owned(), "bob".to_owned());
    assert_eq!(insert.action, Action::Insert { table: table.clone(), key: key.clone(), value: "1".into() });
    assert_eq!(look.action, Action::Look { table, key });
    assert_eq!(&script.line(look)[look.said.clone().unwrap()], "null");
}

#[test]
fn mistakes_are_told_with_line_and_column() {
    let open = "{\"topic\": \"a\"}\n{\"open\": \"änn\"}\n";
    for (line, words) in [
        (
            "{\"pubish\": 1}",
            "1:2: \"pubish\": a line says one of open, join, publish, leave, exit, wait_ms, insert, table",
        ),
        ("{}", "1:1: a line says one of open, join, publish, leave, exit, wait_ms, insert, table"),
        ("[]", "1:1: an object is expected: {…}"),
        ("{\"open\": \"a\"", "1:12: this is no JSON: EOF while parsing an object"),
        ("{\"open\": \"a\", \"join\": \"a\"}", "1:15: a line says one thing, and this one says \"open\""),
        ("{\"open\": \"a\", \"expect\": {}}", "1:15: \"expect\" does not go with \"open\"; user, params may"),
        ("{\"open\": \"ann\", \"users\": 1}", "1:17: \"users\" does not go with \"open\"; user, params may"),
        ("{\"open\": 7}", "1:10: \"open\" is the name of a session, a text"),
        ("{\"join\": \"ann\"}", "1:10: the session \"ann\" was not opened: {\"open\": …} comes before"),
        ("{\"wait_ms\": -1}", "1:13: \"wait_ms\" is a number of milliseconds"),
        ("{\"wait_ms\": 99999999999999}", "1:13: that is more than a year"),
        ("{\"insert\": {\"table\": \"t\", \"key\": \"k\"}}", "1:12: \"insert\" has table, key, value"),
        ("{\"insert\": {\"name\": \"t\"}}", "1:13: \"name\" does not go there; table, key, value do"),
        ("{\"topic\": \"a b\"}", "1:11: a topic has letters, digits, '_' and '-' between dots"),
    ] {
        let bad = Script::parse(Path::new("a.jsonl"), line.into()).unwrap_err().to_string();
        let expected = format!("a.jsonl:{words}");
        if line.contains("a b") {
            assert!(bad.starts_with("a.jsonl:1:11: "), "{bad}");
        } else {
            assert_eq!(bad, expected, "{line}");
        }
    }
    for (line, words) in [
        ("{\"open\": \"änn\"}", "3:10: there is a session \"änn\" already"),
        ("{\"publish\": \"änn\"}", "3:2: a publish needs its data"),
        ("{\"exit\": \"änn\", \"reason\": \"bored\"}", "3:27: a session ends for one of normal, timeout, killed"),
        ("{\"exit\": \"änn\", \"refused\": \"\"}", "3:17: \"refused\" does not go with \"exit\"; reason, expect may"),
        ("{\"join\": \"änn\", \"expect\": {}, \"invalid\": \"\"}", "3:31: a step has either \"expect\" or \"invalid\""),
        ("{\"join\": \"änn\", \"expect\": {\"bob\": []}}", "3:28: no session \"bob\" was opened before"),
        ("{\"join\": \"änn\", \"expect\": {\"änn\": 1}}", "3:35: \"änn\" is a list of messages"),
        ("{\"publish\": \"änn\", \"data\": {\"$base64\": \"?\"}}", "3:40: these are no bytes in base64"),
        ("{\"config\": {}}", "3:2: the config stands on the first line"),
    ] {
        refused(&format!("{open}{line}\n"), &format!("a.jsonl:{words}"));
    }
    refused(
        &format!("{open}{{\"exit\": \"änn\"}}\n{{\"leave\": \"änn\"}}"),
        "a.jsonl:4:11: the session \"änn\" has ended",
    );
    refused(
        "{\"open\": \"a\"}\n{\"join\": \"a\"}",
        "a.jsonl:2:2: no topic: say one here, or for all lines that follow in a line {\"topic\": …}",
    );
    parse(&format!("{open}{{\"exit\": \"änn\"}}\n{{\"open\": \"änn\"}}\n{{\"leave\": \"änn\"}}"));
}
