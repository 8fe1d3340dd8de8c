//! What `/metrics` says.

use crate::metrics::Now;
use crate::node::Node;
use crate::protocol::http::{self, Reply};
use hyper::StatusCode;
use std::sync::atomic::Ordering::Relaxed;

/// All numbers, as Prometheus reads them.
pub(super) fn metrics(node: &Node) -> Reply {
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
        queued: node.routes.load().plugins().iter().flat_map(|plugin| plugin.queued()).sum::<usize>() as u64,
    };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    http::response(StatusCode::OK, content_type, shared.metrics.encode(&now))
}
