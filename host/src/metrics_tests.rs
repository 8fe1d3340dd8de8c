//! A scrape against the page, and against what every scraper takes for granted (`OpenMetrics`).

use super::*;
use crate::fault::FaultKind;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../METRICS.md");

/// One of a scrape's families.
#[derive(Debug, Default)]
struct Scraped {
    name: String,
    help: String,
    kind: String,
    /// Suffix of the name, labels, value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads a scrape as strictly as a scraper may; what is wrong is a panic.
fn parse(text: &str) -> Vec<Scraped> {
    let body = text.strip_suffix("# EOF\n").expect("an end");
    let mut families: Vec<Scraped> = Vec::new();
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            assert!(families.iter().all(|family| family.name != name), "{name} comes twice");
            families.push(Scraped { name: name.into(), help: help.into(), ..Scraped::default() });
            continue;
        }
        let family = families.last_mut().expect("HELP comes first");
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family.kind = kind.strip_prefix(&format!("{} ", family.name)).expect("TYPE of the same name").into();
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = name.strip_suffix('}').map_or((name, ""), |name| name.split_once('{').expect("labels"));
        let suffix = name.strip_prefix(&family.name).unwrap_or_else(|| panic!("{line} is not of {}", family.name));
        let label = |pair: &str| {
            let (name, value) = pair.split_once("=\"").expect("a label");
            (name.to_owned(), value.strip_suffix('"').expect("a quote").to_owned())
        };
        let labels: BTreeMap<_, _> = labels.split_terminator(',').map(label).collect();
        let same = |of: &&(String, BTreeMap<String, String>, f64)| of.0 == suffix && of.1 == labels;
        assert!(!family.samples.iter().any(|sample| same(&sample)), "{line} comes twice");
        family.samples.push((suffix.into(), labels, value.parse().expect("a number")));
    }
    families
}

fn check(family: &Scraped) {
    let Scraped { name, help, kind, samples } = family;
    assert!(help.ends_with('.') && !help.ends_with("..") && !samples.is_empty(), "{family:?}");
    assert!(
        name.strip_prefix("volley_").unwrap().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "{name}"
    );
    let suffixes: BTreeSet<&str> = samples.iter().map(|(suffix, ..)| &**suffix).collect();
    let expected: &[&str] = match &**kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        other => panic!("{name} is a {other}?"),
    };
    assert!(suffixes.iter().copied().eq(expected.iter().copied()), "{name}: {suffixes:?}");
    if kind == "histogram" {
        check_histogram(samples);
    }
}

fn check_histogram(samples: &[(String, BTreeMap<String, String>, f64)]) {
    for (_, of, count) in samples.iter().filter(|(suffix, ..)| suffix == "_count") {
        let (mut last_end, mut last) = (f64::NEG_INFINITY, 0.0);
        for (_, labels, value) in samples.iter().filter(|(suffix, ..)| suffix == "_bucket") {
            let mut labels = labels.clone();
            let end = labels.remove("le").expect("an end");
            if labels != *of {
                continue;
            }
            let end = if end == "+Inf" { f64::INFINITY } else { end.parse().expect("a number") };
            assert!(end > last_end && *value >= last, "buckets grow");
            (last_end, last) = (end, *value);
        }
        assert!(
            last_end.is_infinite() && (last - count).abs() < 0.5,
            "the last bucket holds all: {last_end} {last} {count} {of:?}"
        );
    }
}

/// Of two plugins, with something in every family.
fn scrape() -> String {
    let metrics = Metrics::default();
    for name in ["chat", "topic"] {
        let plugin = metrics.of_plugin(&name.into());
        plugin.route.add_ns(1_234_567);
        plugin.recipients.add(3);
        plugin.faults.of(FaultKind::Deadline).inc();
    }
    let queue = |plugin: &str, lane, events| LaneQueue { plugin: plugin.into(), lane, events };
    let lanes = vec![queue("chat", 0, 1), queue("chat", 1, 2), queue("chat", 0, 4), queue("topic", 0, 8)];
    let numbers = Numbers { sessions: 5, ..Numbers::default() };
    metrics.encode(&Now { numbers, dropped: 6, lanes })
}

#[test]
fn a_scrape_is_what_scrapers_take_for_granted() {
    let families = parse(&scrape());
    for family in &families {
        check(family);
    }
    let sum = |name: &str, labels: &[(&str, &str)]| {
        let family = families.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("no {name}"));
        let has = |of: &BTreeMap<String, String>| labels.iter().all(|(name, value)| of[*name] == **value);
        family.samples.iter().filter(|(_, of, _)| has(of)).map(|(.., value)| *value as u64).sum::<u64>()
    };
    let figures = [
        sum("volley_sessions", &[]),
        sum("volley_mailbox_dropped", &[]),
        sum("volley_lane_queue_events", &[("plugin", "chat"), ("lane", "0")]),
        sum("volley_lane_queue_events", &[]),
        sum("volley_faults", &[("plugin", "topic"), ("kind", "deadline")]),
        sum("volley_faults", &[("plugin", "topic"), ("kind", "panic")]),
    ];
    assert_eq!(figures, [5, 6, 5, 15, 1, 0]);
}

#[test]
fn a_lane_that_is_gone_is_not_shown_any_more() {
    let metrics = Metrics::default();
    let now = Now { lanes: vec![LaneQueue { plugin: "chat".into(), lane: 0, events: 1 }], ..Now::default() };
    assert!(metrics.encode(&now).contains("lane=\"0\"} 1"));
    assert!(!metrics.encode(&Now::default()).contains("lane=\"0\""));
}

#[test]
fn the_page_lists_what_a_scrape_has_and_nothing_else() {
    let row = |family: &Scraped| {
        let total = if family.kind == "counter" { "_total" } else { "" };
        let labels = family.samples.iter().flat_map(|(_, labels, _)| labels.keys()).filter(|label| *label != "le");
        // In the order of the page: the plugin first.
        let mut labels: Vec<&String> = labels.collect::<BTreeSet<_>>().into_iter().collect();
        labels.sort_by_key(|label| *label != "plugin");
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}{total}` | {} | {labels} | {} |", family.name, family.kind, family.help)
    };
    let scraped: BTreeSet<String> = parse(&scrape()).iter().map(row).collect();
    let page: BTreeSet<String> =
        PAGE.lines().filter(|line| line.starts_with("| `volley_")).map(|row| row.replace("|  |", "| |")).collect();
    let scraped: BTreeSet<String> = scraped.into_iter().map(|row| row.replace("|  |", "| |")).collect();
    let (missing, stale): (Vec<_>, Vec<_>) = (scraped.difference(&page).collect(), page.difference(&scraped).collect());
    assert!(missing.is_empty() && stale.is_empty(), "METRICS.md lacks {missing:#?}\nand has {stale:#?}");
}

#[test]
fn the_page_lists_the_values_of_labels() {
    let values = [
        values::<FaultKind>(),
        values::<RolledBackBy>(),
        values::<ShadowResult>(),
        values::<AcceptError>(),
        values::<Denied>(),
        values::<TlsReload>(),
    ];
    for (name, value) in values.into_iter().flatten() {
        let listed = |line: &str| line.starts_with(&format!("| `{name}` ")) && line.contains(&format!("`{value}`"));
        assert!(PAGE.lines().any(listed), "METRICS.md does not list {name}={value}");
    }
}

fn values<L: Label>() -> Vec<(&'static str, &'static str)> {
    L::ALL.iter().map(|value| (L::NAME, value.label())).collect()
}
