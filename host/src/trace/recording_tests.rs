//! Recordings within their bounds.

use super::*;
use crate::pid::Pid;
use crate::trace::line::tests::event;
use crate::trace::{By, End, EventLine, Line, State, Trace, Why};
use proptest::prelude::*;

fn recorder(limits: Limits) -> Arc<Recorder> {
    Traces::new(Arc::new(limits)).of_plugin(&"chat".into())
}

fn by(config: &str) -> By {
    By { sha256: "sha256:00".into(), release: Some("0.1.0".into()), config: config.into() }
}

fn topic() -> Topic {
    "chat.lobby".parse().unwrap()
}

/// A publish with these subscribers.
fn line(id: u64, subscribers: &[Pid]) -> EventLine {
    let text = format!(
        r#"{{"event":"{id}","time_ms":1,"topic":"chat.lobby","kind":"publish","by":0,"generation":1,"met":{{}},"answer":{{"routed":{{"deliveries":[]}}}}}}"#
    );
    let Ok(Line::Event(mut line)) = Line::parse(&text) else { panic!("{text} is an event") };
    line.subscribers.insert("chat.lobby".into(), subscribers.to_vec());
    line
}

fn keep(recorder: &Recorder, line: EventLine, config: &str) -> bool {
    let Some(recording) = recorder.wants(&topic()) else { return false };
    recording.keep(line, &by(config), None, |pid| Some(Some(format!("user of {pid}"))));
    true
}

fn text(recorder: &Recorder) -> Vec<u8> {
    recorder.lines(0).unwrap().concat()
}

#[test]
fn nothing_is_wanted_before_it_begins_and_after_it_has_ended() {
    let recorder = recorder(Limits::default());
    assert!(recorder.wants(&topic()).is_none() && recorder.status().is_none() && recorder.lines(0).is_none());
    recorder.start(&Wanted { events: Some(2), ..Wanted::default() }, 0).unwrap();
    assert_eq!(recorder.start(&Wanted::default(), 0), Err(Refused::OneAtATime));
    let kept: Vec<bool> = (1..=3).map(|id| keep(&recorder, line(id, &[]), "1")).collect();
    assert_eq!(kept, [true, true, false]);
    let status = recorder.status().unwrap();
    assert_eq!((status.state, status.events), (State::Ended, 2));
    let trace = Trace::parse(&text(&recorder)).unwrap();
    assert_eq!(trace.end, Some(End { end: Why::Events, events: 2, left_out: 0 }));
    assert!(recorder.remove() && !recorder.remove());
    assert_eq!(recorder.room.load(Relaxed), 0, "its room is free again");
    recorder.start(&Wanted::default(), 0).unwrap();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let recorder = recorder(Limits { record_events_max: 10, ..Limits::default() });
    for wanted in [
        Wanted { events: Some(0), ..Wanted::default() },
        Wanted { events: Some(11), ..Wanted::default() },
        Wanted { events: Some(1), sample: 0.0, ..Wanted::default() },
        Wanted { events: Some(1), sample: 1.5, ..Wanted::default() },
        Wanted { events: Some(1), topics: Some("a..b".into()), ..Wanted::default() },
    ] {
        assert!(matches!(recorder.start(&wanted, 0), Err(Refused::Unfit(_))), "{wanted:?}");
    }
}

#[test]
fn only_topics_that_were_asked_for_are_recorded() {
    let recorder = recorder(Limits::default());
    recorder.start(&Wanted { topics: Some("chat.*".into()), ..Wanted::default() }, 0).unwrap();
    assert!(recorder.wants(&topic()).is_some());
    assert!(recorder.wants(&"news.today".parse().unwrap()).is_none());
}

#[test]
fn without_room_it_ends_and_what_it_has_can_be_read() {
    let recorder = recorder(Limits { record_bytes_max: 3_000, ..Limits::default() });
    recorder.start(&Wanted::default(), 0).unwrap();
    let kept = (1..1_000).take_while(|id| keep(&recorder, line(*id, &[]), "1")).count() as u64;
    let status = recorder.status().unwrap();
    assert!(status.state == State::Ended && status.bytes <= 3_000 && status.left_out == 1, "{status:?}");
    let trace = Trace::parse(&text(&recorder)).unwrap();
    assert_eq!(trace.events.len() as u64, kept - 1);
    assert_eq!(trace.end, Some(End { end: Why::Bytes, events: kept - 1, left_out: 1 }));
}

#[test]
fn recordings_of_several_plugins_share_the_room() {
    let traces = Traces::new(Arc::new(Limits { record_bytes_max: 1_000, ..Limits::default() }));
    let [chat, news] = ["chat", "news"].map(|plugin| traces.of_plugin(&plugin.into()));
    chat.start(&Wanted::default(), 0).unwrap();
    assert_eq!(news.start(&Wanted::default(), 0), Err(Refused::NoRoom));
    assert!(news.status().is_none() && news.wants(&topic()).is_none());
    assert!(chat.remove() && traces.bytes() == 0);
    news.start(&Wanted::default(), 0).unwrap();
}

#[test]
fn its_time_is_bounded() {
    let recorder = recorder(Limits { record_ms_max: 0, ..Limits::default() });
    recorder.start(&Wanted::default(), 0).unwrap();
    assert!(recorder.wants(&topic()).is_none());
    assert_eq!(recorder.status().unwrap().state, State::Ended);
}

#[test]
fn its_time_ends_it_though_no_event_comes() {
    let recorder = recorder(Limits { record_ms_max: 0, ..Limits::default() });
    recorder.start(&Wanted::default(), 0).unwrap();
    assert_eq!(recorder.status().unwrap().state, State::Ended);
    let end = Trace::parse(&text(&recorder)).unwrap().end;
    assert_eq!(end, Some(End { end: Why::Time, events: 0, left_out: 0 }));
}

/// A lane may hold the one before, and find late that its time is over.
#[test]
fn one_that_ends_late_does_not_end_the_next_one() {
    let recorder = recorder(Limits::default());
    recorder.start(&Wanted::default(), 0).unwrap();
    let before = recorder.wants(&topic()).unwrap();
    assert!(recorder.remove());
    recorder.start(&Wanted::default(), 0).unwrap();
    before.end_late();
    assert!(keep(&recorder, line(1, &[]), "1"), "it goes on");
}

#[test]
fn what_somebody_has_already_is_not_fetched_again() {
    let recorder = recorder(Limits::default());
    recorder.start(&Wanted::default(), 0).unwrap();
    let long: Vec<Pid> = (1..1_000).map(|slot| Pid::new(0, slot, 1)).collect();
    let mut fetched = Vec::new();
    for id in 1..20 {
        keep(&recorder, line(id, &long[..long.len() - id as usize]), "1");
        fetched.extend(recorder.lines(fetched.len() as u64).unwrap().concat());
        assert_eq!(fetched, text(&recorder));
    }
    assert!(recorder.lines(u64::MAX).unwrap().concat().is_empty() && fetched.len() > 100_000);
}

/// Names are taken out, but a pseudonym needs to know whose it is.
#[test]
fn what_is_remembered_of_what_is_taken_out_counts() {
    let recorder = recorder(Limits { record_bytes_max: 100_000, ..Limits::default() });
    recorder.start(&Wanted { redact: vec![Redacted::Tables], ..Wanted::default() }, 0).unwrap();
    for id in 1..=10 {
        let mut line = line(id, &[]);
        let key = crate::trace::Term(format!("{id}-{}", "k".repeat(1_000_000)).into_bytes());
        let page = crate::trace::Page { table: "t".into(), prefix: key, after: None, limit: 1 };
        line.met.pages.push(page);
        assert!(keep(&recorder, line, "1"), "of long names no more is kept than of short ones");
    }
    let before = recorder.status().unwrap().bytes;
    let mut many = line(11, &[]);
    let name = |n: u32| crate::trace::Term(n.to_string().into_bytes());
    let page = |n| crate::trace::Page { table: "t".into(), prefix: name(n), after: None, limit: 1 };
    many.met.pages.extend((0..100).map(page));
    let length = text(&recorder).len();
    keep(&recorder, many, "1");
    let (grown, lines) = (recorder.status().unwrap().bytes - before, text(&recorder).len() - length);
    assert!(grown >= lines as u64 + 100 * 48, "{grown} for {lines} of lines");
}

#[test]
fn names_subscribers_and_versions_are_said_once() {
    let recorder = recorder(Limits::default());
    recorder.start(&Wanted::default(), 0).unwrap();
    let [ann, bob] = [1, 2].map(|slot| Pid::new(0, slot, 1));
    for (id, subscribers, config) in [(1, &[ann][..], "1"), (2, &[ann], "1"), (3, &[ann, bob], "2"), (4, &[], "1")] {
        keep(&recorder, line(id, subscribers), config);
    }
    let text = String::from_utf8(text(&recorder)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let said =
        |what: &str| lines.iter().enumerate().filter(|(_, line)| line.contains(what)).map(|(at, _)| at).collect();
    let [users, subscribers, versions]: [Vec<usize>; 3] = ["\"users\"", "\"subscribers\"", "\"version\""].map(said);
    // The header and the version come before the first event, another version before the third.
    assert_eq!((users, subscribers, versions), (vec![2, 5], vec![2, 5, 6], vec![1, 4]), "{text}");
    let trace = Trace::parse(text.as_bytes()).unwrap();
    assert_eq!(trace.name(bob), "user of <0.2.1> <0.2.1>");
    assert_eq!(trace.events.iter().map(|recorded| recorded.line.by).collect::<Vec<_>>(), [1, 1, 2, 1]);
}

proptest! {
    /// Whatever is recorded can be read, and with nothing taken out it is what was recorded.
    #[test]
    fn what_is_recorded_is_read(lines in prop::collection::vec(event(), 0..6), redact: bool) {
        let recorder = recorder(Limits::default());
        let kinds = if redact { vec![Redacted::Users] } else { Vec::new() };
        recorder.start(&Wanted { redact: kinds, ..Wanted::default() }, 0).unwrap();
        for line in &lines {
            keep(&recorder, line.clone(), "1");
        }
        let trace = Trace::parse(&text(&recorder)).unwrap();
        prop_assert_eq!(trace.events.len(), lines.len());
        for (recorded, line) in trace.events.iter().zip(&lines).filter(|_| !redact) {
            prop_assert_eq!((&recorded.line.met, &recorded.line.answer), (&line.met, &line.answer));
            let subscribers = recorded.subscribers.iter().all(|(topic, pids)| {
                line.subscribers.get(topic).is_none_or(|own| own[..] == pids[..])
            });
            prop_assert!(subscribers && line.kind == recorded.line.kind);
        }
    }
}
