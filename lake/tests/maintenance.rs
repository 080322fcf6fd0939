//! Maintenance beside a writer, over a real Delta lake in a temporary folder: it changes files,
//! never rows.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test: a failure is the message")]

#[path = "support/rows.rs"]
mod support;

use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use lake::{
    AppTransaction, Lake, LakeTable, ReadError, TableKind,
    maintenance::{CompactionPolicy, MaintenanceError, expire::ShortRetention},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use support::{DAY_1, Writer, content_hash, now_ms, query_one, readings, signals};

/// Everything is settled, files are cut small.
fn policy() -> CompactionPolicy {
    CompactionPolicy {
        loose_files_min: 2,
        settle: Duration::ZERO,
        sort_memory_bytes_max: 64 << 20,
        ..CompactionPolicy::default()
    }
}

async fn lake() -> (tempfile::TempDir, Lake) {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    (dir, lake)
}

async fn open(lake: &Lake) -> LakeTable {
    lake.open_table(TableKind::Readings).await.unwrap()
}

#[tokio::test]
async fn a_day_of_many_small_files_becomes_one_sorted_file_with_the_same_rows() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in (1..=6).rev() {
        writer.append(readings(DAY_1, &["van-2", "van-1"], sequence, 50)).await;
    }
    let before = content_hash(&mut open(&lake).await).await;
    let mut table = open(&lake).await;
    let version = table.version();
    let done = table.compact(&policy(), now_ms()).await.unwrap();
    assert_eq!((done.commits, done.files_removed, done.files_added, done.rows), (1, 6, 1, 600));
    assert_eq!(content_hash(&mut table).await, before);

    let changes = table.changes(version, 10).await.unwrap();
    assert!(!changes.is_empty() && changes.iter().all(|c| c.batches.is_empty()), "followers see no rows");
    // A second pass finds nothing to do.
    assert_eq!(table.compact(&policy(), now_ms()).await.unwrap().commits, 0);

    let files = support::live_files(&mut table).await;
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(lake.folder().unwrap().join("readings").join(&files[0])).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let order: Vec<i32> =
        reader.metadata().row_group(0).sorting_columns().unwrap().iter().map(|c| c.column_idx).collect();
    assert_eq!(order, [0, 1, 3, 4], "vehicle_id, ts, stream_id, sequence");
    let mut last: Option<(String, i64)> = None;
    for batch in reader.build().unwrap().map(Result::unwrap) {
        let vehicle = batch.column_by_name("vehicle_id").unwrap().as_string::<i32>().clone();
        let ts = batch.column_by_name("ts").unwrap();
        let ts = ts.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let place = (vehicle.value(row).to_owned(), ts.value(row));
            assert!(last.as_ref().is_none_or(|last| *last <= place), "{last:?} {place:?}");
            last = Some(place);
        }
    }
}

#[tokio::test]
async fn a_writer_that_appends_during_maintenance_neither_fails_nor_loses_rows() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=4 {
        writer.append(readings(DAY_1, &["van-1"], sequence, 100)).await;
    }
    // The writer commits from the version it knows, again and again, while days are rewritten.
    let maintain = async {
        let mut table = open(&lake).await;
        let mut done = 0;
        for _ in 0..8 {
            done += table.compact(&policy(), now_ms()).await.unwrap().files_removed;
        }
        done
    };
    let write = async {
        for sequence in 5..=20 {
            writer.append(readings(DAY_1, &["van-1", "van-3"], sequence, 100)).await;
        }
    };
    let (removed, ()) = tokio::join!(maintain, write);
    assert!(removed >= 4, "{removed}");

    let (_dir, undisturbed) = self::lake().await;
    let mut plain = Writer::open(&undisturbed, TableKind::Readings, "w").await;
    for sequence in 1..=4 {
        plain.append(readings(DAY_1, &["van-1"], sequence, 100)).await;
    }
    for sequence in 5..=20 {
        plain.append(readings(DAY_1, &["van-1", "van-3"], sequence, 100)).await;
    }
    assert_eq!(content_hash(&mut open(&lake).await).await, content_hash(&mut open(&undisturbed).await).await);
}

#[tokio::test]
async fn of_two_maintenances_one_is_refused_as_a_whole_and_then_finds_nothing_to_do() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=5 {
        writer.append(readings(DAY_1, &["van-1", "van-2"], sequence, 200)).await;
    }
    let before = content_hash(&mut open(&lake).await).await;
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    let policy = policy();
    let (a, b) = tokio::join!(one.compact(&policy, now_ms()), two.compact(&policy, now_ms()));
    let outcomes = [a, b];
    let won = outcomes.iter().filter(|r| r.as_ref().is_ok_and(|d| d.commits == 1)).count();
    assert_eq!(won, 1, "{outcomes:?}");
    for outcome in &outcomes {
        assert!(matches!(outcome, Ok(_) | Err(MaintenanceError::Conflict { .. })), "{outcome:?}");
    }
    let mut table = open(&lake).await;
    assert_eq!(table.compact(&policy, now_ms()).await.unwrap().commits, 0);
    assert_eq!(content_hash(&mut table).await, before);
}

#[tokio::test]
async fn files_of_a_maintenance_that_died_are_no_rows_and_go_by_vacuum() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=5 {
        writer.append(readings(DAY_1, &["van-1"], sequence, 500)).await;
    }
    let before = content_hash(&mut open(&lake).await).await;
    // What it leaves when it dies before its commit: whole files that no version names.
    let folder = lake.folder().unwrap().join("readings").join(format!("date={DAY_1}"));
    let orphan = folder.join("part-00000-of-the-dead.parquet");
    let live = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).next().unwrap();
    std::fs::copy(live, &orphan).unwrap();
    let mut table = open(&lake).await;
    assert_eq!(content_hash(&mut table).await, before);

    let short = table.vacuum(Duration::from_secs(3600), ShortRetention::Refused).await.unwrap_err();
    assert!(matches!(short, MaintenanceError::RetentionTooShort), "{short}");
    assert_eq!(table.vacuum(Duration::from_secs(168 * 3600), ShortRetention::Refused).await.unwrap(), 0);
    assert!(orphan.exists(), "it is young");
    table.compact(&policy(), now_ms()).await.unwrap();
    let deleted = table.vacuum(Duration::ZERO, ShortRetention::Allowed).await.unwrap();
    assert_eq!(deleted, 6, "five retired, one orphan");
    assert!(!orphan.exists());
    assert_eq!(content_hash(&mut table).await, before);
}

/// A pass cut off at every point where it waits: the table reads the same, and the next pass
/// does the work.
#[tokio::test]
async fn a_maintenance_killed_at_any_point_changes_no_row() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=3 {
        writer.append(readings(DAY_1, &["van-1", "van-2"], sequence, 300)).await;
    }
    let before = content_hash(&mut open(&lake).await).await;
    let mut cut_off = 0;
    for polls in 0.. {
        let mut table = open(&lake).await;
        let policy = policy();
        let mut pass = Box::pin(table.compact(&policy, now_ms()));
        let mut left = polls;
        let ended = std::future::poll_fn(|context| {
            if left == 0 {
                return std::task::Poll::Ready(None);
            }
            left -= 1;
            pass.as_mut().poll(context).map(Some)
        });
        let ended = ended.await;
        drop(pass);
        assert_eq!(content_hash(&mut open(&lake).await).await, before, "after {polls} polls");
        match ended {
            None => cut_off += 1,
            Some(done) => {
                done.unwrap();
                break;
            }
        }
        if support::live_files(&mut open(&lake).await).await.len() == 1 {
            // It was committed, and cut off after that.
            break;
        }
    }
    assert!(cut_off > 3, "{cut_off}");
    let mut table = open(&lake).await;
    assert_eq!(table.compact(&policy(), now_ms()).await.unwrap().commits, 0);
    assert_eq!(content_hash(&mut table).await, before);
}

#[tokio::test]
async fn late_data_puts_only_files_of_the_same_vehicles_in_order_again() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    let vehicles: Vec<String> = (0..8).map(|n| format!("van-{n}")).collect();
    let vehicles: Vec<&str> = vehicles.iter().map(String::as_str).collect();
    for sequence in 1..=4 {
        writer.append(readings(DAY_1, &vehicles, sequence, 2000)).await;
    }
    let small = CompactionPolicy { file_bytes_target: 40_000, ..policy() };
    let mut table = open(&lake).await;
    let first = table.compact(&small, now_ms()).await.unwrap();
    assert!(first.files_added >= 4, "{first:?}");
    assert_eq!(table.compact(&small, now_ms()).await.unwrap().commits, 0, "cut at vehicles, so no overlap");

    writer.append(readings(DAY_1, &["van-3"], 5, 20)).await;
    let before = content_hash(&mut open(&lake).await).await;
    let late = table.compact(&small, now_ms()).await.unwrap();
    assert_eq!(late.commits, 1);
    assert!(late.files_removed <= 3, "of {} files: {late:?}", first.files_added);
    assert_eq!(content_hash(&mut table).await, before);
}

#[tokio::test]
async fn a_day_larger_than_the_sort_s_memory_is_sorted_by_disk() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Signals, "w").await;
    for sequence in 1..=6 {
        writer.append(signals(DAY_1, &["van-2", "van-1", "van-3"], sequence, 15_000)).await;
    }
    let mut table = lake.open_table(TableKind::Signals).await.unwrap();
    let query = "SELECT count(*), sum(sequence), sum(value) FROM t";
    let before = query_one(&mut table, query).await;
    // 270,000 rows of over 100 bytes each.
    let tight = CompactionPolicy { sort_memory_bytes_max: 16 << 20, ..policy() };
    let done = table.compact(&tight, now_ms()).await.unwrap();
    assert_eq!(done.rows, 270_000);
    assert_eq!(query_one(&mut table, query).await, before);
    let refused = CompactionPolicy { spill_bytes_max: 1 << 10, ..tight };
    writer.append(signals(DAY_1, &["van-2"], 7, 150_000)).await;
    let error = table.compact(&refused, now_ms()).await.unwrap_err();
    assert!(matches!(error, MaintenanceError::Sort { .. } | MaintenanceError::Delta { .. }), "{error:?}");
}

/// A day that nearly fits is the hard one: it is merged in memory, with a key beside each row.
#[tokio::test]
async fn a_day_that_nearly_fills_the_sort_s_memory_is_sorted() {
    let vehicle = "a-vehicle-whose-name-is-as-long-as-a-name-may-be-in-this-fleet";
    let tight = CompactionPolicy { sort_memory_bytes_max: 16 << 20, ..policy() };
    for thousands in [30, 45, 60, 90] {
        let (_dir, lake) = lake().await;
        let mut writer = Writer::open(&lake, TableKind::Signals, "w").await;
        for sequence in 1..=3 {
            writer.append(signals(DAY_1, &[vehicle], sequence, thousands * 1000 / 3)).await;
        }
        let mut table = lake.open_table(TableKind::Signals).await.unwrap();
        let done = table.compact(&tight, now_ms()).await;
        let rows = done.unwrap_or_else(|e| panic!("{thousands},000 rows: {e:?}")).rows;
        assert_eq!(rows, thousands as u64 * 1000);
    }
}

#[tokio::test]
async fn old_days_are_dropped_and_the_lake_says_from_when_it_has_rows() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for (sequence, day) in ["2026-01-01", "2026-01-02", "2026-01-03"].into_iter().enumerate() {
        writer.append(readings(day, &["van-1"], sequence as u64 + 1, 10)).await;
    }
    let mut table = open(&lake).await;
    assert_eq!(table.kept_from().await.unwrap().of("van-1"), None);
    let version = table.version();
    let first_kept = 20_455; // 2026-01-02
    let dropped = table.drop_days_before(first_kept, now_ms()).await.unwrap();
    assert_eq!(dropped.files, 1);
    assert_eq!(query_one(&mut table, "SELECT count(*), min(date) FROM t").await, "20, 2026-01-02");
    assert_eq!(table.kept_from().await.unwrap().of("van-1"), Some(i64::from(first_kept)));
    assert!(table.changes(version, 10).await.unwrap().iter().all(|c| c.batches.is_empty()));
    assert_eq!(table.drop_days_before(first_kept, now_ms()).await.unwrap().files, 0);
    // The writer, which knows only the version before, goes on.
    writer.append(readings("2026-01-04", &["van-1"], 4, 10)).await;
    assert_eq!(query_one(&mut open(&lake).await, "SELECT count(*) FROM t").await, "30");
}

#[tokio::test]
async fn a_follower_behind_a_shortened_log_or_a_vacuum_is_told_so() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=4 {
        writer.append(readings(DAY_1, &["van-1"], sequence, 10)).await;
    }
    let mut table = open(&lake).await;
    table.compact(&policy(), now_ms()).await.unwrap();
    table.checkpoint().await.unwrap();
    // Nothing is old enough for the stated retention.
    assert_eq!(table.clean_log(Duration::from_secs(30 * 86_400), now_ms()).await.unwrap(), 0);
    assert_eq!(table.changes(-1, 100).await.unwrap().iter().map(rows).sum::<usize>(), 40);

    table.vacuum(Duration::ZERO, ShortRetention::Allowed).await.unwrap();
    let gone = table.changes(-1, 100).await.unwrap_err();
    assert!(matches!(gone, ReadError::VersionGone { version: 1, .. }), "{gone:?}");
    let reached = table.version();
    assert!(table.clean_log(Duration::ZERO, now_ms() + 60_000).await.unwrap() > 0);
    let gone = table.changes(-1, 100).await.unwrap_err();
    assert!(matches!(gone, ReadError::VersionGone { version: 0, .. }), "{gone:?}");

    // One that has kept up sees nothing of it, and a newcomer opens the table.
    writer.append(readings(DAY_1, &["van-1"], 5, 10)).await;
    assert_eq!(table.changes(reached, 100).await.unwrap().iter().map(rows).sum::<usize>(), 10);
    assert_eq!(query_one(&mut open(&lake).await, "SELECT count(*) FROM t").await, "50");
}

#[tokio::test]
async fn the_place_of_a_writer_survives_checkpoint_compaction_and_clean_up() {
    let (_dir, lake) = lake().await;
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=3 {
        writer.append(readings(DAY_1, &["van-1"], sequence, 10)).await;
    }
    let mut table = open(&lake).await;
    table.compact(&policy(), now_ms()).await.unwrap();
    table.checkpoint().await.unwrap();
    table.clean_log(Duration::ZERO, now_ms() + 60_000).await.unwrap();
    let mut anew = open(&lake).await;
    assert_eq!(anew.app_version("w").await.unwrap(), Some(3));
    let status = anew.status(&policy(), now_ms()).await.unwrap();
    assert_eq!(
        (status.files, status.loose_files, status.rows),
        (1, 0, Some(30)),
        "tags are in the checkpoint"
    );
    assert!(status.checkpoint_version.is_some());
    let again = AppTransaction { app_id: "w".to_owned(), version: 3 };
    assert!(anew.append(readings(DAY_1, &["van-1"], 3, 10), &again).await.is_err(), "fenced as before");
}

fn rows(change: &lake::Change) -> usize {
    change.batches.iter().map(RecordBatch::num_rows).sum()
}
