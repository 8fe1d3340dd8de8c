//! `volley-load` measures Volley beside a bare epoll server (`limit`) that does only what the kernel makes unavoidable.
//!
//! Client and servers share the machine's cores, so the figures that hold are ratios within one run: CPU per delivery
//! and memory per parked poll. This file owns the command line.

mod broadcast;
mod child;
mod client;
mod compare;
mod connection;
mod cpu;
mod crowd;
mod dialect;
mod faults;
mod kernel;
mod limit;
mod mark;
mod neighbours;
mod overload;
mod peers;
mod percentile;
mod poller;
mod process;
mod publish;
mod report;
mod response;
mod sequence;
mod soak;
mod stage;
mod streamed;
mod swaps;
mod vitals;
mod wire;
mod workload;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be the reference: a bare epoll server that parks polls and writes fixed bytes
    Limit {
        /// Where to listen; port 0 takes a free one, told on stdout
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Drive the reference and Volley with the same work, in turns, and print medians and ratios
    Compare(compare::Options),
    /// Let sessions do everything that sessions do, at random, and account for every delivery
    Soak(soak::Options),
    /// Publish ten times what the server can do, and see what it does about it
    Overload(overload::Options),
    /// Swap a rule again and again under load, and see what members of rooms notice
    Swaps(swaps::Options),
    /// Become COMMAND, and end when the driver does
    #[command(hide = true)]
    Child(child::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // 15,000 connections on each side; children inherit what is raised here.
    process::raise_file_limit();
    let done = match cli.command {
        Command::Limit { listen } => limit::serve(listen),
        Command::Compare(options) => compare::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Overload(options) => overload::run(&options),
        Command::Swaps(options) => swaps::run(&options),
        Command::Child(options) => child::become_command(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("volley-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
