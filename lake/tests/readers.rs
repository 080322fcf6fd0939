//! Readers that no one here wrote open the tables and find what we find.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test: a failure is the message")]

#[path = "support/rows.rs"]
mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lake::{
    Lake, LakeTable, TableKind,
    maintenance::{CompactionPolicy, expire::ShortRetention},
};
use support::{Writer, now_ms, query_one, readings, signals};

/// The Python that `scripts/setup --tests` made.
fn python() -> PathBuf {
    let own_target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(own_target, PathBuf::from);
    let python = target.join("lake-readers/venv/bin/python");
    assert!(
        python.exists(),
        "DuckDB and deltalake of PyPI are not there ({}): run scripts/setup --tests once, with the network",
        python.display()
    );
    python
}

/// What each outside reader finds, in the order of [`ours`].
fn theirs(table: &Path, columns: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py");
    let output = Command::new(python()).arg(script).arg(table).args(columns).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn ours(table: &mut LakeTable, columns: &[&str]) -> Vec<f64> {
    let sums: Vec<String> =
        columns.iter().map(|c| format!("sum({c}), count({c}), min({c}), max({c})")).collect();
    let query = format!(
        "SELECT count(*), count(DISTINCT vehicle_id), sum(sequence), CAST(min(ts) AS BIGINT), \
         CAST(max(ts) AS BIGINT), count(DISTINCT date), {} FROM t",
        sums.join(", ")
    );
    let row = query_one(table, &query).await;
    row.split(", ").map(|value| value.parse().unwrap()).collect()
}

/// Sums of doubles depend on their order in the last places.
fn agree(ours: &[f64], theirs: &[f64]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= a.abs() * 1e-12)
}

async fn compare(lake: &Lake, kind: TableKind, columns: &[&str], when: &str) {
    let mut table = lake.open_table(kind).await.unwrap();
    let ours = ours(&mut table, columns).await;
    let theirs = theirs(&lake.folder().unwrap().join(kind.name()), columns);
    assert_eq!(theirs.len(), 2);
    for (reader, found) in theirs {
        assert!(agree(&ours, &found), "{reader}, {} {when}: {found:?}, ours {ours:?}", kind.name());
    }
}

#[tokio::test]
async fn duckdb_and_deltalake_agree_with_us_before_and_after_maintenance() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let kinds: [(TableKind, &[&str]); 2] = [
        (TableKind::Readings, &["latitude", "odometer_km", "speed_kmh", "fuel_level_pct"]),
        (TableKind::Signals, &["value"]),
    ];
    for (kind, _) in kinds {
        let mut writer = Writer::open(&lake, kind, "w").await;
        for sequence in 1..=6 {
            let day = if sequence % 3 == 0 { "2026-11-22" } else { "2026-11-23" };
            let vehicles = ["van-2", "van-1", "van-3"];
            let rows = match kind {
                TableKind::Readings => readings(day, &vehicles, sequence, 700),
                _ => signals(day, &vehicles, sequence, 700),
            };
            writer.append(rows).await;
        }
    }
    for (kind, columns) in kinds {
        compare(&lake, kind, columns, "as it was written").await;
        let mut table = lake.open_table(kind).await.unwrap();
        let policy = CompactionPolicy { settle: Duration::ZERO, ..CompactionPolicy::default() };
        assert_eq!(table.compact(&policy, now_ms()).await.unwrap().files_removed, 6);
        compare(&lake, kind, columns, "in order, retired files still there").await;
        table.checkpoint().await.unwrap();
        assert_eq!(table.vacuum(Duration::ZERO, ShortRetention::Allowed).await.unwrap(), 6);
        assert!(table.clean_log(Duration::ZERO, now_ms() + 60_000).await.unwrap() > 0);
        compare(&lake, kind, columns, "from a checkpoint, vacuumed").await;
        let days_since_1970 = 20_780;
        assert_eq!(table.drop_days_before(days_since_1970, now_ms()).await.unwrap().files, 1);
        compare(&lake, kind, columns, "after its first day was dropped").await;
    }
}
