//! Tables that outlive the server, however it ends.
//!
//! `VOLLEY_TEST_KILLS=N` says how often a server is killed amid writes, and amid code changes (8).

use crate::client::{events, publish, try_publish};
use crate::ending::InTime as _;
use crate::guests::{self, reversible};
use crate::harness::{Scratch, Server, TOPIC_ONLY, run, volley, wait_until};
use crate::http::{Connection, get, post};
use crate::operator::{Operator, named};
use crate::swap::times;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Each on a topic of its own, so that several lanes write.
const WRITERS: usize = 4;

/// A folder, and how its servers are started.
struct Place {
    folder: Scratch,
    arguments: Vec<&'static str>,
}

impl Place {
    fn new(arguments: &[&'static str]) -> Self {
        Self { folder: Scratch::new(), arguments: arguments.to_vec() }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// The same command line each time, as an init system has it.
    #[track_caller]
    fn start(&self) -> Server {
        let config = self.folder.file("volley.toml", TOPIC_ONLY);
        let probe = format!("probe={}", guests::probe().display());
        Server::start_as(
            volley()
                .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-no-token"])
                .args(["--config", &config, "--plugin", &probe, "--route", "probe.>=probe", "--lanes", "4"])
                .args(["--data", self.data().to_str().expect("UTF-8")])
                .args(&self.arguments),
        )
    }
}

/// A call on a durable table of the probe.
fn on(table: &str, op: &Value) -> Value {
    json!({"do": "table", "name": table, "kind": "ordered_set", "durable": true, "op": op})
}

fn insert(table: &str, key: &str) -> Value {
    on(table, &json!({"insert": [[key, "value"]]}))
}

#[track_caller]
fn write(server: &Server, what: &Value) {
    publish(server, "probe.durable", what);
}

/// The keys of a table, without a rule being asked.
#[track_caller]
fn keys(server: &Server, table: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut admin = Connection::open(&server.admin);
    let mut after = String::new();
    loop {
        let page = admin.call(&get(format!("/admin/v1/tables/probe%3A{table}?limit=1000{after}")));
        if page.status == 404 {
            return keys;
        }
        let page = page.expect(200).json();
        let objects = page["objects"].as_array().expect("a list");
        keys.extend(objects.iter().map(|object| object["key"].as_str().expect("text").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return keys,
        }
    }
}

/// Waits until two more batches are on the disk: whatever was changed before is in them.
fn wait_for_two_commits(server: &Server) {
    let count = || server.metric("volley_table_commit_seconds_count");
    let before = count();
    wait_until("two commits", || (count() >= before + 2).then_some(()));
}

#[test]
fn what_a_table_held_is_there_after_a_stop_and_after_a_kill() {
    let place = Place::new(&["--durable-table", "probe:asked-for"]);
    let server = place.start();
    write(&server, &insert("own", "a"));
    write(&server, &json!({"do": "table", "name": "asked-for", "op": {"insert": [["k", "by the operator"]]}}));
    write(&server, &json!({"do": "table", "name": "plain", "op": {"insert": [["k", "v"]]}}));
    server.terminate();
    assert!(server.wait_for_exit().success());
    let server = place.start();
    assert_eq!(keys(&server, "own"), ["a".into()].into());
    assert_eq!(keys(&server, "asked-for"), ["k".into()].into());
    assert_eq!(keys(&server, "plain"), [].into());
    write(&server, &on("own", &json!({"delete": ["a"]})));
    write(&server, &insert("own", "b"));
    server.wait_for_metric("volley_table_unwritten_bytes", 0);
    server.signal("KILL");
    server.wait_for_exit();
    let server = place.start();
    assert_eq!(keys(&server, "own"), ["b".into()].into());
    let tables = Connection::open(&server.admin).call(&get("/admin/v1/tables")).expect(200).json();
    let own = tables["tables"].as_array().expect("a list").iter().find(|table| table["name"] == "probe:own");
    assert_eq!(own.expect("it is there")["durable"], true);
    let printed = run(&["tables", "ls", "--admin", &format!("http://{}", server.admin)]);
    let printed = String::from_utf8(printed.stdout).expect("UTF-8");
    assert!(printed.lines().any(|line| line.contains("probe:own") && line.contains("durable")), "{printed}");
}

#[test]
fn without_a_folder_a_durable_table_is_like_any_other() {
    let server = Server::start_with_probe(&["--synchronous-commit"]);
    write(&server, &insert("own", "a"));
    assert_eq!(keys(&server, "own"), ["a".into()].into());
    assert_eq!(server.metric("volley_table_unwritten_bytes"), 0);
}

/// What each writer was told is done, and a server that is killed meanwhile.
fn killed_amid_writes(server: &Server, life: impl FnOnce(&[AtomicUsize])) -> Vec<usize> {
    let acknowledged: Vec<AtomicUsize> = (0..WRITERS).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            scope.spawn(move || {
                let topic = format!("probe.writer-{writer}");
                let mut client = Connection::open(&server.listen);
                // First the one table, then the other one: none of the second is there without that of the first.
                for n in 0.. {
                    for table in ["left", "right"] {
                        client.send(&post(events(&topic)).json(&insert(table, &format!("{writer}-{n:06}"))));
                        match client.try_receive("POST") {
                            Ok(answer) => drop(answer.expect(200)),
                            Err(_) => return,
                        }
                    }
                    acknowledged.store(n + 1, Relaxed);
                }
            });
        }
        life(&acknowledged);
        server.signal("KILL");
        server.wait_for_exit();
    });
    acknowledged.iter().map(|count| count.load(Relaxed)).collect()
}

/// How many of a writer's keys there are; they are the first ones, and those on the left are ahead by one at most.
#[track_caller]
fn kept(server: &Server, writer: usize) -> usize {
    let of = |table| {
        let mine = |key: &String| key.starts_with(&format!("{writer}-"));
        let keys: Vec<String> = keys(server, table).into_iter().filter(mine).collect();
        let expected: Vec<String> = (0..keys.len()).map(|n| format!("{writer}-{n:06}")).collect();
        assert_eq!(keys, expected, "what came first is there");
        keys.len()
    };
    let (left, right) = (of("left"), of("right"));
    assert!(left == right || left == right + 1, "{left} on the left, {right} on the right");
    right
}

#[test]
fn with_synchronous_commits_a_kill_loses_nothing_that_was_answered() {
    let (mut all, rounds) = (0, times("VOLLEY_TEST_KILLS", 8));
    for round in 0..rounds {
        let place = Place::new(&["--synchronous-commit"]);
        let server = place.start();
        let acknowledged = killed_amid_writes(&server, |acknowledged| {
            wait_until("some writes", || acknowledged.iter().all(|count| count.load(Relaxed) > 5).then_some(()));
            let (began, life) = (Instant::now(), Duration::from_micros(round as u64 * 7_919 % 50_000));
            while began.elapsed() < life {
                std::hint::spin_loop();
            }
        });
        drop(server);
        let server = place.start();
        for (writer, acknowledged) in acknowledged.into_iter().enumerate() {
            let kept = kept(&server, writer);
            assert!(kept == acknowledged || kept == acknowledged + 1, "{kept} kept, {acknowledged} answered");
            all += acknowledged;
        }
    }
    assert!(all > WRITERS * rounds * 5, "{all} writes were answered");
}

#[test]
fn without_them_a_kill_loses_what_came_last() {
    let place = Place::new(&[]);
    let server = place.start();
    let early = Mutex::new(Vec::new());
    let acknowledged = killed_amid_writes(&server, |acknowledged| {
        wait_until("some writes", || acknowledged.iter().all(|count| count.load(Relaxed) > 50).then_some(()));
        *early.lock().expect("a list") = acknowledged.iter().map(|count| count.load(Relaxed)).collect();
        wait_for_two_commits(&server);
    });
    drop(server);
    let server = place.start();
    for (writer, early) in early.into_inner().expect("a list").into_iter().enumerate() {
        let (kept, acknowledged) = (kept(&server, writer), acknowledged[writer]);
        assert!((early..=acknowledged + 1).contains(&kept), "{kept} kept, {early} early, {acknowledged} in all");
    }
}

/// The version that is active and what is in its tables fit together, whenever the server dies.
#[test]
fn killed_amid_code_changes_the_tables_have_the_layout_of_the_active_version() {
    let place = Place::new(&["--durable-table", "versions:counts"]);
    let server = place.start();
    let operator = Operator::of(&server, "versions");
    let a = operator.deploy(&named("a"));
    operator.set_routes(&json!([
        {"topics": "v.>", "plugin": "versions", "config": null, "on_trap": "fail"},
        {"topics": ">", "plugin": "topic", "config": null, "on_trap": "fail"},
    ]));
    for n in 0..20 {
        publish(&server, &format!("v.{n}"), &json!(n));
    }
    let b = operator.push(&reversible(&json!({"name": "b", "release": "0.2.0", "layout": 2})));
    drop((operator, server));
    let mut seen = BTreeSet::new();
    for round in 0..times("VOLLEY_TEST_KILLS", 8) {
        let server = place.start();
        let operator = Operator::of(&server, "versions");
        let is_second = operator.active() == b;
        seen.insert(is_second);
        let count = if is_second { json!("{\"count\":1}") } else { json!("1") };
        let counts = operator.table("counts");
        assert!(counts.len() == 20 && counts.values().all(|value| *value == count), "round {round}: {counts:?}");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Different each time; a code change takes some tens of milliseconds.
                let (began, life) = (Instant::now(), Duration::from_micros(round as u64 * 17_393 % 120_000));
                while began.elapsed() < life {
                    std::hint::spin_loop();
                }
                server.signal("KILL");
            });
            let mut admin = Connection::open(&server.admin);
            for version in if is_second { [&a, &b] } else { [&b, &a] }.into_iter().cycle() {
                admin.send(&post(operator.path("/activate")).json(&json!({ "version": version })));
                match admin.try_receive("POST") {
                    Ok(answer) => drop(answer.expect(200)),
                    Err(_) => break,
                }
            }
        });
        server.wait_for_exit();
    }
    let server = place.start();
    let operator = Operator::of(&server, "versions");
    seen.insert(operator.active() == b);
    assert!(operator.table("counts").len() == 20 && !seen.is_empty());
}

/// The disk says no: a folder stands where the file should be made. Nothing is lost of what can be written later.
#[test]
fn while_the_disk_fails_nothing_is_answered_and_then_it_goes_on() {
    let place =
        Place::new(&["--synchronous-commit", "--limit", "commit_ms_max=200", "--limit", "unwritten_bytes_max=2000"]);
    let server = place.start();
    let in_the_way = place.data().join("tables.redb");
    std::fs::create_dir_all(&in_the_way).expect("a folder");
    let said = try_publish(&server, "probe.durable", &insert("own", "a")).problem(503);
    assert!(said.contains("commit_ms_max"), "{said}");
    server.wait_for_stderr("changes of durable tables can't be written");
    assert!(server.metric("volley_table_commit_failures_total") > 0);
    // What waits has a bound; a rule is told when it is reached.
    let long = on("own", &json!({"insert": [["b", "x".repeat(3000)]]}));
    try_publish(&server, "probe.durable", &long).problem(503);
    assert_eq!(keys(&server, "own"), ["a".into()].into(), "the rule was told that there is no room, and why");
    // Other rules go on.
    publish(&server, "news", &json!("other rules go on"));
    std::fs::remove_dir(&in_the_way).expect("it is empty");
    server.wait_for_metric("volley_table_unwritten_bytes", 0);
    write(&server, &insert("own", "c"));
    server.signal("KILL");
    server.wait_for_exit();
    assert_eq!(keys(&place.start(), "own"), ["a".into(), "c".into()].into());
}

#[test]
fn a_damaged_file_is_told_and_left_as_it_is() {
    let place = Place::new(&[]);
    let server = place.start();
    write(&server, &insert("own", "a"));
    server.terminate();
    server.wait_for_exit();
    let file = place.data().join("tables.redb");
    let garbage = vec![b'?'; 8192];
    std::fs::write(&file, &garbage).expect("write");
    let config = place.folder.file("volley.toml", TOPIC_ONLY);
    let started = volley()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-no-token"])
        .args(["--config", &config, "--data", place.data().to_str().expect("UTF-8")])
        .output_in_time()
        .expect("it runs");
    assert_eq!(started.status.code(), Some(1));
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(said.contains("tables.redb") && said.contains("move it away"), "{said}");
    assert_eq!(std::fs::read(&file).expect("read"), garbage);
}
