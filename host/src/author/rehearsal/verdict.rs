//! What is to be said of a script that was played: which steps came out as expected.

use super::script::{Expected, Script, Step};
use super::stage::{Outcome, Refused};
use super::wanted::{Came, Line, Wanted, diff};

/// Of a whole file.
pub(super) struct Verdict<'a> {
    pub(super) script: &'a Script,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) failures: Vec<Failure<'a>>,
    /// Refusals that nobody expected, of steps that are not looked at.
    pub(super) notes: Vec<String>,
    pub(super) measured: Measured,
}

/// What it took.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// In the rule, an event each; ascending.
    pub(super) route_ns: Vec<u64>,
    pub(super) memory_bytes: u64,
}

/// A step that did not come out as it should.
pub(super) struct Failure<'a> {
    pub(super) step: &'a Step,
    /// Its place among the steps.
    pub(super) at: usize,
    pub(super) differences: Vec<Difference>,
    /// What the rule logged meanwhile.
    pub(super) log: Vec<String>,
    /// Whether `--accept` can make it the expectation.
    pub(super) is_acceptable: bool,
}

/// In what.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// In words.
    Words(String),
    /// In what a session received: lines with `=`, `-` and `+` before them.
    Messages { of: String, lines: Vec<(char, String)> },
}

impl<'a> Verdict<'a> {
    pub(super) fn of(script: &'a Script, outcomes: Vec<Outcome>, measured: Measured) -> Self {
        let (mut failures, mut notes) = (Vec::new(), Vec::new());
        for (at, (step, outcome)) in script.steps.iter().zip(&outcomes).enumerate() {
            let mut differences: Vec<_> = outcome.trouble.iter().cloned().map(Difference::Words).collect();
            let is_acceptable = differences.is_empty();
            // Whatever failed has delivered nothing.
            if is_acceptable {
                differences = compare(&step.expected, outcome);
            }
            if !differences.is_empty() {
                failures.push(Failure { step, at, differences, log: outcome.log.clone(), is_acceptable });
            } else if let (Expected::Anything, Some(refused)) = (&step.expected, &outcome.refused) {
                notes.push(format!("line {} was {}, which nobody had expected", step.line, in_words(refused)));
            }
        }
        Self { script, outcomes, failures, notes, measured }
    }

    pub(super) fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

pub(super) fn in_words(refused: &Refused) -> String {
    match refused {
        Refused::Refused(words) => format!("refused: {words}"),
        Refused::Invalid(words) => format!("called invalid: {words}"),
    }
}

fn compare(expected: &Expected, outcome: &Outcome) -> Vec<Difference> {
    let refusal = |name: &str, words: &str, found: Option<&str>| match (&outcome.refused, found) {
        (_, Some(found)) if found.contains(words) => Vec::new(),
        (Some(refused), _) => {
            vec![Difference::Words(format!("expected {name:?} with {words:?}, but it was {}", in_words(refused)))]
        }
        (None, _) => {
            let accepted = format!("expected {name:?} with {words:?}, but it was accepted");
            let came = outcome.came.iter().map(|(name, came)| messages(name, &[], came));
            [Difference::Words(accepted)].into_iter().chain(came).collect()
        }
    };
    match (expected, &outcome.refused) {
        (Expected::Anything, _) => Vec::new(),
        (Expected::Refused(words), Some(Refused::Refused(found))) => refusal("refused", words, Some(found)),
        (Expected::Refused(words), _) => refusal("refused", words, None),
        (Expected::Invalid(words), Some(Refused::Invalid(found))) => refusal("invalid", words, Some(found)),
        (Expected::Invalid(words), _) => refusal("invalid", words, None),
        (Expected::Messages { .. }, Some(refused)) => {
            vec![Difference::Words(format!("it was {}", in_words(refused)))]
        }
        (Expected::Messages { of, others }, None) => {
            let expected = of.iter().map(|(name, wanted)| {
                let came = outcome.came.iter().find(|(other, _)| other == name).map_or(&[][..], |(_, came)| came);
                (name, wanted.as_slice(), came)
            });
            let is_named = |name: &String| of.iter().any(|(named, _)| named == name);
            let surplus = outcome.came.iter().filter(|(name, _)| !others && !is_named(name));
            let all = expected.chain(surplus.map(|(name, came)| (name, &[][..], came.as_slice())));
            all.filter(|(_, wanted, came)| !fits(wanted, came))
                .map(|(name, wanted, came)| messages(name, wanted, came))
                .collect()
        }
        (Expected::Value(wanted), _) => {
            let is_there = wanted.as_ref().map_or(outcome.values.is_empty(), |wanted| outcome.values.contains(wanted));
            if is_there {
                return Vec::new();
            }
            let said = |value: &String| serde_json::Value::from(value.as_str()).to_string();
            let found = outcome.values.iter().map(said).collect::<Vec<_>>().join(" and ");
            let found = if found.is_empty() { "nothing".into() } else { found };
            let wanted = wanted.as_ref().map_or_else(|| "nothing".into(), said);
            vec![Difference::Words(format!("expected {wanted} there, found {found}"))]
        }
    }
}

fn fits(wanted: &[Wanted], came: &[Came]) -> bool {
    wanted.len() == came.len() && wanted.iter().zip(came).all(|(wanted, came)| wanted.differs(came).is_none())
}

/// The difference, and where one message stands in another's place, what of it differs.
fn messages(name: &str, wanted: &[Wanted], came: &[Came]) -> Difference {
    let diff = diff(wanted, came);
    let mut lines = Vec::new();
    for (at, line) in diff.iter().enumerate() {
        lines.push(match line {
            Line::Same(came) => ('=', came.said()),
            Line::Missing(wanted) => ('-', wanted.said()),
            Line::Surplus(came) => ('+', came.said()),
        });
        if let (Line::Surplus(came), Some(Line::Missing(wanted))) =
            (line, at.checked_sub(1).and_then(|at| diff.get(at)))
            && let Some(words) = wanted.differs(came)
        {
            lines.push(('?', words));
        }
    }
    Difference::Messages { of: name.into(), lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn came(data: &Value) -> Came {
        Came::new(data.to_string(), false)
    }

    fn outcome(came_to: &[(&str, &[Value])]) -> Outcome {
        let all = came_to.iter().map(|(name, all)| ((*name).to_owned(), all.iter().map(came).collect()));
        Outcome { came: all.collect(), ..Outcome::default() }
    }

    fn expect(of: &[(&str, &[Value])], others: bool) -> Expected {
        let wanted = |all: &[Value]| all.iter().map(|value| Wanted::read(&value.to_string()).unwrap()).collect();
        Expected::Messages { of: of.iter().map(|(name, all)| ((*name).to_owned(), wanted(all))).collect(), others }
    }

    #[test]
    fn who_is_not_named_receives_nothing_unless_others_may() {
        let (one, two) = (json!({"n": 1}), json!({"n": 2}));
        let only_one = std::slice::from_ref(&one);
        let both = outcome(&[("ann", only_one), ("bob", &[one.clone(), two.clone()])]);
        assert_eq!(compare(&expect(&[("ann", only_one)], true), &both), []);
        assert_eq!(compare(&Expected::Anything, &both), []);
        let difference = compare(&expect(&[("ann", &[two]), ("carl", &[])], false), &both);
        let lines = |lines: &[(char, &str)]| lines.iter().map(|(sign, text)| (*sign, (*text).to_owned())).collect();
        let expected = [
            Difference::Messages {
                of: "ann".into(),
                lines: lines(&[('-', "{\"n\":2}"), ('+', "{\"n\":1}"), ('?', ".n: expected 2, came 1")]),
            },
            Difference::Messages { of: "bob".into(), lines: lines(&[('+', "{\"n\":1}"), ('+', "{\"n\":2}")]) },
        ];
        assert_eq!(difference, expected);
    }

    #[test]
    fn refusals_are_known_by_some_of_their_words() {
        let refused = |refused| Outcome { refused: Some(refused), ..Outcome::default() };
        let said = |differences: &[Difference]| match differences {
            [] => String::new(),
            [Difference::Words(words), ..] => words.clone(),
            [other, ..] => format!("{other:?}"),
        };
        let no = refused(Refused::Refused("you are muted".into()));
        assert_eq!(compare(&Expected::Refused("muted".into()), &no), []);
        let other = said(&compare(&Expected::Refused("banned".into()), &no));
        assert_eq!(other, "expected \"refused\" with \"banned\", but it was refused: you are muted");
        let invalid = said(&compare(&Expected::Invalid("muted".into()), &no));
        assert_eq!(invalid, "expected \"invalid\" with \"muted\", but it was refused: you are muted");
        assert_eq!(said(&compare(&expect(&[], true), &no)), "it was refused: you are muted");
        let accepted = compare(&Expected::Refused("muted".into()), &outcome(&[("ann", &[json!(1)])]));
        assert_eq!(accepted.len(), 2);
        assert!(said(&accepted).ends_with("but it was accepted"));
    }

    #[test]
    fn a_value_is_there_or_not() {
        let there = Outcome { values: vec!["1".into(), "2".into()], ..Outcome::default() };
        assert_eq!(compare(&Expected::Value(Some("2".into())), &there), []);
        let words = compare(&Expected::Value(None), &there);
        assert_eq!(words, [Difference::Words("expected nothing there, found \"1\" and \"2\"".into())]);
        let words = compare(&Expected::Value(Some("3".into())), &Outcome::default());
        assert_eq!(words, [Difference::Words("expected \"3\" there, found nothing".into())]);
    }
}
