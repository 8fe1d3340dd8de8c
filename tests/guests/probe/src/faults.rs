//! What no rule should do.

use std::hint::black_box;

use serde::Deserialize;
use volley_plugin::bindings::volley::router::ets::Table;
use volley_plugin::bindings::volley::router::pg::Scope;
use volley_plugin::bindings::volley::router::types::{Error, Reach, SetOp};
use volley_plugin::{Message, Outcome, Payload, Pid, Recipients, monotonic_time_us, subscribers};

const MIB: usize = 1 << 20;

pub(crate) fn run_forever() -> ! {
    loop {
        black_box(());
    }
}

/// Works for so long: what a rule costs is then known, whatever the machine.
pub(crate) fn spin(us: u64) {
    let start = monotonic_time_us();
    while monotonic_time_us() - start < us {
        black_box(());
    }
}

/// Takes time without looking at a clock.
pub(crate) fn work(rounds: u64) {
    for round in 0..rounds {
        black_box(round);
    }
}

pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX { 0 } else { recurse(depth + 1) + frame[63] }
}

pub(crate) fn allocate(mib: usize) -> usize {
    black_box(vec![1_u8; mib * MIB]).len()
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct BadHandle {
    which: Which,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Which {
    #[default]
    NeverGiven,
    Dropped,
    OfAScope,
}

#[allow(unsafe_code, reason = "a wrong handle is the point of it")]
pub(crate) fn use_bad_handle(bad: &BadHandle) -> Result<u64, Error> {
    let handle = match bad.which {
        Which::NeverGiven => 1_000_000,
        Which::Dropped => Scope::open("dropped", Reach::Node)?.handle(),
        Which::OfAScope => Scope::open("kept", Reach::Node)?.take_handle(),
    };
    // SAFETY: the host traps on a handle that is not a table of this instance.
    Ok(unsafe { Table::from_handle(handle) }.size())
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
