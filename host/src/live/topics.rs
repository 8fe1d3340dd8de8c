//! The busiest topics: what lanes have counted, as rates that fade, so that a list of them does not jump about.

use crate::busiest::Counted;
use crate::topic::Topic;
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many are shown.
const SHOWN: usize = 20;
/// A rate is an average over about this time.
const FADES_IN: Duration = Duration::from_secs(5);
/// What is rarer is forgotten.
const PER_S_MIN: f64 = 0.02;
/// So many are remembered, the busiest.
const REMEMBERED: usize = 512;

/// One topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicNow {
    /// Which.
    pub topic: String,
    /// Who routes it.
    pub plugin: String,
    /// Its events, over the last seconds; a little too high where there are very many topics (`busiest`).
    pub events_per_s: f64,
    /// Mailboxes that they went into, likewise.
    pub recipients_per_s: f64,
}

#[derive(Default)]
pub(super) struct Topics {
    noted: Option<Instant>,
    rates: HashMap<Topic, Rate>,
}

struct Rate {
    plugin: String,
    events: f64,
    recipients: f64,
}

impl Topics {
    /// Notes what was counted since the last time. The first time it is older than whoever looks, and left out.
    pub(super) fn note<'a>(&mut self, counted: impl Iterator<Item = (&'a str, Counted)>, now: Instant) {
        let Some(before) = self.noted.replace(now) else { return counted.for_each(drop) };
        let seconds = (now - before).as_secs_f64().max(1e-3);
        let share = 1.0 - (-seconds / FADES_IN.as_secs_f64()).exp();
        for rate in self.rates.values_mut() {
            rate.events *= 1.0 - share;
            rate.recipients *= 1.0 - share;
        }
        for (plugin, Counted { topic, events, recipients, .. }) in counted {
            let new = || Rate { plugin: plugin.to_owned(), events: 0.0, recipients: 0.0 };
            let rate = self.rates.entry(topic).or_insert_with(new);
            if rate.plugin != plugin {
                plugin.clone_into(&mut rate.plugin);
            }
            rate.events += share * events as f64 / seconds;
            rate.recipients += share * recipients as f64 / seconds;
        }
        self.rates.retain(|_, rate| rate.events >= PER_S_MIN);
        if self.rates.len() > REMEMBERED {
            let mut rates: Vec<f64> = self.rates.values().map(|rate| rate.events).collect();
            rates.sort_unstable_by(|a, b| b.total_cmp(a));
            let least = rates[REMEMBERED - 1];
            self.rates.retain(|_, rate| rate.events >= least);
        }
    }

    /// The busiest first.
    pub(super) fn busiest(&self) -> Vec<TopicNow> {
        let mut rates: Vec<(&Topic, &Rate)> = self.rates.iter().collect();
        rates.sort_unstable_by(|(a, left), (b, right)| right.events.total_cmp(&left.events).then_with(|| a.cmp(b)));
        let shown = rates.into_iter().take(SHOWN).map(|(topic, rate)| TopicNow {
            topic: topic.to_string(),
            plugin: rate.plugin.clone(),
            events_per_s: rate.events,
            recipients_per_s: rate.recipients,
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_up_and_fade() {
        let counted = |topic: &str, events| {
            ("p", Counted { topic: topic.parse().unwrap(), events, error: 0, recipients: 3 * events })
        };
        let (mut topics, mut now) = (Topics::default(), Instant::now());
        topics.note([counted("before", 1_000_000)].into_iter(), now);
        for _ in 0..60 {
            now += Duration::from_secs(1);
            topics.note([counted("a", 10), counted("b", 100)].into_iter(), now);
        }
        let busiest = topics.busiest();
        assert_eq!(busiest.iter().map(|of| &*of.topic).collect::<Vec<_>>(), ["b", "a"]);
        assert!((busiest[0].events_per_s - 100.0).abs() < 1.0 && (busiest[1].recipients_per_s - 30.0).abs() < 1.0);
        for _ in 0..60 {
            now += Duration::from_secs(1);
            topics.note(std::iter::empty(), now);
        }
        assert!(topics.busiest().is_empty() && topics.rates.is_empty());
        let many: Vec<_> = (0..2_000).map(|n| counted(&format!("t{n}"), 10 + n)).collect();
        topics.note(many.into_iter(), now + Duration::from_secs(1));
        assert_eq!((topics.rates.len(), topics.busiest().len()), (REMEMBERED, SHOWN));
    }
}
