//! Rooms in which naming a user reaches it: `@bob` in a text tells bob, wherever he is.
//!
//! Members publish `{"say": "@bob, look here"}`. The room's subscribers get the first of these, bob's sessions that are not
//! in the room the second:
//!
//! ```json
//! {"said": {"user": "ann", "text": "@bob, look here"}}
//! {"mentioned": {"topic": "room.1", "user": "ann", "text": "@bob, look here"}}
//! ```
//!
//! A user who has no session in any topic of this rule is told later, when the next one joins; the latest mentions are
//! kept, for a week. They are told to the session that joins, so one that is opened with several topics, of which another
//! rule refuses one, takes them along.
//!
//! ```json
//! {"missed": [{"topic": "room.1", "user": "ann", "text": "@bob, look here"}]}
//! ```
//!
//! Config, with its defaults: `{"mentions_max": 10, "missed_max": 20}`, users named in one text, and mentions kept for one.
//!
//! - A name is letters, digits, `_` and `-` after an `@` that does not stand behind a letter or digit, as in an address,
//!   and has 255 bytes at most. Capitals matter. Users with other names, and sessions without a user, can't be named.
//! - A text of more than 4,096 bytes, or that names more users than `mentions_max`, is a 400. A user that names itself is
//!   not told. A back-end's `user` is null.
//! - Whoever may publish in a room may tell anybody what it says there: who that is, tokens and keys say.
//!
//! # What is kept
//!
//! In the scope `users` each session is in its user's group from its first join until it ends; leaving a room does not
//! change where it can be reached. The table `missed` is durable, so mentions outlive a restart. It has 100,000 objects,
//! or 256 MiB, at most; when it is full, mentions of users who are away are dropped, with a line in the log. More than 512
//! KiB of them are told in several joins.
//!
//! # What it costs
//!
//! A text calls the host once for each user it names and, for one who is away, three times more. It is sent twice at
//! most, however many are named. A join calls twice, and once for each mention that was missed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use volley_plugin::{
    Error, Event, Info, Key, Kind, Options, Outcome, Reach, Recipients, Refusal, Rule, Scope, Table, config,
    export_rule, log, subscribers,
};

struct Mentions {
    config: Config,
    users: Scope,
    missed: Table<[u8], Mention>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    mentions_max: usize,
    missed_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { mentions_max: 10, missed_max: 20 }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    Say(String),
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Message<'a> {
    Said { user: Option<&'a str>, text: &'a str },
    Mentioned(&'a Mention),
    Missed(&'a [Mention]),
}

#[derive(Serialize, Deserialize)]
struct Mention {
    topic: String,
    user: Option<String>,
    text: String,
}

impl Mention {
    fn bytes(&self) -> usize {
        self.topic.len() + self.user.as_ref().map_or(0, String::len) + self.text.len()
    }
}

/// The mentions that one user has missed are read at once, so texts are short.
const TEXT_BYTES_MAX: usize = 4_096;
/// A set expression has 64 operations at most (`expression_ops_max`): two for each user, and two more.
const MENTIONS_MAX: usize = 31;
/// Nobody has a longer one (`user_bytes_max`).
const NAME_BYTES_MAX: usize = 255;
/// Of one user. A page of the table is 8 MiB at most.
const MISSED_MAX: u32 = 1_000;
/// In one message: with all of it escaped it is below 4 MiB (`outcome_bytes_max`).
const TOLD_BYTES_MAX: usize = 512 << 10;
const MISSED: Options =
    Options::ordered_set().durable().ttl(Duration::from_hours(7 * 24)).max_objects(100_000).max_bytes(256 << 20);

impl Rule for Mentions {
    fn info() -> Info {
        Info {
            name: "mentions",
            version: env!("CARGO_PKG_VERSION"),
            description: "tells users who are named in a text",
        }
    }

    fn init(text: &str) -> Result<Self, String> {
        let config: Config = config(text)?;
        if config.mentions_max > MENTIONS_MAX {
            return Err(format!("mentions_max is at most {MENTIONS_MAX}"));
        }
        if !(1..=MISSED_MAX).contains(&config.missed_max) {
            return Err(format!("missed_max is from 1 to {MISSED_MAX}"));
        }
        Ok(Self { config, users: Scope::open("users", Reach::Node)?, missed: Table::open("missed", MISSED)? })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Publish => self.say(event),
            Kind::Join => Ok(self.join(event)?),
            Kind::Leave | Kind::Exit(_) | Kind::Timer => Ok(Outcome::new()),
        }
    }
}

impl Mentions {
    fn join(&self, event: &Event) -> Result<Outcome, Error> {
        let Some(user) = event.user.as_deref() else { return Ok(Outcome::new()) };
        self.users.join(user, event.sender)?;
        self.tell_missed(user, event.sender.into(), Outcome::new())
    }

    fn say(&self, event: &Event) -> Result<Outcome, Refusal> {
        let Command::Say(text) = event.json()?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(Refusal::invalid(format!("a text has at most {TEXT_BYTES_MAX} bytes")));
        }
        let sender = event.user_name();
        let mut named = names(&text);
        named.remove(sender.as_deref().unwrap_or_default());
        if named.len() > self.config.mentions_max {
            let words = format!("at most {} users can be named in one text", self.config.mentions_max);
            return Err(Refusal::invalid(words));
        }
        let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
        let said = Outcome::new().send(subscribers(), &Message::Said { user: sender.as_deref(), text: &text });
        let mention = Mention { topic: event.topic.clone(), user: sender.map(Into::into), text };
        Ok(self.tell(event, &named, &mention, said)?)
    }

    fn tell(&self, event: &Event, named: &[String], mention: &Mention, said: Outcome) -> Result<Outcome, Error> {
        let (here, away): (Vec<_>, Vec<_>) = named.iter().partition(|user| self.users.count(user.as_str()) > 0);
        let all = here.into_iter().map(|user| self.users.members(user.as_str())).reduce(|all, user| all | user);
        // Who is in the room has read it already.
        let mut outcome = match all {
            Some(all) => said.send(all - subscribers(), &Message::Mentioned(mention)),
            None => said,
        };
        for user in away {
            if let Err(full) = self.keep(user, event.id, mention) {
                log::warning!("a mention of {user}, who is away, is dropped: {full}");
            }
            // It may have come in on another lane, and looked for what it missed, just before this was kept.
            if self.users.count(user.as_str()) > 0 {
                outcome = self.tell_missed(user, self.users.members(user.as_str()), outcome)?;
            }
        }
        Ok(outcome)
    }

    /// In place of the oldest, if there are enough. Lanes that do this at the same moment keep one more each.
    fn keep(&self, user: &str, id: u64, mention: &Mention) -> Result<(), Error> {
        let kept = self.missed.select(&of(user), self.config.missed_max)?;
        // A page may end early, since it has so many bytes.
        if kept.next.is_some() || kept.objects.len() as u64 >= self.config.missed_max.into() {
            self.missed.delete_all(kept.objects.into_iter().take(1).map(|(key, _)| key))?;
        }
        self.missed.insert(&slot(user, id), mention)
    }

    /// A user may join two rooms at once, on two lanes; what both have found is taken by one of them.
    fn tell_missed(&self, user: &str, to: Recipients, outcome: Outcome) -> Result<Outcome, Error> {
        let (mut missed, mut room) = (Vec::new(), TOLD_BYTES_MAX);
        for (key, mention) in self.missed.select(&of(user), MISSED_MAX)?.objects {
            let Some(left) = room.checked_sub(mention.bytes()) else { break };
            room = left;
            missed.extend(self.missed.take(&key)?);
        }
        Ok(if missed.is_empty() { outcome } else { outcome.send(to, &Message::Missed(&missed)) })
    }
}

/// The key of all that a user has missed. Names that can be mentioned hold no zero byte.
fn of(user: &str) -> Vec<u8> {
    [user.as_bytes(), &[0]].concat()
}

/// Events are numbered in the order in which they came, and so are a user's mentions.
fn slot(user: &str, id: u64) -> Vec<u8> {
    let mut key = of(user);
    id.write(&mut key);
    key
}

/// Whom a text names, each once.
fn names(text: &str) -> BTreeSet<&str> {
    let in_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let mentions = text.match_indices('@').filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric));
    let names = mentions.map(|(at, _)| {
        let name = &text[at + 1..];
        &name[..name.find(|letter| !in_name(letter)).unwrap_or(name.len())]
    });
    names.filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len())).collect()
}

export_rule!(Mentions);

#[cfg(test)]
mod tests {
    use super::{Mentions, names};
    use serde_json::json;
    use volley_plugin::testing::{Server, recorded};

    #[test]
    fn recorded_events() {
        recorded::<Mentions>("tests/events.jsonl");
    }

    #[test]
    fn names_stand_behind_an_at_sign() {
        for (text, expected) in [
            ("@ann", &["ann"][..]),
            ("(@ann), @bob: @ann!", &["ann", "bob"]),
            ("mail ann@example.com", &[]),
            ("@@ann @ @-", &["-", "ann"]),
            ("@Zoë_9-a.", &["Zoë_9-a"]),
            ("@", &[]),
            (&format!("@{}", "x".repeat(256)), &[]),
        ] {
            assert!(names(text).into_iter().eq(expected.iter().copied()), "{text}: {:?}", names(text));
        }
    }

    #[test]
    fn the_latest_mentions_are_kept_in_order() {
        let mut server = Server::<Mentions>::start(r#"{"missed_max": 3}"#);
        for number in 0..5 {
            server.publish("room", None, &json!({"say": format!("@bob {number}")}).to_string()).unwrap();
        }
        let bob = server.open("bob");
        server.join("room", bob).unwrap();
        let missed = &server.inbox(bob)[0]["missed"];
        let texts: Vec<_> = missed.as_array().unwrap().iter().map(|mention| mention["text"].clone()).collect();
        assert_eq!(texts, ["@bob 2", "@bob 3", "@bob 4"]);
        assert_eq!(server.rule().missed.size(), 0);
    }

    /// What was kept did not fit into one outcome, so each join failed, and all of it was lost.
    #[test]
    fn more_than_one_message_holds_is_told_in_several_joins() {
        let mut server = Server::<Mentions>::start(r#"{"missed_max": 200}"#);
        let text = format!("@bob {}", "\"".repeat(4_000));
        for _ in 0..200 {
            server.publish("room", None, &json!({ "say": text }).to_string()).unwrap();
        }
        let told: Vec<usize> = (0..3)
            .map(|_| {
                let bob = server.open("bob");
                server.join("room", bob).unwrap();
                server.inbox(bob).pop().map_or(0, |message| message["missed"].as_array().unwrap().len())
            })
            .collect();
        assert!(told[0] < 200 && told[1] > 0, "{told:?}");
        assert_eq!(told, [told[0], 200 - told[0], 0]);
    }
}
