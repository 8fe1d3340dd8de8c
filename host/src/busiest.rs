//! Which topics have the most events, in bounded memory: the Space-Saving algorithm of Metwally, Agrawal and El Abbadi
//! ("Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005).
//!
//! There are so many counters and no more. A topic without one takes over that of the rarest topic, and goes on from its
//! count. So of N events each topic with more than N / [`COUNTERS`] is in the list, and none is counted too high by more
//! than the smallest count; what that may be is kept beside it.

use crate::topic::Topic;
use std::collections::HashMap;

/// Topics that are counted at a time.
pub const COUNTERS: usize = 128;

/// The counters of one lane.
#[derive(Debug, Default)]
pub struct Busiest {
    places: HashMap<Topic, usize>,
    counted: Vec<Counted>,
}

/// What is known of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Which.
    pub topic: Topic,
    /// Its events, at most.
    pub events: u64,
    /// By so many that may be too high.
    pub error: u64,
    /// Mailboxes that its events went into, since it has its counter.
    pub recipients: u64,
}

impl Busiest {
    /// Counts an event.
    pub fn add(&mut self, topic: &Topic, recipients: u64) {
        if let Some(place) = self.places.get(topic) {
            let counted = &mut self.counted[*place];
            counted.events += 1;
            counted.recipients += recipients;
            return;
        }
        let mut counted = Counted { topic: topic.clone(), events: 1, error: 0, recipients };
        if self.counted.len() < COUNTERS {
            self.places.insert(topic.clone(), self.counted.len());
            self.counted.push(counted);
            return;
        }
        let rarest = (0..COUNTERS).min_by_key(|place| self.counted[*place].events).unwrap_or(0);
        counted.error = self.counted[rarest].events;
        counted.events += counted.error;
        self.places.remove(&self.counted[rarest].topic);
        self.places.insert(topic.clone(), rarest);
        self.counted[rarest] = counted;
    }

    /// All that were counted since the last time, in no order.
    pub fn take(&mut self) -> Vec<Counted> {
        self.places.clear();
        std::mem::take(&mut self.counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What the paper promises, over streams in which some topics are more frequent than others.
        #[test]
        fn the_frequent_are_in_the_list_and_no_count_is_off_by_more_than_it_says(
            stream in prop::collection::vec((0..400_u32, 1..9_u32), 0..3000)
        ) {
            let (mut busiest, mut exact) = (Busiest::default(), HashMap::<Topic, u64>::new());
            for (number, skew) in &stream {
                let topic: Topic = format!("t.{}", number / (skew * skew)).parse().unwrap();
                busiest.add(&topic, 2);
                *exact.entry(topic).or_default() += 1;
            }
            let counted = busiest.take();
            prop_assert!(counted.len() <= COUNTERS);
            prop_assert_eq!(counted.iter().map(|of| of.events).sum::<u64>(), stream.len() as u64);
            for of in &counted {
                let truly = exact[&of.topic];
                prop_assert!(of.events - of.error <= truly && truly <= of.events, "{:?} is {}", of, truly);
                prop_assert!(of.recipients <= 2 * truly);
            }
            for (topic, truly) in exact {
                let is_frequent = truly > (stream.len() / COUNTERS) as u64;
                prop_assert!(!is_frequent || counted.iter().any(|of| of.topic == topic), "{topic} has {truly}");
            }
            prop_assert!(busiest.take().is_empty());
        }
    }
}
