//! `volley bench`: what a rule and sessions cost on this machine, in this very binary, without a network.

mod sessions;

use crate::event::{Event, Happening, Payload, Reply};
use crate::limits::Limits;
use crate::router::{Engine, Guest, Mounted};
use crate::shared::Shared;
use crate::topic::Topic;
use crate::workers::Workers;
use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time of a rule for one event, through Wasm, by the size of the room
    Route {
        /// The rule; joins and publishes are routed through it [default: the bundled topic]
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,
        /// Members of the room; may be repeated
        #[arg(long = "members", value_name = "N", default_values_t = [10, 1_000, 100_000])]
        members: Vec<usize>,
    },
    /// Cost of a session by how many there are: to open, join, be sent to, acknowledge and end one, and its memory
    Sessions {
        /// The rule [default: the bundled topic]
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,
        /// Sessions, all in one room; may be repeated. The ratio is that of the broadcast to the first row's
        #[arg(long = "sessions", value_name = "N", value_delimiter = ',',
            value_parser = clap::value_parser!(u64).range(1..=10_000_000),
            default_values_t = [10_000, 1_000, 100_000, 1_000_000])]
        sessions: Vec<u64>,
    },
}

/// How long one size is measured.
const MEASURED: Duration = Duration::from_secs(1);

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Route { plugin, members } => print_route(&component(plugin.as_deref())?, members),
            Self::Sessions { plugin, sessions } => {
                let sizes: Vec<usize> = sessions.into_iter().map(|size| size as usize).collect();
                sessions::run(&component(plugin.as_deref())?, &sizes)
            }
        }
    }
}

fn component(plugin: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    match plugin {
        None => Ok(crate::bundled::component("topic").context("not bundled")?.to_vec()),
        Some(path) => std::fs::read(path).with_context(|| format!("can't read {}", path.display())),
    }
}

fn print_route(component: &[u8], members: Vec<usize>) -> anyhow::Result<()> {
    println!("{:>9} {:>12} {:>12} {:>12}", "members", "p50 us", "p99 us", "events");
    for members in members {
        let times = route(component, members)?;
        let us = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1e3;
        println!("{members:>9} {:>12.2} {:>12.2} {:>12}", us(0.5), us(0.99), times.len());
    }
    Ok(())
}

/// Times of single calls, ascending.
fn route(component: &[u8], members: usize) -> anyhow::Result<Vec<Duration>> {
    let limits = Limits { sessions_max: members as u64, ..Limits::default() };
    let engine = Engine::new(&limits)?;
    let rule = engine.compile(component).map_err(|mismatches| anyhow!("{}", mismatches.join("; ")))?;
    let shared = Arc::new(Shared::new(0, limits, Workers::new(1).0));
    let mounted = Arc::new(Mounted { plugin: "bench".into(), config: "null".into(), rule: Arc::new(rule) });
    let mut guest = Guest::live(&mounted, &shared).map_err(|fault| anyhow!("{fault}"))?;
    let topic: Topic = "bench.room".parse()?;
    let event = |sender, what| Event {
        id: shared.event_ids.next(),
        topic: topic.clone(),
        sender: Some(sender),
        user: Some("somebody".into()),
        time_ms: 0,
        what,
        reply: Reply::nobody(),
    };
    let mut ask = |event: &Event| guest.route(event).map_err(|fault| anyhow!("{fault}"));
    let mut sender = None;
    for _ in 0..members {
        let pid = shared.sessions.open(None, None)?.pid;
        let joined = ask(&event(pid, Happening::Join { params: None }))?;
        joined.map_err(|refusal| anyhow!("a join was refused: {refusal:?}"))?;
        shared.subscriptions.add(&topic, pid);
        sender = Some(pid);
    }
    let sender = sender.context("a room has at least one member")?;
    let payload = format!("{{\"n\":\"{}\"}}", "x".repeat(92));
    let publish = event(sender, Happening::Publish(Payload::Json(payload.into())));
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < MEASURED {
        let begun = Instant::now();
        let outcome = ask(&publish)?;
        times.push(begun.elapsed());
        outcome.map_err(|refusal| anyhow!("the event was refused: {refusal:?}"))?;
    }
    times.sort_unstable();
    Ok(times)
}
