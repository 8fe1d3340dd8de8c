//! Stands in for rules: an instance that notes what it is asked, and traps when the model says so.

use crate::event::{Event, Happening};
pub use crate::fault::Fault;
use crate::fault::FaultKind;
use crate::shared::Shared;
use crate::trace::Met;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A version of a rule.
pub struct Rule {
    /// Which one.
    pub version: u64,
    /// At which of its events an instance traps, counted from one; zero for never.
    pub traps_at: usize,
    /// How many instances of it were made. The system's own atomic, which loom does not see: counting is not under test.
    pub made: AtomicUsize,
    /// How many of them there are.
    pub instances: AtomicUsize,
    /// How many have joined and not left, as the rule was told.
    pub members: AtomicIsize,
    /// Where the ids go of the events that it is asked about, in their order.
    pub asked: Arc<Mutex<Vec<u64>>>,
}

/// A rule as it is mounted.
pub struct Mounted {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// What it is configured with.
    pub config: String,
    /// The rule.
    pub rule: Arc<Rule>,
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

impl Rule {
    /// Without instances.
    pub fn new(version: u64, traps_at: usize) -> Arc<Self> {
        Self::that_notes(version, traps_at, Arc::default())
    }

    /// The same; several may note in one place.
    pub fn that_notes(version: u64, traps_at: usize, asked: Arc<Mutex<Vec<u64>>>) -> Arc<Self> {
        Arc::new(Self {
            version,
            traps_at,
            made: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
            members: AtomicIsize::new(0),
            asked,
        })
    }
}

impl Guest {
    /// Makes an instance.
    pub fn live(of: &Arc<Mounted>, _: &Arc<Shared>) -> Result<Self, Fault> {
        of.rule.made.fetch_add(1, SeqCst);
        of.rule.instances.fetch_add(1, SeqCst);
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

    /// For shadows, which no model has.
    pub fn begin_tape(&mut self, _: &Event, _: &Arc<Shared>) {}

    /// Likewise.
    pub fn end_tape(&mut self) -> Option<()> {
        None
    }

    /// For traces, which no model has.
    pub fn begin_notes(&mut self, _: &Event) {}

    /// Likewise.
    pub fn end_notes(&mut self, _: &Arc<Shared>) -> Option<Met> {
        None
    }

    /// Traps when its time has come, and must not be asked again then.
    pub fn route(&mut self, event: &Event) -> Result<Result<Outcome, Refusal>, Fault> {
        assert!(!self.trapped, "an instance that trapped is asked again");
        let rule = &self.of.rule;
        self.routed += 1;
        rule.asked.lock().expect("nothing panics under it").push(event.id);
        rule.members.fetch_add(
            match event.what {
                Happening::Join { .. } => 1,
                Happening::Leave | Happening::Exit(_) => -1,
                Happening::Publish(_) | Happening::Timer(_) => 0,
            },
            SeqCst,
        );
        self.trapped = self.routed == rule.traps_at;
        if self.trapped {
            Err(Fault::new(FaultKind::Trap, format!("version {} trapped", rule.version)))
        } else {
            Ok(Ok(Outcome(rule.version)))
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.of.rule.instances.fetch_sub(1, SeqCst);
    }
}
