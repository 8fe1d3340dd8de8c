//! What the recorded events can't show: a restart, many jobs at once, a config that makes no sense.

use std::time::Duration;

use serde_json::{Value, json};
use volley_plugin::testing::{Server, recorded};
use volley_plugin::{ExitReason, Pid, Rule};

use crate::Queues;

#[test]
fn recorded_events() {
    recorded::<Queues>("tests/events.jsonl");
}

fn put(server: &mut Server<Queues>, id: &str, data: &Value) {
    server.publish("q", None, &json!({"put": {"id": id, "data": data}}).to_string()).unwrap();
}

fn jobs(server: &mut Server<Queues>, pid: Pid) -> Vec<String> {
    let messages = server.inbox(pid);
    messages.iter().map(|message| format!("{} {}", message["job"].as_str().unwrap(), message["attempt"])).collect()
}

/// What is not durable goes, and so do sessions and timers.
fn restart(server: &mut Server<Queues>, sessions: &[Pid]) {
    let rule = server.rule();
    let all = rule.workers.select("", 1_000).unwrap().objects.into_iter().map(|(key, _)| key);
    rule.workers.delete_all(all).unwrap();
    let all = rule.ready.select("", 1_000).unwrap().objects.into_iter().map(|(key, _)| key);
    rule.ready.delete_all(all).unwrap();
    server.forget_timers();
    for pid in sessions {
        server.leave("q", *pid);
    }
}

#[test]
fn a_restart_loses_no_job() {
    let mut server = Server::<Queues>::start("");
    let (ann, bob) = (server.open("ann"), server.open("bob"));
    server.join("q", ann).unwrap();
    for id in ["a", "b", "c"] {
        put(&mut server, id, &json!({"of": id}));
    }
    assert_eq!(jobs(&mut server, ann), ["a 1"]);
    restart(&mut server, &[ann]);
    server.join("q", bob).unwrap();
    for id in ["a", "b", "c"] {
        assert_eq!(jobs(&mut server, bob), [format!("{id} 1")], "in order, and that attempt does not count");
        server.publish("q", bob, &json!({ "ack": id }).to_string()).unwrap();
    }
    assert_eq!(server.rule().jobs.size(), 0);
}

#[test]
fn all_jobs_of_a_worker_that_ends_go_to_the_others() {
    let mut server = Server::<Queues>::start(r#"{"jobs_per_worker": 100}"#);
    let (ann, bob) = (server.open("ann"), server.open("bob"));
    server.join("q", ann).unwrap();
    for number in 0..120 {
        put(&mut server, &format!("job-{number:03}"), &json!("x".repeat(60_000)));
    }
    assert_eq!(jobs(&mut server, ann).len(), 100);
    server.join("q", bob).unwrap();
    assert_eq!(jobs(&mut server, bob).len(), 20);
    server.exit(ann, ExitReason::Killed);
    assert_eq!(jobs(&mut server, bob).len(), 50, "no more in one event");
    server.wait(Duration::from_millis(20));
    assert_eq!(jobs(&mut server, bob).len(), 30, "the others right after it, as far as there are hands");
}

#[test]
fn who_has_the_fewest_is_next() {
    let mut server = Server::<Queues>::start(r#"{"jobs_per_worker": 3}"#);
    let (ann, bob) = (server.open("ann"), server.open("bob"));
    server.join("q", ann).unwrap();
    put(&mut server, "a", &json!(1));
    put(&mut server, "b", &json!(1));
    server.join("q", bob).unwrap();
    put(&mut server, "c", &json!(1));
    put(&mut server, "d", &json!(1));
    put(&mut server, "e", &json!(1));
    assert_eq!(jobs(&mut server, ann), ["a 1", "b 1", "e 1"], "the last one since she has waited longer");
    assert_eq!(jobs(&mut server, bob), ["c 1", "d 1"]);
}

#[test]
fn who_has_waited_longest_is_next() {
    let mut server = Server::<Queues>::start("");
    let (ann, bob) = (server.open("ann"), server.open("bob"));
    server.join("q", ann).unwrap();
    server.join("q", bob).unwrap();
    put(&mut server, "a", &json!(1));
    server.publish("q", ann, r#"{"ack": "a"}"#).unwrap();
    put(&mut server, "b", &json!(1));
    assert_eq!((jobs(&mut server, ann), jobs(&mut server, bob)), (vec!["a 1".to_owned()], vec!["b 1".to_owned()]));
}

#[test]
fn nothing_is_left_of_jobs_that_are_done_or_dead() {
    let mut server = Server::<Queues>::start(r#"{"attempts_max": 2, "ack_ms": 1000}"#);
    let ann = server.open("ann");
    server.join("q", ann).unwrap();
    put(&mut server, "a", &json!(1));
    server.wait(Duration::from_secs(5));
    assert_eq!(jobs(&mut server, ann), ["a 1", "a 2"]);
    server.leave("q", ann);
    let rule = server.rule();
    let sizes = [rule.jobs.size(), rule.workers.size(), rule.ready.size(), rule.dead.size()];
    assert_eq!(sizes, [0, 0, 0, 1]);
    assert_eq!(server.fire_timers(), 0);
}

/// A put that was stopped in its middle, or taken to the disk by half, was there for ever, and nobody got it.
#[test]
fn a_put_that_was_cut_off_can_be_repeated() {
    let mut server = Server::<Queues>::start("");
    put(&mut server, "a", &json!(1));
    let half = server.rule().jobs.select("", 10).unwrap().objects.into_iter().map(|(key, _)| key);
    server.rule().jobs.delete_all(half).unwrap();
    put(&mut server, "a", &json!(1));
    let again = server.publish("q", None, r#"{"put": {"id": "a", "data": 1}}"#);
    assert!(again.is_err(), "it is in the queue now");
    let ann = server.open("ann");
    server.join("q", ann).unwrap();
    assert_eq!(jobs(&mut server, ann), ["a 1"]);
    server.publish("q", ann, r#"{"ack": "a"}"#).unwrap();
    assert_eq!((server.rule().jobs.size(), server.rule().data.size()), (0, 0));
}

/// The first version had no room left in which a job could change hands, so a full queue stayed full for ever.
#[test]
fn a_full_queue_takes_no_more_and_is_worked_at() {
    let mut server = Server::<Queues>::start(r#"{"jobs_per_worker": 3}"#);
    for number in 0..crate::JOBS_MAX {
        put(&mut server, &number.to_string(), &json!(null));
    }
    let more = r#"{"put": {"id": "more", "data": null}}"#;
    server.publish("q", None, more).unwrap_err();
    let (ann, bob) = (server.open("ann"), server.open("bob"));
    server.join("q", ann).unwrap();
    assert_eq!(jobs(&mut server, ann), ["0 1", "1 1", "2 1"]);
    server.publish("q", None, more).unwrap_err();
    server.publish("q", ann, r#"{"nack": "0"}"#).unwrap();
    assert_eq!(jobs(&mut server, ann), ["0 2"]);
    server.wait(Duration::from_secs(31));
    assert_eq!(jobs(&mut server, ann).len(), 3, "what is late comes again");
    server.exit(ann, ExitReason::Normal);
    server.join("q", bob).unwrap();
    assert_eq!(jobs(&mut server, bob), ["0 3", "1 2", "2 2"].map(|job| job.replace(" 2", " 3").replace("0 3", "0 4")));
    server.publish("q", bob, r#"{"ack": "0"}"#).unwrap();
    server.publish("q", None, more).unwrap();
}

#[test]
fn a_config_that_makes_no_sense_is_refused_in_words() {
    for (config, words) in [
        (r#"{"ack_ms": 1}"#, "ack_ms is from 100"),
        (r#"{"attempts_max": 0}"#, "attempts_max is at least 1"),
        (r#"{"jobs_per_worker": 101}"#, "jobs_per_worker is from 1 to 100"),
    ] {
        let refused = Queues::init(config).err().expect("refused");
        assert!(refused.contains(words), "{refused}");
    }
}
