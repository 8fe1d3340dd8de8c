//! What is shown at the doors: headers of bearers, claims of tokens, hops of proxies. Whatever comes is understood or
//! refused, and what is understood fits its bounds.

use crate::addresses::{Proxies, forwarded, forwarded_for};
use crate::claims::{Claims, PATTERNS_MAX};
use crate::protocol::credentials::{bearer, key};
use std::net::IpAddr;

/// Checks the input as each of them.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let shown = bearer(text);
    assert_eq!(shown.ok(), bearer_of(text), "{text:?}");
    assert_eq!(key(Some(text), None).is_ok(), shown.is_ok());
    assert!(key(Some(text), Some(text)).is_err(), "one header is enough");
    if let Ok(claims) = Claims::parse(text) {
        check_claims(&claims, text);
    }
    let proxies = Proxies::parse(&["10.0.0.0/8".to_owned()]).expect("a network");
    let (proxy, stranger) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
    for origin in [proxies.origin(stranger, forwarded_for(text)), proxies.origin(stranger, forwarded(text))] {
        assert_eq!(origin, stranger, "whoever is no proxy is not believed");
    }
    let hops = format!("{text}, 203.0.113.9");
    assert_eq!(proxies.origin(proxy, forwarded_for(&hops)).to_string(), "203.0.113.9", "the last hop counts");
}

/// The model: the scheme, spaces, and a text of certain letters with `=` at its end at most.
fn bearer_of(text: &str) -> Option<&str> {
    let rest = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer ")).map(|_| &text[7..])?;
    let token = rest.trim_start_matches(' ').trim_end_matches(' ');
    let letters = token.find('=').map_or(token, |at| &token[..at]);
    let padding = &token[letters.len()..];
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    (!letters.is_empty() && letters.chars().all(is_letter) && padding.chars().all(|c| c == '=')).then_some(token)
}

fn check_claims(claims: &Claims, text: &str) {
    let json: serde_json::Value = serde_json::from_str(text).expect("claims are JSON");
    let object = json.as_object().expect("an object");
    assert_eq!(claims.user.as_deref(), object.get("sub").and_then(|sub| sub.as_str()));
    assert!(claims.user.as_ref().is_none_or(|user| !user.is_empty() && !user.chars().any(char::is_control)));
    assert_eq!(claims.expires_s, object["exp"].as_f64().expect("a number") as u64);
    for (patterns, name) in [(&claims.join, "join"), (&claims.publish, "publish")] {
        let written: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let listed = object.get("volley").and_then(|volley| volley.get(name)).and_then(|list| list.as_array());
        let listed: Vec<&str> = listed.into_iter().flatten().filter_map(|text| text.as_str()).collect();
        assert!(written == listed && written.len() <= PATTERNS_MAX);
    }
    assert!(!claims.json.contains(['\n', '\r']));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&claims.json).expect("the same"), json);
}
