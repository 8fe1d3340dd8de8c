//! A topic on the first line, patterns on the others: they are read and printed, match and sort as in the model.

use crate::oracles::topic::is_topic;
use crate::topic::{Pattern, TOPIC_BYTES_MAX, Topic};

const PATTERNS_MAX: usize = 12;

/// Checks a topic and some patterns.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let topic = lines.next().and_then(|line| line.parse::<Topic>().ok());
    let mut patterns = Vec::new();
    for line in lines.take(PATTERNS_MAX) {
        let Ok(pattern) = line.parse::<Pattern>() else {
            assert!(!is_pattern(line), "{line:?} is a pattern");
            continue;
        };
        assert!(is_pattern(line), "{line:?} is no pattern");
        assert_eq!(pattern.to_string(), line);
        let segments: Vec<&str> = line.split('.').collect();
        if let Some(topic) = &topic {
            let of_topic: Vec<&str> = topic.as_str().split('.').collect();
            assert_eq!(pattern.matches(topic), matches(&segments, &of_topic), "{line:?} and {topic}");
        }
        patterns.push((pattern, segments));
    }
    patterns.sort();
    for (at, (pattern, segments)) in patterns.iter().enumerate() {
        for (other, other_segments) in &patterns[at..] {
            assert!(pattern <= other && pattern.cmp(other) == other.cmp(pattern).reverse(), "the order is total");
            assert_eq!(pattern == other, segments == other_segments);
            if pattern != other {
                assert!(!covers(segments, other_segments), "{pattern} covers {other} and comes first");
            }
        }
    }
}

/// The model: all but the wildcards is a topic.
fn is_pattern(text: &str) -> bool {
    let last = text.rsplit('.').next();
    let segments = text.split('.').count();
    let literal = |(at, segment): (usize, &str)| match segment {
        "*" => true,
        ">" => at + 1 == segments && last == Some(">"),
        literal => !literal.contains('.') && is_topic(literal),
    };
    text.len() <= TOPIC_BYTES_MAX && text.split('.').enumerate().all(literal)
}

fn matches(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) | ([">"], [_, ..]) => true,
        (["*", pattern @ ..], [_, topic @ ..]) => matches(pattern, topic),
        ([p, pattern @ ..], [t, topic @ ..]) => p == t && matches(pattern, topic),
        _ => false,
    }
}

/// Whether whatever the narrow one matches is matched by the wide one too.
fn covers(wide: &[&str], narrow: &[&str]) -> bool {
    match (wide, narrow) {
        ([], []) | ([">"], [_, ..]) => true,
        (["*", wide @ ..], [segment, narrow @ ..]) => *segment != ">" && covers(wide, narrow),
        ([w, wide @ ..], [n, narrow @ ..]) => w == n && covers(wide, narrow),
        _ => false,
    }
}
