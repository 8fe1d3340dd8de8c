//! `volley plugin …` at a running server: which versions there are, which routes, and changing that.

use crate::admin_client::{AdminClient, AdminError};
use crate::commands::answers::{Plugin, PluginList, Purged, Swapped};
use crate::commands::layout::{self, Columns};
use crate::commands::operator::{Operator, advise};
use crate::commands::{logs, progress, push, shadow};
use crate::http_client::plain;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Plugins {
    /// Bring a component to the server, or publish it in an OCI registry
    #[command(after_help = push::EXAMPLES)]
    Push(push::Push),
    /// Get a component out of an OCI registry
    #[command(after_help = "Example: volley plugin pull oci://registry.example/rules/chat:1.4 -o chat.wasm")]
    Pull(push::Pull),
    /// Let a version route, in the place of the active one
    ///
    /// The clients stay connected; events wait at most for the code change of the new version, if it has one. What it
    /// answers names the version that `rollback` goes back to.
    #[command(after_help = "Example: volley plugin activate chat 3fa9c1 --if-current 77b0e2")]
    Activate(Activate),
    /// Let the version before route again
    #[command(after_help = "Example: volley plugin rollback chat")]
    Rollback {
        /// The plugin
        name: String,
        /// Only if this version is active
        #[arg(long, value_name = "VERSION")]
        if_current: Option<String>,
        /// Which server
        #[command(flatten)]
        operator: Operator,
    },
    /// Try a version on live events without sending anything, and see how it differs
    #[command(after_help = shadow::EXAMPLES)]
    Shadow(shadow::Shadow),
    /// List the plugins
    #[command(after_help = "Example: volley plugin ls")]
    Ls {
        /// Which server
        #[command(flatten)]
        operator: Operator,
    },
    /// Show a plugin: its versions, where it is mounted, how it does
    #[command(after_help = "Example: volley plugin show chat")]
    Show {
        /// The plugin
        name: String,
        /// Which server
        #[command(flatten)]
        operator: Operator,
    },
    /// Print what a plugin's rules log, and their faults
    #[command(after_help = "Example: volley plugin logs chat -f")]
    Logs(logs::Logs),
    /// Remove all versions of a plugin but the active one
    #[command(after_help = "Example: volley plugin purge chat")]
    Purge {
        /// The plugin
        name: String,
        /// Which server
        #[command(flatten)]
        operator: Operator,
    },
}

/// `activate`.
#[derive(Args, Debug)]
pub struct Activate {
    /// The plugin
    name: String,
    /// The version; 6 digits are enough where they are unique
    version: String,
    #[command(flatten)]
    swap: Swap,
    /// Wait until the server shows it as active
    #[arg(long)]
    wait: bool,
    /// Only if it ran as a shadow for so many events without a difference
    #[arg(long, value_name = "EVENTS")]
    require_shadow: Option<u64>,
    /// So many of these events may differ
    #[arg(long, value_name = "N", default_value_t = 0, requires = "require_shadow")]
    max_different: u64,
    #[command(flatten)]
    operator: Operator,
}

/// What an activation may say besides the version.
#[derive(Args, Debug, Default)]
pub(super) struct Swap {
    /// Only if this version is active
    #[arg(long, value_name = "VERSION")]
    pub(super) if_current: Option<String>,
    /// The rule's config, in JSON [default: the one it has]
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    pub(super) config: Option<Value>,
}

pub(super) fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))
}

/// How long `--wait` waits for a version that was accepted.
const WAIT: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Plugins {
    pub(super) async fn operate(self) -> anyhow::Result<()> {
        match self {
            Self::Push(push) => push.run().await,
            Self::Pull(pull) => pull.run().await,
            Self::Activate(activate) => activate.run().await,
            Self::Rollback { name, if_current, operator } => rollback(&operator, &name, if_current).await,
            Self::Shadow(shadow) => shadow.run().await,
            Self::Ls { operator } => {
                let client = operator.client()?;
                operator.print(&client, &client.get(&["plugins"], "").await?, list)
            }
            Self::Show { name, operator } => {
                let client = operator.client()?;
                let answer = client.get(&["plugins", &name], "").await.map_err(unknown)?;
                operator.print(&client, &answer, show)
            }
            Self::Logs(logs) => logs.run().await,
            Self::Purge { name, operator } => {
                let client = operator.client()?;
                let answer = client.post(&["plugins", &name, "purge"], &json!({})).await.map_err(unknown)?;
                operator.print(&client, &answer, |purged: &Purged| match purged.purged.as_slice() {
                    [] => "there was nothing to purge\n".into(),
                    all => {
                        format!("purged {}\n", all.iter().map(|one| layout::version(one)).collect::<Vec<_>>().join(" "))
                    }
                })
            }
        }
    }
}

/// Advice for a call about a plugin or a version that is not there.
pub(super) fn unknown(error: AdminError) -> anyhow::Error {
    let looks = "`volley plugin ls` lists the plugins, `volley plugin show NAME` its versions";
    advise(error, &[(404, looks), (409, "`volley plugin show NAME` says what is active")])
}

async fn rollback(operator: &Operator, name: &str, if_current: Option<String>) -> anyhow::Result<()> {
    let client = operator.client()?;
    let body = if_current.map_or_else(|| json!({}), |version| json!({ "if_current": version }));
    let path = ["plugins", name, "rollback"];
    let call = client.post(&path, &body);
    let answer = progress::during(|| format!("rolling {name} back"), call).await.map_err(unknown)?;
    operator.print(&client, &answer, |swapped| routed_by(name, swapped))
}

impl Activate {
    async fn run(self) -> anyhow::Result<()> {
        let Self { name, version, swap, wait, require_shadow, max_different, operator } = self;
        let client = operator.client()?;
        let shadow = require_shadow.map(|events| json!({"events": events, "max_different": max_different}));
        activate(&client, &operator, &name, &version, &swap, shadow).await?;
        if wait { wait_for(&client, &name, &version).await } else { Ok(()) }
    }
}

/// Activates it, and says so.
pub(super) async fn activate(
    client: &AdminClient,
    operator: &Operator,
    name: &str,
    version: &str,
    swap: &Swap,
    require_shadow: Option<Value>,
) -> anyhow::Result<()> {
    let mut body = Map::from_iter([("version".to_owned(), json!(version))]);
    let wanted = [
        ("if_current", swap.if_current.as_ref().map(|version| json!(version))),
        ("config", swap.config.clone()),
        ("require_shadow", require_shadow),
    ];
    body.extend(wanted.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    let path = ["plugins", name, "activate"];
    let call = client.post(&path, &body);
    let answer = progress::during(|| format!("activating {name} {}", layout::version(version)), call).await;
    operator.print(client, &answer.map_err(unknown)?, |swapped| routed_by(name, swapped))
}

fn routed_by(name: &str, swapped: &Swapped) -> String {
    let previous = match &swapped.previous {
        Some(previous) => format!(" (before: {})", layout::version(previous)),
        None => String::new(),
    };
    let mut text = format!("{name} is routed by {}{previous}\n", layout::version(&swapped.current));
    for note in &swapped.notes {
        let _ = writeln!(text, "note: {}", plain(note));
    }
    text
}

/// Waits until the server shows this version, or a part of its name, as active.
pub(super) async fn wait_for(client: &AdminClient, name: &str, version: &str) -> anyhow::Result<()> {
    let is_it = |other: &str| layout::digits(other).starts_with(layout::digits(version));
    let look = async {
        loop {
            let answer = client.get(&["plugins", name], "").await.map_err(unknown)?;
            let plugin: Plugin = client.read(&answer)?;
            if plugin.active.as_deref().is_some_and(is_it) {
                return Ok(());
            }
            if let Some(back) = plugin.rolled_back.filter(|back| is_it(&back.from)) {
                anyhow::bail!("{name} went back to {} by itself: {}", layout::version(&back.to), plain(&back.why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let waited = tokio::time::timeout(WAIT, look);
    match progress::during(|| format!("waiting for {name} {}", layout::version(version)), waited).await {
        Ok(done) => done,
        Err(_) => anyhow::bail!("{name} is not routed by {version} after {} s", WAIT.as_secs()),
    }
}

fn list(list: &PluginList) -> String {
    let mut columns =
        Columns::of(["NAME", "ACTIVE", "PREVIOUS", "CALLS", "REFUSED", "TRAPS", "QUEUED", "P50", "P99", "MEMORY"]);
    let mut notes = String::new();
    for plugin in &list.plugins {
        columns.row([
            plugin.name.clone(),
            layout::version_or_none(plugin.active.as_ref()),
            layout::version_or_none(plugin.previous.as_ref()) + no_way_back(plugin),
            plugin.calls.to_string(),
            plugin.refusals.to_string(),
            plugin.traps.to_string(),
            plugin.queued.to_string(),
            layout::micros(plugin.p50_us),
            layout::micros(plugin.p99_us),
            plugin.memory_bytes.map_or_else(|| "-".into(), layout::bytes),
        ]);
        notes.push_str(&went_back(plugin));
    }
    columns.text("there are no plugins") + &notes
}

/// It has migrated its tables, and has no downgrade.
fn no_way_back(plugin: &Plugin) -> &'static str {
    if plugin.previous.is_some() && plugin.goes_back == Some(false) { " (no way back)" } else { "" }
}

fn went_back(plugin: &Plugin) -> String {
    plugin.rolled_back.as_ref().map_or_else(String::new, |back| {
        let (from, to) = (layout::version(&back.from), layout::version(&back.to));
        let (name, age, why) = (plain(&plugin.name), layout::age(back.at_ms), plain(&back.why));
        format!("{name} went back from {from} to {to} by itself, {age} ago: {why}\n")
    })
}

fn show(plugin: &Plugin) -> String {
    let mut text = format!("{}, generation {}\n", plain(&plugin.name), plugin.generation);
    let calls = layout::count(plugin.calls as usize, "call");
    let _ = writeln!(
        text,
        "{calls}, {} refused, {} trapped, {} turned away, {} queued, {} recipients",
        plugin.refusals, plugin.traps, plugin.busy, plugin.queued, plugin.recipients,
    );
    let memory = plugin.memory_bytes.map_or_else(|| "-".into(), layout::bytes);
    let (p50, p99) = (layout::micros(plugin.p50_us), layout::micros(plugin.p99_us));
    let _ = writeln!(text, "p50 {p50}, p99 {p99}, memory {memory}");
    text.push_str(&went_back(plugin));
    let mut versions = Columns::of(["VERSION", "STATE", "SIZE", "FROM", "AGE", "SIGNED BY", "MIGRATES", "RULE"]);
    for version in &plugin.versions {
        let migrates = match (version.migrates, version.downgrades) {
            (false, _) => "-",
            (true, false) => "up",
            (true, true) => "up and down",
        };
        versions.row([
            layout::version(&version.version),
            or_dash(&version.state),
            layout::bytes(version.bytes),
            or_dash(&version.source),
            version.pushed_ms.map_or_else(|| "-".into(), layout::age),
            version.signed_by.clone().unwrap_or_else(|| "-".into()),
            migrates.into(),
            format!("{} {} {}", version.name, version.release, version.description),
        ]);
    }
    let mut mounts = Columns::of(["TOPICS", "ON TRAP", "CONFIG"]);
    for mount in &plugin.mounts {
        let on_trap = mount.on_trap.clone().unwrap_or_else(|| "-".into());
        mounts.row([or_dash(&mount.topics.join(" ")), on_trap, layout::value(&mount.config)]);
    }
    format!("{text}\n{}\n{}", versions.text("it has no versions"), mounts.text("it is mounted nowhere"))
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}
