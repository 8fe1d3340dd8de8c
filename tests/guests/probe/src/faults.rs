//! What no rule should do.

use std::hint::black_box;

use serde::Deserialize;
use volley_plugin::bindings::volley::router::ets::Table;
use volley_plugin::bindings::volley::router::types::SetOp;
use volley_plugin::{Message, Outcome, Payload, Pid, Recipients, subscribers};

const MIB: usize = 1 << 20;

pub(crate) fn run_forever() -> ! {
    loop {
        black_box(());
    }
}

pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX { 0 } else { recurse(depth + 1) + frame[63] }
}

pub(crate) fn allocate(mib: usize) -> usize {
    black_box(vec![1_u8; mib * MIB]).len()
}

#[allow(unsafe_code, reason = "a wrong handle is the point of it")]
pub(crate) fn use_bad_handle() -> u64 {
    // SAFETY: the host traps on a handle that it never gave out.
    unsafe { Table::from_handle(1_000_000) }.size()
}

/// How large an answer shall be: a message of so many MiB, a list of PIDs, a number of deliveries and of steps of a set.
#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct Flood {
    mib: usize,
    pids: u64,
    deliveries: usize,
    steps: usize,
}

impl Default for Flood {
    fn default() -> Self {
        Self { mib: 0, pids: 0, deliveries: 1, steps: 0 }
    }
}

pub(crate) fn flood(flood: &Flood) -> Outcome {
    let steps = |count| (0..count).flat_map(|_| [SetOp::Subscribers(String::new()), SetOp::Union]);
    let to = match flood {
        Flood { pids: 0, steps: 0, .. } => subscribers(),
        Flood { pids: 0, steps: count, .. } => {
            Recipients::from_postfix([SetOp::Pids(Vec::new())].into_iter().chain(steps(*count)).collect())
        }
        Flood { pids, .. } => (0..*pids).map(Pid::from_bits).collect::<Vec<_>>().into(),
    };
    let message = Message::Data(Payload::Text("x".repeat(flood.mib * MIB)));
    (0..flood.deliveries).fold(Outcome::new(), |outcome, _| outcome.deliver(to.clone(), message.clone()))
}
