//! What authors of rules do without a server: `volley plugin new`, `check`, `inspect` and `test`.
//!
//! `check` and `test` run a rule in this process as a server would, under its limits, and nobody else sees it.

mod anatomy;
mod check;
mod component;
mod inspect;
mod new;
mod rehearsal;
mod templates;

pub(crate) use component::try_out;

use clap::Subcommand;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Author {
    /// Write a new rule that works: its source, recorded events, a README and the SDK
    ///
    /// It needs nothing of Volley's repository: the SDK and the contract lie beside the rule.
    #[command(after_help = "Example: volley plugin new auction --lang rust && volley plugin test auction")]
    New(new::New),
    /// See whether a server would take a component, and all that is wrong with it
    ///
    /// Compares it with the contract, compiles it and runs its `info` and `init` under a server's limits. A folder is
    /// built first. Exit code 1 if a server would refuse it.
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
    /// See what a component is made of: sections, sizes, producers, its imports and exports as WIT
    #[command(after_help = "Example: volley plugin inspect auction.wasm")]
    Inspect(inspect::Inspect),
    /// Run recorded events through a rule, and compare what everybody receives with what they should
    ///
    /// The component itself is run, by the server's own router, tables, groups and timers; only time stands still (it
    /// passes where a line says `wait_ms`) and chance is the same each time. Exit code 1 if anything differs.
    #[command(after_long_help = rehearsal::HELP)]
    Test(rehearsal::Test),
}

impl Author {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::New(new) => new.run(),
            Self::Check(check) => check.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Test(test) => test.run(),
        }
    }
}
