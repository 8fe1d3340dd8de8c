//! What a machine allows, read once.

use crate::doctor::conntrack::Conntrack;
use crate::doctor::memory::Memory;
use crate::doctor::nginx::Nginx;
use crate::doctor::tree::{Reading, Tree, Unread};

/// All that is looked at.
pub(super) struct Machine {
    /// Open files of the process, soft and hard: `serve` raises the soft limit to the hard one.
    pub(super) nofile: Reading<(u64, u64)>,
    /// What that limit can be raised to (`fs.nr_open`).
    pub(super) nr_open: Reading<u64>,
    /// Open files of the machine, and how many there are now.
    pub(super) file_max: Reading<u64>,
    pub(super) files_now: Reading<u64>,
    pub(super) somaxconn: Reading<u64>,
    pub(super) syn_backlog: Reading<u64>,
    /// The first and the last port of connections that go out.
    pub(super) ports: Reading<(u64, u64)>,
    /// Pages of TCP's buffers: low, pressure, max.
    pub(super) tcp_mem: Reading<[u64; 3]>,
    /// None where connections are not tracked.
    pub(super) conntrack: Option<Conntrack>,
    pub(super) memory: Memory,
    /// None unless it was asked for.
    pub(super) nginx: Option<Nginx>,
}

impl Machine {
    /// Reads it, for this process or another.
    pub(super) fn read(tree: &Tree, pid: Option<u32>, with_nginx: bool) -> Self {
        let process = pid.map_or_else(|| "self".into(), |pid| pid.to_string());
        Self {
            nofile: nofile(tree, &process),
            nr_open: tree.number("proc/sys/fs/nr_open"),
            file_max: tree.number("proc/sys/fs/file-max"),
            files_now: tree.numbers("proc/sys/fs/file-nr").map(|[allocated, _free, _max]| allocated),
            somaxconn: tree.number("proc/sys/net/core/somaxconn"),
            syn_backlog: tree.number("proc/sys/net/ipv4/tcp_max_syn_backlog"),
            ports: tree.numbers("proc/sys/net/ipv4/ip_local_port_range").and_then(ports),
            tcp_mem: tree.numbers("proc/sys/net/ipv4/tcp_mem").map_err(of_the_host),
            conntrack: Conntrack::read(tree),
            memory: Memory::read(tree, &process),
            nginx: with_nginx.then(|| Nginx::read(tree)),
        }
    }
}

/// `Max open files            1024                 524288               files`
pub(super) fn nofile(tree: &Tree, process: &str) -> Reading<(u64, u64)> {
    let path = format!("proc/{process}/limits");
    let text = tree.text(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let number = |word: &str| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let mut numbers = line.unwrap_or_default().split_whitespace().map_while(number);
    numbers.next().zip(numbers.next()).ok_or_else(|| Unread::of(format!("/{path} has no line \"Max open files\"")))
}

fn ports([first, last]: [u64; 2]) -> Reading<(u64, u64)> {
    if first <= last {
        Ok((first, last))
    } else {
        Err(Unread::of(format!("ip_local_port_range is {first} {last}, which is no range")))
    }
}

/// The kernel shows `tcp_mem`, which is the whole machine's, in its first network namespace alone.
fn of_the_host(unread: Unread) -> Unread {
    if !unread.is_missing {
        return unread;
    }
    let why = unread.why + "; in a network namespace, as of a container, it does not show: look on the host";
    Unread { why, ..unread }
}
