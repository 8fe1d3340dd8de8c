//! Looking over all sessions: one after the other, and what they come to.

use super::Sessions;
use crate::pid::Pid;
use crate::session::Session;
use crate::sync::atomic::Ordering::Relaxed;

impl Sessions {
    /// Live sessions, in the order of their slots, from the given slot on.
    pub fn walk(&self, from_slot: u32, mut visit: impl FnMut(Pid, &mut Session) -> bool) {
        let fresh = self.unused.lock().fresh;
        for slot in from_slot..fresh {
            let mut state = self.slot(slot).lock();
            let pid = Pid::new(self.node, slot, state.generation);
            if let Some(session) = &mut state.session
                && !visit(pid, session)
            {
                return;
            }
        }
    }

    /// The same in so many slots at most; the slot to go on from, if there are more.
    pub fn walk_part(&self, from_slot: u32, slots: u32, mut visit: impl FnMut(Pid, &Session)) -> Option<u32> {
        let fresh = self.unused.lock().fresh;
        let to_slot = from_slot.saturating_add(slots).min(fresh);
        for slot in from_slot..to_slot {
            let state = self.slot(slot).lock();
            if let Some(session) = &state.session {
                visit(Pid::new(self.node, slot, state.generation), session);
            }
        }
        (to_slot < fresh).then_some(to_slot)
    }

    /// What all sessions were opened with and are subscribed to, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// How many sessions there are.
    pub fn live(&self) -> u64 {
        self.live.load(Relaxed)
    }

    /// How many polls are parked.
    pub fn parked(&self) -> u64 {
        self.parked.load(Relaxed)
    }

    /// How many messages mailboxes have dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}
