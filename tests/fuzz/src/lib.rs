//! The server's own files that parse input from outside, and an oracle for each kind of input.
//!
//! What has a path below is the server's file as it is; `session` alone is a stand-in. Where an oracle finds something,
//! its input becomes a seed, and a unit test beside the code says what was wrong.

#[path = "../../../host/src/addresses.rs"]
pub mod addresses;
#[path = "../../../host/src/bundled.rs"]
pub mod bundled;
#[path = "../../../host/src/auth/claims.rs"]
pub mod claims;
#[path = "../../../host/src/clock.rs"]
pub mod clock;
#[path = "../../../host/src/config.rs"]
pub mod config;
#[path = "../../../host/src/limits.rs"]
pub mod limits;
#[path = "../../../host/src/router/mismatches.rs"]
pub mod mismatches;
#[path = "../../../host/src/on_trap.rs"]
pub mod on_trap;
#[path = "../../../host/src/origins.rs"]
pub mod origins;
#[path = "../../../host/src/payload.rs"]
pub mod payload;
#[path = "../../../host/src/pid.rs"]
pub mod pid;
#[path = "../../../host/src/router/published.rs"]
pub mod published;
#[path = "../../../host/src/router/shape.rs"]
pub mod shape;
#[path = "../../../host/src/signatures.rs"]
pub mod signatures;
#[path = "../../../host/src/standstill.rs"]
pub mod standstill;
#[path = "../../../host/src/token.rs"]
pub mod token;
#[path = "../../../host/src/topic.rs"]
pub mod topic;

pub mod oracles;
pub mod protocol;
pub mod session;
pub mod trace;
