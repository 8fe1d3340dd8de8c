//! Traces as they are read, less what collects them while a server runs.

// What only replays need is used by no target.
#![allow(clippy::struct_field_names, dead_code, unreachable_pub)]

#[path = "../../../host/src/trace/answer.rs"]
mod answer;
#[path = "../../../host/src/trace/line.rs"]
mod line;
#[path = "../../../host/src/trace/met.rs"]
mod met;
#[path = "../../../host/src/trace/read.rs"]
mod read;
#[path = "../../../host/src/trace/reasons.rs"]
mod reasons;
#[path = "../../../host/src/trace/redact.rs"]
mod redact;
#[path = "../../../host/src/trace/text.rs"]
mod text;

pub use answer::To;
pub use line::Line;
pub use read::Trace;
pub use redact::{Redacted, Redaction};
pub use text::{Data, Term};

/// The format that is read.
pub const FORMAT: u32 = 1;
