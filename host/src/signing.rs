//! Making keys and signing components, on the machine of whoever makes rules. What a signature is: `signatures`.
//!
//! A secret key is a file of one line, `volley-secret-key:` and 32 bytes in base64.

use crate::private;
use crate::signatures;
use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use std::path::{Path, PathBuf};

/// So that nobody mistakes it for a public key, nor the other way round.
const LABEL: &str = "volley-secret-key:";

/// Writes a new secret key to the file, which must not be there yet, and returns the line of the config that names its
/// public key.
pub fn make_key(file: &Path) -> anyhow::Result<String> {
    let key = SigningKey::from_bytes(&rand::random());
    let line = format!("{LABEL}{}\n", STANDARD.encode(key.to_bytes()));
    private::new_file(file, line.as_bytes()).with_context(|| {
        format!("can't write a new secret key to {} (an old one is never replaced)", file.display())
    })?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    Ok(format!("{} = {:?}", holder(&name), STANDARD.encode(key.verifying_key())))
}

/// Writes the component's signature beside it and returns where.
pub fn sign(component: &Path, key: &Path) -> anyhow::Result<PathBuf> {
    let secret = secret_key(key)?;
    let bytes = std::fs::read(component).with_context(|| format!("can't read {}", component.display()))?;
    let signature = secret.sign(&signatures::message(&bytes));
    let mut file = component.as_os_str().to_owned();
    file.push(".sig");
    let file = PathBuf::from(file);
    std::fs::write(&file, format!("{}\n", STANDARD.encode(signature.to_bytes())))
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(file)
}

fn secret_key(file: &Path) -> anyhow::Result<SigningKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    let bytes = text.trim().strip_prefix(LABEL).and_then(|base64| STANDARD.decode(base64).ok());
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    let bytes =
        bytes.ok_or_else(|| anyhow!("{} is no secret key as `volley plugin keygen` makes them", file.display()))?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// A name for the key, as keys of the config may be: for a start, that of its file.
fn holder(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = name.chars().map(plain).take(64).collect();
    if name.is_empty() { "me".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::signatures::{SigningKeys, public_key};

    /// The key that the line names.
    fn keys(line: &str) -> SigningKeys {
        let table: toml::Table = line.parse().expect("a line of TOML");
        let key = |(name, key): (&String, &toml::Value)| (name.clone(), public_key(key.as_str().unwrap()).unwrap());
        SigningKeys { keys: table.iter().map(key).collect(), required: true }
    }

    #[test]
    fn what_is_signed_here_is_verified_there() {
        let scratch = Scratch::new();
        let [component, key, other] = ["rule.wasm", "alice.key", "b ö.b.key"].map(|name| scratch.path().join(name));
        std::fs::write(&component, "a component").unwrap();
        let (alice, bob) = (keys(&make_key(&key).unwrap()), keys(&make_key(&other).unwrap()));
        let file = sign(&component, &key).unwrap();
        assert_eq!(file, scratch.path().join("rule.wasm.sig"));
        let signature = std::fs::read_to_string(&file).unwrap();
        assert_eq!(alice.verify(b"a component", Some(&signature)), Ok(Some("alice")));
        assert!(alice.verify(b"a camponent", Some(&signature)).is_err());
        assert!(bob.verify(b"a component", Some(&signature)).is_err());
        sign(&component, &other).unwrap();
        let signature = std::fs::read_to_string(&file).unwrap();
        assert_eq!(bob.verify(b"a component", Some(&signature)), Ok(Some("b---b")));
    }

    #[test]
    fn a_public_key_is_no_secret_key_nor_the_other_way_round() {
        let scratch = Scratch::new();
        let [component, key, public] = ["rule.wasm", "alice.key", "alice.pub"].map(|name| scratch.path().join(name));
        std::fs::write(&component, "a component").unwrap();
        let line = make_key(&key).unwrap();
        assert!(public_key(&std::fs::read_to_string(&key).unwrap()).is_err());
        std::fs::write(&public, line.split('"').nth(1).expect("the key")).unwrap();
        assert!(sign(&component, &public).unwrap_err().to_string().contains("no secret key"));
    }
}
