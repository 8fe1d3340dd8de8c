//! How bytes look in a trace: JSON as it is, text as a string, and what is no text as `{"$base64":…}`.

use crate::payload::Payload;
use crate::pid::Pid;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Any bytes: a key, a value, the name of a group. A string where they are text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub Vec<u8>);

/// A payload. JSON stands as it is, byte for byte; what is no JSON, or could be mistaken for what is none, is wrapped in
/// an object of one key that begins with a `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data(pub Payload);

#[derive(Serialize, Deserialize)]
enum Wrapped<'a> {
    #[serde(rename = "$text")]
    Text(Cow<'a, str>),
    #[serde(rename = "$base64")]
    Base64(Cow<'a, str>),
    /// JSON that begins like one of these.
    #[serde(rename = "$json")]
    Json(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrBytes {
    Text(String),
    Bytes {
        #[serde(rename = "$base64")]
        base64: String,
    },
}

impl Term {
    /// As people read it: quoted text, or the digits of bytes.
    pub fn words(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) => format!("{text:?}"),
            Err(_) => self.0.iter().fold("0x".into(), |words, byte| format!("{words}{byte:02x}")),
        }
    }
}

/// Values of a key as people read them, and told apart from none: text that a terminal can show as it is.
pub fn values_words(values: &[Term]) -> String {
    let words = |value: &Term| match std::str::from_utf8(&value.0) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => text.to_owned(),
        _ => value.words(),
    };
    match values {
        [] => "nothing".into(),
        all => all.iter().map(words).collect::<Vec<_>>().join(" and "),
    }
}

impl From<&[u8]> for Term {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Wrapped::Base64(STANDARD.encode(&self.0).into()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match TextOrBytes::deserialize(deserializer)? {
            TextOrBytes::Text(text) => Ok(Self(text.into_bytes())),
            TextOrBytes::Bytes { base64 } => from_base64(&base64).map(Self).map_err(D::Error::custom),
        }
    }
}

impl Data {
    /// JSON that the server made or checked itself.
    pub fn json(text: &str) -> Self {
        Self(Payload::Json(text.as_bytes().to_vec().into()))
    }

    /// What a key has is data, `null` as well, which would be taken for no key.
    pub fn that_is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Self::deserialize(deserializer).map(Some)
    }

    /// As people read it, and as it stands in a trace.
    pub fn words(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Payload::Text(text) => Wrapped::Text(text.into()).serialize(serializer),
            Payload::Binary(bytes) => Wrapped::Base64(STANDARD.encode(bytes).into()).serialize(serializer),
            Payload::Json(json) => match as_it_is(json) {
                Some(raw) => raw.serialize(serializer),
                None => Wrapped::Json(String::from_utf8_lossy(json)).serialize(serializer),
            },
        }
    }
}

/// JSON that can stand on a line of JSON and comes back as it was.
fn as_it_is(json: &[u8]) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_slice(json).ok()?;
    let is_whole = raw.get().len() == json.len() && memchr::memchr2(b'\n', b'\r', json).is_none();
    (is_whole && !begins_with_a_dollar(raw.get())).then_some(raw)
}

fn begins_with_a_dollar(json: &str) -> bool {
    json.strip_prefix('{').is_some_and(|rest| rest.trim_ascii_start().starts_with("\"$"))
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: Box<RawValue> = Deserialize::deserialize(deserializer)?;
        if !begins_with_a_dollar(raw.get()) {
            return Ok(Self(Payload::Json(String::from(Box::<str>::from(raw)).into())));
        }
        let wrapped: Wrapped<'_> = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        Ok(Self(match wrapped {
            Wrapped::Text(text) => Payload::Text(text.into_owned()),
            Wrapped::Json(json) => Payload::Json(json.into_owned().into()),
            Wrapped::Base64(text) => Payload::Binary(from_base64(&text).map_err(D::Error::custom)?.into()),
        }))
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("this is no base64: {error}"))
}

impl Serialize for Pid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}

/// What is written as its text: topics, and numbers that not every reader holds.
pub(super) mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    pub(in crate::trace) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(in crate::trace) fn deserialize<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

/// A list of numbers that not every reader holds.
pub(super) mod as_texts {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    // As serde calls it.
    #[allow(clippy::ptr_arg)]
    pub(in crate::trace) fn serialize<S: Serializer>(list: &Vec<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(u64::to_string))
    }

    pub(in crate::trace) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let list = Vec::<String>::deserialize(deserializer)?;
        list.iter().map(|text| text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no number")))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload() -> impl Strategy<Value = Payload> {
        let json = prop::sample::select(vec![
            "null",
            "1.50",
            "\"a\\u0000\"",
            "{}",
            "{ \"a\" : [1, 2] }",
            "{\"$text\":\"a\"}",
            "{ \"$b\":1}",
            " 1",
            "{\"\\u0024text\":1}",
        ]);
        prop_oneof![
            json.prop_map(|json| Payload::Json(json.into())),
            ".*".prop_map(Payload::Text),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Payload::Binary(bytes.into())),
        ]
    }

    proptest! {
        #[test]
        fn a_payload_survives_a_line(payload in payload()) {
            let line = serde_json::to_string(&Data(payload.clone())).unwrap();
            prop_assert!(!line.contains(['\n', '\r']));
            prop_assert_eq!(serde_json::from_str::<Data>(&line).unwrap(), Data(payload));
        }

        #[test]
        fn bytes_survive_a_line(bytes: Vec<u8>) {
            let line = serde_json::to_string(&Term(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Term>(&line).unwrap(), Term(bytes));
        }
    }

    #[test]
    fn text_is_text_and_json_is_json() {
        let line = |payload| serde_json::to_string(&Data(payload)).unwrap();
        assert_eq!(line(Payload::Json("{\"say\": \"hi\"}".into())), "{\"say\": \"hi\"}");
        assert_eq!(line(Payload::Text("hi".into())), "{\"$text\":\"hi\"}");
        assert_eq!(line(Payload::Binary(vec![255].into())), "{\"$base64\":\"/w==\"}");
        assert_eq!(line(Payload::Json("{\"$text\":1}".into())), "{\"$json\":\"{\\\"$text\\\":1}\"}");
        assert_eq!(serde_json::to_string(&Term(b"bans/bob".to_vec())).unwrap(), "\"bans/bob\"");
        assert_eq!(Term(vec![255, 0]).words(), "0xff00");
        let values = [&b"{\"n\":1}"[..], b"", b"a\0"].map(Term::from);
        assert_eq!(values_words(&values), r#"{"n":1} and "" and "a\0""#);
        assert_eq!(values_words(&[]), "nothing");
    }

    #[test]
    fn what_is_no_payload() {
        for text in ["{\"$text\":1}", "{\"$base64\":\"?\"}", "{\"$other\":\"a\"}", "{\"$text\":\"a\",\"$json\":\"1\"}"]
        {
            assert!(serde_json::from_str::<Data>(text).is_err(), "{text}");
        }
    }
}
