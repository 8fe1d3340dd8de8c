//! The workloads. Each runs against a server of its own, started for it, so that nothing of an earlier one (lingering
//! sessions, freed memory, `TIME_WAIT` sockets) is in its figures.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::child::Server;
use crate::mark;
use crate::process;
use crate::report::Figure;
use crate::stage::Stage;

/// Publishing before the first mark: first calls, first allocations and cold caches are not what is asked for.
const WARM_UP: Duration = Duration::from_millis(500);
/// What was published has this long to arrive before it counts as lost.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(10);
/// Files that each process needs besides its connections.
const SPARE_FILES: u64 = 100;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Workload {
    /// Parked polls, nothing sent.
    Idle { polls: usize, room_size: u32 },
    /// Many rooms, publishers as fast as they are acknowledged.
    Rooms { rooms: u32, room_size: u32, publishers: usize, time: Duration },
    /// One room, one broadcast after the other.
    Broadcast { members: usize, times: u32 },
}

impl Workload {
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Idle { polls, .. } => format!("idle, {polls} parked polls"),
            Self::Rooms { rooms, room_size, publishers, .. } => {
                format!("{rooms} rooms of {room_size}, {publishers} publishes under way")
            }
            Self::Broadcast { members, times } => {
                format!("one room of {members}, {times} broadcasts")
            }
        }
    }

    /// An error if a process may not open as many files as this takes.
    pub(crate) fn check_files(&self) -> Result<()> {
        let connections = match *self {
            Self::Idle { polls, .. } => polls,
            Self::Rooms { rooms, room_size, publishers, .. } => rooms as usize * room_size as usize + publishers,
            Self::Broadcast { members, .. } => members + 1,
        };
        let (needed, allowed) = (connections as u64 + SPARE_FILES, process::file_limit());
        ensure!(
            needed <= allowed,
            "{}: takes {needed} open files a process, {allowed} are allowed (ulimit -n)",
            self.title()
        );
        Ok(())
    }

    /// Memory is compared before and after. An allocator that keeps what start-up has freed would let the polls move in
    /// there and call them free; mimalloc gives it back at once when told so. Other servers do not know the variable.
    pub(crate) fn environment(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Idle { .. } => &[("MIMALLOC_PURGE_DELAY", "0")],
            Self::Rooms { .. } | Self::Broadcast { .. } => &[],
        }
    }

    pub(crate) fn run(&self, server: &Server) -> Result<Vec<Figure>> {
        match *self {
            Self::Idle { polls, room_size } => idle(server, polls, room_size),
            Self::Rooms { rooms, room_size, publishers, time } => {
                rooms_chat(server, rooms, room_size, publishers, time)
            }
            Self::Broadcast { members, times } => broadcast(server, members, times),
        }
    }
}

fn idle(server: &Server, polls: usize, room_size: u32) -> Result<Vec<Figure>> {
    let before = process::memory(server.pid())?;
    let start = Instant::now();
    let rooms = (polls as u32).div_ceil(room_size);
    let mut stage = Stage::open(server, polls, rooms, 0)?;
    let opened = start.elapsed();
    let settled = stage.settle()?;
    let after = stage.memory()?;
    let per_poll = |before: u64, after: u64| (after as f64 - before as f64) / polls as f64;
    let resident = per_poll(before.resident_bytes, after.resident_bytes);
    let anonymous = per_poll(before.anonymous_bytes, after.anonymous_bytes);
    Ok(vec![
        Figure::median("resident_bytes_per_poll", resident),
        Figure::median("anonymous_bytes_per_poll", anonymous),
        Figure::median("resident_before_mib", before.resident_bytes as f64 / 1_048_576.0),
        Figure::median("connect_and_poll_per_s", polls as f64 / opened.as_secs_f64()),
        Figure::median("settle_s", settled.as_secs_f64()),
        Figure::count("refused_503", stage.crowd.tally.refused),
    ])
}

fn rooms_chat(server: &Server, rooms: u32, room_size: u32, publishers: usize, time: Duration) -> Result<Vec<Figure>> {
    let members = rooms as usize * room_size as usize;
    let mut stage = Stage::open(server, members, rooms, publishers)?;
    stage.settle()?;
    stage.publishers.keep_going();
    for publisher in 0..publishers {
        stage.publish(publisher)?;
    }
    stage.run_for(WARM_UP)?;
    stage.crowd.tally.latencies.clear();
    let from = stage.mark()?;
    stage.run_for(time)?;
    let to = stage.mark()?;
    let mut latencies = std::mem::take(&mut stage.crowd.tally.latencies);
    latencies.sort_unstable();
    stage.publishers.stop();
    stage.run_until(ARRIVAL_TIME_MAX, Stage::all_delivered)?;
    // A double would come after its first.
    stage.settle()?;

    let mut figures = mark::throughput(&from, &to);
    figures.extend(mark::cost(&from, &to));
    figures.push(mark::latency("latency_p50_ms", &latencies, 50.0));
    figures.push(mark::latency("latency_p99_ms", &latencies, 99.0));
    figures.extend(stage.faults());
    Ok(figures)
}

fn broadcast(server: &Server, members: usize, times: u32) -> Result<Vec<Figure>> {
    let mut stage = Stage::open(server, members, 1, 1)?;
    stage.settle()?;
    // The first one, a warm-up, is before the first mark.
    broadcast_once(&mut stage)?;
    let from = stage.mark()?;
    let mut firsts = Vec::new();
    let mut lasts = Vec::new();
    for _ in 0..times {
        let latencies = broadcast_once(&mut stage)?;
        firsts.extend(latencies.first());
        lasts.extend(latencies.last());
    }
    let to = stage.mark()?;
    firsts.sort_unstable();
    lasts.sort_unstable();

    let mut figures = vec![
        mark::latency("first_delivery_ms", &firsts, 50.0),
        mark::latency("last_delivery_ms", &lasts, 50.0),
        mark::latency("last_delivery_worst_ms", &lasts, 100.0),
    ];
    figures.extend(mark::cost(&from, &to));
    figures.extend(stage.faults());
    Ok(figures)
}

/// Publishes once, waits until all have it and have polled again, and returns the latencies in order.
fn broadcast_once(stage: &mut Stage) -> Result<Vec<u32>> {
    stage.crowd.tally.latencies.clear();
    stage.publish(0)?;
    stage.run_until(ARRIVAL_TIME_MAX, Stage::all_delivered)?;
    let mut latencies = std::mem::take(&mut stage.crowd.tally.latencies);
    latencies.sort_unstable();
    stage.settle()?;
    Ok(latencies)
}
