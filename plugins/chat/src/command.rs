//! What a client may publish, such as `{"say":"hello"}`.

use std::borrow::Cow;

use serde::Deserialize;
use volley_plugin::{Event, Refusal};

/// One JSON object with the command as its only key.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command<'a> {
    #[serde(borrow)]
    Say(Cow<'a, str>),
    Tell {
        #[serde(borrow)]
        user: Cow<'a, str>,
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    Typing(bool),
    #[serde(borrow)]
    Subject(Cow<'a, str>),
    Op(String),
    Mute(String),
    Unmute(String),
    Kick(String),
    Ban(String),
    Unban(String),
}

/// A newcomer gets all that is kept of a room in one message: fifty texts of this size are below 256 KiB, and below
/// `outcome_bytes_max` whatever has to be escaped in them.
const TEXT_BYTES_MAX: usize = 4_096;
/// Nobody has a longer one (`user_bytes_max`).
const NAME_BYTES_MAX: usize = 255;

const COMMANDS: &str = "the commands are {\"say\":TEXT}, {\"tell\":{\"user\":USER,\"text\":TEXT}}, {\"typing\":BOOL}, \
                        {\"subject\":TEXT} and {\"op\"|\"mute\"|\"unmute\"|\"kick\"|\"ban\"|\"unban\":USER}";

impl<'a> Command<'a> {
    pub(crate) fn parse(event: &'a Event) -> Result<Self, Refusal> {
        let command: Self = event.json().map_err(|refusal| match refusal {
            Refusal::Invalid(wrong) => Refusal::Invalid(format!("{wrong}; {COMMANDS}")),
            Refusal::Refused(words) => Refusal::Refused(words),
        })?;
        command.check()?;
        Ok(command)
    }

    fn check(&self) -> Result<(), Refusal> {
        let (user, text) = match self {
            Self::Say(text) | Self::Subject(text) => (None, Some(text)),
            Self::Tell { user, text } => (Some(&**user), Some(text)),
            Self::Op(user)
            | Self::Mute(user)
            | Self::Unmute(user)
            | Self::Kick(user)
            | Self::Ban(user)
            | Self::Unban(user) => (Some(&**user), None),
            Self::Typing(_) => (None, None),
        };
        if text.is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(Refusal::invalid(format!("a text has at most {TEXT_BYTES_MAX} bytes")));
        }
        if user.is_some_and(|user| user.len() > NAME_BYTES_MAX) {
            return Err(Refusal::invalid(format!("a user's name has at most {NAME_BYTES_MAX} bytes")));
        }
        Ok(())
    }
}
