//! A room with a host. Members hear of each other by name, and what one says reaches the others.
//!
//! Who comes in first is the room's host for good, and may silence others for ten minutes by saying `/mute NAME`.

use serde_json::json;
use std::time::Duration;
use volley_plugin::{
    Event, Info, Kind, Options, Outcome, Payload, Reach, Recipients, Refusal, Rule, Scope, Table, export_rule,
};

const MUTE: Duration = Duration::from_mins(10);

struct Room {
    /// By topic.
    hosts: Table<str, String>,
    /// By topic, a space and a name; gone by itself.
    mutes: Table<str, ()>,
    /// A group a topic.
    members: Scope,
}

impl Rule for Room {
    fn info() -> Info {
        Info { name: "room", version: "0.1.0", description: "a room whose host may mute" }
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self {
            hosts: Table::open("hosts", Options::set())?,
            mutes: Table::open("mutes", Options::set().ttl(MUTE))?,
            members: Scope::open("members", Reach::Node)?,
        })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Publish => self.say(event),
            Kind::Join => self.join(event),
            Kind::Leave | Kind::Exit(_) => Ok(self.left(event)),
            Kind::Timer => Ok(Outcome::new()),
        }
    }
}

impl Room {
    fn everyone(&self, event: &Event) -> Recipients {
        self.members.members(&event.topic)
    }

    fn join(&self, event: &Event) -> Result<Outcome, Refusal> {
        let Some(user) = &event.user else { return Err(Refusal::refused("say who you are")) };
        self.hosts.insert_new(&event.topic, user)?;
        self.members.join(&event.topic, event.sender)?;
        let members = self.members.count(&event.topic);
        Ok(Outcome::new().send(self.everyone(event), &json!({"joined": user, "members": members})))
    }

    /// Of an exit the host has left all groups already.
    fn left(&self, event: &Event) -> Outcome {
        self.members.leave(&event.topic, event.sender);
        let members = self.members.count(&event.topic);
        Outcome::new().send(self.everyone(event), &json!({"left": event.user, "members": members}))
    }

    fn mute(&self, event: &Event, name: &str) -> Result<Outcome, Refusal> {
        let host = self.hosts.get(&event.topic)?;
        if host.is_none() || host != event.user {
            return Err(Refusal::refused("only the host may mute"));
        }
        self.mutes.insert(&format!("{} {name}", event.topic), &())?;
        Ok(Outcome::new().send(self.everyone(event), &json!({"muted": name})))
    }

    fn say(&self, event: &Event) -> Result<Outcome, Refusal> {
        if let Payload::Text(text) = &event.data
            && let Some(name) = text.strip_prefix("/mute ")
        {
            return self.mute(event, name);
        }
        // A back-end has no name, and nobody can mute it.
        if let Some(user) = &event.user
            && self.mutes.get(&format!("{} {user}", event.topic))?.is_some()
        {
            return Err(Refusal::refused("you are muted"));
        }
        Ok(Outcome::new().forward(self.everyone(event) - event.sender))
    }
}

export_rule!(Room);
