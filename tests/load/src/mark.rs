//! Points in a run, and the figures between two of them.

use std::time::Instant;

use crate::cpu::CpuTime;
use crate::percentile::percentile;
use crate::report::Figure;

pub(crate) struct Mark {
    pub(crate) at: Instant,
    pub(crate) server: CpuTime,
    pub(crate) client: CpuTime,
    pub(crate) deliveries: u64,
    pub(crate) responses: u64,
    pub(crate) acknowledged: u64,
}

/// CPU seconds of both sides, and what they were spent on.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) server_seconds: f64,
    pub(crate) client_seconds: f64,
    pub(crate) deliveries: u64,
}

impl Spent {
    pub(crate) fn between(from: &Mark, to: &Mark) -> Self {
        Self {
            server_seconds: to.server.seconds_since(&from.server),
            client_seconds: to.client.seconds_since(&from.client),
            deliveries: to.deliveries - from.deliveries,
        }
    }

    /// The CPU that each delivery cost, its share of publishing and the poll that follows included.
    pub(crate) fn figures(self) -> Vec<Figure> {
        let per_million = |seconds: f64| seconds / self.deliveries as f64 * 1e6;
        vec![
            Figure::median("server_cpu_s_per_million", per_million(self.server_seconds)),
            Figure::median("client_cpu_s_per_million", per_million(self.client_seconds)),
        ]
    }
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
        Figure::median("server_cores", to.server.seconds_since(&from.server) / seconds),
    ]
}

/// Latencies come in microseconds, and are told in milliseconds.
pub(crate) fn latency(name: &'static str, sorted_micros: &[u32], percent: f64) -> Figure {
    Figure::median(name, millis(sorted_micros, percent))
}

pub(crate) fn millis(sorted_micros: &[u32], percent: f64) -> f64 {
    percentile(sorted_micros, percent).map_or(f64::NAN, f64::from) / 1e3
}
