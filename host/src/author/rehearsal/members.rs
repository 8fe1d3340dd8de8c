//! Where in a line of JSON the members of its object stand, so that mistakes have a column, and one member can be
//! replaced without touching the others.

use serde::de::IgnoredAny;

/// One member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) key: String,
    /// Where the key begins, with its quote, in bytes.
    pub(super) key_at: usize,
    /// The value, as it stands there.
    pub(super) value: &'a str,
    pub(super) value_at: usize,
}

/// Why a line is none, and where, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) words: String,
}

impl Wrong {
    pub(super) fn new(at: usize, words: impl Into<String>) -> Self {
        Self { at, words: words.into() }
    }

    /// The same, of a text that begins there.
    pub(super) fn within(self, at: usize) -> Self {
        Self { at: self.at + at, ..self }
    }
}

impl Member<'_> {
    /// Just behind it.
    pub(super) fn end(&self) -> usize {
        self.value_at + self.value.len()
    }
}

/// The members of an object on one line, in their order; each key once.
pub(super) fn members(object: &str) -> Result<Vec<Member<'_>>, Wrong> {
    if object.starts_with('\u{feff}') {
        return Err(Wrong::new(0, "a byte order mark comes first: save the file as UTF-8 without one"));
    }
    serde_json::from_str::<IgnoredAny>(object).map_err(|error| {
        // serde_json counts from 1, and says the place once more in its words.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        Wrong::new(error.column().saturating_sub(1).min(object.len()), format!("this is no JSON: {words}"))
    })?;
    let mut at = space(object, 0);
    if !object[at..].starts_with('{') {
        return Err(Wrong::new(at, "an object is expected: {…}"));
    }
    let mut members: Vec<Member<'_>> = Vec::new();
    loop {
        // Behind the bracket, or a comma.
        let key_at = space(object, at + 1);
        if object[key_at..].starts_with('}') {
            return Ok(members);
        }
        let key_end = end_of_value(object, key_at);
        let key: String =
            serde_json::from_str(&object[key_at..key_end]).map_err(|e| Wrong::new(key_at, e.to_string()))?;
        let value_at = space(object, space(object, key_end) + 1);
        let value_end = end_of_value(object, value_at);
        if members.iter().any(|member| member.key == key) {
            return Err(Wrong::new(key_at, format!("{key:?} is said twice")));
        }
        members.push(Member { key, key_at, value: &object[value_at..value_end], value_at });
        at = space(object, value_end);
        if object[at..].starts_with('}') {
            return Ok(members);
        }
    }
}

fn space(text: &str, at: usize) -> usize {
    at + (text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len())
}

/// Of valid JSON the end of the value that begins there.
fn end_of_value(json: &str, begins: usize) -> usize {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for (at, byte) in json.bytes().enumerate().skip(begins) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                in_text = !in_text;
                if !in_text && depth == 0 {
                    return at + 1;
                }
            }
            _ if in_text => {}
            b']' | b'}' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    #[test]
    fn members_stand_where_they_are_said_to_stand() {
        let line = r#" {"publish" : "ann","d\"ata":{"a":[1,"}"],"b":"\\"} , "n":-1.5e3,"t":true}  "#;
        let found = members(line).unwrap();
        let keys: Vec<_> = found.iter().map(|member| &*member.key).collect();
        assert_eq!(keys, ["publish", "d\"ata", "n", "t"]);
        let values: Vec<_> = found.iter().map(|member| member.value).collect();
        assert_eq!(values, [r#""ann""#, r#"{"a":[1,"}"],"b":"\\"}"#, "-1.5e3", "true"]);
        for member in &found {
            assert!(line[member.key_at..].starts_with('"') && line[member.value_at..].starts_with(member.value));
        }
        assert_eq!(members("{ }").unwrap(), []);
    }

    #[test]
    fn mistakes_have_a_place() {
        let wrong = |line: &str| members(line).unwrap_err();
        assert_eq!(wrong("[1]"), Wrong::new(0, "an object is expected: {…}"));
        assert!(wrong("\u{feff}{}").words.starts_with("a byte order mark"));
        assert_eq!(wrong(r#"{"a":1,"a":2}"#), Wrong::new(7, "\"a\" is said twice"));
        assert_eq!(wrong(r#"{"a":1 "b":2}"#).at, 7);
        assert!(wrong(r#"{"a":"#).words.starts_with("this is no JSON: EOF"));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| Value::Object(Map::from_iter(map))),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_is_read_as_it_is(map in prop::collection::btree_map(".{0,6}", json(), 0..5)) {
            let line = Value::Object(Map::from_iter(map.clone())).to_string();
            let found = members(&line).unwrap();
            prop_assert_eq!(found.len(), map.len());
            for member in found {
                let value: Value = serde_json::from_str(member.value).unwrap();
                prop_assert_eq!(&map[&member.key], &value);
            }
        }

        #[test]
        fn whatever_stands_there_is_read_or_refused(line in "[{}\\[\\]\",:a1 \\\\]{0,30}") {
            let _ = members(&line);
        }
    }
}
