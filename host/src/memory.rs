//! How much memory the server takes at most, as the sum of its bounds: what an operator may count on, and reads in the
//! log at start.
//!
//! Not in it: the program and its compiled rules (tens of MiB, see the first line of the log), and the kernel's buffers
//! of the sockets, which `net.ipv4.tcp_mem` bounds.

use crate::limits::Limits;

/// What one waiting event weighs besides its data: about.
const EVENT_BYTES: u64 = 256;
/// What a connection weighs while it is served, besides the head of its request: about. A parked poll is 1.5 KB.
const CONNECTION_BYTES: u64 = 16 << 10;
/// What a connection on which TLS is spoken weighs besides (27 KiB with a poll that waits, more amid a handshake), and a
/// request over HTTP/2 besides its head (5 KiB for a poll that waits): about.
const TLS_CONNECTION_BYTES: u64 = 64 << 10;
const STREAM_BYTES: u64 = 8 << 10;
/// What a membership weighs: about.
const MEMBERSHIP_BYTES: u64 = 100;
/// What a timer weighs besides its data, and an idempotency key: about.
const TIMER_BYTES: u64 = 256;
const KEY_BYTES: u64 = 768;
/// What a ticket weighs: about.
const TICKET_BYTES: u64 = 64;
/// What a line of a plugin's log weighs besides its words: about.
const LINE_BYTES: u64 = 192;
/// What a topic weighs that is counted while somebody watches: about.
const COUNTED_TOPIC_BYTES: u64 = 512;

/// How many there are of what limits are for each.
pub struct Counts {
    /// Lanes of all plugins.
    pub lanes: u64,
    /// Plugins.
    pub plugins: u64,
    /// Whether pushed components stay in memory.
    pub is_ephemeral: bool,
    /// Whether there is a listener for TLS.
    pub has_tls: bool,
}

/// Bytes at most, by what they are for.
pub fn bounds(limits: &Limits, counts: &Counts) -> Vec<(&'static str, u64)> {
    let Counts { lanes, plugins, is_ephemeral, has_tls } = *counts;
    let waiting = limits.lane_queue_events_max + limits.lane_slow_events_max + limits.lane_batch_events_max;
    vec![
        ("sessions", limits.sessions_bytes_max),
        // An eighth beyond, nothing is kept; each lane may have rendered one more answer of a rule by then.
        ("mailboxes", limits.mailboxes_bytes_max / 8 * 9 + lanes * limits.outcome_bytes_max),
        ("lanes", lanes * (2 * limits.lane_queue_bytes_max + limits.event_bytes_max + waiting * EVENT_BYTES)),
        // As the rule returned them, and as they are resolved.
        ("recipients", lanes * limits.recipients_max * 2 * size_of::<u64>() as u64),
        // Of the active version, of the one before, and of the next one during a swap; with one config each.
        ("instances", 3 * lanes * limits.instance_bytes_max),
        ("connections", limits.connections_max * (CONNECTION_BYTES + limits.request_head_bytes_max)),
        ("TLS", if has_tls { tls(limits) } else { 0 }),
        ("bodies", limits.bodies_bytes_max),
        ("unsent", limits.unsent_bytes_max),
        ("frames", limits.frames_bytes_max),
        ("tables", limits.tables_bytes_max),
        // As they wait and as they are written, or staged for a code change.
        ("unwritten", 2 * limits.unwritten_bytes_max + limits.table_file_cache_bytes_max),
        ("groups", limits.group_members_max * MEMBERSHIP_BYTES),
        ("timers", plugins * (limits.timers_bytes_max + limits.timers_max * TIMER_BYTES)),
        ("pushed components", if is_ephemeral { limits.versions_bytes_max } else { 0 }),
        // Of one code change: they are done one after the other.
        ("undo", limits.undo_bytes_max),
        ("plugin logs", plugins * plugin_log(limits)),
        ("busiest topics", lanes * crate::busiest::COUNTERS as u64 * COUNTED_TOPIC_BYTES),
        ("shadows", limits.shadow_bytes_max),
        ("recordings", limits.record_bytes_max),
        ("tickets", limits.tickets_max * TICKET_BYTES),
        ("idempotency", limits.idempotency_keys_max * KEY_BYTES),
    ]
}

/// What is encrypted, what bodies may bring unasked, and what is asked for.
fn tls(limits: &Limits) -> u64 {
    let connections = limits.tls_connections_max.min(limits.connections_max);
    connections * (TLS_CONNECTION_BYTES + limits.h2_window_bytes_max)
        + limits.h2_requests_max.min(connections.saturating_mul(limits.h2_streams_max))
            * (STREAM_BYTES + limits.request_head_bytes_max)
}

/// What is kept for operators, and what those who follow have not read yet.
fn plugin_log(limits: &Limits) -> u64 {
    let unread = limits.plugin_log_unread_lines_max * (limits.log_bytes_max + LINE_BYTES);
    limits.plugin_log_bytes_max + limits.plugin_log_lines_max * LINE_BYTES + unread
}

/// The sum, and its largest parts, for people.
pub fn words(bounds: &[(&'static str, u64)]) -> String {
    let mut parts = bounds.to_vec();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let parts: Vec<String> = parts.iter().map(|(name, bytes)| format!("{name} {}", mib(*bytes))).collect();
    format!("{} MiB: {}", mib(bounds.iter().map(|(_, bytes)| bytes).sum()), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_lowered_lowers_the_sum() {
        let counts = Counts { lanes: 2, plugins: 1, is_ephemeral: true, has_tls: true };
        let sum = |limits: &Limits| super::bounds(limits, &counts).iter().map(|(_, bytes)| bytes).sum::<u64>();
        let default = sum(&Limits::default());
        let bounds = ["mailboxes_bytes_max", "lane_queue_bytes_max", "instance_bytes_max", "tables_bytes_max"];
        for name in bounds.into_iter().chain(["versions_bytes_max", "unwritten_bytes_max"]) {
            let mut limits = Limits::default();
            assert!(limits.set(name, 1 << 20));
            assert!(sum(&limits) + (60 << 20) < default, "{name}");
        }
        assert!(words(&super::bounds(&Limits::default(), &counts)).contains("tables 2048, "));
    }
}
