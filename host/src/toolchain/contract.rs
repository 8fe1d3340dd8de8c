//! The contract, as tools of other languages read it: files in the rule's folder, below `target/volley`, where what they make
//! goes as well.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_parser::{Resolve, WorldId};

use super::turn::Turn;

/// The contract that this binary speaks.
const WIT: &str = include_str!("../../../wit/v0.1/router.wit");
const PACKAGE: &str = "package volley:router@0.1.0;";

/// The world that a rule is built for. (The others, of rules that change their tables' layout, are Rust's so far.)
pub(super) const WORLD: &str = "plugin";

/// Where a rule that is not Rust's is built.
pub(super) struct Workplace {
    folder: PathBuf,
    turn: Turn,
}

impl Workplace {
    /// Of the rule in that folder.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let folder = dir.join("target/volley");
        let place = Self { turn: Turn::take(&folder)?, folder };
        let made = place.path("made");
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
        Ok(place)
    }

    /// A file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Nobody else builds here until that is dropped.
    pub(super) fn into_turn(self) -> Turn {
        self.turn
    }

    /// What the language's own tools make.
    pub(super) fn made(&self, rule: &Path) -> PathBuf {
        self.path(&format!("made/{}.wasm", name(rule)))
    }

    /// The component.
    pub(super) fn component(&self, rule: &Path) -> PathBuf {
        self.path(&format!("{}.wasm", name(rule)))
    }

    /// Writes a file into it, whose name may have folders.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            // Left as it is where it is the same, so that nobody who looks at times builds anew.
            if fs::read_to_string(&path).is_ok_and(|there| there == text) { Ok(()) } else { fs::write(&path, text) }
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The folder with the contract.
    pub(super) fn contract(&self) -> Result<PathBuf> {
        self.write("wit/router.wit", WIT)?;
        Ok(self.path("wit"))
    }

    /// One file with one world, for `wasm-component-ld`, which can't be told which.
    pub(super) fn world(&self) -> Result<PathBuf> {
        self.write("world.wit", &one_world())
    }
}

/// The contract and its world, for what is put into a component here.
pub(super) fn resolved() -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("router.wit", WIT)?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    Ok((resolve, world))
}

/// Of a rule: its folder's.
fn name(rule: &Path) -> String {
    rule.file_name().unwrap_or("rule".as_ref()).to_string_lossy().into_owned()
}

fn one_world() -> String {
    let (comment, rest) = WIT.split_once(PACKAGE).expect("the contract is a package");
    let within = PACKAGE.trim_end_matches(';');
    let name = within.trim_start_matches("package ").replace('@', &format!("/{WORLD}@"));
    format!("package volley:rule;\nworld rule {{ include {name}; }}\n{comment}{within} {{\n{rest}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn one_world_is_wit_and_has_the_contract() {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("world.wit", &one_world()).expect("WIT");
        let world = resolve.select_world(&[package], None).expect("one world");
        let world = &resolve.worlds[world];
        let exports: Vec<_> = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
        assert_eq!(exports, ["volley:router/handler@0.1.0"]);
        assert!(world.imports.keys().any(|key| resolve.name_world_key(key) == "volley:router/ets@0.1.0"));
    }

    #[test]
    fn what_is_the_same_is_not_written_again() {
        let scratch = Scratch::new();
        let place = Workplace::of(scratch.path()).unwrap();
        let path = place.write("a/b", "text").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        place.write("a/b", "text").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
        place.write("a/b", "other").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "other");
        assert!(place.contract().unwrap().join("router.wit").is_file());
    }
}
