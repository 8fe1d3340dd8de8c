//! Stands in for what is recorded of an event.

use crate::router::{Fault, Mounted, Outcome, Refusal};
use crate::trace::{Met, Recording};
use std::sync::Arc;

/// One event's.
pub(super) struct Draft;

impl Draft {
    pub(super) fn of(_: Arc<Recording>) -> Box<Self> {
        Box::new(Self)
    }

    pub(super) fn asked(&mut self, _: &Mounted, _: Option<Met>, _: &Result<Result<Outcome, Refusal>, Fault>) {}
}
