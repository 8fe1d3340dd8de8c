//! The calls of operators: what the server is doing. All of them only look.
//!
//! Web pages can reach loopback too, so the `Host` must be an address or a name of this machine's operators (a page that
//! rebinds its DNS name shows that name), a foreign `Origin` is refused, and on any other address the token is needed.

use crate::caller::Caller;
use crate::metrics::Now;
use crate::mount::Mount;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::http::{self, Answered, Reply};
use crate::protocol::problem::Problem;
use crate::session::Session;
use crate::tables::Table;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use subtle::ConstantTimeEq;

/// Rows of a page when the call does not say.
const PAGE: u64 = 100;

/// Who may call.
pub struct Door {
    /// Names besides `localhost` and plain addresses that `Host` may show.
    pub names: Vec<String>,
    /// Needed by every call but `/healthz`.
    pub token: Option<String>,
}

/// Serves a request.
pub fn handle<B>(node: &Node, door: &Door, request: &Request<B>) -> Reply {
    let answered = door.check(request.headers(), request.uri().path()).and_then(|()| call(node, request));
    let mut reply = answered.unwrap_or_else(|problem| problem.response());
    if reply.status() == StatusCode::UNAUTHORIZED {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    reply
}

impl Door {
    fn check(&self, headers: &HeaderMap, path: &str) -> Result<(), Problem> {
        let forbidden = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
        let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
            return Err(Problem::bad_request("the header Host is missing"));
        };
        if !self.is_ours(host) {
            return forbidden("Host is none of this listener's names; call it by its address (or set --admin-host)");
        }
        if let Some(origin) = headers.get(ORIGIN) {
            let own =
                origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(|(_, at)| at == host);
            if !own {
                return forbidden("pages of another origin may not call this listener");
            }
        }
        let Some(token) = self.token.as_ref().filter(|_| path != "/healthz") else { return Ok(()) };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if shown.is_some_and(|shown| shown.as_bytes().ct_eq(token.as_bytes()).into()) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::UNAUTHORIZED, "the admin token is needed, as Authorization: Bearer"))
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|own| own == name)
    }
}

fn call<B>(node: &Node, request: &Request<B>) -> Answered {
    let query = request.uri().query();
    let segments: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let known = matches!(segments[..], ["healthz" | "readyz" | "metrics"] | ["admin", "v1", ..]);
    if known && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::wrong_method("GET"));
    }
    match segments[..] {
        ["healthz"] => Ok(http::json(StatusCode::OK, &json!({"status": "ok"}))),
        ["readyz"] if node.is_draining() => Err(crate::event::Unrouted::Draining.into()),
        ["readyz"] => Ok(http::json(StatusCode::OK, &json!({"status": "ready"}))),
        ["metrics"] => Ok(metrics(node)),
        ["admin", "v1", "plugins"] => Ok(ok(&json!({"plugins": plugins(node)}))),
        ["admin", "v1", "plugins", name] => found(plugins(node).into_iter().find(|plugin| plugin["name"] == name)),
        ["admin", "v1", "routes"] => Ok(ok(&routes(node))),
        ["admin", "v1", "tables"] => Ok(ok(&json!({"tables": tables(node)}))),
        ["admin", "v1", "tables", name] => table(node, name, query),
        ["admin", "v1", "sessions"] => sessions(node, query),
        ["admin", "v1", "sessions", pid] => session(node, pid),
        _ => Err(Problem::not_found()),
    }
}

fn ok(body: &Value) -> Reply {
    http::json(StatusCode::OK, body)
}

fn found(body: Option<Value>) -> Answered {
    body.map(|body| ok(&body)).ok_or_else(Problem::not_found)
}

fn metrics(node: &Node) -> Reply {
    let shared = &node.shared;
    let now = Now {
        sessions: shared.sessions.live(),
        parked: shared.sessions.parked(),
        connections: shared.workers.connections.load(Relaxed),
        message_bytes: shared.sessions.message_bytes.now(),
        body_bytes: shared.bodies.taken(),
        unsent_bytes: crate::unsent::Unsent::bytes_now(),
        table_bytes: shared.tables.bytes(),
        dropped: shared.sessions.dropped(),
        topics: shared.subscriptions.topics() as u64,
        memberships: shared.groups.memberships(),
        timers: shared.timers.count() as u64,
        queued: node.routes.load().mounts().iter().flat_map(|mount| mount.queued()).sum::<usize>() as u64,
    };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    http::response(StatusCode::OK, content_type, shared.metrics.encode(&now))
}

fn plugins(node: &Node) -> Vec<Value> {
    let mut mounts = node.routes.load().mounts();
    mounts.sort_by_key(|mount| mount.plugin());
    mounts.chunk_by(|a, b| a.plugin() == b.plugin()).map(plugin).collect()
}

/// A plugin with its mounts, one for each config.
fn plugin(mounts: &[Arc<Mount>]) -> Value {
    let (first, rule) = (&mounts[0], mounts[0].rule());
    let metrics = &first.metrics;
    let mount = |mount: &Arc<Mount>| json!({"config": config(mount), "lanes": mount.queued()});
    json!({
        "name": &*first.plugin(),
        "active": rule.version,
        "versions": [{
            "version": rule.version, "bytes": rule.size,
            "name": first.info.name, "release": first.info.version, "description": first.info.description,
        }],
        "queued": mounts.iter().flat_map(|mount| mount.queued()).sum::<usize>(),
        "calls": metrics.events.get(),
        "refusals": metrics.refusals.get(),
        "traps": metrics.faults.get(),
        "busy": metrics.busy.get(),
        "recipients": metrics.recipients.get(),
        "p50_us": metrics.route.quantile_us(0.5),
        "p99_us": metrics.route.quantile_us(0.99),
        "mounts": mounts.iter().map(mount).collect::<Vec<_>>(),
    })
}

fn config(mount: &Mount) -> Value {
    serde_json::from_str(&mount.config()).unwrap_or(Value::Null)
}

fn routes(node: &Node) -> Value {
    let routes = node.routes.load();
    let row = |route: &crate::routes::Route| json!({"topics": route.topics.to_string(), "plugin": &*route.mount.plugin(), "config": config(&route.mount)});
    routes.rows().iter().map(row).collect()
}

fn tables(node: &Node) -> Vec<Value> {
    node.shared.tables.list().iter().map(|(name, table)| about_table(name, table)).collect()
}

fn about_table(name: &str, table: &Table) -> Value {
    let (objects, bytes) = table.size();
    let kind = format!("{:?}", table.kind()).to_lowercase();
    json!({"name": name, "owner": &**table.owner(), "kind": kind, "size": objects, "bytes": bytes})
}

fn table(node: &Node, name: &str, query: Option<&str>) -> Answered {
    let name = http::percent_decoded(name).and_then(|name| String::from_utf8(name).ok());
    let name = name.ok_or_else(Problem::not_found)?;
    let table = node.shared.tables.get(&name).ok_or_else(Problem::not_found)?;
    let prefix = http::decoded_parameter(query, "prefix")?.unwrap_or_default();
    let after = http::decoded_parameter(query, "after")?;
    let limit = u32::try_from(page_rows(node, query)?).unwrap_or(u32::MAX);
    let bad = |denied: crate::denied::Denied| Problem::bad_request(denied.to_string());
    let by = Caller::of(table.owner().clone());
    let page = table.select(&by, &prefix, after.as_deref(), limit).map_err(bad)?;
    let mut about = about_table(&name, &table);
    about["objects"] =
        page.objects.iter().map(|object| json!({"key": term(&object.key), "value": term(&object.value)})).collect();
    about["next"] = page.continuation.map_or(Value::Null, |key| percent_encoded(&key).into());
    Ok(ok(&about))
}

/// Text where it is text.
fn term(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

fn percent_encoded(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(*b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn page_rows(node: &Node, query: Option<&str>) -> Result<u64, Problem> {
    let rows_max = node.shared.limits.admin_page_max;
    match http::parameter(query, "limit")? {
        None => Ok(PAGE.min(rows_max)),
        Some(text) => match text.parse::<u64>() {
            Ok(rows) if rows > 0 => Ok(rows.min(rows_max)),
            _ => Err(Problem::bad_request("limit is a number of rows from 1 on")),
        },
    }
}

fn sessions(node: &Node, query: Option<&str>) -> Answered {
    let rows_max = page_rows(node, query)? as usize;
    let after = match http::decoded_parameter(query, "after")? {
        None => None,
        Some(text) => Some(parse_pid(&text)?),
    };
    let (mut rows, mut next) = (Vec::new(), Value::Null);
    let mut last = None;
    node.shared.sessions.walk(after.map_or(0, |pid| pid.slot() + 1), |pid, session| {
        if rows.len() == rows_max {
            next = last.map_or(Value::Null, |pid: Pid| pid.to_string().into());
            return false;
        }
        rows.push(about_session(pid, session));
        last = Some(pid);
        true
    });
    Ok(ok(&json!({"sessions": rows, "next": next})))
}

fn session(node: &Node, pid: &str) -> Answered {
    let pid = parse_pid(&http::percent_decoded(pid).ok_or_else(Problem::not_found)?)?;
    found(node.shared.sessions.with(pid, |session| about_session(pid, session)))
}

fn parse_pid(text: &[u8]) -> Result<Pid, Problem> {
    let pid = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    pid.ok_or_else(|| Problem::bad_request(crate::pid::NotAPid.to_string()))
}

fn about_session(pid: Pid, session: &mut Session) -> Value {
    let mailbox = &session.mailbox;
    json!({
        "pid": pid.to_string(),
        "user": session.user.as_deref(),
        "topics": session.topics.iter().map(crate::topic::Topic::as_str).collect::<Vec<_>>(),
        "parked": session.is_parked(),
        "mailbox": {
            "messages": mailbox.len(), "bytes": mailbox.bytes(),
            "newest": mailbox.newest(), "acknowledged": mailbox.acknowledged(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(token: Option<&str>, headers: &[(&'static str, &str)], path: &str) -> Option<u16> {
        let door = Door { names: vec!["volley.example".into()], token: token.map(str::to_owned) };
        let pairs = headers
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        door.check(&pairs.collect(), path).err().map(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_rebound_name_and_a_foreign_page_stay_outside() {
        for host in ["127.0.0.1:9090", "localhost", "[::1]:9090", "volley.example:80", "10.0.0.1"] {
            assert_eq!(check(None, &[("host", host)], "/"), None, "{host}");
        }
        for host in ["evil.example", "evil.example:9090", "localhost.evil.example", ""] {
            assert_eq!(check(None, &[("host", host)], "/"), Some(403), "{host}");
        }
        assert_eq!(check(None, &[], "/"), Some(400));
        let host = ("host", "localhost:9090");
        assert_eq!(check(None, &[host, ("origin", "http://localhost:9090")], "/"), None);
        for origin in ["http://localhost:8080", "https://evil.example", "null"] {
            assert_eq!(check(None, &[host, ("origin", origin)], "/"), Some(403), "{origin}");
        }
    }

    #[test]
    fn the_token_guards_all_but_healthz() {
        let host = ("host", "10.0.0.1");
        assert_eq!(check(Some("secret"), &[host], "/metrics"), Some(401));
        assert_eq!(check(Some("secret"), &[host, ("authorization", "Bearer wrong")], "/metrics"), Some(401));
        assert_eq!(check(Some("secret"), &[host, ("authorization", "Bearer secret")], "/metrics"), None);
        assert_eq!(check(Some("secret"), &[host], "/healthz"), None);
    }
}
