//! `volley-load soak`: sessions that come, go, wait, burst, cut their connections and provoke faults at random, by a seed;
//! and books that say in the end whether every delivery is accounted for and nothing is left behind.
//!
//! The time is divided into rounds. In each, two witnesses sit on every topic from before the first publish until after
//! the last, and wanderers do what the dice say. Then all end, the books are audited, and the server must be as empty as
//! it was. Every step of every actor draws from a generator of its own, so that a seed repeats all decisions; what the
//! scheduler makes of them it cannot repeat.
//!
//! # What is checked
//!
//! At every answer (`inbox`, `member`): messages are numbered without a hole but for those that `gap` tells, and a gap
//! needs a full mailbox; what was not acknowledged comes again with identical bytes, what was never; a cursor that a cut
//! poll brought may count or not until a later answer settles it. Each payload is the one that was published, byte for
//! byte. A poll is superseded only if another one was sent, waits as long as it asked for, and has an answer; a session
//! is gone after its linger time, and never before.
//!
//! When a round is over (`audit`), by topic. The witnesses' order is the truth, and both saw the same one; where a rule
//! only forwards, a witness's message numbers are the places in that order, whatever its gaps.
//!
//! 1. What was accepted has one place, with the event number that its publisher was told; what was refused or cancelled,
//!    or failed, has none; what was cut has one or none. A timer that was set and not cancelled has one, unless its event
//!    failed for want of a core, which the server's count of faults must tell.
//! 2. What was answered before something else was sent stands before it. Lines of a batch stand in their order. All uses
//!    of one Idempotency-Key are one event, with one answer.
//! 3. What a session received while it stayed on a topic stands in that order, nothing twice, nothing left out between
//!    two messages but as many as its gaps told there; exactly as many if it was on that topic only.
//! 4. It received all that was sent after its join was answered and answered before it began to leave (or was last heard)
//!    and before it last read its mailbox; nothing that was answered before it asked to join, or sent after it had left.
//! 5. A message that comes later than a poll which was sent after the publish was answered, or which surely still waited
//!    half a second after that, was missed by that poll.
//! 6. `recipients` is the number of sessions for which the place lies within what they received. It may be more by those
//!    that ended without reading their mailbox to its end, or of whose opening nobody was told: of those nobody can know.
//!
//! A machine without a free core makes rules overrun `route_ms_max`, events wait for longer than `linger_ms` and the
//! server's coarse clock stand still: what comes of that is counted, not found, and a session's linger time may end a
//! quarter of a second early. A poll may not.
//!
//! Not checked: latencies (the machine may be busy), the words of rules (only that their answers come, and to whom), and
//! the membership of a topic after a join or leave of it was cut and may still be on its way (the session then leaves it
//! alone until its end).

mod audit;
mod books;
mod inbox;
mod inject;
mod member;
mod publishing;
mod random;
mod round;
mod stamp;
mod wanderer;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use clap::value_parser;
use serde_json::json;

use crate::child::{Server, System, words};
use crate::vitals::{Vitals, metrics};
use inbox::Bounds;
use inject::Inject;
use round::{Round, Rounds};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `volley` binary
    #[arg(long, value_name = "PATH")]
    volley: PathBuf,
    /// The component of tests/guests/probe [default: built from source by the binary, which takes some seconds]
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// What all decisions come from [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How long, in rounds of a few seconds; an hour finds what minutes don't
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Sessions at once, the witnesses among them
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(70..=4000))]
    sessions: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Falsify what was seen or done, to show that it is found
    #[arg(long, value_enum, hide = true)]
    inject: Option<Inject>,
}

/// Small where that makes rare things common. The guest's memory is small so that it does not hide growth of the server.
const LIMITS: [(&str, u64); 12] = [
    ("linger_ms", 1_500),
    ("wait_ms", 1_000),
    ("wait_ms_max", 3_000),
    ("mailbox_messages_max", 2_000),
    ("mailbox_bytes_max", 512 << 10),
    ("response_messages_max", 300),
    ("route_ms_max", 100),
    ("lane_queue_events_max", 64),
    ("instance_bytes_max", 16 << 20),
    ("instance_events_max", 2_000),
    ("idempotency_ms", 10_000),
    ("idempotency_keys_max", 5_000),
];

/// The largest message is the welcome to a chat room, with what was said there last.
const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// The share of the time after which memory may not grow any more.
const WARM_UP_SHARE: f64 = 0.2;
const WARM_UP_ROUNDS_MIN: usize = 2;
/// What memory may grow by after that. The allocator gets 32 MiB at a time: a round in which it needs one more of these is
/// no leak, and one such step was seen in seven runs, from 131 to 163 MiB. An hour finds what grows slowly.
pub(crate) const GROWTH_BYTES_MAX: u64 = 40 << 20;
/// What a server that has nothing to do but idle connections may take to go down.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) fn limit(name: &str) -> u64 {
    let found = LIMITS.iter().find(|(limit, _)| *limit == name);
    found.map(|(_, value)| *value).expect("one of the limits above")
}

fn bounds() -> Bounds {
    Bounds {
        mailbox_messages: limit("mailbox_messages_max") as usize,
        mailbox_bytes: limit("mailbox_bytes_max") as usize,
        response_messages: limit("response_messages_max") as usize,
        message_bytes: MESSAGE_BYTES_MAX,
    }
}

/// What the rounds came to.
#[derive(Default)]
struct Report {
    rounds: Vec<Round>,
    tally: BTreeMap<&'static str, u64>,
    findings: Vec<String>,
    drain: Option<Duration>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let seed = options.seed.unwrap_or(now);
    eprintln!("seed {seed}");
    let volley = options.volley.canonicalize().with_context(|| options.volley.display().to_string())?;
    let probe = Probe::find(options.probe.as_deref(), &volley)?;
    let mut server = Server::start(&system(volley, &probe.file)?, &[])?;
    let before = Vitals::settled(server.pid())?;
    let mut report = Report::default();
    if let Err(error) = soak(options, seed, &server, before, &mut report) {
        report.findings.push(format!("{:#}", server.explain(&error)));
    }
    report.findings.extend(server.panics().into_iter().map(|line| format!("the server panicked: {line}")));
    if report.findings.is_empty() {
        match server.drain(DRAIN_TIME_MAX) {
            Ok(time) => report.drain = Some(time),
            Err(error) => report.findings.push(format!("{:#}", server.explain(&error))),
        }
    }
    if options.json {
        println!("{:#}", report.json(seed, before));
    } else {
        print!("{}", report.table(seed, before));
    }
    if report.findings.is_empty() {
        return Ok(());
    }
    for finding in &report.findings {
        eprintln!("FOUND {finding}");
    }
    bail!("{} findings; again with --seed {seed} --sessions {}", report.findings.len(), options.sessions)
}

fn soak(options: &Options, seed: u64, server: &Server, before: Vitals, report: &mut Report) -> Result<()> {
    let admin = server.admin()?;
    let rounds = Rounds {
        server: server.listen(),
        admin,
        pid: server.pid(),
        instances: metrics(admin)?["volley_instances"],
        seed,
        sessions: options.sessions,
    };
    let time = Duration::from_secs(options.seconds);
    let start = Instant::now();
    let mut warm: Option<u64> = None;
    while start.elapsed() < time || report.rounds.len() <= WARM_UP_ROUNDS_MIN {
        let number = report.rounds.len() as u32;
        // An injection waits until there is something to falsify.
        let inject = options.inject.filter(|_| number == 1);
        let (round, tally) = rounds.run(number, before, inject)?;
        for (what, times) in tally {
            *report.tally.entry(what).or_default() += times;
        }
        eprintln!("{}", round.told());
        report.findings.extend(round.findings.iter().map(|words| format!("round {number}: {words}")));
        let resident = round.after.resident_bytes;
        report.rounds.push(round);
        if !report.findings.is_empty() {
            break;
        }
        if start.elapsed() < time.mul_f64(WARM_UP_SHARE) || report.rounds.len() <= WARM_UP_ROUNDS_MIN {
            warm = Some(warm.unwrap_or(0).max(resident));
        } else if let Some(warm) = warm
            && resident > warm + GROWTH_BYTES_MAX
        {
            let (warm, now) = (warm >> 10, resident >> 10);
            report.findings.push(format!("round {number}: memory has grown from {warm} KiB when warm to {now} KiB"));
            break;
        }
    }
    Ok(())
}

fn system(program: PathBuf, probe: &Path) -> Result<System> {
    let probe = probe.to_str().context("a path that is no text")?;
    let mut arguments = words(&["--plugin", &format!("probe={probe}"), "--route", "probe.>=probe"]);
    for (name, value) in LIMITS {
        arguments.extend(["--limit".into(), format!("{name}={value}")]);
    }
    Ok(System::volley(program, arguments))
}

/// The guest's component; one that was built for this run is deleted after it.
pub(crate) struct Probe {
    pub(crate) file: PathBuf,
    ours: bool,
}

impl Probe {
    pub(crate) fn find(given: Option<&Path>, volley: &Path) -> Result<Self> {
        if let Some(file) = given {
            let file = file.canonicalize().with_context(|| file.display().to_string())?;
            return Ok(Self { file, ours: false });
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/probe");
        let file = std::env::temp_dir().join(format!("volley-load-probe-{}.wasm", std::process::id()));
        eprintln!("building {} ...", source.display());
        let built = Command::new(volley).args(["plugin", "build"]).arg(&source).arg("-o").arg(&file).output()?;
        let said = String::from_utf8_lossy(&built.stderr);
        ensure!(built.status.success(), "{} could not be built:\n{said}", source.display());
        Ok(Self { file, ours: true })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.ours {
            // What is left lies in the folder for what is temporary.
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

impl Report {
    fn figures(&self, before: Vitals) -> Vec<(&'static str, u64)> {
        let sum = |of: fn(&Round) -> u64| self.rounds.iter().map(of).sum::<u64>();
        let last = self.rounds.last().map_or(before, |round| round.after);
        vec![
            ("rounds", self.rounds.len() as u64),
            ("events in the order of their topics", sum(|round| round.verdict.placed)),
            ("deliveries compared with it", sum(|round| round.verdict.deliveries)),
            ("deliveries that gaps account for", sum(|round| round.verdict.dropped)),
            ("publishes cut and delivered to all", sum(|round| round.verdict.cut_and_delivered)),
            ("counts of recipients compared", sum(|round| round.verdict.counts)),
            ("of them with one right number", sum(|round| round.verdict.exact_counts)),
            ("timers that failed for want of a core", sum(|round| round.verdict.silent_timers.len() as u64)),
            ("not compared for want of a witness", sum(|round| round.verdict.unwitnessed)),
            ("open files before", before.files as u64),
            ("open files after", last.files as u64),
            ("threads before", before.threads as u64),
            ("threads after", last.threads as u64),
            ("resident KiB before", before.resident_bytes >> 10),
            ("resident KiB at most, with all at rest", {
                self.rounds.iter().map(|round| round.after.resident_bytes >> 10).max().unwrap_or(0)
            }),
            ("resident KiB after", last.resident_bytes >> 10),
            ("drained in ms", self.drain.map_or(0, |time| time.as_millis() as u64)),
        ]
    }

    fn table(&self, seed: u64, before: Vitals) -> String {
        let line = |(what, count): (&str, u64)| format!("  {what:<44}{count:>14}\n");
        let done: String = self.tally.iter().map(|(what, count)| line((what, *count))).collect();
        let figures: String = self.figures(before).into_iter().map(line).collect();
        format!("soak, seed {seed}\n{done}\n{figures}")
    }

    fn json(&self, seed: u64, before: Vitals) -> serde_json::Value {
        let figures: BTreeMap<&str, u64> = self.figures(before).into_iter().collect();
        let resident: Vec<u64> = self.rounds.iter().map(|round| round.after.resident_bytes >> 10).collect();
        json!({
            "seed": seed, "done": self.tally, "figures": figures, "resident_kib": resident, "findings": self.findings,
        })
    }
}
