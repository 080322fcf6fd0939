//! Shards that move from one process to another, under load.

use std::time::Duration;

use crate::{content::content, fleet::Fleet, mosquitto::Mosquitto, programs::Program};

/// The exit code of a process whose shards were taken: `service::exit::CONFLICT`.
const TAKEN: Option<i32> = Some(75);

async fn assert_fenced(old: &mut Program) {
    let (code, said) = old.ended().await;
    assert_eq!(code, TAKEN, "{said}");
    assert!(said.contains("another ingest has taken shards of this one"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_instances_take_over_from_two_that_still_run() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let start = |share| Program::ingest(data.path(), broker.address(), share);
    let mut two = [(0, 2), (1, 2)].map(start);
    let agents = fleet.drive(data.path(), broker.address(), Duration::from_secs(8)).await;
    agents.until_acked(50).await;
    two.iter_mut().for_each(Program::assert_running);

    let mut three = [(0, 3), (1, 3), (2, 3)].map(start);
    for old in &mut two {
        assert_fenced(old).await;
    }
    agents.drained().await;
    three.iter_mut().for_each(Program::assert_running);
    agents.stop().await;
    drop(three);
    assert_eq!(&content(&data.path().join("lake")).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_share_started_twice_the_second_start_is_the_owner() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let start = || Program::ingest(data.path(), broker.address(), (0, 1));
    let mut first = start();
    let agents = fleet.drive(data.path(), broker.address(), Duration::from_secs(6)).await;
    agents.until_acked(50).await;
    let mut second = start();
    assert_fenced(&mut first).await;
    agents.drained().await;
    second.assert_running();
    agents.stop().await;
    drop(second);
    assert_eq!(&content(&data.path().join("lake")).await, expected);
}
