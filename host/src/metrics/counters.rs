//! Counters that are told apart by a label whose values are known beforehand.

use super::Labels;
use crate::fault::FaultKind;
use crate::histogram::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::marker::PhantomData;

/// A label and its values.
pub trait Label: Copy + PartialEq + 'static {
    /// The label.
    const NAME: &'static str;
    /// Its values.
    const ALL: &'static [Self];

    /// One of them, as it is shown.
    fn label(self) -> &'static str;
}

/// A counter for each value of a label: all are shown from the start, so that nobody has to guess what can come.
pub struct Counters<L>(Box<[Counter]>, PhantomData<L>);

impl<L: Label> Counters<L> {
    /// That of one value.
    pub fn of(&self, value: L) -> &Counter {
        let at = L::ALL.iter().position(|of| *of == value);
        &self.0[at.expect("all are in the list")]
    }

    /// The sum of them.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

/// What a plugin has of one family.
pub(super) trait Each {
    /// A member of the family.
    type One;

    fn member_of(labels: &Labels, member: &dyn Fn(&Labels) -> Self::One) -> Self;
}

impl Each for Counter {
    type One = Self;

    fn member_of(labels: &Labels, member: &dyn Fn(&Labels) -> Self) -> Self {
        member(labels)
    }
}

impl Each for Gauge {
    type One = Self;

    fn member_of(labels: &Labels, member: &dyn Fn(&Labels) -> Self) -> Self {
        member(labels)
    }
}

impl Each for Histogram {
    type One = Self;

    fn member_of(labels: &Labels, member: &dyn Fn(&Labels) -> Self) -> Self {
        member(labels)
    }
}

impl<L: Label> Each for Counters<L> {
    type One = Counter;

    fn member_of(labels: &Labels, member: &dyn Fn(&Labels) -> Counter) -> Self {
        let with = |value: &L| [&labels[..], &[(L::NAME, value.label().to_owned())]].concat();
        Self(L::ALL.iter().map(|value| member(&with(value))).collect(), PhantomData)
    }
}

impl Label for FaultKind {
    const NAME: &'static str = "kind";
    const ALL: &'static [Self] = &Self::ALL;

    fn label(self) -> &'static str {
        self.label()
    }
}

/// What made a plugin return to its previous version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolledBackBy {
    /// An operator.
    Operator,
    /// The host, since the new version failed too often.
    Traps,
}

impl Label for RolledBackBy {
    const NAME: &'static str = "why";
    const ALL: &'static [Self] = &[Self::Operator, Self::Traps];

    fn label(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Traps => "traps",
        }
    }
}

/// What came of an event that a shadow was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowResult {
    /// It answered what the active version answered.
    Same,
    /// It answered something else.
    Different,
    /// It failed.
    Failed,
    /// Its queue was full, so it was not asked.
    Skipped,
}

impl Label for ShadowResult {
    const NAME: &'static str = "result";
    const ALL: &'static [Self] = &[Self::Same, Self::Different, Self::Failed, Self::Skipped];

    fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Why the system does not let us accept, when that is not the peer's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// The process has as many files open as it may.
    Emfile,
    /// The system has.
    Enfile,
    /// No buffers.
    Enobufs,
    /// No memory.
    Enomem,
}

impl AcceptError {
    /// That of this number, if it is one.
    pub fn from_number(number: i32) -> Option<Self> {
        match number {
            libc::EMFILE => Some(Self::Emfile),
            libc::ENFILE => Some(Self::Enfile),
            libc::ENOBUFS => Some(Self::Enobufs),
            libc::ENOMEM => Some(Self::Enomem),
            _ => None,
        }
    }
}

impl Label for AcceptError {
    const NAME: &'static str = "error";
    const ALL: &'static [Self] = &[Self::Emfile, Self::Enfile, Self::Enobufs, Self::Enomem];

    fn label(self) -> &'static str {
        match self {
            Self::Emfile => "EMFILE",
            Self::Enfile => "ENFILE",
            Self::Enobufs => "ENOBUFS",
            Self::Enomem => "ENOMEM",
        }
    }
}

/// Why a client was turned away at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It showed neither a token nor a key.
    NoToken,
    /// Its token does not count.
    BadToken,
    /// Its key is none.
    BadKey,
    /// Its token or key does not allow the topic.
    Topic,
    /// It came too often.
    Rate,
    /// Its user has as many sessions as a user may.
    Sessions,
    /// Its address has as many connections as an address may.
    Connections,
}

impl Label for Denied {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] =
        &[Self::NoToken, Self::BadToken, Self::BadKey, Self::Topic, Self::Rate, Self::Sessions, Self::Connections];

    fn label(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::BadToken => "bad_token",
            Self::BadKey => "bad_key",
            Self::Topic => "topic",
            Self::Rate => "rate",
            Self::Sessions => "sessions",
            Self::Connections => "connections",
        }
    }
}
