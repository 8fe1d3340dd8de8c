//! The config's file, to say where in it something is wrong.

use super::BadConfig;
use std::ops::Range;
use std::path::Path;

pub(super) struct Place<'a> {
    pub(super) path: Option<&'a Path>,
    pub(super) text: &'a str,
}

impl Place<'_> {
    pub(super) fn wrong(&self, span: Range<usize>, key: &str, words: &str) -> BadConfig {
        let path = self.path.unwrap_or(Path::new("config")).display();
        BadConfig(format!("{path}:{}: {key}: {words}", line_of(self.text, &span)))
    }

    pub(super) fn unreadable(&self, error: &toml::de::Error) -> BadConfig {
        let path = self.path.unwrap_or(Path::new("config")).display();
        let line = error.span().map_or(1, |span| line_of(self.text, &span));
        BadConfig(format!("{path}:{line}: {}", error.to_string().trim_end()))
    }

    /// The words begin with the limit's name; where the file sets it, its line is told.
    pub(super) fn wrong_limit(&self, words: &str) -> BadConfig {
        let name = words.split(' ').next().unwrap_or_default();
        let sets_it =
            |line: &str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='));
        match (self.path, self.text.lines().position(sets_it)) {
            (Some(path), Some(line)) => BadConfig(format!("{}:{}: limits.{name}: {words}", path.display(), line + 1)),
            _ => BadConfig(format!("the limit {words}")),
        }
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1
}
