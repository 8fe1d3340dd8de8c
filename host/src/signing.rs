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
