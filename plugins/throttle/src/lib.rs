//! A topic in which each user may publish only so much: what is published goes to all subscribers, unchanged, until its
//! user has published too much; then it is refused, and the user is told when it may go on.
//!
//! Config, with its defaults: at most `events` in any window of `window_ms`, which begins with a user's first event.
//!
//! ```json
//! {"events": 10, "window_ms": 10000}
//! ```
//!
//! - One more is refused (403): `too fast: at most 10 events within 10s`. When the window is over, a user that was
//!   refused gets `{"throttle":"over"}` on all its sessions that have joined a topic of the rule. As a window begins
//!   with an event, a user can publish up to twice `events` around the seam of two.
//! - The count is the user's, over all its sessions and all topics whose routes have the same config. A session without
//!   a user counts by itself. A back-end that publishes without a session is not counted.
//! - Joining and leaving are announced to nobody.
//!
//! # What is kept
//!
//! In the table `window-MS` one counter, `EVENTS:USER`, a user that has published within the window. A timer deletes it when the window
//! is over; should that timer never fire (the server has no room for one more, or the topic was routed elsewhere), the
//! counter goes by itself when the user has been quiet for a window and ten seconds. Nothing outlives a restart of the
//! server, after which everybody starts afresh. When a million users have a counter, others are refused until one goes. In the scope
//! `users` each session is in the group of its user until it ends, as a user may be told on another topic.
//!
//! # What it costs
//!
//! One call of the host for an event, one timer for a user and window. The list of recipients is the server's own.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use volley_plugin::{
    Event, Info, Kind, Options, Outcome, Reach, Refusal, Rule, Scope, Table, config, export_rule, log, send_after,
    subscribers,
};

struct Throttle {
    limit: Config,
    counts: Table<str, i64>,
    users: Scope,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    events: u32,
    window_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { events: 10, window_ms: 10_000 }
    }
}

/// What the timer at the end of a window carries.
#[derive(Deserialize, Serialize)]
struct WindowOver {
    user: String,
}

/// What a user that was refused receives then.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Throttle(State),
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Over,
}

/// Arbitrary: about 100 MB with the host's overhead.
const USERS_MAX: u64 = 1_000_000;
/// A timer comes this late at most on a server that is busy, we believe; then the counter has to be there still, as it says
/// whether its user is to be told.
const TIMER_LATE: Duration = Duration::from_secs(10);
/// Shorter ones would be mostly timers, longer ones outlive most servers.
const WINDOW_MS: std::ops::RangeInclusive<u64> = 100..=86_400_000;

impl Config {
    fn check(&self) -> Result<(), String> {
        if self.events == 0 {
            return Err("events is at least 1".into());
        }
        if !WINDOW_MS.contains(&self.window_ms) {
            return Err(format!("window_ms is from {} to {}", WINDOW_MS.start(), WINDOW_MS.end()));
        }
        Ok(())
    }

    fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }
}

impl Rule for Throttle {
    fn info() -> Info {
        Info { name: "throttle", version: env!("CARGO_PKG_VERSION"), description: "to all, so much a user" }
    }

    fn init(text: &str) -> Result<Self, String> {
        let limit: Config = config(text)?;
        limit.check()?;
        // The lifetime of its objects is a table's, not an object's: so routes with another window have another table.
        let options = Options::set().ttl(limit.window() + TIMER_LATE).max_objects(USERS_MAX);
        let counts = Table::open(&format!("window-{}", limit.window_ms), options)?;
        Ok(Self { limit, counts, users: Scope::open("users", Reach::Node)? })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match (event.kind, event.user_name()) {
            (Kind::Join, Some(user)) => {
                self.users.join(&*user, event.sender)?;
                Ok(Outcome::new())
            }
            (Kind::Publish, Some(user)) => self.publish(event, &user),
            (Kind::Publish, None) => Ok(Outcome::new().forward(subscribers())),
            (Kind::Timer, _) => self.window_over(&event.json::<WindowOver>()?.user),
            _ => Ok(Outcome::new()),
        }
    }
}

impl Throttle {
    fn publish(&self, event: &Event, user: &str) -> Result<Outcome, Refusal> {
        // A user's topics may be on several lanes, and a counter is counted up by one at a time: so just one of them sees
        // the first event, and just `events` are let through. Past the limit it stands still, however often it is tried.
        let limit = i64::from(self.limit.events);
        let count = self.counts.update_counter_until(&self.counter(user), 1, limit, limit + 1)?;
        if count == 1 {
            self.begin_window(event, user);
        }
        if count > limit {
            let window = self.limit.window();
            return Err(Refusal::refused(format!("too fast: at most {limit} events within {window:?}")));
        }
        Ok(Outcome::new().forward(subscribers()))
    }

    /// It stands still at its limit, so routes with another one have counters of their own.
    fn counter(&self, user: &str) -> String {
        format!("{}:{user}", self.limit.events)
    }

    fn begin_window(&self, event: &Event, user: &str) {
        let over = WindowOver { user: user.to_owned() };
        if let Err(why) = send_after(self.limit.window(), &event.topic, &over) {
            log::warning!("no timer for the window of {user}, which lasts until {user} is quiet: {why}");
        }
    }

    /// One that comes late finds no counter, or ends the next window early: nobody waits longer for it.
    fn window_over(&self, user: &str) -> Result<Outcome, Refusal> {
        let count = self.counts.take(&self.counter(user))?.unwrap_or(0);
        if count <= i64::from(self.limit.events) {
            return Ok(Outcome::new());
        }
        Ok(Outcome::new().send(self.users.members(user), &Message::Throttle(State::Over)))
    }
}

export_rule!(Throttle);

#[cfg(test)]
mod tests {
    use super::Throttle;
    use std::time::Duration;
    use volley_plugin::Rule;
    use volley_plugin::testing::{Server, recorded};

    #[test]
    fn recorded_events() {
        recorded::<Throttle>("tests/events.jsonl");
    }

    #[test]
    fn a_window_that_loses_its_timer_ends_when_its_user_is_quiet() {
        let mut server = Server::<Throttle>::start(r#"{"events": 1, "window_ms": 1000}"#);
        let ann = server.open("ann");
        server.publish("t", ann, "1").unwrap();
        assert_eq!(server.forget_timers(), 1);
        server.wait(Duration::from_millis(10_999));
        server.publish("t", ann, "2").unwrap_err();
        server.wait(Duration::from_secs(11));
        server.publish("t", ann, "3").unwrap();
    }

    /// The counter went with its lifetime, just before a timer that was a little late.
    #[test]
    fn a_timer_that_comes_late_still_tells_the_user() {
        let mut server = Server::<Throttle>::start(r#"{"events": 1, "window_ms": 1000}"#);
        let ann = server.open("ann");
        server.join("t", ann).unwrap();
        server.publish("t", ann, "1").unwrap();
        server.publish("t", ann, "2").unwrap_err();
        server.delay_timers(Duration::from_secs(5));
        server.wait(Duration::from_secs(6));
        assert_eq!(server.inbox(ann).last(), Some(&serde_json::json!({"throttle": "over"})));
    }

    /// A refused try where less is allowed set the counter back where more is.
    #[test]
    fn routes_with_another_config_count_by_themselves() {
        let mut much = Server::<Throttle>::start(r#"{"events": 10, "window_ms": 60000}"#);
        let ann = much.open("ann");
        for number in 0..10 {
            much.publish("a", ann, &number.to_string()).unwrap();
        }
        let little = Throttle::init(r#"{"events": 1, "window_ms": 60000}"#).unwrap();
        assert_eq!(much.rule().counts.get(&much.rule().counter("ann")), Ok(Some(10)));
        assert_eq!(much.rule().counts.get(&little.counter("ann")), Ok(None));
    }

    #[test]
    fn a_config_that_makes_no_sense_is_refused_in_words() {
        for (config, words) in [
            (r#"{"events": 0}"#, "events is at least 1"),
            (r#"{"window_ms": 99}"#, "window_ms is from 100"),
            (r#"{"evnets": 1}"#, "unknown field `evnets`"),
        ] {
            let refused = Throttle::init(config).err().expect("refused");
            assert!(refused.contains(words), "{refused}");
        }
    }
}
