//! The calls of operators: what the server is doing, and what it is to do.

mod dashboard;
mod door;
mod live;
mod logs;
mod metrics;
mod plugins;
mod record;
mod routes;
mod sessions;
mod tables;

pub use door::Door;
pub use live::Live;

use crate::deploy::Deployer;
use crate::node::Node;
use crate::protocol::http::{self, Answered, Reply};
use crate::protocol::problem::Problem;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// Rows of a page when the call does not say.
const PAGE: u64 = 100;

/// What the listener of operators works on.
pub struct Operators {
    /// What serves clients.
    pub node: Arc<Node>,
    /// What changes plugins and routes.
    pub deployer: Arc<Deployer>,
    /// Who may call.
    pub door: Door,
    /// What those get who watch.
    pub live: Arc<Live>,
}

/// A response that may go on for as long as its reader likes.
pub type Streamed = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn whole(reply: Reply) -> Streamed {
    reply.map(BodyExt::boxed_unsync)
}

/// Serves a request.
pub async fn handle<B>(operators: &Operators, request: Request<B>) -> Streamed
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let checked = operators.door.check(request.method(), request.headers(), request.uri().path());
    let answered = match checked {
        Ok(()) => call(operators, request).await,
        // A browser shows no token when somebody goes to an address: the page asks for it then, and has nothing in it that
        // needs one.
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && is_page(&request) => {
            Ok(dashboard::page(problem.status()))
        }
        Err(problem) => Err(problem),
    };
    let mut reply = answered.unwrap_or_else(|problem| whole(problem.response()));
    if reply.status() == StatusCode::UNAUTHORIZED {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    reply
}

fn is_page<B>(request: &Request<B>) -> bool {
    request.uri().path() == "/" && matches!(*request.method(), Method::GET | Method::HEAD)
}

async fn call<B>(operators: &Operators, request: Request<B>) -> Result<Streamed, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Operators { node, deployer, .. } = operators;
    let (head, body) = request.into_parts();
    let query = head.uri.query();
    let segments: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    let (under, rest) = match segments[..] {
        ["admin", "v1", ref rest @ ..] => (true, rest),
        ref rest => (false, rest),
    };
    let look = if head.method == Method::HEAD { "GET" } else { head.method.as_str() };
    let answered = match (under, look, rest) {
        (false, "GET", [""]) => return Ok(dashboard::page(StatusCode::OK)),
        (false, "GET", ["dashboard", name]) => return dashboard::file(name),
        (false, "GET", ["healthz"]) => Ok(ok(&json!({"status": "ok"}))),
        (false, "GET", ["readyz"]) if node.is_draining() => Err(crate::event::Unrouted::Draining.into()),
        (false, "GET", ["readyz"]) => Ok(ok(&json!({"status": "ready"}))),
        (false, "GET", ["metrics"]) => Ok(metrics::metrics(node)),
        (true, "GET", ["live"]) => return live::live(operators, query),
        (true, "GET", ["plugins"]) => Ok(ok(&plugins::plugins(deployer))),
        (true, "GET", ["plugins", name]) => plugins::plugin(deployer, name),
        (true, "POST", ["plugins", name, "versions"]) => {
            let bytes_max = node.shared.limits.component_bytes_max;
            let of = "component_bytes_max";
            let component = http::read_body_to_its_end(&node.shared, &head.headers, body, bytes_max, of).await?;
            plugins::push(deployer, name, &head.headers, component, query).await
        }
        (true, "GET", ["plugins", name, "versions", version]) => plugins::version(deployer, name, version).await,
        (true, "GET", ["plugins", name, "logs"]) => return logs::logs(operators, name, query),
        (true, "DELETE", ["plugins", name, "versions", version]) => plugins::forget(deployer, name, version).await,
        (true, "POST", ["plugins", name, "activate"]) => {
            plugins::activate(deployer, name, read_json(node, body).await?).await
        }
        (true, "POST", ["plugins", name, "rollback"]) => {
            plugins::rollback(deployer, name, read_json(node, body).await?).await
        }
        (true, "GET", ["plugins", name, "shadow"]) => plugins::shadow(deployer, name),
        (true, "POST", ["plugins", name, "shadow"]) => {
            plugins::start_shadow(deployer, name, read_json(node, body).await?).await
        }
        (true, "DELETE", ["plugins", name, "shadow"]) => plugins::end_shadow(deployer, name).await,
        (true, "GET", ["plugins", name, "record"]) => return record::look(operators, name, &head.headers, query),
        (true, "POST", ["plugins", name, "record"]) => record::start(operators, name, &read_json(node, body).await?),
        (true, "DELETE", ["plugins", name, "record"]) => record::remove(operators, name),
        (true, "POST", ["plugins", name, "purge"]) => plugins::purge(deployer, name).await,
        (true, "GET", ["routes"]) => Ok(routes::routes(deployer)),
        (true, "PUT", ["routes"]) => routes::set_routes(deployer, &head.headers, read_json(node, body).await?).await,
        (true, "GET", ["tables"]) => Ok(ok(&json!({"tables": tables::tables(node)}))),
        (true, "GET", ["tables", name]) => tables::table(node, name, query),
        (true, "GET", ["sessions"]) => sessions::sessions(node, query),
        (true, "GET", ["sessions", pid]) => sessions::session(node, pid),
        (true, "DELETE", ["sessions", pid]) => sessions::kick(node, pid),
        _ => Err(other_method(under, rest)),
    };
    answered.map(whole)
}

/// The path takes other methods, if it is one.
fn other_method(under: bool, rest: &[&str]) -> Problem {
    let takes = match (under, rest) {
        (false, ["" | "healthz" | "readyz" | "metrics"])
        | (true, ["live" | "plugins" | "tables" | "sessions"] | ["plugins" | "tables", _] | ["plugins", _, "logs"]) => {
            "GET"
        }
        (true, ["plugins", _, "versions" | "activate" | "rollback" | "purge"]) => "POST",
        (true, ["plugins", _, "shadow" | "record"]) => "GET, POST, DELETE",
        (true, ["routes"]) => "GET, PUT",
        (true, ["plugins", _, "versions", _] | ["sessions", _]) => "GET, DELETE",
        _ => return Problem::not_found(),
    };
    Problem::wrong_method(takes)
}

/// The JSON of a body; an empty one is `{}`.
async fn read_json<B, T: DeserializeOwned>(node: &Node, body: B) -> Result<T, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limits = &node.shared.limits;
    let body = http::read_body(&node.shared, body, limits.admin_body_bytes_max, "admin_body_bytes_max").await?;
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(text)
        .map_err(|error| Problem::bad_request(format!("the body is not what is asked: {error}")))
}

fn ok(body: &Value) -> Reply {
    http::json(StatusCode::OK, body)
}

fn found(body: Option<Value>) -> Answered {
    body.map(|body| ok(&body)).ok_or_else(Problem::not_found)
}

fn page_rows(node: &Node, query: Option<&str>, name: &str) -> Result<u64, Problem> {
    let rows_max = node.shared.limits.admin_page_max;
    match http::parameter(query, name)? {
        None => Ok(PAGE.min(rows_max)),
        Some(text) => match text.parse::<u64>() {
            Ok(rows) if rows > 0 => Ok(rows.min(rows_max)),
            _ => Err(Problem::bad_request(format!("{name} is a number of rows from 1 on"))),
        },
    }
}
