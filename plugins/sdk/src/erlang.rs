//! Time, chance and timers. They come from the host, so that a replay of the same events does the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Payload, host};

/// Milliseconds since 1970. An event brings its own time, [`Event::time_ms`](crate::Event::time_ms), which costs no
/// call.
pub fn system_time_ms() -> u64 {
    host::system_time_ms()
}

/// Microseconds on a clock that is never set back, to measure how long something takes.
pub fn monotonic_time_us() -> u64 {
    host::monotonic_time_us()
}

/// Random numbers, evenly spread over all of `u64`; at most 1,024 a call.
pub fn rand(count: u32) -> Vec<u64> {
    host::rand(count)
}

/// A timer that was set. It can be kept in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timer(u64);

/// Routes an event of kind [`Kind::Timer`](crate::Kind::Timer) on a topic of this rule, with this data as JSON, after
/// at least this long (10 ms at the least).
///
/// ```
/// # use std::time::Duration;
/// # use volley_plugin::{Error, Event, Timer, send_after};
/// fn remind(event: &Event) -> Result<Timer, Error> {
///     send_after(Duration::from_secs(60), &event.topic, &"a minute has passed")
/// }
/// ```
pub fn send_after(delay: Duration, topic: &str, data: &(impl Serialize + ?Sized)) -> Result<Timer, Error> {
    let json = serde_json::to_vec(data).map_err(|wrong| Error::BadArg(wrong.to_string()))?;
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Ok(Timer(host::send_after(delay_ms, topic, &Payload::Json(json))?))
}

impl Timer {
    /// Whether it was still to fire. If not, its event may be waiting in the queue already.
    pub fn cancel(self) -> bool {
        host::cancel_timer(self.0)
    }
}
