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

    /// Whether a page of this origin may open a WebSocket on the host that the request names. Browsers let every page do
    /// so and leave it to the server; a page of the host's own may call in any case.
    pub fn may_connect(&self, origin: &str, host: &str) -> bool {
        let own = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        own || self.allows(origin).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_connect() {
        let only = Cors::Only(vec!["https://chat.example".into()]);
        for (origin, may) in [
            ("https://chat.example", true),
            ("http://CHAT.example:8080", true),
            ("https://chat.example:8080", true),
            ("https://chat.example.evil", false),
            ("https://evil.example", false),
            ("null", false),
            ("chat.example:8080", false),
        ] {
            assert_eq!(only.may_connect(origin, "chat.example:8080"), may, "{origin}");
        }
        assert!(Cors::Any.may_connect("https://evil.example", "chat.example"));
    }
}
