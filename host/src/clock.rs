//! Time as the server uses it: milliseconds since the process began, and since 1970.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process began; monotonic.
pub fn now_ms() -> u64 {
    START.elapsed().as_millis() as u64
}

/// Seconds since the process began, for what needs no precision; never zero.
pub fn now_s() -> u32 {
    START.elapsed().as_secs() as u32 + 1
}

/// Microseconds since the process began; monotonic.
pub fn now_us() -> u64 {
    START.elapsed().as_micros() as u64
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
