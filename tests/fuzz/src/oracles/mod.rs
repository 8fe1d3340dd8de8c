//! For each kind of input what must hold whatever the input is. Each is checked against a model that is written the
//! other way round, or against a library that the server does not use for it.

pub mod batch;
pub mod component;
pub mod config;
pub mod contract;
pub mod credentials;
pub mod frames;
pub mod json;
pub mod pattern;
pub mod pid;
pub mod poll_head;
pub mod query;
pub mod token;
pub mod topic;
pub mod trace;

mod head;
mod world;

/// An oracle; it panics on what must not be.
pub type Oracle = fn(&[u8]);

/// All of them by the names of their targets.
pub const ALL: [(&str, Oracle); 14] = [
    ("topic", topic::check),
    ("pattern", pattern::check),
    ("pid", pid::check),
    ("token", token::check),
    ("query", query::check),
    ("poll_head", poll_head::check),
    ("frames", frames::check),
    ("json", json::check),
    ("batch", batch::check),
    ("config", config::check),
    ("component", component::check),
    ("contract", contract::check),
    ("credentials", credentials::check),
    ("trace", trace::check),
];
