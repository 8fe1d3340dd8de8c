//! What is published, from a request's body or a rule's answer to a valid payload.

use crate::payload::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

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
    serde_json::from_str::<Readable>(text)
        .map_err(|error| format!("this is not JSON that clients can read: {error}"))?;
    if memchr::memchr2(b'\n', b'\r', &body).is_none() {
        return Ok(Payload::Json(body));
    }
    let one_line: Vec<u8> = body.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
    Ok(Payload::Json(one_line.into()))
}

/// Whatever can be read as a value. Between that and the grammar are numbers that no double holds, halves of surrogate
/// pairs, and nesting deeper than 127: readers stop at them, and one such message would keep a client from all after it.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
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
        assert!(json(nested(127).into()).is_ok());
        for depth in [128, 100_000] {
            assert!(json(nested(depth).into()).is_err(), "a nesting that overflows a client's stack");
        }
        assert!(text(b"\xff"[..].into()).is_err());
    }

    #[test]
    fn json_that_clients_cannot_read_is_refused() {
        for bad in [r#""\ud800""#, r#""\udc00\ud800""#, r#"{"\ud800":1}"#, "1e999", "[-1e999]"] {
            assert!(json(bad.into()).is_err(), "{bad}");
        }
        for good in [r#""\ud83d\ude00""#, "1e308", "1e-999", "123456789012345678901234567890", "-0"] {
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
