//! Which tables outlive a restart, and how surely.

use super::BadConfig;
use super::place::Place;
use toml::Spanned;

/// Which tables outlive a restart besides those that a rule opens so, and how surely.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// By their full names.
    pub tables: Vec<String>,
    /// Whether an event is answered only once what it has changed is on the disk.
    pub synchronous_commit: bool,
}

/// From the flags, or else from the file.
pub(super) fn tables(flags: &[String], file: &[Spanned<String>], at: &Place<'_>) -> Result<Vec<String>, BadConfig> {
    if let Some(bad) = flags.iter().find(|name| !is_full(name)) {
        return Err(BadConfig(format!("--durable-table: {}", words(bad))));
    }
    if let Some(bad) = file.iter().find(|name| !is_full(name.get_ref())) {
        return Err(at.wrong(bad.span(), "durable_tables", &words(bad.get_ref())));
    }
    Ok(if flags.is_empty() { file.iter().map(|name| name.get_ref().clone()).collect() } else { flags.to_vec() })
}

fn is_full(name: &str) -> bool {
    name.split_once(':').is_some_and(|(owner, table)| !owner.is_empty() && !table.is_empty())
}

fn words(name: &str) -> String {
    format!("{name:?} is no table: it is PLUGIN:TABLE or shared:TABLE, as `volley tables ls` names them")
}
