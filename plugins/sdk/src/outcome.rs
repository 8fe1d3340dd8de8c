//! What a rule answers: deliveries and ended subscriptions, or a refusal.

use std::fmt;

use serde::Serialize;

use crate::bindings::volley::router::types as wit;
use crate::{Error, Payload, Pid, Recipients};

/// The complete answer to one event: who receives what, in this order, and whose subscriptions end.
///
/// ```
/// # use volley_plugin::{Event, Outcome, subscribers};
/// # fn example(event: &Event) -> Outcome {
/// Outcome::new()
///     .send(event.sender, &"welcome")
///     .send(subscribers() - event.sender, &"somebody joined")
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "the host acts on the outcome that route returns"]
pub struct Outcome {
    deliveries: Vec<Delivery>,
    remove: Vec<Pid>,
}

/// One message and who receives it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The complete set of recipients.
    pub to: Recipients,
    /// What they receive.
    pub message: Message,
}

/// What the recipients of a delivery receive.
#[derive(Clone, Debug)]
pub enum Message {
    /// The event's own data, unchanged and not copied.
    Forward,
    /// Something of the rule's own.
    Data(Payload),
}

impl Outcome {
    /// Nobody receives anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The recipients receive the event's own data, unchanged and not copied.
    pub fn forward(self, to: impl Into<Recipients>) -> Self {
        self.deliver(to, Message::Forward)
    }

    /// The recipients receive this message as JSON.
    ///
    /// Panics if the message can't be JSON, such as a map whose keys are lists.
    pub fn send(self, to: impl Into<Recipients>, message: &(impl Serialize + ?Sized)) -> Self {
        let json = serde_json::to_vec(message).expect("the message can be JSON");
        self.deliver(to, Message::Data(Payload::Json(json)))
    }

    /// The recipients receive this message: JSON that is made already, text or bytes.
    pub fn deliver(mut self, to: impl Into<Recipients>, message: Message) -> Self {
        self.deliveries.push(Delivery { to: to.into(), message });
        self
    }

    /// These sessions' subscriptions to the event's topic end once the deliveries are resolved, so they still get what
    /// is sent to all subscribers. No leave is routed for them.
    pub fn remove(mut self, pids: impl IntoIterator<Item = Pid>) -> Self {
        self.remove.extend(pids);
        self
    }

    /// What has been put in so far.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// Whose subscriptions end.
    pub fn removed(&self) -> &[Pid] {
        &self.remove
    }

    /// As the host takes it. `topic` is the event's own.
    pub(crate) fn into_wit(self, topic: &str) -> wit::Outcome {
        let deliveries = self.deliveries.into_iter().map(|delivery| wit::Delivery {
            to: delivery.to.into_wit(topic),
            message: match delivery.message {
                Message::Forward => wit::Message::Forward,
                Message::Data(payload) => wit::Message::Data(payload),
            },
        });
        wit::Outcome { deliveries: deliveries.collect(), remove: crate::pid::to_bits(self.remove) }
    }
}

/// Why a publish or a join is not accepted, in words for the client. Nothing is delivered then.
///
/// Refusals of other events (a leave, an exit, a timer) are only logged by the host: there is nobody to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not allowed: the client gets a 403.
    Refused(String),
    /// Not understood: the client gets a 400.
    Invalid(String),
}

impl Refusal {
    /// Not allowed: the client gets a 403 with these words.
    pub fn refused(words: impl Into<String>) -> Self {
        Self::Refused(words.into())
    }

    /// Not understood: the client gets a 400 with these words.
    pub fn invalid(words: impl Into<String>) -> Self {
        Self::Invalid(words.into())
    }

    pub(crate) fn into_wit(self) -> wit::Refusal {
        match self {
            Self::Refused(words) => wit::Refusal::Refused(words),
            Self::Invalid(words) => wit::Refusal::Invalid(words),
        }
    }
}

/// So that `?` works on the host's errors. The client is told, and the log as well: it is the operator's matter.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        crate::log::error!("the host did not do what the rule asked: {error}");
        Self::Refused(format!("the server could not do this: {error}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(words) => write!(f, "refused: {words}"),
            Self::Invalid(words) => write!(f, "invalid: {words}"),
        }
    }
}

impl std::error::Error for Refusal {}
