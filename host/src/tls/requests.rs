//! What becomes of a request that came over TLS, by whichever HTTP.

use crate::node::Node;
use crate::protocol::client::{self, Reaction};
use crate::protocol::http::Reply;
use crate::socket::Socket;
use hyper::Request;
use hyper::body::Incoming;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Serves it, within `request_ms`. A poll that waits is held here, since nobody else can write into an encrypted stream;
/// before it does, `waits` is called.
pub(super) async fn react(
    node: &Arc<Node>,
    request: Request<Incoming>,
    socket: &Socket,
    waits: impl FnOnce(),
) -> Reply {
    let bound = Duration::from_millis(node.shared.limits.request_ms);
    // In a box of its own, which goes with it: a poll that waits is not to carry the room that other calls need.
    match Box::pin(timeout(bound, client::handle(node, request, socket))).await {
        Ok(Reaction::Respond(reply)) => reply,
        Ok(Reaction::Hold(held)) => {
            waits();
            // hyper lets go of this when the peer is gone.
            held.answered(pending()).await
        }
        Ok(Reaction::Leave(_)) => client::not_over_tls().response(),
        Err(_) => client::took_too_long().response(),
    }
}
