//! Sets of sessions, and the expressions over them that the host evaluates.

use std::ops::{BitAnd, BitOr, Sub};

use crate::Pid;
use crate::bindings::volley::router::types as wit;

/// A set of sessions: a session named twice receives once, a dead one is skipped.
///
/// Sets come from [`subscribers`], [`subscribers_of`], [`Scope::members`](crate::Scope::members) and from PIDs, and are
/// combined with `-` (less), `|` (or) and `&` (and). Nothing is looked up while the rule runs: the host evaluates the
/// expression when `route` has returned, so a set of a million sessions costs a rule no more than one of ten.
///
/// ```
/// # use volley_plugin::{Pid, Recipients, Scope, subscribers};
/// # fn example(mutes: &Scope, admin: Pid) -> Recipients {
/// (subscribers() - mutes.members("deaf")) | admin
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recipients(Set);

#[derive(Clone, Debug)]
enum Set {
    Subscribers,
    Pids(Vec<Pid>),
    /// Postfix. An empty topic stands for the event's own, which is filled in when the outcome goes to the host.
    Expr(Vec<wit::SetOp>),
}

/// All sessions subscribed to the event's own topic.
pub fn subscribers() -> Recipients {
    Recipients(Set::Subscribers)
}

/// All sessions subscribed to another topic.
pub fn subscribers_of(topic: impl Into<String>) -> Recipients {
    Recipients(Set::Expr(vec![wit::SetOp::Subscribers(topic.into())]))
}

impl Recipients {
    /// Steps that need not make sense, to try what the host does with them.
    #[doc(hidden)]
    pub fn from_postfix(steps: Vec<wit::SetOp>) -> Self {
        Self(Set::Expr(steps))
    }

    pub(crate) fn members(scope: &str, group: Vec<u8>) -> Self {
        Self(Set::Expr(vec![wit::SetOp::Members((scope.to_owned(), group))]))
    }

    fn combine(self, other: Self, operation: wit::SetOp) -> Self {
        let mut steps = self.into_steps();
        steps.extend(other.into_steps());
        steps.push(operation);
        Self(Set::Expr(steps))
    }

    fn into_steps(self) -> Vec<wit::SetOp> {
        match self.0 {
            Set::Subscribers => vec![wit::SetOp::Subscribers(String::new())],
            Set::Pids(pids) => vec![wit::SetOp::Pids(crate::pid::to_bits(pids))],
            Set::Expr(steps) => steps,
        }
    }

    /// As the host takes it. `topic` is the event's own.
    pub(crate) fn into_wit(self, topic: &str) -> wit::Recipients {
        match self.0 {
            Set::Subscribers => wit::Recipients::Subscribers,
            Set::Pids(pids) => wit::Recipients::Pids(crate::pid::to_bits(pids)),
            Set::Expr(mut steps) => {
                for step in &mut steps {
                    if let wit::SetOp::Subscribers(own) = step
                        && own.is_empty()
                    {
                        topic.clone_into(own);
                    }
                }
                wit::Recipients::Expr(steps)
            }
        }
    }
}

impl From<Vec<Pid>> for Recipients {
    fn from(pids: Vec<Pid>) -> Self {
        Self(Set::Pids(pids))
    }
}

impl From<Pid> for Recipients {
    fn from(pid: Pid) -> Self {
        Self(Set::Pids(vec![pid]))
    }
}

/// No session, when there is none: `subscribers() - event.sender` is right for back-ends too.
impl From<Option<Pid>> for Recipients {
    fn from(pid: Option<Pid>) -> Self {
        Self(Set::Pids(pid.into_iter().collect()))
    }
}

/// Those of the left set that are not in the right one.
impl<R: Into<Recipients>> Sub<R> for Recipients {
    type Output = Self;

    fn sub(self, other: R) -> Self {
        self.combine(other.into(), wit::SetOp::Subtract)
    }
}

/// Those in either set.
impl<R: Into<Recipients>> BitOr<R> for Recipients {
    type Output = Self;

    fn bitor(self, other: R) -> Self {
        self.combine(other.into(), wit::SetOp::Union)
    }
}

/// Those in both sets.
impl<R: Into<Recipients>> BitAnd<R> for Recipients {
    type Output = Self;

    fn bitand(self, other: R) -> Self {
        self.combine(other.into(), wit::SetOp::Intersection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_become_postfix_steps() {
        let one = Pid::from_bits(1);
        let set = (subscribers() - Recipients::members("mutes", b"all".to_vec())) | (subscribers_of("ops") & one);
        let wit::Recipients::Expr(steps) = set.into_wit("chat.lobby") else { panic!("an expression") };
        let expected = "[SetOp::Subscribers(\"chat.lobby\"), SetOp::Members((\"mutes\", [97, 108, 108])), \
                        SetOp::Subtract, SetOp::Subscribers(\"ops\"), SetOp::Pids([1]), SetOp::Intersection, \
                        SetOp::Union]";
        assert_eq!(format!("{steps:?}"), expected);
    }

    #[test]
    fn plain_sets_stay_plain() {
        assert!(matches!(subscribers().into_wit("t"), wit::Recipients::Subscribers));
        assert!(matches!(Recipients::from(None).into_wit("t"), wit::Recipients::Pids(pids) if pids.is_empty()));
    }
}
