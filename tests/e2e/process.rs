//! The server's process as the system sees it: memory, CPU time, open files, threads.

use crate::harness::Server;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// In which the kernel counts CPU time (`USER_HZ`; 100 a second wherever Linux runs today).
const CLOCK_TICK: Duration = Duration::from_millis(10);

impl Server {
    fn proc(&self, name: &str) -> PathBuf {
        ["/proc", &self.child.lock().expect("the child").id().to_string(), name].iter().collect()
    }

    /// What it occupies in memory (`VmRSS`).
    pub(crate) fn memory_mib(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("a process");
        field(&status, "VmRSS:") >> 10
    }

    /// How long it has computed, on all its threads.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("a process");
        // The name in brackets may contain anything; user and system time are fields 14 and 15, counted from 1.
        let (_, after_name) = stat.rsplit_once(") ").expect("a name");
        let ticks: u32 = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().expect("ticks")).sum();
        CLOCK_TICK * ticks
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(self.proc("fd")).expect("a process").count()
    }

    /// Moves the limit of open files of the running process, and only the soft one, so that it can be raised again.
    pub(crate) fn limit_open_files(&self, limit: usize) {
        let pid = self.child.lock().expect("the child").id();
        let set = Command::new("prlimit").args([&format!("--pid={pid}"), &format!("--nofile={limit}:")]).status();
        assert!(set.expect("prlimit, of util-linux").success(), "prlimit of {pid} to {limit}");
    }

    /// How often each thread with such a name has slept and was woken.
    pub(crate) fn wake_ups(&self, of_threads: &str) -> Vec<u64> {
        let threads =
            fs::read_dir(self.proc("task")).expect("a process").map(|thread| thread.expect("a thread").path());
        let named = threads
            .filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.starts_with(of_threads)));
        let status = |thread: PathBuf| fs::read_to_string(thread.join("status")).expect("a thread");
        named.map(|thread| field(&status(thread), "voluntary_ctxt_switches:")).collect()
    }
}

/// The number behind a name in one of the kernel's lists.
fn field(list: &str, name: &str) -> u64 {
    let value = list.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {list}"))
}
