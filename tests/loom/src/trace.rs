//! Stands in for recordings: nothing is recorded.

use crate::topic::Topic;
use std::sync::Arc;

/// A recording.
pub struct Recording;

/// What a rule met with.
#[derive(Default)]
pub struct Met(());

/// The place of a plugin's recording.
pub struct Recorder;

impl Recorder {
    /// Never.
    pub fn wants(&self, _: &Topic) -> Option<Arc<Recording>> {
        None
    }
}
