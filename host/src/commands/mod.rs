//! What operators and clients do from the command line, at a server that runs: `cli` names the commands, each file here
//! is one of them or what several stand on.

mod answers;
mod client;
mod explain;
mod interrupts;
pub(crate) mod layout;
mod logs;
mod looks;
mod operator;
mod plugins;
mod poll;
mod progress;
mod publish;
pub(crate) mod push;
mod record;
mod recording;
mod replay;
mod routes;
mod sessions;
mod shadow;
mod tables;
mod traced;

pub use plugins::Plugins;

use clap::Subcommand;

/// The commands beside `plugin`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See and change which plugin routes which topics
    #[command(subcommand)]
    Routes(routes::Routes),
    /// See what rules keep in their tables
    #[command(subcommand)]
    Tables(tables::Tables),
    /// See who is there, and end sessions
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Record what a plugin is asked and answers, from a server that runs
    ///
    /// A trace has the events, what the rule read and wrote and was given by time and chance, its lists and its messages,
    /// one JSON object a line. It is written as it comes, and ends with Ctrl-C or SIGTERM at the latest.
    #[command(after_help = record::EXAMPLES)]
    Record(record::Record),
    /// Ask another version what a trace says was asked, and show who would get what instead
    ///
    /// Needs no server. Tables and groups are as the trace says they were, time and chance come from it, and nothing is
    /// sent; the same trace and component print the same. Exit code 0: nothing differs, 1: something does.
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayTrace),
    /// Say of an event which version routed it, to whom, and from what it had read
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Explain),
    /// Publish an event, as a back-end does
    Publish(publish::Publish),
    /// Open a session, join topics and print what comes
    Poll(poll::Poll),
}

/// The command line asked for what makes no sense together: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub(crate) String);

/// What was compared differs, and that is said already: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("it differs")]
pub struct Unlike;

impl Command {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        block_on(async {
            match self {
                Self::Routes(routes) => routes.run().await,
                Self::Tables(tables) => tables.run().await,
                Self::Sessions(sessions) => sessions.run().await,
                Self::Record(record) => record.run().await,
                Self::Replay(replay) => replay.run(),
                Self::Explain(explain) => explain.run().await,
                Self::Publish(publish) => publish.run().await,
                Self::Poll(poll) => poll.run().await,
            }
        })
    }
}

impl Plugins {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        block_on(self.operate())
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
