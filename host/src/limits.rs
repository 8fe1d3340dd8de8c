//! Every bound of the server: its name (unit last), its default and what happens when it is reached.
//!
//! One table makes the struct, the keys of `[limits]` in the config, `--limit NAME=VALUE` and the help text, so that no
//! bound exists without a name and a description.

use crate::clock;
use serde::Deserialize;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const DAY_MS: u64 = 24 * 3_600_000;

/// A rate or a cap for each of many that is this large is not looked at.
pub const OFF: u64 = 1_000_000;

/// Open files that are no client's: listeners, logs, operators. Of what the process may open, clients get the rest.
pub const OWN_FILES: u64 = 128;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:expr;)*) => {
        /// All bounds. Zero is allowed where it makes sense and then means none at all, never "without bound".
        #[derive(Clone, Debug, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits { $($(#[doc = $doc])+ pub $name: u64,)* }

        impl Default for Limits {
            fn default() -> Self { Self { $($name: $default,)* } }
        }

        /// Name, default and description of each bound, in the order of the struct.
        pub const TABLE: &[(&str, u64, &str)] = &[$((stringify!($name), $default, concat!($($doc),+)),)*];

        impl Limits {
            /// Sets the bound of that name; false when there is none.
            pub fn set(&mut self, name: &str, value: u64) -> bool {
                match name { $(stringify!($name) => self.$name = value,)* _ => return false }
                true
            }

            /// The bound of that name; none when there is none.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name { $(stringify!($name) => Some(self.$name),)* _ => None }
            }
        }
    };
}

limits! {
    /// Sessions at once; opening a further one is a 503.
    sessions_max = 1_000_000;
    /// Bytes of what sessions were opened with and are subscribed to, about; an opening or a join beyond is a 503.
    sessions_bytes_max = 1024 * MIB;
    /// Client connections at once; a further one is closed at once.
    connections_max = 1_000_000;
    /// A session ends this long after its last request, unless a poll is parked.
    linger_ms = 60_000;
    /// How long a poll waits that does not say.
    wait_ms = 25_000;
    /// A poll that asks for a longer wait waits this long.
    wait_ms_max = 60_000;
    /// Messages kept for a session; the oldest is dropped and counted in `gap`.
    mailbox_messages_max = 2_000;
    /// Bytes kept for a session; the oldest is dropped, but the newest message always stays.
    mailbox_bytes_max = MIB;
    /// Bytes of all messages and mailboxes in memory; beyond it mailboxes that hold more than their share are trimmed.
    mailboxes_bytes_max = 1024 * MIB;
    /// Messages in one response; the next poll gets the rest.
    response_messages_max = 1_000;
    /// Bytes of messages in one response; one message always fits.
    response_bytes_max = MIB;
    /// Bytes of messages that a stream is written at once; one message always fits.
    stream_bytes_max = 64 * KIB;
    /// What the system is asked to hold of a stream that its client has not received; what it does not take waits in the
    /// mailbox. With what is written at once it is within `replay_bytes_max`, so that a connection that breaks loses nothing.
    stream_buffer_bytes_max = 64 * KIB;
    /// A stream that was written nothing for this time gets a heartbeat: a comment, or a ping. A WebSocket whose peer has
    /// answered none of two pings is closed instead of a third.
    heartbeat_ms = 20_000;
    /// Messages that a session keeps of what a stream was written and nobody has acknowledged; who resumes below is told a
    /// `gap`.
    replay_messages_max = 2_000;
    /// Bytes of them; the newest always stays.
    replay_bytes_max = 256 * KIB;
    /// Bytes of all WebSocket messages that have come in part; a further one closes its socket (1013).
    frames_bytes_max = 64 * MIB;
    /// Pings and pongs that a client may send over a WebSocket in a second; then it is closed (1008).
    pings_per_s_max = 20;
    /// Calls over one WebSocket that are being routed; further ones are not read until one of them is answered.
    socket_calls_max = 16;
    /// Bytes of all answers that wait for slow readers; a further one ends its connection, and the messages stay.
    unsent_bytes_max = 256 * MIB;
    /// The body of an event, or the data of a line of a batch; more is a 413.
    event_bytes_max = MIB;
    /// The body of a batch; more is a 413.
    batch_bytes_max = 8 * MIB;
    /// Lines of a batch; more is a 413.
    batch_lines_max = 10_000;
    /// Lines of one batch that are being routed at once.
    batch_events_in_flight_max = 64;
    /// A request's line and headers; more is a 431.
    request_head_bytes_max = 16 * KIB;
    /// The body of any other call, such as opening a session; more is a 413.
    request_body_bytes_max = 64 * KIB;
    /// Bytes of all request bodies that are being received at once; a further request is a 503.
    bodies_bytes_max = 256 * MIB;
    /// The name of a user; more is a 400.
    user_bytes_max = 255;
    /// Sessions of one user at once; a further one is a 429. A million, the default, is not counted.
    user_sessions_max = OFF;
    /// Client connections of one address, or of one IPv6 network (/64), at once; a further one is closed at once. Proxies that
    /// are trusted are not counted. A million, the default, is not counted.
    address_connections_max = OFF;
    /// Requests of one session in a second, and that many at once; a further one is a 429 with Retry-After. A million, the
    /// default, is not counted.
    session_requests_per_s_max = OFF;
    /// Requests of one address, or of one IPv6 network (/64), in a second, and that many at once; a further one is a 429 with
    /// Retry-After. A million, the default, is not counted.
    address_requests_per_s_max = OFF;
    /// How far the clock of whoever makes tokens may be from ours: a token counts that much earlier and longer.
    token_leeway_ms = 10_000;
    /// A ticket that is not used counts for this time.
    ticket_ms = 10_000;
    /// Sessions that have a ticket; a further ticket is a 503.
    tickets_max = 100_000;
    /// Subscriptions of one session; a further one is a 403 (about: lanes that let it in at the same moment go beyond).
    session_topics_max = 1_000;
    /// A connection without a request is closed after this time.
    idle_ms = 75_000;
    /// Time to send a request's head, once its first byte came; then the connection is closed.
    head_ms = 10_000;
    /// Time to send a request's body and to get its answer; then the connection is closed.
    request_ms = 60_000;
    /// Time in which a client must read some of an answer; else the connection is closed, and the messages stay.
    write_ms = 30_000;
    /// Connections to the TLS listener at once, of `connections_max`; a further one is closed at once.
    tls_connections_max = 100_000;
    /// Time for the handshake of TLS; then the connection is closed.
    tls_handshake_ms = 10_000;
    /// Requests of one HTTP/2 connection at once, polls that wait included; the peer is told, and a further one is refused.
    h2_streams_max = 256;
    /// Requests over HTTP/2 at once, of all connections; a further one is a 503.
    h2_requests_max = 1_000_000;
    /// Bytes of bodies that an HTTP/2 connection may send, and each of its requests, before they are asked for.
    h2_window_bytes_max = 64 * KIB;
    /// Requests that a peer over HTTP/2 takes back in a second, before they are answered; more is a flood, which ends its
    /// connection.
    h2_resets_per_s_max = 1_000;
    /// How often an HTTP/2 peer is asked whether it is there; one that does not answer within `write_ms` is not.
    h2_ping_ms = 30_000;
    /// Events waiting in one lane; a publisher gets 503 with Retry-After beyond. Exits and timers have their own places.
    lane_queue_events_max = 4_096;
    /// Bytes of event data waiting in one lane; 503 beyond.
    lane_queue_bytes_max = 64 * MIB;
    /// A topic whose event took longer waits behind its lane's quick topics from then on, until it has rested.
    slow_event_ms = 50;
    /// Events of such topics that wait in one lane, an eighth of them of one topic, and of as many bytes as the lane's
    /// queue holds; 503 beyond.
    lane_slow_events_max = 1_024;
    /// Events that a lane routes before it fires the volley for all of them.
    lane_batch_events_max = 64;
    /// Sockets that a lane writes by itself; a larger volley is written by the connections' own threads.
    volley_inline_pids_max = 1_024;
    /// Sockets that a thread writes of a large volley before it looks after its other connections.
    volley_chunk_pids_max = 16;
    /// A rule's time for one event; then it is stopped and the event fails with 502.
    route_ms_max = 500;
    /// A rule's time to initialise.
    init_ms_max = 5_000;
    /// So many failures of a version that became active lately, within the window, bring the version before back.
    rollback_traps_max = 5;
    /// The window in which they are counted.
    rollback_window_ms = 10_000;
    /// How long after a swap failures bring the version before back by themselves.
    rollback_recent_ms = 600_000;
    /// A plugin's lanes come to a swap within this time and that of one event; a code change is given up otherwise.
    pause_ms_max = 5_000;
    /// Events of a topic that changes its plugin wait this long for those that the plugin before still has; then they are
    /// routed all the same, and the order of that topic may be broken.
    move_ms_max = 10_000;
    /// Plugins known to the server; pushing a further one is refused.
    plugins_max = 64;
    /// Pushed versions of one plugin; a further one takes the place of the oldest that is not in use.
    plugin_versions_max = 16;
    /// A component; more is a 413.
    component_bytes_max = 64 * MIB;
    /// Rows of the routes; more is refused.
    routes_max = 1_000;
    /// A rule's time to bring its tables into another version's layout; then it is stopped and all of it is undone.
    upgrade_ms_max = 30_000;
    /// Bytes that a code change may keep for its undo, overhead included (about); a write beyond is a system-limit.
    undo_bytes_max = 256 * MIB;
    /// Linear memory of one instance of a rule; growing beyond fails in the guest.
    instance_bytes_max = 64 * MIB;
    /// Instances at once: in each lane one for each config of its plugin, of the active version and of the one before, and
    /// of the next one during a swap. Each costs address space, not memory; a swap that would need more is refused.
    instances_max = 1_024;
    /// An instance is replaced after this many events.
    instance_events_max = 1_000_000;
    /// Events that wait for a shadow; a further one is not compared, and counted as dropped.
    shadow_queue_events_max = 1_024;
    /// Bytes of what shadows need to look back, events that wait included (about); beyond, what waits is not compared.
    shadow_bytes_max = 64 * MIB;
    /// Events of one recording; asking for more is refused.
    record_events_max = 100_000;
    /// Bytes of all recordings, with what they remember (about); the one that would go beyond ends.
    record_bytes_max = 64 * MIB;
    /// A recording ends after this time. What it has stays until it is removed.
    record_ms_max = 3_600_000;
    /// Deliveries of one event; more is a fault of the plugin.
    deliveries_max = 1_000;
    /// Recipients of one event over all its deliveries, and PIDs that its expressions touch; more is a fault.
    recipients_max = 16_777_216;
    /// Operations of one recipient expression; more is a fault.
    expression_ops_max = 64;
    /// Bytes of all payloads that a rule returns for one event; more is a fault.
    outcome_bytes_max = 4 * MIB;
    /// A plugin's tables; opening a further one is a system-limit.
    tables_max = 64;
    /// Objects of one table, whatever the plugin asked for.
    table_objects_max = 10_000_000;
    /// Bytes of one table's keys and values, whatever the plugin asked for.
    table_bytes_max = 256 * MIB;
    /// Bytes of all tables of all plugins, overhead included (about); an insert beyond is a system-limit.
    tables_bytes_max = 2048 * MIB;
    /// What durable tables have changed is written to the disk after this time: a crash loses what was changed within it,
    /// and while two commits to the disk took.
    write_behind_ms = 100;
    /// Bytes of such changes that wait for the disk (about); a write to a durable table beyond is a system-limit.
    unwritten_bytes_max = 256 * MIB;
    /// With `synchronous_commit`, what an event has changed in durable tables is on the disk within this time; else it fails
    /// with 503.
    commit_ms_max = 5_000;
    /// Bytes of the file of durable tables that are kept in memory besides the tables themselves.
    table_file_cache_bytes_max = 16 * MIB;
    /// Objects, keys or operations in one call to a table; more is a badarg.
    table_call_max = 10_000;
    /// Bytes of keys and values that one call to a table returns; more is a system-limit, a page of select is cut short.
    table_answer_bytes_max = 8 * MIB;
    /// Scopes of groups that a plugin may open.
    scopes_max = 16;
    /// Memberships in all groups of all plugins (about: lanes that join at the same moment may go beyond by a call each).
    group_members_max = 10_000_000;
    /// The name of a group; more is a badarg.
    group_bytes_max = KIB;
    /// Timers of one plugin that are still to fire; a further one is a system-limit.
    timers_max = 100_000;
    /// Bytes that they carry; a further one is a system-limit.
    timers_bytes_max = 64 * MIB;
    /// One line that a rule logs, or the words of a refusal; the rest is cut.
    log_bytes_max = 4 * KIB;
    /// Lines that a rule may log for one event; further ones are dropped and counted.
    log_lines_max = 100;
    /// Lines that one lane logs in a second, of its rule and of its faults; further ones are dropped and counted.
    log_lines_per_s_max = 200;
    /// Lines of a plugin that are kept for operators who look later; the oldest is dropped.
    plugin_log_lines_max = 1_000;
    /// Bytes of these lines; the oldest is dropped.
    plugin_log_bytes_max = MIB;
    /// Lines that an operator who follows a plugin may be behind; then some are left out, and it is told how many.
    plugin_log_unread_lines_max = 256;
    /// Operators who follow plugins at once; a further one is a 503.
    plugin_log_readers_max = 16;
    /// Operators who watch the server live at once, 32 at most; a further one is a 503.
    live_streams_max = 16;
    /// How long the answer to an Idempotency-Key is remembered.
    idempotency_ms = 300_000;
    /// Idempotency keys remembered; the oldest is forgotten.
    idempotency_keys_max = 100_000;
    /// The body of an operator's call, but for a component; more is a 413.
    admin_body_bytes_max = MIB;
    /// Bytes of the pushed components, in the data folder or with `--ephemeral` in memory; a push beyond is refused.
    versions_bytes_max = 1024 * MIB;
    /// Bytes of compiled code kept in the data folder, so that a start need not compile; what was used longest ago goes.
    code_cache_bytes_max = 512 * MIB;
    /// Rows on one page of an admin listing.
    admin_page_max = 1_000;
    /// A SIGTERM is done within this time; parked polls are ended spread over as much of it as their number needs.
    drain_ms = 5_000;
}

/// A timer of a rule waits at least this long: a rule must not be able to spin the host.
pub const TIMER_MS_MIN: u64 = 10;

impl Limits {
    /// A wait as the client asked for it, capped.
    pub fn wait_ms(&self, asked_ms: Option<u64>) -> u64 {
        asked_ms.unwrap_or(self.wait_ms).min(self.wait_ms_max)
    }

    /// The coarse second by which `ms` have passed for sure: connections are looked at in whole seconds, so a limit of
    /// theirs is never met early, and a second late at most.
    pub fn second_in(ms: u64) -> u32 {
        clock::coarse_s().saturating_add(u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX)).saturating_add(1)
    }

    /// What makes no sense together, in words that name the keys.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            (self.mailbox_messages_max >= 1, "mailbox_messages_max is at least 1"),
            (self.response_messages_max >= 1, "response_messages_max is at least 1"),
            (self.lane_batch_events_max >= 1, "lane_batch_events_max is at least 1"),
            (self.lane_queue_events_max >= 1, "lane_queue_events_max is at least 1"),
            (self.volley_chunk_pids_max >= 1, "volley_chunk_pids_max is at least 1"),
            (self.batch_events_in_flight_max >= 1, "batch_events_in_flight_max is at least 1"),
            (self.request_head_bytes_max >= 8 * KIB, "request_head_bytes_max is at least 8192"),
            (self.socket_calls_max >= 1, "socket_calls_max is at least 1"),
            (self.heartbeat_ms >= 100, "heartbeat_ms is at least 100"),
            (
                (65_535..=0x7fff_ffff).contains(&self.h2_window_bytes_max),
                "h2_window_bytes_max is from 65535 to 2147483647",
            ),
            ((1..=u64::from(u32::MAX)).contains(&self.h2_streams_max), "h2_streams_max is from 1 to 4294967295"),
            (self.h2_ping_ms >= 100, "h2_ping_ms is at least 100"),
            (self.route_ms_max >= 10, "route_ms_max is at least 10"),
            ((1..=16_384).contains(&self.instances_max), "instances_max is from 1 to 16384"),
            (self.rollback_traps_max >= 1, "rollback_traps_max is at least 1"),
            (self.plugin_versions_max >= 3, "plugin_versions_max is at least 3"),
            (
                (1..=65_536).contains(&self.plugin_log_unread_lines_max),
                "plugin_log_unread_lines_max is from 1 to 65536",
            ),
            // The admin listener has 64 connections, and half of them are for those who come to change something.
            (self.live_streams_max <= 32, "live_streams_max is at most 32"),
            (self.session_requests_per_s_max >= 1, "session_requests_per_s_max is at least 1"),
            (self.address_requests_per_s_max >= 1, "address_requests_per_s_max is at least 1"),
            (self.token_leeway_ms <= DAY_MS, "token_leeway_ms is at most a day"),
            (self.sessions_max <= crate::pid::SLOTS_MAX.into(), "sessions_max is at most 33554432"),
            (self.event_bytes_max <= u64::from(u32::MAX) / 8, "event_bytes_max is at most 512 MiB"),
            (self.linger_ms <= DAY_MS * 365, "linger_ms is at most a year"),
            (self.wait_ms_max <= DAY_MS, "wait_ms_max is at most a day"),
            (self.wait_ms <= self.wait_ms_max, "wait_ms is at most wait_ms_max"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, words)| Err((*words).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_unit_and_can_be_set_by_name() {
        let mut limits = Limits::default();
        limits.check().expect("the defaults fit together");
        for (name, default, description) in TABLE {
            assert!(name.ends_with("_max") || name.ends_with("_ms"), "{name} says no unit");
            assert!(description.trim().ends_with('.'), "{name} is described in sentences");
            assert!(limits.set(name, *default), "{name}");
            assert_eq!(limits.get(name), Some(*default), "{name}");
        }
        assert_eq!(limits.get("no_such_limit"), None);
        assert!(!limits.set("no_such_limit", 1));
    }
}
