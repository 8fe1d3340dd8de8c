//! Points in a run, and the figures between two of them.

use std::time::Instant;

use crate::percentile::percentile;
use crate::report::Figure;

pub(crate) struct Mark {
    pub(crate) at: Instant,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) deliveries: u64,
    pub(crate) responses: u64,
    pub(crate) acknowledged: u64,
}

/// The CPU that each delivery cost, its share of publishing and the poll that follows included.
pub(crate) fn cost(from: &Mark, to: &Mark) -> Vec<Figure> {
    let deliveries = (to.deliveries - from.deliveries) as f64;
    let server = to.server_cpu_seconds - from.server_cpu_seconds;
    let client = to.client_cpu_seconds - from.client_cpu_seconds;
    vec![
        Figure::median("server_cpu_s_per_million", server / deliveries * 1e6),
        Figure::median("client_cpu_s_per_million", client / deliveries * 1e6),
    ]
}

pub(crate) fn throughput(from: &Mark, to: &Mark) -> Vec<Figure> {
    let seconds = (to.at - from.at).as_secs_f64();
    let deliveries = (to.deliveries - from.deliveries) as f64;
    let responses = (to.responses - from.responses) as f64;
    let messages = (to.acknowledged - from.acknowledged) as f64;
    vec![
        Figure::median("messages_per_s", messages / seconds),
        Figure::median("deliveries_per_s", deliveries / seconds),
        Figure::median("messages_per_response", deliveries / responses),
        Figure::median("server_cores", (to.server_cpu_seconds - from.server_cpu_seconds) / seconds),
    ]
}

/// Latencies come in microseconds, and are told in milliseconds.
pub(crate) fn latency(name: &'static str, sorted_micros: &[u32], percent: f64) -> Figure {
    let micros = percentile(sorted_micros, percent).map_or(f64::NAN, f64::from);
    Figure::median(name, micros / 1e3)
}
