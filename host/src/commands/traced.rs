//! Traces as commands read them.

use crate::trace::Trace;
use anyhow::{Context as _, anyhow};
use std::path::Path;

/// A trace in a file.
pub(super) fn read(file: &Path) -> anyhow::Result<Trace> {
    let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} is no trace that can be used", file.display()))
}

pub(super) fn parse(text: &[u8]) -> anyhow::Result<Trace> {
    Trace::parse(text).map_err(|bad| anyhow!("{bad}"))
}
