//! Why a session got what a rule delivers, or why not.

use super::answer::{Delivery, Op, To};
use super::read::Recorded;
use crate::pid::Pid;

/// Whether it is in a set, and the words for that.
struct Part {
    is_in: bool,
    why: String,
}

impl Recorded {
    /// Why a session got a delivery, or why not, as what follows "because it". The second is false when it did not.
    pub fn why(&self, delivery: &Delivery, pid: Pid) -> (String, bool) {
        let is_listed = delivery.list.as_ref().is_some_and(|list| list.contains(&pid));
        let part = match &delivery.to {
            To::Subscribers => self.subscribed(self.line.topic.as_str(), pid),
            To::Pids => named(is_listed),
            To::Expr(ops) => self.evaluate(ops, pid),
        };
        if let Some(why) = &self.line.unrouted {
            let but = if part.is_in { format!(", but nothing came of it: {why}") } else { String::new() };
            return (part.why + &but, false);
        }
        // The set was changed by somebody else between two looks.
        let why = if part.is_in == is_listed { part.why } else { format!("{}, a moment later", part.why) };
        if is_listed && delivery.ended.contains(&pid) {
            return (format!("{why}, but its session had ended"), false);
        }
        (why, is_listed)
    }

    fn subscribed(&self, topic: &str, pid: Pid) -> Part {
        let is_in = self.subscribers.get(topic).is_some_and(|pids| pids.contains(&pid));
        Part { is_in, why: format!("{} subscribed to {topic}", verb(is_in)) }
    }

    fn member(&self, scope: &str, group: &super::Term, pid: Pid) -> Part {
        let touch = self.line.met.groups.iter().find(|touch| touch.scope == scope && touch.group == *group);
        let is_in = touch.is_some_and(|touch| touch.members().contains(&pid));
        Part { is_in, why: format!("{} in the group {} of {scope}", verb(is_in), group.words()) }
    }

    fn evaluate(&self, ops: &[Op], pid: Pid) -> Part {
        let mut stack = Vec::new();
        for op in ops {
            let part = match op {
                Op::Pids(pids) => named(pids.contains(&pid)),
                Op::Members(scope, group) => self.member(scope, group, pid),
                Op::Subscribers(topic) => self.subscribed(topic, pid),
                Op::Union | Op::Intersection | Op::Subtract => {
                    let (Some(top), Some(lower)) = (stack.pop(), stack.pop()) else { break };
                    combine(op, lower, top)
                }
            };
            stack.push(part);
        }
        stack.pop().unwrap_or(Part { is_in: false, why: "is in no set that the rule named".into() })
    }
}

fn named(is_in: bool) -> Part {
    Part { is_in, why: format!("{} named by the rule", verb(is_in)) }
}

fn verb(is_in: bool) -> &'static str {
    if is_in { "is" } else { "is not" }
}

/// Only what decided it is told.
fn combine(op: &Op, lower: Part, top: Part) -> Part {
    let both = |word: &str| format!("{} {word} {}", lower.why, top.why);
    match op {
        Op::Union => Part {
            is_in: lower.is_in || top.is_in,
            why: match (lower.is_in, top.is_in) {
                (true, false) => lower.why,
                (false, true) => top.why,
                _ => both("and"),
            },
        },
        Op::Intersection => Part {
            is_in: lower.is_in && top.is_in,
            why: match (lower.is_in, top.is_in) {
                (true, false) => top.why,
                (false, true) => lower.why,
                _ => both("and"),
            },
        },
        _ => Part {
            is_in: lower.is_in && !top.is_in,
            why: match (lower.is_in, top.is_in) {
                (true, false) => both("and"),
                (true, true) => both("but"),
                (false, _) => lower.why,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::trace::Trace;

    /// Whether `<0.1.1>` got it, and why: of a topic with `<0.1.1>` and `<0.2.1>`, and a group with `<0.2.1>`. `more` is said
    /// of the delivery, `of_event` of the event.
    fn why(to: &str, more: &str, of_event: &str) -> (String, bool) {
        let header = r#"{"trace":1,"volley":"0","node":0,"plugin":"p","began_ms":1,"sample":1.0,"redacted":[],"faithful":true,"limits":{}}"#;
        let version = r#"{"version":1,"sha256":"sha256:00","config":null}"#;
        let event = format!(
            r#"{{"event":"1","time_ms":1,"topic":"a.b","kind":"publish","by":1,"generation":1,"subscribers":{{"a.b":["<0.1.1>","<0.2.1>"]}},"met":{{"groups":[{{"scope":"s","group":"g","named":true,"before":["<0.2.1>"]}}]}},"answer":{{"routed":{{"deliveries":[{{"to":{to}{more}}}]}}}}{of_event}}}"#
        );
        let trace = Trace::parse(format!("{header}\n{version}\n{event}\n").as_bytes()).unwrap();
        let recorded = &trace.events[0];
        let delivery = recorded.line.deliveries().next().unwrap();
        recorded.why(delivery, "<0.1.1>".parse().unwrap())
    }

    #[test]
    fn what_decided_it_is_told_and_nothing_else() {
        let (ann, all, group) = ("\"<0.1.1>\"", r#"{"subscribers":"a.b"}"#, r#"{"members":["s","g"]}"#);
        let expr = |steps: &[&str]| format!(r#"{{"expr":[{}]}}"#, steps.join(","));
        let named = r#"{"pids":["<0.1.1>"]}"#;
        for (to, is_listed, words) in [
            ("\"subscribers\"".to_owned(), true, "is subscribed to a.b"),
            ("\"pids\"".into(), true, "is named by the rule"),
            ("\"pids\"".into(), false, "is not named by the rule"),
            (expr(&[group]), false, "is not in the group \"g\" of s"),
            (expr(&[all, group, "\"union\""]), true, "is subscribed to a.b"),
            (expr(&[all, named, "\"union\""]), true, "is subscribed to a.b and is named by the rule"),
            (expr(&[all, group, "\"intersection\""]), false, "is not in the group \"g\" of s"),
            (expr(&[all, group, "\"subtract\""]), true, "is subscribed to a.b and is not in the group \"g\" of s"),
            (expr(&[all, named, "\"subtract\""]), false, "is subscribed to a.b but is named by the rule"),
            (expr(&[group, all, "\"subtract\""]), false, "is not in the group \"g\" of s"),
            (expr(&["\"union\""]), false, "is in no set that the rule named"),
            // The lists were resolved a moment before the trace looked.
            ("\"subscribers\"".into(), false, "is subscribed to a.b, a moment later"),
        ] {
            let list = format!(r#","list":[{}]"#, if is_listed { ann } else { "" });
            assert_eq!(why(&to, &list, ""), (words.to_owned(), is_listed), "{to}");
        }
    }

    #[test]
    fn who_is_on_a_list_has_not_always_got_it() {
        let ended = r#","list":["<0.1.1>"],"ended":["<0.1.1>"]"#;
        let (words, got) = why("\"pids\"", ended, "");
        assert_eq!((&*words, got), ("is named by the rule, but its session had ended", false));
        let unrouted = r#","unrouted":"the session had ended""#;
        for (to, list) in [("\"subscribers\"", ""), ("\"pids\"", r#","list":["<0.1.1>"]"#)] {
            let (words, got) = why(to, list, unrouted);
            assert!(words.ends_with(", but nothing came of it: the session had ended") && !got, "{words}");
        }
        let (words, got) = why("\"pids\"", r#","list":[]"#, unrouted);
        assert_eq!((&*words, got), ("is not named by the rule", false));
    }
}
