//! How much room the real car's drive takes in the lake, once its day is in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/pipeline.rs"]
mod pipeline;

use std::{fs, time::Duration};

use edge_agent::source::replay::Pace;
use lake::{Lake, TableKind, maintenance::CompactionPolicy};
use pipeline::{Pipeline, REAL_CAR, real_car, within};
use wire::readings::COLUMNS;

/// Bytes of a table's files after compaction.
async fn bytes_in_order(lake: &Lake, kind: TableKind) -> f64 {
    let mut table = lake.open_table(kind).await.unwrap();
    let policy = CompactionPolicy { settle: Duration::ZERO, ..CompactionPolicy::default() };
    let long_after_ms = 4_000_000_000_000;
    table.compact(&policy, long_after_ms).await.unwrap();
    let folder = lake.folder().unwrap().join(kind.name());
    let files = table.file_paths().unwrap();
    assert_eq!(files.len(), 1, "one day, one file");
    files.iter().map(|path| fs::metadata(folder.join(path)).unwrap().len()).sum::<u64>() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_s_value_takes_less_than_a_byte_and_a_half_and_a_signal_s_change_less_than_five() {
    let data = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(data.path()).await;
    let vehicles = [(REAL_CAR.parse().unwrap(), "Car".to_owned())];
    api::seed_demo(&pipeline.api, &vehicles).await.unwrap();
    let agent = pipeline.agent(real_car(&data.path().join("spool"), pipeline.broker(), Pace::FlatOut)).await;
    within("the log drained", agent.drained()).await;
    pipeline.settled().await;
    let counts: Vec<String> = COLUMNS.iter().map(|column| format!("count({})", column.name)).collect();
    let values = pipeline.number(&format!("SELECT {} FROM readings", counts.join(" + "))).await;
    let changes = pipeline.number("SELECT count(*) FROM signals").await;
    pipeline.stop().await;
    assert!(values > 30_000.0 && changes > 15_000.0, "{values} and {changes}");

    let lake = Lake::open(&data.path().join("lake")).unwrap();
    let readings = bytes_in_order(&lake, TableKind::Readings).await / values;
    let signals = bytes_in_order(&lake, TableKind::Signals).await / changes;
    println!("bytes a sample: readings {readings:.3}, signals {signals:.3}");
    // The only vehicle of its day: 6 KB of these files are their schema and their index.
    assert!(readings < 1.5, "{readings}");
    assert!(signals < 5.0, "{signals}");
}
