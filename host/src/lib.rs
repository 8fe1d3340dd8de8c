//! Volley: an HTTP long-poll pub/sub server whose routing rules are hot-swappable WebAssembly components.
//!
//! One event comes in; the rule mounted on its topic returns the complete list of recipients; the server fires one
//! batched send, the volley. `ARCHITECTURE.md` says how it fits together; the modules below are in reading order.

// From the command line to threads that run.
pub mod cli;
pub mod config;
pub mod limits;
pub mod memory;
pub mod origins;
pub mod server;

// The path of one event: accepted, read, turned into an event, routed in a lane, delivered by a volley.
pub mod accept;
pub mod bare;
pub mod calls;
pub mod connection;
pub mod consumer;
pub mod dialogue;
pub mod epoll;
pub mod event;
pub mod fault;
pub mod generation;
pub mod hyper_io;
pub mod idempotency;
pub mod lane;
pub mod node;
pub mod on_trap;
pub mod outcome;
pub mod payload;
pub mod plugin;
pub mod protocol;
pub mod reactor;
pub mod recipients;
pub mod report;
pub mod router;
pub mod routes;
pub mod shadow;
pub mod socket;
pub mod stream;
pub mod streaming;
pub mod tls;
pub mod unsent;
pub mod volley;
pub mod wakeup;
pub mod worker;
pub mod workers;

// Who may come in, and how much of it.
pub mod addresses;
pub mod auth;
pub mod guard;
pub mod rates;
pub mod tally;

// Who is there.
pub mod deadlines;
pub mod fifo;
pub mod mailbox;
pub mod message;
pub mod pid;
pub mod session;
pub mod sessions;
pub mod subscriptions;
pub mod token;
pub mod topic;

// What rules keep and wait for.
pub mod caller;
pub mod denied;
pub mod groups;
pub mod history;
pub mod journal;
pub mod places;
pub mod shared;
pub mod sync;
pub mod tables;
pub mod timers;
pub mod trace;

// What outlives a restart.
pub mod data;
pub mod private;
pub mod signatures;
pub mod signing;
pub mod write_behind;

// How rules are replaced while all this runs.
pub mod changes;
pub mod deploy;
pub mod dev;
pub mod watch;

// What operators watch while all this runs.
pub mod busiest;
pub mod live;
pub mod onlookers;

// What a trace of it says later.
pub mod replay;

// From the outside: what operators and clients call, and what authors of rules do without a server.
pub mod admin_client;
pub mod author;
pub mod commands;
pub mod http_client;
pub mod oci;

// Around it.
pub mod admin_token;
pub mod bench;
pub mod bundled;
pub mod clock;
pub mod doctor;
pub mod histogram;
pub mod log_lines;
pub mod metrics;
pub mod plugin_logs;
pub mod standstill;
pub mod toolchain;
pub mod whole_file;

#[cfg(test)]
mod scratch;
