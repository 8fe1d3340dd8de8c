//! The comparison: which systems, which workloads, in which order, and what makes it fail. Volley and the reference must
//! lose nothing, double nothing and keep the order; what peers do is told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{ValueEnum, value_parser};

use crate::child::{Server, Shape, System, words};
use crate::dialect::Dialect;
use crate::neighbours::Neighbours;
use crate::peers::{self, Folder};
use crate::report::{Column, Figure, NotRun, Report, Section};
use crate::streamed::Form;
use crate::wire::Certificate;
use crate::workload::Workload;

#[derive(clap::Args)]
#[command(after_long_help = FIGURES)]
pub(crate) struct Options {
    /// The `volley` binary [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    volley: Option<PathBuf>,
    /// Run only these systems, besides the reference [default: all that are installed]
    #[arg(long, value_delimiter = ',')]
    systems: Vec<Name>,
    /// Rounds of every workload on every system; figures are medians of these
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long the rooms chat in a round
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Run only these workloads
    #[arg(long, value_delimiter = ',', default_value = "idle,rooms,broadcast,storm,neighbours")]
    only: Vec<Kind>,
    /// Parked polls of the idle workload; several sizes make several workloads
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,15000", value_parser = value_parser!(u32).range(1..=1_000_000))]
    polls: Vec<u32>,
    /// Rooms of the rooms workload
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..=65_536))]
    rooms: u32,
    /// Sessions in each room; also of the idle, storm and neighbours workloads
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    room_size: u32,
    /// Publishing connections, each with one publish under way
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=10_000))]
    publishers: u32,
    /// Members of the one room; several sizes make several workloads, and the largest is the neighbours' large room
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000", value_parser = value_parser!(u32).range(1..=1_000_000))]
    members: Vec<u32>,
    /// Broadcasts a round [default: as many as make 20,000 deliveries, but 5 to 200]
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    broadcasts: Option<u32>,
    /// Connections of the storm
    #[arg(long, default_value_t = 5000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    storm: u32,
    /// How many of them may be under way at once
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    storm_at_once: u32,
    /// Small rooms of the neighbours workload
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    neighbours: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Memory of parked polls
    Idle,
    /// Many small rooms, saturating publishers
    Rooms,
    /// One large room
    Broadcast,
    /// A crowd that connects at once
    Storm,
    /// Small rooms beside a large one
    Neighbours,
}

/// What can be compared.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The reference, which always runs
    Limit,
    Volley,
    /// Volley, whose clients listen to server-sent events in place of polling
    VolleyEvents,
    /// The same over a WebSocket each
    #[value(name = "volley-websocket")]
    VolleyWebSocket,
    /// Volley over TLS by HTTP/1.1: polls
    VolleyTls,
    /// The same: server-sent events
    VolleyTlsSse,
    /// The same: a WebSocket each
    VolleyTlsWs,
    /// Nchan with one worker of nginx
    #[value(name = "nchan-1")]
    Nchan1,
    /// Nchan with two workers
    #[value(name = "nchan-2")]
    Nchan2,
    /// The design that Volley comes from, in Erlang on mochiweb: sends inside the routing loop
    ErlangNaive,
    /// The same: prepares the list of PIDs, then sends in one shot
    ErlangList,
}

const FIGURES: &str = "The kernel's memory per poll is what that of the whole machine grew by, and has both ends of each \
connection in it. tests/load/README.md says what the other figures count and how the peers are set up.";
/// Deliveries of a broadcast workload, in so many broadcasts.
const BROADCAST_DELIVERIES: u32 = 20_000;

impl Options {
    fn workloads(&self) -> Vec<Workload> {
        let time = Duration::from_secs(self.seconds);
        let mut workloads = Vec::new();
        for kind in [Kind::Idle, Kind::Rooms, Kind::Broadcast, Kind::Storm, Kind::Neighbours] {
            if !self.only.contains(&kind) {
                continue;
            }
            match kind {
                Kind::Idle => workloads.extend(
                    self.polls.iter().map(|polls| Workload::Idle { polls: *polls as usize, room_size: self.room_size }),
                ),
                Kind::Rooms => workloads.push(Workload::Rooms {
                    rooms: self.rooms,
                    room_size: self.room_size,
                    // A room has one publisher: more of them than rooms would have none.
                    publishers: self.publishers.min(self.rooms) as usize,
                    time,
                }),
                Kind::Broadcast => workloads.extend(self.members.iter().map(|members| Workload::Broadcast {
                    members: *members as usize,
                    times: self.broadcasts.unwrap_or_else(|| (BROADCAST_DELIVERIES / members).clamp(5, 200)),
                })),
                Kind::Storm => workloads.push(Workload::Storm {
                    members: self.storm as usize,
                    room_size: self.room_size,
                    at_once: self.storm_at_once as usize,
                }),
                Kind::Neighbours => workloads.push(Workload::Neighbours(Neighbours {
                    members: self.members.iter().max().map_or(0, |members| *members as usize),
                    rooms: self.neighbours,
                    room_size: self.room_size,
                    time,
                })),
            }
        }
        workloads
    }

    fn volley(&self) -> Result<System> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("volley"));
        let path = self.volley.clone().map_or_else(beside, Ok)?;
        let program = path.canonicalize().with_context(|| {
            format!("{}: build it with `cargo build --release -p volley`, or name it with --volley", path.display())
        })?;
        Ok(System::volley(program, []))
    }

    /// Volley, whose clients have streams.
    fn streams(&self, name: &'static str, form: Form) -> Result<System> {
        Ok(System { name, dialect: Dialect::Streams(form), ..self.volley()? })
    }

    /// Volley, whose clients speak TLS.
    fn secure(&self, folder: &Folder, name: &'static str, dialect: Dialect) -> Result<System> {
        let Certificate { chain, key, client } = Certificate::made_in(&folder.path().join(name))?;
        let mut system = System { name, dialect, tls: Some(client), ..self.volley()? };
        system.arguments.extend(words(&["--tls-listen", "127.0.0.1:0", "--tls-cert"]));
        for file in [&*chain.to_string_lossy(), "--tls-key", &key.to_string_lossy()] {
            system.arguments.push(file.to_owned());
        }
        Ok(system)
    }

    /// What is to run, and what is not, with the reason. The reference comes first: the ratios are to it.
    fn systems(&self, folder: &Folder) -> Result<(Vec<System>, Vec<NotRun>)> {
        let mut systems = vec![System {
            name: "limit",
            dialect: Dialect::Limit,
            program: std::env::current_exe()?,
            arguments: words(&["limit", "--listen", "127.0.0.1:0"]),
            shape: Shape::Tells,
            tls: None,
        }];
        let mut not_run = Vec::new();
        for name in Name::value_variants() {
            if !self.systems.is_empty() && !self.systems.contains(name) {
                continue;
            }
            let (name, found) = match name {
                Name::Limit => continue,
                Name::Volley => ("volley", self.volley()),
                Name::VolleyEvents => ("volley-events", self.streams("volley-events", Form::Events)),
                Name::VolleyWebSocket => ("volley-websocket", self.streams("volley-websocket", Form::Frames)),
                Name::VolleyTls => ("volley-tls", self.secure(folder, "volley-tls", Dialect::Volley)),
                Name::VolleyTlsSse => {
                    ("volley-tls-sse", self.secure(folder, "volley-tls-sse", Dialect::Streams(Form::Events)))
                }
                Name::VolleyTlsWs => {
                    ("volley-tls-ws", self.secure(folder, "volley-tls-ws", Dialect::Streams(Form::Frames)))
                }
                Name::Nchan1 => ("nchan-1", peers::nchan(folder, "nchan-1", 1)),
                Name::Nchan2 => ("nchan-2", peers::nchan(folder, "nchan-2", 2)),
                Name::ErlangNaive => ("erlang-naive", peers::erlang(folder, "erlang-naive", "naive")),
                Name::ErlangList => ("erlang-list", peers::erlang(folder, "erlang-list", "list")),
            };
            match found {
                Ok(system) => systems.push(system),
                // Who names a binary wants that one.
                Err(error) if name == "volley" && self.volley.is_some() => return Err(error),
                Err(error) => not_run.push((name.to_owned(), format!("{error:#}"))),
            }
        }
        Ok((systems, not_run))
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = Folder::new()?;
    let (systems, mut not_run) = options.systems(&folder)?;
    let mut workloads = options.workloads();
    workloads.retain(|workload| match workload.check_files() {
        Ok(()) => true,
        Err(error) => {
            not_run.push((workload.title(), format!("{error:#}")));
            false
        }
    });
    for (name, why) in &not_run {
        eprintln!("not run: {name}: {why}");
    }
    let columns = systems.iter().map(|system| Column { name: system.name, ours: is_ours(system) });
    let mut report = Report::new(columns.collect(), not_run);
    for workload in &workloads {
        report.sections.push(measure(workload, &systems, options.rounds)?);
        // At once: all of them take a while, and who ends the run early keeps what there is.
        if !options.json {
            print!("{}", report.last_table());
        }
    }
    if options.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.omissions());
    }
    let faults = report.faults();
    ensure!(faults.is_empty(), "unsound: {}", faults.join("; "));
    Ok(())
}

fn is_ours(system: &System) -> bool {
    system.name == "limit" || system.name.starts_with("volley")
}

/// All rounds of one workload. The systems take turns, and in turns go first: drift of the machine hits all alike.
fn measure(workload: &Workload, systems: &[System], rounds: u32) -> Result<Section> {
    let mut section = Section::new(workload.title(), systems.len());
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..systems.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let system = &systems[index];
            let title = workload.title();
            eprintln!("round {} of {rounds}: {title}: {}", round + 1, system.name);
            if system.tls.is_some() && matches!(workload, Workload::Storm { .. }) {
                section.fail(index, "the driver waits for each handshake of TLS, which makes no storm".to_owned());
                continue;
            }
            match measure_once(workload, system) {
                Ok(figures) => section.add(index, round, figures),
                Err(error) if is_ours(system) => return Err(error),
                Err(error) => {
                    eprintln!("{}: {error:#}", system.name);
                    section.fail(index, format!("{error:#}"));
                }
            }
        }
    }
    Ok(section)
}

fn measure_once(workload: &Workload, system: &System) -> Result<Vec<Figure>> {
    let mut server = Server::start(system, workload.environment())?;
    let figures = workload.run(&server);
    figures.map_err(|error| server.explain(&error))
}
