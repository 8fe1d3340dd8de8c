//! What each kind of event means to a room.

use std::borrow::Cow;

use crate::command::Command;
use crate::message::Reason;
use crate::room::{self, Room, Speaker};
use crate::state::{Entry, Slot};
use volley_plugin::{Event, ExitReason, Info, Kind, Options, Outcome, Pid, Reach, Refusal, Rule, Scope, Table};

/// The name of the table and of the scope.
pub(crate) const ROOMS: &str = "rooms";
/// Arbitrary: 20,000 rooms with a full backlog.
const OBJECTS_MAX: u64 = 1_000_000;
/// Arbitrary. When it is reached, sayings are refused with the host's words.
const BYTES_MAX: u64 = 256 << 20;
pub(crate) const OPTIONS: Options = Options::ordered_set().max_objects(OBJECTS_MAX).max_bytes(BYTES_MAX);

pub(crate) struct Chat {
    pub(crate) table: Table<Slot<'static>, Entry<'static>>,
    pub(crate) sessions: Scope,
}

impl Rule for Chat {
    fn info() -> Info {
        Info { name: "chat", version: env!("CARGO_PKG_VERSION"), description: "chat rooms with ops and a backlog" }
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self { table: Table::open(ROOMS, OPTIONS)?, sessions: Scope::open(ROOMS, Reach::Node)? })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        let room = Room { table: &self.table, sessions: &self.sessions, topic: &event.topic };
        match event.kind {
            Kind::Publish => command(room, event),
            Kind::Timer => Ok(room.end_if_empty()?),
            Kind::Join => named(event, |pid, user| room.join(pid, user)),
            Kind::Leave => named(event, |pid, user| Ok(room.leave(pid, user, Reason::Leave)?)),
            Kind::Exit(ExitReason::Timeout) => named(event, |pid, user| Ok(room.leave(pid, user, Reason::Timeout)?)),
            Kind::Exit(_) => named(event, |pid, user| Ok(room.leave(pid, user, Reason::Exit)?)),
        }
    }
}

/// Joins, leaves and exits always have a sender.
fn named(event: &Event, act: impl FnOnce(Pid, &str) -> Result<Outcome, Refusal>) -> Result<Outcome, Refusal> {
    match (event.sender, event.user_name()) {
        (Some(pid), Some(user)) => act(pid, &user),
        _ => Ok(Outcome::new()),
    }
}

fn command(room: Room<'_>, event: &Event) -> Result<Outcome, Refusal> {
    let command = Command::parse(event)?;
    let speaker = match event.sender {
        None => Speaker::BackEnd,
        Some(pid) => room.member(pid, event.user_name().unwrap_or(Cow::Borrowed("")))?,
    };
    let outcome = match command {
        Command::Say(text) => room.say(&speaker, text),
        Command::Tell { user, text } => room.tell(&speaker, &user, text),
        Command::Typing(typing) => Ok(room::typing(&speaker, typing)),
        Command::Subject(subject) => room.set_subject(subject),
        Command::Op(user) => room.as_op(&speaker, |room| room.op(&user)),
        Command::Mute(user) => room.as_op(&speaker, |room| room.mute(&user)),
        Command::Unmute(user) => room.as_op(&speaker, |room| room.unmute(&user)),
        Command::Kick(user) => room.as_op(&speaker, |room| room.kick(&user)),
        Command::Ban(user) => room.as_op(&speaker, |room| room.ban(&user)),
        Command::Unban(user) => room.as_op(&speaker, |room| room.unban(&user)),
    }?;
    if matches!(speaker, Speaker::BackEnd) {
        // It may have written to a room that nobody is in, and that nobody's leaving will ever end.
        room.end_later_if_empty()?;
    }
    Ok(outcome)
}
