//! What a rule met with while it routed an event: what it read and wrote, and what time and chance gave it. With that
//! another version can be asked the same thing.

use super::text::{Data, Term, as_texts};
use crate::pid::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All of one event, each kind in the order in which it happened first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Met {
    /// The tables that it had to do with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub opened: BTreeMap<String, Opened>,
    /// Keys of tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableTouch>,
    /// Pages that were walked; what was on them is among `tables`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
    /// How many objects tables had, each time the rule asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<Counted>,
    /// How many objects tables had before the event: what older traces have in place of `counted`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, u64>,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupTouch>,
    /// What PIDs were members of before the event, of those that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memberships: Vec<Membership>,
    /// Who had ended when the rule wanted them in a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dead: Vec<Pid>,
    /// Calls that a bound stood against.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denial>,
    /// Milliseconds since 1970, each time it looked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_ms: Vec<u64>,
    /// Microseconds of the monotonic clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monotonic_us: Vec<u64>,
    /// Random numbers, as texts.
    #[serde(with = "as_texts", skip_serializing_if = "Vec::is_empty")]
    pub random: Vec<u64>,
    /// Timers that it set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<Timer>,
    /// Timers that it cancelled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<Cancelled>,
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// How keys and values relate.
    pub kind: TableKind,
    /// The plugin that may write it.
    pub owner: String,
}

/// How keys and values relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// One value a key.
    Set,
    /// One value a key, walked in order.
    OrderedSet,
    /// Several values a key.
    Bag,
}

/// A key of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableTouch {
    /// The full name: `PLUGIN:NAME`, or `shared:NAME`.
    pub table: String,
    /// Which key.
    pub key: Term,
    /// Whether what it had before was told to the rule.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read: bool,
    /// What it had before the rule touched it; nothing when it was not there, several values of a bag.
    pub before: Vec<Term>,
    /// What it had when the rule read it last, where that is something else: the rule or somebody else had written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Vec<Term>>,
    /// What it had once the rule had written it, if it did; whatever others wrote later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Term>>,
    /// Somebody else changed it while the event was routed: a replay sees it as it was before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub raced: bool,
}

/// A part of a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Of which table.
    pub table: String,
    /// What its keys begin with.
    pub prefix: Term,
    /// Beyond which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Term>,
    /// How many objects were asked for.
    pub limit: u32,
}

/// The size of a table as the rule was told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Of which table.
    pub table: String,
    /// How many objects.
    pub objects: u64,
    /// By how many of them the event itself had made it grow by then; less than none if it had removed some.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own: i64,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupTouch {
    /// Its scope.
    pub scope: String,
    /// Its name.
    pub group: Term,
    /// Whether those before, or how many they are, were told to the rule.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read: bool,
    /// Whether the answer names it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub named: bool,
    /// Who was in it before the rule touched it, in ascending order.
    pub before: Vec<Pid>,
    /// Who was in it when the rule read it last, where that is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Vec<Pid>>,
    /// Those before, with whom the rule let in and without whom it let out, if it changed it; whatever others did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<Pid>>,
    /// Who was in it when the lists were resolved, where that is somebody else again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Vec<Pid>>,
    /// Somebody else changed it while the event was routed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub raced: bool,
}

impl GroupTouch {
    /// One that has only been seen, with these members.
    pub fn of(scope: String, group: Term, before: Vec<Pid>) -> Self {
        let (read, named, raced) = (false, false, false);
        Self { scope, group, read, named, before, told: None, after: None, resolved: None, raced }
    }

    /// Whether anything came of who was in it.
    pub fn is_looked_at(&self) -> bool {
        self.read || self.named || self.told.is_some()
    }

    /// Who was in it when the lists were resolved.
    pub fn members(&self) -> &[Pid] {
        self.resolved.as_ref().or(self.after.as_ref()).unwrap_or(&self.before)
    }
}

/// What a PID was a member of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// In which scope.
    pub scope: String,
    /// Who.
    pub pid: Pid,
    /// Which groups, in ascending order.
    pub groups: Vec<Term>,
}

/// A call that was not done: on a table or a scope, or one that was to open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The call, as the contract names it.
    pub call: String,
    /// On which table or scope.
    pub table: String,
    /// With which keys, or which group.
    pub keys: Vec<Term>,
    /// How often the event had made the same call before; what older traces do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// The bound that was reached.
    pub limit: String,
}

/// A timer that was set, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// Its number; none when it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The bound that stood against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// After how long it fires.
    pub delay_ms: u64,
    /// Where.
    pub topic: String,
    /// With what.
    pub data: Data,
}

/// A timer that was to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// Which.
    pub id: u64,
    /// Whether it was still to fire.
    pub was_waiting: bool,
}

// As serde calls it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

// As serde calls it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}
