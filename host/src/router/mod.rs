//! Rules: the only module that names wasmtime.
//!
//! `engine` compiles a component into a `Rule` once `mismatches` has found that it was built for this contract; `guest`
//! is one instance of it; `host` is what the rule may ask of the server, one file an interface.

mod contract;
mod engine;
mod fault;
mod guest;
mod handles;
mod host;
mod interfaces;
mod mismatches;
mod notes;
mod source;
mod tape;

pub use crate::fault::Fault;
pub use engine::{Engine, Rule};
pub use guest::{Guest, Info, Mounted};
pub use interfaces::Interfaces;
pub use mismatches::mismatches;
pub(crate) use source::Given;
pub use tape::Tape;
