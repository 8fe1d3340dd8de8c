//! The plain topic: what is published is delivered, unchanged, to all subscribers of the topic, the sender included.
//!
//! Everybody may join and publish, nothing is remembered. A join, a leave or an exit is announced to nobody.

use volley_plugin::{Event, Info, Kind, Outcome, Refusal, Rule, export_rule, subscribers};

struct Topic;

impl Rule for Topic {
    fn info() -> Info {
        Info { name: "topic", version: env!("CARGO_PKG_VERSION"), description: "to all subscribers, unchanged" }
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Publish => Ok(Outcome::new().forward(subscribers())),
            Kind::Join | Kind::Leave | Kind::Exit(_) | Kind::Timer => Ok(Outcome::new()),
        }
    }
}

export_rule!(Topic);
