//! Work queues. Each job that is put into a topic goes to one of the workers that have joined it; if that one does not
//! acknowledge it in time, it goes to another one.
//!
//! Anybody puts jobs in; without an `id` it is the event's. Workers say when one is done, or that they give it back:
//!
//! ```json
//! {"put": {"id": "order-7", "data": {"any": "thing"}}}
//! {"ack": "order-7"}
//! {"nack": "order-7"}
//! ```
//!
//! A worker receives
//!
//! ```json
//! {"job": "order-7", "attempt": 1, "data": {"any": "thing"}}
//! ```
//!
//! Config, with its defaults: `{"ack_ms": 30000, "attempts_max": 5, "jobs_per_worker": 1}`.
//!
//! - Who joins is a worker, and has `jobs_per_worker` at a time. A job goes to the one that has the fewest, of those to
//!   the one that has waited longest. The oldest job goes first; while there is no worker it waits.
//! - A job comes **at least once**: a worker that is late may have done it. After `ack_ms`, a nack, or when its worker
//!   leaves or ends, it is another attempt's; who has lost it in this way and acknowledges it all the same gets a 403.
//! - After `attempts_max` attempts a job is dead: for a week an operator finds it in the table `dead` (`volley tables dump
//!   queue:dead`), and a line in the log.
//! - A worker that leaves or ends while another rule routes the topic is not missed: its jobs come back when they are late,
//!   but it is given more, and each is an attempt. So let a queue's topics be the queue's.
//! - An `id` that is in the queue already is a 403, so a put may be repeated until its job is done. It has 64 bytes at
//!   most, a job's data 64 KiB; more is a 400.
//!
//! # What is kept
//!
//! Jobs are durable, workers and timers are not: after a restart the first worker that joins a queue finds all its jobs
//! again, also those that somebody had; that attempt does not count. The table `data` has room for 100,000 jobs of all
//! queues, or 256 MiB of their data; then a put is a 403 with the host's words, and all else goes on (a server whose
//! `table_objects_max` is below 102,000 has no room for that). `jobs` has where each of them is, `workers` and `ready` have the workers, and the order in which they get jobs.
//!
//! A job that does not fit into its worker's mailbox any more (`mailbox_bytes_max`) comes to nothing and is an attempt: so
//! `jobs_per_worker` times the size of a job should be well below that.
//!
//! # What it costs
//!
//! About 20 calls of the host from put to ack, however many jobs and workers there are, and one timer while a worker has
//! the job. A queue is one topic, so one lane works at it.

mod job;
mod queue;
mod worker;

use serde::Deserialize;
use serde_json::value::RawValue;
use volley_plugin::{Event, Info, Kind, Options, Outcome, Pid, Refusal, Rule, Table, config, export_rule};

use job::{Entry, Job};
use queue::Queue;
use worker::Worker;

struct Queues {
    config: Config,
    data: Table<[u8], Job>,
    jobs: Table<[u8], Entry>,
    dead: Table<[u8], Box<RawValue>>,
    workers: Table<[u8], Worker>,
    ready: Table<[u8], Pid>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    ack_ms: u64,
    attempts_max: u32,
    jobs_per_worker: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { ack_ms: 30_000, attempts_max: 5, jobs_per_worker: 1 }
    }
}

/// What is published.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Command<'a> {
    Put {
        id: Option<String>,
        #[serde(borrow)]
        data: &'a RawValue,
    },
    Ack(String),
    Nack(String),
}

const ACK_MS: std::ops::RangeInclusive<u64> = 100..=86_400_000;
/// With it, what one event may hand out stays far below 255 jobs, the byte of a load.
const JOBS_PER_WORKER_MAX: u8 = 100;
/// The tables of the unit tests are slow.
const JOBS_MAX: u64 = if cfg!(test) { 200 } else { 100_000 };
const DATA: Options = Options::set().durable().max_objects(JOBS_MAX).max_bytes(256 << 20);
/// A job is one object here, of less than a kilobyte, and two while it changes hands.
const JOBS: Options = Options::ordered_set().durable().max_objects(JOBS_MAX + 2_000).max_bytes(128 << 20);
const DEAD: Options = Options::ordered_set().durable().ttl(std::time::Duration::from_hours(7 * 24));
const WORKERS: Options = Options::ordered_set().max_objects(100_000);

impl Rule for Queues {
    fn info() -> Info {
        Info {
            name: "queue",
            version: env!("CARGO_PKG_VERSION"),
            description: "each job to one worker, until it is done",
        }
    }

    fn init(text: &str) -> Result<Self, String> {
        let config: Config = config(text)?;
        if !ACK_MS.contains(&config.ack_ms) {
            return Err(format!("ack_ms is from {} to {}", ACK_MS.start(), ACK_MS.end()));
        }
        if config.attempts_max == 0 {
            return Err("attempts_max is at least 1".into());
        }
        if !(1..=JOBS_PER_WORKER_MAX).contains(&config.jobs_per_worker) {
            return Err(format!("jobs_per_worker is from 1 to {JOBS_PER_WORKER_MAX}"));
        }
        Ok(Self {
            config,
            data: Table::open("data", DATA)?,
            jobs: Table::open("jobs", JOBS)?,
            dead: Table::open("dead", DEAD.max_objects(10_000))?,
            workers: Table::open("workers", WORKERS)?,
            ready: Table::open("ready", WORKERS)?,
        })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        let queue = Queue { tables: self, topic: &event.topic, event: event.id };
        match (event.kind, event.sender) {
            (Kind::Publish, sender) => match event.json()? {
                Command::Put { id, data } => queue.put(id.unwrap_or_else(|| event.id.to_string()), data)?,
                Command::Ack(id) => queue.ack(sender, &id)?,
                Command::Nack(id) => queue.nack(sender, &id)?,
            },
            (Kind::Join, Some(pid)) => queue.enter(pid)?,
            (Kind::Leave | Kind::Exit(_), Some(pid)) => queue.quit(pid)?,
            (Kind::Timer, _) => queue.late(&event.json()?)?,
            _ => {}
        }
        Ok(queue.hand_out())
    }
}

export_rule!(Queues);

#[cfg(test)]
mod tests;
