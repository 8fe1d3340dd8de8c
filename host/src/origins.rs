//! Which pages of a browser may call.

use std::sync::{Arc, LazyLock};

/// Shared, so that a request costs no allocation.
static ANY: LazyLock<Arc<str>> = LazyLock::new(|| "*".into());

/// The origins that may call.
#[derive(Clone, Debug)]
pub enum Cors {
    /// Any page: no cookies are involved, a page can only use tokens that it holds.
    Any,
    /// These, as `scheme://host[:port]`.
    Only(Vec<Arc<str>>),
}

impl Cors {
    /// What `Access-Control-Allow-Origin` says to a page of this origin; none when it may not call.
    pub fn allows(&self, origin: &str) -> Option<Arc<str>> {
        match self {
            Self::Any => Some(ANY.clone()),
            Self::Only(origins) => origins.iter().find(|allowed| ***allowed == *origin).cloned(),
        }
    }
}
