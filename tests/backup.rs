//! `roadlake admin backup`, rehearsed: a fleet drives, copies are made beside the running server, it is lost, and what is
//! restored answers as the server did then and goes on from there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/content.rs"]
mod content;
#[path = "support/pipeline.rs"]
mod pipeline;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use content::content;
use edge_agent::agent;
use pipeline::{Pipeline, simulated, within};
use serde_json::{Value, json};
use service::Tasks;
use wire::time::Timestamp;

const HOUR_US: i64 = 3_600_000_000;
/// As sysexits.h has them.
const DATA: i32 = 65;

fn roadlake(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roadlake"));
    command.args(arguments).env("ROADLAKE_LOG", "error").env_remove("DATABASE_URL").output().unwrap()
}

/// A command's answer in JSON.
async fn done(arguments: &[&str]) -> Value {
    let given: Vec<String> = arguments.iter().map(|&a| a.to_owned()).chain(["--json".to_owned()]).collect();
    let output =
        tokio::task::spawn_blocking(move || roadlake(&given.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = output.await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code and message of a command that is refused.
async fn refused(arguments: &[&str]) -> (i32, String) {
    let given: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
    let output =
        tokio::task::spawn_blocking(move || roadlake(&given.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = output.await.unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Drives of one vehicle, to the invoice's draft.
async fn driven(pipeline: &Pipeline, vehicle: &str, spool: &Path, from: Timestamp) {
    let length = Duration::from_secs(3600);
    let (settings, tasks) = (simulated(vehicle, spool, pipeline.broker(), from, length), Tasks::new());
    let agent = agent::start(settings, &tasks, pipeline.clock.clone()).await.unwrap();
    within("a drive is in the lake", agent.drained()).await;
    tasks.stop(Duration::from_secs(20)).await.unwrap();
    pipeline.settled().await;
}

/// What the api tells of fleet, trips and money, and that it can prove its invoices.
async fn told(pipeline: &Pipeline) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/v1/vehicles", "/v1/trips?limit=200", "/v1/organizations", "/v1/tariffs", "/v1/drivers"] {
        all.push(pipeline.get(path).await);
    }
    for vehicle in all[0]["data"].as_array_mut().unwrap() {
        // The last known state is a view, which a server has again some moments after its start.
        vehicle.as_object_mut().unwrap().retain(|key, _| !["state", "last_seen"].contains(&key.as_str()));
    }
    let invoices = pipeline.get("/v1/invoices").await;
    for invoice in invoices["data"].as_array().unwrap() {
        let path = format!("/v1/invoices/{}", invoice["id"].as_str().unwrap());
        let invoice = pipeline.get(&path).await;
        let line = invoice["lines"][0]["id"].as_str().unwrap();
        let evidence = pipeline.get(&format!("{path}/lines/{line}/evidence")).await;
        assert_eq!((&evidence["agrees"], &evidence["row_hash_matches"]), (&json!(true), &json!(true)));
        all.push(invoice);
    }
    assert!(all.len() > 5, "there is an invoice");
    all
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_lost_is_there_again_as_it_was_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (data, copies, spool) = (at("data"), at("copies"), at("spool"));
    std::fs::create_dir(&data).unwrap();
    let start = Timestamp(1_790_000_000_000_000);
    let make = ["admin", "backup", "make", "--data", text(&data), "--to", text(&copies)];

    let pipeline = Pipeline::start(&data).await;
    let vehicles = ["van-1", "van-2"].map(|name| (name.parse().unwrap(), name.to_owned()));
    api::seed_demo(&pipeline.api, &vehicles).await.unwrap();
    driven(&pipeline, "van-1", &spool, start).await;
    let first = done(&make).await;
    let (told_first, content_first) = (told(&pipeline).await, content(&data.join("lake")).await);
    assert!(content_first.rows > 1_000 && told_first[1]["data"].as_array().unwrap().len() > 1);
    assert_eq!(first["backup"]["others"], json!(["api.db"]));

    driven(&pipeline, "van-1", &spool, start.plus_us(2 * HOUR_US)).await;
    driven(&pipeline, "van-2", &at("spool-2"), start).await;
    let second = done(&make).await;
    let (told_second, content_second) = (told(&pipeline).await, content(&data.join("lake")).await);
    assert_ne!((&told_first, &content_first), (&told_second, &content_second));
    let kept = second["copied"]["files_kept"].as_u64().unwrap();
    assert!(kept >= first["copied"]["files_copied"].as_u64().unwrap() / 2, "{second}");
    // The server is lost.
    pipeline.stop().await;
    std::fs::remove_dir_all(&data).unwrap();

    let newest = at("newest");
    let restore = ["admin", "backup", "restore", "--from", text(&copies), "--data"];
    done(&[&restore[..], &[text(&newest)]].concat()).await;
    assert_eq!(content(&newest.join("lake")).await, content_second);
    let pipeline = Pipeline::start(&newest).await;
    assert_eq!(told(&pipeline).await, told_second);
    pipeline.stop().await;

    // An earlier one. The vehicle has deleted what the lost server had acknowledged after it: it goes on with what is new.
    let earlier = at("earlier");
    let id = first["backup"]["id"].as_str().unwrap();
    done(&[&restore[..], &[text(&earlier), "--at", id]].concat()).await;
    assert_eq!(content(&earlier.join("lake")).await, content_first);
    let pipeline = Pipeline::start(&earlier).await;
    assert_eq!(told(&pipeline).await, told_first);
    driven(&pipeline, "van-1", &spool, start.plus_us(4 * HOUR_US)).await;
    let trips = told(&pipeline).await[1]["data"].as_array().unwrap().len();
    assert!(trips > told_first[1]["data"].as_array().unwrap().len());
    pipeline.stop().await;
    let audit = done(&["admin", "lake", "verify", "--data", text(&earlier)]).await;
    assert_eq!((&audit["missing_batches"], &audit["doubled_batches"]), (&json!(0), &json!(0)));

    // Nothing is written over what is there; copies that are damaged or unknown are told.
    let (_, why) = refused(&[&restore[..], &[text(&newest)]].concat()).await;
    assert!(why.contains("there is a database"), "{why}");
    let (code, why) = refused(&[&restore[..], &[text(&at("x")), "--at", "2001"]].concat()).await;
    assert!(code == DATA && why.contains("there is no backup 2001"), "{code} {why}");
    let database = copies.join(id).join("api.db");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    let verify = ["admin", "backup", "verify", "--from", text(&copies), "--at", id];
    let (code, why) = refused(&verify).await;
    assert!(code == DATA && why.contains("1 files of"), "{code} {why}");
    let (code, why) = refused(&[&restore[..], &[text(&at("y")), "--at", id]].concat()).await;
    assert!(code == DATA && why.contains("api.db"), "{code} {why}");
    let listed = done(&["admin", "backup", "list", "--from", text(&copies)]).await;
    assert_eq!(listed["backups"].as_array().unwrap().len(), 2);
}

/// kill -9 at any moment leaves earlier copies whole, and the next one is.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_is_none_and_hinders_none() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copies) = (dir.path().join("data"), dir.path().join("copies"));
    std::fs::create_dir(&data).unwrap();
    let pipeline = Pipeline::start(&data).await;
    driven(&pipeline, "van-1", &dir.path().join("spool"), Timestamp(1_790_000_000_000_000)).await;
    let make = ["admin", "backup", "make", "--data", text(&data), "--to", text(&copies)];
    let mut whole = 0;
    for kill in 0..12_u64 {
        let mut making = Command::new(env!("CARGO_BIN_EXE_roadlake"))
            .args(make)
            .env("ROADLAKE_LOG", "error")
            .env_remove("DATABASE_URL")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(60 + kill * 60)).await;
        let _ = making.kill();
        whole += usize::from(making.wait().unwrap().success());
        // Before the first write there is no folder.
        if !copies.join("roadlake-backup.json").exists() {
            continue;
        }
        let listed = done(&["admin", "backup", "list", "--from", text(&copies)]).await;
        let listed = listed["backups"].as_array().unwrap();
        assert!(listed.len() >= whole, "kill {kill}: {listed:?}");
        for backup in listed {
            let id = backup["id"].as_str().unwrap();
            done(&["admin", "backup", "verify", "--from", text(&copies), "--at", id]).await;
        }
    }
    let last = done(&[&make[..], &["--keep", "1"]].concat()).await;
    let listed = done(&["admin", "backup", "list", "--from", text(&copies)]).await;
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);
    let restored = dir.path().join("restored");
    done(&["admin", "backup", "restore", "--from", text(&copies), "--data", text(&restored)]).await;
    assert_eq!(content(&restored.join("lake")).await, content(&data.join("lake")).await);
    assert!(last["dropped"].as_u64().is_some());
    pipeline.stop().await;
}
