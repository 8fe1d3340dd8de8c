//! A trace is read or refused with the number of a line that it has; what was read is rendered and read the same again,
//! also with everything taken out, and whoever is on a list has a reason.

use crate::trace::{Line, Redacted, Redaction, Trace};

/// Checks a trace.
pub fn check(data: &[u8]) {
    match Trace::parse(data) {
        Ok(trace) => fits_together(&trace),
        Err(bad) => {
            let lines = data.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&bad.line) && !bad.words.is_empty(), "{bad}");
        }
    }
    for line in data.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        if let Ok(read) = Line::parse(line) {
            survives(&read);
        }
    }
}

fn survives(line: &Line) {
    let rendered = String::from_utf8(line.render()).expect("text");
    assert_eq!(rendered.find('\n'), Some(rendered.len() - 1), "one line");
    let again = Line::parse(&rendered).expect("our own line");
    assert_eq!(again.render(), rendered.into_bytes());
    if let Line::Event(event) = line {
        let mut event = event.clone();
        Redaction::of(&[Redacted::Users]).event(&mut event);
        let rendered = String::from_utf8(Line::Event(event).render()).expect("text");
        Line::parse(&rendered).unwrap_or_else(|words| panic!("{words}: {rendered}"));
    }
}

fn fits_together(trace: &Trace) {
    for recorded in &trace.events {
        assert!(trace.versions.contains_key(&recorded.line.by));
        assert!(trace.event(recorded.line.event).is_some());
        for delivery in recorded.line.deliveries() {
            for pid in recorded.line.pids() {
                let (why, got) = recorded.why(delivery, pid);
                let is_listed = delivery.list.as_ref().is_some_and(|list| list.contains(&pid));
                let is_routed = recorded.line.unrouted.is_none();
                assert_eq!(got, is_listed && is_routed && !delivery.ended.contains(&pid));
                assert!(!why.is_empty() && !trace.name(pid).is_empty());
            }
        }
    }
}
