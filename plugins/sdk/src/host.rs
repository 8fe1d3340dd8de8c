//! The host's functions: in Wasm the real ones, natively the small ones in memory that `testing` is made of.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::volley::router::{
    erlang::{cancel_timer, monotonic_time_us, rand, send_after, system_time_ms},
    ets::Table,
    logger::log,
    pg::Scope,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::memory::{
    Scope, Table, cancel_timer, log, monotonic_time_us, rand, send_after, system_time_ms,
};
