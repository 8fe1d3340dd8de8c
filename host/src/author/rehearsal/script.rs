//! Recorded events as a file has them: JSON, a step a line. [`super::HELP`] says what a line may be.

use super::reading::Reading;
use super::wanted::Wanted;
use crate::event::Payload;
use crate::session::ExitReason;
use crate::topic::Topic;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// The route's config, if it says one.
    pub(super) config: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// One line that does something.
#[derive(Debug)]
pub(super) struct Step {
    /// Counted from 1.
    pub(super) line: usize,
    /// Where in the file the line stands, without its end.
    pub(super) range: Range<usize>,
    pub(super) action: Action,
    pub(super) expected: Expected,
    /// Where in the line that is said which `--accept` replaces.
    pub(super) said: Option<Range<usize>>,
}

/// What is done.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Open {
        name: String,
        user: Option<String>,
        params: Option<String>,
    },
    Join {
        name: String,
        topic: Topic,
    },
    /// None is a back-end.
    Publish {
        name: Option<String>,
        topic: Topic,
        data: Payload,
    },
    Leave {
        name: String,
        topic: Topic,
    },
    Exit {
        name: String,
        reason: ExitReason,
    },
    Wait {
        ms: u64,
    },
    Insert {
        table: String,
        key: String,
        value: String,
    },
    Look {
        table: String,
        key: String,
    },
}

/// What is to come of it.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    /// It is not looked at.
    Anything,
    /// These sessions receive these messages, in this order. `others`: what else is received is not looked at.
    Messages {
        of: Vec<(String, Vec<Wanted>)>,
        others: bool,
    },
    /// With these words among those of the refusal.
    Refused(String),
    Invalid(String),
    /// Of a look into a table: the value, or none.
    Value(Option<String>),
}

/// A file that can't be run.
#[derive(Debug, thiserror::Error)]
pub(super) struct BadScript {
    file: PathBuf,
    line: usize,
    column: usize,
    words: String,
}

impl fmt::Display for BadScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.words)
    }
}

impl Script {
    /// Of a file's text.
    pub(super) fn parse(file: &Path, text: String) -> Result<Self, BadScript> {
        let mut reading = Reading::default();
        let mut begins = 0;
        for (at, whole) in text.split_inclusive('\n').enumerate() {
            let line = whole.trim_end_matches(['\n', '\r']);
            if !line.trim().is_empty() {
                reading.line(at + 1, begins..begins + line.len(), line).map_err(|wrong| BadScript {
                    file: file.into(),
                    line: at + 1,
                    column: line[..line.floor_char_boundary(wrong.at)].chars().count() + 1,
                    words: wrong.words,
                })?;
            }
            begins += whole.len();
        }
        let Reading { config, steps, .. } = reading;
        Ok(Self { file: file.into(), text, config, steps })
    }

    /// The line as it stands in the file.
    pub(super) fn line(&self, step: &Step) -> &str {
        &self.text[step.range.clone()]
    }

    /// How many steps are looked at.
    pub(super) fn checks(&self) -> usize {
        self.steps.iter().filter(|step| step.expected != Expected::Anything).count()
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
