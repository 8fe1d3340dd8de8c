//! The kernel's own memory, of the whole machine. What it grew by while connections were opened is theirs, and counts both
//! ends: on loopback the driver's socket is as large as the server's. Other programs' files and sockets are noise in it.

use std::fs;

use anyhow::{Context as _, Result};

/// In bytes.
#[derive(Clone, Copy)]
pub(crate) struct KernelMemory {
    /// All of the kernel's small objects: sockets, their inodes and files, entries of epoll.
    pub(crate) slab: u64,
    /// Those of them that are no caches: without the inodes of sockets, but also without what others' files leave.
    pub(crate) unreclaimable: u64,
    /// Pages charged to TCP sockets for what they have to send or to be read.
    pub(crate) sockets: u64,
}

impl KernelMemory {
    pub(crate) fn now() -> Result<Self> {
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let sockstat = fs::read_to_string("/proc/net/sockstat")?;
        let kib = |name: &str| kib_of(&meminfo, name).with_context(|| format!("/proc/meminfo tells no {name}"));
        let pages = tcp_pages(&sockstat).context("/proc/net/sockstat tells no TCP memory")?;
        Ok(Self {
            slab: kib("Slab:")? * 1024,
            unreclaimable: kib("SUnreclaim:")? * 1024,
            sockets: pages * rustix::param::page_size() as u64,
        })
    }
}

fn kib_of(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn tcp_pages(sockstat: &str) -> Option<u64> {
    let mut words = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let meminfo =
            "MemTotal: 1 kB\nSlab:             167732 kB\nSReclaimable:   1 kB\nSUnreclaim:        29136 kB\n";
        assert_eq!((kib_of(meminfo, "Slab:"), kib_of(meminfo, "SUnreclaim:")), (Some(167_732), Some(29_136)));
        assert_eq!(kib_of(meminfo, "Swab:"), None);
        let sockstat = "sockets: used 21\nTCP: inuse 5 orphan 0 tw 0 alloc 5 mem 113\nUDP: inuse 0 mem 7\n";
        assert_eq!(tcp_pages(sockstat), Some(113));
        assert_eq!(tcp_pages("UDP: inuse 0 mem 7\n"), None);
    }

    #[test]
    fn reads_this_machine() {
        assert!(KernelMemory::now().unwrap().slab > 0);
    }
}
