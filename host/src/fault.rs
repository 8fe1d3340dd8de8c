//! A fault: a rule failed on one event, or at its start. In words for whoever caused the event; with the functions that
//! the rule was in for operators; and of a kind, so that faults can be counted.

use std::fmt;

/// How a rule failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It panicked.
    Panic,
    /// It did what Wasm forbids: divided by zero, left its memory, overflowed its stack, used a handle it does not have.
    Trap,
    /// It took longer than it may.
    Deadline,
    /// It wanted more memory than it may have.
    Memory,
    /// It answered what is no answer, or more of it than it may.
    Answer,
    /// It did not start.
    Init,
    /// The host failed, not the rule.
    Host,
}

impl FaultKind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Panic, Self::Trap, Self::Deadline, Self::Memory, Self::Answer, Self::Init, Self::Host];

    /// In one word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Answer => "answer",
            Self::Init => "init",
            Self::Host => "host",
        }
    }
}

/// A rule failed. It is displayed in words for whoever caused the event: never with a stack.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: FaultKind,
    is_answer: bool,
    words: String,
    stack: Vec<String>,
}

impl Fault {
    /// In words.
    pub fn new(kind: FaultKind, words: impl Into<String>) -> Self {
        Self { kind, is_answer: false, words: words.into(), stack: Vec::new() }
    }

    /// What a call before events has answered itself, such as `init` of a config that it does not take.
    pub fn answered(words: impl Into<String>) -> Self {
        Self { is_answer: true, ..Self::new(FaultKind::Init, words) }
    }

    /// With the functions that the rule was in, the innermost first.
    #[must_use]
    pub fn with_stack(self, stack: Vec<String>) -> Self {
        Self { stack, ..self }
    }

    /// The same, of a call that comes before events: `init`, or `upgrade`.
    #[must_use]
    pub fn of_start(self, call: &str) -> Self {
        Self { kind: FaultKind::Init, ..self.within(&format!("{call} failed")) }
    }

    /// The same, with what was going on before the words.
    #[must_use]
    pub fn within(self, what: &str) -> Self {
        Self { words: format!("{what}: {}", self.words), ..self }
    }

    /// Of which kind.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether the rule itself has answered so, and not failed.
    pub fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// The functions that the rule was in, the innermost first; none when that is not known.
    pub fn stack(&self) -> &[String] {
        &self.stack
    }

    /// For operators: the words, and where the rule was.
    pub fn report(&self) -> String {
        match &self.stack[..] {
            [] => self.words.clone(),
            stack => format!("{} [in {}]", self.words, stack.join(", called by ")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_number_and_a_label_of_its_own() {
        for (at, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            assert_eq!(FaultKind::ALL.iter().filter(|other| other.label() == kind.label()).count(), 1);
        }
    }

    #[test]
    fn the_stack_is_for_operators_only() {
        let stack = vec!["rule::inner".to_owned(), "rule::outer".to_owned()];
        let fault = Fault::new(FaultKind::Panic, "panicked: no").with_stack(stack).of_start("init");
        assert_eq!(fault.to_string(), "init failed: panicked: no");
        assert_eq!(fault.report(), "init failed: panicked: no [in rule::inner, called by rule::outer]");
        assert_eq!(fault.kind(), FaultKind::Init);
    }
}
