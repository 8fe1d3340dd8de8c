//! The next version of the bundled `chat`: the same rule on another layout. All keys of its table and all its groups
//! begin with the length of the topic, instead of ending the topic with a zero byte.
//!
//! With the config `{"upgrade":"error"}` or `{"upgrade":"panic"}` the upgrade fails when it has changed everything, and
//! likewise `downgrade`.

#[path = "../../../../plugins/chat/src/command.rs"]
mod command;
mod key;
#[path = "../../../../plugins/chat/src/message.rs"]
mod message;
#[path = "../../../../plugins/chat/src/room.rs"]
mod room;
#[path = "../../../../plugins/chat/src/rule.rs"]
mod rule;
#[path = "../../../../plugins/chat/src/state.rs"]
mod state;

use key::{old_room_prefix, room_prefix};
use rule::Chat;
use serde::Deserialize;
use state::{Entry, Tag};
use volley_plugin::{Migration, Reversal, Table, config, export_rule};

/// Of both versions.
const RELEASES: [&str; 2] = ["0.1.0", "0.2.0"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    upgrade: Option<String>,
}

type Prefix = fn(&str, &mut Vec<u8>);
/// The topic of a key, and the rest of it.
type Split = fn(&[u8]) -> Option<(&str, &[u8])>;

impl Migration for Chat {
    fn upgrade(&self, old_version: &str, text: &str) -> Result<(), String> {
        if old_version == RELEASES[0] {
            self.rewrite(key::split_old, room_prefix)?;
        } else if old_version != RELEASES[1] {
            return Err(format!("there is no way from {old_version}"));
        }
        match config::<Config>(text)?.upgrade.as_deref() {
            None => Ok(()),
            Some("panic") => panic!("told to panic"),
            Some(words) => Err(format!("told to fail: {words}")),
        }
    }
}

impl Reversal for Chat {
    fn downgrade(&self, to_version: &str) -> Result<(), String> {
        match to_version {
            to if to == RELEASES[0] => self.rewrite(key::split, old_room_prefix),
            to if to == RELEASES[1] => Ok(()),
            _ => Err(format!("there is no way to {to_version}")),
        }
    }
}

impl Chat {
    /// Every object under its other key, and the sessions of every member in its other group.
    fn rewrite(&self, split: Split, prefix: Prefix) -> Result<(), String> {
        let table: Table<[u8], Entry<'_>> = Table::open(rule::ROOMS, rule::OPTIONS)?;
        let all: Result<Vec<_>, _> = table.iter("").collect();
        for (old, entry) in all? {
            let (topic, rest) = split(&old).ok_or("a key of another layout")?;
            let with_prefix = |prefix: Prefix, rest: &[u8]| {
                let mut bytes = Vec::new();
                prefix(topic, &mut bytes);
                bytes.extend_from_slice(rest);
                bytes
            };
            table.delete(&old)?;
            table.insert(&with_prefix(prefix, rest), &entry)?;
            if let [tag, user @ ..] = rest
                && *tag == Tag::Member as u8
            {
                let from = [&old[..old.len() - rest.len()], user].concat();
                let members = self.sessions.get_members(&from);
                self.sessions.leave(&from, members.iter().copied());
                self.sessions.join(&with_prefix(prefix, user), members)?;
            }
        }
        Ok(())
    }
}

export_rule!(Chat, upgrade, downgrade);
