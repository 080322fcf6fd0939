//! Links that flap.

use std::time::Duration;

use edge_agent::source::replay::Pace;

use crate::{
    content::content,
    fault_proxy::{FaultProxy, Link},
    fleet::{Agents, Fleet},
    mosquitto::Mosquitto,
    programs::Program,
};

/// How long a link is bad.
const BAD: Duration = Duration::from_millis(400);
/// Batches that get through between two bad times.
const PROGRESS: u64 = 20;

/// Everything a link can do, one after the other, with some progress between.
async fn flap(link: &FaultProxy, agents: &Agents, batches: u64) {
    for fault in [Link::Lose, Link::Stall, Link::Refuse, Link::Slow(2_000), Link::Lose, Link::Stall] {
        link.set(fault);
        if fault == Link::Refuse {
            link.cut();
        }
        tokio::time::sleep(BAD).await;
        link.set(Link::Pass);
        if fault == Link::Stall {
            link.cut();
        }
        agents.until_acked((agents.acked() + PROGRESS).min(batches)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_link_of_the_vehicles_costs_nothing() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let mut ingest = Program::ingest(data.path(), broker.address(), (0, 1));
    let link = FaultProxy::start(broker.address());
    let agents = fleet.start(data.path(), |_| link.address(), Pace::Recorded(100.0)).await;
    agents.until_acked(PROGRESS).await;
    flap(&link, &agents, fleet.batches()).await;
    agents.drained().await;
    let reconnects: u64 = agents.handles.iter().map(|a| a.stats().reconnects).sum();
    assert!(reconnects >= 6, "{reconnects}");
    agents.stop().await;
    ingest.assert_running();
    drop(ingest);
    assert_eq!(&content(&data.path().join("lake")).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_link_of_ingest_costs_nothing() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let link = FaultProxy::start(broker.address());
    let mut ingest = Program::ingest(data.path(), link.address(), (0, 1));
    let agents = fleet.start(data.path(), |_| broker.address(), Pace::Recorded(100.0)).await;
    agents.until_acked(PROGRESS).await;
    flap(&link, &agents, fleet.batches()).await;
    agents.drained().await;
    agents.stop().await;
    assert!(link.connections() >= 4, "{}", link.connections());
    ingest.assert_running();
    drop(ingest);
    assert_eq!(&content(&data.path().join("lake")).await, expected);
}
