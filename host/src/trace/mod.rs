//! Traces: what a live server was asked and what it answered, so that somebody can ask later why Bob got this, or what
//! another version of the rule would have done.
//!
//! A trace is NDJSON: a header, then lines of events, and before the first event that a version routed a line that says
//! which version that is. Its keys stand in a fixed order, so equal runs make equal bytes. `line` is what a line says,
//! `met` and `answer` are its larger parts, `text` how bytes look in it; `read` reads a whole trace back, `redact` takes
//! out what must not leave the server, `recording` collects lines within bounds while a server runs, if `recorder` was
//! told to, `convert` makes them of what the server works with, and `reasons` says why somebody is on a list.

mod answer;
pub mod convert;
mod line;
mod met;
mod read;
mod reasons;
mod recorder;
mod recording;
mod redact;
mod text;

pub use answer::{Answer, Delivery, Fault, Op, Routed, To};
pub use line::{End, EventLine, FellBack, Header, Kind, Line, Reason, Subscribers, VersionLine, Why};
pub use met::{Cancelled, Counted, Denial, GroupTouch, Membership, Met, Opened, Page, TableKind, TableTouch, Timer};
pub use read::{BadTrace, Recorded, Trace};
pub use recorder::{Recorder, Refused, Traces, Wanted};
pub use recording::{By, Recording, State, Status};
pub use redact::{Redacted, Redaction};
pub use text::{Data, Term, values_words};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
