//! Who is online, across topics. A user is online while one of its sessions has joined a topic of this rule, whichever.
//!
//! Whoever joins the topic `watch` gets the list, and from then on what changes, gathered for `diff_ms`: a user that comes
//! and goes within that time, as with a page that is loaded anew, is not mentioned.
//!
//! ```json
//! {"online": ["ann", "bob"], "more": 0}
//! {"joined": ["eve"], "left": ["bob"]}
//! ```
//!
//! Config, with its defaults; the route must give the topic `watch` to this rule as well:
//!
//! ```json
//! {"watch": "presence.online", "diff_ms": 500}
//! ```
//!
//! - What is published in any other topic goes to its subscribers, unchanged. In `watch` nobody may publish.
//! - `watch` is a topic as any other: who joins it is online by that, and will read so in the next change.
//! - Sessions without a user are not counted, so a dashboard can watch unseen.
//! - All routes of the plugin share one list, so they have one config. For another list push the component again, under
//!   another name.
//! - A client that is gone without a word is online until its session has lingered out; one that leaves a topic while
//!   another rule routes it, until its session ends.
//! - The list names no more than 10,000 users, or 512 KiB of names; `more` says how many others are online. A change names
//!   no more than 1,000, the next ones follow at once.
//!
//! # What is kept
//!
//! Two scopes of groups: `users` has each user's sessions, `topics` the sessions in each topic. Sessions that end leave
//! them by themselves, so nobody stays online because an event was lost. The table `announced` has the users that watchers
//! believe to be online, `unannounced` those there was no room for, `changed` those to be looked at again, `armed` that a timer is under way. All of it ends with the
//! server, as sessions do. When `changed` is full (a million users), a join is refused; when `announced` is, who comes is
//! announced once somebody has left.
//!
//! # What it costs
//!
//! A join calls the host four times, a leave three times, a publish not at all. A change costs three calls and three more
//! for each user in it, and is sent once, however many have come and gone.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use volley_plugin::{
    Error, Event, Info, Kind, Options, Outcome, Reach, Refusal, Rule, Scope, Table, config, export_rule, log,
    send_after, subscribers,
};

/// Lanes meet here only in steps that may come in any order. Whatever happens to a user, the groups are changed first,
/// then the user is marked as changed, then a timer is set. The timer goes the other way: it takes the marks, then looks
/// at the groups. So it sees each change, or there is a mark again and another timer. What is announced is changed by
/// events of the topic `watch` alone, which are routed one after another.
struct Presence {
    config: Config,
    users: Scope,
    topics: Scope,
    announced: Table<str, ()>,
    unannounced: Table<str, ()>,
    changed: Table<str, ()>,
    armed: Table<str, ()>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    watch: String,
    diff_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { watch: "presence.online".to_owned(), diff_ms: 500 }
    }
}

/// What watchers receive.
#[derive(Serialize)]
#[serde(untagged)]
enum Message {
    List { online: Vec<String>, more: u64 },
    Change { joined: Vec<String>, left: Vec<String> },
}

/// A user's name has 255 bytes at most, and six times as many where each has to be escaped: so a change is 1.5 MB at most.
const CHANGE_USERS_MAX: u32 = 1_000;
const LIST_USERS_MAX: u32 = 10_000;
/// With all of it escaped it is below 4 MiB (`outcome_bytes_max`).
const LIST_BYTES_MAX: usize = 512 << 10;
const DIFF_MS: std::ops::RangeInclusive<u64> = 10..=60_000;
/// A timer that has not fired this long after its time is lost: its topic was routed elsewhere, or set aside for long.
const TIMER_LOST: Duration = Duration::from_secs(10);
/// The one object of `armed`.
const ARMED: &str = "timer";

impl Rule for Presence {
    fn info() -> Info {
        Info { name: "presence", version: env!("CARGO_PKG_VERSION"), description: "who is online, across topics" }
    }

    fn init(text: &str) -> Result<Self, String> {
        let config: Config = config(text)?;
        if !DIFF_MS.contains(&config.diff_ms) {
            return Err(format!("diff_ms is from {} to {}", DIFF_MS.start(), DIFF_MS.end()));
        }
        let armed_for = Duration::from_millis(config.diff_ms) + TIMER_LOST;
        Ok(Self {
            users: Scope::open("users", Reach::Node)?,
            topics: Scope::open("topics", Reach::Node)?,
            announced: Table::open("announced", Options::ordered_set())?,
            unannounced: Table::open("unannounced", Options::ordered_set())?,
            changed: Table::open("changed", Options::ordered_set())?,
            armed: Table::open("armed", Options::set().ttl(armed_for).max_objects(1))?,
            config,
        })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        let is_watch = event.topic == self.config.watch;
        match event.kind {
            Kind::Publish if is_watch => Err(Refusal::refused("this topic says who is online; nobody publishes here")),
            Kind::Publish => Ok(Outcome::new().forward(subscribers())),
            Kind::Timer => Ok(self.change()?),
            Kind::Join => {
                self.joined(event)?;
                Ok(if is_watch { Outcome::new().send(event.sender, &self.list()?) } else { Outcome::new() })
            }
            Kind::Leave => {
                self.topics.leave(&event.topic, event.sender);
                Ok(self.look_again(event)?)
            }
            // It has left all groups already.
            Kind::Exit(_) => Ok(self.look_again(event)?),
        }
    }
}

impl Presence {
    /// A session stays in its user's group when it leaves its last topic: until it ends it may come back on another lane,
    /// and would be taken out of it in the middle of that.
    fn joined(&self, event: &Event) -> Result<(), Error> {
        let Some(user) = event.user.as_deref() else { return Ok(()) };
        self.topics.join(&event.topic, event.sender)?;
        self.users.join(user, event.sender)?;
        self.look_again(event).map(drop)
    }

    /// Nothing is sent now: the timer does it.
    fn look_again(&self, event: &Event) -> Result<Outcome, Error> {
        if let Some(user) = event.user.as_deref() {
            self.changed.insert(user, &())?;
            self.arm(Duration::from_millis(self.config.diff_ms))?;
        }
        Ok(Outcome::new())
    }

    fn arm(&self, delay: Duration) -> Result<(), Error> {
        if self.armed.insert_new(ARMED, &())? {
            send_after(delay, &self.config.watch, &()).inspect_err(|_| drop(self.armed.delete(ARMED)))?;
        }
        Ok(())
    }

    /// A timer that comes late or twice finds less to do, or nothing.
    fn change(&self) -> Result<Outcome, Error> {
        self.armed.delete(ARMED)?;
        let page = self.changed.select("", CHANGE_USERS_MAX)?;
        if page.next.is_some() {
            self.arm(Duration::ZERO)?;
        }
        self.changed.delete_all(page.objects.iter().map(|(user, ())| user.clone()))?;
        let (online, offline): (Vec<_>, Vec<_>) =
            page.objects.into_iter().map(name).partition(|user| self.is_online(user));
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        // Those who leave make room.
        let some_wait = self.unannounced.size() > 0;
        for user in offline {
            if self.announced.delete(&user)? {
                left.push(user);
            } else if some_wait {
                self.unannounced.delete(&user)?;
            }
        }
        for user in online {
            match self.announced.insert_new(&user, &()) {
                Ok(true) => joined.push(user),
                Ok(false) => {}
                Err(full) => {
                    log::error!("{user} is online, which is announced when there is room for it: {full}");
                    self.unannounced.insert(&user, &())?;
                }
            }
        }
        if some_wait && !left.is_empty() {
            self.announce_waiting(left.len())?;
        }
        if joined.is_empty() && left.is_empty() {
            return Ok(Outcome::new());
        }
        Ok(Outcome::new().send(subscribers(), &Message::Change { joined, left }))
    }

    /// So many have left, and as many others that there was no room for are looked at again.
    fn announce_waiting(&self, count: usize) -> Result<(), Error> {
        let waiting = self.unannounced.select("", u32::try_from(count).unwrap_or(u32::MAX))?.objects;
        for (user, ()) in &waiting {
            self.changed.insert(&String::from_utf8_lossy(user), &())?;
        }
        self.unannounced.delete_all(waiting.into_iter().map(|(user, ())| user))?;
        self.arm(Duration::from_millis(self.config.diff_ms))
    }

    fn is_online(&self, user: &str) -> bool {
        self.users.get_members(user).into_iter().any(|session| !self.topics.which_groups(session).is_empty())
    }

    fn list(&self) -> Result<Message, Error> {
        let page = self.announced.select("", LIST_USERS_MAX)?;
        let mut room = LIST_BYTES_MAX;
        let online = page.objects.into_iter().map(name).map_while(|user| {
            room = room.checked_sub(user.len())?;
            Some(user)
        });
        let online: Vec<_> = online.collect();
        let more = self.announced.size().saturating_sub(online.len() as u64);
        Ok(Message::List { online, more })
    }
}

fn name((user, ()): (Vec<u8>, ())) -> String {
    String::from_utf8_lossy(&user).into_owned()
}

export_rule!(Presence);

#[cfg(test)]
mod tests {
    use super::Presence;
    use std::time::Duration;
    use volley_plugin::testing::{Server, recorded};
    use volley_plugin::{ExitReason, Rule};
    use volley_plugin::{Options, Table};

    #[test]
    fn recorded_events() {
        recorded::<Presence>("tests/events.jsonl");
    }

    #[test]
    fn many_at_once_are_several_changes() {
        let mut server = Server::<Presence>::start("");
        let watcher = server.open_nameless();
        server.join("presence.online", watcher).unwrap();
        let users: Vec<_> = (0..1_100).map(|number| server.open(&format!("user-{number:04}"))).collect();
        for user in &users {
            server.join("room", *user).unwrap();
        }
        server.wait(Duration::from_secs(1));
        let messages = server.inbox(watcher);
        let joined: Vec<usize> =
            messages[1..].iter().map(|change| change["joined"].as_array().unwrap().len()).collect();
        assert_eq!(joined, [1_000, 100]);
        for user in users {
            server.exit(user, ExitReason::Shutdown);
        }
        server.wait(Duration::from_secs(1));
        assert_eq!(server.inbox(watcher).len(), 2);
        assert_eq!((server.rule().announced.size(), server.rule().changed.size()), (0, 0), "nothing stays behind");
    }

    #[test]
    fn a_lost_timer_is_set_again_by_what_happens_later() {
        let mut server = Server::<Presence>::start("");
        let (watcher, ann, bob) = (server.open_nameless(), server.open("ann"), server.open("bob"));
        server.join("presence.online", watcher).unwrap();
        server.inbox(watcher);
        server.join("room", ann).unwrap();
        assert_eq!(server.forget_timers(), 1);
        server.wait(Duration::from_secs(11));
        server.join("room", bob).unwrap();
        server.wait(Duration::from_secs(1));
        assert_eq!(server.inbox(watcher), [serde_json::json!({"joined": ["ann", "bob"], "left": []})]);
    }

    /// Those who could not be announced were looked at again and again, and nobody else was.
    #[test]
    fn who_finds_no_room_keeps_nobody_online() {
        let mut server = Server::<Presence>::start("");
        // Opened once more it has so much room.
        Table::<str, ()>::open("announced", Options::ordered_set().max_objects(3)).unwrap();
        let watcher = server.open_nameless();
        server.join("presence.online", watcher).unwrap();
        let users = ["m", "n", "o", "a", "b"].map(|user| {
            let pid = server.open(user);
            server.join("room", pid).unwrap();
            server.wait(Duration::from_secs(1));
            pid
        });
        assert_eq!(server.inbox(watcher).len(), 1 + 3);
        assert_eq!(server.rule().unannounced.size(), 2);
        server.exit(users[1], ExitReason::Normal);
        server.wait(Duration::from_secs(2));
        let changes =
            [serde_json::json!({"joined": [], "left": ["n"]}), serde_json::json!({"joined": ["a"], "left": []})];
        assert_eq!(server.inbox(watcher), changes);
        for user in [0, 2, 3, 4] {
            server.exit(users[user], ExitReason::Normal);
        }
        server.wait(Duration::from_secs(2));
        let rule = server.rule();
        assert_eq!([rule.announced.size(), rule.unannounced.size(), rule.changed.size()], [0, 0, 0]);
    }

    /// Each of these names is six times as long once it is escaped; a list of all did not fit into an outcome.
    #[test]
    fn a_list_of_long_names_is_cut() {
        let mut server = Server::<Presence>::start("");
        for number in 0..3_000 {
            let user = server.open(&format!("{number:04}{}", "\u{1}".repeat(251)));
            server.join("room", user).unwrap();
        }
        server.wait(Duration::from_secs(2));
        let watcher = server.open_nameless();
        server.join("presence.online", watcher).unwrap();
        let list = server.inbox(watcher).pop().unwrap();
        let online = list["online"].as_array().unwrap().len() as u64;
        assert!((2_000..3_000).contains(&online) && list["more"] == 3_000 - online, "{online} and {}", list["more"]);
        assert!(list.to_string().len() < 4 << 20);
    }

    #[test]
    fn a_config_that_makes_no_sense_is_refused_in_words() {
        let refused = Presence::init(r#"{"diff_ms": 1}"#).err().expect("refused");
        assert_eq!(refused, "diff_ms is from 10 to 60000");
    }
}
