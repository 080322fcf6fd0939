//! The same batches again, in any order, hours late, before and after a restart of ingest.

use std::time::Duration;

use edge_agent::{agent, source::replay::Pace};
use mqtt::Broker;
use service::{
    Tasks,
    clock::{ManualClock, SystemClock},
};

use crate::{
    content::content,
    fleet::{Draw, Fleet},
    listener::{Client, Heard},
    mosquitto::Mosquitto,
    pipeline::{PATIENCE, ingest_settings},
};

const LATE: Duration = Duration::from_secs(7 * 3600);

/// Everything the fleet publishes while nobody acknowledges.
async fn record(fleet: &Fleet, broker: &Mosquitto) -> Heard {
    let tasks = Tasks::new();
    let listener = Client::connect(broker.address(), &tasks).await;
    let spools = tempfile::tempdir().unwrap();
    let mut agents = Vec::new();
    for vehicle_id in &fleet.vehicles {
        let mut settings = fleet.settings(vehicle_id, spools.path(), broker.address(), Pace::FlatOut);
        settings.uplink.in_flight_max = 10_000;
        settings.uplink.resend_after = PATIENCE;
        agents.push(agent::start(settings, &tasks, SystemClock::shared()).await.unwrap());
    }
    let made = || -> Option<usize> {
        let stats: Vec<_> = agents.iter().map(agent::Handle::stats).collect();
        let is_done = stats.iter().all(|s| s.is_source_done);
        is_done.then(|| stats.iter().map(|s| s.batches_spooled as usize).sum())
    };
    let is_whole = |heard: &Heard| Some(heard.batches.len()) == made();
    assert!(listener.until(PATIENCE, is_whole).await, "{:?} batches were made", made());
    tasks.stop(Duration::from_secs(10)).await.unwrap();
    std::mem::take(&mut *listener.heard.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_in_any_order_and_hours_late_are_stored_once() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let recorded = record(&fleet, &broker).await;
    let seed = u64::from(std::process::id());
    println!("seed {seed}, {} batches", recorded.batches.len());
    let mut draw = Draw::new(seed);

    let data = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(SystemClock::shared().now_us());
    let tasks = Tasks::new();
    let client = Client::connect(broker.address(), &tasks).await;
    let address = broker.address();
    let start = || async {
        let mut settings = ingest_settings(data.path());
        settings.flush_interval = Duration::from_millis(100);
        settings.broker = ingest::config::BrokerSettings::External(ingest::config::ExternalBroker {
            broker: Broker::plain(address.ip().to_string(), address.port()),
            connections: 4,
        });
        let stage = Tasks::new();
        let handle = ingest::start(settings, &stage, clock.clone()).await.unwrap();
        handle.connected().await;
        (handle, stage)
    };
    let mut all: Vec<_> = recorded.batches.iter().collect();
    let mut running = start().await;
    for catalog in recorded.catalogs.values() {
        client.publish(catalog);
    }
    for round in 0.. {
        assert!(round < 20, "seed {seed}: not all is acknowledged");
        draw.shuffle(&mut all);
        // At first half of them only, so that the rest comes before and after a restart.
        let published = if round == 0 { all.len() / 2 } else { all.len() };
        for (place, (_, message)) in all.iter().enumerate().take(published) {
            client.publish(message);
            if draw.below(4) == 0 {
                client.publish(all[draw.index(place + 1)].1);
            }
        }
        let is_all = |heard: &Heard| all.iter().all(|(key, _)| heard.is_acked(**key));
        let patience = Duration::from_secs(if round == 0 { 1 } else { 10 });
        if client.until(patience, is_all).await {
            break;
        }
        let (handle, stage) = running;
        handle.stop(Duration::from_secs(30)).await.unwrap();
        stage.stop(Duration::from_secs(30)).await.unwrap();
        clock.advance(LATE);
        running = start().await;
        for catalog in recorded.catalogs.values() {
            client.publish(catalog);
        }
    }
    let (handle, stage) = running;
    assert!(handle.stats().samples_duplicate > 0);
    handle.stop(Duration::from_secs(30)).await.unwrap();
    stage.stop(Duration::from_secs(30)).await.unwrap();
    tasks.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(&content(&data.path().join("lake")).await, expected, "seed {seed}");
}
