//! The places that sessions have, and which of them are free.

use crate::pid::{Pid, SLOTS_MAX};
use crate::session::Session;
use crate::sync::Mutex;
use std::collections::VecDeque;

/// A freed slot is used again only when so many are free: the longer it waits, the longer nobody can mistake a PID.
const FREE_SLOTS_MIN: usize = 65_536;

pub(super) type Slot = Mutex<SlotState>;

#[derive(Default)]
pub(super) struct SlotState {
    /// Of the session that is here, or was last.
    pub(super) generation: u32,
    pub(super) session: Option<Box<Session>>,
}

#[derive(Default)]
pub(super) struct Unused {
    /// The lowest slot that was never used.
    pub(super) fresh: u32,
    pub(super) freed: VecDeque<u32>,
}

impl SlotState {
    pub(super) fn session_of(&mut self, pid: Pid) -> Option<&mut Session> {
        if self.generation == pid.generation() { self.session.as_deref_mut() } else { None }
    }
}

impl Unused {
    pub(super) fn take(&mut self) -> Option<u32> {
        if self.freed.len() <= FREE_SLOTS_MIN && self.fresh < SLOTS_MAX {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        self.freed.pop_front()
    }
}
