//! `volley bench`: what a rule and sessions cost on this machine, in this very binary, without a network.

mod room;
mod route;
mod sessions;
mod start;

use anyhow::Context as _;
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time of a rule for one event, through Wasm and beside the native `topic`, by the size of the room
    Route {
        /// The rule; joins and publishes are routed through it [default: the bundled topic]
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,
        /// Members of the room; may be repeated
        #[arg(long = "members", value_name = "N", default_values_t = [10, 1_000, 100_000])]
        members: Vec<usize>,
    },
    /// What a rule costs before its first event: to compile it, to make an instance, and an instance's memory
    Start {
        /// The rule [default: the bundled topic]
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,
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

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Route { plugin, members } => route::run(&component(plugin.as_deref())?, &members),
            Self::Start { plugin } => start::run(&component(plugin.as_deref())?),
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
