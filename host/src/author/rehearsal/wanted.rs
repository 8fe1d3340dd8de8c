//! Messages: those that came, and what is wanted of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Anything is as good.
const ANY: &str = "$any";

/// A message as a client gets it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Came {
    /// The data, as the rule wrote it.
    pub(super) text: String,
    pub(super) data: Value,
    /// The data is base64 of bytes.
    pub(super) is_binary: bool,
}

impl Came {
    /// As a file says it.
    pub(super) fn said(&self) -> String {
        if self.is_binary { format!("{{\"$base64\": {}}}", self.text) } else { self.text.clone() }
    }
}

/// What a message is to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// JSON, in which `"$any"` stands for anything. A text is a JSON string to whoever receives it.
    Json(Value),
    /// These bytes, in base64.
    Binary(String),
}

impl Wanted {
    /// As a file says it.
    pub(super) fn of(said: Value) -> Result<Self, String> {
        let only = said.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
        match only {
            Some((key, Value::String(text))) if key == "$text" => Ok(Self::Json(text.clone().into())),
            Some((key, Value::String(text))) if key == "$base64" => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Self::Binary(STANDARD.encode(bytes))),
                Err(_) => Err(format!("{text:?} is no base64")),
            },
            Some((key, _)) if key == "$text" || key == "$base64" => Err(format!("{key} has a text")),
            _ => Ok(Self::Json(said)),
        }
    }

    /// The first thing that is different, in words; none if it is what is wanted.
    pub(super) fn differs(&self, came: &Came) -> Option<String> {
        match self {
            Self::Json(Value::String(any)) if any == ANY => None,
            Self::Json(_) if came.is_binary => Some("bytes came, and not JSON".into()),
            Self::Json(wanted) => difference(wanted, &came.data, &mut String::new()),
            Self::Binary(_) if !came.is_binary => Some("JSON came, and not bytes".into()),
            Self::Binary(wanted) => (came.data != *wanted).then(|| "other bytes came".into()),
        }
    }

    /// As a file says it.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Json(json) => json.to_string(),
            Self::Binary(base64) => format!("{{\"$base64\": \"{base64}\"}}"),
        }
    }

    /// What came, with anything where anything was as good before.
    pub(super) fn renewed(&self, came: &Came) -> String {
        let Self::Json(before) = self else { return came.said() };
        if came.is_binary || !says_any(before) {
            return came.said();
        }
        let mut renewed = came.data.clone();
        keep_any(before, &mut renewed);
        renewed.to_string()
    }
}

/// Where a value is not what is wanted, and how.
fn difference(wanted: &Value, came: &Value, path: &mut String) -> Option<String> {
    let begins = path.len();
    let mut below = |step: &str, wanted: &Value, came: &Value| {
        path.push_str(step);
        let found = difference(wanted, came, path);
        path.truncate(begins);
        found
    };
    match (wanted, came) {
        (Value::String(any), _) if any == ANY => None,
        (Value::Object(wanted), Value::Object(came)) => {
            for (key, wanted) in wanted {
                let Some(came) = came.get(key) else { return Some(format!("{path}.{key} did not come")) };
                if let Some(found) = below(&format!(".{key}"), wanted, came) {
                    return Some(found);
                }
            }
            let surplus = came.keys().find(|key| !wanted.contains_key(*key));
            surplus.map(|key| format!("{path}.{key} came as well"))
        }
        (Value::Array(wanted), Value::Array(came)) => {
            for (at, (wanted, came)) in wanted.iter().zip(came).enumerate() {
                if let Some(found) = below(&format!("[{at}]"), wanted, came) {
                    return Some(found);
                }
            }
            let (wanted, came) = (wanted.len(), came.len());
            (wanted != came).then(|| format!("{path} has {came} elements and not {wanted}"))
        }
        (Value::Number(a), Value::Number(b)) if a == b || a.as_f64() == b.as_f64() => None,
        (wanted, came) if wanted == came => None,
        (wanted, came) => {
            Some(format!("{}: expected {wanted}, came {came}", if path.is_empty() { "it" } else { path }))
        }
    }
}

fn says_any(value: &Value) -> bool {
    match value {
        Value::String(text) => text == ANY,
        Value::Array(all) => all.iter().any(says_any),
        Value::Object(all) => all.values().any(says_any),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn keep_any(before: &Value, now: &mut Value) {
    match (before, now) {
        (Value::String(any), now) if any == ANY => *now = ANY.into(),
        (Value::Array(before), Value::Array(now)) => {
            before.iter().zip(now).for_each(|(before, now)| keep_any(before, now));
        }
        (Value::Object(before), Value::Object(now)) => {
            for (key, before) in before {
                if let Some(now) = now.get_mut(key) {
                    keep_any(before, now);
                }
            }
        }
        _ => {}
    }
}

/// What is the same of two lists, in order, and what is only in one of them: so that one message more or less does not
/// make all that follow differ.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    Same(&'a Came),
    Missing(&'a Wanted),
    Surplus(&'a Came),
}

/// Longer lists are compared place by place.
const ALIGNED_MAX: usize = 1_000;

/// The fewest differences.
pub(super) fn diff<'a>(wanted: &'a [Wanted], came: &'a [Came]) -> Vec<Line<'a>> {
    let fits = |i: usize, j: usize| wanted[i].differs(&came[j]).is_none();
    let (m, n) = (wanted.len(), came.len());
    let mut lines = Vec::new();
    if m > ALIGNED_MAX || n > ALIGNED_MAX {
        for at in 0..m.max(n) {
            match (wanted.get(at), came.get(at)) {
                (Some(wanted), Some(came)) if wanted.differs(came).is_none() => lines.push(Line::Same(came)),
                (wanted, came) => {
                    lines.extend(wanted.map(Line::Missing));
                    lines.extend(came.map(Line::Surplus));
                }
            }
        }
        return lines;
    }
    // How many are the same from there on.
    let mut same = vec![vec![0u32; n + 1]; m + 1];
    for i in (0..m).rev() {
        for j in (0..n).rev() {
            let both = if fits(i, j) { same[i + 1][j + 1] + 1 } else { 0 };
            same[i][j] = both.max(same[i + 1][j]).max(same[i][j + 1]);
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < m || j < n {
        if i < m && j < n && fits(i, j) && same[i][j] == same[i + 1][j + 1] + 1 {
            lines.push(Line::Same(&came[j]));
            (i, j) = (i + 1, j + 1);
        } else if i < m && (j == n || same[i + 1][j] >= same[i][j + 1]) {
            lines.push(Line::Missing(&wanted[i]));
            i += 1;
        } else {
            lines.push(Line::Surplus(&came[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn came(data: Value) -> Came {
        Came { text: data.to_string(), data, is_binary: false }
    }

    fn wanted(said: Value) -> Wanted {
        Wanted::of(said).unwrap()
    }

    #[test]
    fn anything_is_as_good_where_it_is_said() {
        let message = came(json!({"say": "hi", "at": 17, "to": ["a", {"b": 1.0}]}));
        for same in [
            json!("$any"),
            json!({"say": "hi", "at": "$any", "to": "$any"}),
            json!({"say": "$any", "at": 17.0, "to": ["a", {"b": 1}]}),
        ] {
            assert_eq!(wanted(same.clone()).differs(&message), None, "{same}");
        }
        for (other, words) in [
            (json!({"say": "ho", "at": 17, "to": []}), ".say: expected \"ho\", came \"hi\""),
            (json!({"say": "hi", "at": 17, "to": ["a"]}), ".to has 2 elements and not 1"),
            (json!({"say": "hi", "at": 17, "to": ["a", {"b": 2}]}), ".to[1].b: expected 2, came 1.0"),
            (json!({"say": "hi", "at": 17}), ".to came as well"),
            (json!({"say": "hi", "at": 17, "to": "$any", "x": null}), ".x did not come"),
            (json!(null), "it: expected null, came {\"at\":17,\"say\":\"hi\",\"to\":[\"a\",{\"b\":1.0}]}"),
        ] {
            let found = wanted(other.clone()).differs(&message);
            let sorted = |text: &str| text.chars().filter(|c| !"{}\"".contains(*c)).collect::<String>().len();
            assert_eq!(found.as_deref().map(sorted), Some(sorted(words)), "{other}: {found:?}");
            assert!(!words.starts_with('.') || found.as_deref() == Some(words), "{found:?}");
        }
    }

    #[test]
    fn text_is_a_string_and_bytes_are_bytes() {
        let bytes = Came { text: "\"aGk=\"".into(), data: json!("aGk="), is_binary: true };
        assert_eq!(wanted(json!({"$base64": "aGk="})).differs(&bytes), None);
        assert_eq!(wanted(json!("$any")).differs(&bytes), None);
        assert!(wanted(json!("aGk=")).differs(&bytes).is_some());
        assert!(wanted(json!({"$base64": "aGk="})).differs(&came(json!("aGk="))).is_some());
        assert_eq!(wanted(json!({"$text": "hi"})).differs(&came(json!("hi"))), None);
        assert_eq!(bytes.said(), "{\"$base64\": \"aGk=\"}");
        assert!(Wanted::of(json!({"$base64": "?"})).is_err() && Wanted::of(json!({"$text": 1})).is_err());
    }

    #[test]
    fn one_message_more_is_one_line_of_difference() {
        let all: Vec<Came> = (0..6).map(|n| came(json!(n))).collect();
        let expected: Vec<Wanted> = [0, 2, 3, 9, 4, 5].map(|n| wanted(json!(n))).into();
        let lines = diff(&expected, &all);
        let signs: String = lines
            .iter()
            .map(|line| match line {
                Line::Same(_) => '=',
                Line::Missing(_) => '-',
                Line::Surplus(_) => '+',
            })
            .collect();
        assert_eq!(signs, "=+==-==");
    }

    #[test]
    fn long_lists_are_compared_place_by_place() {
        let all: Vec<Came> = (0..ALIGNED_MAX + 2).map(|n| came(json!(n))).collect();
        let expected: Vec<Wanted> = (0..=ALIGNED_MAX).map(|n| wanted(json!(n.max(1)))).collect();
        let lines = diff(&expected, &all);
        assert_eq!(lines.len(), ALIGNED_MAX + 3);
        assert!(matches!(lines[..2], [Line::Missing(_), Line::Surplus(_)]));
        assert!(matches!(lines.last(), Some(Line::Surplus(_))));
    }

    #[test]
    fn what_is_accepted_keeps_what_may_be_anything() {
        let before = wanted(json!({"id": "$any", "say": "ho", "list": ["$any", 1]}));
        let now = came(json!({"id": 7, "say": "hi", "list": [8, 9], "new": true}));
        let renewed: Value = serde_json::from_str(&before.renewed(&now)).unwrap();
        assert_eq!(renewed, json!({"id": "$any", "say": "hi", "list": ["$any", 9], "new": true}));
        let as_it_came = Came { text: "{\"b\":1, \"a\":2}".into(), data: json!({"a": 2, "b": 1}), is_binary: false };
        assert_eq!(wanted(json!({})).renewed(&as_it_came), "{\"b\":1, \"a\":2}");
    }
}
