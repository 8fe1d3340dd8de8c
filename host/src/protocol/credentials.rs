//! What a request shows to be let in: `Authorization: Bearer` or `X-API-Key`, read as text. What is wrong is told in words
//! that repeat nothing of it.

/// The token of a bearer, as `Authorization` has it.
pub fn bearer(authorization: &str) -> Result<&str, &'static str> {
    let Some((scheme, token)) = authorization.split_once(' ') else { return Err(NOT_BEARER) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NOT_BEARER);
    }
    checked(token.trim_matches(' ')).ok_or("what Authorization: Bearer shows is no token")
}

/// The key of a back-end, as either header has it.
pub fn key<'a>(authorization: Option<&'a str>, x_api_key: Option<&'a str>) -> Result<Option<&'a str>, &'static str> {
    match (authorization, x_api_key) {
        (None, None) => Ok(None),
        (Some(authorization), None) => bearer(authorization).map(Some),
        (None, Some(key)) => checked(key).map(Some).ok_or("what X-API-Key shows is no key"),
        (Some(_), Some(_)) => Err("a request shows a key in Authorization or in X-API-Key, not in both"),
    }
}

const NOT_BEARER: &str = "Authorization has to be Bearer TOKEN";

/// A `token68` of RFC 9110: keys and tokens are one.
fn checked(token: &str) -> Option<&str> {
    let body = token.trim_end_matches('=');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    (!body.is_empty() && body.bytes().all(plain)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_shows_one_token() {
        assert_eq!(bearer("Bearer a.b-c_d"), Ok("a.b-c_d"));
        assert_eq!(bearer("bEARER  YQ== "), Ok("YQ=="));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic YQ==",
            "Bearer a b",
            "Bearer a,b",
            "Bearer \"a\"",
            "Bearer =",
            "Bearer \u{e4}",
        ] {
            assert!(bearer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_comes_in_one_header() {
        assert_eq!(key(None, Some("k")), Ok(Some("k")));
        assert_eq!(key(Some("Bearer k"), None), Ok(Some("k")));
        assert_eq!(key(None, None), Ok(None));
        assert!(key(Some("Bearer k"), Some("k")).is_err());
        assert!(key(None, Some("a b")).is_err());
    }
}
