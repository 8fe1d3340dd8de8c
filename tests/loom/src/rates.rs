//! Nobody calls too often.

/// Too many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow;
