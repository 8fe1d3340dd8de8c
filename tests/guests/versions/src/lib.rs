//! One rule that can be any number of versions: a test overwrites the settings in the built component, and so makes
//! versions that differ in what they do, and in their SHA-256, without a compiler.
//!
//! What is published on a topic is delivered as `{"by":NAME,"config":CONFIG,"n":COUNT,"data":DATA}`, where `COUNT` is
//! how many events of the topic have been routed before, by whatever version; so an event that two versions route, or
//! none, shows. The published `{"do":…}` besides
//!
//! | do | what happens |
//! |---|---|
//! | `enlist` | the sender joins a group |
//! | `call` | the message goes to that group only |
//! | `remind` with `ms` | a timer is set; its event delivers `{"by":NAME,"timer":{"set_by":NAME}}` to all |
//! | `trap` | panics before anything is written, if the settings say `traps` |
//!
//! `settings` says how versions differ, `layout` what they keep, and what of that differs.

mod layout;
mod settings;

use layout::Layout;
use serde_json::{Value, json};
use settings::{Settings, To};
use std::cell::Cell;
use volley_plugin::{Event, Info, Kind, Migration, Outcome, Refusal, Reversal, Rule, config, export_rule, subscribers};

struct Version {
    settings: Settings,
    config: Value,
    layout: Layout,
    /// By this instance.
    routed: Cell<u64>,
}

impl Rule for Version {
    fn info() -> Info {
        let Settings { name, release, .. } = Settings::read();
        // Once for each instance.
        Info { name: "versions", version: release.leak(), description: name.leak() }
    }

    fn init(text: &str) -> Result<Self, String> {
        let settings = Settings::read();
        let config: Value = config(text)?;
        let layout = Layout::open(settings.layout)?;
        settings.init.happen()?;
        if let Some(words) = config["fail"].as_str() {
            return Err(words.to_owned());
        }
        Ok(Self { settings, config, layout, routed: Cell::new(0) })
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        let by = &self.settings.name;
        match event.kind {
            Kind::Publish => self.publish(event),
            Kind::Timer => {
                let data: Value = event.json()?;
                self.layout.forget_reminder(&event.topic)?;
                Ok(Outcome::new().send(subscribers(), &json!({"by": by, "timer": data})))
            }
            Kind::Join | Kind::Leave | Kind::Exit(_) => Ok(Outcome::new()),
        }
    }
}

impl Version {
    fn publish(&self, event: &Event) -> Result<Outcome, Refusal> {
        self.routed.set(self.routed.get() + 1);
        assert_ne!(self.routed.get(), self.settings.trap_at, "the event on which this version traps");
        let data: Value = event.json()?;
        let mut to = match self.settings.to {
            To::Subscribers => subscribers(),
            To::Others => subscribers() - event.sender,
            To::Enlisted => subscribers() | self.layout.enlisted(),
        };
        match data["do"].as_str() {
            Some("trap") if self.settings.traps => panic!("told to trap"),
            Some("enlist") => self.layout.enlist(event.sender)?,
            Some("call") => to = self.layout.enlisted(),
            Some("remind") => {
                let ms = data["ms"].as_u64().ok_or_else(|| Refusal::invalid("remind takes ms"))?;
                self.layout.remind(&event.topic, ms, &self.settings.name)?;
            }
            _ => {}
        }
        let n = self.layout.count(&event.topic)?;
        let message = json!({"by": self.settings.name, "config": self.config, "n": n, "data": data});
        Ok(Outcome::new().send(to, &message))
    }
}

impl Migration for Version {
    fn upgrade(&self, old_version: &str, config: &str) -> Result<(), String> {
        match (layout_of(old_version), self.settings.layout) {
            (Some(old), new) if old == new => {}
            (Some(1), 2) => self.layout.upgrade(&self.settings.name)?,
            _ => return Err(format!("there is no way from {old_version} to {}", self.settings.release)),
        }
        self.layout.note("upgrade", &json!([old_version, config]))?;
        self.settings.upgrade.happen()
    }
}

impl Reversal for Version {
    fn downgrade(&self, to_version: &str) -> Result<(), String> {
        match (layout_of(to_version), self.settings.layout) {
            (Some(old), new) if old == new => {}
            (Some(1), 2) => self.layout.downgrade(&self.settings.name)?,
            _ => return Err(format!("there is no way from {} to {to_version}", self.settings.release)),
        }
        self.layout.note("downgrade", &json!([to_version]))?;
        self.settings.downgrade.happen()
    }
}

/// `0.1.…` has the first layout, `0.2.…` the second.
fn layout_of(release: &str) -> Option<u8> {
    let minor = release.strip_prefix("0.")?.split('.').next()?.parse().ok()?;
    [1, 2].contains(&minor).then_some(minor)
}

/// The component's start function: instances trap before anything of the rule is called, if the settings say so.
#[allow(unsafe_code, reason = "a name that the linker looks for is unsafe to give")]
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn _initialize() {
    assert!(!Settings::read().load_traps, "told to trap at load");
}

export_rule!(Version, upgrade, downgrade);
