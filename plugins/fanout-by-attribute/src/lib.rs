//! A topic whose publisher says who receives: not by name, but by what they are.
//!
//! ```json
//! {"to": {"region": "eu", "plan": ["pro", "team"]}, "not": {"role": "bot"}, "data": {"anything": true}}
//! ```
//!
//! goes to the subscribers in that region that have either plan and are no bots; they receive `data` as it was written.
//! All attributes of `to` must fit, one value of each; whoever fits one of `not` receives nothing. Both may be left out.
//!
//! Config, with its defaults, says what the attributes are called and where they stand in a session's `params`, as JSON
//! pointers:
//!
//! ```json
//! {"attributes": {"region": "/claims/region", "role": "/claims/role", "plan": "/claims/plan"}}
//! ```
//!
//! - What stands under `claims` a token has said, where clients show tokens; anything else a client says of itself.
//! - An attribute is a text, a number, true or false, or a list of these (16 at most, of 128 bytes); as text they are
//!   compared. A join with anything else in its place is a 400, one without it just has no such attribute.
//! - An attribute that is not in the config, an empty list, and more than 31 values in one event are a 400.
//! - Attributes are those of the moment of the join: a session that gets another token is known by it once it joins anew.
//! - A session that leaves the topic while another rule routes it is known until it ends, or joins and leaves again.
//! - Whoever may publish reaches whom it wants: who that is, tokens and keys say. Joins and leaves are announced to nobody.
//!
//! # What is kept
//!
//! In the scope `attributes` a group for each value in each topic, such as `news`, `region`, `eu`. A session that ends
//! leaves them by itself, one that leaves the topic is taken out. Nothing outlives a restart, as sessions do not.
//!
//! # What it costs
//!
//! A publish calls the host never: it returns an expression over the groups, and the host touches each PID in the groups
//! it names, whoever else subscribes. A join calls it once for each value, a leave once more than that.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use volley_plugin::{
    Error, Event, Info, Key, Kind, Message, Outcome, Payload, Pid, Reach, Recipients, Refusal, Rule, Scope, config,
    export_rule, subscribers,
};

struct Fanout {
    pointers: BTreeMap<String, String>,
    groups: Scope,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    attributes: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        let claim = |name: &str| (name.to_owned(), format!("/claims/{name}"));
        Self { attributes: ["region", "role", "plan"].map(claim).into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication<'a> {
    #[serde(default)]
    to: Filter,
    #[serde(default)]
    not: Filter,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// By the names of attributes.
type Filter = BTreeMap<String, Value>;

/// The sessions in a topic that have a value.
struct Group<'a> {
    topic: &'a str,
    attribute: &'a str,
    value: &'a str,
}

/// A set expression has 64 operations at most (`expression_ops_max`): two for each value, and two more.
const VALUES_OF_EVENT_MAX: usize = 31;
const VALUES_OF_SESSION_MAX: usize = 16;
/// With the longest topic and name, the name of a group is far below its 1,024 bytes (`group_bytes_max`).
const VALUE_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 64;
const ATTRIBUTES_MAX: usize = 16;

impl Rule for Fanout {
    fn info() -> Info {
        let description = "recipients by what their users are";
        Info { name: "fanout-by-attribute", version: env!("CARGO_PKG_VERSION"), description }
    }

    fn init(text: &str) -> Result<Self, String> {
        let Config { attributes } = config(text)?;
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(format!("there are at most {ATTRIBUTES_MAX} attributes"));
        }
        for (name, pointer) in &attributes {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
                return Err(format!("the name of an attribute has 1 to {NAME_BYTES_MAX} bytes, no zero: {name:?}"));
            }
            if !pointer.starts_with('/') {
                return Err(format!("{name} stands at a JSON pointer such as /claims/{name}, not at {pointer:?}"));
            }
        }
        Ok(Self { pointers: attributes, groups: Scope::open("attributes", Reach::Node)? })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match (event.kind, event.sender) {
            (Kind::Publish, _) => self.publish(event),
            (Kind::Join, Some(pid)) => self.join(event, pid),
            (Kind::Leave, Some(pid)) => {
                self.leave(&event.topic, pid);
                Ok(Outcome::new())
            }
            _ => Ok(Outcome::new()),
        }
    }
}

impl Fanout {
    fn join(&self, event: &Event, pid: Pid) -> Result<Outcome, Refusal> {
        let params: Value = event.params()?;
        let mut groups = Vec::new();
        for (attribute, pointer) in &self.pointers {
            let values = params.pointer(pointer).map_or(Ok(Vec::new()), values);
            let values = values.map_err(|words| Refusal::invalid(format!("{attribute} in the params {words}")))?;
            groups.extend(values.into_iter().map(|value| (attribute, value)));
        }
        let join_all = || {
            for (attribute, value) in &groups {
                self.groups.join(&Group { topic: &event.topic, attribute, value }, [pid])?;
            }
            Ok::<_, Error>(Outcome::new())
        };
        // Who is not let in must not receive.
        Ok(join_all().inspect_err(|_| self.leave(&event.topic, pid))?)
    }

    /// A leave brings no params, but the host knows which groups a session is in.
    fn leave(&self, topic: &str, pid: Pid) {
        let of_topic = [topic.as_bytes(), &[0]].concat();
        for group in self.groups.which_groups(pid).into_iter().filter(|group| group.starts_with(&of_topic)) {
            self.groups.leave(&group, [pid]);
        }
    }

    fn publish(&self, event: &Event) -> Result<Outcome, Refusal> {
        let Publication { to, not, data } = event.json()?;
        let (mut recipients, mut count) = (None, 0);
        for (attribute, value) in &to {
            let fits = self.any_of(&event.topic, attribute, value, &mut count)?;
            recipients = Some(match recipients {
                None => fits,
                Some(so_far) => so_far & fits,
            });
        }
        let mut recipients = recipients.unwrap_or_else(subscribers);
        for (attribute, value) in &not {
            recipients = recipients - self.any_of(&event.topic, attribute, value, &mut count)?;
        }
        let data = Payload::Json(data.get().as_bytes().to_vec());
        Ok(Outcome::new().deliver(recipients, Message::Data(data)))
    }

    /// The sessions that have one of the values; `count` has all values of the event.
    fn any_of(&self, topic: &str, attribute: &str, value: &Value, count: &mut usize) -> Result<Recipients, Refusal> {
        if !self.pointers.contains_key(attribute) {
            let known: Vec<&str> = self.pointers.keys().map(String::as_str).collect();
            return Err(Refusal::invalid(format!("there is no attribute {attribute}, but {}", known.join(", "))));
        }
        let values = values(value).map_err(|words| Refusal::invalid(format!("{attribute} {words}")))?;
        *count += values.len();
        if *count > VALUES_OF_EVENT_MAX {
            return Err(Refusal::invalid(format!("an event names at most {VALUES_OF_EVENT_MAX} values")));
        }
        let members = values.iter().map(|value| self.groups.members(&Group { topic, attribute, value }));
        let any = members.reduce(|any, members| any | members);
        any.ok_or_else(|| Refusal::invalid(format!("{attribute} is an empty list, which nobody fits")))
    }
}

/// One value or a list of them, as text. An `Err` goes on after the attribute's name.
fn values(value: &Value) -> Result<Vec<String>, String> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        value => std::slice::from_ref(value),
    };
    if list.len() > VALUES_OF_SESSION_MAX {
        return Err(format!("has more than {VALUES_OF_SESSION_MAX} values"));
    }
    let text = |value: &Value| match value {
        Value::String(text) if text.len() > VALUE_BYTES_MAX => Err(format!("is longer than {VALUE_BYTES_MAX} bytes")),
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err("is a text, a number, true, false, or a list of these".to_owned()),
    };
    list.iter().map(text).collect()
}

impl Key for Group<'_> {
    /// The value comes last, so it may be anything.
    fn write(&self, bytes: &mut Vec<u8>) {
        for part in [self.topic, self.attribute] {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        bytes.extend_from_slice(self.value.as_bytes());
    }
}

export_rule!(Fanout);

#[cfg(test)]
mod tests {
    use super::Fanout;
    use volley_plugin::Rule;
    use volley_plugin::testing::recorded;

    #[test]
    fn recorded_events() {
        recorded::<Fanout>("tests/events.jsonl");
    }

    #[test]
    fn a_config_that_makes_no_sense_is_refused_in_words() {
        for (config, words) in [
            (r#"{"attributes": {"region": "region"}}"#, "region stands at a JSON pointer"),
            (r#"{"attributes": {"": "/a"}}"#, "has 1 to 64 bytes"),
        ] {
            let refused = Fanout::init(config).err().expect("refused");
            assert!(refused.contains(words), "{refused}");
        }
    }
}
