//! The files that `volley plugin new` writes, as the binary carries them.

use crate::toolchain::Language;

/// Where a name stands in a template.
const NAME: &str = "{{name}}";
/// Where the SDK's sources find the contract in Volley's repository, and where beside a rule.
const WIT: [&str; 2] = ["../../wit/v0.1", "wit/v0.1"];

/// One file.
pub(super) struct File {
    /// Below the rule's folder.
    pub(super) path: &'static str,
    text: &'static str,
    is: Kind,
}

/// What becomes of a file's text.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The author's own from now on: names the rule.
    Rule,
    /// The same, of `examples/rules`, where the rule is called a room.
    Room,
    /// The SDK's, as it is but for where the contract lies.
    Sdk,
}

impl File {
    /// For a rule of that name.
    pub(super) fn text(&self, name: &str) -> String {
        match self.is {
            Kind::Rule => self.text.replace(NAME, name),
            Kind::Room => self.text.replacen("\"room\"", &format!("\"{name}\""), 1),
            Kind::Sdk => self.text.replace(WIT[0], WIT[1]),
        }
    }
}

/// All files of a rule in that language.
pub(super) fn of(language: Language) -> &'static [File] {
    match language {
        Language::Rust => RUST,
        Language::C => C,
        Language::JavaScript => JAVASCRIPT,
        Language::Python => PYTHON,
        Language::Go => GO,
    }
}

macro_rules! files {
    ($($kind:ident $path:literal: $from:literal,)*) => {
        &[$(File { path: $path, text: include_str!($from), is: Kind::$kind },)*]
    };
}

const C: &[File] = files! {
    Rule "README.md": "templates/c/README.md",
    Room ".gitignore": "../../../examples/rules/c/room/.gitignore",
    Room "compile_flags.txt": "../../../examples/rules/c/room/compile_flags.txt",
    Room "rule.c": "../../../examples/rules/c/room/rule.c",
    Rule "tests/events.jsonl": "../../../examples/rules/events.jsonl",
};

const GO: &[File] = files! {
    Rule "README.md": "templates/go/README.md",
    Room ".gitignore": "../../../examples/rules/go/room/.gitignore",
    Room "go.mod": "../../../examples/rules/go/room/go.mod",
    Room "rule.go": "../../../examples/rules/go/room/rule.go",
    Rule "tests/events.jsonl": "../../../examples/rules/events.jsonl",
};

const JAVASCRIPT: &[File] = files! {
    Rule "README.md": "templates/js/README.md",
    Room ".gitignore": "../../../examples/rules/js/room/.gitignore",
    Room "jsconfig.json": "../../../examples/rules/js/room/jsconfig.json",
    Room "package.json": "../../../examples/rules/js/room/package.json",
    Room "rule.js": "../../../examples/rules/js/room/rule.js",
    Rule "tests/events.jsonl": "../../../examples/rules/events.jsonl",
};

const PYTHON: &[File] = files! {
    Rule "README.md": "templates/python/README.md",
    Room ".gitignore": "../../../examples/rules/python/room/.gitignore",
    Room "pyproject.toml": "../../../examples/rules/python/room/pyproject.toml",
    Room "rule.py": "../../../examples/rules/python/room/rule.py",
    Rule "tests/events.jsonl": "../../../examples/rules/events.jsonl",
};

const RUST: &[File] = files! {
    Rule "Cargo.toml": "templates/rust/Cargo.toml",
    Rule "README.md": "templates/rust/README.md",
    Rule ".gitignore": "templates/rust/gitignore",
    Rule "src/lib.rs": "templates/rust/src/lib.rs",
    Rule "tests/events.jsonl": "templates/rust/tests/events.jsonl",
    Sdk "sdk/Cargo.toml": "templates/rust/sdk.toml",
    Sdk "sdk/wit/v0.1/router.wit": "../../../wit/v0.1/router.wit",
    Sdk "sdk/src/bindings.rs": "../../../plugins/sdk/src/bindings.rs",
    Sdk "sdk/src/erlang.rs": "../../../plugins/sdk/src/erlang.rs",
    Sdk "sdk/src/error.rs": "../../../plugins/sdk/src/error.rs",
    Sdk "sdk/src/event.rs": "../../../plugins/sdk/src/event.rs",
    Sdk "sdk/src/glue.rs": "../../../plugins/sdk/src/glue.rs",
    Sdk "sdk/src/host.rs": "../../../plugins/sdk/src/host.rs",
    Sdk "sdk/src/key.rs": "../../../plugins/sdk/src/key.rs",
    Sdk "sdk/src/lib.rs": "../../../plugins/sdk/src/lib.rs",
    Sdk "sdk/src/log.rs": "../../../plugins/sdk/src/log.rs",
    Sdk "sdk/src/outcome.rs": "../../../plugins/sdk/src/outcome.rs",
    Sdk "sdk/src/pid.rs": "../../../plugins/sdk/src/pid.rs",
    Sdk "sdk/src/recipients.rs": "../../../plugins/sdk/src/recipients.rs",
    Sdk "sdk/src/scope.rs": "../../../plugins/sdk/src/scope.rs",
    Sdk "sdk/src/table.rs": "../../../plugins/sdk/src/table.rs",
    Sdk "sdk/src/testing/code_change.rs": "../../../plugins/sdk/src/testing/code_change.rs",
    Sdk "sdk/src/testing/memory.rs": "../../../plugins/sdk/src/testing/memory.rs",
    Sdk "sdk/src/testing/recorded.rs": "../../../plugins/sdk/src/testing/recorded.rs",
    Sdk "sdk/src/testing/recorded/compare.rs": "../../../plugins/sdk/src/testing/recorded/compare.rs",
    Sdk "sdk/src/testing/recorded/line.rs": "../../../plugins/sdk/src/testing/recorded/line.rs",
    Sdk "sdk/src/testing/recorded/tests.rs": "../../../plugins/sdk/src/testing/recorded/tests.rs",
    Sdk "sdk/src/testing/mod.rs": "../../../plugins/sdk/src/testing/mod.rs",
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use toml::{Table, Value};

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn toml(path: &str) -> Table {
        std::fs::read_to_string(workspace().join(path)).unwrap().parse().unwrap()
    }

    fn rust(path: &str) -> Table {
        let file = of(Language::Rust).iter().find(|file| file.path == path).unwrap();
        file.text("some-rule").parse().unwrap()
    }

    /// Every file of the SDK goes with a rule, and finds the contract there.
    #[test]
    fn the_whole_sdk_lies_beside_a_rule() {
        let source = workspace().join("plugins/sdk");
        let mut folders = vec![source.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let carried = Path::new("sdk").join(path.strip_prefix(&source).unwrap());
                let file = of(Language::Rust).iter().find(|file| Path::new(file.path) == carried);
                let text = file.unwrap_or_else(|| panic!("{} is not carried", carried.display())).text("");
                assert!(!text.contains("../wit") && !text.contains("include_str!(\"../.."), "{}", carried.display());
            }
        }
    }

    /// What the workspace says once, for all crates, the SDK beside a rule says by itself.
    #[test]
    fn the_sdk_asks_for_what_it_asks_for_in_the_workspace() {
        let (workspace, sdk, lock) = (toml("Cargo.toml"), toml("plugins/sdk/Cargo.toml"), toml("Cargo.lock"));
        let written = rust("sdk/Cargo.toml");
        let package = |key: &str| written["package"].get(key).cloned();
        for key in ["edition", "rust-version", "license", "publish", "version"] {
            assert_eq!(package(key).as_ref(), workspace["workspace"]["package"].get(key), "{key}");
        }
        assert_eq!(written["package"]["description"], sdk["package"]["description"]);
        let names = |table: &Table| table["dependencies"].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&written), names(&sdk));
        for name in names(&sdk) {
            let mut expected = workspace["workspace"]["dependencies"][&name].clone();
            if name == "wit-bindgen" {
                let asked = expected["version"].as_str().unwrap().to_owned() + ".";
                let versions =
                    lock["package"].as_array().unwrap().iter().filter(|one| one["name"].as_str() == Some(&name));
                let mut versions = versions.filter_map(|one| one["version"].as_str());
                let locked = versions.find(|version| version.starts_with(&asked)).expect("it is locked");
                expected["version"] = Value::String(format!("={locked}"));
            }
            assert_eq!(written["dependencies"][&name], expected, "{name}");
        }
    }

    /// The guest `new-rule`, which the workspace compiles, has what a new rule has.
    #[test]
    fn a_new_rule_has_what_the_one_under_test_has() {
        let (written, tested) = (rust("Cargo.toml"), toml("tests/guests/new-rule/Cargo.toml"));
        for section in ["dependencies", "dev-dependencies"] {
            let names = |table: &Table| table[section].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&written), names(&tested), "{section}");
        }
        assert_eq!(written["package"]["description"], tested["package"]["description"]);
        assert_eq!(written["package"]["name"].as_str(), Some("some-rule"));
        assert!(written["workspace"].as_table().unwrap().is_empty());
    }
}
