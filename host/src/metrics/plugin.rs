//! What is counted for each plugin. One table makes the struct that lanes add to, the families that the registry holds,
//! and their help texts.

use super::Labels;
use super::counters::{Counters, Each, RolledBackBy, ShadowResult};
use crate::fault::FaultKind;
use crate::histogram::Histogram;
use crate::volley::Fired;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

macro_rules! of_each_plugin {
    ($($(#[doc = $help:literal])+ $name:literal $field:ident: $each:ty = $new:expr;)*) => {
        /// What is counted for one plugin. Its lanes hold it, and add to atomics.
        pub struct PluginMetrics { $($(#[doc = $help])+ pub $field: $each,)* }

        /// The same for all plugins.
        pub(super) struct Families {
            $($field: Family<Labels, <$each as Each>::One, fn() -> <$each as Each>::One>,)*
        }

        impl Default for Families {
            fn default() -> Self { Self { $($field: Family::new_with_constructor($new),)* } }
        }

        impl Families {
            pub(super) fn register(&self, to: &mut Registry) {
                $(to.register($name, super::help(concat!($($help),+)), self.$field.clone());)*
            }

            pub(super) fn of_plugin(&self, plugin: &str) -> PluginMetrics {
                let labels = vec![("plugin", plugin.to_owned())];
                PluginMetrics { $($field: Each::member_of(&labels, &|labels| self.$field.get_or_create_owned(labels)),)* }
            }
        }
    };
}

of_each_plugin! {
    /// Events that the rule was asked about, whatever came of it.
    "events" events: Counter = Counter::default;
    /// Events that the rule refused or called invalid.
    "refusals" refusals: Counter = Counter::default;
    /// Events that failed in the rule, by kind.
    "faults" faults: Counters<FaultKind> = Counter::default;
    /// Events turned away by a full lane.
    "busy" busy: Counter = Counter::default;
    /// Time in the rule for one event.
    "route_seconds" route: Histogram = Histogram::of_times;
    /// Mailboxes that one event went into.
    "event_recipients" recipients: Histogram = Histogram::of_numbers;
    /// Events that a lane took from its queue at once.
    "batch_events" batch: Histogram = Histogram::of_numbers;
    /// Deliveries of one volley to mailboxes.
    "volley_mailboxes" volley_mailboxes: Histogram = Histogram::of_numbers;
    /// Parked polls that one volley answered.
    "volley_sockets" volley_sockets: Histogram = Histogram::of_numbers;
    /// Time in which a lane wrote a volley, or gave a large one to the workers.
    "volley_seconds" volley_time: Histogram = Histogram::of_times;
    /// Instances of the rule, whatever they are for.
    "instances" instances: Gauge = Gauge::default;
    /// Linear memory of these instances.
    "instance_memory_bytes" memory: Gauge = Gauge::default;
    /// Number of the generation that is routed by.
    "generation" generation: Gauge = Gauge::default;
    /// Versions that were pushed and accepted.
    "pushes" pushes: Counter = Counter::default;
    /// Activations that went live.
    "swaps" swaps: Counter = Counter::default;
    /// Activations that failed and were undone.
    "swap_failures" swap_failures: Counter = Counter::default;
    /// Returns to the previous version, by what caused them.
    "rollbacks" rollbacks: Counters<RolledBackBy> = Counter::default;
    /// Events that a shadow was offered, by what came of it.
    "shadow_events" shadow: Counters<ShadowResult> = Counter::default;
}

impl PluginMetrics {
    /// Counts a volley, unless it was empty.
    pub fn fired(&self, volley: &Fired) {
        if volley.mailboxes > 0 {
            self.volley_mailboxes.add(volley.mailboxes);
            self.volley_sockets.add(volley.sockets);
        }
        if volley.sockets > 0 {
            self.volley_time.add_ns(volley.took.as_nanos() as u64);
        }
    }
}
