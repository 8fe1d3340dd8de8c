//! Who may call: the token that opens or renews a session, the key of a back-end, the rate of an address; and `POST
//! /v1/tickets`.

use crate::addresses::{self, counted};
use crate::auth::claims::Claims;
use crate::metrics::Denied;
use crate::node::{Node, Sender};
use crate::protocol::client;
use crate::protocol::credentials;
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use crate::rates::Slow;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Request, StatusCode};
use serde::Serialize;
use std::net::IpAddr;

#[derive(Serialize)]
struct Issued {
    ticket: String,
    expires_ms: u64,
}

/// What the bearer's token claims. None where nobody needs one: without keys, or for an anonymous client that is let in.
pub(super) fn admit(node: &Node, headers: &HeaderMap) -> Result<Option<Claims>, Problem> {
    if !node.auth.is_on() {
        return Ok(None);
    }
    let deny = |denied, problem| {
        node.shared.metrics.denials.of(denied).inc();
        Err(problem)
    };
    let Some(authorization) = authorization(headers)? else {
        if node.auth.takes_anonymous() {
            return Ok(None);
        }
        let words = "a token is needed, as Authorization: Bearer TOKEN";
        return deny(Denied::NoToken, Problem::no_bearer(words));
    };
    let claims = credentials::bearer(authorization).map_err(str::to_owned);
    match claims.and_then(|token| node.auth.claims(token).map_err(|bad| bad.to_string())) {
        Ok(claims) => Ok(Some(claims)),
        Err(words) => deny(Denied::BadToken, Problem::bad_bearer(words)),
    }
}

/// Who publishes without a session: a back-end, with a key where there are keys.
pub(super) fn back_end(node: &Node, headers: &HeaderMap) -> Result<Sender, Problem> {
    if !node.auth.is_on() {
        return Ok(Sender::default());
    }
    let deny = |denied, problem| {
        node.shared.metrics.denials.of(denied).inc();
        Err(problem)
    };
    match credentials::key(authorization(headers)?, http::header(headers, "x-api-key")?) {
        Ok(Some(key)) => match node.auth.publisher(key) {
            Some(grant) => Ok(Sender::back_end(grant)),
            None => deny(Denied::BadKey, Problem::bad_bearer("what is shown is no publisher's key")),
        },
        Ok(None) => {
            let words =
                "publishing without a session needs a publisher's key, as Authorization: Bearer KEY or X-API-Key";
            deny(Denied::NoToken, Problem::no_bearer(words))
        }
        Err(words) => deny(Denied::BadKey, Problem::bad_bearer(words)),
    }
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    http::header(headers, AUTHORIZATION.as_str())
}

/// Whether hyper need not look at the address that a plain request comes from: then its call is noted here. It is asked when
/// nothing else is left that could send the request to hyper's way, on which it is noted as well.
pub(super) fn is_plain_from(node: &Node, peer: impl FnOnce() -> Option<IpAddr>) -> bool {
    if !node.rates.looks_at_addresses() {
        return true;
    }
    // What a proxy says is in headers that a plain request is not searched for.
    peer().is_some_and(|peer| !node.proxies.trust(peer) && node.rates.note(counted(peer)).is_ok())
}

/// Notes a call of the address that the request comes from, unless it comes too soon.
pub(super) fn note_address(
    node: &Node,
    headers: &HeaderMap,
    peer: impl FnOnce() -> Option<IpAddr>,
) -> Result<(), Problem> {
    if !node.rates.looks_at_addresses() {
        return Ok(());
    }
    // A peer that has no address any more reads no answer either.
    let Some(peer) = peer() else { return Ok(()) };
    node.rates.note(counted(origin(node, headers, peer))).map_err(|slow| too_often(node, slow, "address"))
}

/// `Forwarded` where there is one, or else `X-Forwarded-For`; of several headers all, in their order.
fn origin(node: &Node, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let standard: Vec<&str> = all("forwarded").flat_map(addresses::forwarded).collect();
    if !standard.is_empty() {
        return node.proxies.origin(peer, standard.into_iter());
    }
    let usual: Vec<&str> = all("x-forwarded-for").flat_map(addresses::forwarded_for).collect();
    node.proxies.origin(peer, usual.into_iter())
}

/// 429.
pub fn too_often(node: &Node, slow: Slow, whose: &str) -> Problem {
    node.shared.metrics.denials.of(Denied::Rate).inc();
    let words = format!("this {whose} calls too often; try again after Retry-After ({whose}_requests_per_s_max)");
    Problem::too_many(words, slow.retry_after_s)
}

/// Issues a ticket for the session.
pub(super) fn issue(node: &Node, request: &Request<Incoming>) -> Answered {
    let pid = client::session(node, request.headers())?;
    let limits = &node.shared.limits;
    let ticket = node.tickets.issue(pid, limits.ticket_ms, limits.tickets_max).ok_or_else(|| {
        let words = "as many sessions have a ticket as may (tickets_max)";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, words)
    })?;
    Ok(http::json(StatusCode::CREATED, &Issued { ticket, expires_ms: limits.ticket_ms }))
}
