//! The contract's `erlang`: time, chance and timers.

use super::{HostState, error, lift_payload, trap};
use crate::clock;
use crate::denied::Denied;
use crate::event;
use crate::protocol::payload;
use crate::router::contract::volley::router::erlang::{Error, Host, Payload};
use crate::standstill;

/// Random numbers of one call.
const RAND_MAX: u32 = 1024;

impl Host for HostState {
    fn system_time_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.by_chance(|chance| &mut chance.system_ms, clock::unix_ms))
    }

    fn monotonic_time_us(&mut self) -> wasmtime::Result<u64> {
        Ok(self.by_chance(|chance| &mut chance.monotonic_us, clock::now_us))
    }

    fn rand(&mut self, count: u32) -> wasmtime::Result<Vec<u64>> {
        let random = || standstill::random().unwrap_or_else(rand::random);
        Ok((0..count.min(RAND_MAX)).map(|_| self.by_chance(|chance| &mut chance.rand, random)).collect())
    }

    fn send_after(&mut self, delay_ms: u64, topic: String, data: Payload) -> wasmtime::Result<Result<u64, Error>> {
        let set = || {
            self.unless_initialising("sets no timers")?;
            let badarg = |words: String| Denied::Badarg(words);
            let topic = topic.parse().map_err(|words| badarg(format!("the topic of the timer: {words}")))?;
            let data = match lift_payload(data) {
                event::Payload::Json(json) => payload::json(json).map_err(badarg)?,
                other => other,
            };
            if data.len() as u64 > self.shared.limits.event_bytes_max {
                return Err(Denied::Limit("event_bytes_max"));
            }
            self.set_timer(delay_ms, topic, data)
        };
        Ok(set().map_err(error))
    }

    fn cancel_timer(&mut self, timer: u64) -> wasmtime::Result<bool> {
        self.unless_initialising("cancels no timers").map_err(trap)?;
        self.cancel(timer).map_err(trap)
    }
}
