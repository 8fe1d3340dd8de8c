//! What a rule answered, as it stands in a trace: each delivery with the set as the rule named it, and beside it the list
//! that came of it.

use super::text::{Data, Term};
use crate::pid::Pid;
use serde::{Deserialize, Serialize};

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It has a list.
    Routed(Routed),
    /// Not allowed, in words for the client.
    Refused(String),
    /// Not understood.
    Invalid(String),
    /// The rule failed, or its answer could not be used.
    Fault(Fault),
}

/// A list, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routed {
    /// In their order.
    pub deliveries: Vec<Delivery>,
    /// Whose subscription to the event's topic ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Pid>,
}

/// One message, and who gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// As the rule said it.
    pub to: To,
    /// What came of it, in ascending order; none when it did not come to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Vec<Pid>>,
    /// Those on the list who got nothing, since their sessions had ended; in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Pid>,
    /// None forwards the event's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Data>,
}

/// A set as a rule says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// All subscribers of the event's topic.
    Subscribers,
    /// Those of the list, one by one.
    Pids,
    /// An expression in postfix order.
    Expr(Vec<Op>),
}

/// A step of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// These.
    Pids(Vec<Pid>),
    /// The members of a group: scope, group.
    Members(String, Term),
    /// The subscribers of a topic.
    Subscribers(String),
    /// Both.
    Union,
    /// What is in both.
    Intersection,
    /// The lower one less the topmost.
    Subtract,
}

/// How a rule failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// In one word.
    pub kind: String,
    /// In words for whoever caused the event.
    pub words: String,
}
