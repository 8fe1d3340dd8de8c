//! One round: witnesses in, wanderers loose, all out again, the audit, and a look at what the server has kept.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::audit::{Verdict, audit};
use super::books::Books;
use super::inject::{Inject, Leak};
use super::wanderer::{wander, witness};
use super::world::{Kind, World};
use super::{bounds, limit};
use crate::vitals::{Vitals, metrics};

const ROUND: Duration = Duration::from_secs(5);
const WITNESSES_PER_TOPIC: u32 = 2;
/// Witnesses have their first look at the topics before anybody publishes.
const GATHERING_TIME_MAX: Duration = Duration::from_secs(20);
/// Timers fire, cut requests come in, and what is left lingers out.
const QUIET_TIME_MAX: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Actors need little.
const STACK_BYTES: usize = 512 << 10;
/// A connection that is just being accepted or closed, as the kernel sees it.
const FILES_SLACK: usize = 2;

/// What must be nothing when nobody is there.
const ZERO_AT_REST: [&str; 9] = [
    "volley_sessions",
    "volley_parked_polls",
    "volley_connections",
    "volley_message_bytes",
    "volley_body_bytes",
    "volley_unsent_bytes",
    "volley_topics",
    "volley_group_memberships",
    "volley_lane_queue_events",
];

/// What all rounds have in common.
pub(super) struct Rounds {
    pub(super) server: SocketAddrV4,
    pub(super) admin: SocketAddrV4,
    pub(super) pid: u32,
    /// Instances of rules that there are, whatever happens.
    pub(super) instances: u64,
    pub(super) seed: u64,
    pub(super) sessions: u32,
}

/// What one came to.
pub(super) struct Round {
    number: u32,
    steps: u64,
    pub(super) verdict: Verdict,
    pub(super) findings: Vec<String>,
    pub(super) after: Vitals,
}

impl Round {
    pub(super) fn told(&self) -> String {
        let Self { number, steps, verdict, after, .. } = self;
        format!(
            "round {number}: {steps} steps, {} events, {} deliveries, {} dropped, {} KiB",
            verdict.placed,
            verdict.deliveries,
            verdict.dropped,
            after.resident_bytes >> 10
        )
    }
}

impl Rounds {
    pub(super) fn run(
        &self,
        number: u32,
        before: Vitals,
        inject: Option<Inject>,
    ) -> Result<(Round, BTreeMap<&'static str, u64>)> {
        let linger = Duration::from_millis(limit("linger_ms"));
        let world = World::new(self.server, self.seed, number, bounds(), linger);
        let faults = metrics(self.admin)?["volley_faults_total"];
        let mut books = self.act(&world)?;
        let leak = Leak::of(inject, self.server)?;
        if let Some(inject) = inject {
            inject.falsify(&mut books);
        }
        let mut verdict = audit(&books, &world.topics);
        let mut findings = world.findings();
        findings.append(&mut verdict.findings);
        // Of an event that fails, because its lane gets no core, and that nobody waits for, only the server's counter tells.
        let told = books.tally.iter().filter(|(what, _)| what.starts_with("faults: ")).map(|(_, times)| times);
        let accounted = faults + told.sum::<u64>();
        let untold = metrics(self.admin)?["volley_faults_total"].saturating_sub(accounted);
        if verdict.silent_timers.len() as u64 > untold {
            findings.push(format!("timers did not fire, and {untold} faults: {}", verdict.silent_timers.join(", ")));
        }
        let after = self.at_rest(&world, before, accounted, &mut findings)?;
        drop(leak);
        let steps = books.tally.get("steps").copied().unwrap_or(0);
        Ok((Round { number, steps, verdict, findings, after }, books.tally))
    }

    fn act(&self, world: &World) -> Result<Books> {
        let topics = world.topics.len() as u32;
        let witnesses = topics * WITNESSES_PER_TOPIC;
        thread::scope(|scope| {
            let start = |name: String, run: Box<dyn FnOnce() -> Books + Send>| {
                Builder::new().name(name).stack_size(STACK_BYTES).spawn_scoped(scope, run).context("a thread")
            };
            // Whatever goes wrong, the threads must come to an end before the scope does.
            let end = EndOnDrop(world);
            let mut watching = Vec::new();
            for actor in 0..witnesses {
                let run = Box::new(move || witness(world, actor, (actor % topics) as usize));
                watching.push(start(format!("witness-{actor}"), run)?);
            }
            self.wait("the witnesses to be there", GATHERING_TIME_MAX, |now| {
                now["volley_sessions"] >= witnesses.into()
            })?;
            let mut wandering = Vec::new();
            for actor in witnesses..self.sessions {
                wandering.push(start(format!("wanderer-{actor}"), Box::new(move || wander(world, actor)))?);
            }
            thread::sleep(ROUND);
            world.end();
            let mut books = Books::default();
            for thread in wandering {
                books.merge(thread.join().map_err(|_| anyhow::anyhow!("a wanderer panicked"))?);
            }
            let witnesses = u64::from(witnesses);
            self.wait("what was published to be routed", QUIET_TIME_MAX, |now| {
                let connections = now["volley_connections"] <= witnesses;
                connections && now["volley_timers"] == 0 && now["volley_lane_queue_events"] == 0
            })?;
            drop(end);
            for thread in watching {
                books.merge(thread.join().map_err(|_| anyhow::anyhow!("a witness panicked"))?);
            }
            Ok(books)
        })
    }

    fn wait(
        &self,
        what: &str,
        time: Duration,
        done: impl Fn(&HashMap<String, u64>) -> bool,
    ) -> Result<HashMap<String, u64>> {
        let start = Instant::now();
        loop {
            let now = metrics(self.admin)?;
            if done(&now) {
                return Ok(now);
            }
            anyhow::ensure!(start.elapsed() < time, "waited {time:?} for {what}; metrics: {now:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until the server has nothing any more, and tells what it keeps. So many faults can be accounted for.
    fn at_rest(&self, world: &World, before: Vitals, accounted: u64, findings: &mut Vec<String>) -> Result<Vitals> {
        // An empty chat room has a timer that ends it after an hour. One is not empty if the rule was stopped, as its lane
        // got no core, while it let somebody in or out: what it had written stays.
        let rooms = world.topics.iter().filter(|topic| topic.kind == Kind::Chat).count() as u64;
        let rested = self.wait("the server to be empty", QUIET_TIME_MAX, |now| {
            let untold = now["volley_faults_total"].saturating_sub(accounted);
            let emptied = rooms.saturating_sub(untold)..=rooms;
            let same = emptied.contains(&now["volley_timers"]) && now["volley_instances"] == self.instances;
            ZERO_AT_REST.iter().all(|name| now[*name] == 0) && same
        });
        if let Err(error) = rested {
            let now = metrics(self.admin)?;
            let kept = ZERO_AT_REST.iter().filter(|name| now[**name] > 0);
            let kept: Vec<String> = kept.map(|name| format!("{name} {}", now[*name])).collect();
            let (timers, instances) = (now["volley_timers"], now["volley_instances"]);
            let untold = now["volley_faults_total"].saturating_sub(accounted);
            let others = format!(
                "timers {timers} of {rooms} ({untold} faults more than expected), instances {instances} of {}",
                self.instances
            );
            findings.push(format!("left behind: {}; {others} ({error:.60})", kept.join(", ")));
        }
        let after = Vitals::of(self.pid)?;
        if after.files > before.files + FILES_SLACK {
            findings.push(format!("{} files were open before, {} are now", before.files, after.files));
        }
        if after.threads != before.threads {
            findings.push(format!("there were {} threads before, there are {}", before.threads, after.threads));
        }
        Ok(after)
    }
}

struct EndOnDrop<'w>(&'w World);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
        self.0.settle();
    }
}
