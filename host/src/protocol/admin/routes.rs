//! Routes: which plugin routes what, and changing all of it at once.

use super::ok;
use super::plugins::config;
use crate::config::RouteConfig;
use crate::data::version_of;
use crate::deploy::{Deployer, Known, Refused};
use crate::on_trap::OnTrap;
use crate::protocol::http::{self, Answered, Reply};
use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

/// A row as it is put.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    topics: String,
    plugin: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    on_trap: OnTrap,
}

/// The most specific first, with a tag that changes with them.
pub(super) fn routes(deployer: &Deployer) -> Reply {
    answer(&deployer.known())
}

fn answer(known: &Known) -> Reply {
    let mut reply = ok(&rows(known));
    reply.headers_mut().insert(ETAG, HeaderValue::from_str(&tag(known)).expect("hex digits"));
    reply
}

fn rows(known: &Known) -> Value {
    let mut routes: Vec<&RouteConfig> = known.routes.iter().collect();
    routes.sort_by(|a, b| a.topics.cmp(&b.topics));
    let row = |route: &RouteConfig| {
        json!({
            "topics": route.topics.to_string(), "plugin": route.plugin,
            "config": config(&route.config), "on_trap": route.on_trap,
        })
    };
    routes.into_iter().map(row).collect()
}

fn tag(known: &Known) -> String {
    let version = version_of(rows(known).to_string().as_bytes());
    format!("\"{}\"", &version["sha256:".len()..][..16])
}

/// Replaces all of them.
pub(super) async fn set_routes(deployer: &Deployer, headers: &HeaderMap, wanted: Vec<Row>) -> Answered {
    let if_match = http::header(headers, "if-match")?;
    let mut wrong = Vec::new();
    let mut routes = Vec::new();
    for row in wanted {
        match row.topics.parse() {
            Ok(topics) => {
                let (plugin, config, on_trap) = (row.plugin, row.config.to_string(), row.on_trap);
                routes.push(RouteConfig { topics, plugin, config, on_trap });
            }
            Err(words) => wrong.push(format!("{:?}: {words}", row.topics)),
        }
    }
    if !wrong.is_empty() {
        return Err(Refused::Unfit(wrong).into());
    }
    let is_as_read = |known: &Known| match if_match {
        Some(wanted) if wanted != "*" && !wanted.split(',').any(|wanted| wanted.trim() == tag(known)) => {
            Err(Refused::Changed(
                "the routes are not those of If-Match: somebody else changed them meanwhile; read them again".into(),
            ))
        }
        _ => Ok(()),
    };
    Ok(answer(&*deployer.set_routes(routes, is_as_read).await?))
}
