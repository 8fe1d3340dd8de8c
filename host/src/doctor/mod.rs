//! `volley doctor`: what this machine allows, what so many connections need, what that costs, and the commands between the
//! two. It reads and prints; nothing is changed.
//!
//! `machine` reads, `needs` computes, `checks` compares, `fixes` has the commands, `costs` the memory, `report` shows it;
//! `print` writes the files.

mod checks;
mod conntrack;
mod costs;
mod fixes;
mod machine;
mod memory;
mod needs;
mod nginx;
mod numbers;
mod print;
mod report;
mod tree;

use crate::pid::SLOTS_MAX;
use clap::{Args, ValueEnum};
use machine::Machine;
use needs::Crowd;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use tree::Tree;

/// The flags.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  volley doctor --connections 100000
  volley doctor --connections 100000 --pid $(pidof volley)
  volley doctor --connections 100000 --json | jq -r '.[] | select(.ok | not) | .fix'
  volley doctor --connections 100000 --print nginx > /etc/nginx/nginx.conf

With --json it is a list of {\"check\", \"is\", \"needs\", \"ok\", \"fix\"}. `is` and `needs` are numbers, in
files, connections, ports, pages (tcp_mem), entries, buckets or bytes (cgroup_memory), and ok
says that `is` is not below `needs`. What does not apply, such as conntrack where it is not
loaded, needs 0. What can't be read is 0 and not ok, and `fix` says why. `fix` is the commands for
root, one a line, with comments; empty where all is well.

Exit codes: 0 all is well, 1 something is not, 2 wrong usage.")]
pub struct Doctor {
    /// Clients that are connected at a time: parked polls and streams of whatever kind
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(SLOTS_MAX)))]
    connections: u64,
    /// An nginx on this machine is in front, which takes two sockets for each client; looks at that nginx, too
    #[arg(long)]
    behind_nginx: bool,
    /// Print what was found as JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
    /// Print a file that is ready to be installed: an nginx.conf, a unit of systemd, or a file for sysctl.d
    ///
    /// The file for sysctl.d has what this machine needs, and lowers nothing. With --behind-nginx the unit and the
    /// sysctls are for a Volley behind the printed nginx.
    #[arg(long, value_name = "FILE")]
    print: Option<Printed>,
    /// Where nginx listens, in printed files: a port, or an address with one
    #[arg(long, value_name = "[ADDR:]PORT", default_value = "80", value_parser = listen, requires = "print")]
    listen: String,
    /// Where Volley listens, in printed files; of the nginx may be repeated
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", requires = "print")]
    upstream: Vec<SocketAddr>,
    /// Of this process count its limits and its cgroup [default: what `volley serve` gets when it is started from here]
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Read `proc`, `sys` and `etc/nginx` below this folder
    #[arg(long, value_name = "DIR", default_value = "/", value_parser = folder)]
    root: PathBuf,
}

/// What can be printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Printed {
    Nginx,
    Systemd,
    Sysctl,
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no such folder".into()) }
}

/// What nginx understands of it, and nothing that a configuration would take for more.
fn listen(text: &str) -> Result<String, String> {
    let port = text.parse::<u16>().map(|port| port.to_string());
    let address = || text.parse::<SocketAddr>().map(|address| address.to_string());
    port.or_else(|_| address()).map_err(|_| "a port, such as 80, or an address with one, such as 192.0.2.1:80".into())
}

impl Doctor {
    /// Looks, and says whether all is well; printing a file is.
    pub fn run(self) -> anyhow::Result<bool> {
        let crowd = Crowd { connections: self.connections, behind_nginx: self.behind_nginx };
        let read = || Machine::read(&Tree::at(&self.root), self.pid, self.behind_nginx);
        let (text, is_well) = match self.print {
            Some(Printed::Nginx) => (print::nginx(self.connections, &self.listen, &self.upstream), true),
            Some(Printed::Systemd) => (print::systemd(crowd, self.upstream[0]), true),
            Some(Printed::Sysctl) => (print::sysctl(crowd, &read()), true),
            None => {
                let machine = read();
                let checks = checks::all(crowd, &machine);
                let is_well = checks.iter().all(|check| check.ok);
                let text = if self.json {
                    serde_json::to_string(&checks)? + "\n"
                } else {
                    report::text(crowd, &machine, &checks)
                };
                (text, is_well)
            }
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(is_well)
    }
}
