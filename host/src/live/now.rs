//! What the server knows anyway, read in one go: counters, who is there, and limits beside what there is of them.

use super::PluginNow;
use crate::limits::Limits;
use crate::session::Form;
use crate::shared::Shared;
use crate::unsent::Unsent;
use crate::{dialogue, streaming, tls};
use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;

/// What the system says of the process; nothing where there is no `/proc`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Process {
    /// How long all its threads have computed.
    pub cpu_ms: Option<u64>,
    /// What it occupies in memory.
    pub memory_bytes: Option<u64>,
}

/// What has happened since the start.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// Events that rules were asked about.
    pub events: u64,
    /// Messages that were put into mailboxes.
    pub deliveries: u64,
    /// Events that rules refused.
    pub refusals: u64,
    /// Events on which rules failed.
    pub traps: u64,
    /// Events that full lanes turned away.
    pub busy: u64,
    /// Polls and streams that were parked and got messages.
    pub answered: u64,
    /// Messages that full mailboxes dropped.
    pub dropped: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections beyond their limit, closed at once.
    pub connections_refused: u64,
    /// What was turned away at the doors.
    pub denials: u64,
}

/// Who is there.
#[derive(Clone, Debug, Serialize)]
pub struct Clients {
    /// Live sessions.
    pub sessions: u64,
    /// Open connections.
    pub connections: u64,
    /// Those of them with TLS.
    pub tls_connections: u64,
    /// Polls that wait; about, while streams are being written.
    pub polls: u64,
    /// Open streams of server-sent events.
    pub event_streams: u64,
    /// Open WebSocket connections.
    pub websockets: u64,
    /// Topics with subscribers.
    pub topics: u64,
    /// Operators who watch.
    pub onlookers: u64,
}

/// A limit, and what there is of what it bounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Use {
    /// Its name.
    pub limit: &'static str,
    /// So much there is.
    pub now: u64,
    /// So much there may be.
    pub max: u64,
}

impl Process {
    pub(super) fn now() -> Self {
        let (cpu_ms, memory_bytes) = (cpu_ms(), memory_bytes());
        Self { cpu_ms, memory_bytes }
    }
}

/// Of all threads.
fn cpu_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may contain anything; user and system time are fields 14 and 15, counted from 1.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second wherever Linux runs today.
    Some(ticks * 10)
}

fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

impl Totals {
    pub(super) fn of(shared: &Shared, plugins: &[PluginNow]) -> Self {
        let metrics = &shared.metrics;
        let sum = |of: fn(&PluginNow) -> u64| plugins.iter().map(of).sum();
        let answered = |plugin: &PluginNow| metrics.of_plugin(&plugin.name.as_str().into()).volley_sockets.sum();
        Self {
            events: sum(|plugin| plugin.calls),
            deliveries: sum(|plugin| plugin.recipients),
            refusals: sum(|plugin| plugin.refusals),
            traps: sum(|plugin| plugin.traps),
            busy: sum(|plugin| plugin.busy),
            answered: plugins.iter().map(answered).sum(),
            dropped: shared.sessions.dropped(),
            accepted: metrics.accepted.get(),
            connections_refused: metrics.connections_refused.get(),
            denials: metrics.denials.total(),
        }
    }
}

impl Clients {
    pub(super) fn of(shared: &Shared) -> Self {
        let (event_streams, websockets) = (streaming::open_now(Form::Events), streaming::open_now(Form::WebSocket));
        Self {
            sessions: shared.sessions.live(),
            connections: shared.workers.connections.load(Relaxed),
            tls_connections: tls::connections_now(),
            polls: shared.sessions.parked().saturating_sub(event_streams + websockets),
            event_streams,
            websockets,
            topics: shared.subscriptions.topics() as u64,
            onlookers: shared.onlookers.count(),
        }
    }
}

/// Limits of the whole process that fill up, in the order in which `--help` has them.
pub(super) fn uses(shared: &Shared, plugins: u64, fullest_lane: u64) -> Vec<Use> {
    let limits: &Limits = &shared.limits;
    macro_rules! uses {
        ($($limit:ident: $now:expr,)*) => {
            vec![$(Use { limit: stringify!($limit), now: $now, max: limits.$limit },)*]
        };
    }
    uses! {
        sessions_max: shared.sessions.live(),
        sessions_bytes_max: shared.sessions.bytes(),
        connections_max: shared.workers.connections.load(Relaxed),
        mailboxes_bytes_max: shared.sessions.message_bytes.now(),
        frames_bytes_max: dialogue::bytes_now(),
        unsent_bytes_max: Unsent::bytes_now(),
        bodies_bytes_max: shared.bodies.taken(),
        tls_connections_max: tls::connections_now(),
        h2_requests_max: tls::requests_now(),
        lane_queue_events_max: fullest_lane,
        plugins_max: plugins,
        tables_bytes_max: shared.tables.bytes(),
        unwritten_bytes_max: shared.tables.unwritten_bytes(),
        group_members_max: shared.groups.memberships(),
        live_streams_max: shared.onlookers.count(),
    }
}
