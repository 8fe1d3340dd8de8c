//! Lines `FROM=>TO`, as edits of the contract's text: a component built for what comes out is accepted exactly if what
//! it has is in the contract still.

use crate::mismatches::mismatches;
use crate::oracles::{component, world};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WorldId};

const EDITS_MAX: usize = 8;
const TEXT_BYTES_MAX: usize = 40_000;

/// Checks one list of edits.
pub fn check(data: &[u8]) {
    let Ok(edits) = std::str::from_utf8(data) else { return };
    let mut text = world::TEXT.to_owned();
    for (from, to) in edits.lines().take(EDITS_MAX).filter_map(|line| line.split_once("=>")) {
        if !from.is_empty() && text.len() < TEXT_BYTES_MAX {
            text = text.replacen(from, to, 3);
        }
    }
    let Some(component) = built(&text) else { return };
    component::is_judged(&component);
    let words = mismatches(&component);
    assert_eq!(world::fits(&component), Some(words.is_empty()), "{words:?}");
}

/// A component that imports all that the world `plugin` does, and does nothing.
fn built(text: &str) -> Option<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("edited.wit", text).ok()?;
    let world: WorldId = *resolve.packages[package].worlds.get("plugin")?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).ok()?;
    ComponentEncoder::default().module(&module).ok()?.encode().ok()
}
