//! CPU time in nanoseconds, from the scheduler's own books (/proc/PID/task/TID/schedstat). A broadcast to a hundred costs
//! about a millisecond: clock ticks (10 ms) would have to be spread over thousands.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// What each thread had used at one time. Kept apart, since the sum falls when a thread ends.
pub(crate) struct CpuTime(HashMap<u32, u64>);

impl CpuTime {
    /// Of a server: the process and all that descend from it.
    pub(crate) fn of_family(pid: u32) -> Result<Self> {
        Self::of(&process::family(pid)?)
    }

    /// Of the driver, whose descendants are the servers.
    pub(crate) fn of_driver() -> Result<Self> {
        Self::of(&[std::process::id()])
    }

    fn of(pids: &[u32]) -> Result<Self> {
        let mut threads = HashMap::new();
        for pid in pids {
            for thread in process::threads(*pid) {
                // It may have ended since it was listed.
                let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")) else { continue };
                threads.insert(thread, run_nanos(&stat).context("schedstat is not what the kernel's manual says")?);
            }
        }
        ensure!(!threads.is_empty(), "the kernel tells no CPU time of process {pids:?} (/proc/PID/task/TID/schedstat)");
        Ok(Self(threads))
    }

    /// Seconds used since `earlier`; what a thread that has ended used in between is not known.
    pub(crate) fn seconds_since(&self, earlier: &Self) -> f64 {
        let used = self.0.iter().map(|(thread, nanos)| nanos.saturating_sub(*earlier.0.get(thread).unwrap_or(&0)));
        used.sum::<u64>() as f64 / 1e9
    }
}

/// The first field: time on a core, user and system.
fn run_nanos(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_came_counts_from_nothing_and_one_that_went_not_at_all() {
        let before = CpuTime(HashMap::from([(1, 5_000_000_000), (2, 7)]));
        let after = CpuTime(HashMap::from([(1, 5_250_000_000), (3, 250_000_000)]));
        assert!((after.seconds_since(&before) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn reads_the_time_on_a_core() {
        assert_eq!(run_nanos("86230 41672 1\n"), Some(86_230));
        assert_eq!(run_nanos(""), None);
    }

    #[test]
    fn work_shows() {
        let before = CpuTime::of_driver().unwrap();
        let mut sum = 0_u64;
        while CpuTime::of_driver().unwrap().seconds_since(&before) < 0.001 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
