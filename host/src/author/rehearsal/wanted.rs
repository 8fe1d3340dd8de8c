//! Messages: those that came, and what is wanted of them.

use super::json::Json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// In place of a value it stands for any.
pub(super) const ANY: &str = "$any";
/// A text, which is a JSON string to whoever receives it.
pub(super) const TEXT: &str = "$text";
/// Bytes, in base64.
pub(super) const BASE64: &str = "$base64";
/// JSON as a text, in which nothing stands for anything else.
pub(super) const JSON: &str = "$json";

/// A message as a client gets it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Came {
    /// The data, as the rule wrote it.
    text: String,
    data: Json,
    /// The data is base64 of bytes.
    is_binary: bool,
}

impl Came {
    /// Of the data that a server has delivered.
    pub(super) fn new(text: String, is_binary: bool) -> Self {
        let data = Json::read(&text).expect("a server delivers JSON that can be read");
        Self { text, data, is_binary }
    }

    /// As a file says it.
    pub(super) fn said(&self) -> String {
        if self.is_binary { format!("{{\"{BASE64}\": {}}}", self.text) } else { said(&self.data, &self.text) }
    }
}

/// What a message is to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// JSON, some of which may be anything.
    Json(Json),
    /// These bytes, in base64.
    Binary(String),
}

impl Wanted {
    /// As a file says it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let json = Json::read(text)?;
        let Some((word, value)) = wrapped(&json) else { return Ok(Self::Json(with_anything(json))) };
        let Json::Text(value) = value else { return Err(format!("{word} has a text")) };
        match word {
            TEXT => Ok(Self::Json(value.as_str().into())),
            JSON => Json::read(value).map(Self::Json),
            _ => match STANDARD.decode(value) {
                Ok(bytes) => Ok(Self::Binary(STANDARD.encode(bytes))),
                Err(_) => Err(format!("{value:?} is no base64")),
            },
        }
    }

    /// The first thing that is different, in words; none if it is what is wanted.
    pub(super) fn differs(&self, came: &Came) -> Option<String> {
        match self {
            Self::Json(Json::Anything) => None,
            Self::Json(_) if came.is_binary => Some("bytes came, and not JSON".into()),
            Self::Json(wanted) => difference(wanted, &came.data, &mut String::new()),
            Self::Binary(_) if !came.is_binary => Some("JSON came, and not bytes".into()),
            Self::Binary(wanted) => (came.data != wanted.as_str().into()).then(|| "other bytes came".into()),
        }
    }

    /// As a file says it.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Json(json) => said(json, &json.to_string()),
            Self::Binary(base64) => format!("{{\"{BASE64}\": \"{base64}\"}}"),
        }
    }

    /// What came, with anything where anything was as good before, if a file can say that.
    pub(super) fn renewed(&self, came: &Came) -> String {
        let Self::Json(before) = self else { return came.said() };
        if came.is_binary || !before.contains(&Json::Anything) {
            return came.said();
        }
        let mut renewed = came.data.clone();
        keep_any(before, &mut renewed);
        if is_mistakable(&renewed) { came.said() } else { renewed.to_string() }
    }
}

/// A value that is one of the words of files, and what it says: an object of this one member.
fn wrapped(json: &Json) -> Option<(&'static str, &Json)> {
    let Json::Object(members) = json else { return None };
    let (key, value) = members.first_key_value().filter(|_| members.len() == 1)?;
    [TEXT, BASE64, JSON].into_iter().find(|word| word == key).map(|word| (word, value))
}

/// Whether a file that says this says something else.
fn is_mistakable(json: &Json) -> bool {
    wrapped(json).is_some() || json.contains(&ANY.into())
}

/// JSON as a file says it, of which this is the text.
fn said(json: &Json, text: &str) -> String {
    if is_mistakable(json) { format!("{{\"{JSON}\": {}}}", Json::from(text)) } else { text.to_owned() }
}

/// The same with anything in each place that says so.
fn with_anything(json: Json) -> Json {
    match json {
        Json::Text(text) if text == ANY => Json::Anything,
        Json::List(all) => Json::List(all.into_iter().map(with_anything).collect()),
        Json::Object(all) => Json::Object(all.into_iter().map(|(key, value)| (key, with_anything(value))).collect()),
        other => other,
    }
}

/// Where a value is not what is wanted, and how.
fn difference(wanted: &Json, came: &Json, path: &mut String) -> Option<String> {
    let begins = path.len();
    let mut below = |step: &str, wanted: &Json, came: &Json| {
        path.push_str(step);
        let found = difference(wanted, came, path);
        path.truncate(begins);
        found
    };
    match (wanted, came) {
        (Json::Anything, _) => None,
        (Json::Object(wanted), Json::Object(came)) => {
            for (key, wanted) in wanted {
                let Some(came) = came.get(key) else { return Some(format!("{path}.{key} did not come")) };
                if let Some(found) = below(&format!(".{key}"), wanted, came) {
                    return Some(found);
                }
            }
            let surplus = came.keys().find(|key| !wanted.contains_key(*key));
            surplus.map(|key| format!("{path}.{key} came as well"))
        }
        (Json::List(wanted), Json::List(came)) => {
            for (at, (wanted, came)) in wanted.iter().zip(came).enumerate() {
                if let Some(found) = below(&format!("[{at}]"), wanted, came) {
                    return Some(found);
                }
            }
            let (wanted, came) = (wanted.len(), came.len());
            (wanted != came).then(|| format!("{path} has {came} elements and not {wanted}"))
        }
        (wanted, came) if wanted == came => None,
        (wanted, came) => {
            Some(format!("{}: expected {wanted}, came {came}", if path.is_empty() { "it" } else { path }))
        }
    }
}

fn keep_any(before: &Json, now: &mut Json) {
    match (before, now) {
        (Json::Anything, now) => *now = Json::Anything,
        (Json::List(before), Json::List(now)) => {
            before.iter().zip(now).for_each(|(before, now)| keep_any(before, now));
        }
        (Json::Object(before), Json::Object(now)) => {
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
    use serde_json::{Value, json};

    fn came(data: &Value) -> Came {
        Came::new(data.to_string(), false)
    }

    fn wanted(said: &Value) -> Wanted {
        Wanted::read(&said.to_string()).unwrap()
    }

    #[test]
    fn anything_is_as_good_where_it_is_said() {
        let message = came(&json!({"say": "hi", "at": 17, "to": ["a", {"b": 1.0}]}));
        for same in [
            json!("$any"),
            json!({"say": "hi", "at": "$any", "to": "$any"}),
            json!({"say": "$any", "at": 17.0, "to": ["a", {"b": 1}]}),
        ] {
            assert_eq!(wanted(&same).differs(&message), None, "{same}");
        }
        for (other, words) in [
            (json!({"say": "ho", "at": 17, "to": []}), ".say: expected \"ho\", came \"hi\""),
            (json!({"say": "hi", "at": 17, "to": ["a"]}), ".to has 2 elements and not 1"),
            (json!({"say": "hi", "at": 17, "to": ["a", {"b": 2}]}), ".to[1].b: expected 2, came 1.0"),
            (json!({"say": "hi", "at": 17}), ".to came as well"),
            (json!({"say": "hi", "at": 17, "to": "$any", "x": null}), ".x did not come"),
            (json!(null), "it: expected null, came {\"at\":17,\"say\":\"hi\",\"to\":[\"a\",{\"b\":1.0}]}"),
        ] {
            let found = wanted(&other).differs(&message);
            let sorted = |text: &str| text.chars().filter(|c| !"{}\"".contains(*c)).collect::<String>().len();
            assert_eq!(found.as_deref().map(sorted), Some(sorted(words)), "{other}: {found:?}");
            assert!(!words.starts_with('.') || found.as_deref() == Some(words), "{found:?}");
        }
    }

    #[test]
    fn text_is_a_string_and_bytes_are_bytes() {
        let bytes = Came::new("\"aGk=\"".into(), true);
        assert_eq!(wanted(&json!({"$base64": "aGk="})).differs(&bytes), None);
        assert_eq!(wanted(&json!("$any")).differs(&bytes), None);
        assert!(wanted(&json!("aGk=")).differs(&bytes).is_some());
        assert!(wanted(&json!({"$base64": "aGk="})).differs(&came(&json!("aGk="))).is_some());
        assert_eq!(wanted(&json!({"$text": "hi"})).differs(&came(&json!("hi"))), None);
        assert_eq!(bytes.said(), "{\"$base64\": \"aGk=\"}");
        for bad in [r#"{"$base64": "?"}"#, r#"{"$text": 1}"#, r#"{"$json": 1}"#, r#"{"$json": "{"}"#] {
            assert!(Wanted::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_that_looks_like_a_word_of_files_is_told_apart() {
        for (message, said) in [
            (json!("$any"), r#"{"$json": "\"$any\""}"#),
            (json!([1, {"a": "$any"}]), r#"{"$json": "[1,{\"a\":\"$any\"}]"}"#),
            (json!({"$text": "hi"}), r#"{"$json": "{\"$text\":\"hi\"}"}"#),
            (json!({"$base64": 5}), r#"{"$json": "{\"$base64\":5}"}"#),
            (json!({"$json": "1"}), r#"{"$json": "{\"$json\":\"1\"}"}"#),
            (json!({"$any": [{"$text": 1}]}), r#"{"$any":[{"$text":1}]}"#),
            (json!({"$text": 1, "a": 2}), r#"{"$text":1,"a":2}"#),
        ] {
            let came = came(&message);
            assert_eq!(came.said(), said);
            let wanted = Wanted::read(said).unwrap();
            assert_eq!((wanted.differs(&came), wanted.said().as_str()), (None, said));
            assert!(wanted.differs(&self::came(&json!([1, {"a": 1}]))).is_some());
        }
        assert!(wanted(&json!({"$text": "$any"})).differs(&came(&json!("hi"))).is_some());
    }

    #[test]
    fn whole_numbers_beyond_2_to_the_53_differ() {
        let wanted = Wanted::read(r#"{"id": 9007199254740993}"#).unwrap();
        let words = ".id: expected 9007199254740993, came 9007199254740992";
        assert_eq!(wanted.differs(&came(&json!({"id": 9_007_199_254_740_992_u64}))).as_deref(), Some(words));
        assert_eq!(wanted.differs(&came(&json!({"id": 9_007_199_254_740_993_u64}))), None);
    }

    #[test]
    fn one_message_more_is_one_line_of_difference() {
        let all: Vec<Came> = (0..6).map(|n| came(&json!(n))).collect();
        let expected: Vec<Wanted> = [0, 2, 3, 9, 4, 5].map(|n| wanted(&json!(n))).into();
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
        let all: Vec<Came> = (0..ALIGNED_MAX + 2).map(|n| came(&json!(n))).collect();
        let expected: Vec<Wanted> = (0..=ALIGNED_MAX).map(|n| wanted(&json!(n.max(1)))).collect();
        let lines = diff(&expected, &all);
        assert_eq!(lines.len(), ALIGNED_MAX + 3);
        assert!(matches!(lines[..2], [Line::Missing(_), Line::Surplus(_)]));
        assert!(matches!(lines.last(), Some(Line::Surplus(_))));
    }

    #[test]
    fn what_is_accepted_keeps_what_may_be_anything() {
        let before = wanted(&json!({"id": "$any", "say": "ho", "list": ["$any", 1]}));
        let now = came(&json!({"id": 7, "say": "hi", "list": [8, 9], "new": true}));
        let renewed: Value = serde_json::from_str(&before.renewed(&now)).unwrap();
        assert_eq!(renewed, json!({"id": "$any", "say": "hi", "list": ["$any", 9], "new": true}));
        let as_it_came = Came::new("{\"b\":1, \"a\":2}".into(), false);
        assert_eq!(wanted(&json!({})).renewed(&as_it_came), "{\"b\":1, \"a\":2}");
    }
}
