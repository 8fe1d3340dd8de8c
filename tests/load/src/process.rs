//! What the kernel says of a process: its memory, its threads and descendants, from /proc. Also the limit on open files.

use std::fs;

use anyhow::{Context as _, Result, ensure};
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
    let kib = |name: &str| kib_behind(&status, name).with_context(|| format!("{path} tells no {name}"));
    Ok(Memory { resident_bytes: kib("VmRSS:")? * 1024, anonymous_bytes: kib("RssAnon:")? * 1024 })
}

fn kib_behind(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Resident memory of a process and its descendants; what they share is counted once.
pub(crate) fn family_memory(pid: u32) -> Result<Memory> {
    sum_of_family(pid, |pid| {
        let path = format!("/proc/{pid}/smaps_rollup");
        let rollup = fs::read_to_string(&path).with_context(|| path.clone())?;
        let kib = kib_behind(&rollup, "Pss:").with_context(|| format!("{path} tells no Pss"))?;
        Ok(Memory { resident_bytes: kib * 1024, anonymous_bytes: memory(pid)?.anonymous_bytes })
    })
}

/// The same with what they share counted for each, which costs the kernel less.
pub(crate) fn family_memory_quickly(pid: u32) -> Result<Memory> {
    sum_of_family(pid, memory)
}

fn sum_of_family(pid: u32, of: impl Fn(u32) -> Result<Memory>) -> Result<Memory> {
    let mut sum = of(pid)?;
    for descendant in family(pid)?.into_iter().skip(1) {
        // It may have ended since it was listed.
        let Ok(memory) = of(descendant) else { continue };
        sum.resident_bytes += memory.resident_bytes;
        sum.anonymous_bytes += memory.anonymous_bytes;
    }
    Ok(sum)
}

/// The process and all that descend from it: some servers work in processes of their own.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    ensure!(fs::exists(format!("/proc/{pid}/task/{pid}/children"))?, "the kernel tells no children of process {pid}");
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        next += 1;
        for thread in threads(parent) {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{thread}/children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    Ok(family)
}

/// The threads of a process; none if it has ended.
pub(crate) fn threads(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
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
    use std::process::Command;

    use super::*;

    #[test]
    fn reads_its_own_figures() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.anonymous_bytes > 0 && own.resident_bytes > own.anonymous_bytes);
    }

    #[test]
    fn a_child_is_of_the_family() {
        let own = std::process::id();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let (family, memory) = (family(own).unwrap(), family_memory(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&own) && family.contains(&child.id()), "{family:?}");
        assert!(memory.resident_bytes > 0);
        assert!(family_memory(child.id()).is_err(), "the memory of who is gone");
    }

    #[test]
    fn a_process_that_is_gone_has_no_family() {
        // Above the largest that the kernel gives out.
        assert!(family(1 << 30).is_err());
        assert!(threads(1 << 30).is_empty());
    }
}
