//! What is beside what is needed: one check for each bound, always in this order.

use crate::doctor::conntrack::Conntrack;
use crate::doctor::costs;
use crate::doctor::fixes;
use crate::doctor::machine::Machine;
use crate::doctor::memory::Bound;
use crate::doctor::needs::Crowd;
use crate::doctor::nginx::Nginx;
use crate::doctor::numbers::grouped;
use crate::doctor::tree::Reading;
use serde::Serialize;

/// A bound, as `--json` prints it.
#[derive(Serialize)]
pub(super) struct Check {
    /// Its name.
    #[serde(rename = "check")]
    pub(super) name: &'static str,
    /// What is there; 0 if that can't be read.
    pub(super) is: u64,
    /// What is needed; 0 if nothing is.
    pub(super) needs: u64,
    /// What is there is enough.
    pub(super) ok: bool,
    /// Commands, one a line; empty if there is nothing to do.
    pub(super) fix: String,
    /// What is counted, for people.
    #[serde(skip)]
    pub(super) about: String,
    /// Why it is not known.
    #[serde(skip)]
    pub(super) unread: Option<String>,
}

impl Check {
    /// Compares; what is not known is not enough.
    fn of(
        name: &'static str,
        is: Reading<u64>,
        needs: u64,
        about: impl Into<String>,
        fix: impl FnOnce(u64) -> String,
    ) -> Self {
        let unread = is.as_ref().err().map(|unread| unread.why.clone());
        let ok = is.as_ref().is_ok_and(|is| *is >= needs);
        let fix = match &unread {
            Some(why) => format!("# can't be read: {why}\n{}", fix(needs)),
            None if ok => String::new(),
            None => fix(needs),
        };
        Self { name, is: is.unwrap_or(0), needs, ok, fix: fix.trim_end().to_owned(), about: about.into(), unread }
    }

    /// There is no such bound here.
    fn without(name: &'static str, about: &str) -> Self {
        Self { name, is: 0, needs: 0, ok: true, fix: String::new(), about: about.into(), unread: None }
    }
}

/// All of them.
pub(super) fn all(crowd: Crowd, machine: &Machine) -> Vec<Check> {
    let mut checks = vec![nofile(crowd, machine), file_max(crowd, machine)];
    checks.extend(backlogs(crowd, machine));
    checks.extend([ports(crowd, machine), tcp_mem(crowd, machine)]);
    match &machine.conntrack {
        Some(conntrack) => checks.extend(tracked(crowd, conntrack)),
        None => checks.extend(["conntrack_max", "conntrack_buckets"].map(|name| Check::without(name, "not loaded"))),
    }
    checks.push(memory(crowd, machine));
    checks.extend(machine.nginx.as_ref().into_iter().flat_map(|nginx| nginx_worker(crowd, nginx)));
    checks
}

fn nofile(crowd: Crowd, machine: &Machine) -> Check {
    let hard = machine.nofile.clone().map(|(_soft, hard)| hard);
    let nr_open = machine.nr_open.as_ref().ok().copied();
    let about = "open files of the server: its hard limit, to which it raises the soft one";
    Check::of("nofile", hard, crowd.nofile(), about, |needs| fixes::nofile(needs, nr_open))
}

fn file_max(crowd: Crowd, machine: &Machine) -> Check {
    // Where that can't be read, an allowance stands for it.
    let now = machine.files_now.as_ref().copied().unwrap_or(0);
    let about = format!("open files of the machine, {} now", grouped(now));
    let fix = |needs: u64| fixes::sysctl("fs.file-max", &needs.to_string());
    Check::of("file_max", machine.file_max.clone(), crowd.file_max(now), about, fix)
}

fn backlogs(crowd: Crowd, machine: &Machine) -> [Check; 2] {
    let needs = crowd.backlog();
    let fix = |key| move |needs: u64| fixes::backlog(key, needs);
    [
        Check::of(
            "somaxconn",
            machine.somaxconn.clone(),
            needs,
            "connections that wait to be accepted",
            fix("net.core.somaxconn"),
        ),
        Check::of(
            "tcp_max_syn_backlog",
            machine.syn_backlog.clone(),
            needs,
            "connections that are half open",
            fix("net.ipv4.tcp_max_syn_backlog"),
        ),
    ]
}

fn ports(crowd: Crowd, machine: &Machine) -> Check {
    let is = machine.ports.clone().map(|(first, last)| last - first + 1);
    let about = match crowd.addresses() {
        _ if !crowd.behind_nginx => "ports of connections that go out; clients' come in and need none".into(),
        1 => "ports of nginx's connections to Volley".into(),
        addresses => format!("ports of nginx's connections to Volley, from each of {addresses} addresses"),
    };
    Check::of("ip_local_port_range", is, crowd.ports(), about, |_| fixes::ports())
}

fn tcp_mem(crowd: Crowd, machine: &Machine) -> Check {
    let pressure = machine.tcp_mem.clone().map(|[_low, pressure, _max]| pressure);
    let about = "pages of TCP's buffers, from which on it saves (the second number)";
    let fix = |needs| fixes::sysctl("net.ipv4.tcp_mem", &fixes::tcp_mem(needs));
    Check::of("tcp_mem", pressure, crowd.tcp_pages(), about, fix)
}

fn tracked(crowd: Crowd, conntrack: &Conntrack) -> [Check; 2] {
    let Conntrack { names, max, now, buckets } = conntrack;
    let entries = now.as_ref().copied().unwrap_or(0);
    let about = |of: &str| match now {
        Ok(now) => format!("{of}, {} in use", grouped(*now)),
        Err(unread) => format!("{of}; how many are in use can't be read: {}", unread.why),
    };
    let chains = match (buckets, now) {
        (Ok(buckets), Ok(now)) => {
            let chain = |entries| Conntrack::chain(entries, *buckets);
            format!("chains of {:.1} entries on average now, {:.1} then", chain(*now), chain(crowd.tracked(*now)))
        }
        _ => "chains of the table".into(),
    };
    [
        Check::of("conntrack_max", max.clone(), crowd.tracked(entries), about("connections tracked"), |needs| {
            fixes::conntrack_max(*names, needs)
        }),
        Check::of("conntrack_buckets", buckets.clone(), crowd.buckets(entries), chains, |needs| {
            fixes::conntrack_buckets(*names, needs)
        }),
    ]
}

/// The cgroup has to hold the server, the machine everything: what is left less counts.
fn memory(crowd: Crowd, machine: &Machine) -> Check {
    let parts = costs::of(crowd, machine);
    let (in_cgroup, in_all) = (costs::server_bytes(&parts), costs::bytes(&parts));
    let unbounded = |total: u64| {
        let about = "bytes of memory of this machine, which no cgroup bounds further".to_owned();
        (total, in_all, about, None)
    };
    let bounded = |bound: Bound| {
        let about = format!("bytes of memory of the cgroup ({})", bound.file);
        (bound.bytes, in_cgroup, about, Some(bound))
    };
    let found = machine.memory.total.clone().and_then(|total| {
        let bound = machine.memory.cgroup.clone()?.filter(|bound| bound.bytes < total);
        let left = |is: u64, needs: u64| i128::from(is) - i128::from(needs);
        let tighter = bound.filter(|bound| left(bound.bytes, in_cgroup) < left(total, in_all));
        Ok(tighter.map_or_else(|| unbounded(total), bounded))
    });
    match found {
        Err(unread) => Check::of("cgroup_memory", Err(unread), in_all, "bytes of memory", |_| String::new()),
        Ok((is, needs, about, bound)) => {
            let fix = |needs| bound.map_or_else(|| fixes::machine_memory(needs), |bound| fixes::cgroup(&bound, needs));
            Check::of("cgroup_memory", Ok(is), needs, about, fix)
        }
    }
}

fn nginx_worker(crowd: Crowd, nginx: &Nginx) -> [Check; 2] {
    let fix = move |_| fixes::nginx(crowd);
    [
        Check::of(
            "nginx_worker_rlimit_nofile",
            nginx.nofile.clone(),
            crowd.nginx_nofile(),
            "open files of each nginx worker",
            fix,
        ),
        Check::of(
            "nginx_worker_connections",
            nginx.connections.clone(),
            crowd.nginx_connections(),
            "connections of each nginx worker, two for each client",
            fix,
        ),
    ]
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
