//! Who may come in: clients by tokens that somebody else has signed, back-ends by keys that the operator made. With
//! neither configured everybody is anonymous.
//!
//! `jwks` proves a token and `claims` reads it, `publishers` knows the keys of back-ends, `tickets` stand for a session
//! where no header can; `files` reads all that from files and again when they change. What came of it is a `guard`.

pub mod claims;
pub mod files;
pub mod jwks;
pub mod new_key;
pub mod publishers;
pub mod ring_backend;
pub mod tickets;

use crate::config::AuthConfig;
use crate::guard::Grant;
use arc_swap::ArcSwap;
use claims::Claims;
use files::Keys;
use jwks::BadToken;
use std::sync::Arc;

/// Who may come in.
pub struct Auth {
    config: AuthConfig,
    leeway_ms: u64,
    keys: ArcSwap<Keys>,
}

impl Auth {
    /// Everybody, as nobody in particular.
    pub fn off() -> Self {
        Self { config: AuthConfig::default(), leeway_ms: 0, keys: ArcSwap::default() }
    }

    /// As configured; the files must be good.
    pub fn start(config: &AuthConfig, leeway_ms: u64) -> anyhow::Result<Self> {
        let keys = files::read(config, leeway_ms)?;
        Ok(Self { config: config.clone(), leeway_ms, keys: ArcSwap::from_pointee(keys) })
    }

    /// Whether there are keys: clients show tokens then, and back-ends keys.
    pub fn is_on(&self) -> bool {
        self.config.is_on()
    }

    /// Whether a session may be opened without a token.
    pub fn takes_anonymous(&self) -> bool {
        !self.is_on() || self.config.anonymous
    }

    /// What the token claims, if it counts here and now.
    pub fn claims(&self, token: &str) -> Result<Claims, BadToken> {
        self.keys.load().jwks.as_ref().ok_or(BadToken::NoKey)?.verify(token)
    }

    /// What the key of a back-end allows; none when it is no key.
    pub fn publisher(&self, key: &str) -> Option<Arc<Grant>> {
        self.keys.load().publishers.find(key)
    }

    /// When the holder of these claims has to go, in milliseconds since 1970.
    pub fn expires_unix_ms(&self, claims: &Claims) -> u64 {
        claims.expires_s.saturating_mul(1000).saturating_add(self.leeway_ms)
    }
}
