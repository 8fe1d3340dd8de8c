//! Stands in for shadows: no model has one.

use crate::event::Event;

/// None is ever made.
pub enum Shadow {}

impl Shadow {
    /// Never asked.
    pub fn wants(&self) -> bool {
        match *self {}
    }

    /// Never asked.
    pub fn offer<A>(&self, _: &Event, _: Option<()>, _: &A) {
        match *self {}
    }
}
