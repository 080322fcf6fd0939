//! Erasing the rows of some vehicles, over a real Delta lake in a temporary folder: theirs go, and
//! nothing else changes.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test: a failure is the message")]

#[path = "support/rows.rs"]
mod support;

use std::time::Duration;

use lake::{
    Lake, LakeTable, TableKind, Whose,
    maintenance::{CompactionPolicy, expire::days_of},
};
use support::{Writer, now_ms, query_one, readings};

const OLD: &str = "2026-01-01";
const NEXT: &str = "2026-01-02";
const KEPT: &str = "2026-01-03";
const FLEET: [&str; 4] = ["acme-1", "acme-2", "bolt-1", "van-7"];

fn policy() -> CompactionPolicy {
    CompactionPolicy { loose_files_min: 2, settle: Duration::ZERO, ..CompactionPolicy::default() }
}

fn acme() -> Whose {
    "acme-*".parse().unwrap()
}

async fn open(lake: &Lake) -> LakeTable {
    lake.open_table(TableKind::Readings).await.unwrap()
}

/// A lake with readings of each vehicle on each day.
async fn lake_of(batches: &[(&str, &[&str], u64)]) -> (tempfile::TempDir, Lake, Writer) {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for (day, vehicles, sequence) in batches {
        writer.append(readings(day, vehicles, *sequence, 40)).await;
    }
    (dir, lake, writer)
}

#[tokio::test]
async fn only_what_is_meant_goes_whether_files_are_loose_or_in_order() {
    let all = [(OLD, &FLEET[..], 1), (OLD, &FLEET[..2], 2), (NEXT, &FLEET[..], 3), (KEPT, &FLEET[..], 4)];
    let others = "SELECT count(*), round(sum(latitude * sequence), 3), sum(speed_kmh), count(fuel_level_pct), round(sum(fuel_level_pct), 3),
        sum(CAST(ts AS BIGINT) / 1000000), min(ts), max(ts), count(DISTINCT stream_id), sum(CAST(received_at AS BIGINT) % 1000)
        FROM t WHERE NOT (vehicle_id LIKE 'acme-%' AND date < DATE '2026-01-03')";
    for is_in_order in [false, true] {
        let (_dir, lake, mut writer) = lake_of(&all).await;
        let mut table = open(&lake).await;
        let expected = query_one(&mut table, others).await;
        if is_in_order {
            table.compact(&policy(), now_ms()).await.unwrap();
        }
        let version = table.version();
        let first_kept = days_of(KEPT).unwrap();
        let erased = table.erase_before(&acme(), first_kept, &policy(), now_ms()).await.unwrap();
        // Two files of the first day where it was not in order: one has nobody else's rows.
        assert_eq!((erased.rows, erased.files), (240, if is_in_order { 2 } else { 3 }));
        assert_eq!(query_one(&mut table, others).await, expected);
        assert_eq!(query_one(&mut table, "SELECT count(*) FROM t").await, "320", "nothing else is there");
        let changes = table.changes(version, 10).await.unwrap();
        assert!(!changes.is_empty() && changes.iter().all(|c| c.batches.is_empty()), "no new rows are seen");

        let kept_from = table.kept_from().await.unwrap();
        assert_eq!(kept_from.of("acme-9"), Some(i64::from(first_kept)));
        assert_eq!(kept_from.of("bolt-1"), None);
        // Days in order stay so; and the writer, which knows only the version before, goes on.
        assert_eq!(table.compact(&policy(), now_ms()).await.unwrap().commits, u64::from(!is_in_order));
        writer.append(readings(KEPT, &["acme-1"], 5, 10)).await;
        assert_eq!(query_one(&mut open(&lake).await, "SELECT count(*) FROM t").await, "330");
    }
}

#[tokio::test]
async fn what_comes_late_goes_the_next_time_and_then_nothing_is_left_to_do() {
    let (_dir, lake, mut writer) = lake_of(&[(OLD, &FLEET[..], 1), (KEPT, &FLEET[..], 2)]).await;
    let mut table = open(&lake).await;
    let first_kept = days_of(NEXT).unwrap();
    assert_eq!(table.erase_before(&acme(), first_kept, &policy(), now_ms()).await.unwrap().rows, 80);
    writer.append(readings(OLD, &["acme-1", "van-7"], 3, 40)).await;
    assert_eq!(table.erase_before(&acme(), first_kept, &policy(), now_ms()).await.unwrap().rows, 40);
    // Long after, files of then are known to have none; the day that has passed is looked at.
    let later_ms = now_ms() + 86_400_000;
    assert_eq!(table.erase_before(&acme(), first_kept, &policy(), later_ms).await.unwrap().rows, 0);
    let version = table.version();
    let much_later_ms = later_ms + 86_400_000;
    assert_eq!(table.erase_before(&acme(), first_kept, &policy(), much_later_ms).await.unwrap().files, 0);
    assert_eq!(table.version(), version, "nothing to do is no commit");
    let all = days_of(KEPT).unwrap() + 1;
    assert_eq!(table.erase_before(&acme(), all, &policy(), much_later_ms).await.unwrap().rows, 80);
    assert_eq!(query_one(&mut table, "SELECT count(*), min(vehicle_id) FROM t").await, "200, bolt-1");
    // An audit sees that what is missing is meant to be.
    let audit = lake.audit(&policy()).await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
}

#[tokio::test]
async fn a_writer_that_appends_meanwhile_neither_fails_nor_loses_rows() {
    let (_dir, lake, mut writer) = lake_of(&[(OLD, &FLEET[..], 1), (NEXT, &FLEET[..], 2)]).await;
    let erase = async {
        let mut rows = 0;
        for whose in ["acme-1", "acme-2", "van-*", "acme-1"] {
            let mut table = open(&lake).await;
            let first_kept = days_of(KEPT).unwrap();
            rows += table
                .erase_before(&whose.parse().unwrap(), first_kept, &policy(), now_ms())
                .await
                .unwrap()
                .rows;
        }
        rows
    };
    let write = async {
        for sequence in 3..=12 {
            writer.append(readings(KEPT, &FLEET, sequence, 10)).await;
        }
    };
    let (rows, ()) = tokio::join!(erase, write);
    assert_eq!(rows, 240);
    assert_eq!(query_one(&mut open(&lake).await, "SELECT count(*) FROM t").await, "480");
}
