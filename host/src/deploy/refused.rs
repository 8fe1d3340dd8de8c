//! Why a deploy was refused, in words for an operator. Whatever it is: what was served before is served on.

use std::fmt;

/// What stands against a deploy.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such plugin or version.
    Unknown(String),
    /// It is not what the operator thought it is, or there is no way.
    Conflict(String),
    /// The routes were changed since they were read.
    Changed(String),
    /// The component, its `init`, its code change or the routes are not fit; all that is wrong.
    Unfit(Vec<String>),
    /// A signature is missing or wrong.
    Unsigned(String),
    /// The server could not do it: the disk is full, for example.
    Failed(String),
}

impl Refused {
    /// One thing is wrong.
    pub fn unfit(words: impl Into<String>) -> Self {
        Self::Unfit(vec![words.into()])
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(words)
            | Self::Conflict(words)
            | Self::Changed(words)
            | Self::Unsigned(words)
            | Self::Failed(words) => f.write_str(words),
            Self::Unfit(words) => f.write_str(&words.join("; ")),
        }
    }
}

impl std::error::Error for Refused {}
