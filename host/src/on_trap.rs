//! What becomes of an event on which its rule failed: the policy of a route.

use serde::{Deserialize, Serialize};

/// A route's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTrap {
    /// It fails: its publisher gets a 502.
    #[default]
    Fail,
    /// A publish goes to all subscribers of its topic, as it is; anything else fails.
    Subscribers,
    /// The version before routes it, if there is one that may.
    Previous,
}
