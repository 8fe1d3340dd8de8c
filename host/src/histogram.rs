//! A histogram that many threads add to without a lock, for /metrics and for the p50 and p99 of a listing.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const ENDS: usize = 21;

/// Where the buckets end, three in each power of ten; above the last one there is one more.
#[derive(Debug)]
struct Scale {
    ends: [u64; ENDS],
    /// How many of what is added make one of what is shown.
    per_unit: f64,
}

/// Nanoseconds, shown as seconds: from half a microsecond to two seconds.
static TIMES: Scale = Scale { ends: ends([500, 1000, 2000]), per_unit: 1e9 };
/// Numbers of things: from one to five millions.
static NUMBERS: Scale = Scale { ends: ends([1, 2, 5]), per_unit: 1.0 };

const fn ends(first: [u64; 3]) -> [u64; ENDS] {
    let mut ends = [0; ENDS];
    let (mut at, mut power) = (0, 1);
    while at < ENDS {
        ends[at] = first[0] * power;
        ends[at + 1] = first[1] * power;
        ends[at + 2] = first[2] * power;
        power *= 10;
        at += 3;
    }
    ends
}

/// Cheap to clone; the clones are one histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    scale: &'static Scale,
    counts: [AtomicU64; ENDS + 1],
    sum: AtomicU64,
}

impl Histogram {
    /// For times.
    pub fn of_times() -> Self {
        Self::new(&TIMES)
    }

    /// For numbers of things.
    pub fn of_numbers() -> Self {
        Self::new(&NUMBERS)
    }

    fn new(scale: &'static Scale) -> Self {
        Self(Arc::new(Buckets { scale, counts: Default::default(), sum: AtomicU64::new(0) }))
    }

    /// Adds one time, to a histogram of times.
    pub fn add_ns(&self, ns: u64) {
        self.add(ns);
    }

    /// Adds one number, to a histogram of numbers.
    pub fn add(&self, number: u64) {
        let Buckets { scale, counts, sum } = &*self.0;
        counts[scale.ends.partition_point(|end| *end < number)].fetch_add(1, Relaxed);
        sum.fetch_add(number, Relaxed);
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// The sum of all that was added.
    pub fn sum(&self) -> u64 {
        self.0.sum.load(Relaxed)
    }

    /// The end, in microseconds, of the bucket in which this share of the times ends; none when there is no time or it
    /// is beyond the last bucket.
    pub fn quantile_us(&self, share: f64) -> Option<f64> {
        self.seen().quantile_us(share)
    }

    /// What was added so far, to be compared with what will have been later.
    pub fn seen(&self) -> Seen {
        Seen { scale: self.0.scale, counts: self.counts() }
    }

    /// What a reader does with the counts has to fit together, so they are read once.
    fn counts(&self) -> [u64; ENDS + 1] {
        std::array::from_fn(|bucket| self.0.counts[bucket].load(Relaxed))
    }
}

/// What a histogram held at some moment.
#[derive(Clone, Debug)]
pub struct Seen {
    scale: &'static Scale,
    counts: [u64; ENDS + 1],
}

impl Seen {
    /// What was added after an earlier moment of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = std::array::from_fn(|bucket| self.counts[bucket].saturating_sub(earlier.counts[bucket]));
        Self { scale: self.scale, counts }
    }

    /// As [`Histogram::quantile_us`].
    pub fn quantile_us(&self, share: f64) -> Option<f64> {
        let counts = &self.counts;
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (end, count) in self.scale.ends.iter().zip(counts) {
            seen += count;
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
        let (scale, counts) = (self.0.scale, self.counts());
        let ends = scale.ends.iter().map(|end| *end as f64 / scale.per_unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(counts).collect();
        let sum = self.sum() as f64 / scale.per_unit;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
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
        let histogram = Histogram::of_times();
        assert_eq!(histogram.quantile_us(0.5), None);
        for us in 1..=100 {
            histogram.add_ns(us * 1000);
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile_us(0.5), Some(50.0));
        assert_eq!(histogram.quantile_us(0.99), Some(100.0));
        assert!(TIMES.ends.is_sorted() && *TIMES.ends.last().unwrap() >= 1_000_000_000);
        let before = histogram.seen();
        assert_eq!(histogram.seen().since(&before).quantile_us(0.5), None, "nothing came since");
        histogram.add_ns(400_000);
        assert_eq!(histogram.seen().since(&before).quantile_us(0.5), Some(500.0));
        assert_eq!(histogram.quantile_us(0.5), Some(100.0));
    }

    #[test]
    fn numbers_are_counted_up_to_the_end_of_their_bucket() {
        let histogram = Histogram::of_numbers();
        for number in [0, 1, 2, 5, 6, u64::from(u32::MAX)] {
            histogram.add(number);
        }
        assert_eq!(histogram.counts()[..4], [2, 1, 1, 1]);
        assert_eq!(histogram.counts()[ENDS], 1);
        assert_eq!((histogram.count(), histogram.sum()), (6, 14 + u64::from(u32::MAX)));
        assert!(NUMBERS.ends.is_sorted() && *NUMBERS.ends.last().unwrap() == 5_000_000);
    }
}
