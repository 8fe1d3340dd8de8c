//! A PID: the public address of a session, as in Erlang.
//!
//! Node (10 bits), slot (25) and generation (18) make an integer below 2^53, exact in JSON and in JavaScript guests.
//! Finding a session is an index by slot; a dead PID is recognised by its generation.

use std::fmt;
use std::str::FromStr;

const GENERATION_BITS: u32 = 18;
const SLOT_BITS: u32 = 25;
const NODE_BITS: u32 = 10;

/// How many slots a node has.
pub const SLOTS_MAX: u32 = 1 << SLOT_BITS;
/// Slots are made in chunks of so many, so that a small server stays small.
pub const CHUNK_SLOTS: u32 = 4096;
/// Generations of a slot count from 1 to this, then start again.
pub const GENERATION_MAX: u32 = (1 << GENERATION_BITS) - 1;
/// The highest node number.
pub const NODE_MAX: u16 = (1 << NODE_BITS) - 1;

const _: () = assert!(NODE_BITS + SLOT_BITS + GENERATION_BITS == 53, "a PID is exact in a double");

/// The address of a session; it may be dead, or of another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(u64);

impl Pid {
    /// The parts must be within their widths.
    pub const fn new(node: u16, slot: u32, generation: u32) -> Self {
        debug_assert!(node <= NODE_MAX && slot < SLOTS_MAX && generation <= GENERATION_MAX);
        Self(((node as u64) << (SLOT_BITS + GENERATION_BITS)) | ((slot as u64) << GENERATION_BITS) | generation as u64)
    }

    /// Of the number that rules and JSON use; none when it is too large to be a PID.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> (NODE_BITS + SLOT_BITS + GENERATION_BITS) == 0 { Some(Self(bits)) } else { None }
    }

    /// The number that rules and JSON use.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Which node's session it is.
    pub const fn node(self) -> u16 {
        (self.0 >> (SLOT_BITS + GENERATION_BITS)) as u16
    }

    /// Where on its node the session is found.
    pub const fn slot(self) -> u32 {
        (self.0 >> GENERATION_BITS) as u32 & (SLOTS_MAX - 1)
    }

    /// Which of the slot's sessions it is.
    pub const fn generation(self) -> u32 {
        self.0 as u32 & GENERATION_MAX
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}.{}.{}>", self.node(), self.slot(), self.generation())
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not `<node.slot.generation>` with each part in its range.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PID is written <node.slot.generation>, for example <0.17.1>")]
pub struct NotAPid;

impl FromStr for Pid {
    type Err = NotAPid;

    fn from_str(text: &str) -> Result<Self, NotAPid> {
        let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).ok_or(NotAPid)?;
        let mut parts = inner.split('.').map(|part| {
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if plain { part.parse::<u32>().map_err(|_| NotAPid) } else { Err(NotAPid) }
        });
        let mut next = || parts.next().unwrap_or(Err(NotAPid));
        let (node, slot, generation) = (next()?, next()?, next()?);
        if parts.next().is_some() || node > NODE_MAX.into() || slot >= SLOTS_MAX || generation > GENERATION_MAX {
            return Err(NotAPid);
        }
        Ok(Self::new(node as u16, slot, generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_survive_bits_and_text(node in 0..=NODE_MAX, slot in 0..SLOTS_MAX, generation in 0..=GENERATION_MAX) {
            let pid = Pid::new(node, slot, generation);
            prop_assert_eq!((pid.node(), pid.slot(), pid.generation()), (node, slot, generation));
            prop_assert!(pid.to_bits() < 1 << 53);
            prop_assert_eq!(Pid::from_bits(pid.to_bits()), Some(pid));
            prop_assert_eq!(pid.to_string().parse(), Ok(pid));
        }

        #[test]
        fn any_text_is_a_pid_or_refused(text in "\\PC*") {
            if let Ok(pid) = text.parse::<Pid>() {
                prop_assert_eq!(pid.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_pid() {
        for text in ["", "<>", "<0.1>", "<0.1.2.3>", "0.1.2", "<0.1.+2>", "<0.01.2>", "<1024.0.0>", "<0.33554432.1>"] {
            assert_eq!(text.parse::<Pid>(), Err(NotAPid), "{text}");
        }
        assert_eq!(Pid::from_bits(1 << 53), None);
    }
}
