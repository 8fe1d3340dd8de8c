//! What threads meet with. Named here, so that the models in `tests/loom` can put loom's in their place and run the very
//! same sources through all interleavings.

pub use parking_lot::{Condvar, Mutex, MutexGuard};
pub use std::sync::OnceLock;
pub use std::sync::atomic;
