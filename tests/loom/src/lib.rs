//! The server's own files, compiled with loom's locks and atomics, so that models can run them through all interleavings.
//!
//! What has a path below is the server's file as it is. Of `bare`, `socket`, `streaming`, `node`, `plugin`, `lane` and `deploy`
//! the functions under test are the server's own, cut out by `build.rs`. All else is a stand-in, as small as it can be, for what no model is
//! about: the network, the rendering, the clock, chance, wasm.

// A stand-in has the signature of what it stands in for.
#![allow(
    clippy::needless_pass_by_value,
    clippy::result_large_err,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    clippy::unnecessary_box_returns
)]

// What the server's files call by these names is found at this crate's root.
extern crate self as hyper;
extern crate self as rand;
extern crate self as tokio;

#[path = "../../../host/src/caller.rs"]
pub mod caller;
#[path = "../../../host/src/calls.rs"]
pub mod calls;
#[path = "../../../host/src/consumer.rs"]
pub mod consumer;
#[path = "../../../host/src/deadlines.rs"]
pub mod deadlines;
#[path = "../../../host/src/denied.rs"]
pub mod denied;
#[path = "../../../host/src/event.rs"]
pub mod event;
#[path = "../../../host/src/fault.rs"]
pub mod fault;
#[path = "../../../host/src/fifo.rs"]
pub mod fifo;
#[path = "../../../host/src/generation.rs"]
pub mod generation;
#[path = "../../../host/src/groups.rs"]
pub mod groups;
#[path = "../../../host/src/history.rs"]
pub mod history;
#[path = "../../../host/src/journal.rs"]
pub mod journal;
#[path = "../../../host/src/limits.rs"]
pub mod limits;
#[path = "../../../host/src/mailbox.rs"]
pub mod mailbox;
#[path = "../../../host/src/message.rs"]
pub mod message;
#[path = "../../../host/src/on_trap.rs"]
pub mod on_trap;
#[path = "../../../host/src/payload.rs"]
pub mod payload;
#[path = "../../../host/src/places.rs"]
pub mod places;
#[path = "../../../host/src/report.rs"]
pub mod report;
#[path = "../../../host/src/routes.rs"]
pub mod routes;
#[path = "../../../host/src/session.rs"]
pub mod session;
#[path = "../../../host/src/sessions.rs"]
pub mod sessions;
#[path = "../../../host/src/standstill.rs"]
pub mod standstill;
#[path = "../../../host/src/stream.rs"]
pub mod stream;
#[path = "../../../host/src/subscriptions.rs"]
pub mod subscriptions;
#[path = "../../../host/src/token.rs"]
pub mod token;
#[path = "../../../host/src/topic.rs"]
pub mod topic;
#[path = "../../../host/src/unsent.rs"]
pub mod unsent;
#[path = "../../../host/src/volley.rs"]
pub mod volley;
#[path = "../../../host/src/wakeup.rs"]
pub mod wakeup;

pub mod bare;
pub mod clock;
pub mod deploy;
pub mod dialogue;
pub mod guard;
pub mod lane;
pub mod metrics;
pub mod node;
pub mod pid;
pub mod plugin;
pub mod protocol;
pub mod rates;
pub mod router;
pub mod shadow;
pub mod shared;
pub mod socket;
pub mod streaming;
pub mod swap;
pub mod sync;
pub mod time;
pub mod trace;
pub mod workers;

pub use protocol::problem::StatusCode;

/// What rules answer.
pub mod outcome {
    pub use crate::router::{Outcome, Refusal};
}

/// Stands in for hyper's.
pub struct Response<T>(pub T);

/// Stands in for `rand::random`: a model has no chance in it.
pub fn random<T: Default>() -> T {
    T::default()
}

/// Stands in for `rand::random_range`.
pub fn random_range<T: Default>(_: impl std::ops::RangeBounds<T>) -> T {
    T::default()
}
