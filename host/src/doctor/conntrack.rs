//! The firewall's table of connections: `nf_conntrack`, and `ip_conntrack` as it was called up to Linux 2.6.20.

use crate::doctor::tree::{Reading, Tree};

/// A kernel's names: the module, and the folder and prefix of its sysctls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) module: &'static str,
    folder: &'static str,
}

const TODAYS: Names = Names { module: "nf_conntrack", folder: "net/netfilter" };
const OLD: Names = Names { module: "ip_conntrack", folder: "net/ipv4/netfilter" };

/// The table.
pub(super) struct Conntrack {
    pub(super) names: Names,
    /// Entries at most.
    pub(super) max: Reading<u64>,
    /// Entries in use.
    pub(super) now: Reading<u64>,
    /// Chains that they are spread over.
    pub(super) buckets: Reading<u64>,
}

impl Names {
    /// The key of a sysctl.
    pub(super) fn key(self, of: &str) -> String {
        format!("{}.{}_{of}", self.folder.replace('/', "."), self.module)
    }

    /// The parameter that sets the number of buckets.
    pub(super) fn hashsize(self) -> String {
        format!("sys/module/{}/parameters/hashsize", self.module)
    }
}

impl Conntrack {
    /// None where the module is not loaded: then nothing is tracked, and nothing bounded.
    pub(super) fn read(tree: &Tree) -> Option<Self> {
        let path = |names: Names, of: &str| format!("proc/sys/{}/{}_{of}", names.folder, names.module);
        let is_loaded = |names: &Names| tree.has(&path(*names, "max")) || tree.has(&names.hashsize());
        let names = [TODAYS, OLD].into_iter().find(is_loaded)?;
        // As root the parameter tells, too, where an old kernel has no sysctl of the buckets.
        let buckets = tree.number(&path(names, "buckets"));
        Some(Self {
            names,
            max: tree.number(&path(names, "max")),
            now: tree.number(&path(names, "count")),
            buckets: buckets.or_else(|unread| tree.number(&names.hashsize()).map_err(|_| unread)),
        })
    }

    /// Entries in a chain, on average; each connection is in two, as it comes and as it is answered.
    pub(super) fn chain(entries: u64, buckets: u64) -> f64 {
        2.0 * entries as f64 / buckets.max(1) as f64
    }
}
