//! A server, its crowd and its publishers, ready for a workload: brings the crowd in, turns the loop, waits for quiet,
//! and tells whether all that was published arrived, once and in order.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::child::Server;
use crate::client::Client;
use crate::crowd::{Clock, Crowd};
use crate::dialect::Dialect;
use crate::mark::Mark;
use crate::process::{self, Memory};
use crate::publish::Publishers;
use crate::report::Figure;

/// Sessions being opened at once. Below every listen backlog, so that no SYN is lost (that costs a second).
const OPENING_MAX: usize = 64;
const OPEN_TIME_MAX: Duration = Duration::from_mins(2);
/// Quiet is: in this long, twice in a row, no answer, at most a tick of CPU (10 ms) and no growth to speak of.
const QUIET_WINDOW: Duration = Duration::from_millis(100);
const QUIET_CPU_SECONDS: f64 = 0.011;
const QUIET_GROWTH_BYTES: u64 = 64 * 1024;
/// A server that never rests is measured as it is; its settle time then says so.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(20);
const TURN: Duration = Duration::from_millis(20);

pub(crate) struct Stage {
    client: Client,
    pub(crate) crowd: Crowd,
    pub(crate) publishers: Publishers,
    dialect: Dialect,
    pid: u32,
}

impl Stage {
    /// Connects everybody and returns when all of the crowd have a session and have sent their poll.
    pub(crate) fn open(server: &Server, members: usize, rooms: u32, publishers: usize) -> Result<Self> {
        let (dialect, clock) = (server.dialect(), Clock::start());
        let mut stage = Self {
            client: Client::new()?,
            crowd: Crowd::new(dialect, clock, members, rooms),
            publishers: Publishers::new(clock, publishers, rooms),
            dialect,
            pid: server.pid(),
        };
        let deadline = Instant::now() + OPEN_TIME_MAX;
        let mut connected = 0;
        while stage.crowd.tally.opened < members {
            while connected < members && connected - stage.crowd.tally.opened < OPENING_MAX {
                let id = stage.client.connect(server.listen())?;
                stage.client.send(id, |out| stage.crowd.write_open(id, out))?;
                connected += 1;
            }
            stage.turn(TURN)?;
            if Instant::now() > deadline {
                let opened = stage.crowd.tally.opened;
                bail!("only {opened} of {members} sessions opened in {OPEN_TIME_MAX:?}");
            }
        }
        for _ in 0..publishers {
            stage.client.connect(server.listen())?;
        }
        Ok(stage)
    }

    /// Lets `publisher` send one publish.
    pub(crate) fn publish(&mut self, publisher: usize) -> Result<()> {
        let (crowd, publishers) = (&mut self.crowd, &mut self.publishers);
        let id = crowd.len() + publisher;
        self.client.send(id, |out| publishers.write(publisher, crowd, out))
    }

    /// One turn of the client's loop; returns how many responses came.
    fn turn(&mut self, timeout: Duration) -> Result<usize> {
        let (crowd, publishers) = (&mut self.crowd, &mut self.publishers);
        let members = crowd.len();
        self.client.turn(timeout, |id, came, out| {
            if id < members { crowd.take(id, &came, out) } else { publishers.take(id - members, &came, crowd, out) }
        })
    }

    pub(crate) fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(TURN)?;
        }
        Ok(())
    }

    /// Turns until `done`; false if it is not within `time`.
    pub(crate) fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> Result<bool> {
        let end = Instant::now() + time;
        while !done(self) {
            if Instant::now() > end {
                return Ok(false);
            }
            self.turn(TURN)?;
        }
        Ok(true)
    }

    /// Turns until the server is quiet, and returns how long that took. The only way to know that a poll is parked.
    pub(crate) fn settle(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let mut quiet_windows = 0;
        let mut before = self.vitals()?;
        while quiet_windows < 2 && start.elapsed() < SETTLE_TIME_MAX {
            let window_end = Instant::now() + QUIET_WINDOW;
            let mut came = 0;
            while Instant::now() < window_end {
                came += self.turn(TURN)?;
            }
            let now = self.vitals()?;
            let quiet =
                came == 0 && now.0 - before.0 <= QUIET_CPU_SECONDS && now.1.abs_diff(before.1) <= QUIET_GROWTH_BYTES;
            quiet_windows = if quiet { quiet_windows + 1 } else { 0 };
            before = now;
        }
        Ok(start.elapsed().saturating_sub(2 * QUIET_WINDOW))
    }

    fn vitals(&self) -> Result<(f64, u64)> {
        let resident_bytes = process::memory(self.pid)?.resident_bytes;
        Ok((process::cpu_seconds(self.pid)?, resident_bytes))
    }

    pub(crate) fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            at: Instant::now(),
            server_cpu_seconds: process::cpu_seconds(self.pid)?,
            client_cpu_seconds: process::cpu_seconds(std::process::id())?,
            deliveries: self.crowd.tally.deliveries,
            responses: self.crowd.tally.responses,
            acknowledged: self.publishers.acknowledged,
        })
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        process::memory(self.pid)
    }

    /// Whether all publishes are acknowledged and all deliveries they promised are here.
    pub(crate) fn all_delivered(&self) -> bool {
        let delivered = self.crowd.tally.deliveries;
        self.publishers.all_acknowledged() && delivered >= self.publishers.recipients
    }

    /// How often something came that should not have, or did not come; the first four are 0 in a sound run. To be
    /// asked when everything published has had the time to arrive.
    pub(crate) fn faults(&self) -> Vec<Figure> {
        let (tally, publishers) = (&self.crowd.tally, &self.publishers);
        let expected = self.crowd.expected(&publishers.accepted);
        let lost = match self.dialect {
            // Without sessions, a member between two polls is no recipient: only what was promised can be lost.
            Dialect::Limit => publishers.recipients.saturating_sub(tally.deliveries),
            Dialect::Volley => expected.saturating_sub(self.crowd.distinct()),
        };
        vec![
            Figure::fault("lost", lost),
            Figure::fault("doubled", tally.doubled),
            Figure::fault("reordered", tally.reordered),
            Figure::fault("misnumbered", tally.misnumbered),
            Figure::count("absent_recipients", expected.saturating_sub(publishers.recipients)),
            Figure::count("refused_503", tally.refused + publishers.refused),
        ]
    }
}
