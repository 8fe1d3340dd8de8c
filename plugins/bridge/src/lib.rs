//! Rooms that are mirrored to others: what is published in one goes to the subscribers of the others as well.
//!
//! Config: for each room the topics that hear it. A mirror has a direction; two rooms that hear each other are two lines.
//! Without a config, and in rooms that are not named in it, what is published goes to the room's own subscribers.
//!
//! ```json
//! {"mirrors": {"room.en": ["room.de", "audit"], "room.de": ["room.en"]}}
//! ```
//!
//! - The message is passed on as it was published, whatever it is, and names the room where that was as its `topic`: so a
//!   client knows what came over the bridge. Who subscribes to both rooms receives it once.
//! - The rooms that hear may be those of any rule, such as `chat.lobby`: their rule is not asked, and does not know. So
//!   what it would refuse (the muted, a rate) is refused only where it is published. An operator who bridges wants that.
//! - Nothing goes further than one step: a delivery is no event, so bridges can't go round in circles.
//! - All subscribers see the messages of one room in the same order. How those of two rooms mix may differ between them,
//!   as it does for anybody who subscribes to two topics.
//! - Joins and leaves are announced to nobody, in no room.
//!
//! # What is kept, and what it costs
//!
//! Nothing is kept. A publish never calls the host; the message is rendered once for all rooms, and the host touches each
//! of their subscribers once or twice to make one set of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use volley_plugin::{Event, Info, Kind, Outcome, Refusal, Rule, config, export_rule, subscribers, subscribers_of};

struct Bridge {
    mirrors: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    mirrors: BTreeMap<String, Vec<String>>,
}

/// A set expression has 64 operations at most (`expression_ops_max`): two for each room but the first.
const HEARING_MAX: usize = 31;

impl Rule for Bridge {
    fn info() -> Info {
        Info { name: "bridge", version: env!("CARGO_PKG_VERSION"), description: "one room mirrored to others" }
    }

    fn init(text: &str) -> Result<Self, String> {
        let Config { mirrors } = config(text)?;
        for (room, hearing) in &mirrors {
            if hearing.len() > HEARING_MAX {
                return Err(format!("at most {HEARING_MAX} topics hear {room}"));
            }
            if let Some(odd) = std::iter::once(room).chain(hearing).find(|topic| !is_topic(topic)) {
                return Err(format!("a room is a topic such as room.en, no pattern, not {odd:?}"));
            }
        }
        Ok(Self { mirrors })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        if event.kind != Kind::Publish {
            return Ok(Outcome::new());
        }
        let hearing = self.mirrors.get(&event.topic).into_iter().flatten();
        Ok(Outcome::new().forward(hearing.fold(subscribers(), |all, topic| all | subscribers_of(topic))))
    }
}

/// The host takes any text for the topic of a set; one with a misprint has no subscribers, for ever.
fn is_topic(text: &str) -> bool {
    let in_segment = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    text.split('.').all(|segment| !segment.is_empty() && segment.bytes().all(in_segment))
}

export_rule!(Bridge);

#[cfg(test)]
mod tests {
    use super::Bridge;
    use volley_plugin::Rule;
    use volley_plugin::testing::recorded;

    #[test]
    fn recorded_events() {
        recorded::<Bridge>("tests/events.jsonl");
    }

    #[test]
    fn a_config_that_makes_no_sense_is_refused_in_words() {
        for (config, words) in [
            (r#"{"mirrors": {"room.*": ["a"]}}"#, "no pattern, not \"room.*\""),
            (r#"{"mirrors": {"room": ["a..b"]}}"#, "not \"a..b\""),
            (r#"{"mirrors": [["a", "b"]]}"#, "the config does not fit"),
        ] {
            let refused = Bridge::init(config).err().expect("refused");
            assert!(refused.contains(words), "{refused}");
        }
    }
}
