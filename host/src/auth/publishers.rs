//! The keys of back-ends, which publish without a session. The server knows their digests alone.

use super::claims;
use crate::guard::Grant;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// What every key begins with, so that those who look for lost secrets find it.
pub const PREFIX: &str = "volley_key_";

/// All keys.
#[derive(Default)]
pub struct Publishers(Vec<([u8; 32], Arc<Grant>)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: String,
    publish: Vec<String>,
}

impl Publishers {
    /// Reads a file that has `[NAME]`, `sha256 = "…"`, `publish = ["PATTERN"]` for each key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries: BTreeMap<String, Entry> = toml::from_str(text).map_err(|error| error.to_string())?;
        let key = |(name, entry): (String, Entry)| {
            let digest = parse_digest(&entry.sha256).ok_or_else(|| {
                format!("[{name}]: sha256 is 64 hexadecimal digits, as `volley keys new` prints them")
            })?;
            let publish = claims::patterns("publish", &entry.publish).map_err(|words| format!("[{name}]: {words}"))?;
            Ok((digest, Arc::new(Grant::of_key(&name, publish))))
        };
        entries.into_iter().map(key).collect::<Result<_, String>>().map(Self)
    }

    /// What a key allows. It takes as long whichever it is, and whether it is one.
    pub fn find(&self, key: &str) -> Option<Arc<Grant>> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut found = None;
        for (known, grant) in &self.0 {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(grant);
            }
        }
        found.cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The digest of a key, as the file has it.
pub fn digest_of(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Happening, Payload};

    #[test]
    fn a_key_is_known_by_its_digest() {
        let text = format!("[shop]\nsha256 = \"{}\"\npublish = [\"orders.>\"]\n", digest_of("secret"));
        let publishers = Publishers::parse(&text).unwrap();
        let grant = publishers.find("secret").expect("known");
        assert_eq!(grant.key.as_deref(), Some("shop"));
        let publish = Happening::Publish(Payload::Json("1".into()));
        assert!(grant.check(&publish, &"orders.1".parse().unwrap()).is_ok());
        assert!(grant.check(&publish, &"news".parse().unwrap()).is_err());
        for other in ["", "secre", "secret ", &digest_of("secret")] {
            assert!(publishers.find(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_file_that_is_no_good_says_where() {
        for (text, words) in [
            ("[shop]\nsha256 = \"secret\"\npublish = []\n", "[shop]"),
            ("[shop]\npublish = []\n", "sha256"),
            ("[shop]\nsha256 = \"\"\npublish = []\nmore = 1\n", "more"),
        ] {
            let Err(wrong) = Publishers::parse(text) else { panic!("{text}") };
            assert!(wrong.contains(words), "{wrong}");
        }
        let text = format!("[shop]\nsha256 = \"{}\"\npublish = [\"a..b\"]\n", digest_of("secret"));
        assert!(Publishers::parse(&text).is_err_and(|wrong| wrong.contains("publish")));
    }
}
