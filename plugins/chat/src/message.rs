//! What the members of a room receive, such as `{"joined":"ann"}`. A saying is delivered as it is kept: see
//! [`Entry::Said`](crate::state::Entry::Said).

use serde::Serialize;

use crate::state::Saying;

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message<'a> {
    /// To who joins.
    Welcome {
        members: &'a [String],
        subject: Option<&'a str>,
        backlog: &'a [Saying<'a>],
    },
    Joined(&'a str),
    Left {
        user: &'a str,
        reason: Reason,
    },
    Subject(&'a str),
    Typing {
        user: Option<&'a str>,
        typing: bool,
    },
    /// To the one addressed and back to its sender, whose name is in it.
    Told(&'a Saying<'a>),
}

/// Why a member has left.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Leave,
    Exit,
    Timeout,
    Kick,
}
