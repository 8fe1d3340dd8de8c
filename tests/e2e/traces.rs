//! Traces of a live server: why somebody got something, and what another version would have done.

use crate::client::{Session, publish};
use crate::ending::InTime as _;
use crate::guests;
use crate::harness::{Scratch, Server, volley, wait_until, workspace};
use crate::http::{delete, get, post};
use crate::operator::{Operator, done, named, refused};
use crate::rooms::enter;
use crate::terminal::{self, TOKEN, failed, operate, stderr, stdout};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

const ROOM: &str = "chat.traced";

/// Has the server record what a plugin is asked.
#[track_caller]
pub(crate) fn record(operator: &Operator, wanted: &Value) -> Value {
    done(&operator.call(post(operator.path("/record")).json(wanted)), &[201])
}

#[track_caller]
fn status(operator: &Operator) -> Value {
    done(&operator.call(get(operator.path("/record"))), &[200])
}

/// The trace that there is by now.
#[track_caller]
pub(crate) fn trace(operator: &Operator) -> String {
    let response = operator.call(get(operator.path("/record?trace"))).expect(200);
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"), "{response}");
    response.text().into()
}

/// The same in a file.
#[track_caller]
pub(crate) fn trace_file(operator: &Operator, folder: &Scratch) -> String {
    folder.file("a.trace", &trace(operator))
}

/// The events of a trace.
pub(crate) fn events(trace: &str) -> Vec<Value> {
    let lines = trace.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["event"].is_string()).collect()
}

#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Output {
    volley().args(arguments).output_in_time().expect("volley")
}

/// What a replay says, which is the same twice.
#[track_caller]
pub(crate) fn replay(trace: &str, component: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let component = component.to_str().expect("UTF-8");
    let again = || run(&[&["replay", trace, "--plugin", component], arguments].concat());
    let (first, second) = (again(), again());
    assert_eq!((first.status.code(), stdout(&first)), (second.status.code(), stdout(&second)), "the same twice");
    assert_eq!(stderr(&first), "");
    (first.status.code(), stdout(&first))
}

/// A PID as rules have it.
pub(crate) fn bits(pid: &str) -> u64 {
    let parts: Vec<u64> = pid.trim_matches(['<', '>']).split('.').map(|part| part.parse().expect("a number")).collect();
    (parts[0] << 43) | (parts[1] << 18) | parts[2]
}

#[track_caller]
pub(crate) fn explain(trace: &str, event: &str, arguments: &[&str]) -> String {
    terminal::done(&run(&[&["explain", event, "--trace", trace], arguments].concat()))
}

fn chat() -> std::path::PathBuf {
    let dist = std::env::var_os("VOLLEY_TEST_DIST").filter(|dist| !dist.is_empty());
    dist.map_or_else(|| workspace().join("plugins/dist"), Into::into).join("chat.wasm")
}

/// Something of everything that `chat` does.
struct Conversation {
    said: String,
    told: String,
    typing: String,
    ann: Session,
    bob: Session,
    zoe: Session,
}

impl Conversation {
    fn held(server: &Server) -> Self {
        let [mut ann, mut bob, mut zoe] = ["ann", "bob", "zoe"].map(|user| enter(server, user, ROOM).0);
        let said = ann.publish(ROOM, &json!({"say": "hello"})).event;
        let told = ann.publish(ROOM, &json!({"tell": {"user": "bob", "text": "psst"}})).event;
        let typing = ann.publish(ROOM, &json!({"typing": true})).event;
        ann.publish(ROOM, &json!({"mute": "zoe"}));
        zoe.try_publish(ROOM, &json!({"say": "may I?"})).problem(403);
        bob.try_publish(ROOM, &json!({"shout": 1})).problem(400);
        publish(server, ROOM, &json!({"subject": "tea"}));
        Self { said, told, typing, ann, bob, zoe }
    }

    /// And they go, each in another way; then the room has a timer that will end it.
    fn over(mut self) {
        self.ann.publish(ROOM, &json!({"ban": "zoe"}));
        self.zoe.try_join(ROOM).problem(403);
        self.bob.leave(ROOM);
        self.ann.end();
    }
}

#[test]
fn bob_learns_why_he_got_this() {
    let (server, folder) = (Server::start(&["--lanes", "2"]), Scratch::new());
    let operator = Operator::of(&server, "chat");
    record(&operator, &json!({}));
    let talk = Conversation::held(&server);
    let trace = trace_file(&operator, &folder);
    let [ann, bob, zoe] = [&talk.ann, &talk.bob, &talk.zoe].map(|session| session.pid.clone());

    let said = explain(&trace, &talk.said, &[]);
    for words in [
        format!("event {}: a publish on {ROOM} by ann {ann}", talk.said),
        "it said {\"say\":\"hello\"}".into(),
        format!("delivery 1, to the subscribers of {ROOM}: "),
        format!("ann {ann}"),
        format!("bob {bob}"),
        format!("zoe {zoe}"),
        "{\"said\":{\"user\":\"ann\",\"text\":\"hello\"}}".into(),
        "read table chat:rooms, key ".into(),
        "wrote table chat:rooms, key ".into(),
        "generation 1".into(),
        "(0.1.0)".into(),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
    let active = operator.active();
    assert!(said.contains(&active["sha256:".len()..][..12]), "{active}: {said}");

    let why =
        |event: &str, whom: &str| explain(&trace, event, &["--for", whom]).lines().next().expect("a line").to_owned();
    let got = |pid: &str, because: &str| format!("bob {pid} got delivery 1 because it {because}");
    assert_eq!(why(&talk.said, "bob"), got(&bob, &format!("is subscribed to {ROOM}")));
    assert_eq!(why(&talk.told, &bob), got(&bob, "is named by the rule"));
    assert_eq!(why(&talk.told, "zoe"), format!("zoe {zoe} did not get delivery 1 because it is not named by the rule"));
    let but = format!("ann {ann} did not get delivery 1 because it is subscribed to {ROOM} but is named by the rule");
    assert_eq!(why(&talk.typing, "ann"), but);

    let json: Value = serde_json::from_str(&explain(&trace, &talk.told, &["--for", "bob", "--json"])).expect("JSON");
    assert_eq!((&json["version"], &json["whom"][0]["got"]), (&json!(active), &json!(true)), "{json}");

    // Without a file it is the server that is asked.
    let running = terminal::done(&operate(&server.admin, &["explain", &talk.said]));
    assert_eq!(running, said);
    assert!(failed(&run(&["explain", "1", "--trace", &trace])).contains("has no event 1"));
    assert!(
        failed(&run(&["explain", &talk.said, "--trace", &trace, "--for", "nobody"])).contains("no session of nobody")
    );
}

#[test]
fn the_version_that_was_recorded_does_the_same_again() {
    let (server, folder) = (Server::start(&["--lanes", "2"]), Scratch::new());
    let operator = Operator::of(&server, "chat");
    record(&operator, &json!({}));
    Conversation::held(&server).over();
    // An exit is routed by itself.
    wait_until("the last exit", || trace(&operator).contains("\"timers\"").then_some(()));
    let trace = trace_file(&operator, &folder);
    let count = events(&std::fs::read_to_string(&trace).expect("the trace")).len();
    let (code, said) = replay(&trace, &chat(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with(&format!("{count} events: {count} the same, 0 different\n")), "{said}");

    // The same rule on other keys: everybody gets the same, and what is kept is elsewhere.
    let next = folder.path().join("next.wasm");
    std::fs::write(&next, guests::chat_next()).expect("write");
    let (code, said) = replay(&trace, &next, &[]);
    assert_eq!(code, Some(1), "{said}");
    for words in ["migrates its tables", "which the trace does not have: taken as absent", "table chat:rooms"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn all_that_a_rule_can_ask_of_the_host_is_replayed() {
    let (server, folder) = (Server::start_with_probe(&["--lanes", "4"]), Scratch::new());
    let operator = Operator::of(&server, "probe");
    let rooms: Vec<String> = (0..6).map(|room| format!("probe.room-{room}")).collect();
    let mut sessions: Vec<Session> = rooms.iter().map(|room| Session::on(&server, room)).collect();
    publish(
        &server,
        &rooms[0],
        &json!({"do": "table", "name": "t", "op": {"insert": [["a1", "x"], ["a2", "y"], ["a3", "z"]]}}),
    );
    record(&operator, &json!({}));
    let gone = Session::open(&server).pid;
    for (session, room) in sessions.iter_mut().zip(&rooms) {
        let pid = session.pid.clone();
        let own = format!("own-{room}");
        for request in [
            json!({"do": "rand", "count": 3}),
            json!({"do": "time"}),
            json!({"do": "table", "name": "t", "op": {"select": {"prefix": "a", "limit": 2}}}),
            json!({"do": "table", "name": own, "op": "size"}),
            json!({"do": "table", "name": own, "op": {"insert_new": [["k", "v"]]}}),
            json!({"do": "table", "name": own, "op": {"update_counter": [{"key": "n", "incr": 2}]}}),
            json!({"do": "table", "name": own, "op": {"select_replace": ["k", "v", "w"]}}),
            json!({"do": "table", "name": own, "op": {"lookup": ["k", "n", "other"]}}),
            json!({"do": "table", "name": own, "op": "size"}),
            json!({"do": "table", "name": own, "max_objects": 2, "op": {"insert": [["one", "too many"]]}}),
            json!({"do": "table", "name": own, "op": {"take": "k"}}),
            json!({"do": "table", "name": own, "kind": "bag", "op": "open"}),
            json!({"do": "group", "scope": "s", "op": {"join": [own, [bits(&pid), bits(&gone)]]}}),
            json!({"do": "group", "scope": "s", "op": {"get_members": own}}),
            json!({"do": "group", "scope": "s", "op": {"which_groups": bits(&pid)}}),
            json!({"do": "group", "scope": "s", "op": {"count": [own, "none"]}}),
            json!({"do": "expr", "steps": [{"members": ["s", own]}, {"subscribers": ""}, "union", {"pids": [bits(&gone)]}, "subtract"]}),
            json!({"do": "timer", "delay_ms": 10, "data": {"do": "rand", "count": 1}}),
            json!({"do": "cancel", "timer": 4711}),
            json!({"do": "text", "data": "a text"}),
            json!({"do": "binary", "data": [0, 255]}),
            json!({"do": "bad-json", "json": "{"}),
            json!({"do": "trap", "words": "told to"}),
            json!({"do": "remove"}),
        ] {
            let answer = session.try_publish(room, &request);
            let fails = ["bad-json", "trap"].contains(&request["do"].as_str().expect("what to do"));
            assert_eq!(answer.status, if fails { 502 } else { 200 }, "{request}: {answer}");
        }
    }
    let timers = || events(&trace(&operator)).iter().filter(|event| event["kind"] == "timer").count();
    wait_until("all timers", || (timers() == rooms.len()).then_some(()));
    let trace = trace_file(&operator, &folder);
    let (code, said) = replay(&trace, guests::probe(), &[]);
    assert_eq!(code, Some(0), "{said}");
    let count = events(&std::fs::read_to_string(&trace).expect("the trace")).len();
    assert!(said.ends_with(&format!("{count} events: {count} the same, 0 different\n")), "{said}");
    let member = events(&std::fs::read_to_string(&trace).expect("the trace"))
        .into_iter()
        .find(|event| event["data"]["do"] == "expr");
    let id = member.expect("it was recorded")["event"].as_str().expect("a number").to_owned();
    let why = explain(&trace, &id, &["--for", &sessions[0].pid]);
    assert!(why.contains(&format!("is in the group \"own-{}\" of s", rooms[0])), "{why}");
}

/// A replay let in, opened and set what no bound stood in the way of there: only what tables refuse was recorded.
#[test]
fn what_a_bound_refused_is_refused_again() {
    let limits = ["group_members_max=2", "recipients_max=3", "tables_max=1", "table_call_max=2"];
    let limits: Vec<&str> = limits.iter().flat_map(|limit| ["--limit", limit]).collect();
    let (server, folder) = (Server::start_with_probe(&limits), Scratch::new());
    let operator = Operator::of(&server, "probe");
    let mut ann = Session::on(&server, "probe.room");
    let crowd: Vec<Session> = (0..4).map(|_| Session::on(&server, "probe.crowd")).collect();
    let [one, two, three, _] = [0, 1, 2, 3].map(|at: usize| bits(&crowd[at].pid));
    for keys in [["a1", "a2"], ["a3", "a4"]] {
        ann.publish("probe.room", &json!({"do": "table", "name": "t", "op": {"insert": keys.map(|key| [key, "x"])}}));
    }
    record(&operator, &json!({}));
    let year_ms = 366_u64 * 24 * 3_600_000;
    for (request, status) in [
        (json!({"do": "group", "scope": "s", "op": {"join": ["g", [one, two, three]]}}), 200),
        (json!({"do": "group", "scope": "s", "op": {"join": ["g", [one, two]]}}), 200),
        (json!({"do": "group", "scope": "s", "op": {"get_members": "g"}}), 200),
        (json!({"do": "table", "name": "another", "op": "open"}), 200),
        (json!({"do": "table", "name": "another", "op": "size"}), 200),
        (json!({"do": "timer", "delay_ms": year_ms + 1, "data": "never"}), 403),
        (json!({"do": "timer", "delay_ms": year_ms, "data": "late"}), 200),
        (json!({"do": "expr", "steps": [{"subscribers": "probe.crowd"}]}), 502),
        (json!({"do": "table", "name": "t", "op": {"select": {"prefix": "a", "limit": 1000}}}), 200),
    ] {
        let answer = ann.try_publish("probe.room", &request);
        assert_eq!(answer.status, status, "{request}: {answer}");
    }
    let trace = trace_file(&operator, &folder);
    let (code, said) = replay(&trace, guests::probe(), &[]);
    assert!(code == Some(0) && said.ends_with("9 events: 9 the same, 0 different\n"), "{said}");
    let recorded = events(&std::fs::read_to_string(&trace).expect("the trace"));
    let denied: Vec<&str> = recorded.iter().filter_map(|event| event["met"]["denied"][0]["call"].as_str()).collect();
    assert_eq!(denied, ["join", "open", "open"]);
    // Of a page it was told as much as fits into a call.
    let walk = recorded.last().expect("the walk")["event"].as_str().expect("a number").to_owned();
    let why = explain(&trace, &walk, &[]);
    assert!(["\"a1\"", "\"a2\""].iter().all(|key| why.contains(key)) && !why.contains("\"a3\""), "{why}");
}

#[test]
fn another_version_shows_whom_it_would_reach() {
    let folder = Scratch::new();
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mut ann, bob) = (Session::on(&server, "v.room"), Session::on(&server, "v.room"));
    record(&operator, &json!({"topics": "v.>"}));
    ann.publish("v.room", &json!(1));
    let b = operator.deploy(&named("b"));
    let second = ann.publish("v.room", &json!(2)).event;
    let trace = trace_file(&operator, &folder);
    let said = explain(&trace, &second, &[]);
    assert!(said.contains(&b["sha256:".len()..][..12]) && said.contains("generation 2"), "{said}");

    let others = folder.path().join("others.wasm");
    std::fs::write(&others, guests::version(&json!({"name": "b", "release": "0.1.0", "to": "others"}))).expect("write");
    let (code, said) = replay(&trace, &others, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("2 events: 0 the same, 2 different"), "{said}");
    assert!(said.contains(&format!("missing recipients: {}", ann.pid)), "{said}");
    // The first was routed by `a`, which said its name.
    assert!(said.contains(&format!("other messages for: {}", bob.pid)), "{said}");
    let (code, only) = replay(&trace, &others, &["--event", &second, "--json"]);
    let only: Value = serde_json::from_str(&only).expect("JSON");
    assert_eq!((code, &only["different"]), (Some(1), &json!(1)));
    assert_eq!(only["differences"][0]["missing"], json!([ann.pid]), "{only}");
    assert!(only["differences"][0].get("extra").is_none(), "{only}");
    assert!(
        failed(&run(&["replay", &trace, "--plugin", others.to_str().expect("UTF-8"), "--event", "1"]))
            .contains("no event 1")
    );
    assert!(failed(&run(&["replay", &trace, "--plugin", &trace])).contains("not a valid component"));
}

#[test]
fn a_version_that_failed_is_told_beside_the_one_that_routed() {
    let folder = Scratch::new();
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "rollback_traps_max=1000"]);
    let row = |policy: &str| json!({"topics": format!("v.{policy}"), "plugin": "versions", "on_trap": policy});
    operator.set_routes(&json!([row("fail"), row("subscribers"), row("previous")]));
    let a = operator.active();
    let trapping = guests::version(&json!({"name": "b", "release": "0.1.0", "traps": true}));
    let b = operator.deploy(&trapping);
    record(&operator, &json!({}));
    let mut sessions = ["v.fail", "v.subscribers", "v.previous"].map(|topic| Session::on(&server, topic));
    let trap = json!({"do": "trap"});
    sessions[0].try_publish("v.fail", &trap).problem(502);
    let [instead, fell_back] = [1, 2].map(|at| {
        let topic = ["v.fail", "v.subscribers", "v.previous"][at];
        sessions[at].publish(topic, &trap).event
    });
    let trace = trace_file(&operator, &folder);
    let short = |version: &str| version["sha256:".len()..][..12].to_owned();
    let said = explain(&trace, &instead, &["--for", &sessions[1].pid]);
    assert!(
        said.starts_with(&format!("{} got delivery 1 because it is subscribed to v.subscribers", sessions[1].pid)),
        "{said}"
    );
    assert!(said.contains("delivered to all subscribers instead (on_trap)"), "{said}");
    let said = explain(&trace, &fell_back, &[]);
    assert!(said.contains(&format!("routed by version {}", short(&a))), "{said}");
    assert!(said.contains(&format!("instead of {}, which failed: ", short(&b))), "{said}");
    let file = folder.path().join("b.wasm");
    std::fs::write(&file, trapping).expect("write");
    let (code, said) = replay(&trace, &file, &[]);
    // It traps again on what it trapped on, and on what the version before routed.
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("- routed\n    + failed (panic)") && said.contains("1 different"), "{said}");
}

#[test]
fn what_is_redacted_is_nowhere() {
    let (server, folder) = (Server::start(&[]), Scratch::new());
    let operator = Operator::of(&server, "chat");
    let begun = record(&operator, &json!({"redact": ["users"]}));
    assert_eq!(begun["redacted"], json!(["tables", "data", "config", "users"]), "each implies those before it");
    let talk = Conversation::held(&server);
    let event = talk.said.clone();
    talk.over();
    wait_until("the last exit", || trace(&operator).contains("\"timers\"").then_some(()));
    let text = trace(&operator);
    for secret in ["ann", "bob", "zoe", "hello", "psst", "tea", "may I", "shout"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let header: Value = serde_json::from_str(text.lines().next().expect("a header")).expect("JSON");
    assert_eq!(header["faithful"], json!(false));
    assert!(text.contains("\"user\":\"user-1\"") && text.contains("xxxxx"), "{text}");
    let trace = folder.file("a.trace", &text);
    assert!(explain(&trace, &event, &["--for", "user-2"]).contains("is subscribed to"));
    let (_, said) = replay(&trace, &chat(), &[]);
    assert!(said.contains("the trace is redacted"), "{said}");
}

#[test]
fn a_recording_is_bounded_and_no_event_waits_for_it() {
    let server = Server::start_plain(&["--limit", "record_bytes_max=4000", "--limit", "record_events_max=100"]);
    let operator = Operator::of(&server, "topic");
    let path = operator.path("/record");
    refused(&operator.call(get(&*path)), 404);
    refused(&operator.call(delete(&*path)), 404);
    for (wanted, status) in [
        (json!({"events": 101}), 422),
        (json!({"events": 0}), 422),
        (json!({"sample": 2}), 422),
        (json!({"topics": "a..b"}), 422),
        (json!({"redact": ["everything"]}), 400),
        (json!({"more": 1}), 400),
    ] {
        refused(&operator.call(post(&*path).json(&wanted)), status);
    }
    refused(&Operator::of(&server, "nobody").call(post("/admin/v1/plugins/nobody/record").json(&json!({}))), 404);
    record(&operator, &json!({"events": 2}));
    refused(&operator.call(post(&*path).json(&json!({}))), 409);
    for n in 0..4 {
        publish(&server, "a.b", &json!(n));
    }
    let ended = status(&operator);
    assert_eq!((&ended["state"], &ended["events"]), (&json!("ended"), &json!(2)), "{ended}");
    assert!(trace(&operator).ends_with("{\"end\":\"events\",\"events\":2,\"left_out\":0}\n"));
    refused(&operator.call(post(&*path).json(&json!({}))), 409);
    done(&operator.call(delete(&*path)), &[204]);

    record(&operator, &json!({"events": 100}));
    for n in 0..50 {
        assert_eq!(publish(&server, "a.b", &json!(n)).recipients, 0);
    }
    let ended = status(&operator);
    assert_eq!((&ended["state"], &ended["left_out"]), (&json!("ended"), &json!(1)), "{ended}");
    assert!(ended["why"].as_str().is_some_and(|why| why.contains("record_bytes_max")), "{ended}");
    assert!(trace(&operator).len() <= 4_200 && trace(&operator).contains("\"end\":\"bytes\""));
    done(&operator.call(delete(&*path)), &[204]);
    record(&operator, &json!({}));
    publish(&server, "a.b", &json!("there is room again"));
    assert_eq!(status(&operator)["events"], json!(1));
}

#[test]
fn a_trace_is_for_those_who_show_the_token() {
    let folder = Scratch::new();
    let (token, config) = (folder.file("token", TOKEN), folder.file("volley.toml", crate::harness::TOPIC_ONLY));
    let no_port = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let server = Server::start_as(
        volley().args(["serve", "--ephemeral", "--admin-token-file", &token, "--config", &config]).args(no_port),
    );
    let (stranger, operator) = (Operator::of(&server, "topic"), Operator::of(&server, "topic").with_token(TOKEN));
    refused(&stranger.call(post(stranger.path("/record")).json(&json!({}))), 401);
    record(&operator, &json!({}));
    for target in ["/record", "/record?trace"] {
        refused(&stranger.call(get(stranger.path(target))), 401);
    }
    refused(&stranger.call(delete(stranger.path("/record"))), 401);
    assert!(trace(&operator).starts_with("{\"trace\":1,"));
}

#[test]
fn a_damaged_trace_is_refused_with_its_line() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let operator = Operator::of(&server, "topic");
    record(&operator, &json!({}));
    let event = publish(&server, "a.b", &json!(1)).event;
    let text = trace(&operator);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "a header, a version, an event: {text}");
    let wasm = workspace().join("plugins/dist/topic.wasm");
    for (damaged, at) in [
        (text[..text.len() - 20].to_owned(), 3),
        (format!("{}\n{}\n", lines[0], lines[2]), 2),
        (text.replace("\"kind\":\"publish\"", "\"kind\":\"wish\""), 3),
        (String::new(), 1),
        (text.replace("\"trace\":1", "\"trace\":9"), 1),
    ] {
        let file = folder.file("damaged", &damaged);
        let replayed = failed(&run(&["replay", &file, "--plugin", wasm.to_str().expect("UTF-8")]));
        let explained = failed(&run(&["explain", &event, "--trace", &file]));
        for said in [replayed, explained] {
            assert!(said.contains(&format!("line {at}: ")), "{damaged}: {said}");
        }
    }
}
