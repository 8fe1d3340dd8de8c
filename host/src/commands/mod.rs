//! What operators and clients do from the command line, at a server that runs: `cli` names the commands, each file here
//! is one of them or what several stand on.

mod answers;
mod client;
pub(crate) mod layout;
mod logs;
mod operator;
mod plugins;
mod poll;
mod progress;
mod publish;
pub(crate) mod push;
mod routes;
mod sessions;
mod shadow;
mod tables;

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
    /// Publish an event, as a back-end does
    Publish(publish::Publish),
    /// Open a session, join topics and print what comes
    Poll(poll::Poll),
}

/// The command line asked for what makes no sense together: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub(crate) String);

impl Command {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        block_on(async {
            match self {
                Self::Routes(routes) => routes.run().await,
                Self::Tables(tables) => tables.run().await,
                Self::Sessions(sessions) => sessions.run().await,
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
