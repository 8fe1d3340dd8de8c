//! What a rule decided about one event.

use crate::event::Payload;

/// The complete answer of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In the order in which each recipient receives them.
    pub deliveries: Vec<Delivery>,
    /// PIDs whose subscription to the event's topic ends.
    pub remove: Vec<u64>,
}

/// One message and who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who.
    pub to: Recipients,
    /// What; none forwards the event's own data.
    pub message: Option<Payload>,
}

/// The complete list, said in one of several ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// All subscribers of the event's topic.
    Subscribers,
    /// These.
    Pids(Vec<u64>),
    /// A set expression in postfix order.
    Expression(Vec<SetOp>),
}

/// A step of a set expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetOp {
    /// These.
    Pids(Vec<u64>),
    /// The members of a group of the plugin.
    Members {
        /// The scope's name.
        scope: String,
        /// The group's name.
        group: Vec<u8>,
    },
    /// The subscribers of a topic.
    Subscribers(String),
    /// Both.
    Union,
    /// What is in both.
    Intersection,
    /// The lower one less the topmost.
    Subtract,
}

/// A rule says no to a publish or a join, in words for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not allowed.
    Refused(String),
    /// Not understood.
    Invalid(String),
}
