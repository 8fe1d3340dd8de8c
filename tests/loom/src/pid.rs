//! The server's PID, on a node of two slots: loom would make a lock for each of the real ones, and a slot is soon used
//! again.

#[allow(dead_code)] // Its own numbers of slots.
#[path = "../../../host/src/pid.rs"]
mod real;

pub use real::{GENERATION_MAX, NODE_MAX, NotAPid, Pid};

/// How many slots a node has.
pub const SLOTS_MAX: u32 = 2;
/// All of them are made at once.
pub const CHUNK_SLOTS: u32 = 2;
