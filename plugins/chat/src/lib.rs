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
//! - A text has at most 4,096 bytes (400). Of ops, muted and banned users a room has at most 1,000 each (403). A welcome
//!   names at most 10,000 members, or 256 KiB of names.
//! - A room lives on the node that routes its topic, and in memory: a restart of that node ends it.
//!
//! A `say` calls the host three times: the user's sessions, then mute and backlog position in one lookup, then one
//! write. A back-end's `say` does three as well: no sessions, but a look whether the room is empty.

mod command;
mod key;
mod message;
mod room;
mod rule;
mod state;
#[cfg(test)]
mod tests;

use rule::Chat;
use volley_plugin::export_rule;

export_rule!(Chat);
