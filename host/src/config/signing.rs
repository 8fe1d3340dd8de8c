//! Whose signatures are taken.

use super::place::Place;
use super::{BadConfig, is_plain};
use crate::signatures::{SigningKeys, public_key};
use std::collections::BTreeMap;
use toml::Spanned;

pub(super) fn keys(
    flags: &[(String, String)],
    required: bool,
    file: &BTreeMap<String, Spanned<String>>,
    at: &Place<'_>,
) -> Result<SigningKeys, BadConfig> {
    let mut keys = BTreeMap::new();
    for (name, key) in file {
        let parsed = check_holder(name).and_then(|()| public_key(key.get_ref()));
        let parsed = parsed.map_err(|words| at.wrong(key.span(), &format!("signing_keys.{name}"), &words))?;
        keys.insert(name.clone(), parsed);
    }
    // The key is not repeated: somebody will give the secret one.
    for (name, key) in flags {
        let parsed = check_holder(name).and_then(|()| public_key(key));
        keys.insert(name.clone(), parsed.map_err(|words| BadConfig(format!("--signing-key {name}=…: {words}")))?);
    }
    if required && keys.is_empty() {
        return Err(BadConfig(
            "--require-signed: nothing could be pushed; name a key with --signing-key or in [signing_keys]".into(),
        ));
    }
    Ok(SigningKeys { keys, required })
}

fn check_holder(name: &str) -> Result<(), String> {
    if is_plain(name) { Ok(()) } else { Err("a key's name has 1 to 64 letters, digits, '-' and '_'".into()) }
}
