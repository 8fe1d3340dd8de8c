//! The workloads. Each runs against a server of its own, started for it, so that nothing of an earlier one (lingering
//! sessions, freed memory, `TIME_WAIT` sockets) is in its figures.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::broadcast;
use crate::child::Server;
use crate::crowd::Rooms;
use crate::kernel::KernelMemory;
use crate::mark::{self, Spent};
use crate::neighbours::Neighbours;
use crate::process;
use crate::report::Figure;
use crate::stage::Stage;

/// Publishing before the first mark: first calls, first allocations and cold caches are not what is asked for.
const WARM_UP: Duration = Duration::from_millis(500);
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
    /// A crowd that comes at once, so many not through at a time.
    Storm { members: usize, room_size: u32, at_once: usize },
    /// Small rooms beside a large one.
    Neighbours(Neighbours),
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
            Self::Storm { members, at_once, .. } => format!("{members} connect, {at_once} at once"),
            Self::Neighbours(Neighbours { members, rooms, room_size, .. }) => {
                format!("{rooms} rooms of {room_size} beside one of {members}")
            }
        }
    }

    /// An error if a process may not open as many files as this takes.
    pub(crate) fn check_files(&self) -> Result<()> {
        let connections = match *self {
            Self::Idle { polls, .. } => polls,
            Self::Rooms { rooms, room_size, publishers, .. } => rooms as usize * room_size as usize + publishers,
            Self::Broadcast { members, .. } | Self::Storm { members, .. } => members + 1,
            Self::Neighbours(neighbours) => neighbours.connections(),
        };
        let (needed, allowed) = (connections as u64 + SPARE_FILES, process::file_limit());
        ensure!(needed <= allowed, "it takes {needed} open files a process, {allowed} are allowed (ulimit -n)");
        Ok(())
    }

    /// Memory is compared before and after. An allocator that keeps what start-up has freed would let the polls move in
    /// there and call them free; mimalloc gives it back at once when told so. Other servers do not know the variable.
    pub(crate) fn environment(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Idle { .. } => &[("MIMALLOC_PURGE_DELAY", "0")],
            Self::Rooms { .. } | Self::Broadcast { .. } | Self::Storm { .. } | Self::Neighbours(_) => &[],
        }
    }

    pub(crate) fn run(&self, server: &Server) -> Result<Vec<Figure>> {
        match *self {
            Self::Idle { polls, room_size } => idle(server, polls, room_size),
            Self::Rooms { rooms, room_size, publishers, time } => {
                rooms_chat(server, rooms, room_size, publishers, time)
            }
            Self::Broadcast { members, times } => broadcast::run(server, members, times),
            Self::Storm { members, room_size, at_once } => storm(server, members, room_size, at_once),
            Self::Neighbours(neighbours) => neighbours.run(server),
        }
    }
}

fn idle(server: &Server, polls: usize, room_size: u32) -> Result<Vec<Figure>> {
    let before = process::family_memory(server.pid())?;
    let kernel_before = KernelMemory::now()?;
    let rooms = Rooms::of((polls as u32).div_ceil(room_size));
    let mut stage = Stage::open(server, polls, rooms, 0)?;
    let opened = stage.age_at(Instant::now());
    let settled = stage.settle()?;
    let after = process::family_memory(server.pid())?;
    let kernel = KernelMemory::now()?;
    let per_poll = |name, before: u64, after: u64| {
        let grown = after as f64 - before as f64;
        Figure::median(name, grown / polls as f64)
    };
    Ok(vec![
        per_poll("resident_bytes_per_poll", before.resident_bytes, after.resident_bytes),
        per_poll("anonymous_bytes_per_poll", before.anonymous_bytes, after.anonymous_bytes),
        per_poll("kernel_slab_bytes_per_poll", kernel_before.slab, kernel.slab),
        per_poll("kernel_sunreclaim_bytes_per_poll", kernel_before.unreclaimable, kernel.unreclaimable),
        per_poll("kernel_socket_bytes_per_poll", kernel_before.sockets, kernel.sockets),
        Figure::median("resident_before_mib", before.resident_bytes as f64 / 1_048_576.0),
        Figure::median("connect_and_poll_per_s", polls as f64 / opened.as_secs_f64()),
        Figure::median("settle_s", settled.as_secs_f64()),
        Figure::count("refused_503", stage.crowd.tally.refused),
    ])
}

fn rooms_chat(server: &Server, rooms: u32, room_size: u32, publishers: usize, time: Duration) -> Result<Vec<Figure>> {
    let members = rooms as usize * room_size as usize;
    let mut stage = Stage::open(server, members, Rooms::of(rooms), publishers)?;
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
    stage.await_deliveries()?;
    // A double would come after its first.
    stage.settle()?;

    let mut figures = mark::throughput(&from, &to);
    figures.extend(Spent::between(&from, &to).figures());
    figures.push(mark::latency("latency_p50_ms", &latencies, 50.0));
    figures.push(mark::latency("latency_p99_ms", &latencies, 99.0));
    figures.push(mark::latency("latency_p99.9_ms", &latencies, 99.9));
    figures.extend(stage.faults().figures());
    Ok(figures)
}

fn storm(server: &Server, members: usize, room_size: u32, at_once: usize) -> Result<Vec<Figure>> {
    let rooms = (members as u32).div_ceil(room_size);
    let (mut stage, mut storm) = Stage::storm(server, members, Rooms::of(rooms), at_once)?;
    let rested = stage.rest()?.at;
    let parked = stage.age_at(rested);
    // Whoever is there gets something.
    for _ in 0..rooms {
        stage.publish(0)?;
        stage.await_deliveries()?;
    }
    stage.settle()?;
    storm.connect_micros.sort_unstable();
    storm.session_micros.sort_unstable();
    let present = members as f64 - storm.failed() as f64;
    let mut figures = vec![
        Figure::median("connected_and_parked_per_s", present / parked.as_secs_f64()),
        mark::latency("connect_p50_ms", &storm.connect_micros, 50.0),
        mark::latency("connect_p99_ms", &storm.connect_micros, 99.0),
        mark::latency("connect_worst_ms", &storm.connect_micros, 100.0),
        mark::latency("session_p50_ms", &storm.session_micros, 50.0),
        mark::latency("session_p99_ms", &storm.session_micros, 99.0),
        mark::latency("session_worst_ms", &storm.session_micros, 100.0),
        Figure::fault("connects_refused", storm.refused),
        Figure::fault("connects_reset", storm.reset),
        Figure::fault("connects_timed_out", storm.timed_out),
        Figure::fault("connects_failed_otherwise", storm.failed_otherwise),
    ];
    figures.extend(stage.faults().figures());
    Ok(figures)
}
