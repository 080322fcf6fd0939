//! What the committer promises, over a real Delta lake in a temporary folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::sync::Arc;

use ingest::{
    commit::{Committer, CommitterError},
    share::Share,
    verify::{QuarantineReason, Quarantined, Verified},
};
use lake::{AppTransaction, Lake, TableKind};
use service::clock::SystemClock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState, Column, Gap, Group, Table, Values},
    catalog::{Catalog, ColumnDef, ValueKind},
    ids::{BootId, StreamId, VehicleId},
    time::Timestamp,
};

const STREAM: StreamId = StreamId(Uuid::from_u128(7));

fn vehicle() -> VehicleId {
    "van-1".parse().unwrap()
}

fn catalog() -> Arc<Catalog> {
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
    Arc::new(Catalog { vss_release: "6.0".to_owned(), columns: vec![speed] })
}

/// Ten readings, from `sequence` times ten seconds on.
fn batch(sequence: u64) -> Verified {
    let base = 1_627_274_400_000_000 + i64::try_from(sequence).unwrap() * 10_000_000;
    let batch = Batch {
        vehicle_id: vehicle(),
        boot_id: BootId(Uuid::nil()),
        stream_id: STREAM,
        sequence,
        oldest_sequence: 1,
        catalog_hash: catalog().hash(),
        base_time: Timestamp(base),
        monotonic_base_us: 0,
        groups: vec![Group {
            table: Table::Readings,
            times_us: (0..10).map(|i| i * 1_000_000).collect(),
            columns: vec![Column::dense(0, Values::Raw((0..10).collect()))],
        }],
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    };
    Verified { batch, catalog: catalog(), received_at: Timestamp(base + 60_000_000), payload_bytes: 100 }
}

async fn committer(lake: &Lake) -> Committer {
    Committer::open(lake, "ingest/0-of-1".to_owned(), SystemClock::shared()).await.unwrap()
}

/// Commits and returns (stored, duplicate, acked up to).
async fn flush(committer: &mut Committer) -> (u64, u64, Option<u64>) {
    let flushed = committer.flush(&CancellationToken::new()).await.unwrap();
    let ack = flushed.acks.get(&vehicle()).and_then(|acks| acks.iter().find(|a| a.stream_id == STREAM));
    (flushed.samples_stored, flushed.samples_duplicate, ack.map(|a| a.up_to_sequence))
}

async fn stored_rows(lake: &Lake) -> usize {
    let mut table = lake.open_table(TableKind::Readings).await.unwrap();
    let changes = table.changes(-1, 1000).await.unwrap();
    changes.iter().flat_map(|c| &c.batches).map(arrow::array::RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn a_batch_is_stored_once_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut first = committer(&lake).await;
    first.accept(batch(1));
    first.accept(batch(1));
    assert_eq!(flush(&mut first).await, (10, 10, Some(1)));
    first.accept(batch(1));
    assert_eq!(flush(&mut first).await, (0, 10, Some(1)));
    drop(first);
    let mut second = committer(&lake).await;
    second.accept(batch(1));
    second.accept(batch(2));
    assert_eq!(flush(&mut second).await, (10, 10, Some(2)));
    assert_eq!(stored_rows(&lake).await, 20);
}

#[tokio::test]
async fn a_later_batch_before_an_earlier_one_is_stored_and_not_acked_over_the_hole() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut committer = committer(&lake).await;
    committer.accept(batch(1));
    committer.accept(batch(3));
    assert_eq!(flush(&mut committer).await, (20, 0, Some(1)));
    committer.accept(batch(2));
    assert_eq!(flush(&mut committer).await, (10, 0, Some(3)));
    assert_eq!(stored_rows(&lake).await, 30);
}

#[tokio::test]
async fn a_told_gap_closes_the_hole_also_for_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut first = committer(&lake).await;
    let mut telling = batch(5);
    telling.batch.gaps = vec![Gap {
        stream_id: STREAM,
        from_sequence: 2,
        to_sequence: 4,
        sample_count: 30,
        first_time: telling.batch.base_time,
        last_time: telling.batch.base_time,
        reason: "spool_full".to_owned(),
    }];
    first.accept(batch(1));
    first.accept(telling);
    assert_eq!(flush(&mut first).await, (20, 0, Some(5)));
    drop(first);
    let mut second = committer(&lake).await;
    second.accept(batch(6));
    assert_eq!(flush(&mut second).await, (10, 0, Some(6)));
}

#[tokio::test]
async fn of_two_writers_of_the_same_shards_the_second_is_fenced() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let (mut first, mut second) = (committer(&lake).await, committer(&lake).await);
    first.accept(batch(1));
    assert_eq!(flush(&mut first).await, (10, 0, Some(1)));
    second.accept(batch(2));
    let refused = second.flush(&CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, CommitterError::Fenced(_)), "{refused:?}");
    assert!(refused.to_string().contains("instance"), "{refused}");
    first.accept(batch(2));
    assert_eq!(flush(&mut first).await, (10, 0, Some(2)));
    assert_eq!(stored_rows(&lake).await, 20);
}

/// A lake of a release without claims, whose processes still run while the new ones start.
#[tokio::test]
async fn a_claim_takes_shards_from_writers_that_never_claimed_and_knows_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let shard = vehicle().shard();
    let old_id = format!("ingest/{}-of-2", shard % 2);
    let mut old = Committer::open(&lake, old_id, SystemClock::shared()).await.unwrap();
    old.accept(batch(1));
    assert_eq!(flush(&mut old).await, (10, 0, Some(1)));

    let share = Share::new(shard % 3, 3).unwrap();
    let mut new = Committer::claim(&lake, share, SystemClock::shared()).await.unwrap();
    old.accept(batch(2));
    let refused = old.flush(&CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, CommitterError::Fenced(_)), "{refused:?}");
    new.accept(batch(1));
    new.accept(batch(2));
    assert_eq!(flush(&mut new).await, (10, 10, Some(2)));
    // A share without a shard in common goes on.
    let other = Share::new((shard + 1) % 3, 3).unwrap();
    drop(Committer::claim(&lake, other, SystemClock::shared()).await.unwrap());
    new.accept(batch(3));
    assert_eq!(flush(&mut new).await, (10, 0, Some(3)));
    assert_eq!(stored_rows(&lake).await, 30);
}

/// A kill between the commit of a gap and that of its batch's samples leaves the gap alone; the
/// vehicle then sends the batch again.
#[tokio::test]
async fn a_gap_that_was_committed_without_its_batch_is_not_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut telling = batch(5);
    telling.batch.oldest_sequence = 5;
    telling.batch.gaps = vec![Gap {
        stream_id: STREAM,
        from_sequence: 1,
        to_sequence: 4,
        sample_count: 40,
        first_time: telling.batch.base_time,
        last_time: telling.batch.base_time,
        reason: "spool_full".to_owned(),
    }];
    let row = ingest::rows::gaps(&[(&telling, &telling.batch.gaps[0])]).unwrap().unwrap();
    let mut gaps = lake.create_table(TableKind::Gaps).await.unwrap();
    let txn = AppTransaction { app_id: "ingest/0-of-1".to_owned(), version: 1 };
    gaps.append(row, &txn).await.unwrap();
    let mut committer = committer(&lake).await;
    committer.accept(telling);
    assert_eq!(flush(&mut committer).await, (10, 0, Some(5)));
    let changes = lake.open_table(TableKind::Gaps).await.unwrap().changes(-1, 100).await.unwrap();
    let rows: usize = changes.iter().flat_map(|c| &c.batches).map(arrow::array::RecordBatch::num_rows).sum();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_quarantined_batch_keeps_its_bytes_and_is_acked_and_its_copy_is_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut committer = committer(&lake).await;
    let item = Quarantined {
        vehicle_id: vehicle(),
        topic: "rl/v1/0/van-1/telemetry".to_owned(),
        reason: QuarantineReason::ClockSkew,
        detail: "time is ahead".to_owned(),
        batch: Some(batch(1).batch),
        received_at: Timestamp(1_627_274_400_000_000),
        payload: vec![1, 2, 3],
    };
    committer.quarantine(item.clone());
    committer.quarantine(item);
    let flushed = committer.flush(&CancellationToken::new()).await.unwrap();
    assert_eq!((flushed.samples_quarantined, flushed.samples_duplicate), (10, 10));
    assert_eq!(flushed.acks[&vehicle()][0].up_to_sequence, 1);
    let mut table = lake.open_table(TableKind::Quarantine).await.unwrap();
    let changes = table.changes(0, 10).await.unwrap();
    let row = &changes[0].batches[0];
    assert_eq!(row.num_rows(), 1);
    let payload = row.column_by_name("payload").unwrap();
    assert_eq!(arrow::array::AsArray::as_binary::<i32>(payload).value(0), [1, 2, 3]);
}
