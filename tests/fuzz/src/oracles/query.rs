//! A query on the first line, the header `Volley-Cursor` on the second: parameters, percent-encoding, cursor and wait
//! against slow readings of them.

use crate::protocol::query::{Asked, asked, decoded_parameter, parameter, percent_decoded};

/// Checks a query and a header.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (query, header) = match text.split_once('\n') {
        Some((query, header)) => (query, Some(header)),
        None => (text, None),
    };
    for name in ["cursor", "wait", "prefix", "a", ""] {
        let values = values(query, name);
        match parameter(Some(query), name) {
            Ok(value) => assert_eq!(values, value.into_iter().collect::<Vec<_>>(), "{name:?} in {query:?}"),
            Err(words) => assert!(values.len() > 1 && words.contains(name), "{words}"),
        }
        let decoded = decoded_parameter(Some(query), name);
        match &values[..] {
            [value] => assert_eq!(decoded.ok(), percent_decoded(value).map(Some)),
            values => assert_eq!(decoded.ok(), values.is_empty().then_some(None)),
        }
        values.into_iter().for_each(percent);
    }
    assert_eq!(asked(Some(query), header).ok(), slowly_asked(query, header), "{query:?} {header:?}");
}

/// All of that name.
fn values<'a>(query: &'a str, name: &str) -> Vec<&'a str> {
    let of_name = |pair: &'a str| match pair.find('=') {
        Some(at) if pair[..at] == *name => Some(&pair[at + 1..]),
        None if pair == name => Some(""),
        _ => None,
    };
    query.split('&').filter_map(of_name).collect()
}

/// As a browser's library decodes it, but that broken encodings are refused.
fn percent(value: &str) {
    let is_hex = |at: usize| value.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    let broken = value.bytes().enumerate().any(|(at, byte)| byte == b'%' && !(is_hex(at + 1) && is_hex(at + 2)));
    let decoded = percent_decoded(value);
    assert_eq!(decoded.is_none(), broken, "{value:?}");
    if let Some(decoded) = decoded {
        let pair = format!("x={value}");
        let (_, expected) = form_urlencoded::parse(pair.as_bytes()).next().expect("a pair");
        assert_eq!(String::from_utf8_lossy(&decoded), expected, "{value:?}");
    }
}

fn slowly_asked(query: &str, header: Option<&str>) -> Option<Asked> {
    let cursor = match (&values(query, "cursor")[..], header) {
        ([], None) => None,
        ([], Some(text)) => Some(whole(text)?),
        ([text], None) => Some(whole(text)?),
        ([text], Some(header)) if *text == header => Some(whole(text)?),
        _ => return None,
    };
    let wait_ms = match values(query, "wait")[..] {
        [] => None,
        [text] => Some(asked(Some(&format!("wait={text}")), None).ok()?.wait_ms.inspect(|ms| near(text, *ms))?),
        _ => return None,
    };
    if let [text] = values(query, "wait")[..] {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = [seconds, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    Some(Asked { cursor, wait_ms })
}

fn whole(text: &str) -> Option<u64> {
    let digit = |number: u128, byte: u8| match byte {
        b'0'..=b'9' => Some(number.saturating_mul(10).saturating_add((byte - b'0').into())),
        _ => None,
    };
    if text.is_empty() { None } else { text.bytes().try_fold(0, digit)?.try_into().ok() }
}

/// A wait is counted in binary fractions: it may be a millisecond off, or a 2^50th of it, and ends at the largest number.
fn near(text: &str, ms: u64) {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = seconds.bytes().chain(fraction.bytes().chain([b'0'; 3]).take(3));
    let exact = digits.fold(0u128, |ms, byte| ms.saturating_mul(10).saturating_add((byte - b'0').into()));
    let exact = u64::try_from(exact).unwrap_or(u64::MAX);
    assert!(exact.abs_diff(ms) <= 1 + (exact >> 50), "{text:?} is {ms} ms and not {exact}");
}
