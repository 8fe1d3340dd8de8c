//! A histogram of times that many threads add to without a lock, for /metrics and for the p50 and p99 of a listing.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper ends of the buckets, in nanoseconds; above the last one there is one more.
const ENDS_NS: [u64; 21] = {
    let mut ends = [0; 21];
    let (mut at, mut power) = (0, 500);
    while at < 21 {
        ends[at] = power;
        ends[at + 1] = 2 * power;
        ends[at + 2] = 4 * power;
        power *= 10;
        at += 3;
    }
    ends
};

/// Times from half a microsecond to seconds.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; ENDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Adds one time.
    pub fn add_ns(&self, ns: u64) {
        let bucket = ENDS_NS.partition_point(|end| *end < ns);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// The end, in microseconds, of the bucket in which this share of the times ends; none when there is no time or it
    /// is beyond the last bucket.
    pub fn quantile_us(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (end, count) in ENDS_NS.iter().zip(&self.counts) {
            seen += count.load(Relaxed);
            if seen >= wanted && seen > 0 {
                return Some(*end as f64 / 1e3);
            }
        }
        None
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let ends = ENDS_NS.iter().map(|end| *end as f64 / 1e9).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = ends.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        let sum_s = self.sum_ns.load(Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum_s, self.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_ends_of_buckets() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(0.5), None);
        for us in 1..=100 {
            histogram.add_ns(us * 1000);
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile_us(0.5), Some(50.0));
        assert_eq!(histogram.quantile_us(0.99), Some(100.0));
        assert!(ENDS_NS.is_sorted() && *ENDS_NS.last().unwrap() >= 1_000_000_000);
    }
}
