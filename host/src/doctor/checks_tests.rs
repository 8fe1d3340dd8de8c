//! Checks on made-up machines: trees of files as kernels of today and of long ago write them.

use super::*;
use crate::doctor::tree::Tree;
use crate::scratch::Scratch;
use std::fs;
use std::path::Path;

/// A machine that is large enough for 100,000 clients behind nginx.
const LARGE: &[(&str, &str)] = &[
    (
        "proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 200000               files     \n",
    ),
    ("proc/self/cgroup", "0::/system.slice/volley.service\n"),
    ("proc/meminfo", "MemTotal:       16384000 kB\nMemFree:            1 kB\n"),
    ("proc/sys/fs/nr_open", "1048576\n"),
    ("proc/sys/fs/file-max", "9223372036854775807\n"),
    ("proc/sys/fs/file-nr", "1344\t0\t9223372036854775807\n"),
    ("proc/sys/net/core/somaxconn", "65535\n"),
    ("proc/sys/net/ipv4/tcp_max_syn_backlog", "65535\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "10240\t65535\n"),
    ("proc/sys/net/ipv4/tcp_mem", "287898\t383867\t575796\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "1000\n"),
    ("proc/sys/net/netfilter/nf_conntrack_buckets", "262144\n"),
    ("sys/fs/cgroup/system.slice/volley.service/memory.max", "max\n"),
    ("etc/nginx/nginx.conf", "worker_rlimit_nofile 300000;\nevents { worker_connections 250000; }\n"),
];

const NAMES: [&str; 9] = [
    "nofile",
    "file_max",
    "somaxconn",
    "tcp_max_syn_backlog",
    "ip_local_port_range",
    "tcp_mem",
    "conntrack_max",
    "conntrack_buckets",
    "cgroup_memory",
];

/// The large machine with these files in place of its own; an empty one is not there.
fn checks(crowd: Crowd, changes: &[(&str, &str)]) -> Vec<Check> {
    let folder = Scratch::new();
    for (path, text) in LARGE.iter().chain(changes) {
        write(folder.path(), path, text);
    }
    let machine = Machine::read(&Tree::at(folder.path()), None, crowd.behind_nginx);
    all(crowd, &machine)
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if text.is_empty() { fs::remove_file(path).unwrap() } else { fs::write(path, text).unwrap() }
}

fn of<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn missing(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.ok).map(|check| check.name).collect()
}

const DIRECT: Crowd = Crowd { connections: 100_000, behind_nginx: false };
const BEHIND: Crowd = Crowd { connections: 100_000, behind_nginx: true };

#[test]
fn a_large_machine_is_well_and_says_so_by_every_name() {
    let direct = checks(DIRECT, &[]);
    assert_eq!(direct.iter().map(|check| check.name).collect::<Vec<_>>(), NAMES);
    for check in direct.iter().chain(&checks(BEHIND, &[])) {
        assert!(check.ok && check.fix.is_empty() && check.is >= check.needs, "{}: {}", check.name, check.fix);
    }
    assert_eq!(checks(BEHIND, &[]).len(), NAMES.len() + 2);
}

/// Every bound is looked at: one after the other is too low, and that one alone is told, with what changes it.
#[test]
fn whatever_is_too_low_is_told_alone() {
    let lowered: [(&str, &str, &str, &[&str]); 11] = [
        (
            "nofile",
            "proc/self/limits",
            "Max open files 1024 100127 files\n",
            &["ulimit -n 100128", "LimitNOFILE=100128"],
        ),
        (
            "file_max",
            "proc/sys/fs/file-max",
            "200000\n",
            &["fs.file-max='308320'", "/etc/sysctl.d/90-volley-file-max.conf"],
        ),
        ("somaxconn", "proc/sys/net/core/somaxconn", "4096\n", &["net.core.somaxconn='65535'", "restart volley"]),
        ("tcp_max_syn_backlog", "proc/sys/net/ipv4/tcp_max_syn_backlog", "65534\n", &["tcp_max_syn_backlog='65535'"]),
        ("ip_local_port_range", "proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n", &["='10240 65535'"]),
        ("tcp_mem", "proc/sys/net/ipv4/tcp_mem", "1\t299999\t9000000\n", &["tcp_mem='225000 300000 450000'"]),
        (
            "conntrack_max",
            "proc/sys/net/netfilter/nf_conntrack_max",
            "65536\n",
            &["net.netfilter.nf_conntrack_max='251000'"],
        ),
        (
            "conntrack_buckets",
            "proc/sys/net/netfilter/nf_conntrack_buckets",
            "16384\n",
            &["echo 251000 > /sys/module/nf_conntrack/parameters/hashsize", "options nf_conntrack hashsize=251000"],
        ),
        (
            "cgroup_memory",
            "sys/fs/cgroup/system.slice/volley.service/memory.max",
            "104857600\n",
            &["> /sys/fs/cgroup/system.slice/volley.service/memory.max", "MemoryMax="],
        ),
        (
            "nginx_worker_rlimit_nofile",
            "etc/nginx/nginx.conf",
            "worker_rlimit_nofile 201535;\nevents { worker_connections 200512; }\n",
            &["worker_rlimit_nofile 201536", "--print nginx"],
        ),
        (
            "nginx_worker_connections",
            "etc/nginx/nginx.conf",
            "worker_rlimit_nofile 201536;\nevents { worker_connections 200511; }\n",
            &["worker_connections 200512"],
        ),
    ];
    for (name, path, text, fixes) in lowered {
        let checks = checks(BEHIND, &[(path, text)]);
        assert_eq!(missing(&checks), [name]);
        let check = of(&checks, name);
        for fix in fixes {
            assert!(check.fix.contains(fix), "{name}: {fix} is not in\n{}", check.fix);
        }
    }
}

/// What can't be read is told, and never enough, however little is asked for.
#[test]
fn what_cannot_be_read_is_not_well() {
    let few = Crowd { connections: 1, behind_nginx: true };
    for (name, path) in [
        ("nofile", "proc/self/limits"),
        ("file_max", "proc/sys/fs/file-max"),
        ("somaxconn", "proc/sys/net/core/somaxconn"),
        ("tcp_max_syn_backlog", "proc/sys/net/ipv4/tcp_max_syn_backlog"),
        ("ip_local_port_range", "proc/sys/net/ipv4/ip_local_port_range"),
        ("tcp_mem", "proc/sys/net/ipv4/tcp_mem"),
        ("conntrack_max", "proc/sys/net/netfilter/nf_conntrack_max"),
        ("conntrack_buckets", "proc/sys/net/netfilter/nf_conntrack_buckets"),
        ("cgroup_memory", "proc/meminfo"),
    ] {
        // A table of connections is loaded whichever of its files can be read.
        let hashsize = ("sys/module/nf_conntrack/parameters/hashsize", "262144\n");
        let kept: &[_] = if name == "conntrack_max" { &[hashsize] } else { &[] };
        for damage in ["", "soon\n"] {
            let checks = checks(few, &[kept, &[(path, damage)]].concat());
            assert_eq!(missing(&checks), [name], "{path} {damage:?}");
            let check = of(&checks, name);
            assert!(check.is == 0 && check.needs > 0 && check.fix.starts_with("# can't be read: "), "{}", check.fix);
        }
    }
    let nginx = checks(few, &[("etc/nginx/nginx.conf", "")]);
    assert_eq!(missing(&nginx), ["nginx_worker_rlimit_nofile", "nginx_worker_connections"]);
    let namespace = checks(DIRECT, &[("proc/sys/net/ipv4/tcp_mem", "")]);
    assert!(of(&namespace, "tcp_mem").fix.contains("look on the host"));
}

#[test]
fn where_nothing_is_tracked_nothing_is_needed() {
    let gone = ["max", "count", "buckets"].map(|of| format!("proc/sys/net/netfilter/nf_conntrack_{of}"));
    let checks = checks(BEHIND, &gone.each_ref().map(|path| (&**path, "")));
    for name in ["conntrack_max", "conntrack_buckets"] {
        let check = of(&checks, name);
        assert_eq!((check.is, check.needs, check.ok, &*check.fix), (0, 0, true, ""));
    }
}

/// Linux 2.6 as distributions of its time had it: 65,536 entries in 8,192 buckets, the number of which is a parameter.
#[test]
fn an_old_kernel_has_other_names() {
    let gone = ["max", "count", "buckets"].map(|of| format!("proc/sys/net/netfilter/nf_conntrack_{of}"));
    let old = [
        ("proc/sys/net/ipv4/netfilter/ip_conntrack_max", "65536\n"),
        ("proc/sys/net/ipv4/netfilter/ip_conntrack_count", "30000\n"),
        ("sys/module/ip_conntrack/parameters/hashsize", "8192\n"),
    ];
    let changes: Vec<_> = gone.iter().map(|path| (&**path, "")).chain(old).collect();
    let checks = checks(DIRECT, &changes);
    assert_eq!(missing(&checks), ["conntrack_max", "conntrack_buckets"]);
    let (max, buckets) = (of(&checks, "conntrack_max"), of(&checks, "conntrack_buckets"));
    assert_eq!((max.is, max.needs, buckets.is, buckets.needs), (65_536, 155_000, 8_192, 155_000));
    assert!(max.about.contains("30,000 in use") && buckets.about.contains("7.3 entries on average now, 37.8 then"));
    assert!(max.fix.contains("net.ipv4.netfilter.ip_conntrack_max='155000'"), "{}", max.fix);
    assert!(buckets.fix.contains("options ip_conntrack hashsize=155000"), "{}", buckets.fix);
}

#[test]
fn the_tightest_cgroup_on_the_way_up_counts() {
    let memory = |changes: &[(&str, &str)]| {
        let checks = checks(DIRECT, changes);
        let memory = of(&checks, "cgroup_memory");
        (memory.is, memory.ok)
    };
    let all = 16_384_000 << 10;
    let own = "sys/fs/cgroup/system.slice/volley.service/memory.max";
    let slice = "sys/fs/cgroup/system.slice/memory.max";
    assert_eq!(memory(&[]), (all, true));
    assert_eq!(memory(&[(own, "2147483648\n"), (slice, "max\n")]), (2 << 30, true));
    assert_eq!(memory(&[(own, "2147483648\n"), (slice, "1000000\n")]), (1_000_000, false));
    // Version 1, whose `no bound` is a number larger than any machine, and a container that sees its own cgroup alone.
    let v1 = ("proc/self/cgroup", "9:cpu:/x\n4:memory,hugetlb:/docker/0123\n0::/\n");
    assert_eq!(memory(&[v1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")]), (all, true));
    assert_eq!(memory(&[v1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "900000\n")]), (900_000, false));
    // No cgroups at all.
    assert_eq!(memory(&[("proc/self/cgroup", "")]), (all, true));
}

#[test]
fn running_workers_count_more_than_what_is_written() {
    let (lines, limits) =
        ("nginx: worker process\0", "Max open files            1024                 524288               files\n");
    let checks = checks(BEHIND, &[("proc/4711/cmdline", lines), ("proc/4711/limits", limits)]);
    assert_eq!(missing(&checks), ["nginx_worker_rlimit_nofile"]);
    assert_eq!(of(&checks, "nginx_worker_rlimit_nofile").is, 1024);
}

#[test]
fn more_files_than_a_process_may_have_at_all() {
    let crowd = Crowd { connections: 2_000_000, behind_nginx: false };
    assert!(of(&checks(crowd, &[]), "nofile").fix.starts_with("sysctl -w fs.nr_open='2000128'"));
}
