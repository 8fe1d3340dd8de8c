//! What a session costs as there are more and more of them: opening, joining, a broadcast to all, exit, and memory. Without
//! sockets: what is delivered stays in the mailbox until it is acknowledged.

use super::room::{By, Room};
use anyhow::Context as _;
use std::time::{Duration, Instant};

/// Broadcasts that are measured of each size, at least, and for how long more are.
const BROADCASTS_MIN: usize = 5;
const MEASURED: Duration = Duration::from_secs(1);

/// Nanoseconds a session, but for the bytes.
struct Costs {
    open: f64,
    join: f64,
    broadcast: f64,
    acknowledge: f64,
    exit: f64,
    bytes: f64,
}

/// Measures each size and prints a row for it; the last column compares the broadcast with that of the first row.
pub(super) fn run(component: &[u8], sizes: &[usize]) -> anyhow::Result<()> {
    println!(
        "{:>9} {:>9} {:>9} {:>13} {:>9} {:>9} {:>9} {:>9}",
        "sessions", "open ns", "join ns", "broadcast ns", "ack ns", "exit ns", "bytes", "ratio"
    );
    let mut first = None;
    for size in sizes {
        let costs = measure(component, *size)?;
        let Costs { open, join, broadcast, acknowledge, exit, bytes } = costs;
        let ratio = broadcast / *first.get_or_insert(broadcast);
        println!(
            "{size:>9} {open:>9.0} {join:>9.0} {broadcast:>13.1} {acknowledge:>9.1} {exit:>9.0} {bytes:>9.0} {ratio:>9.2}"
        );
    }
    Ok(())
}

fn measure(component: &[u8], size: usize) -> anyhow::Result<Costs> {
    let mut room = Room::new(component, size)?;
    let before = resident_bytes()?;
    let each = |time: Duration| time.as_nanos() as f64 / size as f64;
    let open = each(timed(|| room.open(size))?);
    let join = each(timed(|| room.join())?);
    // One that is not measured: memory is touched for the first time.
    room.broadcast(By::Wasm)?;
    room.acknowledge(1);
    let bytes = resident_bytes()?.saturating_sub(before) as f64 / size as f64;
    let (mut broadcasts, mut acknowledges, began) = (Vec::new(), Vec::new(), Instant::now());
    while broadcasts.len() < BROADCASTS_MIN || began.elapsed() < MEASURED {
        broadcasts.push(timed(|| room.broadcast(By::Wasm).map(drop))?);
        let newest = broadcasts.len() as u64 + 1;
        acknowledges.push(timed(|| {
            room.acknowledge(newest);
            Ok(())
        })?);
    }
    let exit = each(timed(|| room.exit())?);
    Ok(Costs { open, join, broadcast: each(median(broadcasts)), acknowledge: each(median(acknowledges)), exit, bytes })
}

fn timed(what: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    what()?;
    Ok(began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("can't read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it says no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
