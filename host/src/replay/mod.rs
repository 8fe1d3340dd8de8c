//! A trace, played to a version of a rule without a server: before each event the world is set to what the trace says of
//! it, time and chance come from the trace, and the rule is asked. The same trace and component give the same answers.
//!
//! What it cannot know: keys and groups that the recorded version did not touch (they are taken as absent, and it is told
//! which), who subscribed by then to a topic that no answer has named since, what others changed while the event was routed,
//! what a rule keeps in its own memory, and the layout that a version would first bring the tables into, if it
//! migrates. An object that expires does not, here.

mod differences;
pub(crate) mod world;

pub use differences::{Difference, MessageChange, Pair};

use crate::caller::Caller;
use crate::event::{Event, Happening};
use crate::limits::Limits;
use crate::outcome::{Outcome, Refusal};
use crate::pid::Pid;
use crate::recipients::Resolver;
use crate::router::{Engine, Fault, Given, Guest, Info, Mounted, Rule};
use crate::shared::Shared;
use crate::topic::Topic;
use crate::trace::convert::{json, named_groups, pids};
use crate::trace::{Answer, Delivery, EventLine, GroupTouch, Kind, Met, Recorded, Routed, Trace};
use crate::workers::Workers;
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A replay takes its time, so that a slow machine does not make a rule fail that did not.
const PATIENCE: u64 = 20;

/// A version that is asked again.
pub struct Replay {
    shared: Arc<Shared>,
    plugin: Arc<str>,
    by: Caller,
    rule: Arc<Rule>,
    /// What the rule says of itself.
    pub info: Info,
    /// In place of those in the trace.
    config: Option<String>,
    instances: BTreeMap<String, Instance>,
    subscribed: BTreeMap<Topic, Arc<[Pid]>>,
}

struct Instance {
    of: Arc<Mounted>,
    /// None after a fault.
    guest: Option<Guest>,
}

/// What a version did with an event.
pub struct Played {
    /// What it met with. None if there was no room for all of it.
    pub met: Option<Met>,
    /// What it said.
    pub answer: Answer,
}

impl Replay {
    /// Of a component, with this config or those of the trace.
    pub fn new(trace: &Trace, component: &[u8], config: Option<String>) -> anyhow::Result<Self> {
        let mut limits = Limits::default();
        for (name, bound) in &trace.header.limits {
            // A bound that this program does not know bounds nothing here.
            limits.set(name, *bound);
        }
        limits.route_ms_max = limits.route_ms_max.saturating_mul(PATIENCE);
        limits.init_ms_max = limits.init_ms_max.saturating_mul(PATIENCE);
        limits.check().map_err(|words| anyhow!("the trace has limits that make no sense: {words}"))?;
        let engine = Engine::new(&limits)?;
        let compiled = engine.compile(component).map_err(|mismatches| anyhow!("{}", mismatches.join("; ")))?;
        let (rule, plugin) = (Arc::new(compiled), Arc::<str>::from(trace.header.plugin.as_str()));
        let shared = Arc::new(Shared::new(trace.header.node, limits, Workers::new(1).0));
        let mounted = mount(&plugin, &rule, "null");
        let info = Guest::describe(&mounted, &shared).map_err(|fault| anyhow!("{fault}"))?;
        let (by, instances, subscribed) = (Caller::of(plugin.clone()), BTreeMap::new(), BTreeMap::new());
        for recorded in &trace.events {
            world::open_tables_of_others(&shared, &by, &recorded.line.met);
        }
        Ok(Self { shared, plugin, by, rule, info, config, instances, subscribed })
    }

    /// `sha256:…` of the component.
    pub fn version(&self) -> &str {
        &self.rule.version
    }

    /// Whether it would first change the layout of its tables, which a replay does not.
    pub fn migrates(&self) -> bool {
        self.rule.migrates()
    }

    /// Asks it what was asked then.
    pub fn play(&mut self, trace: &Trace, recorded: &Recorded) -> anyhow::Result<Played> {
        let line = &recorded.line;
        let config = match (&self.config, trace.versions.get(&line.by)) {
            (Some(config), _) => config.clone(),
            (None, Some(version)) => json(&version.config),
            (None, None) => "null".into(),
        };
        let mut guest = self.guest(&config)?;
        self.set_world(recorded);
        guest.give(Given::of(line));
        let event = line.to_event();
        guest.begin_notes(&event);
        let said = guest.route(&event);
        let met = guest.end_notes(&self.shared);
        let failed = said.is_err();
        let (answer, named) = match said {
            // It did not come to lists then, and so it does not here.
            Ok(Ok(outcome)) if line.unrouted.is_some() => (Answer::Routed(Routed::as_said(&outcome)), Vec::new()),
            said => self.answer(&event, &line.met, said),
        };
        let met = met.map(|mut met| {
            met.name(named);
            met
        });
        self.clear_world(line, met.as_ref());
        let is_spent = failed || guest.is_spent();
        if let Some(instance) = self.instances.get_mut(&config).filter(|_| !is_spent) {
            instance.guest = Some(guest);
        }
        Ok(Played { met, answer })
    }

    fn guest(&mut self, config: &str) -> anyhow::Result<Guest> {
        let make = || Instance { of: mount(&self.plugin, &self.rule, config), guest: None };
        let instance = self.instances.entry(config.to_owned()).or_insert_with(make);
        match instance.guest.take() {
            Some(guest) => Ok(guest),
            None => Guest::live(&instance.of, &self.shared).map_err(|fault| anyhow!("{fault}")),
        }
    }

    /// Who subscribes to topics is known from here on, until the trace says something else; also by an event that is not played.
    pub fn learn(&mut self, recorded: &Recorded) {
        let subscriptions = &self.shared.subscriptions;
        for (topic, pids) in &recorded.subscribers {
            let Ok(topic) = topic.parse::<Topic>() else { continue };
            let before = self.subscribed.insert(topic.clone(), pids.clone());
            for pid in before.iter().flat_map(|before| before.iter()) {
                subscriptions.remove(&topic, *pid);
            }
            for pid in &**pids {
                subscriptions.add(&topic, *pid);
            }
        }
    }

    /// What the recorded version met with is there, and nothing else.
    fn set_world(&mut self, recorded: &Recorded) {
        self.learn(recorded);
        let (shared, line) = (&self.shared, &recorded.line);
        if let (Kind::Join, Some(joiner)) = (line.kind, line.sender) {
            // It becomes a subscriber when the rule has agreed.
            shared.subscriptions.remove(&line.topic, joiner);
        }
        world::set(shared, &self.by, &line.met);
    }

    fn clear_world(&self, line: &EventLine, met: Option<&Met>) {
        if let (Kind::Join, Some(joiner)) = (line.kind, line.sender) {
            let was_there = self.subscribed.get(&line.topic).is_some_and(|pids| pids.contains(&joiner));
            if was_there {
                self.shared.subscriptions.add(&line.topic, joiner);
            } else {
                self.shared.subscriptions.remove(&line.topic, joiner);
            }
        }
        world::clear(&self.shared, &self.by, &line.met);
        if let Some(met) = met {
            world::clear(&self.shared, &self.by, met);
        }
    }

    /// As it stands in a trace; and the groups that it names, as they are.
    fn answer(
        &mut self,
        event: &Event,
        recorded: &Met,
        said: Result<Result<Outcome, Refusal>, Fault>,
    ) -> (Answer, Vec<GroupTouch>) {
        let fault = |kind: &str, words: String| Answer::Fault(crate::trace::Fault { kind: kind.into(), words });
        let outcome = match said {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Refusal::Refused(words))) => return (Answer::Refused(words), Vec::new()),
            Ok(Err(Refusal::Invalid(words))) => return (Answer::Invalid(words), Vec::new()),
            Err(wrong) => return (fault(wrong.kind().label(), wrong.to_string()), Vec::new()),
        };
        let Shared { subscriptions, groups, limits, .. } = &*self.shared;
        if let (Happening::Join { .. }, Some(joiner)) = (&event.what, event.sender) {
            subscriptions.add(&event.topic, joiner);
        }
        if outcome.remove.len() as u64 > limits.recipients_max {
            return (fault("answer", "the rule removed more PIDs than recipients_max".into()), Vec::new());
        }
        world::resolve(&self.shared, &self.by, recorded);
        let named = named_groups(&outcome, |scope, group| {
            groups.find(&self.by, scope).ok().flatten().map_or_else(Vec::new, |scope| scope.members(&self.by, group))
        });
        let (said, remove) = (outcome.deliveries.clone(), outcome.remove);
        let resolver = Resolver::new(&self.plugin, &event.topic, subscriptions, groups, limits);
        match resolver.resolve_all(outcome.deliveries, limits, drop) {
            Err(words) => (fault("answer", words), named),
            Ok(lists) => {
                let delivery = |(said, (list, ())): (&_, &(Vec<u64>, ()))| Delivery::of(said, Some(list));
                let deliveries = said.iter().zip(&lists).map(delivery).collect();
                (Answer::Routed(Routed { deliveries, remove: pids(&remove) }), named)
            }
        }
    }
}

fn mount(plugin: &Arc<str>, rule: &Arc<Rule>, config: &str) -> Arc<Mounted> {
    Arc::new(Mounted { plugin: plugin.clone(), config: config.to_owned(), rule: rule.clone() })
}
