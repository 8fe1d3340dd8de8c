//! What a rule may ask of the host, through a rule that does what its payload says: as it is built now, and as it was built
//! when v0.1 of the contract was published.

use crate::client::{Session, batch_of, publish};
use crate::harness::Server;
use crate::http::post;
use serde_json::{Value, json};

/// A session that asks the probe for things, on a topic of its own.
pub(crate) struct Asker {
    pub(crate) session: Session,
    pub(crate) topic: String,
}

impl Asker {
    fn new(server: &Server, name: &str) -> Self {
        Self::on(server, format!("probe.contract-{name}"))
    }

    #[track_caller]
    pub(crate) fn on(server: &Server, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        let session = Session::open_with(server, &json!({"user": "ann", "params": {"p": 1}, "topics": [topic]}));
        Self { session, topic }
    }

    /// What the rule answers.
    #[track_caller]
    pub(crate) fn ask(&mut self, what: &Value) -> Value {
        self.session.publish(&self.topic, what);
        self.session.next()
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, what: &Value) -> Value {
        ok(&self.ask(what))
    }

    /// What the rule answers to each, asked in one go: its lane does them one right after the other.
    #[track_caller]
    pub(crate) fn ask_all(&mut self, whats: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let body = batch_of(&self.topic, whats);
        let statuses = self.session.call(post("/v1/events").body(body)).expect(200);
        let asked =
            statuses.text().lines().inspect(|line| assert!(line.contains("\"recipients\":1"), "{line}")).count();
        (0..asked).map(|_| self.session.next()).collect()
    }

    #[track_caller]
    fn table(&mut self, name: &str, kind: &str, op: &Value) -> Value {
        self.ok(&json!({"do": "table", "name": name, "kind": kind, "op": op}))
    }

    #[track_caller]
    fn group(&mut self, op: &Value) -> Value {
        let scope = self.topic.clone();
        self.ok(&json!({"do": "group", "scope": scope, "op": op}))
    }

    /// The session's PID as the rule has it.
    #[track_caller]
    pub(crate) fn pid_of(&mut self, other: Option<&mut Session>) -> u64 {
        let topic = self.topic.clone();
        let session = other.unwrap_or(&mut self.session);
        session.publish(&topic, &json!({"do": "event"}));
        loop {
            let answer = session.next();
            if let Some(event) = answer.get("ok") {
                return event["sender"].as_u64().unwrap_or_else(|| panic!("a number: {event}"));
            }
        }
    }
}

/// Each of these tests twice.
macro_rules! by_both_probes {
    ($($test:ident)*) => {
        mod built_now {
            $(#[test]
            fn $test() {
                super::$test(&crate::harness::Server::shared_with_probe());
            })*
        }
        mod kept_of_v0_1 {
            $(#[test]
            fn $test() {
                super::$test(&crate::kept::server());
            })*
        }
    };
}

by_both_probes! {
    a_rule_is_told_the_event
    a_set
    an_ordered_set_is_walked_in_order
    a_bag_has_several_values_a_key
    counters_count
    a_table_has_one_kind
    a_table_has_a_bound
    tables_outlive_a_trap
    groups_hold_the_living
    recipients_by_their_pids
    recipients_by_an_expression
    a_rule_ends_subscriptions
    timers_fire_or_are_cancelled
    time_and_chance
    texts_and_bytes_of_a_rule
    a_rule_writes_into_the_log
}

#[track_caller]
pub(crate) fn ok(answer: &Value) -> Value {
    answer.get("ok").unwrap_or_else(|| panic!("{answer}")).clone()
}

fn a_rule_is_told_the_event(server: &Server) {
    let mut asker = Asker::new(server, "event");
    let event = asker.ok(&json!({"do": "event"}));
    assert_eq!(
        (&event["topic"], &event["kind"], &event["user"]),
        (&json!(asker.topic), &json!("Publish"), &json!("ann"))
    );
    assert_eq!(event["data"], json!(r#"{"do":"event"}"#));
    assert!(event["time_ms"].as_u64().expect("a time") > 1_700_000_000_000, "{event}");
    assert!(event["id"].as_u64().expect("an id") < 1 << 53, "{event}");
    publish(server, &asker.topic, &json!({"do": "event"}));
    let event = asker.session.next()["ok"].clone();
    assert_eq!((&event["sender"], &event["user"]), (&Value::Null, &Value::Null));
}

fn a_set(server: &Server) {
    let mut asker = Asker::new(server, "set");
    let name = "contract-set";
    assert_eq!(asker.table(name, "set", &json!({"insert": [["b", "2"], ["a", "1"]]})), Value::Null);
    assert_eq!(asker.table(name, "set", &json!({"insert": [["a", "3"]]})), Value::Null);
    assert_eq!(asker.table(name, "set", &json!({"lookup": ["a", "b", "c"]})), json!([["3"], ["2"], []]));
    assert_eq!(asker.table(name, "set", &json!({"insert_new": [["c", "4"], ["a", "5"]]})), json!(false));
    assert_eq!(asker.table(name, "set", &json!({"lookup": ["c"]})), json!([[]]), "all or nothing");
    assert_eq!(asker.table(name, "set", &json!({"insert_new": [["c", "4"]]})), json!(true));
    assert_eq!(asker.table(name, "set", &json!("size")), json!(3));
    assert_eq!(asker.table(name, "set", &json!({"take": "c"})), json!(["4"]));
    assert_eq!(asker.table(name, "set", &json!({"take": "c"})), json!([]));
    assert_eq!(asker.table(name, "set", &json!({"select_replace": ["a", "1", "9"]})), json!(false));
    assert_eq!(asker.table(name, "set", &json!({"select_replace": ["a", "3", "9"]})), json!(true));
    assert_eq!(asker.table(name, "set", &json!({"lookup": ["a"]})), json!([["9"]]));
    assert_eq!(asker.table(name, "set", &json!({"delete": ["a", "b", "x"]})), json!(2));
    assert_eq!(asker.table(name, "set", &json!("size")), json!(0));
}

fn an_ordered_set_is_walked_in_order(server: &Server) {
    let mut asker = Asker::new(server, "ordered");
    let name = "contract-ordered";
    let objects: Vec<[String; 2]> = (0..25).rev().map(|n| [format!("k{n:02}"), n.to_string()]).collect();
    asker.table(name, "ordered_set", &json!({"insert": objects}));
    asker.table(name, "ordered_set", &json!({"insert": [["other", "x"]]}));
    let (mut after, mut keys) = (Value::Null, Vec::new());
    loop {
        let select = json!({"select": {"prefix": "k", "after": after, "limit": 10}});
        let page = asker.table(name, "ordered_set", &select);
        keys.extend(page["objects"].as_array().expect("a list").iter().map(|object| object[0].clone()));
        after = page["continuation"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(keys, (0..25).map(|n| json!(format!("k{n:02}"))).collect::<Vec<_>>());
}

fn a_bag_has_several_values_a_key(server: &Server) {
    let mut asker = Asker::new(server, "bag");
    let name = "contract-bag";
    asker.table(name, "bag", &json!({"insert": [["a", "1"], ["a", "2"], ["a", "1"], ["b", "3"]]}));
    let mut values = asker.table(name, "bag", &json!({"lookup": ["a"]}))[0].as_array().expect("a list").clone();
    values.sort_by_key(|value| value.as_str().map(str::to_owned));
    assert_eq!(values, [json!("1"), json!("2")]);
    assert_eq!(asker.table(name, "bag", &json!({"delete_object": [["a", "1"], ["a", "9"]]})), json!(1));
    assert_eq!(asker.table(name, "bag", &json!({"lookup": ["a", "b"]})), json!([["2"], ["3"]]));
}

fn counters_count(server: &Server) {
    let mut asker = Asker::new(server, "counters");
    let name = "contract-counters";
    let count = |op: Value| json!({"update_counter": [op]});
    assert_eq!(asker.table(name, "set", &count(json!({"key": "a", "incr": 5, "default": 10}))), json!([15]));
    assert_eq!(asker.table(name, "set", &count(json!({"key": "a", "incr": -20}))), json!([-5]));
    assert_eq!(asker.table(name, "set", &json!({"lookup": ["a"]})), json!([["-5"]]));
    let threshold = json!({"key": "b", "incr": 4, "threshold": [9, 0]});
    for expected in [4, 8, 0, 4] {
        assert_eq!(asker.table(name, "set", &count(threshold.clone())), json!([expected]));
    }
}

fn a_table_has_one_kind(server: &Server) {
    let mut asker = Asker::new(server, "kind");
    asker.table("contract-kind", "set", &json!("open"));
    let answer = asker.ask(&json!({"do": "table", "name": "contract-kind", "kind": "bag", "op": "open"}));
    assert_eq!(answer["error"][0], "badarg", "{answer}");
    assert!(answer.to_string().contains("as a set, and not a bag"), "{answer}");
}

fn a_table_has_a_bound(server: &Server) {
    let mut asker = Asker::new(server, "bound");
    let call = |op: Value| json!({"do": "table", "name": "contract-bound", "max_objects": 2, "op": op});
    asker.ok(&call(json!({"insert": [["a", "1"], ["b", "2"]]})));
    let answer = asker.ask(&call(json!({"insert": [["c", "3"]]})));
    assert_eq!(answer["error"][0], "system-limit", "{answer}");
    assert_eq!(asker.ok(&call(json!("size"))), json!(2));
}

fn tables_outlive_a_trap(server: &Server) {
    let mut asker = Asker::new(server, "outlive");
    asker.table("contract-outlive", "set", &json!({"insert": [["a", "1"]]}));
    asker.session.try_publish(&asker.topic.clone(), &json!({"do": "trap", "words": "now"})).problem(502);
    assert_eq!(asker.table("contract-outlive", "set", &json!({"lookup": ["a"]})), json!([["1"]]));
}

fn groups_hold_the_living(server: &Server) {
    let mut asker = Asker::new(server, "groups");
    let mut bob = Session::on(server, &asker.topic);
    let (ann_pid, bob_pid) = (asker.pid_of(None), asker.pid_of(Some(&mut bob)));
    assert_eq!(asker.group(&json!({"join": ["g", [ann_pid, bob_pid]]})), json!(2));
    assert_eq!(asker.group(&json!({"join": ["g", [ann_pid]]})), json!(0));
    let (low, high) = (ann_pid.min(bob_pid), ann_pid.max(bob_pid));
    assert_eq!(asker.group(&json!({"get_members": "g"})), json!([low, high]));
    assert_eq!(asker.group(&json!({"which_groups": ann_pid})), json!(["g"]));
    assert_eq!(asker.group(&json!({"count": ["g", "none"]})), json!([2, 0]));
    assert_eq!(asker.group(&json!({"leave": ["g", [ann_pid]]})), json!(1));
    assert_eq!(asker.group(&json!({"leave": ["g", [ann_pid]]})), json!(0));
    bob.end();
    assert_eq!(asker.group(&json!({"count": ["g"]})), json!([0]), "who has ended has left");
    assert_eq!(asker.group(&json!({"join": ["g", [bob_pid]]})), json!(0), "the dead do not join");
}

fn recipients_by_their_pids(server: &Server) {
    let mut asker = Asker::new(server, "pids");
    let mut bob = Session::on(server, &asker.topic);
    let (ann_pid, bob_pid) = (asker.pid_of(None), asker.pid_of(Some(&mut bob)));
    let topic = asker.topic.clone();
    let to_bob = json!({"do": "pids", "to": [bob_pid, bob_pid]});
    assert_eq!(asker.session.publish(&topic, &to_bob).recipients, 1, "a PID named twice receives once");
    bob.expect(&[to_bob]);
    bob.end();
    let dead_or_never_issued = [bob_pid, ann_pid + 1, ann_pid + (20_000_000 << 18), 0, 1];
    let of_another_node = [ann_pid | 1 << 43, 1 << 52, (1 << 53) - 1];
    let no_pids = [1 << 53, ann_pid | 1 << 53, ann_pid | 1 << 63, u64::MAX];
    let mut odd = [&dead_or_never_issued[..], &of_another_node, &no_pids].concat();
    for with_ann in [false, true] {
        odd.extend(with_ann.then_some(ann_pid));
        for op in [json!({"do": "pids", "to": odd}), json!({"do": "expr", "steps": [{ "pids": odd }]})] {
            assert_eq!(asker.session.publish(&topic, &op).recipients, u64::from(with_ann), "skipped and not counted");
            asker.session.expect(if with_ann { std::slice::from_ref(&op) } else { &[] });
        }
    }
    odd.pop();
    assert_eq!(asker.group(&json!({"join": ["g", odd]})), json!(0), "nor do they join a group");
    asker.session.publish(&topic, &json!({"do": "remove", "pids": odd}));
    assert_eq!(asker.session.publish(&topic, &json!("still here")).recipients, 1);
}

fn recipients_by_an_expression(server: &Server) {
    let mut asker = Asker::new(server, "expr");
    let topic = asker.topic.clone();
    let mut others: Vec<Session> = (0..3).map(|_| Session::on(server, &topic)).collect();
    let pids: Vec<u64> = others.iter_mut().map(|other| asker.pid_of(Some(other))).collect();
    let ann = asker.pid_of(None);
    let scope = topic.clone();
    asker.group(&json!({"join": ["muted", [pids[0], pids[1]]]}));
    let subscribers = json!({"subscribers": ""});
    let muted = json!({"members": [scope, "muted"]});
    for (steps, recipients) in [
        (json!([subscribers]), 4),
        (json!([{"subscribers": topic}]), 4),
        (json!([{"subscribers": "probe.contract-nobody"}]), 0),
        (json!([muted]), 2),
        (json!([subscribers, muted, "subtract"]), 2),
        (json!([subscribers, muted, "subtract", {"pids": [pids[0]]}, "union"]), 3),
        (json!([subscribers, muted, "intersection"]), 2),
        (json!([{"pids": [ann]}, {"pids": [ann, pids[2]]}, "union"]), 2),
        (json!([{"pids": []}]), 0),
    ] {
        let published = asker.session.publish(&topic, &json!({"do": "expr", "steps": steps}));
        assert_eq!(published.recipients, recipients, "{steps}");
    }
    for malformed in [json!([]), json!(["union"]), json!([subscribers, "subtract"]), json!([subscribers, subscribers])]
    {
        asker.session.try_publish(&topic, &json!({"do": "expr", "steps": malformed})).problem(502);
    }
}

fn a_rule_ends_subscriptions(server: &Server) {
    let mut asker = Asker::new(server, "remove");
    let topic = asker.topic.clone();
    let mut bob = Session::on(server, &topic);
    let bob_pid = asker.pid_of(Some(&mut bob));
    let remove = json!({"do": "remove", "pids": [bob_pid]});
    assert_eq!(asker.session.publish(&topic, &remove).recipients, 2, "resolved before they end");
    bob.expect(&[remove]);
    assert_eq!(asker.session.publish(&topic, &json!("after")).recipients, 1);
    bob.expect_no_more();
    bob.join(&topic);
    assert_eq!(asker.session.publish(&topic, &json!("again")).recipients, 2);
    bob.expect(&[json!("again")]);
}

fn timers_fire_or_are_cancelled(server: &Server) {
    let mut asker = Asker::new(server, "timers");
    let timer = asker.ok(&json!({"do": "timer", "delay_ms": 60_000, "data": "never"}));
    assert_eq!(asker.ok(&json!({"do": "cancel", "timer": timer})), json!(true));
    assert_eq!(asker.ok(&json!({"do": "cancel", "timer": timer})), json!(false));
    asker.ok(&json!({"do": "timer", "delay_ms": 50, "data": {"tick": 1}}));
    assert_eq!(asker.session.next(), json!({"tick": 1}));
    asker.ok(&json!({"do": "timer", "delay_ms": 10, "data": {"do": "event"}}));
    let event = asker.session.next()["ok"].clone();
    assert_eq!((&event["kind"], &event["sender"]), (&json!("Timer"), &Value::Null));
}

fn time_and_chance(server: &Server) {
    let mut asker = Asker::new(server, "time");
    let (first, second) = (asker.ok(&json!({"do": "time"})), asker.ok(&json!({"do": "time"})));
    assert!(first["monotonic_us"].as_u64() <= second["monotonic_us"].as_u64());
    assert!(first["system_ms"].as_u64().expect("a time") > 1_700_000_000_000);
    let numbers = asker.ok(&json!({"do": "rand", "count": 3}));
    let numbers = numbers.as_array().expect("a list");
    assert!(numbers.len() == 3 && numbers[0] != numbers[1] && numbers[1] != numbers[2], "{numbers:?}");
}

fn texts_and_bytes_of_a_rule(server: &Server) {
    let mut asker = Asker::new(server, "payloads");
    assert_eq!(asker.ask(&json!({"do": "text", "data": "a \"text\"\n"})), json!("a \"text\"\n"));
    asker.session.publish(&asker.topic.clone(), &json!({"do": "binary", "data": [0, 255, 16]}));
    let message = asker.session.next_message();
    assert_eq!((&message["data"], &message["encoding"]), (&json!("AP8Q"), &json!("base64")));
    assert_eq!(asker.ask(&json!({"do": "bad-json", "json": "{\n\"a\":\r1}"})), json!({"a": 1}), "JSON it is");
}

fn a_rule_writes_into_the_log(server: &Server) {
    let log = json!({"do": "log", "level": "warning", "message": "a line of the rule's\nand another"});
    publish(server, "probe.contract-log", &log);
    let text = server.wait_for_stderr("a line of the rule's");
    let line = text.lines().find(|line| line.contains("a line of the rule's")).expect("the line");
    for part in ["WARN", "probe", "and another"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
