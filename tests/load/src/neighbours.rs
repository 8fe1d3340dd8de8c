//! The neighbours workload: many small rooms chat at a fixed rate, first alone, then while one large room gets one
//! broadcast after the other. The large room is driven by a thread of its own: small rooms are not to wait for its
//! answers to be read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::child::Server;
use crate::crowd::Rooms;
use crate::faults::Faults;
use crate::mark;
use crate::report::Figure;
use crate::stage::Stage;

/// Messages a second of all small rooms together: far below what any of the servers can do.
const MESSAGES_PER_S: u64 = 200;
const TURN: Duration = Duration::from_millis(20);
/// The phases of a run: nothing in the large room, broadcasts there, and the end.
const QUIET: u8 = 0;
const BROADCASTS: u8 = 1;
const OVER: u8 = 2;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbours {
    /// Members of the large room.
    pub(crate) members: usize,
    pub(crate) rooms: u32,
    pub(crate) room_size: u32,
    /// Of each phase.
    pub(crate) time: Duration,
}

/// What the large room saw.
struct Large {
    lasts: Vec<u32>,
    faults: Faults,
}

impl Neighbours {
    /// How many connections the driver opens.
    pub(crate) fn connections(self) -> usize {
        self.members + self.rooms as usize * (self.room_size as usize + 1) + 1
    }

    pub(crate) fn run(self, server: &Server) -> Result<Vec<Figure>> {
        let rooms = Rooms { first: 1, count: self.rooms };
        let members = self.rooms as usize * self.room_size as usize;
        let mut small = Stage::open(server, members, rooms, self.rooms as usize)?;
        let phase = AtomicU8::new(QUIET);
        let (ready, is_ready) = mpsc::channel();
        let (quiet, loaded, large) = thread::scope(|scope| {
            let large = scope.spawn(|| large_room(server, self.members, &phase, ready));
            let measured = self.chat(&mut small, &is_ready, &phase);
            // Also after an error: it would wait for ever.
            phase.store(OVER, Ordering::Relaxed);
            let large = large.join().map_err(|_| anyhow!("the driver's thread panicked"))??;
            let (quiet, loaded) = measured?;
            Ok::<_, anyhow::Error>((quiet, loaded, large))
        })?;
        small.await_deliveries()?;
        small.settle()?;
        Ok(figures(&quiet, &loaded, &large, small.faults() + large.faults))
    }

    /// The latencies of the small rooms, alone and beside the broadcasts.
    fn chat(self, small: &mut Stage, is_ready: &Receiver<()>, phase: &AtomicU8) -> Result<(Vec<u32>, Vec<u32>)> {
        is_ready.recv().context("the large room could not be opened")?;
        small.settle()?;
        let mut chat = Chat { stage: small, waiting: VecDeque::new(), next: 0 };
        let quiet = chat.run_for(self.time)?;
        phase.store(BROADCASTS, Ordering::Relaxed);
        Ok((quiet, chat.run_for(self.time)?))
    }
}

fn figures(quiet: &[u32], loaded: &[u32], large: &Large, faults: Faults) -> Vec<Figure> {
    let [quiet_p99, loaded_p99] = [quiet, loaded].map(|sorted| mark::millis(sorted, 99.0));
    let mut figures = vec![
        mark::latency("quiet_p50_ms", quiet, 50.0),
        Figure::median("quiet_p99_ms", quiet_p99),
        mark::latency("beside_broadcasts_p50_ms", loaded, 50.0),
        Figure::median("beside_broadcasts_p99_ms", loaded_p99),
        Figure::median("p99_times_quiet", loaded_p99 / quiet_p99),
        mark::latency("last_of_broadcast_ms", &large.lasts, 50.0),
        Figure::median("broadcasts", large.lasts.len() as f64),
    ];
    figures.extend(faults.figures());
    figures
}

/// The small rooms: each has its publisher, and they take turns at a fixed rate, whatever comes back.
struct Chat<'a> {
    stage: &'a mut Stage,
    /// Publishers whose turn has come while their last publish had no answer yet, and when that was.
    waiting: VecDeque<(usize, u64)>,
    next: usize,
}

impl Chat<'_> {
    /// The latencies of that time, in order. They count from when a publish was due: a server that is late with its
    /// answers does not get fewer of them.
    fn run_for(&mut self, time: Duration) -> Result<Vec<u32>> {
        let clock = self.stage.clock();
        let interval = 1_000_000 / MESSAGES_PER_S;
        let mut due = clock.micros();
        let end = due + time.as_micros() as u64;
        self.stage.crowd.tally.latencies.clear();
        while clock.micros() < end {
            while due <= clock.micros() {
                self.waiting.push_back((self.next, due));
                self.next = (self.next + 1) % self.stage.publishers.len();
                due += interval;
            }
            for _ in 0..self.waiting.len() {
                let Some((publisher, micros)) = self.waiting.pop_front() else { break };
                if self.stage.publishers.is_busy(publisher) {
                    self.waiting.push_back((publisher, micros));
                } else {
                    self.stage.publish_stamped(publisher, micros)?;
                }
            }
            self.stage.turn(Duration::from_micros(due.saturating_sub(clock.micros())))?;
        }
        let mut latencies = std::mem::take(&mut self.stage.crowd.tally.latencies);
        latencies.sort_unstable();
        Ok(latencies)
    }
}

/// Opens the large room, says so, and waits; then each broadcast follows as soon as everybody has the one before.
fn large_room(server: &Server, members: usize, phase: &AtomicU8, ready: Sender<()>) -> Result<Large> {
    let mut stage = Stage::open(server, members, Rooms::of(1), 1)?;
    stage.settle()?;
    // Whoever does not wait for it any more has failed, and says so.
    let _ = ready.send(());
    drop(ready);
    while phase.load(Ordering::Relaxed) == QUIET {
        stage.turn(TURN)?;
    }
    let mut lasts = Vec::new();
    while phase.load(Ordering::Relaxed) == BROADCASTS {
        stage.crowd.tally.latencies.clear();
        stage.publish(0)?;
        stage.await_deliveries()?;
        lasts.extend(stage.crowd.tally.latencies.iter().max());
    }
    stage.rest()?;
    lasts.sort_unstable();
    Ok(Large { lasts, faults: stage.faults() })
}
