//! What `/metrics` says.

use crate::dialogue;
use crate::metrics::{LaneQueue, Now, Numbers};
use crate::node::Node;
use crate::plugin::Plugin;
use crate::protocol::http::{self, Reply};
use crate::session::Form;
use crate::streaming;
use hyper::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// All numbers, as Prometheus reads them.
pub(super) fn metrics(node: &Node) -> Reply {
    let shared = &node.shared;
    let numbers = Numbers {
        sessions: shared.sessions.live(),
        parked: shared.sessions.parked(),
        event_streams: streaming::open_now(Form::Events),
        websockets: streaming::open_now(Form::WebSocket),
        frame_bytes: dialogue::bytes_now(),
        connections: shared.workers.connections.load(Relaxed),
        tls_connections: crate::tls::connections_now(),
        http2_requests: crate::tls::requests_now(),
        message_bytes: shared.sessions.message_bytes.now(),
        body_bytes: shared.bodies.taken(),
        unsent_bytes: crate::unsent::Unsent::bytes_now(),
        table_bytes: shared.tables.bytes(),
        unwritten_bytes: shared.tables.unwritten_bytes(),
        live_streams: shared.onlookers.count(),
        topics: shared.subscriptions.topics() as u64,
        memberships: shared.groups.memberships(),
        timers: shared.timers.count() as u64,
    };
    let queues = |plugin: Arc<Plugin>| {
        let queue = |(lane, events)| LaneQueue { plugin: plugin.name().clone(), lane, events: events as u64 };
        plugin.queued().into_iter().enumerate().map(queue).collect::<Vec<_>>()
    };
    let lanes = node.routes.load().plugins().into_iter().flat_map(queues).collect();
    let now = Now { numbers, dropped: shared.sessions.dropped(), lanes };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    http::response(StatusCode::OK, content_type, shared.metrics.encode(&now))
}
