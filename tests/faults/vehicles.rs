//! Agents that are killed at any instant, and started again on what they left on disk.

use std::time::Duration;

use crate::{
    content::content,
    fleet::{Draw, Fleet},
    mosquitto::Mosquitto,
    programs::Program,
};

const KILLS: u32 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn agents_killed_at_any_instant_lose_and_double_nothing() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let mut ingest = Program::ingest(data.path(), broker.address(), (0, 1));
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut draw = Draw::new(seed);
    // Slow starts are killed while they write the spool, fast ones while they send it.
    let start = |vehicle: usize, draw: &mut Draw| {
        let speed = ["flat", "200"][draw.index(2)];
        fleet.process(&fleet.vehicles[vehicle], data.path(), broker.address(), speed)
    };
    let mut agents: Vec<Program> = (0..fleet.vehicles.len()).map(|i| start(i, &mut draw)).collect();
    for _ in 0..KILLS {
        tokio::time::sleep(draw.pause(250)).await;
        let vehicle = draw.index(agents.len());
        agents[vehicle].kill();
        agents[vehicle] = start(vehicle, &mut draw);
    }
    for agent in &mut agents {
        let (code, said) = agent.ended().await;
        assert_eq!(code, Some(0), "seed {seed}: {said}");
    }
    ingest.assert_running();
    drop(ingest);
    assert_eq!(&content(&data.path().join("lake")).await, expected, "seed {seed}");
    // Whoever starts again now finds nothing to send.
    tokio::time::timeout(Duration::from_secs(30), fleet_is_done(&fleet, data.path())).await.unwrap();
}

/// Every spool is empty, without any broker.
async fn fleet_is_done(fleet: &Fleet, folder: &std::path::Path) {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for vehicle_id in &fleet.vehicles {
        let (code, said) = fleet.process(vehicle_id, folder, nobody, "flat").ended().await;
        assert_eq!(code, Some(0), "{said}");
    }
}
