//! Each bad input gets one clear message that names the thing, the place and the remedy, and an
//! exit code of its kind; what is stored stays whole. (Bad logs and DBC files: see the tests of
//! edge-agent.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/pipeline.rs"]
mod pipeline;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use pipeline::{Pipeline, within};
use service::exit;

fn roadlake(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roadlake")).args(arguments).output().unwrap()
}

/// The exit code is `code`, and standard error is one message with all of `parts`.
fn refused(output: &Output, code: u8, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn a_wrong_key_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("roadlake.toml");
    fs::write(&file, "version = 1\n[ingest]\nflush_intervall = \"1s\"\n").unwrap();
    let output = roadlake(&["serve", "--config", file.to_str().unwrap()]);
    refused(&output, exit::CONFIG, &["roadlake.toml", "line 3", "flush_intervall"]);
}

#[test]
fn every_fault_of_a_section_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("roadlake.toml");
    fs::write(&file, "version = 1\n[ingest]\ninstance = 3\nflush_interval = \"0s\"\n").unwrap();
    let output = roadlake(&["serve", "--config", file.to_str().unwrap()]);
    refused(&output, exit::CONFIG, &["instance: is 3", "flush_interval"]);
}

#[test]
fn a_port_in_use_is_named_with_what_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = dir.path().to_str().unwrap();
    let output = roadlake(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--mqtt-listen", &address]);
    refused(&output, exit::UNAVAILABLE, &[&address, "broker.embedded_listen"]);
    let output = roadlake(&["serve", "--data", data, "--mqtt-listen", "127.0.0.1:0", "--listen", &address]);
    refused(&output, exit::UNAVAILABLE, &[&taken.local_addr().unwrap().port().to_string(), "listen"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // A file where the folder should be: refused to every user, root too.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    let data = file.join("data");
    let output = roadlake(&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    refused(&output, exit::UNAVAILABLE, &["cannot write to lake folder", data.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_query_without_a_lake_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let output = roadlake(&["sql", "--data", dir.path().to_str().unwrap(), "SELECT 1"]);
    refused(&output, exit::UNAVAILABLE, &["no lake at", "--data"]);
}

fn import(data: &Path, file: &Path) -> Output {
    roadlake(&["import", "--data", data.to_str().unwrap(), "--vehicle", "van-1", file.to_str().unwrap()])
}

#[test]
fn an_import_is_whole_or_not_at_all_and_a_second_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.csv");
    let mut text = "ts,latitude,longitude,speed_kmh,ignition_on\n".to_owned();
    for i in 0..2500 {
        text.push_str(&format!("{},56.{i:04},10.1,{}.5,true\n", 1_627_274_455 + i, i % 90));
    }
    fs::write(&good, &text).unwrap();
    let output = import(dir.path(), &good);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("10000 values stored, 0 were there already"));
    let output = import(dir.path(), &good);
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 values stored, 10000 were there already"));

    let bad = dir.path().join("bad.csv");
    fs::write(&bad, text.replace("56.0007", "north")).unwrap();
    refused(&import(dir.path(), &bad), exit::DATA, &["bad.csv", "line 9", "latitude", "north"]);
    fs::write(&bad, "ts,velocity\n1,2\n").unwrap();
    refused(&import(dir.path(), &bad), exit::DATA, &["velocity", "speed_kmh"]);

    let data = dir.path().to_str().unwrap();
    let query = "SELECT count(*) AS n, max(speed_kmh) AS top FROM readings WHERE vehicle_id = 'van-1'";
    let output = roadlake(&["sql", "--data", data, "--format", "csv", query]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n,top\n2500,89.5\n");
    let output = roadlake(&["sql", "--data", data, "SELECT speed FROM readings"]);
    refused(&output, exit::DATA, &["speed", "speed_kmh"]);
    let output = roadlake(&["sql", "--data", data, "DROP TABLE readings"]);
    refused(&output, exit::DATA, &["read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_are_quarantined_and_good_batches_go_on() {
    use edge_agent::source::replay::Pace;
    use rumqttc::{AsyncClient, MqttOptions, QoS};

    let data = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(data.path()).await;
    let broker = pipeline.broker();
    let options = MqttOptions::new("stranger", broker.ip().to_string(), broker.port());
    let (client, mut events) = AsyncClient::new(options, 10);
    let vehicle: wire::ids::VehicleId = "stranger".parse().unwrap();
    let topic = wire::topics::topic(&vehicle, wire::topics::Channel::Telemetry);
    let noise: Vec<u8> = (0..2000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let ack_topic = wire::topics::topic(&vehicle, wire::topics::Channel::Ack);
    client.subscribe(ack_topic, QoS::AtLeastOnce).await.unwrap();
    client.publish(topic.clone(), QoS::AtLeastOnce, false, noise.clone()).await.unwrap();
    client.publish(topic, QoS::AtLeastOnce, false, Vec::new()).await.unwrap();
    // The sender is told to give up what can never be taken, by the CRC of its bytes.
    let mut hopeless = vec![wire::ack::payload_crc32(&noise), wire::ack::payload_crc32(&[])];
    within("the noise rejected", async {
        while !hopeless.is_empty() {
            if let rumqttc::Event::Incoming(rumqttc::Packet::Publish(ack)) = events.poll().await.unwrap() {
                let ack = wire::ack::AckMessage::decode(&ack.payload).unwrap();
                hopeless.retain(|crc32| !ack.rejected.contains(crc32));
            }
        }
    })
    .await;
    let agent = pipeline.agent(pipeline::real_car(&data.path().join("spool"), broker, Pace::FlatOut)).await;
    within("the good log drained", agent.drained()).await;
    let quarantined = pipeline.number("SELECT count(*) FROM quarantine WHERE vehicle_id = 'stranger'").await;
    assert_eq!(quarantined, 2.0);
    let reasons = pipeline.analytics.sql("SELECT DISTINCT reason FROM quarantine", 10).await.unwrap();
    assert!(reasons.rows.iter().any(|r| r[0] == "undecodable"), "{:?}", reasons.rows);
    assert!(pipeline.number("SELECT count(*) FROM readings").await > 2000.0);
    pipeline.stop().await;
}
