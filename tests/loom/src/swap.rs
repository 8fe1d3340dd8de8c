//! Stands in for `arc_swap::ArcSwap`: a value that is replaced as one, behind a lock that loom knows.

use crate::sync::Mutex;
use std::sync::Arc;

/// The value. Whoever looks at it owns it, too; with the real one that is so once it was replaced.
pub struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    /// At first.
    pub fn new(value: Arc<T>) -> Self {
        Self(Mutex::new(value))
    }

    /// As it is now.
    pub fn load(&self) -> Arc<T> {
        self.load_full()
    }

    /// As it is now.
    pub fn load_full(&self) -> Arc<T> {
        self.0.lock().clone()
    }

    /// From here on.
    pub fn store(&self, value: Arc<T>) {
        let old = std::mem::replace(&mut *self.0.lock(), value);
        drop(old);
    }
}
