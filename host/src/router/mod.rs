//! Rules: the only module that names wasmtime.
//!
//! `engine` compiles a component into a `Rule` once `mismatches` has found that it was built for this contract; `guest`
//! is one instance of it; `host` is what the rule may ask of the server, one file an interface. `published` is the contract
//! as it is written, `shape` what a component imports and exports, which `outline` and `wit_text` tell people.

mod contract;
mod engine;
mod fault;
mod guest;
mod handles;
mod host;
mod interfaces;
mod mismatches;
mod notes;
mod outline;
mod published;
mod shape;
mod source;
mod tape;
mod wit_text;

pub use crate::fault::Fault;
pub use engine::{Engine, Rule};
pub use guest::{Guest, Info, Mounted};
pub use interfaces::Interfaces;
pub use mismatches::mismatches;
pub use outline::{Interface, Outline};
pub use published::VERSION;
pub(crate) use source::Given;
pub use tape::Tape;
pub use wit_text::wit_text;
