//! One instance of a rule, owned by one lane: an event goes in, the complete list comes out.

use crate::denied::Allowed;
use crate::event::{Event, Happening, Payload};
use crate::history::Past;
use crate::journal::Journal;
use crate::outcome::{Delivery, Outcome, Recipients, Refusal, SetOp};
use crate::pid::Pid;
use crate::router::contract::Plugin;
use crate::router::contract::exports::volley::router::handler;
use crate::router::contract::volley::router::types;
use crate::router::engine::{EPOCH_MS, Rule};
use crate::router::fault::{Fault, FaultKind};
use crate::router::host::{self, HostState};
use crate::router::source::Given;
use crate::router::tape::Tape;
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::trace::Met;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::Instance;

/// A rule as it is mounted: whose it is and what it was configured with. Published as one value, so an event is routed
/// under exactly one of them.
pub struct Mounted {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// What `init` gets.
    pub config: String,
    /// The rule.
    pub rule: Arc<Rule>,
}

/// What a rule says of itself.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its own name; operators may mount it under another.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line.
    pub description: String,
}

/// An instance. Dropped after a fault: nobody knows what state it is in.
pub struct Guest {
    of: Arc<Mounted>,
    store: Store<HostState>,
    instance: Instance,
    plugin: Plugin,
    route_ms_max: u64,
    upgrade_ms_max: u64,
    events_left: u64,
    _counted: Counted,
}

/// An instance that `/metrics` counts.
struct Counted(Gauge);

impl Counted {
    fn new(instances: &Gauge) -> Self {
        instances.inc();
        Self(instances.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Guest {
    /// Makes an instance that routes, to replace one of a rule that is active already.
    pub fn live(of: &Arc<Mounted>, shared: &Arc<Shared>) -> Result<Self, Fault> {
        let mut guest = Self::warm(of, shared)?;
        guest.go_live(None)?;
        Ok(guest)
    }

    /// Makes a candidate: an instance that is initialised. Nothing it did is seen by anybody before it goes live.
    pub fn warm(of: &Arc<Mounted>, shared: &Arc<Shared>) -> Result<Self, Fault> {
        let limits = &shared.limits;
        let mut store = new_store(of, shared);
        let mut start = || -> wasmtime::Result<_> {
            let instance = of.rule.ready.instantiate(&mut store)?;
            let plugin = of.rule.exports.load(&mut store, &instance)?;
            let ready = plugin.volley_router_handler().call_init(&mut store, &of.config)?;
            Ok((instance, plugin, ready))
        };
        match start() {
            Ok((instance, plugin, Ok(()))) => Ok(Self {
                of: of.clone(),
                store,
                instance,
                plugin,
                route_ms_max: limits.route_ms_max,
                upgrade_ms_max: limits.upgrade_ms_max,
                events_left: limits.instance_events_max,
                _counted: Counted::new(&shared.metrics.of_plugin(&of.plugin).instances),
            }),
            Ok((_, _, Err(words))) => Err(Fault::answered(words).of_start("init")),
            Err(error) => {
                let fault = Fault::of_call(&error, limits.init_ms_max, "init_ms_max", store.data_mut());
                Err(fault.of_start("init"))
            }
        }
    }

    /// What a rule says of itself; it is not initialised for that.
    pub fn describe(of: &Arc<Mounted>, shared: &Arc<Shared>) -> Result<Info, Fault> {
        let limits = &shared.limits;
        let mut store = new_store(of, shared);
        let describe = |store: &mut Store<HostState>| -> wasmtime::Result<_> {
            let instance = of.rule.ready.instantiate(&mut *store)?;
            let plugin = of.rule.exports.load(&mut *store, &instance)?;
            plugin.volley_router_handler().call_info(store)
        };
        match describe(&mut store) {
            Ok(info) => Ok(Info { name: info.name, version: info.version, description: info.description }),
            Err(error) => {
                let fault = Fault::of_call(&error, limits.init_ms_max, "init_ms_max", store.data_mut());
                Err(fault.within("it can't be loaded"))
            }
        }
    }

    /// What `init` opened is there for all from here on: tables are made and get their bounds, which the journal can undo.
    /// A guest that is live already stays so. After a fault the instance is to be dropped.
    pub fn go_live(&mut self, journal: Option<&Arc<Journal>>) -> Result<(), Fault> {
        self.store.data_mut().go_live(journal).map_err(|words| Fault::new(FaultKind::Init, words).of_start("init"))
    }

    /// Has the rule bring the tables of another version into its own layout; a candidate goes live for it. All it does is
    /// recorded, and to be undone by the caller after a fault. To be called only of rules that migrate.
    pub fn upgrade(&mut self, old_version: &str, config: &str, journal: &Arc<Journal>) -> Result<(), Fault> {
        self.go_live(Some(journal))?;
        let Some(upgrade) = &self.of.rule.upgrade else {
            return Err(Fault::new(FaultKind::Host, "the rule has no upgrade"));
        };
        let upgrade = self.instance.get_typed_func::<(&str, &str), (Result<(), String>,)>(&mut self.store, upgrade);
        self.change_code("upgrade", journal, |store| upgrade?.call(store, (old_version, config)))
    }

    /// Has the rule bring the tables back into the layout of the version before it, likewise. To be called only of rules
    /// that reverse.
    pub fn downgrade(&mut self, to_version: &str, journal: &Arc<Journal>) -> Result<(), Fault> {
        self.go_live(Some(journal))?;
        let Some(downgrade) = &self.of.rule.downgrade else {
            return Err(Fault::new(FaultKind::Host, "the rule has no downgrade"));
        };
        let downgrade = self.instance.get_typed_func::<(&str,), (Result<(), String>,)>(&mut self.store, downgrade);
        self.change_code("downgrade", journal, |store| downgrade?.call(store, (to_version,)))
    }

    fn change_code(
        &mut self,
        what: &str,
        journal: &Arc<Journal>,
        change: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<(Result<(), String>,)>,
    ) -> Result<(), Fault> {
        self.store.set_epoch_deadline(ticks(self.upgrade_ms_max));
        self.store.data_mut().begin_code_change(journal);
        let changed = change(&mut self.store);
        self.store.data_mut().end_code_change();
        match changed {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(words),)) => Err(Fault::answered(words).of_start(what)),
            Err(error) => {
                let fault = Fault::of_call(&error, self.upgrade_ms_max, "upgrade_ms_max", self.store.data_mut());
                Err(fault.of_start(what))
            }
        }
    }

    /// Makes a shadow: a candidate that will never go live.
    pub fn shadow(of: &Arc<Mounted>, shared: &Arc<Shared>) -> Result<Self, Fault> {
        let mut guest = Self::warm(of, shared)?;
        guest.store.data_mut().become_shadow();
        Ok(guest)
    }

    /// Tapes the event that is routed next, for a shadow.
    pub fn begin_tape(&mut self, event: &Event, shared: &Shared) {
        let tape = Tape::begin(shared.feed.look_back(), self.of.clone(), event.id);
        self.store.data_mut().begin_tape(tape);
    }

    /// The tape of the event that was routed last, even if the rule failed on it.
    pub fn end_tape(&mut self) -> Option<Tape> {
        self.store.data_mut().end_tape()
    }

    /// Notes what the event meets with that is routed next, for a trace.
    pub fn begin_notes(&mut self, event: &Event) {
        self.store.data_mut().begin_notes(event.id);
    }

    /// What the event met with that was routed last, even if the rule failed on it. None if there was no room for all of it.
    pub fn end_notes(&mut self, shared: &Shared) -> Option<Met> {
        self.store.data_mut().end_notes()?.finish(shared)
    }

    /// The event that is routed next is given time and chance, and the other ways of a live server, by a trace.
    pub(crate) fn give(&mut self, given: Given) {
        self.store.data_mut().give(given);
    }

    /// Asks a shadow what a live instance was asked. After a fault it is to be dropped.
    pub fn replay(&mut self, event: &Event, tape: Tape) -> Result<Result<Outcome, Refusal>, Fault> {
        self.store.data_mut().begin_replay(tape);
        self.route(event)
    }

    /// The members of a group as a shadow sees them after its answer.
    pub(crate) fn members_after(&mut self, past: Past, scope: &str, group: &[u8]) -> Allowed<Vec<u64>> {
        self.store.data_mut().members_after(past, scope, group)
    }

    /// The event is over for a shadow.
    pub fn end_replay(&mut self) -> Option<Tape> {
        self.store.data_mut().end_replay()
    }

    /// Whether it routes by this rule and this config.
    pub fn is_of(&self, mounted: &Arc<Mounted>) -> bool {
        Arc::ptr_eq(&self.of, mounted)
    }

    /// Whether it has routed enough events: a fresh instance gives back what memory this one has grown.
    pub fn is_spent(&self) -> bool {
        self.events_left == 0
    }

    /// Asks for the complete list. After a fault the instance is to be dropped.
    pub fn route(&mut self, event: &Event) -> Result<Result<Outcome, Refusal>, Fault> {
        self.events_left = self.events_left.saturating_sub(1);
        self.store.set_epoch_deadline(ticks(self.route_ms_max));
        self.store.data_mut().begin_event(event);
        match self.plugin.volley_router_handler().call_route(&mut self.store, lower(event)) {
            Ok(Ok(outcome)) => Ok(Ok(lift(outcome))),
            Ok(Err(types::Refusal::Refused(words))) => Ok(Err(Refusal::Refused(words))),
            Ok(Err(types::Refusal::Invalid(words))) => Ok(Err(Refusal::Invalid(words))),
            Err(error) => Err(Fault::of_call(&error, self.route_ms_max, "route_ms_max", self.store.data_mut())),
        }
    }
}

/// For an instance that has `init_ms_max` to start.
fn new_store(of: &Arc<Mounted>, shared: &Arc<Shared>) -> Store<HostState> {
    let state = HostState::new(of.plugin.clone(), of.rule.short_version().into(), shared);
    let mut store = Store::new(of.rule.ready.engine(), state);
    store.limiter(HostState::limiter);
    store.set_epoch_deadline(ticks(shared.limits.init_ms_max));
    store
}

/// At least the time asked for: the first tick may come at once.
fn ticks(ms: u64) -> u64 {
    ms.div_ceil(EPOCH_MS) + 1
}

/// The event as the rule gets it, nothing copied.
fn lower(event: &Event) -> handler::Event<'_> {
    const NULL: types::PayloadParam<'_> = types::PayloadParam::Json(b"null");
    let (kind, data, reason, params) = match &event.what {
        Happening::Publish(data) => (types::EventKind::Publish, lower_payload(data), None, None),
        Happening::Join { params } => (types::EventKind::Join, NULL, None, params.as_deref()),
        Happening::Leave => (types::EventKind::Leave, NULL, Some(types::ExitReason::Normal), None),
        Happening::Exit(reason) => (types::EventKind::Exit, NULL, Some(exit_reason(*reason)), None),
        Happening::Timer(data) => (types::EventKind::Timer, lower_payload(data), None, None),
    };
    handler::Event {
        id: event.id,
        topic: event.topic.as_str(),
        kind,
        sender: event.sender.map(Pid::to_bits),
        user: event.user.as_deref(),
        time_ms: event.time_ms,
        data,
        reason,
        params,
    }
}

fn lower_payload(payload: &Payload) -> types::PayloadParam<'_> {
    match payload {
        Payload::Json(json) => types::PayloadParam::Json(json),
        Payload::Text(text) => types::PayloadParam::Text(text),
        Payload::Binary(bytes) => types::PayloadParam::Binary(bytes),
    }
}

fn exit_reason(reason: ExitReason) -> types::ExitReason {
    match reason {
        ExitReason::Normal => types::ExitReason::Normal,
        ExitReason::Killed => types::ExitReason::Killed,
        ExitReason::Timeout => types::ExitReason::Timeout,
    }
}

fn lift(outcome: types::Outcome) -> Outcome {
    let delivery = |delivery: types::Delivery| Delivery {
        to: match delivery.to {
            types::Recipients::Subscribers => Recipients::Subscribers,
            types::Recipients::Pids(pids) => Recipients::Pids(pids),
            types::Recipients::Expr(ops) => Recipients::Expression(ops.into_iter().map(set_op).collect()),
        },
        message: match delivery.message {
            types::Message::Forward => None,
            types::Message::Data(payload) => Some(host::lift_payload(payload)),
        },
    };
    Outcome { deliveries: outcome.deliveries.into_iter().map(delivery).collect(), remove: outcome.remove }
}

fn set_op(op: types::SetOp) -> SetOp {
    match op {
        types::SetOp::Pids(pids) => SetOp::Pids(pids),
        types::SetOp::Members((scope, group)) => SetOp::Members { scope, group },
        types::SetOp::Subscribers(topic) => SetOp::Subscribers(topic),
        types::SetOp::Union => SetOp::Union,
        types::SetOp::Intersection => SetOp::Intersection,
        types::SetOp::Subtract => SetOp::Subtract,
    }
}
