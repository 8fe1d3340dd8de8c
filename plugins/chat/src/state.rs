//! What a room remembers: the objects of the table, and the group of each user's sessions.

use std::borrow::Cow;

use crate::key::room_prefix;
use serde::{Deserialize, Serialize};
use volley_plugin::{Key, Timer};

/// How many sayings a newcomer is shown. They are kept in a ring of so many slots.
pub(crate) const BACKLOG_SAYINGS: u8 = 50;

/// One object of a room.
pub(crate) struct Slot<'a> {
    pub(crate) topic: &'a str,
    pub(crate) tag: Tag,
    /// A user, or the number of a saying's slot; empty for what a room has once, and for the prefix of all of a kind.
    pub(crate) name: &'a [u8],
}

/// What kind of object it is. Its letter stands in the key, so it never changes its meaning.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Tag {
    Subject = b'S',
    /// The slot of the backlog that the next saying is written to.
    Next = b'N',
    /// The timer that will end the room; only while it is empty.
    Idle = b'I',
    Saying = b'L',
    Member = b'M',
    Op = b'O',
    Muted = b'Q',
    Banned = b'B',
}

/// The value of an object, in JSON so that an operator can read it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry<'a> {
    /// A member, an op, one muted or banned: that the key is there says it all.
    Mark,
    Subject(Cow<'a, str>),
    /// Also what the members receive, in the same words.
    Said(Saying<'a>),
    Next(u8),
    Idle(Timer),
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Saying<'a> {
    /// None of a back-end.
    pub(crate) user: Option<Cow<'a, str>>,
    pub(crate) text: Cow<'a, str>,
}

impl Key for Slot<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        room_prefix(self.topic, bytes);
        bytes.push(self.tag as u8);
        bytes.extend_from_slice(self.name);
    }
}

/// All that belongs to a room.
pub(crate) struct All<'a>(pub(crate) &'a str);

impl Key for All<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        room_prefix(self.0, bytes);
    }
}

/// The group of a user's sessions in a room.
pub(crate) struct Sessions<'a> {
    pub(crate) topic: &'a str,
    pub(crate) user: &'a str,
}

impl Key for Sessions<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        room_prefix(self.topic, bytes);
        bytes.extend_from_slice(self.user.as_bytes());
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn into_next(self) -> Option<u8> {
        if let Self::Next(slot) = self { Some(slot) } else { None }
    }

    pub(crate) fn into_saying(self) -> Option<Saying<'a>> {
        if let Self::Said(saying) = self { Some(saying) } else { None }
    }

    pub(crate) fn into_subject(self) -> Option<Cow<'a, str>> {
        if let Self::Subject(subject) = self { Some(subject) } else { None }
    }
}
