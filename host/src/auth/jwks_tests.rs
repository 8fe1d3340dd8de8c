//! Sets of keys, and tokens that are known by them. Tokens of every kind come over the wire in `tests/e2e/doors/tokens`.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::hmac;

const SECRET: [u8; 32] = [7; 32];

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn set(more: &str) -> Result<Jwks, String> {
    Jwks::parse(&format!(r#"{{"keys":[{{"kty":"oct","k":"{}"{more}}}]}}"#, b64(SECRET)), Demands::default())
}

fn token(head: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(head), b64(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), message.as_bytes());
    format!("{message}.{}", b64(signature))
}

const HEAD: &str = r#"{"alg":"HS256"}"#;

#[test]
fn keys_for_something_else_are_left_out() {
    for more in [r#","use":"enc""#, r#","key_ops":["encrypt"]"#, r#","alg":"HS512""#, r#","alg":"dir""#] {
        assert!(set(more).is_err_and(|words| words.contains("no key of the set")), "{more}");
    }
    for more in ["", r#","use":"sig""#, r#","key_ops":["sign","verify"]"#, r#","alg":"HS256""#, r#","more":{}"#] {
        assert!(set(more).is_ok_and(|jwks| jwks.has_secret), "{more}");
    }
}

#[test]
fn a_token_counts_while_it_does() {
    let jwks = set("").unwrap();
    assert_eq!(jwks.verify(&token(HEAD, r#"{"exp":9e9,"sub":"ann"}"#)).unwrap().user.as_deref(), Some("ann"));
    assert_eq!(jwks.verify(&token(HEAD, r#"{"exp":1}"#)), Err(BadToken::Expired));
    assert_eq!(jwks.verify(&token(HEAD, r#"{"exp":9e9,"nbf":8e9}"#)), Err(BadToken::Early));
    assert_eq!(jwks.verify(&token(HEAD, r#"{"exp":9e9,"aud":"x"}"#)), Err(BadToken::Audience));
    assert_eq!(jwks.verify(&token(r#"{"alg":"HS256","kid":"x"}"#, r#"{"exp":9e9}"#)), Err(BadToken::NoKey));
    assert_eq!(jwks.verify(&token(r#"{"alg":"none"}"#, r#"{"exp":9e9}"#)), Err(BadToken::NotOne));
    assert!(matches!(jwks.verify(&token(HEAD, "{}")), Err(BadToken::Claims(_))));
    assert!(matches!(jwks.verify(&token(HEAD, r#"{"exp":9e9,"volley":{"join":7}}"#)), Err(BadToken::Claims(_))));
}

proptest! {
    #[test]
    fn no_change_of_a_token_is_a_token(at in 0_usize..200, byte in "[A-Za-z0-9_.-]") {
        let jwks = set("").unwrap();
        let good = token(HEAD, r#"{"exp":9e9,"sub":"ann"}"#);
        let at = at % good.len();
        let changed = format!("{}{byte}{}", &good[..at], &good[at + 1..]);
        prop_assert_eq!(jwks.verify(&changed).is_ok(), changed == good);
    }
}
