//! Why the host did not do what a rule asked.

use std::fmt;

use crate::bindings::volley::router::types as wit;

/// Why the host did not do what a rule asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An argument makes no sense; it says which.
    BadArg(String),
    /// The table belongs to another plugin, which alone may write it.
    NotOwner,
    /// A named bound was reached; it says which.
    SystemLimit(String),
    /// A replicated table that can't be reached in time.
    Unavailable,
    /// A value in a table is not of the type that the rule gave the table.
    BadValue(String),
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Badarg(what) => Self::BadArg(what),
            wit::Error::NotOwner => Self::NotOwner,
            wit::Error::SystemLimit(which) => Self::SystemLimit(which),
            wit::Error::Unavailable => Self::Unavailable,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadArg(what) => write!(f, "bad argument: {what}"),
            Self::NotOwner => f.write_str("the table belongs to another plugin"),
            Self::SystemLimit(which) => write!(f, "a bound was reached: {which}"),
            Self::Unavailable => f.write_str("the table can't be reached now"),
            Self::BadValue(wrong) => write!(f, "a value of another type is in the table: {wrong}"),
        }
    }
}

impl std::error::Error for Error {}

/// So that `?` works in [`Rule::init`](crate::Rule::init).
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
