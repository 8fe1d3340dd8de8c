//! What a rule costs an event, in Wasm and beside the same rule as a function of this program, by the size of the room.

use super::room::{By, Room};
use std::time::{Duration, Instant};

/// How long one size is measured.
const MEASURED: Duration = Duration::from_secs(1);

/// What events took, ascending.
#[derive(Default)]
struct Times {
    /// The rule alone.
    rule: Vec<Duration>,
    /// The rule, the list and the mailboxes.
    event: Vec<Duration>,
}

/// Measures each size and prints a row for it. The native rule is `topic`, whatever the component is.
pub(super) fn run(component: &[u8], sizes: &[usize]) -> anyhow::Result<()> {
    println!(
        "{:>9} {:>12} {:>12} {:>13} {:>12} {:>13} {:>9}",
        "members", "rule p50 us", "rule p99 us", "native p50 us", "added p50 us", "event p50 us", "events"
    );
    for size in sizes {
        let (wasm, native) = measure(component, *size)?;
        let us =
            |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1e3;
        let (rule, of_native) = (us(&wasm.rule, 0.5), us(&native.rule, 0.5));
        let (p99, added, event) = (us(&wasm.rule, 0.99), rule - of_native, us(&wasm.event, 0.5));
        let events = wasm.event.len();
        println!("{size:>9} {rule:>12.2} {p99:>12.2} {of_native:>13.2} {added:>12.2} {event:>13.2} {events:>9}");
    }
    Ok(())
}

/// By Wasm and natively, in turns.
fn measure(component: &[u8], size: usize) -> anyhow::Result<(Times, Times)> {
    let mut room = Room::new(component, size)?;
    room.open(size)?;
    room.join()?;
    let (mut wasm, mut native) = (Times::default(), Times::default());
    let (mut sent, start) = (0, Instant::now());
    while start.elapsed() < MEASURED {
        for (by, times) in [(By::Wasm, &mut wasm), (By::Native, &mut native)] {
            let begun = Instant::now();
            times.rule.push(room.broadcast(by)?);
            times.event.push(begun.elapsed());
            sent += 1;
            room.acknowledge(sent);
        }
    }
    for times in [&mut wasm.rule, &mut wasm.event, &mut native.rule] {
        times.sort_unstable();
    }
    Ok((wasm, native))
}
