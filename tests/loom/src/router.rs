//! Stands in for rules: an instance that counts what it is asked, and traps when the model says so.

use crate::event::{Event, Happening};
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};

/// A rule as it is mounted.
pub struct Mounted {
    /// Which version of the rule.
    pub version: u64,
    /// At which of its events an instance traps, counted from one; zero for never.
    pub traps_at: usize,
    /// How many instances of it were made. The system's own atomic, which loom does not see: counting is not under test.
    pub made: AtomicUsize,
    /// How many of them there are.
    pub instances: AtomicUsize,
    /// How many have joined and not left, as the rule was told.
    pub members: AtomicIsize,
}

/// An instance.
pub struct Guest {
    of: Arc<Mounted>,
    routed: usize,
    trapped: bool,
}

/// What a rule says: here, which version said it.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome(pub u64);

/// It never refuses.
#[derive(Debug)]
pub struct Refusal;

/// Why an instance is of no use.
#[derive(Debug)]
pub struct Fault(pub u64);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} trapped", self.0)
    }
}

impl Mounted {
    /// Without instances.
    pub fn new(version: u64, traps_at: usize) -> Arc<Self> {
        Arc::new(Self {
            version,
            traps_at,
            made: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
            members: AtomicIsize::new(0),
        })
    }
}

impl Guest {
    /// Makes an instance.
    pub fn live(of: &Arc<Mounted>, _: &Arc<Shared>) -> Result<Self, Fault> {
        of.made.fetch_add(1, SeqCst);
        of.instances.fetch_add(1, SeqCst);
        Ok(Self { of: of.clone(), routed: 0, trapped: false })
    }

    /// Whether it routes by this rule.
    pub fn is_of(&self, mounted: &Arc<Mounted>) -> bool {
        Arc::ptr_eq(&self.of, mounted)
    }

    /// No model is about that.
    pub fn is_spent(&self) -> bool {
        false
    }

    /// Traps when its time has come, and must not be asked again then.
    pub fn route(&mut self, event: &Event) -> Result<Result<Outcome, Refusal>, Fault> {
        assert!(!self.trapped, "an instance that trapped is asked again");
        self.routed += 1;
        self.of.members.fetch_add(
            match event.what {
                Happening::Join { .. } => 1,
                Happening::Leave | Happening::Exit(_) => -1,
                Happening::Publish(_) | Happening::Timer(_) => 0,
            },
            SeqCst,
        );
        self.trapped = self.routed == self.of.traps_at;
        if self.trapped { Err(Fault(self.of.version)) } else { Ok(Ok(Outcome(self.of.version))) }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.of.instances.fetch_sub(1, SeqCst);
    }
}
