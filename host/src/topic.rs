//! Names of topics, and the patterns of routes.
//!
//! A topic is a NATS-style subject: segments of letters, digits, `_` and `-`, joined by dots. In a pattern `*` stands
//! for one segment and a final `>` for one or more.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest topic and the longest pattern.
pub const TOPIC_BYTES_MAX: usize = 255;

/// A valid topic name, cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no topic or no pattern, in words for whoever wrote it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATopic {
    /// Longer than [`TOPIC_BYTES_MAX`].
    #[error("a topic has at most {TOPIC_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing between two dots, before the first or after the last.
    #[error("a topic is segments joined by dots, none of them empty, for example chat.lobby")]
    EmptySegment,
    /// Something other than a letter, a digit, `_` or `-`.
    #[error("a segment of a topic has letters, digits, '_' and '-' only")]
    BadCharacter,
    /// `>` before the last segment of a pattern.
    #[error("in a pattern '>' stands for the rest and is the last segment")]
    TailInside,
}

impl FromStr for Topic {
    type Err = NotATopic;

    fn from_str(text: &str) -> Result<Self, NotATopic> {
        if text.len() > TOPIC_BYTES_MAX {
            return Err(NotATopic::TooLong);
        }
        text.split('.').try_for_each(literal)?;
        Ok(Self(text.into()))
    }
}

fn literal(segment: &str) -> Result<(), NotATopic> {
    if segment.is_empty() {
        Err(NotATopic::EmptySegment)
    } else if segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        Ok(())
    } else {
        Err(NotATopic::BadCharacter)
    }
}

/// Ordered so that the more specific of two segments comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(Box<str>),
    One,
    Rest,
}

/// A pattern over topics. Patterns sort the most specific first, comparing segment by segment from the left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Box<[Segment]>);

impl Pattern {
    /// Whether the topic is one of those meant.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut segments = topic.0.split('.');
        for expected in &self.0 {
            let Some(segment) = segments.next() else { return false };
            match expected {
                Segment::Literal(literal) if **literal != *segment => return false,
                Segment::Literal(_) | Segment::One => {}
                Segment::Rest => return true,
            }
        }
        segments.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = NotATopic;

    fn from_str(text: &str) -> Result<Self, NotATopic> {
        if text.len() > TOPIC_BYTES_MAX {
            return Err(NotATopic::TooLong);
        }
        let last = text.split('.').count() - 1;
        text.split('.')
            .enumerate()
            .map(|(at, segment)| match segment {
                "*" => Ok(Segment::One),
                ">" if at == last => Ok(Segment::Rest),
                ">" => Err(NotATopic::TailInside),
                _ => literal(segment).map(|()| Segment::Literal(segment.into())),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match segment {
                Segment::Literal(literal) => write!(f, "{dot}{literal}")?,
                Segment::One => write!(f, "{dot}*")?,
                Segment::Rest => write!(f, "{dot}>")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(&topic.parse().unwrap())
    }

    #[test]
    fn star_is_one_segment_and_the_tail_at_least_one() {
        assert!(matches("chat.>", "chat.lobby"));
        assert!(matches("chat.>", "chat.lobby.side"));
        assert!(!matches("chat.>", "chat"));
        assert!(matches("*.lobby", "chat.lobby"));
        assert!(!matches("*.lobby", "chat.side.lobby"));
        assert!(matches(">", "anything.at-all_1"));
        assert!(!matches("chat.lobby", "chat.lobby.side"));
    }

    #[test]
    fn the_most_specific_sorts_first() {
        let mut patterns: Vec<Pattern> =
            [">", "chat.>", "chat.*", "chat.lobby", "*.lobby"].map(|text| text.parse().unwrap()).into();
        patterns.sort();
        let sorted: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["chat.lobby", "chat.*", "chat.>", "*.lobby", ">"]);
    }

    #[test]
    fn what_is_refused() {
        assert_eq!("a..b".parse::<Topic>(), Err(NotATopic::EmptySegment));
        assert_eq!("a.b/c".parse::<Topic>(), Err(NotATopic::BadCharacter));
        assert_eq!("a.*".parse::<Topic>(), Err(NotATopic::BadCharacter));
        assert_eq!("a".repeat(256).parse::<Topic>(), Err(NotATopic::TooLong));
        assert_eq!(">.a".parse::<Pattern>(), Err(NotATopic::TailInside));
        assert_eq!("a.b*".parse::<Pattern>(), Err(NotATopic::BadCharacter));
    }

    /// The model: a pattern as a list of texts, matched recursively.
    fn model(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) | ([">"], [_, ..]) => true,
            (["*", pattern @ ..], [_, topic @ ..]) => model(pattern, topic),
            ([p, pattern @ ..], [t, topic @ ..]) => p == t && model(pattern, topic),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_in_the_model(
            pattern in "[ab*](\\.[ab*]){0,3}(\\.>)?",
            topic in "[ab](\\.[ab]){0,4}",
        ) {
            let expected = model(&pattern.split('.').collect::<Vec<_>>(), &topic.split('.').collect::<Vec<_>>());
            prop_assert_eq!(matches(&pattern, &topic), expected);
            prop_assert_eq!(pattern.parse::<Pattern>().unwrap().to_string(), pattern);
        }

        #[test]
        fn any_text_is_a_topic_or_refused(text in "\\PC{0,300}") {
            if let Ok(topic) = text.parse::<Topic>() {
                prop_assert_eq!(topic.as_str(), text);
            }
        }
    }
}
