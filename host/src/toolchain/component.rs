//! The finished file: is it a component that a server mounts, how big is it, which bytes, and where does it go.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::router::mismatches;
use crate::whole_file;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::names;

/// `\0asm`, then the version and layer that components have; a core module has 01 00 00 00 there.
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
const CORE_MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];

pub(super) struct Component(Vec<u8>);

/// Reads a file that must be a component, and one that fits the contract: its author is told at once what a server would
/// say, and all of it.
pub(super) fn read(path: &Path) -> Result<Component> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let readable = check(&bytes).and_then(|()| names::readable(&bytes));
    readable.map(Component).with_context(|| path.display().to_string())
}

fn check(bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(&CORE_MODULE) {
        bail!("is a core module, not a component: does the crate set a linker of its own in .cargo/config.toml?")
    }
    if !bytes.starts_with(&COMPONENT) {
        bail!("is not WebAssembly")
    }
    let mismatches = mismatches(bytes);
    if mismatches.is_empty() {
        return Ok(());
    }
    bail!("does not fit the contract with the server:\n  - {}", mismatches.join("\n  - "))
}

impl Component {
    pub(super) fn size(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.0))
    }

    /// Whoever watches that file never sees half a component.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        whole_file::write(path, &self.0).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The SHA-256 of the files' contents, one after the other.
pub(super) fn hash_of_files(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hex(&hash.finalize()))
}

/// The SHA-256 of a path.
pub(super) fn hash_of_path(path: &Path) -> String {
    hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_component_passes() {
        assert!(check(crate::bundled::component("topic").unwrap()).is_ok());
        assert!(check(b"\0asm\x01\0\0\0rest").unwrap_err().to_string().contains("core module"));
        assert!(check(b"").unwrap_err().to_string().contains("not WebAssembly"));
    }

    #[test]
    fn all_that_does_not_fit_is_listed() {
        let mut component = crate::bundled::component("topic").unwrap().to_vec();
        let edits: [(&[u8], &[u8]); 2] =
            [(b"\x05route", b"\x05ruote"), (b"volley:router/logger@", b"volley:router/lodger@")];
        for (from, to) in edits {
            while let Some(at) = component.windows(from.len()).position(|bytes| bytes == from) {
                component[at..at + to.len()].copy_from_slice(to);
            }
        }
        let said = check(&component).unwrap_err().to_string();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "does not fit the contract with the server:",
                "  - imports volley:router/lodger@0.1.0, which this host does not have",
                "  - handler: does not export the function route",
            ]
        );
    }

    #[test]
    fn the_hash_is_in_hexadecimal() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Component(Vec::new()).sha256(), empty);
    }
}
