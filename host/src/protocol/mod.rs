//! The HTTP and JSON that clients and operators see: the only module that knows their shape.
//!
//! From the bottom: `payload`, `message` and `answer` render what travels through mailboxes; `query`, `plain`, `batch`
//! and `credentials` read what comes in, and know text only; `http` and `problem` are what all calls share; `client` and `admin` are the
//! calls; `plugin_log` renders what plugins log.

pub mod admin;
pub mod answer;
pub mod batch;
pub mod client;
pub mod command;
pub mod cors;
pub mod credentials;
pub mod frames;
pub mod http;
pub mod message;
pub mod payload;
pub mod plain;
pub mod plugin_log;
pub mod problem;
pub mod query;
pub mod stream;
