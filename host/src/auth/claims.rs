//! What a token claims: whose it is (`sub`), until when (`exp`), and under `volley` the topics that its holder may join
//! and publish to. A token without patterns allows nothing.

use crate::topic::Pattern;
use serde::Deserialize;

/// Patterns of one list: each join and publish is compared with them.
pub const PATTERNS_MAX: usize = 100;
/// The longest `sub`. A session's user has a limit of its own besides.
const USER_BYTES_MAX: usize = 1024;

/// What a token claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The user.
    pub user: Option<String>,
    /// When it stops counting, in seconds since 1970.
    pub expires_s: u64,
    /// What its holder may join.
    pub join: Box<[Pattern]>,
    /// What its holder may publish to.
    pub publish: Box<[Pattern]>,
    /// All of it, as JSON on one line, for rules.
    pub json: String,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    sub: Option<String>,
    exp: f64,
    #[serde(default)]
    volley: Topics,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Topics {
    join: Vec<String>,
    publish: Vec<String>,
}

impl Claims {
    /// Reads the payload of a token; what is wrong is told in words for whoever makes tokens.
    pub fn parse(json: &str) -> Result<Self, String> {
        // An array of the claims would do for serde.
        if !json.trim_start().starts_with('{') {
            return Err("they are no object".into());
        }
        // Rules get all of it, so all of it has to be JSON that readers take.
        serde_json::from_str::<serde_json::Value>(json).map_err(|error| error.to_string())?;
        let shape: Shape = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if !(0.0..=9e15).contains(&shape.exp) {
            return Err("exp is no time in seconds since 1970".into());
        }
        if let Some(user) = &shape.sub {
            check_user(user)?;
        }
        Ok(Self {
            user: shape.sub,
            expires_s: shape.exp as u64,
            join: patterns("join", &shape.volley.join)?,
            publish: patterns("publish", &shape.volley.publish)?,
            // In valid JSON a line break can only stand between tokens.
            json: json.replace(['\n', '\r'], " "),
        })
    }
}

fn check_user(user: &str) -> Result<(), String> {
    if user.is_empty() || user.len() > USER_BYTES_MAX {
        return Err(format!("sub has 1 to {USER_BYTES_MAX} bytes"));
    }
    if user.chars().any(char::is_control) {
        return Err("sub has no control characters".into());
    }
    Ok(())
}

/// Patterns over topics, as a token or the file of a publisher's key lists them.
pub fn patterns(of: &str, texts: &[String]) -> Result<Box<[Pattern]>, String> {
    if texts.len() > PATTERNS_MAX {
        return Err(format!("{of} has at most {PATTERNS_MAX} patterns"));
    }
    let parsed = texts.iter().map(|text| text.parse::<Pattern>());
    parsed.collect::<Result<_, _>>().map_err(|error| format!("a pattern of {of} is none: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_token_may_say() {
        let claims = Claims::parse(
            "{\"sub\":\"ann\",\"exp\":1.9e9,\n\"volley\":{\"join\":[\"chat.>\"],\"publish\":[\"chat.*\"]},\"role\":\"op\"}",
        );
        let claims = claims.unwrap();
        assert_eq!((claims.user.as_deref(), claims.expires_s), (Some("ann"), 1_900_000_000));
        assert_eq!(claims.join[0].to_string(), "chat.>");
        assert_eq!(claims.publish[0].to_string(), "chat.*");
        assert!(!claims.json.contains('\n') && claims.json.contains("\"role\":\"op\""));
        let bare = Claims::parse("{\"exp\":1}").unwrap();
        assert!(bare.user.is_none() && bare.join.is_empty() && bare.publish.is_empty());
    }

    #[test]
    fn what_it_may_not() {
        for (json, words) in [
            ("[]", "no object"),
            ("{}", "exp"),
            (r#"{"exp":"soon"}"#, "exp"),
            (r#"{"exp":-1}"#, "exp"),
            (r#"{"exp":1,"exp":2}"#, "exp"),
            (r#"{"exp":1,"role":1e999}"#, "out of range"),
            (r#"{"exp":1,"sub":7}"#, "string"),
            (r#"{"exp":1,"sub":""}"#, "sub"),
            (r#"{"exp":1,"sub":"a\r\nSet-Cookie: b"}"#, "control"),
            (r#"{"exp":1,"volley":{"join":["a..b"]}}"#, "join"),
            (r#"{"exp":1,"volley":{"publish":["a\r\nb"]}}"#, "publish"),
            (r#"{"exp":1,"volley":{"joins":[]}}"#, "joins"),
        ] {
            let wrong = Claims::parse(json).expect_err(json);
            assert!(wrong.contains(words), "{json}: {wrong}");
        }
        let many = format!(r#"{{"exp":1,"volley":{{"join":[{}"a"]}}}}"#, "\"a\",".repeat(PATTERNS_MAX));
        assert!(Claims::parse(&many).unwrap_err().contains("at most"));
    }

    proptest! {
        #[test]
        fn any_text_is_claims_or_refused(text in "\\PC{0,200}") {
            if let Ok(claims) = Claims::parse(&text) {
                prop_assert!(claims.user.is_none_or(|user| !user.chars().any(char::is_control)));
            }
        }
    }
}
