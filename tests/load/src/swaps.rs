//! `volley-load swaps`: a rule is swapped again and again while many rooms are talked in, and what their members notice.
//!
//! One run has three phases of the same load: nobody deploys, then an operator activates two versions of a rule in turns,
//! evenly spread over the time, then nobody deploys again. The versions route alike and are different components. What is
//! compared is the latency of deliveries in the phase of swaps with that of the two others, in one run, since such machines
//! are noisy. It fails when a message was lost, doubled or reordered, a swap was refused, or the 99th percentile among
//! swaps is more than twice that without.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::value_parser;
use serde_json::{Value, json};

use crate::child::{Server, System};
use crate::crowd::Rooms;
use crate::percentile::percentile;
use crate::process;
use crate::report::Figure;
use crate::stage::Stage;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `volley` binary
    #[arg(long, value_name = "PATH")]
    volley: PathBuf,
    /// How often the rule is swapped
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..=100_000))]
    swaps: u32,
    /// How long each phase is
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rooms, of ten members each
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=1500))]
    rooms: u32,
    /// Publishers, each with one publish under way
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u16).range(1..=1000))]
    publishers: u16,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

const ROOM_SIZE: u32 = 10;
const WARM_UP: Duration = Duration::from_secs(1);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The 99th percentile among swaps is at most so many times that without.
const SLOWER_MAX: f64 = 2.0;

/// The rule that the server brings itself, on `>`.
const RULE: &[u8] = include_bytes!("../../../plugins/dist/topic.wasm");
/// A custom section, which nobody looks at: its id, its length, the length of its name, its name.
const ANOTHER: &[u8] = b"\x00\x08\x07another";

/// Latencies of one phase, in milliseconds.
struct Phase {
    p50_ms: f64,
    p99_ms: f64,
    deliveries: usize,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let program = options.volley.canonicalize().with_context(|| options.volley.display().to_string())?;
    let mut server = Server::start(&System::volley(program, []), &[])?;
    let measured = measure(&server, options);
    let report = measured.map_err(|error| server.explain(&error))?;
    println!("{}", if options.json { format!("{report:#}") } else { table(&report) });
    let wrong = wrong(&report, &server.panics());
    ensure!(wrong.is_empty(), "swaps: {}", wrong.join("; "));
    Ok(())
}

fn measure(server: &Server, options: &Options) -> Result<Value> {
    let admin = Admin(server.admin()?);
    let versions = [RULE.to_vec(), [RULE, ANOTHER].concat()].map(|component| admin.push(&component));
    let versions = versions.into_iter().collect::<Result<Vec<_>>>()?;

    let (members, publishers) = (options.rooms * ROOM_SIZE, usize::from(options.publishers));
    let mut stage = Stage::open(server, members as usize, Rooms::of(options.rooms), publishers)?;
    stage.settle()?;
    stage.publishers.keep_going();
    for publisher in 0..publishers {
        stage.publish(publisher)?;
    }
    stage.run_for(WARM_UP)?;
    let time = Duration::from_secs(options.seconds);
    let before = phase(&mut stage, time)?;
    let resident_before = process::memory(server.pid())?.resident_bytes;

    let swaps = options.swaps;
    let operator = thread::spawn(move || admin.swap(&versions, swaps, time));
    let among = phase(&mut stage, time)?;
    // The operator may be late; the load goes on until all is done.
    while !operator.is_finished() {
        stage.run_for(Duration::from_millis(20))?;
    }
    let mut swap_micros = operator.join().map_err(|_| anyhow::anyhow!("the operator panicked"))??;
    let resident_after = process::memory(server.pid())?.resident_bytes;

    let after = phase(&mut stage, time)?;
    stage.publishers.stop();
    stage.await_deliveries()?;
    // A double would come after its first.
    stage.settle()?;
    swap_micros.sort_unstable();
    let ms = |percent| percentile(&swap_micros, percent).map_or(f64::NAN, |micros| f64::from(micros) / 1e3);
    let faults: serde_json::Map<String, Value> = stage
        .faults()
        .figures()
        .iter()
        .map(|figure: &Figure| (figure.name().to_owned(), json!(figure.value())))
        .collect();
    let without = f64::midpoint(before.p99_ms, after.p99_ms);
    Ok(json!({
        "swaps": swap_micros.len(), "swap_p50_ms": ms(50.0), "swap_p99_ms": ms(99.0),
        "messages": stage.publishers.acknowledged,
        "before": told(&before), "among_swaps": told(&among), "after": told(&after),
        "p99_ratio": among.p99_ms / without,
        "resident_mib_before": resident_before >> 20, "resident_mib_after": resident_after >> 20,
        "faults": faults,
    }))
}

fn phase(stage: &mut Stage, time: Duration) -> Result<Phase> {
    stage.crowd.tally.latencies.clear();
    stage.run_for(time)?;
    let mut latencies = std::mem::take(&mut stage.crowd.tally.latencies);
    latencies.sort_unstable();
    let ms = |percent| percentile(&latencies, percent).map_or(f64::NAN, |micros| f64::from(micros) / 1e3);
    Ok(Phase { p50_ms: ms(50.0), p99_ms: ms(99.0), deliveries: latencies.len() })
}

fn told(phase: &Phase) -> Value {
    json!({"p50_ms": phase.p50_ms, "p99_ms": phase.p99_ms, "deliveries": phase.deliveries})
}

fn table(report: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let row = |(name, key): (&str, &str)| {
        let phase = &report[key];
        let (p50, p99) = (number(&phase["p50_ms"]), number(&phase["p99_ms"]));
        format!("{name:<12} {p50:>10.2} {p99:>10.2} {:>12}", phase["deliveries"])
    };
    let mut lines = vec![
        format!(
            "{} swaps, p50 {:.1} ms, p99 {:.1} ms each; {} messages",
            report["swaps"],
            number(&report["swap_p50_ms"]),
            number(&report["swap_p99_ms"]),
            report["messages"]
        ),
        format!("{:<12} {:>10} {:>10} {:>12}", "phase", "p50 ms", "p99 ms", "deliveries"),
    ];
    lines.extend([("before", "before"), ("among swaps", "among_swaps"), ("after", "after")].map(row));
    lines.push(format!("p99 among swaps is {:.2} of that without", number(&report["p99_ratio"])));
    let (before, after) = (&report["resident_mib_before"], &report["resident_mib_after"]);
    lines.push(format!("resident {before} MiB before, {after} MiB after; faults: {}", report["faults"]));
    lines.join("\n")
}

fn wrong(report: &Value, panics: &[String]) -> Vec<String> {
    let mut wrong: Vec<String> = panics.to_vec();
    for name in ["lost", "doubled", "reordered", "misnumbered"] {
        if report["faults"][name] != 0.0 {
            wrong.push(format!("{name}: {}", report["faults"][name]));
        }
    }
    let ratio = report["p99_ratio"].as_f64().unwrap_or(f64::INFINITY);
    if ratio > SLOWER_MAX {
        wrong.push(format!("the p99 among swaps is {ratio:.2} of that without, and {SLOWER_MAX} is allowed"));
    }
    wrong
}

/// The listener of operators.
#[derive(Clone, Copy)]
struct Admin(SocketAddrV4);

impl Admin {
    /// Pushes a component; its version.
    fn push(self, component: &[u8]) -> Result<String> {
        let answer = self.post("/admin/v1/plugins/topic/versions", component)?;
        Ok(answer["version"].as_str().context("no version")?.to_owned())
    }

    /// Activates the versions in turns, spread over the time; how long each took.
    fn swap(self, versions: &[String], swaps: u32, time: Duration) -> Result<Vec<u32>> {
        let start = Instant::now();
        let mut took = Vec::new();
        for (swap, version) in (0..swaps).zip(versions.iter().cycle().skip(1)) {
            thread::sleep((time * swap / swaps).saturating_sub(start.elapsed()));
            let begun = Instant::now();
            let body = json!({ "version": version }).to_string();
            let answer = self.post("/admin/v1/plugins/topic/activate", body.as_bytes())?;
            ensure!(answer["current"] == version.as_str(), "swap {swap} was answered {answer}");
            took.push(begun.elapsed().as_micros() as u32);
        }
        Ok(took)
    }

    fn post(self, path: &str, body: &[u8]) -> Result<Value> {
        let mut stream = TcpStream::connect(self.0).context("cannot connect to the admin listener")?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        let (admin, length) = (self.0, body.len());
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.1 20"), "{path} was answered {answer:.300}");
        Ok(serde_json::from_str(body)?)
    }
}
