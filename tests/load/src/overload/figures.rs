//! What an overload came to, what memory is held to, and what is wrong with either.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{KIB, LIMITS, MIB};

/// An event in a queue besides its data: itself, its topic, and who waits for the answer (an estimate from above).
const EVENT_BYTES: u64 = KIB;
/// A connection besides the head that it receives: hyper's other buffers, the request, the answer (likewise).
const CONNECTION_BYTES: u64 = 16 * KIB;
/// A session besides its messages (likewise).
const SESSION_BYTES: u64 = 4 * KIB;
/// A message of this driver is smaller.
const MESSAGE_BYTES: u64 = KIB;

const FLOW_SHARE_MIN: f64 = 0.7;
const REFUSAL_P99_MAX_MS: f64 = 1000.0;
const FRESH_P99_MAX_MS: f64 = 1000.0;
pub(super) const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// What is asked of Volley, which a busy machine may miss: told, and no fault.
const FLOW_SHARE_GOAL: f64 = 0.9;
const REFUSAL_P99_GOAL_MS: f64 = 50.0;
const FRESH_P99_GOAL_MS: f64 = 50.0;
const RECOVERY_GOAL: Duration = Duration::from_secs(1);

/// Counts what was accepted second by second.
#[derive(Default)]
pub(super) struct Seconds {
    begun: Option<(Instant, usize)>,
    /// A second, in the one with the fewest.
    pub(super) worst: Option<f64>,
}

impl Seconds {
    pub(super) fn note(&mut self, now: Instant, accepted: usize) {
        let (since, before) = *self.begun.get_or_insert((now, accepted));
        let time = now - since;
        if time >= Duration::from_secs(1) {
            let rate = (accepted - before) as f64 / time.as_secs_f64();
            self.worst = Some(self.worst.map_or(rate, |worst| worst.min(rate)));
            self.begun = Some((now, accepted));
        }
    }
}

/// What memory is held to, by its terms.
pub(super) struct Bound {
    terms: Vec<(&'static str, u64)>,
}

impl Bound {
    pub(super) fn new(rest: u64, lanes: u64, connections: u64, sessions: u64) -> Self {
        let limit = |name: &str| LIMITS.iter().find(|(limit, _)| *limit == name).map_or(0, |(_, value)| *value);
        let queue = limit("lane_queue_bytes_max") + limit("lane_queue_events_max") * EVENT_BYTES;
        Self {
            terms: vec![
                ("resident at rest", rest),
                ("waiting events", lanes * queue),
                ("the rule's instances", lanes * limit("instance_bytes_max")),
                ("mailboxes", limit("mailboxes_bytes_max") + sessions * MESSAGE_BYTES),
                ("bodies coming in", limit("bodies_bytes_max")),
                ("connections", connections * (limit("request_head_bytes_max") + CONNECTION_BYTES)),
                ("sessions", sessions * SESSION_BYTES),
            ],
        }
    }

    fn bytes(&self) -> u64 {
        self.terms.iter().map(|(_, bytes)| bytes).sum()
    }
}

pub(super) struct Figures {
    /// What others ask of the cores: with more than there are, none of the times says much.
    pub(super) machine_load: f64,
    pub(super) unloaded_ms: f64,
    pub(super) capacity: f64,
    pub(super) asked: f64,
    pub(super) offered: f64,
    pub(super) flow: f64,
    pub(super) worst_second: f64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    /// p50, p99 and p99.9.
    pub(super) accepted_ms: [f64; 3],
    /// p50, p99 and the longest, like those below.
    pub(super) refusal_ms: [f64; 3],
    pub(super) fresh: u64,
    pub(super) fresh_ms: [f64; 3],
    pub(super) fresh_refused: u64,
    pub(super) without_retry_after: u64,
    pub(super) miscounted: u64,
    pub(super) doubled: u64,
    pub(super) lost: u64,
    pub(super) dropped: u64,
    pub(super) memory: Bound,
    pub(super) peak: u64,
    pub(super) recovery: Option<Duration>,
}

impl Figures {
    fn rows(&self) -> Vec<(&'static str, f64)> {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        vec![
            ("machine_load_before", self.machine_load),
            ("unloaded_publish_ms", self.unloaded_ms),
            ("capacity_events_per_s", self.capacity),
            ("asked_publishes_per_s", self.asked),
            ("offered_publishes_per_s", self.offered),
            ("accepted_events_per_s", self.flow),
            ("accepted_share_of_capacity", self.flow / self.capacity),
            ("accepted_share_in_worst_second", self.worst_second / self.capacity),
            ("accepted", self.accepted as f64),
            ("accepted_p50_ms", self.accepted_ms[0]),
            ("accepted_p99_ms", self.accepted_ms[1]),
            ("accepted_p99.9_ms", self.accepted_ms[2]),
            ("refused", self.refused as f64),
            ("refusal_p50_ms", self.refusal_ms[0]),
            ("refusal_p99_ms", self.refusal_ms[1]),
            ("refusal_worst_ms", self.refusal_ms[2]),
            ("fresh_sessions", self.fresh as f64),
            ("fresh_session_p50_ms", self.fresh_ms[0]),
            ("fresh_session_p99_ms", self.fresh_ms[1]),
            ("fresh_session_worst_ms", self.fresh_ms[2]),
            ("resident_peak_mib", mib(self.peak)),
            ("resident_bound_mib", mib(self.memory.bytes())),
            ("deliveries_in_gaps", self.dropped as f64),
            ("refused_without_retry_after", self.without_retry_after as f64),
            ("fresh_sessions_refused", self.fresh_refused as f64),
            ("lost", self.lost as f64),
            ("doubled", self.doubled as f64),
            ("recovered_after_s", self.recovery.map_or(f64::INFINITY, |time| time.as_secs_f64())),
        ]
    }

    pub(super) fn table(&self) -> String {
        let mut text = Vec::new();
        let mut line = |name: &str, value: f64| writeln!(text, "  {name:<44}{value:>14.2}").expect("a Vec takes all");
        for (name, value) in self.rows() {
            line(name, value);
        }
        for (name, bytes) in &self.memory.terms {
            line(&format!("  bound: {name}, MiB"), *bytes as f64 / MIB as f64);
        }
        for (goal, reached) in self.goals() {
            writeln!(text, "  {:<44}{:>14}", goal, if reached { "reached" } else { "NOT reached" })
                .expect("a Vec takes all");
        }
        String::from_utf8(text).expect("it was text")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let rows: serde_json::Map<_, _> =
            self.rows().into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
        let terms: serde_json::Map<_, _> =
            self.memory.terms.iter().map(|(name, bytes)| ((*name).into(), json!(bytes))).collect();
        let goals: serde_json::Map<_, _> =
            self.goals().into_iter().map(|(goal, reached)| (goal.into(), json!(reached))).collect();
        json!({ "figures": rows, "bound_bytes": terms, "goals": goals, "faults": self.faults() })
    }

    fn goals(&self) -> [(&'static str, bool); 4] {
        [
            ("accepts 90 % of its capacity", self.flow >= FLOW_SHARE_GOAL * self.capacity),
            ("refuses within 50 ms (p99)", self.refusal_ms[1] < REFUSAL_P99_GOAL_MS),
            ("lets new sessions in within 50 ms (p99)", self.fresh_ms[1] < FRESH_P99_GOAL_MS),
            ("is as quick as before within 1 s", self.recovery.is_some_and(|time| time <= RECOVERY_GOAL)),
        ]
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let checks = [
            (self.flow < FLOW_SHARE_MIN * self.capacity, "accepted events do not keep flowing"),
            (self.refused == 0, "nothing was refused: this was no overload"),
            (self.without_retry_after > 0, "a 503 has no Retry-After"),
            (self.refusal_ms[1] > REFUSAL_P99_MAX_MS, "refusals are not immediate"),
            (self.fresh_refused > 0, "a fresh session was refused"),
            (self.fresh_ms[1] > FRESH_P99_MAX_MS, "fresh sessions are slow"),
            (self.peak > self.memory.bytes(), "memory is above its bound"),
            (self.lost > 0, "accepted events were lost"),
            (self.doubled > 0, "events came twice"),
            (self.miscounted > 0, "recipients were miscounted"),
            (self.recovery.is_none_or(|time| time > RECOVERY_MAX), "it does not recover within seconds"),
        ];
        checks.iter().filter(|(wrong, _)| *wrong).map(|(_, words)| (*words).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_second_is_the_one_with_the_fewest() {
        let (start, mut seconds) = (Instant::now(), Seconds::default());
        for (millis, accepted) in [(0, 100), (500, 150), (1000, 200), (1500, 210), (2000, 220), (3000, 420)] {
            seconds.note(start + Duration::from_millis(millis), accepted);
        }
        assert_eq!(seconds.worst, Some(20.0));
    }
}
