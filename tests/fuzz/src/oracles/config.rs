//! Lines that begin with `--` are flags, the others are the config's file: it is valid and within its bounds, or the
//! error says where it is not.

use crate::config::{Config, Flags};
use crate::limits::TABLE;
use crate::origins::Cors;
use clap::Parser;
use std::collections::HashSet;
use std::path::PathBuf;

const FILE: &str = "volley.toml";

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    flags: Flags,
}

/// Checks a config.
pub fn check(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else { return };
    let at = input.split_inclusive('\n').take_while(|line| line.starts_with("--")).map(str::len).sum();
    let (flags, text) = input.split_at(at);
    let flags = flags.lines().flat_map(|line| line.splitn(2, ' '));
    let Ok(command) = Command::try_parse_from(["volley", "--config", FILE].into_iter().chain(flags)) else { return };
    match command.flags.resolve_over(text) {
        Ok(config) => {
            is_sound(&config);
            if at == 0 {
                says_what_the_file_says(&config, text);
            }
        }
        Err(bad) => says_where(&bad.to_string(), text),
    }
}

fn is_sound(config: &Config) {
    config.limits.check().expect("the limits fit together");
    assert!(config.workers > 0 && config.lanes > 0);
    let mut patterns = HashSet::new();
    for route in &config.routes {
        assert!(patterns.insert(route.topics.to_string()), "a pattern has one route");
        assert!(config.plugins.contains_key(&route.plugin));
        let json: serde_json::Value = serde_json::from_str(&route.config).expect("a route's config is JSON");
        assert_eq!(json.to_string(), route.config);
    }
    for name in config.plugins.keys() {
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }
    assert!(!config.signing.required || !config.signing.keys.is_empty());
    assert!(config.signing.keys.values().all(|key| !key.is_weak()));
    if let Cors::Only(origins) = &config.cors {
        for origin in origins {
            let (scheme, host) = origin.split_once("://").expect("an origin has a scheme");
            assert!(!scheme.is_empty() && !host.is_empty() && !host.contains('/'), "{origin:?}");
        }
    }
}

/// The file once more, read without knowing its keys.
fn says_what_the_file_says(config: &Config, text: &str) {
    let table: toml::Table = text.parse().expect("it is TOML");
    let mut limits = config.limits.clone();
    let said = table.get("limits").and_then(toml::Value::as_table);
    for (name, value) in said.into_iter().flatten() {
        let value = value.as_integer().and_then(|value| value.try_into().ok()).expect("a limit is a number");
        assert!(limits.set(name, value), "{name} is a limit");
    }
    assert_eq!(format!("{limits:?}"), format!("{:?}", config.limits));
    if let Some(routes) = table.get("routes").and_then(toml::Value::as_array) {
        assert_eq!(routes.len(), config.routes.len());
        for (said, route) in routes.iter().zip(&config.routes) {
            assert_eq!(said["topics"].as_str(), Some(&*route.topics.to_string()));
            assert_eq!(said["plugin"].as_str(), Some(&*route.plugin));
            let json = said.get("config").map_or(serde_json::Value::Null, to_json);
            assert_eq!(json.to_string(), route.config);
            let on_trap = said.get("on_trap").map_or(Some("fail"), toml::Value::as_str);
            assert_eq!(serde_json::json!(on_trap), serde_json::json!(route.on_trap));
        }
    }
    // The file's folder is the one that it is looked for in.
    let watch = table.get("watch").and_then(toml::Value::as_str).map(PathBuf::from);
    assert_eq!(config.watch, watch);
    let said: usize = table.get("plugins").and_then(toml::Value::as_table).map_or(0, toml::Table::len);
    assert!(config.plugins.len() <= said + crate::bundled::NAMES.len());
    assert!(TABLE.iter().all(|(name, ..)| limits.set(name, 1)));
}

/// What is not the same in both is refused.
fn to_json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number).expect("a JSON number is finite").into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(date) => panic!("JSON has no dates such as {date}"),
        toml::Value::Array(array) => array.iter().map(to_json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
    }
}

/// Of the file a line that it has, otherwise the flag or the limit.
fn says_where(words: &str, text: &str) {
    if let Some(rest) = words.strip_prefix(FILE) {
        let line = rest.strip_prefix(':').and_then(|rest| rest.split(':').next()?.parse().ok());
        let lines = text.split('\n').count();
        assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{words}");
    } else {
        let limit = words.strip_prefix("the limit ").and_then(|rest| rest.split(' ').next());
        let known = limit.is_some_and(|limit| TABLE.iter().any(|(name, ..)| *name == limit));
        assert!(known || words.starts_with("--"), "{words}");
    }
}
