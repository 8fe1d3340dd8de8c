//! One room: who is in it, what may be said by whom, and when it ends.

use std::borrow::Cow;
use std::time::Duration;

use volley_plugin::{Error, Outcome, Pid, Refusal, Scope, Table, log, send_after, subscribers};

use crate::message::{Message, Reason};
use crate::state::{All, BACKLOG_SAYINGS, Entry, Saying, Sessions, Slot, Tag};

/// A welcome names no more members than this.
const WELCOME_MEMBERS_MAX: u32 = 10_000;
/// Nor more than fit into this: names may be long, and have to be escaped.
const WELCOME_MEMBERS_BYTES_MAX: usize = 256 << 10;
/// Of each kind in a room: ops, the muted and the banned. The table is all rooms'.
const MARKS_MAX: u32 = 1_000;
/// An empty room is forgotten after this.
const ROOM_IDLE: Duration = Duration::from_hours(1);
/// How many of a room's objects are deleted in one call.
const DELETE_OBJECTS_MAX: u32 = 1_000;

#[derive(Clone, Copy)]
pub(crate) struct Room<'a> {
    pub(crate) table: &'a Table<Slot<'a>, Entry<'a>>,
    pub(crate) sessions: &'a Scope,
    pub(crate) topic: &'a str,
}

/// Who gives a command.
pub(crate) enum Speaker<'a> {
    /// A publisher without a session; it may do everything.
    BackEnd,
    /// A member, and all its sessions in the room.
    Member { name: Cow<'a, str>, sessions: Vec<Pid> },
}

impl Speaker<'_> {
    fn name(&self) -> Option<&str> {
        match self {
            Self::BackEnd => None,
            Self::Member { name, .. } => Some(name),
        }
    }

    fn sessions(&self) -> &[Pid] {
        match self {
            Self::BackEnd => &[],
            Self::Member { sessions, .. } => sessions,
        }
    }
}

/// Coming and going.
impl Room<'_> {
    pub(crate) fn join(self, pid: Pid, user: &str) -> Result<Outcome, Refusal> {
        let once = [Tag::Idle, Tag::Subject, Tag::Next].map(|tag| self.the(tag));
        let keys = [&self.slot(Tag::Banned, user), &once[0], &once[1], &once[2]];
        let [banned, idle, subject, next] = self.table.get_each(keys)?;
        if banned.is_some() {
            return Err(Refusal::refused("you are banned from this room"));
        }
        let is_new = self.seat(pid, user)?;
        let came_in = || -> Result<Outcome, Error> {
            let members = self.members(WELCOME_MEMBERS_MAX)?;
            let subject = subject.and_then(Entry::into_subject);
            let backlog = self.backlog(next.and_then(Entry::into_next).unwrap_or(0))?;
            if is_new && members.len() == 1 {
                self.table.insert(&self.slot(Tag::Op, user), &Entry::Mark)?;
            }
            // The room's end is called off last: if anything fails it is as empty as before.
            if let Some(Entry::Idle(timer)) = idle {
                timer.cancel();
                self.table.delete(&self.the(Tag::Idle))?;
            }
            let welcome = Message::Welcome { members: &members, subject: subject.as_deref(), backlog: &backlog };
            let outcome = Outcome::new().send(pid, &welcome);
            Ok(if is_new { outcome.send(subscribers() - pid, &Message::Joined(user)) } else { outcome })
        };
        // Who is refused is not in the room.
        Ok(came_in().inspect_err(|_| self.unseat(pid, user, is_new))?)
    }

    /// Whether this is its user's first session in the room.
    fn seat(self, pid: Pid, user: &str) -> Result<bool, Error> {
        self.sessions.join(&self.group(user), [pid])?;
        let is_new = self.table.insert_new(&self.slot(Tag::Member, user), &Entry::Mark);
        is_new.inspect_err(|_| self.unseat(pid, user, false))
    }

    fn unseat(self, pid: Pid, user: &str, is_new: bool) {
        self.sessions.leave(&self.group(user), [pid]);
        if is_new && let Err(why) = self.table.delete(&self.slot(Tag::Member, user)) {
            log::error!("{user} is named as a member of {}, and is not: {why}", self.topic);
        }
    }

    /// A session has left or ended; its user has left when this was its last session in the room.
    pub(crate) fn leave(self, pid: Pid, user: &str, reason: Reason) -> Result<Outcome, Error> {
        let group = self.group(user);
        self.sessions.leave(&group, [pid]);
        if self.sessions.count(&group) > 0 || !self.table.delete(&self.slot(Tag::Member, user))? {
            return Ok(Outcome::new());
        }
        self.end_later_if_empty()?;
        Ok(Outcome::new().send(subscribers(), &Message::Left { user, reason }))
    }

    /// The kicked sessions are still subscribers when the `left` is resolved, so they get it too.
    pub(crate) fn kick(self, user: &str) -> Result<Outcome, Refusal> {
        let group = self.group(user);
        let sessions = self.sessions.get_members(&group);
        if sessions.is_empty() {
            return Err(not_here(user));
        }
        self.sessions.leave(&group, sessions.iter().copied());
        self.table.delete(&self.slot(Tag::Member, user))?;
        self.end_later_if_empty()?;
        let left = Message::Left { user, reason: Reason::Kick };
        Ok(Outcome::new().send(subscribers(), &left).remove(sessions))
    }

    /// The session's user with all its sessions, if the session has joined.
    pub(crate) fn member(self, pid: Pid, name: Cow<'_, str>) -> Result<Speaker<'_>, Refusal> {
        let sessions = self.sessions.get_members(&self.group(&name));
        if sessions.contains(&pid) {
            Ok(Speaker::Member { name, sessions })
        } else {
            Err(Refusal::refused("join the room first"))
        }
    }

    fn members(self, limit: u32) -> Result<Vec<String>, Error> {
        let all = self.the(Tag::Member);
        let name_at = volley_plugin::Key::to_bytes(&all).len();
        let page = self.table.select(&all, limit)?;
        let mut room = WELCOME_MEMBERS_BYTES_MAX;
        let names = page.objects.into_iter().map_while(|(key, _)| {
            room = room.checked_sub(key.len() - name_at)?;
            Some(String::from_utf8_lossy(&key[name_at..]).into_owned())
        });
        Ok(names.collect())
    }
}

/// What members say.
impl<'a> Room<'a> {
    pub(crate) fn say(self, speaker: &Speaker<'_>, text: Cow<'_, str>) -> Result<Outcome, Refusal> {
        let user = speaker.name();
        let [muted, next] =
            self.table.get_each([&self.slot(Tag::Muted, user.unwrap_or_default()), &self.the(Tag::Next)])?;
        check_voice(user, muted.as_ref())?;
        let at = [next.and_then(Entry::into_next).unwrap_or(0)];
        let saying = Slot { topic: self.topic, tag: Tag::Saying, name: &at };
        let said = Entry::Said(Saying { user: user.map(Cow::Borrowed), text });
        let next = Entry::Next((at[0] + 1) % BACKLOG_SAYINGS);
        self.table.insert_all([(&saying, &said), (&self.the(Tag::Next), &next)])?;
        Ok(Outcome::new().send(subscribers(), &said))
    }

    /// In the order in which they were said: the slot that is written next is the oldest.
    fn backlog(self, next: u8) -> Result<Vec<Saying<'a>>, Error> {
        let page = self.table.select(&self.the(Tag::Saying), BACKLOG_SAYINGS.into())?;
        let mut sayings: Vec<_> = page.objects.into_iter().filter_map(|(_, entry)| entry.into_saying()).collect();
        let oldest = usize::from(next).min(sayings.len());
        sayings.rotate_left(oldest);
        Ok(sayings)
    }

    pub(crate) fn tell(self, speaker: &Speaker<'_>, user: &str, text: Cow<'_, str>) -> Result<Outcome, Refusal> {
        let sender = speaker.name();
        if let Some(name) = sender {
            check_voice(sender, self.table.get(&self.slot(Tag::Muted, name))?.as_ref())?;
        }
        let mut to = self.sessions.get_members(&self.group(user));
        if to.is_empty() {
            return Err(not_here(user));
        }
        to.extend_from_slice(speaker.sessions());
        let told = Saying { user: sender.map(Cow::Borrowed), text };
        Ok(Outcome::new().send(to, &Message::Told(&told)))
    }

    pub(crate) fn set_subject(self, subject: Cow<'_, str>) -> Result<Outcome, Refusal> {
        let message = Outcome::new().send(subscribers(), &Message::Subject(&subject));
        self.table.insert(&self.the(Tag::Subject), &Entry::Subject(subject))?;
        Ok(message)
    }
}

/// What ops do.
impl Room<'_> {
    pub(crate) fn as_op(
        self,
        speaker: &Speaker<'_>,
        act: impl FnOnce(Self) -> Result<Outcome, Refusal>,
    ) -> Result<Outcome, Refusal> {
        match speaker {
            Speaker::Member { name, .. } if self.table.get(&self.slot(Tag::Op, name))?.is_none() => {
                Err(Refusal::refused("only an op may do this"))
            }
            _ => act(self),
        }
    }

    pub(crate) fn op(self, user: &str) -> Result<Outcome, Refusal> {
        self.mark(Tag::Op, user)
    }

    pub(crate) fn mute(self, user: &str) -> Result<Outcome, Refusal> {
        self.mark(Tag::Muted, user)
    }

    pub(crate) fn unmute(self, user: &str) -> Result<Outcome, Refusal> {
        self.unmark(Tag::Muted, user)
    }

    pub(crate) fn ban(self, user: &str) -> Result<Outcome, Refusal> {
        let banned = self.mark(Tag::Banned, user)?;
        if self.sessions.count(&self.group(user)) == 0 { Ok(banned) } else { self.kick(user) }
    }

    pub(crate) fn unban(self, user: &str) -> Result<Outcome, Refusal> {
        self.unmark(Tag::Banned, user)
    }

    fn mark(self, tag: Tag, user: &str) -> Result<Outcome, Refusal> {
        let marks = self.table.select(&self.the(tag), MARKS_MAX)?;
        if marks.next.is_some() || marks.objects.len() >= MARKS_MAX as usize {
            return Err(Refusal::refused(format!(
                "a room has at most {MARKS_MAX} of each: ops, muted and banned users"
            )));
        }
        self.table.insert(&self.slot(tag, user), &Entry::Mark)?;
        Ok(Outcome::new())
    }

    fn unmark(self, tag: Tag, user: &str) -> Result<Outcome, Refusal> {
        self.table.delete(&self.slot(tag, user))?;
        Ok(Outcome::new())
    }
}

/// The room's end.
impl Room<'_> {
    /// An empty room has no ops any more, and an hour to live.
    pub(crate) fn end_later_if_empty(self) -> Result<(), Error> {
        if !self.members(1)?.is_empty() {
            return Ok(());
        }
        self.delete_all(&self.the(Tag::Op))?;
        if self.table.get(&self.the(Tag::Idle))?.is_some() {
            return Ok(());
        }
        match send_after(ROOM_IDLE, self.topic, &()) {
            Ok(timer) => self.table.insert(&self.the(Tag::Idle), &Entry::Idle(timer)),
            Err(why) => {
                log::warning!("no timer for the empty room, so it ends at once: {why}");
                self.delete_all(&All(self.topic))
            }
        }
    }

    /// The timer has fired. Somebody may have come in while that event waited in the queue.
    pub(crate) fn end_if_empty(self) -> Result<Outcome, Error> {
        if self.members(1)?.is_empty() {
            self.delete_all(&All(self.topic))?;
        }
        Ok(Outcome::new())
    }

    fn delete_all(self, prefix: &impl volley_plugin::Key) -> Result<(), Error> {
        loop {
            let page = self.table.select(prefix, DELETE_OBJECTS_MAX)?;
            self.table.delete_all(page.objects.into_iter().map(|(key, _)| key))?;
            if page.next.is_none() {
                return Ok(());
            }
        }
    }
}

/// Names of things.
impl<'a> Room<'a> {
    fn slot<'b>(self, tag: Tag, user: &'b str) -> Slot<'b>
    where
        'a: 'b,
    {
        Slot { topic: self.topic, tag, name: user.as_bytes() }
    }

    /// What a room has once, or the prefix of all of a kind.
    fn the(self, tag: Tag) -> Slot<'a> {
        Slot { topic: self.topic, tag, name: &[] }
    }

    fn group<'b>(self, user: &'b str) -> Sessions<'b>
    where
        'a: 'b,
    {
        Sessions { topic: self.topic, user }
    }
}

/// To all but the user's own sessions.
pub(crate) fn typing(speaker: &Speaker<'_>, typing: bool) -> Outcome {
    let typing = Message::Typing { user: speaker.name(), typing };
    Outcome::new().send(subscribers() - speaker.sessions().to_vec(), &typing)
}

fn check_voice(user: Option<&str>, muted: Option<&Entry<'_>>) -> Result<(), Refusal> {
    match (user, muted) {
        (Some(_), Some(_)) => Err(Refusal::refused("you are muted in this room")),
        _ => Ok(()),
    }
}

fn not_here(user: &str) -> Refusal {
    Refusal::refused(format!("{user} is not in this room"))
}
