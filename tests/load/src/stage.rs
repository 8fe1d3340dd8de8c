//! A server, its crowd and its publishers, ready for a workload: brings the crowd in, turns the loop, waits for quiet,
//! and tells whether all that was published arrived, once and in order.

mod storm;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::child::Server;
use crate::client::{Came, Client, Then};
use crate::cpu::CpuTime;
use crate::crowd::{Clock, Crowd, Rooms};
use crate::dialect::{Dialect, Message};
use crate::faults::Faults;
use crate::mark::Mark;
use crate::process;
use crate::publish::Publishers;

/// Sessions being opened at once. Below every listen backlog, so that no SYN is lost (that costs a second).
const OPENING_MAX: usize = 64;
const OPEN_TIME_MAX: Duration = Duration::from_mins(2);
/// Quiet is: in this long, twice in a row, no answer, little CPU and no growth to speak of.
const QUIET_WINDOW: Duration = Duration::from_millis(100);
const QUIET_CPU_SECONDS: f64 = 0.011;
const QUIET_GROWTH_BYTES: u64 = 64 * 1024;
/// At rest is: in this long, twice in a row, no answer and a twentieth of a core at most.
const REST_WINDOW: Duration = Duration::from_millis(10);
const REST_CPU_SECONDS: f64 = 0.0005;
/// A server that never rests is measured as it is; its settle time then says so.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(20);
const TURN: Duration = Duration::from_millis(20);
/// What was published has this long to arrive, and comes without a pause of the second length, or counts as lost.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(30);
const ARRIVAL_PAUSE_MAX: Duration = Duration::from_secs(3);
const GREETING_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    client: Client,
    pub(crate) crowd: Crowd,
    pub(crate) publishers: Publishers,
    clock: Clock,
    dialect: Dialect,
    pid: u32,
    /// When the first of the crowd began to connect.
    began: Instant,
    /// Deliveries that are not waited for any more.
    given_up: u64,
}

/// A reading of a server that has come to rest.
pub(crate) struct Rest {
    pub(crate) at: Instant,
    pub(crate) server: CpuTime,
    /// What it used in a window without work; the reading has one in it.
    pub(crate) idle_seconds: f64,
}

impl Stage {
    /// Connects everybody and returns when all of the crowd have a session and have sent their poll.
    pub(crate) fn open(server: &Server, members: usize, rooms: Rooms, publishers: usize) -> Result<Self> {
        let mut stage = Self::empty(server, members, rooms, publishers)?;
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

    /// Nobody is connected yet.
    fn empty(server: &Server, members: usize, rooms: Rooms, publishers: usize) -> Result<Self> {
        let (dialect, clock) = (server.dialect(), Clock::start());
        if dialect.needs_greeting() {
            greet(dialect, server.listen(), rooms)?;
        }
        Ok(Self {
            client: Client::new(server.tls().cloned())?,
            crowd: Crowd::new(dialect, clock, members, rooms),
            publishers: Publishers::new(dialect, clock, publishers, rooms),
            clock,
            dialect,
            pid: server.pid(),
            began: Instant::now(),
            given_up: 0,
        })
    }

    /// Lets `publisher` send one publish.
    pub(crate) fn publish(&mut self, publisher: usize) -> Result<()> {
        let (crowd, publishers) = (&mut self.crowd, &mut self.publishers);
        let id = crowd.len() + publisher;
        self.client.send(id, |out| publishers.write(publisher, crowd, out))
    }

    /// Lets `publisher` send the publish that was to be sent at that time of the stage's clock.
    pub(crate) fn publish_stamped(&mut self, publisher: usize, micros: u64) -> Result<()> {
        let (crowd, publishers) = (&mut self.crowd, &mut self.publishers);
        let id = crowd.len() + publisher;
        self.client.send(id, |out| publishers.write_stamped(publisher, micros, crowd, out))
    }

    /// How long ago the first of the crowd began to connect.
    pub(crate) fn age_at(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.began)
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// One turn of the client's loop; returns how many responses came.
    pub(crate) fn turn(&mut self, timeout: Duration) -> Result<usize> {
        let (crowd, publishers) = (&mut self.crowd, &mut self.publishers);
        let members = crowd.len();
        self.client.turn(timeout, |id, came, out| {
            if id < members { crowd.take(id, came, out) } else { publishers.take(id - members, came, crowd, out) }
        })
    }

    pub(crate) fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(TURN)?;
        }
        Ok(())
    }

    /// Turns until all that was published is here. What does not come in time is given up, here and from now on: a server
    /// that loses costs that time once.
    pub(crate) fn await_deliveries(&mut self) -> Result<()> {
        let start = Instant::now();
        let (mut came, mut came_at) = (self.crowd.tally.deliveries, start);
        while !self.all_delivered() {
            self.turn(TURN)?;
            if came != self.crowd.tally.deliveries {
                (came, came_at) = (self.crowd.tally.deliveries, Instant::now());
            }
            if came_at.elapsed() > ARRIVAL_PAUSE_MAX || start.elapsed() > ARRIVAL_TIME_MAX {
                self.given_up = self.publishers.due.saturating_sub(came);
                break;
            }
        }
        Ok(())
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
            let quiet = came == 0
                && now.0.seconds_since(&before.0) <= QUIET_CPU_SECONDS
                && now.1.abs_diff(before.1) <= QUIET_GROWTH_BYTES;
            quiet_windows = if quiet { quiet_windows + 1 } else { 0 };
            before = now;
        }
        Ok(start.elapsed().saturating_sub(2 * QUIET_WINDOW))
    }

    fn vitals(&self) -> Result<(CpuTime, u64)> {
        let resident_bytes = process::family_memory_quickly(self.pid)?.resident_bytes;
        Ok((CpuTime::of_family(self.pid)?, resident_bytes))
    }

    /// Turns until the server has worked off what came, the polls that follow answers included; soon, but not as sure as
    /// [`Self::settle`].
    pub(crate) fn rest(&mut self) -> Result<Rest> {
        let start = Instant::now();
        let mut before = (start, CpuTime::of_family(self.pid)?);
        let mut quiet_windows = 0;
        loop {
            let window_end = Instant::now() + REST_WINDOW;
            let mut came = 0;
            while Instant::now() < window_end {
                came += self.turn(window_end.saturating_duration_since(Instant::now()))?;
            }
            let now = (Instant::now(), CpuTime::of_family(self.pid)?);
            let used = now.1.seconds_since(&before.1);
            quiet_windows = if came == 0 && used <= REST_CPU_SECONDS { quiet_windows + 1 } else { 0 };
            // What is left of the work may end in the first of the two, and is in the reading after it.
            if quiet_windows == 2 || start.elapsed() > SETTLE_TIME_MAX {
                return Ok(Rest { at: before.0, server: before.1, idle_seconds: used });
            }
            before = now;
        }
    }

    pub(crate) fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            at: Instant::now(),
            server: CpuTime::of_family(self.pid)?,
            client: CpuTime::of_driver()?,
            deliveries: self.crowd.tally.deliveries,
            responses: self.crowd.tally.responses,
            acknowledged: self.publishers.acknowledged,
        })
    }

    /// Whether all publishes are acknowledged and all deliveries that follow from them are here.
    fn all_delivered(&self) -> bool {
        let delivered = self.crowd.tally.deliveries;
        self.publishers.all_acknowledged() && delivered + self.given_up >= self.publishers.due
    }

    /// To be asked when everything published has had the time to arrive.
    pub(crate) fn faults(&self) -> Faults {
        let (tally, publishers) = (&self.crowd.tally, &self.publishers);
        let expected = self.crowd.expected(&publishers.accepted);
        let lost = if self.dialect.keeps_messages() {
            expected.saturating_sub(self.crowd.distinct())
        } else {
            // Only what was promised can be lost.
            publishers.recipients.saturating_sub(tally.deliveries)
        };
        Faults {
            lost,
            doubled: tally.doubled,
            reordered: tally.reordered,
            misnumbered: tally.misnumbered,
            absent_recipients: expected.saturating_sub(publishers.recipients),
            refused: tally.refused + publishers.refused,
        }
    }
}

/// Publishes a message numbered 0 in each room.
fn greet(dialect: Dialect, server: SocketAddrV4, rooms: Rooms) -> Result<()> {
    let mut client = Client::new(None)?;
    let id = client.connect(server)?;
    let deadline = Instant::now() + GREETING_TIME_MAX;
    for room in rooms.first..rooms.first + rooms.count {
        let mut answered = false;
        client.send(id, |out| dialect.write_publish(Message { room, number: 0, published_micros: 0 }, out))?;
        while !answered {
            ensure!(Instant::now() < deadline, "room {room} is not greeted in {GREETING_TIME_MAX:?}");
            client.turn(TURN, |_, came, _| {
                match came {
                    Came::Broken(error) => return Err(error),
                    Came::Response(response) => answered = dialect.read_published(&response).map(|_| true)?,
                    Came::Connected | Came::Rested => (),
                }
                Ok(Then::Idle)
            })?;
        }
    }
    Ok(())
}
