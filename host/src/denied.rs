//! Why the host did not do what a rule asked of a table, a group or a timer. The rule gets it as an answer.

/// One of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// An argument makes no sense.
    #[error("{0}")]
    Badarg(String),
    /// The table belongs to another plugin.
    #[error("only its owner may write the table")]
    NotOwner,
    /// A named bound was reached.
    #[error("{0} is reached")]
    Limit(&'static str),
}

/// What may be denied.
pub type Allowed<T> = Result<T, Denied>;

/// An argument makes no sense, in words.
pub fn badarg<T>(words: impl Into<String>) -> Allowed<T> {
    Err(Denied::Badarg(words.into()))
}
