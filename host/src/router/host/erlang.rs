//! The contract's `erlang`: time, chance and timers.

use super::{HostState, error, lift_payload, trap};
use crate::clock;
use crate::denied::Denied;
use crate::event;
use crate::protocol::payload;
use crate::router::contract::volley::router::erlang::{Error, Host, Payload};

/// Random numbers of one call.
const RAND_MAX: u32 = 1024;

impl Host for HostState {
    fn system_time_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(clock::unix_ms())
    }

    fn monotonic_time_us(&mut self) -> wasmtime::Result<u64> {
        Ok(clock::now_us())
    }

    fn rand(&mut self, count: u32) -> wasmtime::Result<Vec<u64>> {
        Ok((0..count.min(RAND_MAX)).map(|_| rand::random()).collect())
    }

    fn send_after(&mut self, delay_ms: u64, topic: String, data: Payload) -> wasmtime::Result<Result<u64, Error>> {
        let set = || {
            let badarg = |words: String| Denied::Badarg(words);
            let topic = topic.parse().map_err(|words| badarg(format!("the topic of the timer: {words}")))?;
            let data = match lift_payload(data) {
                event::Payload::Json(json) => payload::json(json).map_err(badarg)?,
                other => other,
            };
            if data.len() as u64 > self.shared.limits.event_bytes_max {
                return Err(Denied::Limit("event_bytes_max"));
            }
            self.shared.timers.set(&self.caller, delay_ms, topic, data)
        };
        Ok(self.unless_initialising("sets no timers").and_then(|()| set()).map_err(error))
    }

    fn cancel_timer(&mut self, timer: u64) -> wasmtime::Result<bool> {
        self.unless_initialising("cancels no timers").map_err(trap)?;
        self.shared.timers.cancel(&self.caller, timer).map_err(trap)
    }
}
