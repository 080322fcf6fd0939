//! `roadlake admin lake …` by its program, over lakes that ingest's own committer wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_wrap,
    reason = "a test: a failure is the message"
)]

use std::{fs, path::Path, process::Output, sync::Arc, time::Duration};

use ingest::{
    commit::{Committer, Purpose},
    config::SignaturePolicy,
    intake::Incoming,
    keys::DeviceKeys,
    rows,
    verify::{Verdict, Verifier},
};
use lake::{AppTransaction, Lake, TableKind};
use service::{clock::SystemClock, exit};
use tokio_util::sync::CancellationToken;
use wire::{
    batch::{Batch, ClockState, Column, Envelope, Group, Table, Values},
    catalog::{Catalog, ColumnDef, ValueKind},
    ids::{BootId, StreamId, VehicleId},
    signature::BatchSigner,
    time::Timestamp,
    topics::{self, Channel},
};

const SECRET: [u8; 32] = [7; 32];

fn vehicle() -> VehicleId {
    "van-1".parse().unwrap()
}

fn stream() -> StreamId {
    StreamId::of_source(&vehicle(), b"spool")
}

fn catalog() -> Catalog {
    let speed = ColumnDef {
        column_id: 0,
        table: Table::Readings,
        signal: "Vehicle.Speed".to_owned(),
        unit: "km/h".to_owned(),
        scale: 0.5,
        offset: 0.0,
        kind: ValueKind::Raw,
        labels: Vec::new(),
    };
    Catalog { vss_release: "6.0".to_owned(), columns: vec![speed] }
}

/// Ten readings.
fn batch(sequence: u64) -> Batch {
    Batch {
        vehicle_id: vehicle(),
        boot_id: BootId(uuid::Uuid::nil()),
        stream_id: stream(),
        sequence,
        oldest_sequence: 1,
        catalog_hash: catalog().hash(),
        base_time: Timestamp(1_627_274_400_000_000 + sequence as i64 * 10_000_000),
        monotonic_base_us: 0,
        groups: vec![Group {
            table: Table::Readings,
            times_us: (0..10).map(|i| i * 1_000_000).collect(),
            columns: vec![Column::dense(0, Values::Raw((0..10).collect()))],
        }],
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    }
}

/// The batch as its vehicle sends it.
fn message(sequence: u64) -> Incoming {
    let body = batch(sequence).encode_body().unwrap();
    let signature = BatchSigner::from_secret(&SECRET).sign(&body);
    Incoming {
        topic: topics::topic(&vehicle(), Channel::Telemetry),
        vehicle_id: vehicle(),
        channel: Channel::Telemetry,
        payload: Envelope { body: &body, signature: &signature }.encode().unwrap(),
    }
}

struct Writer {
    verifier: Verifier,
    committer: Committer,
}

impl Writer {
    async fn open(lake: &Lake, signatures: SignaturePolicy) -> Self {
        lake.put_catalog(&catalog().encode()).await.unwrap();
        let keys = DeviceKeys::new(Some(lake.folder().unwrap().join("keys")));
        let clock = SystemClock::shared();
        Self {
            verifier: Verifier::new(lake.clone(), keys, signatures, Duration::from_secs(86_400)),
            committer: Committer::open(lake, "ingest/0-of-1".to_owned(), clock).await.unwrap(),
        }
    }

    /// Takes a batch as ingest does and commits; returns samples stored and duplicate.
    async fn take(&mut self, sequence: u64) -> (u64, u64) {
        let received_at = Timestamp(1_700_000_000_000_000 + sequence as i64);
        match self.verifier.verify(message(sequence), received_at).await {
            Verdict::Accept(verified) => self.committer.accept(*verified),
            Verdict::Quarantine(item) => self.committer.quarantine(*item),
            Verdict::NeedCatalog(hash) => panic!("{hash}"),
        }
        let flushed = self.committer.flush(&CancellationToken::new()).await.unwrap();
        (flushed.samples_stored, flushed.samples_duplicate)
    }
}

fn admin(data: &Path, arguments: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_roadlake"))
        .args(["admin", "lake", "--data", data.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap()
}

/// The JSON answer of a command that succeeds.
fn answer(data: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = admin(data, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, code: u8, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

fn new_lake() -> (tempfile::TempDir, Lake) {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(&dir.path().join("lake")).unwrap();
    (dir, lake)
}

fn readings_status(data: &Path) -> serde_json::Value {
    let status = answer(data, &["status"]);
    status["tables"].as_array().unwrap().iter().find(|t| t["table"] == "readings").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_put_in_order_beside_a_writer_and_retired_files_deleted() {
    let (dir, lake) = new_lake();
    let mut writer = Writer::open(&lake, SignaturePolicy::Off).await;
    for sequence in 1..=6 {
        assert_eq!(writer.take(sequence).await, (10, 0));
    }
    let status = readings_status(dir.path());
    assert_eq!(
        (&status["files"], &status["loose_files"], &status["rows"]),
        (&6.into(), &6.into(), &60.into())
    );
    assert_eq!(status["oldest_day"], "2021-07-26");

    let compacted = answer(dir.path(), &["compact", "--table", "readings", "--all-days"]);
    assert_eq!(compacted["readings"]["files_removed"], 6, "{compacted}");
    let status = readings_status(dir.path());
    assert_eq!(
        (&status["files"], &status["loose_files"], &status["rows"]),
        (&1.into(), &0.into(), &60.into())
    );
    // The writer, which had the table open all the while, is not fenced.
    assert_eq!(writer.take(7).await, (10, 0));
    assert!(answer(dir.path(), &["verify"])["missing_batches"] == 0);

    let lock = lake.lock_as_writer().unwrap();
    let short = ["vacuum", "--keep-hours", "0"];
    refused(&admin(dir.path(), &short), exit::FAILURE, &["168 h"]);
    let allowed = [&short[..], &["--allow-short"]].concat();
    refused(&admin(dir.path(), &allowed), exit::CONFLICT, &["ingest writes", "stop it first"]);
    assert_eq!(answer(dir.path(), &["vacuum"])["readings"], 0);
    drop(lock);
    let deleted = answer(dir.path(), &allowed);
    assert_eq!(deleted["readings"], 6, "{deleted}");
    assert_eq!(writer.take(8).await, (10, 0));
    let shown = admin(dir.path(), &["status"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("readings"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_holes_and_doubles_and_says_so_by_its_exit_code() {
    let (dir, lake) = new_lake();
    let mut writer = Writer::open(&lake, SignaturePolicy::Off).await;
    writer.take(1).await;
    writer.take(2).await;
    let clean = answer(dir.path(), &["verify"]);
    assert_eq!((&clean["streams"], &clean["batches"], &clean["rows"]), (&1.into(), &2.into(), &20.into()));

    writer.take(5).await;
    let output = admin(dir.path(), &["verify"]);
    refused(&output, exit::DATA, &["2 batches are missing"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("batches 3 to 4"), "{output:?}");
    writer.take(4).await;
    writer.take(3).await;
    answer(dir.path(), &["verify"]);

    // Another writer that does not look puts the same batch in again: by the same receipt, or by
    // another one.
    let mut table = lake.open_table(TableKind::Readings).await.unwrap();
    for (version, received_at) in [(1, 1_700_000_000_000_002), (2, 1_700_000_000_000_099)] {
        let sequence = version + 1;
        let verified = ingest::verify::Verified {
            batch: batch(sequence),
            catalog: Arc::new(catalog()),
            received_at: Timestamp(received_at),
            payload_bytes: 0,
        };
        let rows = rows::telemetry(Table::Readings, &rows::ByVehicle::of([&verified])).unwrap().unwrap();
        let txn = AppTransaction { app_id: "careless".to_owned(), version: version as i64 };
        table.refresh().await.unwrap();
        table.append(rows, &txn).await.unwrap();
    }
    let output = admin(dir.path(), &["verify", "--json"]);
    refused(&output, exit::DATA, &["2 are there more than once"]);
    let audit: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let doubled: Vec<&serde_json::Value> =
        audit["faults"].as_array().unwrap().iter().map(|f| &f["from_sequence"]).collect();
    assert_eq!(doubled, [2, 3], "{audit}");
    assert_eq!(audit["missing_batches"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_some_vehicles_are_erased_and_gone_from_the_disk_after_a_vacuum() {
    let (dir, lake) = new_lake();
    let mut writer = Writer::open(&lake, SignaturePolicy::Off).await;
    for sequence in 1..=6 {
        assert_eq!(writer.take(sequence).await, (10, 0));
    }
    let erase = |vehicles: &'static str, before: &'static str| {
        ["erase", "--table", "readings", "--vehicles", vehicles, "--before", before]
    };
    for (vehicles, before) in [("acme-*,van-2", "2021-07-27"), ("van-1", "2021-07-26")] {
        let done = answer(dir.path(), &erase(vehicles, before));
        assert_eq!(done["readings"]["rows"], 0, "{vehicles} {before}: {done}");
    }
    refused(&admin(dir.path(), &erase("*", "2021-07-27")), exit::USAGE, &["must be a vehicle id"]);
    refused(&admin(dir.path(), &erase("van-1", "yesterday")), exit::USAGE, &["yesterday"]);
    assert_eq!(readings_status(dir.path())["rows"], 60);

    let told = admin(dir.path(), &erase("van-*", "2021-07-27"));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("readings: 60 rows erased from 6 files"), "{told}");
    assert_eq!(readings_status(dir.path())["rows"], 0);
    // What is missing on purpose is no fault, and the writer goes on.
    answer(dir.path(), &["verify"]);
    assert_eq!(writer.take(7).await, (10, 0));
    assert_eq!(answer(dir.path(), &erase("van-*", "2021-07-27"))["readings"]["rows"], 10, "it came late");

    answer(dir.path(), &["vacuum", "--keep-hours", "0", "--allow-short"]);
    let files = fs::read_dir(lake.folder().unwrap().join("readings")).unwrap();
    let left = files.flatten().filter(|f| f.path().is_dir() && !f.path().ends_with("_delta_log"));
    let left: usize = left.map(|day| fs::read_dir(day.path()).unwrap().count()).sum();
    assert_eq!(left, 0, "files of erased rows are still there");
}

/// A configuration whose keys are in the lake's folder.
fn config(data: &Path, lake: &Lake) -> String {
    let path = data.join("roadlake.toml");
    let keys = lake.folder().unwrap().join("keys");
    let text = format!(
        "version = 1\n[ingest]\nsignatures = \"required\"\ndevice_keys_dir = \"{}\"\n",
        keys.display()
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn enroll(lake: &Lake) {
    let key = BatchSigner::from_secret(&SECRET).public_key();
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(lake.folder().unwrap().join("keys")).unwrap();
    fs::write(lake.folder().unwrap().join("keys/van-1.pub"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantined_payloads_are_stored_once_after_their_key_was_enrolled() {
    let (dir, lake) = new_lake();
    let config = config(dir.path(), &lake);
    let mut writer = Writer::open(&lake, SignaturePolicy::Required).await;
    for sequence in 1..=3 {
        assert_eq!(writer.take(sequence).await, (0, 0));
    }
    let listed = answer(dir.path(), &["quarantine", "list", "--vehicle", "van-1"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert!(listed[0]["reason"] == "bad_signature" && listed[0]["payload_bytes"].as_u64().unwrap() > 50);

    let replay = ["quarantine", "replay", "--config", config.as_str()];
    let before = answer(dir.path(), &replay);
    assert_eq!((&before["payloads"], &before["accepted"]), (&3.into(), &0.into()), "{before}");
    enroll(&lake);
    // While an ingest runs it would not know of what is stored behind its back.
    let lock = lake.lock_as_writer().unwrap();
    refused(&admin(dir.path(), &replay), exit::CONFLICT, &["cannot replay", "stop it first"]);
    drop(lock);
    let other = answer(dir.path(), &[&replay[..], &["--vehicle", "van-2"]].concat());
    assert_eq!(other["payloads"], 0);
    let done = answer(dir.path(), &replay);
    assert_eq!((&done["accepted"], &done["samples_stored"]), (&3.into(), &30.into()), "{done}");
    assert_eq!(answer(dir.path(), &replay)["payloads"], 0, "they have left quarantine");
    let whole = answer(dir.path(), &["verify"]);
    assert_eq!((&whole["batches"], &whole["rows"]), (&3.into(), &30.into()));

    // The vehicle, which was never told that they are in, sends them again.
    let mut restarted = Writer::open(&lake, SignaturePolicy::Required).await;
    assert_eq!(restarted.take(2).await, (0, 10));
    assert_eq!(restarted.take(4).await, (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_killed_before_it_took_the_rows_out_stores_nothing_twice() {
    let (dir, lake) = new_lake();
    let config = config(dir.path(), &lake);
    let mut writer = Writer::open(&lake, SignaturePolicy::Required).await;
    writer.take(1).await;
    writer.take(2).await;
    enroll(&lake);
    // As far as the killed one came: the samples are committed, the rows are still there.
    let mut killed = Writer::open(&lake, SignaturePolicy::Required).await;
    let committer = Committer::open(&lake, "quarantine replay".to_owned(), SystemClock::shared()).await;
    killed.committer = committer.unwrap().with_purpose(Purpose::Replay);
    assert_eq!(killed.take(1).await, (10, 0));
    drop(killed);

    let done = answer(dir.path(), &["quarantine", "replay", "--config", &config]);
    assert_eq!((&done["accepted"], &done["samples_stored"]), (&2.into(), &10.into()), "{done}");
    assert_eq!(done["samples_duplicate"], 10);
    assert_eq!(answer(dir.path(), &["verify"])["rows"], 20);
    assert!(answer(dir.path(), &["quarantine", "list"]).as_array().unwrap().is_empty());
}

#[test]
fn a_folder_without_a_lake_is_named() {
    let dir = tempfile::tempdir().unwrap();
    refused(&admin(dir.path(), &["status"]), exit::UNAVAILABLE, &["no lake at", "--data"]);
}
