//! What a session's `params` are to rules: what the client gave, and under `claims` what its token claims. Where there are
//! keys nobody else can say `claims`.

use crate::auth::claims::Claims;
use crate::node::Node;
use crate::protocol::problem::Problem;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

const CLAIMS: &str = "claims";

type Members = BTreeMap<String, Box<RawValue>>;

/// As the client gave them. Where there are keys they are an object without `claims`, so that no rule takes a client's
/// words for a token's.
pub(super) fn given(node: &Node, params: Option<&RawValue>) -> Result<Option<Arc<str>>, Problem> {
    let Some(params) = params else { return Ok(None) };
    if node.auth.is_on() {
        match serde_json::from_str::<Members>(params.get()) {
            Ok(members) if !members.contains_key(CLAIMS) => {}
            Ok(_) => return Err(Problem::bad_request("params must not say claims: these come from the token")),
            Err(_) => return Err(Problem::bad_request("params have to be an object, where clients show tokens")),
        }
    }
    // In valid JSON a line break can only stand between tokens.
    Ok(Some(params.get().replace(['\n', '\r'], " ").into()))
}

/// The same with these claims, in place of those before.
pub(super) fn with_claims(params: Option<&str>, claims: &Claims) -> Arc<str> {
    let mut members: Members = params.and_then(|params| serde_json::from_str(params).ok()).unwrap_or_default();
    let claims = RawValue::from_string(claims.json.clone()).expect("claims are JSON");
    members.insert(CLAIMS.into(), claims);
    serde_json::to_string(&members).expect("an object of JSON is JSON").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_stand_beside_what_the_client_gave() {
        let claims = |json| Claims::parse(json).unwrap();
        let first = with_claims(Some(r#"{"room": [1, 2.50]}"#), &claims(r#"{"exp":1,"role":"op"}"#));
        assert_eq!(&*first, r#"{"claims":{"exp":1,"role":"op"},"room":[1, 2.50]}"#);
        assert_eq!(&*with_claims(Some(&first), &claims(r#"{"exp":2}"#)), r#"{"claims":{"exp":2},"room":[1, 2.50]}"#);
        assert_eq!(&*with_claims(None, &claims(r#"{"exp":2}"#)), r#"{"claims":{"exp":2}}"#);
    }
}
