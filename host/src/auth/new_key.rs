//! `volley keys new`: a key for a back-end, on the machine of whoever operates the server.

use super::publishers::{PREFIX, digest_of};
use crate::private;
use crate::topic::Pattern;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::path::Path;

/// Writes a new key to the file, which must not be there yet, and returns its lines of the file of publishers.
pub fn make(name: &str, publish: &[Pattern], file: &Path) -> anyhow::Result<String> {
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    private::new_file(file, format!("{key}\n").as_bytes())
        .with_context(|| format!("can't write a new key to {} (an old one is never replaced)", file.display()))?;
    let patterns: Vec<String> = publish.iter().map(|pattern| format!("{:?}", pattern.to_string())).collect();
    Ok(format!("[{name}]\nsha256 = \"{}\"\npublish = [{}]\n", digest_of(&key), patterns.join(", ")))
}
