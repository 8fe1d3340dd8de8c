//! A topic in which certain words are for certain readers only: these get what was published, all others get stars in
//! their place.
//!
//! Config, with its defaults. `readers` says which sessions are let read everything: those whose `params` have one of
//! `values` at the JSON pointer `at`.
//!
//! ```json
//! {"words": [], "readers": {"at": "/claims/role", "values": ["moderator"]}}
//! ```
//!
//! With `"words": ["damn"]`, of `{"say": "Damn it"}` most subscribers get `{"say": "**** it"}`, moderators what was said.
//!
//! - A word is letters and digits between others, whatever its capitals, letter by letter (`STRASSE` is not `straße`); a
//!   part of a longer word is none. Texts that mean to get around this (`d4mn`) do: it is a list of words, no judge.
//! - In JSON all texts are looked at, how deep they are, and however they are escaped; names of members stay. Everything
//!   else is passed on byte for byte. Text is looked at as a whole, binary data is a 400.
//! - What stands under `claims` a token has said, where clients show tokens; anything else a client says of itself.
//! - Who reads what is settled by the join. The sender reads what others of its kind read.
//!
//! # What is kept
//!
//! The scope `readers` has a group of those who may read everything, for each topic. They leave it by leaving the topic,
//! or with their session. Nothing outlives a restart.
//!
//! # What it costs
//!
//! A publish never calls the host. It reads the data once, and only what has such a word in it is written anew and sent in
//! two forms, each rendered once, however many subscribe. A join calls once, if it is a reader's; a leave once.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use volley_plugin::{
    Event, Info, Kind, Message, Outcome, Payload, Reach, Refusal, Rule, Scope, config, export_rule, subscribers,
};

struct Redact {
    words: Words,
    readers: Readers,
    groups: Scope,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    words: Vec<String>,
    readers: Readers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Readers {
    at: String,
    values: Vec<Value>,
}

impl Default for Readers {
    fn default() -> Self {
        Self { at: "/claims/role".to_owned(), values: vec!["moderator".into()] }
    }
}

/// Arbitrary; each event looks up each of its words once, however many there are.
const WORDS_MAX: usize = 10_000;

impl Rule for Redact {
    fn info() -> Info {
        Info { name: "redact", version: env!("CARGO_PKG_VERSION"), description: "words that only some may read" }
    }

    fn init(text: &str) -> Result<Self, String> {
        let Config { words, readers } = config(text)?;
        if !readers.at.starts_with('/') {
            return Err(format!("readers.at is a JSON pointer such as /claims/role, not {:?}", readers.at));
        }
        Ok(Self { words: Words::new(&words)?, readers, groups: Scope::open("readers", Reach::Node)? })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Publish => self.publish(event),
            Kind::Join => {
                if self.readers.are(&event.params()?) {
                    self.groups.join(&event.topic, event.sender)?;
                }
                Ok(Outcome::new())
            }
            Kind::Leave => {
                self.groups.leave(&event.topic, event.sender);
                Ok(Outcome::new())
            }
            Kind::Exit(_) | Kind::Timer => Ok(Outcome::new()),
        }
    }
}

impl Redact {
    fn publish(&self, event: &Event) -> Result<Outcome, Refusal> {
        let redacted = match &event.data {
            Payload::Json(json) => self.words.redact_json(json).map(Payload::Json),
            Payload::Text(text) => self.words.redact(text).map(Payload::Text),
            Payload::Binary(_) => return Err(Refusal::invalid("this topic takes JSON and text, no binary data")),
        };
        let Some(redacted) = redacted else { return Ok(Outcome::new().forward(subscribers())) };
        let readers = || self.groups.members(&event.topic);
        // A reader that left while the topic was routed by another rule is in the group still.
        let outcome = Outcome::new().forward(readers() & subscribers());
        Ok(outcome.deliver(subscribers() - readers(), Message::Data(redacted)))
    }
}

impl Readers {
    /// One value, or a list that has it.
    fn are(&self, params: &Value) -> bool {
        match params.pointer(&self.at) {
            Some(Value::Array(list)) => list.iter().any(|value| self.values.contains(value)),
            Some(value) => self.values.contains(value),
            None => false,
        }
    }
}

/// In small letters.
struct Words(HashSet<String>);

impl Words {
    fn new(words: &[String]) -> Result<Self, String> {
        if words.len() > WORDS_MAX {
            return Err(format!("there are at most {WORDS_MAX} words"));
        }
        match words.iter().find(|word| word.is_empty() || !word.chars().all(char::is_alphanumeric)) {
            Some(odd) => Err(format!("a word is letters and digits, not {odd:?}")),
            None => Ok(Self(words.iter().map(|word| word.to_lowercase()).collect())),
        }
    }

    /// The text with stars in it; none if there is nothing to hide.
    fn redact(&self, text: &str) -> Option<String> {
        let mut redacted = String::new();
        let mut copied = 0;
        let mut from = 0;
        for part in text.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
            let word = part.trim_end_matches(|letter: char| !letter.is_alphanumeric());
            if self.0.contains(&word.to_lowercase()) {
                redacted.push_str(&text[copied..from]);
                redacted.extend(word.chars().map(|_| '*'));
                copied = from + word.len();
            }
            from += part.len();
        }
        if copied == 0 {
            return None;
        }
        redacted.push_str(&text[copied..]);
        Some(redacted)
    }

    /// The same of each text in JSON. All that stands between them is copied, so that no number is rounded and no order
    /// changed. The host has seen that it is JSON.
    fn redact_json(&self, json: &[u8]) -> Option<Vec<u8>> {
        let mut redacted = Vec::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(quote) = json[at..].iter().position(|byte| *byte == b'"') {
            let from = at + quote;
            at = end_of_text(json, from);
            let is_name = json[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
            let Ok(text) = serde_json::from_slice::<String>(&json[from..at]) else { continue };
            if let Some(text) = self.redact(&text).filter(|_| !is_name) {
                redacted.extend_from_slice(&json[copied..from]);
                redacted.extend(serde_json::to_vec(&text).expect("a text can be JSON"));
                copied = at;
            }
        }
        if copied == 0 {
            return None;
        }
        redacted.extend_from_slice(&json[copied..]);
        Some(redacted)
    }
}

/// Behind the closing quote of the text that begins there.
fn end_of_text(json: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < json.len() && json[at] != b'"' {
        at += if json[at] == b'\\' { 2 } else { 1 };
    }
    json.len().min(at + 1)
}

export_rule!(Redact);

#[cfg(test)]
mod tests {
    use super::{Redact, Words};
    use volley_plugin::Rule;
    use volley_plugin::testing::recorded;

    #[test]
    fn recorded_events() {
        recorded::<Redact>("tests/events.jsonl");
    }

    fn words() -> Words {
        Words::new(&["damn".to_owned(), "Öl".to_owned()]).unwrap()
    }

    #[test]
    fn words_are_hidden_and_nothing_else() {
        for (text, expected) in [
            ("damn", Some("****")),
            ("DAMN, öl-damn!", Some("****, **-****!")),
            ("damned damnation goddamn", None),
            ("", None),
            ("a damn b", Some("a **** b")),
        ] {
            assert_eq!(words().redact(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn json_stays_as_it_is_around_them() {
        for (json, expected) in [
            (r#"{"b": "damn", "a": 1.50e400}"#, Some(r#"{"b": "****", "a": 1.50e400}"#)),
            (r#"["\u0064amn", "\"damn\"", "\\"]"#, Some(r#"["****", "\"****\"", "\\"]"#)),
            (r#"{"damn" : [[{"x": "oh damn"}]]}"#, Some(r#"{"damn" : [[{"x": "oh ****"}]]}"#)),
            (r#"{"damn": 1}"#, None),
            ("17", None),
        ] {
            let redacted = words().redact_json(json.as_bytes()).map(|json| String::from_utf8(json).unwrap());
            assert_eq!(redacted.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn a_config_that_makes_no_sense_is_refused_in_words() {
        for (config, words) in [
            (r#"{"words": ["two words"]}"#, "a word is letters and digits, not \"two words\""),
            (r#"{"readers": {"at": "role", "values": []}}"#, "readers.at is a JSON pointer"),
        ] {
            let refused = Redact::init(config).err().expect("refused");
            assert!(refused.contains(words), "{refused}");
        }
    }
}
