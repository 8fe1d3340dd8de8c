//! `volley plugin new`: writes a rule that works, with all that it needs beside it.

use super::templates;
use crate::commands::layout;
use crate::config::check_name;
use crate::toolchain::Language;
use anyhow::Context as _;
use clap::Args;
use std::path::{Path, PathBuf};

/// What no crate can be called: words of the language, and crates that every rule has already.
const TAKEN: [&str; 64] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "sdk",
    "self",
    "serde",
    "serde_json",
    "static",
    "std",
    "struct",
    "super",
    "target",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "volley",
    "volley-plugin",
    "where",
    "while",
    "yield",
];

/// `new`.
#[derive(Args, Debug)]
pub struct New {
    /// What the rule is called: the name of its folder, and of its plugin
    #[arg(value_parser = rule_name)]
    name: String,
    /// What it is written in: rust, c, js (which its README makes TypeScript), python or go
    #[arg(long, value_name = "LANG", default_value = "rust")]
    lang: Language,
    /// Where its folder goes [default: here]
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,
}

fn rule_name(text: &str) -> Result<String, String> {
    let is_plain = check_name(text).is_ok() && text.starts_with(|first: char| first.is_ascii_alphabetic());
    if !is_plain {
        return Err("a name has 1 to 64 letters, digits, '-' and '_', the first of them a letter".into());
    }
    if TAKEN.contains(&text.to_ascii_lowercase().as_str()) {
        return Err("that name means something else to compilers; take another one".into());
    }
    Ok(text.to_owned())
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let folder = self.dir.join(&self.name);
        write(&folder, &self.name, self.lang)?;
        let shown = quoted(&folder.display().to_string());
        eprintln!("{shown} is a rule that works. What now:");
        if let Some(setup) = self.lang.setup() {
            eprintln!("  (cd {shown} && {setup})   # once");
        }
        eprintln!("  volley plugin test {shown}   # builds it, and plays its tests/events.jsonl to it");
        eprintln!("  volley dev {shown} --topics '{}.>'   # serves it here, and swaps it on each save", self.name);
        eprintln!("Its README says how it gets to a server.");
        layout::say(&format!("{}\n", folder.display()))
    }
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) {
        path.into()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// Nothing that is there is overwritten: the folder must be a new one.
fn write(folder: &Path, name: &str, language: Language) -> anyhow::Result<()> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    }
    std::fs::create_dir(folder).with_context(|| match folder.symlink_metadata() {
        Ok(_) => format!("{} is there already, and nothing is overwritten", folder.display()),
        Err(_) => format!("can't make {}", folder.display()),
    })?;
    for file in templates::of(language) {
        let path = folder.join(file.path);
        let write = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, file.text(name))
        };
        write().with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn names_that_are_no_good_are_refused_in_words() {
        for good in ["auction", "my-rule_2", "A", &"a".repeat(64)] {
            assert_eq!(rule_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "2a", "-a", "a b", "../a", "a/b", "ä", ".", "a.b", "a\n", &"a".repeat(65)] {
            assert!(rule_name(bad).unwrap_err().contains("letters"), "{bad}");
        }
        for taken in ["fn", "test", "Self", "volley-plugin"] {
            assert!(rule_name(taken).unwrap_err().contains("another one"), "{taken}");
        }
        assert!(TAKEN.is_sorted());
    }

    #[test]
    fn nothing_that_is_there_is_overwritten() {
        let scratch = Scratch::new();
        let folder = scratch.path().join("deep/er/auction");
        write(&folder, "auction", Language::Rust).unwrap();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"auction\""));
        std::fs::write(folder.join("src/lib.rs"), "mine").unwrap();
        let refused = write(&folder, "auction", Language::Rust).unwrap_err().to_string();
        assert!(refused.contains("nothing is overwritten"), "{refused}");
        assert_eq!(std::fs::read_to_string(folder.join("src/lib.rs")).unwrap(), "mine");
        std::fs::write(scratch.path().join("file"), "").unwrap();
        assert!(write(&scratch.path().join("file/rule"), "rule", Language::Rust).is_err());
    }
}
