//! From REST to the vehicle and back: a campaign that is deployed is run by a real agent, and its samples are in
//! the lake; a command is done by it and answered, by an embedded broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/pipeline.rs"]
mod pipeline;

use std::{path::Path, time::Duration};

use edge_agent::{
    agent::{self, SourceSettings},
    keygen,
    simulate::SimulateSettings,
};
use pipeline::{Pipeline, simulated, within};
use serde_json::json;
use service::Tasks;
use wire::{campaigns::from_hex, signature::BatchVerifier, time::Timestamp};

const VEHICLE: &str = "van-1";
/// Once a drive begins.
const MOVING: &str = "[[campaign]]\nname = \"moving\"\nwhen = \"Vehicle.Speed > 5 km/h\"\nbefore = \"2s\"\n\
                      after = \"10s\"\nspan = \"while\"\n\n[[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n";

/// A simulated vehicle that drives the last day a thousand times faster than time, and knows the server's keys.
fn vehicle(pipeline: &Pipeline, spool: &Path, keys: &Path) -> agent::Settings {
    let start = Timestamp(pipeline.clock.now_us() - 86_400_000_000);
    let mut settings = simulated(VEHICLE, spool, pipeline.broker(), start, Duration::ZERO);
    if let SourceSettings::Simulate(simulate) = settings.source {
        let simulate = SimulateSettings { speed: 1_000.0, until: None, ..simulate };
        settings.source = SourceSettings::Simulate(simulate);
    }
    settings.campaigns.public_key_file = Some(keys.join("campaigns.key.pub"));
    let key = std::fs::read_to_string(keys.join("commands.key.pub")).unwrap();
    let key = from_hex::<32>(key.trim().as_bytes()).unwrap();
    settings.commands.verifier = Some(BatchVerifier::from_public(&key).unwrap());
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rest_asks_for_is_done_by_the_vehicle_and_told_back() {
    let (data, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["campaigns.key", "commands.key"] {
        keygen::make(&keys.path().join(name)).unwrap();
    }
    let key = |name: &str| Some(keys.path().join(name));
    let pipeline = Pipeline::start_with_api(
        data.path(),
        |_| {},
        |config, broker| {
            config.agents.broker = broker.map(|address| address.to_string());
            config.agents.campaigns_key_file = key("campaigns.key");
            config.agents.commands_key_file = key("commands.key");
        },
    )
    .await;
    pipeline.post("/v1/vehicles", json!({ "vehicle_id": VEHICLE })).await;
    let set = pipeline.post("/v1/campaign-sets", json!({ "name": "moving", "text": MOVING })).await;
    // Deployed before there is an agent: the broker keeps it.
    let new = json!({ "campaign_set_id": set["id"], "vehicle_ids": [VEHICLE] });
    let deployment = pipeline.post("/v1/campaign-deployments", new).await;
    assert_eq!(deployment["uptake"]["pending"], 1);

    let tasks = Tasks::new();
    let settings = vehicle(&pipeline, &data.path().join("spool"), keys.path());
    let running = agent::start(settings, &tasks, pipeline.clock.clone()).await.unwrap();
    let path = format!("/v1/campaign-deployments/{}", deployment["id"].as_str().unwrap());
    pipeline.until(&path, |deployment| deployment["uptake"]["in_force"] == 1).await;
    let told = pipeline.get(&format!("/v1/vehicles/{VEHICLE}/agent")).await;
    assert_eq!((&told["is_online"], &told["campaigns_in_force"]["name"]), (&json!(true), &json!("moving")));
    let samples = "SELECT count(*) FROM signals WHERE signal = 'Vehicle.Speed#moving'";
    within("samples of the campaign in the lake", async {
        // Before the table's first commit there is none to ask.
        while pipeline.analytics.sql(samples, 1).await.map_or(0, |r| r.rows[0][0].as_i64().unwrap()) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;

    // By now the vehicle's signals are known: what it cannot collect is told and not sent.
    let other = MOVING.replace("[\"Vehicle.Speed\"]", "[\"Vehicle.Cabin.Door.Row1.DriverSide.IsOpen\"]");
    let other = pipeline.post("/v1/campaign-sets", json!({ "name": "doors", "text": other })).await;
    let check = format!("/v1/campaign-sets/{}/check", other["id"].as_str().unwrap());
    let (address, body) = (pipeline.api.addr, json!({ "all_vehicles": true }));
    let checking = tokio::task::spawn_blocking(move || pipeline::http_post(address, &check, &body));
    let (status, found) = checking.await.unwrap();
    assert!(status == 200 && found.contains("\"refused\"") && found.contains("DriverSide"), "{found}");

    let new = json!({ "vehicle_id": VEHICLE, "task": { "kind": "send_log", "bytes_max": 1000 } });
    let command = pipeline.post("/v1/commands", new).await;
    let path = format!("/v1/commands/{}", command["id"].as_str().unwrap());
    let done = pipeline.until(&path, |command| command["state"] != "waiting").await;
    assert_ne!(done["state"], "expired", "{done}");
    // It does not allow that: refused, with the reason.
    let new = json!({ "vehicle_id": VEHICLE, "task": { "kind": "clear_dtcs" } });
    let command = pipeline.post("/v1/commands", new).await;
    let path = format!("/v1/commands/{}", command["id"].as_str().unwrap());
    let refused = pipeline.until(&path, |command| command["state"] != "waiting").await;
    assert_eq!(refused["state"], "refused", "{refused}");
    assert!(!refused["reply"]["reason"].as_str().unwrap().is_empty(), "{refused}");

    // Without a set its campaigns end.
    let end = pipeline.post("/v1/campaign-deployments", json!({ "vehicle_ids": [VEHICLE] })).await;
    let path = format!("/v1/campaign-deployments/{}", end["id"].as_str().unwrap());
    pipeline.until(&path, |deployment| deployment["uptake"]["in_force"] == 1).await;
    tasks.stop(Duration::from_secs(30)).await.unwrap();
    drop(running);
    pipeline.until(&format!("/v1/vehicles/{VEHICLE}/agent"), |agent| agent["is_online"] == false).await;
    pipeline.stop().await;
}
