//! What a rule costs before its first event: compiling it, which a server does once, and making an instance, which each lane
//! does, and again after a fault.

use crate::limits::Limits;
use crate::router::{Engine, Guest, Mounted};
use crate::shared::Shared;
use crate::workers::Workers;
use anyhow::anyhow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Instances that are made one after the other.
const INSTANCES: usize = 50;

/// Measures and prints a row.
pub(super) fn run(component: &[u8]) -> anyhow::Result<()> {
    let limits = Limits::default();
    let engine = Engine::new(&limits)?;
    let begun = Instant::now();
    let rule = engine.compile(component).map_err(|mismatches| anyhow!("{}", mismatches.join("; ")))?;
    let compiled = begun.elapsed();
    let shared = Arc::new(Shared::new(0, limits, Workers::new(1).0));
    let mounted = Arc::new(Mounted { plugin: "bench".into(), config: "null".into(), rule: Arc::new(rule) });
    let (mut times, mut memory) = (Vec::new(), 0);
    for _ in 0..INSTANCES {
        let begun = Instant::now();
        let guest = Guest::live(&mounted, &shared).map_err(|fault| anyhow!("{fault}"))?;
        times.push(begun.elapsed());
        memory = shared.metrics.of_plugin(&mounted.plugin).memory.get();
        drop(guest);
    }
    times.sort_unstable();
    let us = |time: Duration| time.as_nanos() as f64 / 1e3;
    println!(
        "{:>15} {:>10} {:>15} {:>15} {:>12}",
        "component bytes", "compile ms", "instance p50 us", "instance max us", "memory KiB"
    );
    println!(
        "{:>15} {:>10.1} {:>15.1} {:>15.1} {:>12}",
        component.len(),
        us(compiled) / 1e3,
        us(times[INSTANCES / 2]),
        us(times[INSTANCES - 1]),
        memory / 1024
    );
    Ok(())
}
