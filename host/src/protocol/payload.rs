//! What is published, from a request's body or a rule's answer to a valid payload.

use crate::payload::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;

/// The deepest nesting that is passed on: what `serde_json` and others read without being told to.
const DEPTH_MAX: usize = 127;

/// The payload of a request, by its content type.
pub fn from_body(content_type: Option<&str>, body: Bytes) -> Result<Payload, String> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" {
        json(body)
    } else if essence.starts_with("text/") {
        text(body)
    } else {
        Ok(Payload::Binary(body))
    }
}

/// One valid JSON text. It is passed on byte for byte, but for line breaks, which can only stand between tokens and
/// would break a line-based form: they become spaces.
pub fn json(body: Bytes) -> Result<Payload, String> {
    let text = std::str::from_utf8(&body).map_err(|error| format!("the JSON is not UTF-8: {error}"))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("this is not JSON: {error}"))?;
    if depth(&body) > DEPTH_MAX {
        return Err(format!("the JSON is nested deeper than {DEPTH_MAX}, which many clients cannot read"));
    }
    if has_half_a_pair(text) {
        return Err("the JSON escapes half of a surrogate pair, which many clients cannot read".into());
    }
    if memchr::memchr2(b'\n', b'\r', &body).is_none() {
        return Ok(Payload::Json(body));
    }
    let one_line: Vec<u8> = body.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
    Ok(Payload::Json(one_line.into()))
}

/// How deep valid JSON is nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// Whether valid JSON escapes half of a surrogate pair. The grammar allows it, but no text has such a character: readers
/// stop at it, and one such message would keep a client from all that come after it.
fn has_half_a_pair(mut json: &str) -> bool {
    while let Some(at) = memchr::memchr(b'\\', json.as_bytes()) {
        let unit = |at: usize| {
            let digits = json.get(at..)?.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        json = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => &json[at + 12..],
            (Some(0xd800..=0xdfff), _) => return true,
            (Some(_), _) => &json[at + 6..],
            (None, _) => &json[at + 2..],
        };
    }
    false
}

/// Any UTF-8.
pub fn text(body: Bytes) -> Result<Payload, String> {
    match String::from_utf8(body.into()) {
        Ok(text) => Ok(Payload::Text(text)),
        Err(error) => Err(format!("the text is not UTF-8: {}", error.utf8_error())),
    }
}

/// Adds the payload as the members `data` and perhaps `encoding` of an object.
pub fn write_members(payload: &Payload, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"data\":");
    match payload {
        Payload::Json(json) => out.extend_from_slice(json),
        Payload::Text(text) => serde_json::to_writer(out, text).expect("a Vec takes every text"),
        Payload::Binary(bytes) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.extend_from_slice(b"\",\"encoding\":\"base64\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(payload: &Payload) -> String {
        let mut out = Vec::new();
        write_members(payload, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_passes_byte_for_byte_on_one_line() {
        let payload = from_body(Some("Application/JSON; charset=utf-8"), "{\"b\": 1.0,\r\n \"a\":[ ]}".into()).unwrap();
        assert_eq!(members(&payload), "\"data\":{\"b\": 1.0,   \"a\":[ ]}");
    }

    #[test]
    fn the_content_type_decides() {
        assert_eq!(members(&from_body(Some("text/plain"), "a\n\"b\"".into()).unwrap()), r#""data":"a\n\"b\"""#);
        assert_eq!(members(&from_body(None, "hi".into()).unwrap()), r#""data":"aGk=","encoding":"base64""#);
        assert!(matches!(from_body(Some("application/jsonx"), "1".into()), Ok(Payload::Binary(_))));
    }

    #[test]
    fn what_is_refused() {
        for bad in [&b""[..], b"{", b"1 2", b"{\"a\":\"\n\"}", b"\"\xff\"", b"nul"] {
            assert!(json(bad.into()).is_err(), "{bad:?}");
        }
        let nested = |depth: usize| format!("{}\"[[[\\\"[\"{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(nested(DEPTH_MAX).into()).is_ok());
        for depth in [DEPTH_MAX + 1, 100_000] {
            assert!(json(nested(depth).into()).is_err(), "a nesting that overflows a client's stack");
        }
        assert!(text(b"\xff"[..].into()).is_err());
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for bad in [r#""\ud800""#, r#""\uDC00\uD800""#, r#"{"\ud800":1}"#, r#""\ud800\n""#, r#""\ud83d\\ude00""#] {
            assert!(json(bad.into()).is_err(), "{bad}");
        }
        for good in [r#""\ud83d\ude00\u00e9""#, r#""\\ud800""#, r#""\"\\\\ud800""#, "1e999"] {
            assert!(json(good.into()).is_ok(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_makes_an_object_on_one_line(body in prop::collection::vec(any::<u8>(), 0..40)) {
            for content_type in ["application/json", "text/plain", "image/png"] {
                if let Ok(payload) = from_body(Some(content_type), body.clone().into()) {
                    let object = format!("{{{}}}", members(&payload));
                    prop_assert!(!object.contains(['\n', '\r']));
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&object).is_ok());
                }
            }
        }
    }
}
