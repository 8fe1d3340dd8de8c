//! A request's head: what is read where it was received is what hyper and the general reading make of the same bytes,
//! and what is seen by splitting its lines.

use crate::oracles::head;
use crate::protocol::plain::{PlainPublish, plain_poll, plain_publish};
use crate::protocol::query::{Asked, asked};

/// Checks a head, and the body that a publish has behind it.
pub fn check(data: &[u8]) {
    if let Some(publish) = plain_publish(data) {
        check_publish(data, &publish);
    }
    let Some(plain) = plain_poll(data) else { return };
    let by_hyper = head::read(data).unwrap_or_else(|error| panic!("hyper: {error}: {}", data.escape_ascii()));
    assert!(by_hyper.is_plain_poll(), "{by_hyper:?}");
    assert_eq!(by_hyper.header("volley-session").expect("once"), plain.session);
    assert_eq!(by_hyper.header("origin").expect("once"), plain.origin);
    let cursor = by_hyper.header("volley-cursor").expect("once");
    assert_eq!(asked(by_hyper.query.as_deref(), cursor), Ok(plain.asked));
    by_lines(data, plain.session, plain.origin, plain.asked);
}

/// The model knows nothing but lines and colons.
fn by_lines(data: &[u8], session: Option<&str>, origin: Option<&str>, expected: Asked) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let target = lines.next().and_then(|line| line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")).expect("a target");
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
        .collect();
    let header = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| *value);
    assert_eq!((header("volley-session"), header("origin")), (session, origin));
    assert!(header("host").is_some() && header("content-length").is_none() && header("transfer-encoding").is_none());
    let query = target.strip_prefix("/v1/poll").expect("the path").strip_prefix('?');
    assert_eq!(asked(query, header("volley-cursor")), Ok(expected));
}

fn check_publish(data: &[u8], plain: &PlainPublish<'_>) {
    let by_hyper = head::read(data).unwrap_or_else(|error| panic!("hyper: {error}: {}", data.escape_ascii()));
    assert!(by_hyper.is_plain_publish(plain.topic, plain.body), "{by_hyper:?}");
    assert_eq!(by_hyper.header("volley-session").expect("once"), plain.session);
    assert_eq!(by_hyper.header("content-type").expect("once"), plain.content_type);
    assert_eq!(by_hyper.header("idempotency-key"), Ok(None));
    assert_eq!(by_hyper.header("origin"), Ok(None));
    assert!(data.ends_with(plain.body));
    let head = &data[..data.len() - plain.body.len()];
    assert!(head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n"), "{}", head.escape_ascii());
}
