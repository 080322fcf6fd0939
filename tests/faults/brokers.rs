//! An external broker that dies with everything it remembers.

use std::time::Duration;

use crate::{content::content, fleet::Fleet, mosquitto::Mosquitto, programs::Program};

const KILLS: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_everything_again_and_again_costs_nothing() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let mut broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let mut ingest = Program::ingest(data.path(), broker.address(), (0, 1));
    let agents = fleet.drive(data.path(), broker.address(), Duration::from_secs(8)).await;
    for kill in 1..=KILLS {
        // Among messages: some are at the broker only, some acks too.
        agents.until_acked((kill * fleet.batches() / (KILLS + 2)).max(agents.acked() + 1)).await;
        broker.kill();
        broker.start_again();
    }
    agents.drained().await;
    let reconnects: u64 = agents.handles.iter().map(|a| a.stats().reconnects).sum();
    assert!(reconnects >= KILLS, "{reconnects}");
    agents.stop().await;
    ingest.assert_running();
    drop(ingest);
    assert_eq!(&content(&data.path().join("lake")).await, expected);
}
