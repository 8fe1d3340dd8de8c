//! Nobody is held against anything: no model is about tokens or rates.

use crate::rates::Slow;

/// What a token allows.
#[derive(Debug)]
pub struct Grant;

/// What a session's calls are held against.
#[derive(Default)]
pub struct Guard {
    /// What its token allows.
    pub grant: Option<std::sync::Arc<Grant>>,
    /// When its token expires.
    pub expires_ms: u64,
}

impl Guard {
    /// Notes a call.
    pub fn note(&self) -> Result<(), Slow> {
        Ok(())
    }

    /// What it weighs.
    pub fn bytes(&self) -> u64 {
        0
    }
}
