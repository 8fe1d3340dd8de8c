//! What a session costs as there are more and more of them: opening, joining, a broadcast to all, exit, and memory. Without
//! sockets: what is delivered stays in the mailbox until it is acknowledged.

use crate::event::{Event, Happening, Payload, Reply};
use crate::limits::Limits;
use crate::message::Message;
use crate::pid::Pid;
use crate::protocol::message;
use crate::recipients::Resolver;
use crate::router::{Engine, Guest, Mounted};
use crate::shared::Shared;
use crate::topic::Topic;
use crate::volley::Volley;
use crate::workers::Workers;
use anyhow::{Context as _, anyhow};
use std::sync::Arc;
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
    let limits = Limits { sessions_max: size as u64, sessions_bytes_max: u64::MAX, ..Limits::default() };
    let engine = Engine::new(&limits)?;
    let rule = engine.compile(component).map_err(|mismatches| anyhow!("{}", mismatches.join("; ")))?;
    let shared = Arc::new(Shared::new(0, limits, Workers::new(1).0));
    let mounted = Arc::new(Mounted { plugin: "bench".into(), config: "null".into(), rule: Arc::new(rule) });
    let guest = Guest::live(&mounted, &shared).map_err(|fault| anyhow!("{fault}"))?;
    let mut room = Room { shared, guest, topic: "bench.room".parse()?, volley: Volley::new(1), pids: Vec::new() };
    let before = resident_bytes()?;
    let each = |time: Duration| time.as_nanos() as f64 / size as f64;
    let open = each(timed(|| room.open(size))?);
    let join = each(timed(|| room.join())?);
    // One that is not measured: memory is touched for the first time.
    room.broadcast()?;
    room.acknowledge(1);
    let bytes = resident_bytes()?.saturating_sub(before) as f64 / size as f64;
    let (mut broadcasts, mut acknowledges, began) = (Vec::new(), Vec::new(), Instant::now());
    while broadcasts.len() < BROADCASTS_MIN || began.elapsed() < MEASURED {
        broadcasts.push(timed(|| room.broadcast())?);
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

/// One topic with everybody in it.
struct Room {
    shared: Arc<Shared>,
    guest: Guest,
    topic: Topic,
    volley: Volley,
    pids: Vec<Pid>,
}

impl Room {
    fn open(&mut self, size: usize) -> anyhow::Result<()> {
        for _ in 0..size {
            self.pids.push(self.shared.sessions.open(None, None)?.pid);
        }
        Ok(())
    }

    fn join(&mut self) -> anyhow::Result<()> {
        for at in 0..self.pids.len() {
            let pid = self.pids[at];
            let joined = self.ask(pid, Happening::Join { params: None })?;
            anyhow::ensure!(joined.1.is_ok(), "a join was refused");
            self.shared.sessions.subscribe(pid, &self.topic);
            self.shared.subscriptions.add(&self.topic, pid);
        }
        Ok(())
    }

    /// As a lane does it: the rule, the list, the mailboxes.
    fn broadcast(&mut self) -> anyhow::Result<()> {
        let payload = Payload::Json(format!("{{\"n\":\"{}\"}}", "x".repeat(92)).into());
        let (event, outcome) = self.ask(self.pids[0], Happening::Publish(payload.clone()))?;
        let outcome = outcome.map_err(|refusal| anyhow!("the event was refused: {refusal:?}"))?;
        let Shared { subscriptions, groups, limits, sessions, .. } = &*self.shared;
        let plugin: Arc<str> = "bench".into();
        let mut resolver = Resolver::new(&plugin, &self.topic, subscriptions, groups, limits);
        for delivery in outcome.deliveries {
            let list = resolver.resolve(delivery.to).map_err(|words| anyhow!("{words}"))?;
            let message = Message::new(message::render(&event, &payload), &sessions.message_bytes);
            self.volley.begin();
            let reached = self.volley.deliver(sessions, &list, &message);
            anyhow::ensure!(reached as usize == self.pids.len(), "{reached} were reached");
        }
        Ok(())
    }

    fn acknowledge(&mut self, cursor: u64) {
        for pid in &self.pids {
            self.shared.sessions.with(*pid, |session| session.mailbox.acknowledge(cursor));
        }
    }

    fn exit(&mut self) -> anyhow::Result<()> {
        for pid in std::mem::take(&mut self.pids) {
            let session = self.shared.sessions.end(pid).context("it was there")?;
            for topic in &session.topics {
                self.shared.subscriptions.remove(topic, pid);
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        sender: Pid,
        what: Happening,
    ) -> anyhow::Result<(Event, Result<crate::outcome::Outcome, crate::outcome::Refusal>)> {
        let event = Event {
            id: self.shared.event_ids.next(),
            topic: self.topic.clone(),
            sender: Some(sender),
            user: None,
            time_ms: 0,
            what,
            reply: Reply::nobody(),
        };
        let outcome = self.guest.route(&event).map_err(|fault| anyhow!("{fault}"))?;
        Ok((event, outcome))
    }
}
