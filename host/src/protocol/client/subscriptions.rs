//! `PUT` and `DELETE /v1/topics/{topic}/subscription`.

use crate::event::{Happening, Unrouted};
use crate::node::{Node, Sender};
use crate::protocol::client;
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use hyper::Request;
use hyper::body::Incoming;
use std::sync::Arc;

/// Joins; once joined, joining again is fine and routes nothing.
pub(super) async fn join(node: &Arc<Node>, request: &Request<Incoming>, topic: &str) -> Answered {
    let pid = client::session(node, request.headers())?;
    let topic = client::topic(topic)?;
    let known = node.shared.sessions.with(pid, |session| (Sender::session(pid, session), session.params.clone()));
    let (sender, params) = known.ok_or_else(Problem::gone)?;
    node.submit(topic, sender, Happening::Join { params }).await?;
    Ok(http::no_content())
}

/// Leaves; leaving what one is not in is fine.
pub(super) async fn leave(node: &Arc<Node>, request: &Request<Incoming>, topic: &str) -> Answered {
    let pid = client::session(node, request.headers())?;
    let topic = client::topic(topic)?;
    let sender = node.shared.sessions.with(pid, |session| Sender::session(pid, session)).ok_or_else(Problem::gone)?;
    match node.submit(topic, sender, Happening::Leave).await {
        // A rule has no say in it.
        Ok(_) | Err(Unrouted::Refused(_) | Unrouted::Invalid(_)) => Ok(http::no_content()),
        Err(unrouted) => Err(unrouted.into()),
    }
}
