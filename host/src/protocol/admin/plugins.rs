//! Plugins: what is known of them, and deploying their versions.

use super::ok;
use crate::deploy::{Activation, Deployer, KnownPlugin, Refused, Trial, Version, shadow_of};
use crate::on_trap::OnTrap;
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// All of them.
pub(super) fn plugins(deployer: &Deployer) -> Value {
    let known = deployer.known();
    let plugins: Vec<Value> = known.plugins.iter().map(|(name, plugin)| about(name, plugin)).collect();
    json!({"plugins": plugins})
}

/// One.
pub(super) fn plugin(deployer: &Deployer, name: &str) -> Answered {
    let known = deployer.known();
    Ok(ok(&about(name, known.plugin(name)?)))
}

fn about(name: &str, plugin: &KnownPlugin) -> Value {
    let versions = plugin.versions.iter().rev().map(|version| about_version(plugin, version));
    let rolled_back = plugin.rolled_back.as_ref();
    let mut about = json!({
        "name": name,
        "active": plugin.active.as_ref().map(|version| &version.id),
        "previous": plugin.before.as_ref().map(|before| &before.version.id),
        "goes_back": plugin.goes_back(),
        "versions": versions.collect::<Vec<_>>(),
        "rolled_back": rolled_back.map(|back| json!({"at_ms": back.at_ms, "from": back.from, "to": back.to, "why": back.why})),
    });
    if let Some(running) = &plugin.running {
        let (generation, metrics, lanes) = (running.generation(), &running.metrics, running.queued());
        let mut mounts: Vec<(&Arc<str>, OnTrap, Vec<String>)> = Vec::new();
        for row in generation.rows() {
            match mounts.iter_mut().find(|(config, on_trap, _)| **config == row.config && *on_trap == row.on_trap) {
                Some((_, _, topics)) => topics.push(row.topics.to_string()),
                None => mounts.push((&row.config, row.on_trap, vec![row.topics.to_string()])),
            }
        }
        let mount = |(text, on_trap, topics): (&Arc<str>, OnTrap, Vec<String>)| json!({"topics": topics, "config": config(text), "on_trap": on_trap});
        let mounts: Vec<Value> = mounts.into_iter().map(mount).collect();
        let more = json!({
            "generation": generation.number,
            "queued": lanes.iter().sum::<usize>(),
            "lanes": lanes,
            "calls": metrics.events.get(),
            "refusals": metrics.refusals.get(),
            "traps": metrics.faults.total(),
            "busy": metrics.busy.get(),
            "recipients": metrics.recipients.sum(),
            "p50_us": metrics.route.quantile_us(0.5),
            "p99_us": metrics.route.quantile_us(0.99),
            "memory_bytes": metrics.memory.get(),
            "mounts": mounts,
        });
        if let (Value::Object(about), Value::Object(more)) = (&mut about, more) {
            about.extend(more);
        }
    }
    about
}

fn about_version(plugin: &KnownPlugin, version: &Version) -> Value {
    json!({
        "version": version.id,
        "state": plugin.state_of(version),
        "source": version.origin.name(),
        "bytes": version.size,
        "name": version.info.name,
        "release": version.info.version,
        "description": version.info.description,
        "pushed_ms": (version.pushed_ms > 0).then_some(version.pushed_ms),
        "signed_by": version.signed_by,
        "migrates": version.migrates,
        "downgrades": version.reverses,
    })
}

/// As JSON, which it is.
pub(super) fn config(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// Pushes a component.
pub(super) async fn push(
    deployer: &Deployer,
    name: &str,
    headers: &HeaderMap,
    component: Bytes,
    query: Option<&str>,
) -> Answered {
    let dry_run = http::parameter(query, "dry_run")?.is_some_and(|value| !matches!(value, "0" | "false"));
    let signature = http::header(headers, "volley-signature")?;
    let pushed = deployer.push(name, component, signature, dry_run).await?;
    let status = if pushed.is_new && !dry_run { StatusCode::CREATED } else { StatusCode::OK };
    Ok(http::json(status, &json!({"version": pushed.version.id})))
}

fn named(version: &str) -> Result<String, Problem> {
    let version = http::percent_decoded(version).and_then(|version| String::from_utf8(version).ok());
    version.ok_or_else(Problem::not_found)
}

/// One version, and what it imports and exports.
pub(super) async fn version(deployer: &Deployer, name: &str, version: &str) -> Answered {
    let version = named(version)?;
    let interfaces = deployer.interfaces(name, &version).await?;
    let known = deployer.known();
    let plugin = known.plugin(name)?;
    let mut about = about_version(plugin, plugin.version(&version)?);
    (about["imports"], about["exports"]) = (interfaces.imports.into(), interfaces.exports.into());
    Ok(ok(&about))
}

/// Forgets a version.
pub(super) async fn forget(deployer: &Deployer, name: &str, version: &str) -> Answered {
    deployer.forget(name, &named(version)?).await?;
    Ok(http::no_content())
}

/// Makes a version the active one.
pub(super) async fn activate(deployer: &Deployer, name: &str, wanted: Activation) -> Answered {
    Ok(swapped(deployer.activate(name, &wanted).await?))
}

/// What a rollback may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    if_current: Option<String>,
}

/// Goes back to the version before.
pub(super) async fn rollback(deployer: &Deployer, name: &str, wanted: Rollback) -> Answered {
    Ok(swapped(deployer.rollback(name, wanted.if_current.as_deref()).await?))
}

/// Forgets all but the active version.
pub(super) async fn purge(deployer: &Deployer, name: &str) -> Answered {
    Ok(ok(&json!({"purged": deployer.purge(name).await?})))
}

/// What the shadow has found so far.
pub(super) fn shadow(deployer: &Deployer, name: &str) -> Answered {
    let known = deployer.known();
    Ok(http::json(StatusCode::OK, &shadow_of(known.plugin(name)?)?.report()))
}

/// Tries a version.
pub(super) async fn start_shadow(deployer: &Deployer, name: &str, wanted: Trial) -> Answered {
    Ok(http::json(StatusCode::CREATED, &deployer.shadow(name, &wanted).await?))
}

/// Tries no longer.
pub(super) async fn end_shadow(deployer: &Deployer, name: &str) -> Answered {
    deployer.end_shadow(name).await?;
    Ok(http::no_content())
}

fn swapped(swapped: crate::deploy::Swapped) -> http::Reply {
    let mut body = json!({"current": swapped.current, "previous": swapped.previous});
    if !swapped.notes.is_empty() {
        body["notes"] = swapped.notes.into();
    }
    ok(&body)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let words = refused.to_string();
        match refused {
            Refused::Unknown(_) => Self::new(StatusCode::NOT_FOUND, words),
            Refused::Conflict(_) => Self::new(StatusCode::CONFLICT, words),
            Refused::Changed(_) => Self::new(StatusCode::PRECONDITION_FAILED, words),
            Refused::Unsigned(_) => Self::new(StatusCode::FORBIDDEN, words),
            Refused::Failed(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, words),
            Refused::Unfit(mismatches) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, words).with_mismatches(mismatches)
            }
        }
    }
}
