//! What a rule is told: one event of one topic.

use std::borrow::Cow;

use serde::Deserialize;

use crate::bindings::volley::router::types as wit;
use crate::{ExitReason, Payload, Pid, Refusal};

/// One event of one topic. Events of a topic come one after another, never two at once.
#[derive(Clone, Debug)]
pub struct Event {
    /// Below 2^53; grows over a node's life and its restarts.
    pub id: u64,
    /// Where it happened, such as `chat.lobby`.
    pub topic: String,
    /// What happened.
    pub kind: Kind,
    /// Who published, joined, left or exited. None for timers and for back-ends that publish without a session.
    pub sender: Option<Pid>,
    /// The name that the sender's session was opened with; see [`Event::user_name`].
    pub user: Option<String>,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// What was published, or what the timer was given; otherwise JSON `null`. See [`Event::json`].
    pub data: Payload,
    /// Of a join: what the session gave when it was opened, as JSON text. See [`Event::params`].
    pub params: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody published to the topic. May be refused.
    Publish,
    /// A session asks to subscribe. May be refused; once accepted it is a subscriber before the deliveries of that
    /// same answer are resolved.
    Join,
    /// A session has unsubscribed; it is no subscriber any more.
    Leave,
    /// A session has ended, for this reason; its PID is dead, it has left all groups and is no subscriber any more.
    Exit(ExitReason),
    /// A timer of [`send_after`](crate::send_after) fired.
    Timer,
}

impl Event {
    /// The event's data as your own type, or a refusal that tells the client what is wrong with it.
    ///
    /// The type may borrow from the event, so that a command's words are not copied.
    ///
    /// ```
    /// # use volley_plugin::{Event, Refusal};
    /// #[derive(serde::Deserialize)]
    /// struct Bid<'a> { item: &'a str, cents: u64 }
    ///
    /// fn cents(event: &Event) -> Result<u64, Refusal> {
    ///     let bid: Bid = event.json()?;
    ///     Ok(bid.cents)
    /// }
    /// ```
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        match &self.data {
            Payload::Json(json) => {
                serde_json::from_slice(json).map_err(|wrong| Refusal::invalid(format!("not understood: {wrong}")))
            }
            Payload::Text(_) => Err(Refusal::invalid("this topic takes JSON, not text")),
            Payload::Binary(_) => Err(Refusal::invalid("this topic takes JSON, not binary data")),
        }
    }

    /// What the joining session gave as `params` when it was opened, as your own type; `T::default()` if it gave none.
    pub fn params<'a, T: Deserialize<'a> + Default>(&'a self) -> Result<T, Refusal> {
        match self.params.as_deref() {
            None | Some("null") => Ok(T::default()),
            Some(json) => serde_json::from_str(json)
                .map_err(|wrong| Refusal::invalid(format!("the session's params are not understood: {wrong}"))),
        }
    }

    /// What to call the sender: its user's name, or else its PID's text. None if there is no sender.
    pub fn user_name(&self) -> Option<Cow<'_, str>> {
        match (&self.user, self.sender) {
            (Some(user), _) => Some(Cow::Borrowed(user)),
            (None, Some(pid)) => Some(Cow::Owned(pid.to_string())),
            (None, None) => None,
        }
    }
}

impl From<wit::Event> for Event {
    /// Moves everything, copies no text.
    fn from(event: wit::Event) -> Self {
        let kind = match event.kind {
            wit::EventKind::Publish => Kind::Publish,
            wit::EventKind::Join => Kind::Join,
            wit::EventKind::Leave => Kind::Leave,
            wit::EventKind::Exit => Kind::Exit(event.reason.unwrap_or(ExitReason::Normal)),
            wit::EventKind::Timer => Kind::Timer,
        };
        Self {
            id: event.id,
            topic: event.topic,
            kind,
            sender: event.sender.map(Pid::from_bits),
            user: event.user,
            time_ms: event.time_ms,
            data: event.data,
            params: event.params,
        }
    }
}
