//! JSON as messages are compared: by what it says, not by how it is written. Numbers keep all their digits, which
//! `serde_json::Value` has no room for: 2^53 + 1 is not 2^53, and 1e400 is a number, too.

use crate::protocol::payload;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// A value, or what may stand for one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
    /// Any value is as good; only of what is wanted.
    Anything,
}

/// As it is written; equal to all others that say the same, such as 1 and 1.0.
#[derive(Clone, Debug)]
pub(super) struct Number(String);

impl Json {
    /// Of what a message can be; else why it cannot. Of members with the same key the last one counts.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        payload::json(text.to_owned().into())?;
        Self::of(text.trim_ascii()).map_err(|error| format!("this is not JSON: {error}"))
    }

    /// Of a value without space around it, no deeper than a message.
    fn of(text: &str) -> serde_json::Result<Self> {
        Ok(match text.as_bytes().first() {
            Some(b'[') => {
                let all: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::List(all.into_iter().map(|value| Self::of(value.get())).collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let all: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
                let member = |(key, value): (String, &RawValue)| Ok((key, Self::of(value.get())?));
                Self::Object(all.into_iter().map(member).collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(Number(text.to_owned())),
        })
    }

    /// Whether this is somewhere in it, or it itself.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self == other
            || match self {
                Self::List(all) => all.iter().any(|value| value.contains(other)),
                Self::Object(all) => all.values().any(|value| value.contains(other)),
                _ => false,
            }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = |at: usize| if at == 0 { "" } else { "," };
        let text = |text: &str| serde_json::Value::from(text);
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(Number(digits)) => f.write_str(digits),
            Self::Text(words) => write!(f, "{}", text(words)),
            Self::Anything => write!(f, "{}", text(super::wanted::ANY)),
            Self::List(all) => {
                f.write_str("[")?;
                all.iter().enumerate().try_for_each(|(at, value)| write!(f, "{}{value}", comma(at)))?;
                f.write_str("]")
            }
            Self::Object(all) => {
                f.write_str("{")?;
                let mut members = all.iter().enumerate();
                members.try_for_each(|(at, (key, value))| write!(f, "{}{}:{value}", comma(at), text(key)))?;
                f.write_str("}")
            }
        }
    }
}

impl Number {
    /// Whether it is negative, its digits without zeros around them, and which power of ten they count. None of an exponent
    /// beyond all sense.
    fn value(&self) -> Option<(bool, String, i64)> {
        let (is_negative, rest) = self.0.strip_prefix('-').map_or((false, &*self.0), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let ends = digits.trim_end_matches('0');
        if ends.is_empty() {
            return Some((false, String::new(), 0));
        }
        let moved = (digits.len() - ends.len()) as i64 - fraction.len() as i64;
        Some((is_negative, ends.to_owned(), exponent.parse::<i64>().ok()?.checked_add(moved)?))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.value().is_some_and(|value| other.value() == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> Json {
        Json::read(text).unwrap()
    }

    #[test]
    fn numbers_are_compared_by_all_their_digits() {
        for same in [
            ["1", "1.0"],
            ["1", "10e-1"],
            ["-120", "-1.2E+2"],
            ["0", "-0.0"],
            ["0e9", "0"],
            ["1e400", "10e399"],
            ["0.30", "3e-1"],
            ["1e99999999999999999999", "1e99999999999999999999"],
        ] {
            assert_eq!(json(same[0]), json(same[1]));
        }
        for other in [
            ["9007199254740992", "9007199254740993"],
            ["9007199254740993", "9007199254740993.5"],
            ["18446744073709551616", "18446744073709551617"],
            ["1e400", "1e401"],
            ["1", "-1"],
            ["1", "10"],
            ["100", "0.01"],
            ["1e99999999999999999999", "2e99999999999999999999"],
            ["1", "\"1\""],
        ] {
            assert_ne!(json(other[0]), json(other[1]));
        }
    }

    #[test]
    fn it_says_what_it_read() {
        let text = r#"{"a":[1.50,1e400,-0,true,null],"b":{"c":"\"\u0000é"},"d":{},"e":[]}"#;
        assert_eq!(json(text).to_string(), text);
        assert_eq!(json(" { \"a\" : [ 1 , 2 ],\t\"a\" : 3 } ").to_string(), "{\"a\":3}");
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(json(&nested(127)).to_string(), nested(127));
        for bad in [nested(128), nested(100_000), "\"\\ud800\"".into(), "{".into(), String::new()] {
            assert!(Json::read(&bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_a_payload_is_read(text in "[\\[\\]{}\",:\\\\eEu.0-9 a-]{0,24}") {
            let is_payload = payload::json(text.clone().into()).is_ok();
            let read = Json::read(&text);
            prop_assert_eq!(read.is_ok(), is_payload);
            if let Ok(read) = read {
                prop_assert_eq!(json(&read.to_string()), read);
            }
        }

        #[test]
        fn it_does_not_matter_how_a_number_is_written(a: f64, b: i64) {
            prop_assume!(a.is_finite());
            prop_assert_eq!(json(&format!("{a}")), json(&format!("{a:e}")));
            prop_assert_eq!(json(&format!("{b}")), json(&format!("{b}.00")));
            prop_assert_ne!(json(&format!("{b}")), json(&format!("{}", i128::from(b) + 1)));
        }
    }
}
