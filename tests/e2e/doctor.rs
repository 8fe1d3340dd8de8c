//! `volley doctor`: this very machine, and machines that are made up; its advice, applied.

use crate::ending::InTime as _;
use crate::harness::{Scratch, run, say, volley_path};
use crate::terminal::{done, stderr, stdout};
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Output};

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

/// Asks for JSON, holds its shape to the protocol and its exit code to what it says.
#[track_caller]
fn checks(arguments: &[&str]) -> Vec<Value> {
    checked(&run(&[&["doctor", "--json"], arguments].concat()))
}

#[track_caller]
fn checked(output: &Output) -> Vec<Value> {
    let said: Value = serde_json::from_str(&stdout(output)).unwrap_or_else(|wrong| panic!("{wrong}: {output:?}"));
    let checks = said.as_array().expect("a list").clone();
    let names: Vec<&str> = checks.iter().filter_map(|check| check["check"].as_str()).collect();
    assert!(names.starts_with(&NAMES), "{names:?}");
    for check in &checks {
        let fields: Vec<&String> = check.as_object().expect("an object").keys().collect();
        assert_eq!(fields.len(), 5, "{check}");
        let (is, needs) = (check["is"].as_u64().expect("a number"), check["needs"].as_u64().expect("a number"));
        assert_eq!(check["ok"], json!(is >= needs), "{check}");
        assert_eq!(check["ok"], json!(check["fix"].as_str().expect("a text").is_empty()), "{check}");
    }
    let well = checks.iter().all(|check| check["ok"] == true);
    assert_eq!(output.status.code(), Some(i32::from(!well)), "{said}");
    checks
}

fn of<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name}"))
}

/// A machine that is enough for a thousand.
fn machine() -> Scratch {
    let folder = Scratch::new();
    for (path, text) in [
        ("proc/self/limits", "Max open files            1024                 4096                 files     \n"),
        ("proc/self/cgroup", "0::/\n"),
        ("proc/meminfo", "MemTotal:        2048000 kB\n"),
        ("proc/sys/fs/nr_open", "1048576\n"),
        ("proc/sys/fs/file-max", "100000\n"),
        ("proc/sys/fs/file-nr", "1000\t0\t100000\n"),
        ("proc/sys/net/core/somaxconn", "4096\n"),
        ("proc/sys/net/ipv4/tcp_max_syn_backlog", "1024\n"),
        ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ("proc/sys/net/ipv4/tcp_mem", "22000\t30000\t44000\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
    ] {
        put(&folder, path, text);
    }
    folder
}

fn put(machine: &Scratch, path: &str, text: &str) {
    let path = machine.path().join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn root(machine: &Scratch) -> [&str; 2] {
    ["--root", machine.path().to_str().expect("UTF-8")]
}

#[test]
fn the_open_files_of_this_machine_are_what_they_are() {
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let checks = checks(&["--connections", "30000000"]);
    let nofile = of(&checks, "nofile");
    assert_eq!(nofile["is"].as_u64(), Some(hard.unwrap_or(u64::MAX)));
    assert_eq!((&nofile["needs"], &nofile["ok"]), (&json!(30_000_128), &json!(false)));
    assert!(nofile["fix"].as_str().expect("a text").contains("ulimit -n 30000128"), "{nofile}");
    let text = run(&["doctor", "--connections", "30000000"]);
    assert_eq!(text.status.code(), Some(1));
    for words in ["NO  nofile", "30,000,128", "LimitNOFILE=30000128", "MiB  in all"] {
        assert!(stdout(&text).contains(words), "{words}: {}", stdout(&text));
    }
}

/// Of a process that runs its own limits count.
#[test]
fn a_running_process_is_looked_at() {
    let mut sleeps = Command::new("prlimit").args(["--nofile=100:100", "sleep", "60"]).spawn().expect("prlimit");
    let pid = sleeps.id().to_string();
    let nofile = || of(&checks(&["--connections", "10", "--pid", &pid]), "nofile")["is"].clone();
    crate::harness::wait_until("prlimit to set it", || (nofile() == 100).then_some(()));
    let _ = sleeps.kill();
    let _ = sleeps.wait();
}

#[test]
fn what_is_enough_is_well_and_one_more_is_not() {
    let machine = machine();
    let ask = |connections: &str| checks(&[&["--connections", connections][..], &root(&machine)].concat());
    assert!(ask("1000").iter().all(|check| check["ok"] == true));
    let not: Vec<Value> = ask("1025").into_iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(not.len(), 1, "{not:?}");
    assert_eq!(
        (&not[0]["check"], &not[0]["is"], &not[0]["needs"]),
        (&json!("tcp_max_syn_backlog"), &json!(1024), &json!(1025))
    );
    let well = run(&[&["doctor", "--connections", "1000"][..], &root(&machine)].concat());
    assert!(done(&well).ends_with("\nAll is well.\n"), "{well:?}");
}

/// The advice, written into the made-up machine, makes it green: what it says to write is what is read.
#[test]
fn advice_that_is_followed_makes_a_made_up_machine_well() {
    let machine = machine();
    for (path, text) in [
        ("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"),
        ("proc/sys/net/netfilter/nf_conntrack_count", "3\n"),
        ("proc/sys/net/netfilter/nf_conntrack_buckets", "16384\n"),
        ("sys/module/nf_conntrack/parameters/hashsize", "16384\n"),
    ] {
        put(&machine, path, text);
    }
    put(&machine, "proc/meminfo", "MemTotal:       20480000 kB\n");
    put(&machine, "sys/fs/cgroup/memory.max", "100000000\n");
    let arguments = [&["--connections", "100000", "--behind-nginx"][..], &root(&machine)].concat();
    let before = checks(&arguments);
    assert_eq!(before.iter().filter(|check| check["ok"] == false).count(), 11, "{before:?}");
    for check in &before {
        for line in check["fix"].as_str().expect("a text").lines() {
            follow(&machine, line);
        }
    }
    let nginx = ["doctor", "--connections", "100000", "--print", "nginx"];
    put(&machine, "etc/nginx/nginx.conf", &done(&run(&nginx)));
    let after = checks(&arguments);
    assert!(after.iter().all(|check| check["ok"] == true), "{after:?}");
    // What is printed for good says the same.
    let sysctl = done(&run(&[&["doctor", "--print", "sysctl"], &arguments[..]].concat()));
    for line in sysctl.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (key, value) = line.split_once(" = ").expect("a key and its value");
        let now = fs::read_to_string(machine.path().join(file_of(key))).expect("a sysctl");
        assert_eq!(now.split_whitespace().collect::<Vec<_>>(), value.split_whitespace().collect::<Vec<_>>(), "{line}");
    }
}

fn file_of(key: &str) -> String {
    format!("proc/sys/{}", key.replace('.', "/"))
}

/// Does one line of a fix where the made-up machine lies, as far as the kernel would read it.
fn follow(machine: &Scratch, line: &str) {
    let line = line.split("  #").next().unwrap_or_default();
    if let Some((key, value)) = line.strip_prefix("sysctl -w ").and_then(|set| set.split_once('=')) {
        put(machine, &file_of(key), value.trim_matches('\''));
    } else if let Some(files) = line.strip_prefix("ulimit -n ") {
        put(machine, "proc/self/limits", &format!("Max open files {files} {files} files\n"));
    } else if let Some((value, path)) = line.strip_prefix("echo ").and_then(|echo| echo.split_once(" > /")) {
        if path.starts_with("sys/module/nf_conntrack") {
            put(machine, "proc/sys/net/netfilter/nf_conntrack_buckets", value);
        } else if path.starts_with("sys/") {
            put(machine, path, value);
        }
    }
}

/// The same for real where the kernel lets each network have its own: backlogs and ports, in a network of this test's, and
/// with a folder for sysctl.d that nobody else sees. The lines run as they are printed.
#[test]
fn advice_that_is_followed_in_a_network_namespace_makes_it_well() {
    let arguments = "doctor --json --connections 60000 --behind-nginx";
    let script = format!(
        "mount -t tmpfs none /etc/sysctl.d && {volley} {arguments} > $1/before; sh -e $1/fix > $1/said && cat /etc/sysctl.d/* > $1/kept \
         && exec {volley} {arguments}",
        volley = volley_path().display(),
    );
    let folder = Scratch::new();
    let scoped = ["somaxconn", "tcp_max_syn_backlog", "ip_local_port_range"];
    let here = checks(&["--connections", "60000", "--behind-nginx"]);
    let mut fix = String::new();
    for name in scoped {
        // It may have been done for the whole machine; in a new network it has not.
        let text = of(&here, name)["fix"].as_str().expect("a text").to_owned();
        fix += &text;
        fix += "\n";
    }
    let path = folder.file("fix", &fix);
    let may = Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", "mount -t tmpfs none /etc/sysctl.d && sysctl -V"])
        .output_in_time();
    if !may.is_ok_and(|output| output.status.success()) {
        say(
            "SKIPPED: no network namespace here (it takes root, unshare and sysctl); the made-up machine stands for it",
        );
        return;
    }
    if fix.trim().is_empty() {
        say("SKIPPED: this machine's backlogs and ports are enough already");
        return;
    }
    let output =
        Command::new("unshare").args(["-n", "-m", "sh", "-c", &script, "sh"]).arg(folder.path()).output_in_time();
    let output = output.expect("unshare");
    let after = checked(&output);
    for name in scoped {
        assert_eq!(of(&after, name)["ok"], true, "{path}: {fix}: {output:?}");
    }
    let before = fs::read_to_string(folder.path().join("before")).expect("what was before");
    let before: Vec<Value> = serde_json::from_str(&before).expect("JSON");
    assert_eq!(of(&before, "somaxconn")["ok"], false, "a new network begins with the kernel's own");
    let kept = fs::read_to_string(folder.path().join("kept")).expect("what is kept");
    assert!(kept.contains("net.core.somaxconn = 60000"), "{kept}");
    // What belongs to the machine does not show in there, and is never taken for well.
    assert!(stderr(&output).is_empty() || !stderr(&output).contains("panicked"), "{output:?}");
    assert_eq!(of(&after, "tcp_mem")["ok"], false, "{after:?}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for (arguments, word) in [
        (&[][..], "--connections"),
        (&["--connections", "0"], "--connections"),
        (&["--connections", "many"], "many"),
        (&["--connections", "-1"], "-1"),
        (&["--connections", "33554433"], "33554433"),
        (&["--connections", "1", "--root", "/no/such/folder"], "/no/such/folder"),
        (&["--connections", "1", "--print", "apache"], "apache"),
        (&["--connections", "1", "--print", "nginx", "--json"], "--json"),
        (&["--connections", "1", "--listen", "80"], "--print"),
        (&["--connections", "1", "--print", "nginx", "--listen", "80; include /etc/passwd"], "a port"),
        (&["--connections", "1", "--print", "nginx", "--upstream", "localhost"], "localhost"),
    ] {
        let output = run(&[&["doctor"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(stderr(&output).contains(word) && stdout(&output).is_empty(), "{arguments:?}: {output:?}");
    }
}
