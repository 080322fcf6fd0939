#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use clap::Parser;
use service::{Tasks, config::Loaded};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn arguments(more: &[&str]) -> Arguments {
    Line::parse_from(["load"].iter().chain(more)).arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fleet_sent_is_in_the_lake_when_its_load_ends() {
    let data = tempfile::tempdir().unwrap();
    let mut config = ingest::Config {
        lake: lake::LakeLocation::Folder(data.path().join("lake")),
        ..ingest::Config::default()
    };
    config.broker.embedded_listen = "127.0.0.1:0".to_owned();
    let settings = ingest::Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap();
    let tasks = Tasks::new();
    let ingest = ingest::start(settings, &tasks, SystemClock::shared()).await.unwrap();
    ingest.connected().await;
    let broker = ingest.broker_address().unwrap().to_string();
    let watched = process::id().to_string();
    run(arguments(&[
        "--broker",
        &broker,
        "--vehicles",
        "60",
        "--interval",
        "500ms",
        "--ramp",
        "1s",
        "--duration",
        "4s",
        "--watch",
        &watched,
        "--json",
    ]))
    .await
    .unwrap();
    let stats = ingest.stats();
    // 60 vehicles for some 3.5 s at two batches a second.
    assert!(stats.batches_received > 200, "{stats:?}");
    assert!(stats.samples_stored > 10_000, "{stats:?}");
    assert_eq!(stats.samples_quarantined, 0, "{stats:?}");
    ingest.stop(Duration::from_secs(20)).await.unwrap();
    tasks.stop(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_it_says_so() {
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let few = ["--vehicles", "2", "--ramp", "10ms", "--duration", "1s", "--drain", "1s", "--json"];
    let error = run(arguments(&[["--broker", nobody.as_str()].as_slice(), &few].concat())).await.unwrap_err();
    assert!(error.to_string().contains(&nobody), "{error:#}");
    let error = run(arguments(&["--broker", "nowhere"])).await.unwrap_err();
    assert!(error.to_string().contains("HOST:PORT"), "{error:#}");
    let error = run(arguments(&["--prefix", "Load "])).await.unwrap_err();
    assert!(error.to_string().contains("--prefix"), "{error:#}");
}

#[test]
fn instances_part_the_vehicles_among_them() {
    let of =
        |instance: &str| ids(&arguments(&["--vehicles", "50", "--instances", "3", "--instance", instance]));
    let shares = ["0", "1", "2"].map(|instance| of(instance).unwrap());
    assert!(shares.iter().all(|ids| ids.len() == 50));
    let all: std::collections::BTreeSet<String> = shares.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(all.len(), 150);
    for (instance, ids) in (0..).zip(&shares) {
        assert!(ids.iter().all(|id| id.shard() % 3 == instance));
    }
    let error = of("3").unwrap_err().to_string();
    assert!(error.contains("--instance must be below --instances"), "{error}");
    assert!(ids(&arguments(&["--prefix", "Load_"])).is_err());
}
