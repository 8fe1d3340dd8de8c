//! Chat rooms, one for each topic. All state is in one table and one scope of groups; an instance holds their handles.
//!
//! What a client publishes is a `command`, what it receives a `message`, what a room remembers is its `state`.
//!
//! - A user is one member, however many sessions it has; a session without a user is named by its PID's text. Who joins
//!   gets a `welcome` whose members include itself, and, if it is its user's first session in the room, the others get
//!   `joined`. A user's `left` is sent when its last session in the room leaves or ends, or when it is kicked.
//! - The first to join an empty room is op. Anyone in the room may set the subject; only ops may `op`, `mute`, `unmute`,
//!   `kick`, `ban` and `unban`. Op, mute, unmute and unban deliver nothing; a ban kicks a user who is there. Kicked
//!   sessions get the `left` as well, are unsubscribed, and may join anew.
//! - The muted may neither `say` nor `tell`; the banned may not join. A session must have joined to do anything.
//! - A back-end that publishes without a session may do all an op may; in what it says the user is `null`.
//! - Ops end when the room is empty. Subject, backlog, mutes and bans stay until it has been empty for an hour.
//! - A room lives on the node that routes its topic, and in memory: a restart of that node ends it.
//!
//! A `say` calls the host three times: the user's sessions, then mute and backlog position in one lookup, then one
//! write. A back-end's `say` does three as well: no sessions, but a look whether the room is empty.

mod command;
mod message;
mod room;
mod state;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use command::Command;
use message::Reason;
use room::{Room, Speaker};
use state::{Entry, Slot};
use volley_plugin::{
    Event, ExitReason, Info, Kind, Options, Outcome, Pid, Reach, Refusal, Rule, Scope, Table, export_rule,
};

/// The name of the table and of the scope.
const ROOMS: &str = "rooms";
/// Arbitrary: 20,000 rooms with a full backlog.
const OBJECTS_MAX: u64 = 1_000_000;
/// Arbitrary. When it is reached, sayings are refused with the host's words.
const BYTES_MAX: u64 = 256 << 20;

struct Chat {
    table: Table<Slot<'static>, Entry<'static>>,
    sessions: Scope,
}

impl Rule for Chat {
    fn info() -> Info {
        Info { name: "chat", version: env!("CARGO_PKG_VERSION"), description: "chat rooms with ops and a backlog" }
    }

    fn init(_config: &str) -> Result<Self, String> {
        let options = Options::ordered_set().max_objects(OBJECTS_MAX).max_bytes(BYTES_MAX);
        Ok(Self { table: Table::open(ROOMS, options)?, sessions: Scope::open(ROOMS, Reach::Node)? })
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

export_rule!(Chat);
