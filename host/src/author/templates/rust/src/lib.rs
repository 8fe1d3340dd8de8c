//! A room: what is said in it goes to everybody there, but for those who want quiet.
//!
//! Clients publish `{"say":"…"}`, or `{"quiet":true}` and `{"quiet":false}`. A back-end, which publishes without a session,
//! is heard by everybody.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use volley_plugin::{Event, Info, Kind, Outcome, Reach, Refusal, Rule, Scope, config, export_rule, subscribers};

/// An instance has handles only: tables and groups belong to the server, and outlive instances and versions of the rule.
struct Room {
    /// A group for each room, by its topic: the sessions that want quiet.
    quiet: Scope,
    config: Config,
}

/// The route's config, such as `{"chars_max":200}`. What it does not say is as in `default`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    chars_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { chars_max: 1_000 }
    }
}

/// What clients publish.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command<'a> {
    #[serde(borrow)]
    Say(Cow<'a, str>),
    Quiet(bool),
}

/// What members receive.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Message<'a> {
    Joined(&'a str),
    Left(&'a str),
    /// `user` is null for a back-end.
    Said {
        user: Option<&'a str>,
        text: &'a str,
    },
    Quiet(bool),
}

impl Rule for Room {
    fn info() -> Info {
        // The version names the layout of tables and groups to other versions: raise it when that changes.
        Info {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            description: env!("CARGO_PKG_DESCRIPTION"),
        }
    }

    /// Runs before any event. What it opens it may not write to yet.
    fn init(text: &str) -> Result<Self, String> {
        Ok(Self { quiet: Scope::open("quiet", Reach::Node)?, config: config(text)? })
    }

    /// The complete answer to one event: whoever is not in it receives nothing.
    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        // The user's name, or the session's PID if it has none. Only timers and back-ends have no sender.
        let name = event.user_name();
        let name = name.as_deref().unwrap_or("");
        match event.kind {
            Kind::Publish => self.publish(event),
            // The joiner is a subscriber already; `-` takes it out of the set again.
            Kind::Join => Ok(Outcome::new().send(subscribers() - event.sender, &Message::Joined(name))),
            Kind::Leave => {
                self.quiet.leave(&event.topic, event.sender);
                Ok(Outcome::new().send(subscribers(), &Message::Left(name)))
            }
            // Who has ended has left all groups by itself.
            Kind::Exit(_) => Ok(Outcome::new().send(subscribers(), &Message::Left(name))),
            Kind::Timer => Ok(Outcome::new()),
        }
    }
}

impl Room {
    fn publish(&self, event: &Event) -> Result<Outcome, Refusal> {
        // What does not fit is a refusal that says why: a 400 for the client.
        match (event.json()?, event.sender) {
            (Command::Say(text), _) if text.chars().count() > self.config.chars_max => {
                Err(Refusal::refused(format!("at most {} characters", self.config.chars_max)))
            }
            (Command::Say(text), None) => {
                Ok(Outcome::new().send(subscribers(), &Message::Said { user: None, text: &text }))
            }
            (Command::Say(text), Some(_)) => {
                let user = event.user_name();
                let message = Message::Said { user: user.as_deref(), text: &text };
                // The server evaluates this set: no list of members is copied in here, however many there are.
                Ok(Outcome::new().send(subscribers() - self.quiet.members(&event.topic), &message))
            }
            (Command::Quiet(_), None) => Err(Refusal::invalid("a back-end hears nothing anyhow")),
            (Command::Quiet(quiet), sender) => {
                if quiet {
                    self.quiet.join(&event.topic, sender)?;
                } else {
                    self.quiet.leave(&event.topic, sender);
                }
                Ok(Outcome::new().send(sender, &Message::Quiet(quiet)))
            }
        }
    }
}

export_rule!(Room);

#[cfg(test)]
mod tests {
    use super::Room;
    use volley_plugin::testing::Server;

    /// Plain `cargo test`: the rule, natively, on a small server in memory. `volley plugin test` plays `tests/*.jsonl` to
    /// the component itself.
    #[test]
    fn who_wants_quiet_hears_back_ends_alone() {
        let mut server = Server::<Room>::start("");
        let [ann, bob] = ["ann", "bob"].map(|user| server.open(user));
        for pid in [ann, bob] {
            server.join("room.1", pid).unwrap();
        }
        server.publish("room.1", bob, r#"{"quiet":true}"#).unwrap();
        server.publish("room.1", ann, r#"{"say":"hi"}"#).unwrap();
        server.publish("room.1", None, r#"{"say":"closing time"}"#).unwrap();
        let said = |message: &serde_json::Value| message["said"]["text"].as_str().map(str::to_owned);
        let heard = |inbox: Vec<serde_json::Value>| inbox.iter().filter_map(said).collect::<Vec<_>>();
        assert_eq!(heard(server.inbox(ann)), ["hi", "closing time"]);
        assert_eq!(heard(server.inbox(bob)), ["closing time"]);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let mut server = Server::<Room>::start(r#"{"chars_max":2}"#);
        let ann = server.open("ann");
        server.publish("room.1", ann, r#"{"say":"hé"}"#).unwrap();
        assert!(server.publish("room.1", ann, r#"{"say":"hey"}"#).is_err());
    }
}
