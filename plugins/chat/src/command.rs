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

const COMMANDS: &str = "the commands are {\"say\":TEXT}, {\"tell\":{\"user\":USER,\"text\":TEXT}}, {\"typing\":BOOL}, \
                        {\"subject\":TEXT} and {\"op\"|\"mute\"|\"unmute\"|\"kick\"|\"ban\"|\"unban\":USER}";

impl<'a> Command<'a> {
    pub(crate) fn parse(event: &'a Event) -> Result<Self, Refusal> {
        event.json().map_err(|refusal| match refusal {
            Refusal::Invalid(wrong) => Refusal::Invalid(format!("{wrong}; {COMMANDS}")),
            Refusal::Refused(words) => Refusal::Refused(words),
        })
    }
}
