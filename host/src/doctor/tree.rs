//! The files of a machine, at `/` or wherever they are laid out: what can't be read says why.

use std::path::{Path, PathBuf};

/// Where `proc`, `sys` and `etc` lie.
pub(super) struct Tree(PathBuf);

/// Why a value is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// In words.
    pub(super) why: String,
    /// There is no such file.
    pub(super) is_missing: bool,
}

/// A value, or why it is not known.
pub(super) type Reading<T> = Result<T, Unread>;

impl Unread {
    pub(super) fn of(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_missing: false }
    }
}

impl Tree {
    pub(super) fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// A file's text.
    pub(super) fn text(&self, path: &str) -> Reading<String> {
        std::fs::read(self.0.join(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|error| {
            Unread { why: format!("/{path}: {error}"), is_missing: error.kind() == std::io::ErrorKind::NotFound }
        })
    }

    /// The numbers that a file consists of.
    pub(super) fn numbers<const N: usize>(&self, path: &str) -> Reading<[u64; N]> {
        let text = self.text(path)?;
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
        numbers.ok_or_else(|| Unread::of(format!("/{path} has {:?}, not {N} numbers", text.trim())))
    }

    /// The number that a file consists of.
    pub(super) fn number(&self, path: &str) -> Reading<u64> {
        self.numbers::<1>(path).map(|[number]| number)
    }

    /// The names in a folder; none where there is no such folder.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }
}
