//! A text is a topic exactly if the model says so, and then it is printed as it was read.

use crate::topic::{TOPIC_BYTES_MAX, Topic};
use std::borrow::Borrow;

/// Checks one text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Topic>() {
        Ok(topic) => {
            assert!(is_topic(text), "{text:?} is a topic");
            assert_eq!((topic.to_string(), topic.as_str(), Borrow::<str>::borrow(&topic)), (text.into(), text, text));
        }
        Err(error) => {
            assert!(!is_topic(text), "{text:?} is no topic: {error}");
            assert!(!error.to_string().is_empty());
        }
    }
}

/// The model: one pass over the characters.
pub(super) fn is_topic(text: &str) -> bool {
    let mut segment_is_empty = true;
    for character in text.chars() {
        match character {
            '.' if segment_is_empty => return false,
            '.' => segment_is_empty = true,
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => segment_is_empty = false,
            _ => return false,
        }
    }
    !segment_is_empty && text.len() <= TOPIC_BYTES_MAX
}
