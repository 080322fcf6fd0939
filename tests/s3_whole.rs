//! The lake in a bucket, by everything: a vehicle's log to trips and an api's answer, and the
//! programs told of it by flag, file and environment.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/s3_faults.rs"]
mod s3_faults;
#[path = "support/s3_server.rs"]
mod s3_server;

use std::{fs, path::Path, process::Output, time::Duration};

use edge_agent::source::replay::Pace;
use pipeline::{Pipeline, REAL_CAR, real_car, within};
use s3_faults::{Fault, S3Proxy};
use s3_server::S3Server;
use service::exit;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_becomes_the_trip_it_becomes_in_a_folder_also_over_an_outage_of_the_store() {
    let server = S3Server::start();
    let proxy = S3Proxy::start(server.address()).await;
    let mut trips = Vec::new();
    for is_bucket in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let pipeline = if is_bucket {
            Pipeline::start_with(data.path(), |s| s.lake = server.lake_by(proxy.address(), "fleet")).await
        } else {
            Pipeline::start(data.path()).await
        };
        let vehicle = real_car(&data.path().join("spool"), pipeline.broker(), Pace::FlatOut);
        let agent = pipeline.agent(vehicle).await;
        if is_bucket {
            within("something stored", async {
                while pipeline.ingest.stats().samples_stored == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            // Longer than ten looks for new readings, one a second.
            proxy.set(Fault::Unavailable);
            tokio::time::sleep(Duration::from_secs(15)).await;
            let failed = pipeline.analytics.sql("SELECT count(*) FROM readings", 1).await;
            assert!(failed.is_err(), "{failed:?}");
            proxy.set(Fault::Pass);
        }
        within("the log drained", agent.drained()).await;
        pipeline.settled().await;
        let answer = pipeline.get(&format!("/v1/trips?vehicle_id={REAL_CAR}")).await;
        let trip = &answer["data"][0];
        let path = format!("/v1/trips/{}/positions", trip["id"].as_str().unwrap());
        let positions = pipeline.get(&path).await.to_string();
        trips.push((
            trip["distance_m"].clone(),
            trip["start_time"].clone(),
            trip["end_time"].clone(),
            positions,
        ));
        pipeline.stop().await;
    }
    assert!(trips[0].0.as_i64().is_some_and(|m| m > 1000), "{trips:?}");
    assert_eq!(trips[0], trips[1]);
}

fn roadlake(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_roadlake"));
    command.args(arguments);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT", "AWS_REGION"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).output().unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server's configuration with its keys in files.
fn configuration(server: &S3Server, folder: &Path) -> String {
    let s3 = server.config(server.address());
    let (id, secret) = (s3.access_key_id_file.unwrap(), s3.secret_access_key_file.unwrap());
    let path = folder.join("roadlake.toml");
    let text = format!(
        "version = 1\nlake = \"s3://{}/cli\"\n[s3]\nendpoint = \"{}\"\nregion = \"us-east-1\"\n\
         allow_http = true\naccess_key_id_file = {id:?}\nsecret_access_key_file = {secret:?}\n",
        s3_server::BUCKET,
        s3.endpoint.unwrap()
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn programs_take_a_bucket_by_flag_file_and_environment() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("history.csv");
    fs::write(&csv, "ts,speed_kmh\n1627274455,1\n1627274456,2\n").unwrap();
    let config = configuration(&server, folder.path());
    let file = csv.to_str().unwrap();

    let import = ["import", "--config", &config, "--vehicle", "van-1", file];
    assert!(told(&roadlake(&import, &[])).contains("2 values stored"));

    let endpoint = format!("http://{}", server.address());
    let environment = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-tests"),
        ("ROADLAKE_SERVE__S3__ALLOW_HTTP", "true"),
    ];
    let place = format!("s3://{}/cli", s3_server::BUCKET);
    let query = "SELECT sum(speed_kmh) AS v FROM readings";
    let asked = roadlake(&["sql", "--lake", &place, "--format", "csv", query], &environment);
    assert_eq!(told(&asked).trim(), "v\n3.0");

    let lake = ["admin", "lake", "--config", &config];
    let admin = |command: &[&str]| roadlake(&[&lake[..], command].concat(), &[]);
    let status: serde_json::Value = serde_json::from_str(&told(&admin(&["status", "--json"]))).unwrap();
    assert_eq!(status["tables"][0]["rows"], 2, "{status}");
    told(&admin(&["verify"]));
    told(&admin(&["compact", "--all-days"]));
    told(&admin(&["vacuum"]));
    for alone in [&["vacuum", "--keep-hours", "0", "--allow-short"][..], &["quarantine", "replay"]] {
        let refused = admin(alone);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(i32::from(exit::CONFLICT)), "{message}");
        assert!(message.contains("bucket") && !message.contains("a-secret-of-tests"), "{message}");
    }

    let nowhere = roadlake(&["sql", "--lake", "gs://fleet/lake", "SELECT 1"], &[]);
    let message = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(!nowhere.status.success() && message.contains("s3://bucket/prefix"), "{message}");
    let missing = roadlake(&["sql", "--config", &config, "--lake", "s3://lake/other", "SELECT 1"], &[]);
    assert_eq!(missing.status.code(), Some(i32::from(exit::UNAVAILABLE)), "{missing:?}");
}
