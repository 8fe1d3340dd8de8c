//! The broadcast workload: one room, one broadcast after the other. Each waits until the server has parked everybody again,
//! and only what it costs from its publish to there is counted.

use anyhow::Result;

use crate::child::Server;
use crate::cpu::CpuTime;
use crate::crowd::Rooms;
use crate::mark::{self, Spent};
use crate::report::Figure;
use crate::stage::Stage;

pub(crate) fn run(server: &Server, members: usize, times: u32) -> Result<Vec<Figure>> {
    let mut stage = Stage::open(server, members, Rooms::of(1), 1)?;
    stage.settle()?;
    // The first one, a warm-up, is not counted.
    broadcast_once(&mut stage, server, &mut Spent::default())?;
    let mut spent = Spent::default();
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let latencies = broadcast_once(&mut stage, server, &mut spent)?;
        firsts.extend(latencies.first());
        lasts.extend(latencies.last());
    }
    // A double would come after its first.
    stage.settle()?;
    firsts.sort_unstable();
    lasts.sort_unstable();
    let mut figures = vec![
        mark::latency("first_delivery_ms", &firsts, 50.0),
        mark::latency("last_delivery_ms", &lasts, 50.0),
        mark::latency("last_delivery_worst_ms", &lasts, 100.0),
    ];
    figures.extend(spent.figures());
    figures.extend(stage.faults().figures());
    Ok(figures)
}

/// Publishes once, waits until all have it and have polled again, and returns the latencies in order.
fn broadcast_once(stage: &mut Stage, server: &Server, spent: &mut Spent) -> Result<Vec<u32>> {
    stage.crowd.tally.latencies.clear();
    let before = stage.crowd.tally.deliveries;
    let (of_server, of_client) = (CpuTime::of_family(server.pid())?, CpuTime::of_driver()?);
    stage.publish(0)?;
    stage.await_deliveries()?;
    spent.client_seconds += CpuTime::of_driver()?.seconds_since(&of_client);
    let rest = stage.rest()?;
    spent.server_seconds += (rest.server.seconds_since(&of_server) - rest.idle_seconds).max(0.0);
    spent.deliveries += stage.crowd.tally.deliveries - before;
    let mut latencies = std::mem::take(&mut stage.crowd.tally.latencies);
    latencies.sort_unstable();
    Ok(latencies)
}
