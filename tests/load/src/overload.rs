//! `volley-load overload`: publishers at ten times what the server can do, and what it does about them.
//!
//! A rule that works for a known time (the probe's `spin`) makes the lanes the bottleneck. Measured first is what one
//! publish takes when nobody else publishes, then the capacity: events accepted from publishers that wait for their
//! answers. Then publishes are sent at a multiple of that, whatever comes back, while subscribers poll, and every 50 ms
//! somebody connects and opens a session. Then the load ends, and single publishes show how long it takes to recover.
//!
//! Memory is bounded by
//!
//! ```text
//! resident at rest
//!   + lanes * (lane_queue_bytes_max + lane_queue_events_max * EVENT_BYTES)    waiting events
//!   + lanes * instance_bytes_max                                              what the rule may grow to
//!   + mailboxes_bytes_max + sessions * one message                            what subscribers have not read
//!   + bodies_bytes_max                                                        bodies that are coming in
//!   + connections * (request_head_bytes_max + CONNECTION_BYTES)               requests that are being served
//!   + sessions * SESSION_BYTES
//! ```
//!
//! for one rule under load; each further one has lanes of its own. It fails when accepted events flow at less than 70 %
//! of the capacity, a refusal is no 503 with Retry-After or is not immediate, somebody cannot connect, memory exceeds the
//! bound, an accepted event did not reach a subscriber (or lies in no gap), or recovery takes longer than seconds.

mod figures;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::value_parser;

use crate::child::{Server, System, words};
use crate::client::{Came, Client, Then};
use crate::dialect::{Dialect, read_gap, read_polled, write_post};
use crate::percentile::percentile;
use crate::process;
use crate::response::Response;
use crate::soak::Probe;
use figures::{Bound, Figures, Seconds};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `volley` binary
    #[arg(long, value_name = "PATH")]
    volley: PathBuf,
    /// The component of tests/guests/probe [default: built from source by the binary, which takes some seconds]
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// How long the overload lasts
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many times the capacity is published
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=100))]
    factor: u32,
    /// What the rule works for one event, in microseconds
    #[arg(long, default_value_t = 4000, value_parser = value_parser!(u32).range(100..=100_000))]
    spin_us: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Small, so that the bound says something.
const LIMITS: [(&str, u64); 8] = [
    // The rule works by the clock: a lane that gets no core for long is not to be taken for a rule that loops.
    ("route_ms_max", 5_000),
    ("lane_queue_events_max", 128),
    ("lane_queue_bytes_max", MIB),
    ("mailboxes_bytes_max", 8 * MIB),
    ("bodies_bytes_max", 8 * MIB),
    ("instance_bytes_max", 4 * MIB),
    ("request_head_bytes_max", 8 * KIB),
    ("connections_max", 4000),
];
const TOPICS: u32 = 16;
const SUBSCRIBERS_PER_TOPIC: usize = 2;
/// More publishes are not under way at once; what the schedule has beyond that is told as not offered.
const PUBLISHERS: usize = 2000;
/// All of them together are fewer than a queue holds.
const CLOSED_LOOP_PUBLISHERS_PER_TOPIC: usize = 4;
const UNLOADED_PUBLISHES: usize = 200;
const CAPACITY_TIME: Duration = Duration::from_secs(3);
/// At first the queues fill.
const FILLING_TIME: Duration = Duration::from_millis(500);
const FRESH_EVERY: Duration = Duration::from_millis(50);
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(50);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const TURN: Duration = Duration::from_millis(1);
/// So many publishes in a row are quick again.
const RECOVERED_PUBLISHES: usize = 10;

/// Recovered is: half of them take no longer than twice what they took before.
const SLOWER_THAN_UNLOADED_MAX: f64 = 2.0;

/// What a connection is for.
enum Role {
    Subscriber(usize),
    Publisher,
    /// Opens a session; since when.
    Fresh(Instant),
}

struct Subscriber {
    topic: u32,
    token: Option<Box<str>>,
    cursor: u64,
    received: HashSet<u32>,
    dropped: u64,
}

/// A publish that has no answer yet.
struct UnderWay {
    number: u32,
    topic: u32,
    sent: Instant,
}

/// What has come so far.
#[derive(Default)]
struct Tally {
    /// Number and topic.
    accepted: Vec<(u32, u32)>,
    accepted_micros: Vec<u32>,
    refusal_micros: Vec<u32>,
    fresh_micros: Vec<u32>,
    fresh_refused: u64,
    without_retry_after: u64,
    miscounted: u64,
    doubled: u64,
}

struct Load {
    client: Client,
    server: Server,
    spin_us: u32,
    roles: Vec<Role>,
    subscribers: Vec<Subscriber>,
    idle: VecDeque<usize>,
    under_way: HashMap<usize, UnderWay>,
    published: u32,
    tally: Tally,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let volley = options.volley.canonicalize().with_context(|| options.volley.display().to_string())?;
    let probe = Probe::find(options.probe.as_deref(), &volley)?;
    let probe_path = probe.file.to_str().context("a path that is no text")?;
    let mut arguments = words(&["--plugin", &format!("probe={probe_path}"), "--route", "room.>=probe"]);
    for (name, value) in LIMITS {
        arguments.extend(["--limit".into(), format!("{name}={value}")]);
    }
    let server = Server::start(&System::volley(volley, arguments), &[])?;
    let mut load = Load::start(server, options.spin_us)?;
    let figures = load.measure(options).map_err(|error| load.server.explain(&error))?;
    if options.json {
        println!("{:#}", figures.json());
    } else {
        print!("{}", figures.table());
    }
    let faults = figures.faults();
    ensure!(faults.is_empty(), "overload: {}", faults.join("; "));
    Ok(())
}

impl Load {
    /// Everybody is connected, and the subscribers have sent their polls.
    fn start(server: Server, spin_us: u32) -> Result<Self> {
        let mut load = Self {
            client: Client::new(None)?,
            server,
            spin_us,
            roles: Vec::new(),
            subscribers: Vec::new(),
            idle: VecDeque::new(),
            under_way: HashMap::new(),
            published: 0,
            tally: Tally::default(),
        };
        for index in 0..TOPICS as usize * SUBSCRIBERS_PER_TOPIC {
            let topic = index as u32 % TOPICS;
            let received = HashSet::new();
            load.subscribers.push(Subscriber { topic, token: None, cursor: 0, received, dropped: 0 });
            let id = load.connect(Role::Subscriber(index))?;
            load.client
                .send(id, |out| write_post("/v1/sessions", &format!(r#"{{"topics":["room.{topic}"]}}"#), out))?;
        }
        load.run_until("the subscribers to be there", |load| load.subscribers.iter().all(|own| own.token.is_some()))?;
        for _ in 0..PUBLISHERS {
            let id = load.connect(Role::Publisher)?;
            load.idle.push_back(id);
        }
        Ok(load)
    }

    fn connect(&mut self, role: Role) -> Result<usize> {
        self.roles.push(role);
        self.client.connect(self.server.listen())
    }

    fn turn(&mut self) -> Result<usize> {
        let Self { client, roles, subscribers, idle, under_way, tally, .. } = self;
        client.turn(TURN, |id, came, out| {
            let response = match came {
                Came::Response(response) => response,
                Came::Broken(error) => return Err(error),
                Came::Connected | Came::Rested => return Ok(Then::Idle),
            };
            match &roles[id] {
                Role::Subscriber(index) => {
                    subscribers[*index].take(&response, tally)?;
                    subscribers[*index].write_poll(out);
                    Ok(Then::Send)
                }
                Role::Publisher => {
                    idle.push_back(id);
                    tally.take(&under_way.remove(&id).context("an answer to nothing")?, &response)?;
                    Ok(Then::Idle)
                }
                Role::Fresh(since) => {
                    tally.fresh_micros.push(since.elapsed().as_micros() as u32);
                    tally.fresh_refused += u64::from(response.status != 201);
                    Ok(Then::Idle)
                }
            }
        })
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            self.turn()?;
            ensure!(start.elapsed() < ANSWER_TIME_MAX, "waited {ANSWER_TIME_MAX:?} for {what}");
        }
        Ok(())
    }

    /// Sends one more publish, on the topics in turn; false when all connections have one under way.
    fn publish(&mut self) -> Result<bool> {
        self.publish_on((self.published + 1) % TOPICS)
    }

    fn publish_on(&mut self, topic: u32) -> Result<bool> {
        let Some(id) = self.idle.pop_front() else { return Ok(false) };
        self.published += 1;
        let (number, spin_us) = (self.published, self.spin_us);
        let body = format!(r#"{{"do":"spin","us":{spin_us},"load":[{topic},{number},0]}}"#);
        self.client.send(id, |out| write_post(&format!("/v1/topics/room.{topic}/events"), &body, out))?;
        self.under_way.insert(id, UnderWay { number, topic, sent: Instant::now() });
        Ok(true)
    }

    /// Publishes, waits for the answer, and tells how long it took; none if it was refused.
    fn publish_one(&mut self) -> Result<Option<f64>> {
        let before = self.tally.accepted.len();
        let start = Instant::now();
        ensure!(self.publish()?, "no connection is free");
        self.run_until("the answer to a publish", |load| load.under_way.is_empty())?;
        let accepted = self.tally.accepted.len() > before;
        Ok(accepted.then(|| start.elapsed().as_secs_f64() * 1e3))
    }

    fn measure(&mut self, options: &Options) -> Result<Figures> {
        let machine_load = process::machine_load()?;
        let mut unloaded = Vec::new();
        for _ in 0..UNLOADED_PUBLISHES {
            unloaded.push(self.publish_one()?.context("a single publish was refused")?);
        }
        unloaded.sort_by(f64::total_cmp);
        let unloaded_ms = unloaded[unloaded.len() / 2];
        let capacity = self.capacity()?;
        let rest = process::memory(self.server.pid())?.resident_bytes;
        let (accepted_before, published_before) = (self.tally.accepted.len(), self.published);
        self.tally.accepted_micros.clear();
        self.tally.refusal_micros.clear();
        let rate = capacity * f64::from(options.factor);
        let flood = self.flood(rate, Duration::from_secs(options.seconds))?;
        let ended = Instant::now();
        let recovery = self.recover(unloaded_ms, ended)?;
        self.run_until("the subscribers to have all", |load| load.lost() == 0 || load.under_way.is_empty())?;
        self.quiet()?;
        let lanes = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let connections = self.roles.len() as u64;
        let sessions = (self.subscribers.len() + self.tally.fresh_micros.len()) as u64;
        let tally = &mut self.tally;
        tally.accepted_micros.sort_unstable();
        tally.refusal_micros.sort_unstable();
        tally.fresh_micros.sort_unstable();
        let dropped = self.subscribers.iter().map(|own| own.dropped).sum();
        let lost = self.lost();
        let tally = &self.tally;
        Ok(Figures {
            machine_load,
            unloaded_ms,
            capacity,
            asked: rate,
            offered: f64::from(self.published - published_before) / options.seconds as f64,
            flow: flood.accepted_per_s,
            worst_second: flood.accepted_in_worst_second,
            accepted: (tally.accepted.len() - accepted_before) as u64,
            refused: tally.refusal_micros.len() as u64,
            accepted_ms: [50.0, 99.0, 99.9].map(|percent| millis(&tally.accepted_micros, percent)),
            refusal_ms: [50.0, 99.0, 100.0].map(|percent| millis(&tally.refusal_micros, percent)),
            fresh: tally.fresh_micros.len() as u64,
            fresh_ms: [50.0, 99.0, 100.0].map(|percent| millis(&tally.fresh_micros, percent)),
            fresh_refused: tally.fresh_refused,
            without_retry_after: tally.without_retry_after,
            miscounted: tally.miscounted,
            doubled: tally.doubled,
            lost,
            dropped,
            memory: Bound::new(rest, lanes, connections, sessions),
            peak: flood.peak_bytes,
            recovery,
        })
    }

    /// Events accepted a second from publishers that wait for their answers.
    fn capacity(&mut self) -> Result<f64> {
        let before = self.tally.accepted.len();
        let start = Instant::now();
        while start.elapsed() < CAPACITY_TIME {
            // Each topic has its own publishers: which lane a topic goes to is not for us to know, and none may run dry.
            for topic in 0..TOPICS {
                let busy = self.under_way.values().filter(|publish| publish.topic == topic).count();
                for _ in busy..CLOSED_LOOP_PUBLISHERS_PER_TOPIC {
                    self.publish_on(topic)?;
                }
            }
            self.turn()?;
        }
        let capacity = (self.tally.accepted.len() - before) as f64 / start.elapsed().as_secs_f64();
        self.run_until("the last answers", |load| load.under_way.is_empty())?;
        ensure!(capacity > 0.0, "nothing was accepted");
        Ok(capacity)
    }

    /// Publishes at that rate, whatever comes back.
    fn flood(&mut self, rate: f64, time: Duration) -> Result<Flood> {
        let start = Instant::now();
        let (mut due_before, mut filled) = (0, None);
        let mut seconds = Seconds::default();
        let (mut fresh_at, mut memory_at, mut peak_bytes) = (start, start, 0);
        while start.elapsed() < time {
            let due = (start.elapsed().as_secs_f64() * rate) as u64;
            // What cannot be sent now is not sent later: the schedule does not wait for the server.
            for _ in due_before..due {
                if !self.publish()? {
                    break;
                }
            }
            due_before = due;
            self.turn()?;
            let now = Instant::now();
            if now >= fresh_at {
                fresh_at = now + FRESH_EVERY;
                let id = self.connect(Role::Fresh(now))?;
                self.client.send(id, |out| write_post("/v1/sessions", "{}", out))?;
            }
            if now >= memory_at {
                memory_at = now + LOOK_AT_MEMORY_EVERY;
                peak_bytes = peak_bytes.max(process::memory(self.server.pid())?.resident_bytes);
            }
            if filled.is_some() {
                seconds.note(now, self.tally.accepted.len());
            }
            if filled.is_none() && start.elapsed() > FILLING_TIME {
                filled = Some((now, self.tally.accepted.len()));
            }
        }
        let (since, before) = filled.unwrap_or((start, 0));
        let accepted_per_s = (self.tally.accepted.len() - before) as f64 / since.elapsed().as_secs_f64();
        let accepted_in_worst_second = seconds.worst.unwrap_or(accepted_per_s);
        Ok(Flood { accepted_per_s, accepted_in_worst_second, peak_bytes })
    }

    /// How long after the end of the load single publishes are quick again; none if they are not in time.
    fn recover(&mut self, unloaded_ms: f64, ended: Instant) -> Result<Option<Duration>> {
        self.run_until("the answers of the overload", |load| load.under_way.is_empty())?;
        while ended.elapsed() < 2 * figures::RECOVERY_MAX {
            let since = ended.elapsed();
            let mut times = Vec::new();
            for _ in 0..RECOVERED_PUBLISHES {
                times.push(self.publish_one()?.unwrap_or(f64::INFINITY));
            }
            times.sort_by(f64::total_cmp);
            if times[RECOVERED_PUBLISHES / 2] <= unloaded_ms * SLOWER_THAN_UNLOADED_MAX {
                return Ok(Some(since));
            }
        }
        Ok(None)
    }

    /// Waits until nothing comes any more: a double would come after its first.
    fn quiet(&mut self) -> Result<()> {
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(300) {
            if self.turn()? > 0 {
                last = Instant::now();
            }
        }
        Ok(())
    }

    /// Deliveries that neither came nor lie in a gap.
    fn lost(&self) -> u64 {
        let of = |own: &Subscriber| {
            let due = self.tally.accepted.iter().filter(|(_, topic)| *topic == own.topic).count() as u64;
            due.abs_diff(own.received.len() as u64 + own.dropped)
        };
        self.subscribers.iter().map(of).sum()
    }
}

struct Flood {
    accepted_per_s: f64,
    accepted_in_worst_second: f64,
    peak_bytes: u64,
}

impl Subscriber {
    fn take(&mut self, response: &Response<'_>, tally: &mut Tally) -> Result<()> {
        if self.token.is_none() {
            let opened = Dialect::Volley.read_opened(response)?;
            self.token = Some(opened.token);
            return Ok(());
        }
        let (topic, received, mut foreign) = (self.topic, &mut self.received, false);
        self.cursor = read_polled(response, |message| {
            foreign |= message.room != topic;
            tally.doubled += u64::from(!received.insert(message.number));
        })?;
        ensure!(!foreign, "a message of a topic that was not joined");
        self.dropped += read_gap(response);
        Ok(())
    }

    fn write_poll(&self, out: &mut Vec<u8>) {
        Dialect::Volley.write_poll(self.topic, self.token.as_deref().unwrap_or_default(), self.cursor, out);
    }
}

impl Tally {
    fn take(&mut self, publish: &UnderWay, response: &Response<'_>) -> Result<()> {
        let micros = publish.sent.elapsed().as_micros() as u32;
        match response.status {
            200 => {
                let recipients = Dialect::Volley.read_published(response)?;
                self.miscounted += u64::from(recipients != SUBSCRIBERS_PER_TOPIC as u64);
                self.accepted.push((publish.number, publish.topic));
                self.accepted_micros.push(micros);
            }
            503 => {
                self.without_retry_after += u64::from(response.header("retry-after").is_none());
                self.refusal_micros.push(micros);
            }
            _ => bail!(response.unexpected("a publish")),
        }
        Ok(())
    }
}

fn millis(sorted_micros: &[u32], percent: f64) -> f64 {
    percentile(sorted_micros, percent).map_or(0.0, f64::from) / 1e3
}
