//! Stands in for the metrics: counts nothing.

/// Of a plugin.
#[derive(Default)]
pub struct PluginMetrics {
    /// Nothing.
    pub events: Counter,
    /// Nothing.
    pub busy: Counter,
    /// Nothing.
    pub batch: Counter,
    /// Nothing.
    pub route: Counter,
}

/// What would be counted.
#[derive(Default)]
pub struct Counter;

impl Counter {
    /// One more.
    pub fn inc(&self) {}
    /// So many more.
    pub fn add(&self, _: u64) {}
    /// So long.
    pub fn add_ns(&self, _: u64) {}
}
