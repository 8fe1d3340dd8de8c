//! What the kernel says of a process: CPU time and memory from /proc. Also the limit on open files.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Resident memory of a process.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// All of it, the pages of the executable included.
    pub(crate) resident_bytes: u64,
    /// What it allocated.
    pub(crate) anonymous_bytes: u64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    let read = |name: &str| bytes(name).with_context(|| format!("{path} tells no {name}"));
    Ok(Memory { resident_bytes: read("VmRSS:")?, anonymous_bytes: read("RssAnon:")? })
}

/// User and system time that all threads of the process have used, in seconds, to a clock tick (10 ms).
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("{path} is not what proc(5) says"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Fields 14 and 15. The name (field 2) may hold anything, so counting starts after its last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// How many threads wanted a core at once in the last minute.
pub(crate) fn machine_load() -> Result<f64> {
    let load = fs::read_to_string("/proc/loadavg")?;
    load.split(' ').next().and_then(|load| load.parse().ok()).context("/proc/loadavg is not what proc(5) says")
}

/// Lifts the soft limit to the hard one. Without effect it is not an error here: running out of files is told there.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// How many files this process, and so each child, may open.
pub(crate) fn file_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_hostile_name() {
        let stat = "42 (a) 1 (b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("42 (a) S 1"), None);
    }

    #[test]
    fn reads_its_own_figures() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.anonymous_bytes > 0 && own.resident_bytes > own.anonymous_bytes);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
