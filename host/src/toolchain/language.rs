//! What a rule can be written in. Another language is one more case here, and the compiler names the places that need one,
//! too: what builds it, and what `volley plugin new` writes.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail};

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A crate, built by cargo.
    Rust,
    /// `rule.c` and what lies beside it, compiled by clang.
    C,
    /// A module, built by componentize-js.
    JavaScript,
    /// A module, built by componentize-py.
    Python,
    /// A package main, built by Go's own compiler.
    Go,
}

impl Language {
    /// All there are.
    pub const ALL: &[Self] = &[Self::Rust, Self::C, Self::JavaScript, Self::Python, Self::Go];

    /// As `--lang` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "js",
            Self::Python => "python",
            Self::Go => "go",
        }
    }

    /// The file by which a rule's folder is known to be in it.
    fn sign(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::C => "rule.c",
            Self::JavaScript => "package.json",
            Self::Python => "pyproject.toml",
            Self::Go => "go.mod",
        }
    }

    /// What has to be run in a new rule's folder before it can be built, if anything has.
    pub fn setup(self) -> Option<&'static str> {
        match self {
            Self::Rust | Self::C | Self::Go => None,
            Self::JavaScript => Some("npm install"),
            // The release that it was tried with.
            Self::Python => Some("python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1"),
        }
    }

    /// What the rule in that folder is written in: of several signs the first counts.
    pub fn of(dir: &Path) -> Result<Self> {
        if let Some(language) = Self::ALL.iter().find(|language| dir.join(language.sign()).is_file()) {
            return Ok(*language);
        }
        let signs = Self::ALL.iter().map(|language| format!("{} ({})", language.sign(), language.name()));
        let signs = signs.collect::<Vec<_>>().join(", ");
        bail!("{} holds no rule that can be built: there is none of {signs}", dir.display())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_lowercase();
        let name = match &*text {
            "javascript" | "typescript" | "ts" => "js",
            "py" => "python",
            "golang" => "go",
            name => name,
        };
        let found = Self::ALL.iter().find(|language| language.name() == name);
        let all = || Self::ALL.iter().map(|language| language.name()).collect::<Vec<_>>().join(", ");
        found.copied().ok_or_else(|| format!("this volley has nothing for {text:?}; there is: {}", all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_language_is_known_by_its_name_and_by_its_file() {
        for language in Language::ALL {
            assert_eq!(language.name().parse(), Ok(*language));
            let scratch = Scratch::new();
            std::fs::write(scratch.path().join(language.sign()), "").unwrap();
            assert_eq!(Language::of(scratch.path()).unwrap(), *language);
        }
        assert_eq!(
            "cobol".parse::<Language>().unwrap_err().split(';').next(),
            Some("this volley has nothing for \"cobol\"")
        );
        let empty = Scratch::new();
        assert!(Language::of(empty.path()).unwrap_err().to_string().contains("Cargo.toml (rust)"));
    }
}
