//! Between the bindings and a [`Rule`]. Public only for what `export_rule!` expands to.

pub use std::cell::OnceCell;
use std::panic::PanicHookInfo;

pub use crate::bindings::exports::volley::router::handler::{Guest, PluginInfo};
pub use crate::bindings::migration::exports::volley::router::migration::Guest as GuestMigration;
pub use crate::bindings::reversal::exports::volley::router::reversal::Guest as GuestReversal;
pub use crate::bindings::volley::router::types::{Event, Outcome, Refusal};

use crate::{Migration, Reversal, Rule, log};

/// The contract's `info`.
pub fn info<R: Rule>() -> PluginInfo {
    let info = R::info();
    PluginInfo {
        name: info.name.to_owned(),
        version: info.version.to_owned(),
        description: info.description.to_owned(),
    }
}

/// The contract's `init`: makes the instance's rule.
pub fn init<R: Rule>(instance: &OnceCell<R>, config: &str) -> Result<(), String> {
    std::panic::set_hook(Box::new(report));
    let rule = R::init(config)?;
    instance.set(rule).map_err(|_| "this instance has a rule already".to_owned())
}

/// Without this the words of a panic are lost: there is no standard error in there. One line, as the log wants it.
fn report(panic: &PanicHookInfo<'_>) {
    let words = panic.payload_as_str().unwrap_or("without words");
    match panic.location() {
        Some(place) => log::error!("panicked at {place}: {words}"),
        None => log::error!("panicked: {words}"),
    }
}

/// The contract's `route`.
pub fn route<R: Rule>(instance: &OnceCell<R>, event: Event) -> Result<Outcome, Refusal> {
    let event = event.into();
    match ready(instance).route(&event) {
        Ok(outcome) => Ok(outcome.into_wit(&event.topic)),
        Err(refusal) => Err(refusal.into_wit()),
    }
}

/// The contract's `upgrade`.
pub fn upgrade<R: Migration>(instance: &OnceCell<R>, old_version: &str, config: &str) -> Result<(), String> {
    ready(instance).upgrade(old_version, config)
}

/// The contract's `downgrade`.
pub fn downgrade<R: Reversal>(instance: &OnceCell<R>, to_version: &str) -> Result<(), String> {
    ready(instance).downgrade(to_version)
}

fn ready<R>(instance: &OnceCell<R>) -> &R {
    instance.get().expect("the host calls init first")
}
