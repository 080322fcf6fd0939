//! The task that keeps the lake in order, beside a committer.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::{sync::Arc, time::Duration};

use ingest::{
    commit::Committer,
    config::{Config, Settings},
    maintenance::Maintenance,
    verify::Verified,
};
use lake::{Lake, TableKind, maintenance::CompactionPolicy};
use service::{Tasks, clock::SystemClock, config::Loaded};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState, Column, Group, Table, Values},
    catalog::{Catalog, ColumnDef, ValueKind},
    ids::{BootId, StreamId, VehicleId},
    time::Timestamp,
};

const STREAM: StreamId = StreamId(Uuid::from_u128(7));
const FIRST_DAY_US: i64 = 1_627_274_400_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(lake: &Lake) -> Settings {
    let mut config = Config { lake: lake.location().clone(), ..Config::default() };
    config.maintenance.compaction_interval = "1s".parse().unwrap();
    config.maintenance.settle = "1s".parse().unwrap();
    config.maintenance.expiry_interval = "1s".parse().unwrap();
    Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap()
}

fn batch(sequence: u64) -> Verified {
    let vehicle_id: VehicleId = "van-1".parse().unwrap();
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
    let catalog = Arc::new(Catalog { vss_release: "6.0".to_owned(), columns: vec![speed] });
    let base = Timestamp(FIRST_DAY_US + i64::try_from(sequence).unwrap() * 10_000_000);
    let batch = Batch {
        vehicle_id,
        boot_id: BootId(Uuid::nil()),
        stream_id: STREAM,
        sequence,
        oldest_sequence: 1,
        catalog_hash: catalog.hash(),
        base_time: base,
        monotonic_base_us: 0,
        groups: vec![Group {
            table: Table::Readings,
            times_us: (0..10).map(|i| i * 1_000_000).collect(),
            columns: vec![Column::dense(0, Values::Raw((0..10).collect()))],
        }],
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    };
    Verified { batch, catalog, received_at: base, payload_bytes: 100 }
}

async fn committer(lake: &Lake) -> Committer {
    Committer::open(lake, "ingest/0-of-1".to_owned(), SystemClock::shared()).await.unwrap()
}

async fn commit(committer: &mut Committer, sequence: u64) {
    committer.accept(batch(sequence));
    let flushed = committer.flush(&CancellationToken::new()).await.unwrap();
    assert_eq!(flushed.samples_stored, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_puts_days_in_order_while_a_committer_goes_on_and_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut committer = committer(&lake).await;
    commit(&mut committer, 1).await;
    let tasks = Tasks::new();
    let maintenance = Maintenance::new(lake.clone(), settings(&lake).maintenance, SystemClock::shared());
    tasks.spawn("lake maintenance", maintenance.run(tasks.stop_token()));
    let policy = CompactionPolicy::default();
    let in_order = async {
        let mut sequence = 1;
        loop {
            sequence += 1;
            commit(&mut committer, sequence).await;
            let mut table = lake.open_table(TableKind::Readings).await.unwrap();
            let status = table.status(&policy, 0).await.unwrap();
            assert_eq!(status.rows, Some(sequence * 10), "no pass changes what is there");
            if status.files < sequence {
                break sequence;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // New data keeps a day from settling: it is the number of files that makes it due.
    let committed = tokio::time::timeout(PATIENCE, in_order).await.unwrap();
    assert!(committed >= 32, "{committed}");
    tasks.stop(Duration::from_secs(10)).await.unwrap();
    commit(&mut committer, committed + 1).await;
    assert!(lake.audit(&policy).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn days_past_their_retention_go_and_the_vehicle_s_next_batches_are_still_taken() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut writer = committer(&lake).await;
    commit(&mut writer, 1).await;
    commit(&mut writer, 2).await;
    drop(writer);
    let mut settings = settings(&lake).maintenance;
    settings.retention_days.insert(TableKind::Readings, 30);
    Maintenance::new(lake.clone(), settings, SystemClock::shared()).expire_all().await;
    let mut table = lake.open_table(TableKind::Readings).await.unwrap();
    assert_eq!(table.status(&CompactionPolicy::default(), 0).await.unwrap().files, 0);

    // A new process finds nothing of batches 1 and 2; the vehicle says that it will not send them.
    let mut restarted = committer(&lake).await;
    let mut next = batch(3);
    next.batch.oldest_sequence = 3;
    restarted.accept(next);
    let flushed = restarted.flush(&CancellationToken::new()).await.unwrap();
    let acks: Vec<u64> = flushed.acks.values().flatten().map(|ack| ack.up_to_sequence).collect();
    assert_eq!((flushed.samples_stored, acks), (10, vec![3]));
    let audit = lake.audit(&CompactionPolicy::default()).await.unwrap();
    assert_eq!((audit.expired_batches, audit.missing_batches), (2, 0));
}
