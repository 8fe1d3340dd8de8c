//! From what a rule said to the complete list of PIDs: each once, in no particular order.

use crate::caller::Caller;
use crate::groups::Groups;
use crate::limits::Limits;
use crate::outcome::{Delivery, Recipients, SetOp};
use crate::payload::Payload;
use crate::protocol::payload;
use crate::subscriptions::Subscriptions;
use crate::topic::Topic;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Resolves the lists of one event, within the bounds of one event.
pub struct Resolver<'a> {
    plugin: &'a Arc<str>,
    topic: &'a Topic,
    subscriptions: &'a Subscriptions,
    groups: &'a Groups,
    ops_max: u64,
    /// PIDs that may still be touched.
    pids_left: u64,
    /// Where what was looked up is wanted.
    operands: Option<&'a mut Operands>,
}

/// What sets were made of, as it was looked up.
#[derive(Default)]
pub struct Operands {
    subscribers: BTreeMap<String, Vec<u64>>,
    groups: BTreeMap<(String, Vec<u8>), Vec<u64>>,
}

impl Operands {
    /// Who was subscribed to a topic, if anything was made of that.
    pub fn subscribers(&self, topic: &str) -> Option<&[u64]> {
        self.subscribers.get(topic).map(Vec::as_slice)
    }

    /// Who was in a group, if anything was made of that.
    pub fn members(&self, scope: &str, group: &[u8]) -> Option<&[u64]> {
        self.groups.get(&(scope.to_owned(), group.to_owned())).map(Vec::as_slice)
    }
}

/// Why there is no list, in words for the plugin's author.
pub type BadList = String;

impl<'a> Resolver<'a> {
    /// For an event of the topic, routed by the plugin.
    pub fn new(
        plugin: &'a Arc<str>,
        topic: &'a Topic,
        subscriptions: &'a Subscriptions,
        groups: &'a Groups,
        limits: &Limits,
    ) -> Self {
        let (ops_max, pids_left) = (limits.expression_ops_max, limits.recipients_max);
        Self { plugin, topic, subscriptions, groups, ops_max, pids_left, operands: None }
    }

    /// What it looks up is wanted there. Of what is looked up twice, the first time.
    #[must_use]
    pub fn noting(self, operands: Option<&'a mut Operands>) -> Self {
        Self { operands, ..self }
    }

    /// The list.
    pub fn resolve(&mut self, recipients: Recipients) -> Result<Vec<u64>, BadList> {
        match recipients {
            Recipients::Subscribers => {
                let mut list = Vec::new();
                self.subscriptions.copy_into(self.topic.as_str(), &mut list);
                self.note_subscribers(self.topic.as_str(), &list);
                self.touch(list)
            }
            Recipients::Pids(list) => self.touch(list).map(as_set),
            Recipients::Expression(ops) => self.evaluate(ops),
        }
    }

    /// All lists of an answer, each with its message. A rule's payload is held to what a client's is.
    pub fn resolve_all<T>(
        mut self,
        deliveries: Vec<Delivery>,
        limits: &Limits,
        mut message: impl FnMut(Option<Payload>) -> T,
    ) -> Result<Vec<(Vec<u64>, T)>, BadList> {
        if deliveries.len() as u64 > limits.deliveries_max {
            return Err("the rule returned more than deliveries_max deliveries".into());
        }
        let mut bytes_left = limits.outcome_bytes_max;
        let mut resolved = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let list = self.resolve(delivery.to)?;
            let data = match delivery.message {
                None => None,
                Some(data) => {
                    bytes_left = bytes_left
                        .checked_sub(data.len() as u64)
                        .ok_or("the rule returned payloads of more than outcome_bytes_max bytes")?;
                    Some(checked(data)?)
                }
            };
            resolved.push((list, message(data)));
        }
        Ok(resolved)
    }

    fn evaluate(&mut self, ops: Vec<SetOp>) -> Result<Vec<u64>, BadList> {
        if ops.len() as u64 > self.ops_max {
            return Err(format!("a recipient expression has at most {} operations (expression_ops_max)", self.ops_max));
        }
        let mut stack: Vec<Vec<u64>> = Vec::new();
        for op in ops {
            let set = match op {
                SetOp::Union | SetOp::Intersection | SetOp::Subtract => {
                    let (Some(top), Some(lower)) = (stack.pop(), stack.pop()) else {
                        return Err("a recipient expression has an operation without two sets before it".into());
                    };
                    self.touch_count(top.len() + lower.len())?;
                    combine(&op, &lower, &top)
                }
                operand => self.operand(operand)?,
            };
            stack.push(set);
        }
        match (stack.pop(), stack.pop()) {
            (Some(list), None) => Ok(list),
            (None, _) => Err("a recipient expression is empty".into()),
            (Some(_), Some(_)) => Err("a recipient expression leaves more than one set".into()),
        }
    }

    fn operand(&mut self, op: SetOp) -> Result<Vec<u64>, BadList> {
        let mut list = Vec::new();
        match op {
            SetOp::Pids(pids) => list = pids,
            SetOp::Subscribers(topic) => {
                self.subscriptions.copy_into(&topic, &mut list);
                self.note_subscribers(&topic, &list);
            }
            SetOp::Members { scope, group } => match self.groups.open(&Caller::of(self.plugin.clone()), &scope) {
                Ok(members) => {
                    members.copy_into(&group, &mut list);
                    if let Some(operands) = &mut self.operands {
                        operands.groups.entry((scope, group)).or_insert_with(|| list.clone());
                    }
                }
                Err(denied) => return Err(format!("the scope {scope:?} of a recipient expression: {denied}")),
            },
            SetOp::Union | SetOp::Intersection | SetOp::Subtract => {}
        }
        self.touch(list).map(as_set)
    }

    fn note_subscribers(&mut self, topic: &str, list: &[u64]) {
        if let Some(operands) = &mut self.operands {
            operands.subscribers.entry(topic.to_owned()).or_insert_with(|| list.to_vec());
        }
    }

    fn touch(&mut self, list: Vec<u64>) -> Result<Vec<u64>, BadList> {
        self.touch_count(list.len()).map(|()| list)
    }

    fn touch_count(&mut self, count: usize) -> Result<(), BadList> {
        match self.pids_left.checked_sub(count as u64) {
            Some(left) => {
                self.pids_left = left;
                Ok(())
            }
            None => Err("the event's recipients are more than recipients_max".into()),
        }
    }
}

fn checked(data: Payload) -> Result<Payload, String> {
    match data {
        Payload::Json(json) => payload::json(json).map_err(|words| format!("in a delivery of the rule {words}")),
        Payload::Text(_) | Payload::Binary(_) => Ok(data),
    }
}

/// In ascending order, each once.
fn as_set(mut list: Vec<u64>) -> Vec<u64> {
    if !list.is_sorted_by(|a, b| a < b) {
        list.sort_unstable();
        list.dedup();
    }
    list
}

/// Walks two ascending lists side by side.
fn combine(op: &SetOp, lower: &[u64], top: &[u64]) -> Vec<u64> {
    let (keeps_lower, keeps_both, keeps_top) = match op {
        SetOp::Union => (true, true, true),
        SetOp::Intersection => (false, true, false),
        _ => (true, false, false),
    };
    let mut out = Vec::with_capacity(if keeps_lower { lower.len() } else { lower.len().min(top.len()) });
    let (mut i, mut j) = (0, 0);
    while i < lower.len() && j < top.len() {
        let (keep, pid) = match lower[i].cmp(&top[j]) {
            Ordering::Less => (keeps_lower, lower[i]),
            Ordering::Equal => (keeps_both, lower[i]),
            Ordering::Greater => (keeps_top, top[j]),
        };
        i += usize::from(pid == lower[i]);
        j += usize::from(pid == top[j]);
        if keep {
            out.push(pid);
        }
    }
    if keeps_lower {
        out.extend_from_slice(&lower[i..]);
    }
    if keeps_top {
        out.extend_from_slice(&top[j..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::Sessions;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn resolve(recipients: Recipients) -> Result<Vec<u64>, BadList> {
        let limits = Arc::new(Limits { recipients_max: 1000, expression_ops_max: 32, ..Limits::default() });
        let groups = Groups::new(limits.clone(), Arc::new(Sessions::new(0, limits.clone())), Arc::default());
        let subscriptions = Subscriptions::new();
        let (plugin, topic) = ("plugin".into(), "topic".parse().unwrap());
        Resolver::new(&plugin, &topic, &subscriptions, &groups, &limits).resolve(recipients)
    }

    /// An expression as a tree, and what it means.
    #[derive(Clone, Debug)]
    enum Tree {
        Pids(Vec<u64>),
        Op(u8, Box<Tree>, Box<Tree>),
    }

    impl Tree {
        fn postfix(&self, out: &mut Vec<SetOp>) {
            match self {
                Self::Pids(pids) => out.push(SetOp::Pids(pids.clone())),
                Self::Op(op, left, right) => {
                    left.postfix(out);
                    right.postfix(out);
                    out.push(
                        [SetOp::Union, SetOp::Intersection, SetOp::Subtract].into_iter().nth((*op).into()).unwrap(),
                    );
                }
            }
        }

        fn meaning(&self) -> BTreeSet<u64> {
            match self {
                Self::Pids(pids) => pids.iter().copied().collect(),
                Self::Op(op, left, right) => {
                    let (left, right) = (left.meaning(), right.meaning());
                    match op {
                        0 => &left | &right,
                        1 => &left & &right,
                        _ => &left - &right,
                    }
                }
            }
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop::collection::vec(0..12u64, 0..6).prop_map(Tree::Pids);
        leaf.prop_recursive(4, 16, 2, |inner| {
            (0..3u8, inner.clone(), inner).prop_map(|(op, left, right)| Tree::Op(op, left.into(), right.into()))
        })
    }

    proptest! {
        #[test]
        fn an_expression_means_what_its_tree_means(tree in tree()) {
            let mut ops = Vec::new();
            tree.postfix(&mut ops);
            let expected: Vec<u64> = tree.meaning().into_iter().collect();
            prop_assert_eq!(resolve(Recipients::Expression(ops)), Ok(expected));
        }
    }

    #[test]
    fn a_list_is_a_set() {
        assert_eq!(resolve(Recipients::Pids(vec![3, 1, 3, 2, 1])), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn what_is_no_expression() {
        for ops in [vec![], vec![SetOp::Union], vec![SetOp::Pids(vec![]), SetOp::Pids(vec![])]] {
            assert!(resolve(Recipients::Expression(ops)).is_err());
        }
        let endless = (0..33).map(|_| SetOp::Pids(vec![])).collect();
        assert!(resolve(Recipients::Expression(endless)).unwrap_err().contains("expression_ops_max"));
        let touched_twice = vec![SetOp::Pids((0..501).collect()), SetOp::Pids((0..501).collect())];
        assert!(resolve(Recipients::Expression(touched_twice)).unwrap_err().contains("recipients_max"));
    }
}
