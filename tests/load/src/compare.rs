//! The comparison: which systems, which workloads, in which order, and what makes it fail.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{ValueEnum, value_parser};

use crate::child::{Server, System, VOLLEY_ARGUMENTS, words};
use crate::dialect::Dialect;
use crate::report::{Report, Section};
use crate::workload::Workload;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The `volley` binary; without it only the reference runs
    #[arg(long, value_name = "PATH")]
    volley: Option<PathBuf>,
    /// Rounds of every workload on every system; figures are medians of these
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long the rooms chat in a round
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Run only these workloads
    #[arg(long, value_delimiter = ',', default_value = "idle,rooms,broadcast")]
    only: Vec<Kind>,
    /// Parked polls of the idle workload; several sizes make several workloads
    #[arg(long, value_delimiter = ',', default_value = "15000", value_parser = value_parser!(u32).range(1..=1_000_000))]
    polls: Vec<u32>,
    /// Rooms of the rooms workload
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..=65_536))]
    rooms: u32,
    /// Sessions in each room; also of the idle workload
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    room_size: u32,
    /// Publishing connections, each with one publish under way
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=10_000))]
    publishers: u32,
    /// Members of the one room; several sizes make several workloads
    #[arg(long, value_delimiter = ',', default_value = "10000", value_parser = value_parser!(u32).range(1..=1_000_000))]
    members: Vec<u32>,
    /// Broadcasts a round. CPU time is read in ticks of 10 ms: small rooms need many
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    broadcasts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Memory of parked polls
    Idle,
    /// Many small rooms, saturating publishers
    Rooms,
    /// One large room
    Broadcast,
}

impl Options {
    fn workloads(&self) -> Vec<Workload> {
        let idle = self.polls.iter().map(|polls| Workload::Idle { polls: *polls as usize, room_size: self.room_size });
        let broadcast = self
            .members
            .iter()
            .map(|members| Workload::Broadcast { members: *members as usize, times: self.broadcasts });
        let rooms = Workload::Rooms {
            rooms: self.rooms,
            room_size: self.room_size,
            // A room has one publisher: more of them than rooms would have none.
            publishers: self.publishers.min(self.rooms) as usize,
            time: Duration::from_secs(self.seconds),
        };
        let mut workloads = Vec::new();
        if self.only.contains(&Kind::Idle) {
            workloads.extend(idle);
        }
        if self.only.contains(&Kind::Rooms) {
            workloads.push(rooms);
        }
        if self.only.contains(&Kind::Broadcast) {
            workloads.extend(broadcast);
        }
        workloads
    }

    /// The reference comes first: the ratios are to it.
    fn systems(&self) -> Result<Vec<System>> {
        let mut systems = vec![System {
            name: "limit",
            dialect: Dialect::Limit,
            program: std::env::current_exe()?,
            arguments: words(&["limit", "--listen", "127.0.0.1:0"]),
        }];
        if let Some(path) = &self.volley {
            let program = path.canonicalize();
            systems.push(System {
                name: "volley",
                dialect: Dialect::Volley,
                program: program.with_context(|| path.display().to_string())?,
                arguments: words(&VOLLEY_ARGUMENTS),
            });
        }
        Ok(systems)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads = options.workloads();
    workloads.iter().try_for_each(Workload::check_files)?;
    let systems = options.systems()?;
    let names: Vec<_> = systems.iter().map(|system| system.name).collect();
    let mut report = Report::new(&names);
    for workload in &workloads {
        report.sections.push(measure(workload, &systems, options.rounds)?);
    }
    if options.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    let faults = report.faults();
    ensure!(faults.is_empty(), "unsound: {}", faults.join("; "));
    Ok(())
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
            let mut server = Server::start(system, workload.environment())?;
            let figures = workload.run(&server);
            section.add(index, figures.map_err(|error| server.explain(&error))?);
        }
    }
    Ok(section)
}
