//! What a user copies from `examples/deploy`: it is what the program prints, and names nothing that is not there.

use crate::harness::{Scratch, Server, run, say, volley_path, workspace};
use crate::http::{call, get};
use crate::terminal::done;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

fn example(name: &str) -> String {
    fs::read_to_string(workspace().join("examples/deploy").join(name)).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
}

/// Byte for byte, by the command that the file itself names.
#[test]
fn printed_files_are_what_is_printed() {
    for name in ["volley.service", "nginx.conf"] {
        let file = example(name);
        let command =
            file.split("Printed by `volley ").nth(1).and_then(|rest| rest.split('`').next()).expect("a command");
        let printed = done(&run(&command.split_whitespace().collect::<Vec<_>>()));
        assert_eq!(file, printed, "examples/deploy/{name}: volley {command} > examples/deploy/{name}");
    }
}

/// The names of metrics in a text, without what a histogram or a counter adds to its family's.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("volley_")).collect()
}

#[test]
fn dashboards_and_alerts_name_metrics_that_there_are() {
    let server = Server::start_plain(&[]);
    let scrape = call(&server.admin, &get("/metrics"));
    let types = scrape.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let known: BTreeSet<String> = types
        .flat_map(|(name, kind)| {
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => &[""],
            };
            suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
        })
        .collect();
    let dashboard = example("grafana.json");
    let parsed: Value = serde_json::from_str(&dashboard).expect("JSON");
    let queries: Vec<&str> = parsed["panels"]
        .as_array()
        .expect("panels")
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"))
        .map(|target| target["expr"].as_str().expect("a query"))
        .collect();
    assert!(queries.len() > 20 && queries.iter().all(|query| !metrics_in(query).is_empty()), "{queries:?}");
    for (name, text) in [("grafana.json", &dashboard), ("alerts.yml", &example("alerts.yml"))] {
        let named = metrics_in(text);
        assert!(named.len() > 5, "{name}: {named:?}");
        let unknown: Vec<_> = named.iter().filter(|metric| !known.contains(**metric)).collect();
        assert!(unknown.is_empty(), "{name} names what /metrics does not have: {unknown:?}");
    }
}

/// Grafana and Prometheus are not here to say so: what their files share with the rest is looked at.
#[test]
fn the_scrape_finds_the_admin_listener() {
    let admin = "127.0.0.1:9090";
    assert!(done(&run(&["serve", "--help"])).contains(admin), "the default of --admin");
    assert!(example("prometheus.yml").contains(&format!("targets: [\"{admin}\"]")));
    assert!(example("prometheus.yml").contains("alerts.yml"));
}

/// systemd's own checker, where it is installed. What is started is this program, since none is installed.
#[test]
fn systemd_takes_the_unit() {
    let folder = Scratch::new();
    for arguments in [&["--behind-nginx"][..], &[]] {
        let print = ["doctor", "--connections", "2000000", "--print", "systemd"];
        let unit = done(&run(&[&print, arguments].concat()));
        let here = volley_path().to_str().expect("UTF-8");
        let path = folder.file("volley.service", &unit.replace("/usr/local/bin/volley", here));
        let Ok(verified) = Command::new("systemd-analyze").args(["verify", "--man=no", &path]).output() else {
            say("SKIPPED: systemd-analyze is not installed; the unit is not verified");
            return;
        };
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let of_it: Vec<&str> = said.lines().filter(|line| line.contains("volley.service")).collect();
        assert!(verified.status.success() && of_it.is_empty(), "{said}");
    }
}

/// The flags that the unit and the container start it with are flags: `serve` complains about nothing but the folder.
#[test]
fn what_is_started_is_a_command() {
    let unit = example("volley.service").replace("\\\n", " ");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/volley ")).expect("a command");
    let folder = Scratch::new();
    let data = folder.path().join("data").display().to_string();
    let arguments = line.replace("/var/lib/volley", &data).replace("127.0.0.1:8080", "127.0.0.1:0");
    let arguments: Vec<&str> = arguments.split_whitespace().chain(["--admin", "127.0.0.1:0"]).collect();
    let server = Server::start_as(crate::harness::volley().args(arguments));
    assert_eq!(call(&server.admin, &get("/healthz")).status, 200);
    let container = example("Dockerfile");
    let entry = container.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).expect("an entry point");
    let entry: Vec<String> = serde_json::from_str(entry).expect("JSON");
    assert_eq!(entry[1..], ["serve", "--data", "/var/lib/volley"]);
}
