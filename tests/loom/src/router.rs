//! Stands in for rules: an instance that counts what it is asked, and traps when the model says so.

pub use crate::fault::Fault;

use crate::event::{Event, Happening};
use crate::fault::FaultKind;
use crate::outcome::{Outcome, Refusal};
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering::SeqCst};

/// A version of a rule.
#[derive(Default)]
pub struct Rule {
    /// Which.
    pub version: u64,
    /// At which of its events an instance traps, counted from one; zero for never.
    pub traps_at: usize,
    /// For which version the tables are, if that matters.
    pub tables: Option<Arc<AtomicU64>>,
    /// How many instances of it were made. The system's own atomic, which loom does not see: counting is not under test.
    pub made: AtomicUsize,
    /// How many of them there are.
    pub instances: AtomicUsize,
    /// How many have joined and not left, as the rule was told.
    pub members: AtomicIsize,
}

/// A rule as it is mounted.
pub struct Mounted {
    /// No model has several.
    pub plugin: Arc<str>,
    /// It means nothing.
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

impl Rule {
    /// Without instances.
    pub fn new(version: u64, traps_at: usize) -> Arc<Self> {
        Arc::new(Self { version, traps_at, ..Self::default() })
    }

    /// One that must not meet the tables of another version.
    pub fn with_tables(version: u64, tables: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { version, tables: Some(tables.clone()), ..Self::default() })
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

    /// Traps when its time has come, and must not be asked again then. Says which version it is, as a PID.
    pub fn route(&mut self, event: &Event) -> Result<Result<Outcome, Refusal>, Fault> {
        assert!(!self.trapped, "an instance that trapped is asked again");
        let rule = &self.of.rule;
        if let Some(tables) = &rule.tables {
            assert_eq!(tables.load(SeqCst), rule.version, "a version meets the tables of another");
        }
        self.routed += 1;
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
            return Err(Fault::new(FaultKind::Trap, format!("version {} trapped", rule.version)));
        }
        Ok(Ok(Outcome { deliveries: Vec::new(), remove: vec![rule.version] }))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.of.rule.instances.fetch_sub(1, SeqCst);
    }
}
