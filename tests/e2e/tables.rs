//! A table that several lanes work on at a time: each call is one step, seen whole or not at all.
//!
//! Every worker has a topic of its own, so that they are spread over the lanes, and sends its calls in one go, so that
//! the lanes are at it together.

use crate::contract::{Asker, ok};
use crate::harness::Server;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const WORKERS: usize = 8;

/// A call on the table of that name.
fn call(table: &str, op: &Value) -> Value {
    json!({"do": "table", "name": table, "kind": "ordered_set", "op": op})
}

/// Several workers at a time; what each came to.
fn at_once<T: Send>(table: &str, work: impl Fn(usize, &mut Asker) -> T + Sync) -> Vec<T> {
    let server = Server::shared_with_probe();
    let askers: Vec<Asker> = (0..WORKERS).map(|by| Asker::on(&server, format!("probe.{table}-{by}"))).collect();
    std::thread::scope(|scope| {
        let work = &work;
        let work_of = |(by, mut asker)| scope.spawn(move || work(by, &mut asker));
        let workers: Vec<_> = askers.into_iter().enumerate().map(work_of).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    })
}

/// Says that it is over when the first worker has done its part, or failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Without this the others would show nothing.
#[test]
fn several_lanes_are_at_it() {
    let server = Server::shared_with_probe();
    let before = server.wake_ups("lane-probe-");
    at_once("lanes", |_, asker| {
        for _ in 0..20 {
            asker.ok(&call("lanes", &json!("size")));
        }
    });
    let after = server.wake_ups("lane-probe-");
    assert_eq!(after.len(), 4, "as many as --lanes says");
    assert!(before.iter().zip(&after).all(|(before, after)| after > before), "{before:?} {after:?}");
}

#[test]
fn counters_count_everybody_once() {
    const EACH: u64 = 150;
    let increment =
        json!({"update_counter": [{"key": "plain", "incr": 1}, {"key": "ring", "incr": 1, "threshold": [9, 0]}]});
    let answers = at_once("counters", |_, asker| asker.ask_all((0..EACH).map(|_| call("counters", &increment))));
    let (mut plain, mut ring) = (BTreeSet::new(), BTreeMap::<u64, u64>::new());
    for answer in answers.iter().flatten() {
        let both = ok(answer);
        assert!(plain.insert(both[0].as_u64().expect("a number")), "nobody else has got {both}");
        *ring.entry(both[1].as_u64().expect("a number")).or_default() += 1;
    }
    let all = WORKERS as u64 * EACH;
    assert!(plain.into_iter().eq(1..=all), "none is missing");
    assert_eq!(ring, (0..10).map(|number| (number, all / 10)).collect(), "past nine comes zero, for whoever is there");
}

#[test]
fn of_many_who_insert_a_key_one_wins() {
    const KEYS: usize = 100;
    let bulk = |key: usize, by: usize| json!({"insert_new": [[format!("{key:03}"), by.to_string()], [format!("{key:03}-b"), by.to_string()]]});
    let won = at_once("insert-new", |by, asker| {
        asker.ask_all((0..KEYS).map(|key| call("insert-new", &bulk(key, by)))).iter().map(ok).collect::<Vec<_>>()
    });
    let mut asker = Asker::on(&Server::shared_with_probe(), "probe.insert-new");
    for key in 0..KEYS {
        let mut winners = won.iter().enumerate().filter(|(_, won)| won[key] == json!(true)).map(|(by, _)| by);
        let (Some(winner), None) = (winners.next(), winners.next()) else { panic!("of key {key}: {won:?}") };
        let both = json!({"lookup": [format!("{key:03}"), format!("{key:03}-b")]});
        let winner = json!([winner.to_string()]);
        assert_eq!(asker.ok(&call("insert-new", &both)), json!([winner, winner]), "all of it is the winner's");
    }
}

#[test]
fn each_token_is_taken_by_one() {
    const TOKENS: usize = 200;
    let mut asker = Asker::on(&Server::shared_with_probe(), "probe.take");
    let tokens: Vec<[String; 2]> = (0..TOKENS).map(|token| [token.to_string(), format!("token {token}")]).collect();
    asker.ok(&call("take", &json!({ "insert": tokens })));
    let taken = at_once("take", |by, asker| {
        // Each begins somewhere else, and all come by every token.
        let takes = (0..TOKENS).map(|n| call("take", &json!({"take": ((n + by * 3) % TOKENS).to_string()})));
        asker.ask_all(takes)
    });
    let mut got: Vec<String> = Vec::new();
    for answer in taken.iter().flatten() {
        got.extend(
            ok(answer).as_array().expect("a list").iter().map(|token| token.as_str().expect("a text").to_owned()),
        );
    }
    got.sort();
    let mut all: Vec<String> = tokens.into_iter().map(|[_, token]| token).collect();
    all.sort();
    assert_eq!(got, all);
    assert_eq!(asker.ok(&call("take", &json!("size"))), json!(0));
}

#[test]
fn compare_and_swap_loses_no_update() {
    const EACH: u64 = 25;
    let mut asker = Asker::on(&Server::shared_with_probe(), "probe.swap");
    asker.ok(&call("swap", &json!({"insert": [["n", "0"]]})));
    let tries = at_once("swap", |_, asker| {
        let (mut seen, mut done, mut tries) = (0, 0, 0);
        while done < EACH {
            let swap = json!({"select_replace": ["n", seen.to_string(), (seen + 1).to_string()]});
            let answers = asker.ask_all([call("swap", &swap), call("swap", &json!({"lookup": ["n"]}))]);
            done += u64::from(ok(&answers[0]) == json!(true));
            seen = ok(&answers[1])[0][0].as_str().and_then(|n| n.parse().ok()).expect("a number");
            tries += 1;
        }
        tries
    });
    let all = WORKERS as u64 * EACH;
    assert!(tries.iter().sum::<u64>() > all, "they got into each other's way: {tries:?}");
    assert_eq!(asker.ok(&call("swap", &json!({"lookup": ["n"]}))), json!([[all.to_string()]]));
}

/// Writers insert, overwrite and delete pairs in one call each, until the reader has seen enough.
#[test]
fn nobody_sees_half_of_a_bulk() {
    let over = AtomicBool::new(false);
    let seen = at_once("bulk", |by, asker| {
        let _over = Over(&over);
        let mut states = BTreeSet::new();
        let pair = |value: &str| json!([[format!("{by}-a"), value], [format!("{by}-b"), value]]);
        let writes = [
            json!({"insert": pair("1")}),
            json!({"insert": pair("2")}),
            json!({"delete": [format!("{by}-a"), format!("{by}-b")]}),
        ];
        // The reader is after both values and several numbers of pairs.
        while !over.load(Relaxed) && states.len() < 5 {
            if by > 0 {
                asker.ask_all((0..90).map(|n| call("bulk", &writes[n % 3]))).iter().for_each(|answer| drop(ok(answer)));
                continue;
            }
            let select = call("bulk", &json!({"select": {"prefix": "", "limit": 100}}));
            for answer in asker.ask_all((0..50).map(|_| select.clone())) {
                let page = ok(&answer);
                let objects = page["objects"].as_array().expect("a list");
                assert!(objects.len().is_multiple_of(2) && page["continuation"].is_null(), "{page}");
                for pair in objects.chunks(2) {
                    assert_eq!(pair[0][1], pair[1][1], "{page}");
                    states.insert(pair[0][1].to_string());
                }
                states.insert(format!("{} objects", objects.len()));
            }
        }
        states
    });
    assert!(seen[0].len() >= 5, "{seen:?}");
}

#[test]
fn a_quota_refuses_the_whole_call() {
    let mut asker = Asker::on(&Server::shared_with_probe(), "probe.quota");
    // Triples of objects of eight bytes: six of them and a half fit, by either quota.
    for (table, quota, max) in [("quota-objects", "max_objects", 20), ("quota-bytes", "max_bytes", 160)] {
        let bounded = |op: Value| {
            let mut call = call(table, &op);
            call[quota] = json!(max);
            call
        };
        let answers = at_once(table, |by, asker| {
            let triple = |n: usize| json!({"insert": (0..3).map(|third| [format!("{by}-{n}-{third}"), "xyz".into()]).collect::<Vec<_>>()});
            asker.ask_all((0..5).map(|n| bounded(triple(n))))
        });
        let accepted = answers.iter().flatten().filter(|answer| answer.get("ok").is_some()).count();
        for refused in answers.iter().flatten().filter(|answer| answer.get("ok").is_none()) {
            assert_eq!(refused["error"][0], "system-limit", "{refused}");
        }
        assert_eq!(accepted, 6, "{table}");
        let page = asker.ok(&bounded(json!({"select": {"prefix": "", "limit": 100}})));
        let keys: Vec<&str> =
            page["objects"].as_array().expect("a list").iter().filter_map(|object| object[0].as_str()).collect();
        assert_eq!(keys.len(), 18, "{keys:?}");
        assert!(keys.chunks(3).all(|triple| triple[0][..3] == triple[2][..3]), "whole triples: {keys:?}");
    }
    // A counter of its own takes a place, too: the one beside it does not move without it.
    let counters = |keys: &[&str]| {
        let ops: Vec<Value> = keys.iter().map(|key| json!({"key": key, "incr": 1})).collect();
        let mut call = call("quota-counters", &json!({ "update_counter": ops }));
        call["max_objects"] = json!(2);
        call
    };
    assert_eq!(asker.ok(&counters(&["a", "b"])), json!([1, 1]));
    assert_eq!(asker.ask(&counters(&["a", "c"]))["error"], json!(["system-limit", "max-objects"]), "its own bound");
    assert_eq!(asker.ok(&counters(&["a", "b"])), json!([2, 2]));
}

#[test]
fn the_servers_own_bounds_refuse_as_well() {
    let bounds = ["table_call_max=10", "table_objects_max=15", "table_answer_bytes_max=50", "tables_max=2"];
    let server = Server::start_with_probe(&bounds.map(|bound| ["--limit", bound]).concat());
    let mut asker = Asker::on(&server, "probe.bounds");
    let objects = |prefix: &str, count: usize| json!({"insert": (0..count).map(|n| [format!("{prefix}{n:02}"), "0123456789".into()]).collect::<Vec<_>>()});
    asker.ok(&call("one", &objects("a", 10)));
    for (table, op, error, limit) in [
        ("one", objects("b", 11), "badarg", "table_call_max"),
        ("one", objects("b", 6), "system-limit", "table_objects_max"),
        (
            "one",
            json!({"lookup": ["a00", "a01", "a02", "a03", "a04", "a05"]}),
            "system-limit",
            "table_answer_bytes_max",
        ),
        ("three", json!("open"), "system-limit", "tables_max"),
    ] {
        asker.ok(&call("two", &json!("open")));
        let refused = asker.ask(&call(table, &op));
        assert_eq!(refused["error"][0], error, "{op}: {refused}");
        assert!(refused["error"][1].as_str().is_some_and(|words| words.contains(limit)), "{op}: {refused}");
        assert_eq!(asker.ok(&call("one", &json!("size"))), json!(10), "{op}");
    }
    // A page is cut short instead, and the walk goes on behind it.
    let page = asker.ok(&call("one", &json!({"select": {"prefix": "", "limit": 10}})));
    let count = page["objects"].as_array().expect("a list").len();
    assert!((1..10).contains(&count) && page["continuation"].is_string(), "{page}");
}

/// What is there all the time is seen once and in order, whatever comes and goes beside it.
#[test]
fn a_walk_goes_over_all_pages_while_others_write() {
    const STEADY: usize = 200;
    let mut asker = Asker::on(&Server::shared_with_probe(), "probe.walk");
    let steady: Vec<[String; 2]> = (0..STEADY).map(|n| [format!("k{n:03}"), n.to_string()]).collect();
    asker.ok(&call("walk", &json!({"insert": steady})));
    asker.ok(&call("walk", &json!({"insert": [["j", "before the prefix"], ["l", "after it"]]})));
    let over = AtomicBool::new(false);
    at_once("walk", |by, asker| {
        let _over = Over(&over);
        if by > 0 {
            let beside: Vec<String> = (by..STEADY).step_by(9).map(|n| format!("k{n:03}-{by}")).collect();
            let insert = json!({"insert": beside.iter().map(|key| [key, "x"]).collect::<Vec<_>>()});
            let writes = [call("walk", &insert), call("walk", &json!({ "delete": beside }))];
            while !over.load(Relaxed) {
                asker.ask_all(writes.iter().cycle().take(20).cloned());
            }
            return;
        }
        for limit in [7, 50, 1000] {
            let (mut after, mut keys) = (Value::Null, Vec::new());
            loop {
                let page = asker.ok(&call("walk", &json!({"select": {"prefix": "k", "after": after, "limit": limit}})));
                let objects = page["objects"].as_array().expect("a list");
                assert!(objects.len() <= limit, "{page}");
                keys.extend(objects.iter().map(|object| object[0].as_str().expect("a text").to_owned()));
                after = page["continuation"].clone();
                if after.is_null() {
                    break;
                }
            }
            assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
            assert!(keys.iter().filter(|key| key.len() == 4).eq(steady.iter().map(|[key, _]| key)), "{keys:?}");
        }
    });
}
