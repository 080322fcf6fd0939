//! A lake in a bucket: the same rows as in a folder, commits of several writers, growth, readers,
//! and what a store that goes wrong does to them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/earlier.rs"]
mod earlier;
#[path = "../../tests/support/s3_faults.rs"]
mod s3_faults;
#[path = "../../tests/support/s3_server.rs"]
mod s3_server;
#[path = "support/rows.rs"]
mod support;

use std::{path::Path, process::Command, time::Duration};

use lake::{
    AppTransaction, CommitError, CommitMark, Lake, LakeSettings, LakeTable, OpenLakeError, TableKind,
    maintenance::{CompactionPolicy, MaintenanceError, expire::ShortRetention},
    store::LockError,
};
use s3_faults::{Fault, S3Proxy};
use s3_server::{S3Server, python};
use support::{DAY_1, Writer, content_hash, now_ms, query_one, readings};

fn policy() -> CompactionPolicy {
    CompactionPolicy { loose_files_min: 2, settle: Duration::ZERO, ..CompactionPolicy::default() }
}

async fn open(lake: &Lake) -> LakeTable {
    lake.open_table(TableKind::Readings).await.unwrap()
}

fn txn(app_id: &str, version: i64) -> AppTransaction {
    AppTransaction { app_id: app_id.to_owned(), version }
}

async fn fill(lake: &Lake) {
    let mut writer = Writer::open(lake, TableKind::Readings, "w").await;
    for sequence in 1..=5 {
        writer.append(readings(DAY_1, &["van-2", "van-1"], sequence, 300)).await;
    }
}

#[tokio::test]
async fn a_bucket_holds_the_rows_of_a_folder_before_and_after_maintenance() {
    let server = S3Server::start();
    let dir = tempfile::tempdir().unwrap();
    let folder = Lake::create(dir.path()).unwrap();
    let bucket = Lake::create_at(&server.lake("eu/prod")).await.unwrap();
    assert!(matches!(Lake::open_at(&server.lake("eu")).await, Err(OpenLakeError::Missing { .. })));
    fill(&folder).await;
    fill(&bucket).await;
    let wanted = content_hash(&mut open(&folder).await).await;
    let lake = Lake::open_at(&server.lake("eu/prod")).await.unwrap();
    let mut table = open(&lake).await;
    assert_eq!(content_hash(&mut table).await, wanted);

    let before = table.version();
    let done = table.compact(&policy(), now_ms()).await.unwrap();
    assert_eq!((done.files_removed, done.files_added), (5, 1));
    assert_eq!(content_hash(&mut table).await, wanted);
    assert!(table.changes(before, 10).await.unwrap().iter().all(|c| c.batches.is_empty()));
    table.checkpoint().await.unwrap();
    assert_eq!(table.vacuum(Duration::ZERO, ShortRetention::Allowed).await.unwrap(), 5);
    assert!(table.clean_log(Duration::ZERO, now_ms() + 60_000).await.unwrap() > 0);
    assert_eq!(content_hash(&mut open(&lake).await).await, wanted);
    let status = table.status(&policy(), now_ms()).await.unwrap();
    assert_eq!((status.files, status.loose_files, status.rows), (1, 0, Some(3000)));
    assert!(status.checkpoint_version.is_some());
    assert!(lake.audit(&policy()).await.unwrap().is_clean());
}

#[tokio::test]
async fn of_two_writers_of_one_version_both_or_one_commit_but_never_over_each_other() {
    let server = S3Server::start();
    let lake = Lake::create_at(&server.lake("two")).await.unwrap();
    lake.create_table(TableKind::Readings).await.unwrap();
    // Different shares: every writer commits from the same version, each row is in once.
    let mut writers = Vec::new();
    for i in 0..6 {
        writers.push((format!("share-{i}"), open(&lake).await));
    }
    let commits = writers.iter_mut().map(|(share, table)| {
        let rows = readings(DAY_1, &[share.as_str()], 1, 40);
        async move { table.append(rows, &txn(share, 1)).await.unwrap() }
    });
    let mut versions = futures::future::join_all(commits).await;
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    let counted = "SELECT count(*), count(DISTINCT vehicle_id) FROM t";
    assert_eq!(query_one(&mut open(&lake).await, counted).await, "240, 6");

    // The same share: one is in, the other is fenced.
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    let rows = || readings(DAY_1, &["van-9"], 1, 40);
    let same = txn("same", 1);
    let outcomes = <[_; 2]>::from(tokio::join!(one.append(rows(), &same), two.append(rows(), &same)));
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().any(|o| matches!(o, Err(CommitError::Fenced { .. }))), "{outcomes:?}");
    assert_eq!(query_one(&mut open(&lake).await, counted).await, "280, 7");

    // Two maintenances: one gives way.
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    let policy = policy();
    let (a, b) = tokio::join!(one.compact(&policy, now_ms()), two.compact(&policy, now_ms()));
    for outcome in [&a, &b] {
        assert!(matches!(outcome, Ok(_) | Err(MaintenanceError::Conflict { .. })), "{outcome:?}");
    }
    assert_eq!(query_one(&mut open(&lake).await, counted).await, "280, 7");
}

#[tokio::test]
async fn a_folder_of_an_earlier_release_copied_into_a_bucket_grows_there() {
    let server = S3Server::start();
    let dir = tempfile::tempdir().unwrap();
    earlier::table(dir.path()).await;
    server.upload(dir.path(), "grown");
    let lake = Lake::create_at(&server.lake("grown")).await.unwrap();
    let mut table = lake.create_table(earlier::KIND).await.unwrap();
    assert_eq!(table.version(), 2, "created, written, columns added");
    table.append(earlier::row(&earlier::KIND.schema(), "new"), &txn("test", 1)).await.unwrap();
    let found = query_one(&mut table, "SELECT count(*), count(list), max(list) FROM t").await;
    assert_eq!(found, "2, 1, new");
}

#[tokio::test]
async fn a_reader_of_others_reads_the_bucket() {
    let server = S3Server::start();
    let lake = Lake::create_at(&server.lake("read")).await.unwrap();
    fill(&lake).await;
    let config = server.config(server.address());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read_s3.py");
    let output = Command::new(python())
        .arg(script)
        .arg(format!("{}/readings", lake.location()))
        .arg(config.endpoint.unwrap())
        .args([config.access_key_id_file.unwrap(), config.secret_access_key_file.unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<f64> = serde_json::from_slice(&output.stdout).unwrap();
    let ours =
        query_one(&mut open(&lake).await, "SELECT count(*), sum(speed_kmh), sum(sequence) FROM t").await;
    assert_eq!(theirs, ours.split(", ").map(|v| v.parse().unwrap()).collect::<Vec<f64>>());
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_and_nobody_is_alone_with_a_bucket() {
    let server = S3Server::start();
    let proxy = S3Proxy::start(server.address()).await;
    let settings = server.lake_by(proxy.address(), "lake");
    proxy.set(Fault::Unconditional);
    let error = Lake::create_at(&settings).await.unwrap_err();
    assert!(matches!(error, OpenLakeError::Unconditional { .. }), "{error:?}");
    proxy.set(Fault::Pass);
    let lake = Lake::create_at(&settings).await.unwrap();
    let _writer = lake.lock_as_writer().unwrap();
    assert!(matches!(lake.lock_alone(), Err(LockError::Bucket { .. })));
}

#[tokio::test]
async fn catalogues_are_kept_in_the_bucket() {
    let server = S3Server::start();
    let lake = Lake::create_at(&server.lake("catalogs")).await.unwrap();
    let catalog = wire::catalog::Catalog { vss_release: "6.0".to_owned(), columns: Vec::new() };
    let hash = lake.put_catalog(&catalog.encode()).await.unwrap();
    assert_eq!(lake.put_catalog(&catalog.encode()).await.unwrap(), hash);
    assert_eq!(lake.catalog(hash).await.unwrap(), Some(catalog));
    let other = wire::catalog::hash_of(b"another");
    assert_eq!(lake.catalog(other).await.unwrap(), None);
}

/// A writer through a proxy, with one commit made.
async fn through(proxy: &S3Proxy, server: &S3Server, prefix: &str) -> (LakeSettings, LakeTable) {
    let settings = server.lake_by(proxy.address(), prefix);
    let lake = Lake::create_at(&settings).await.unwrap();
    let mut table = lake.create_table(TableKind::Readings).await.unwrap();
    table.append(readings(DAY_1, &["van-1"], 1, 10), &txn("w", 1)).await.unwrap();
    (server.lake(prefix), table)
}

const COUNTED: &str = "SELECT count(*), count(DISTINCT sequence) FROM t";

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_in_once_and_does_not_fence_its_writer() {
    let server = S3Server::start();
    let proxy = S3Proxy::start(server.address()).await;
    let (direct, mut table) = through(&proxy, &server, "lost").await;
    proxy.set(Fault::LoseAnswers);
    let version = table.append(readings(DAY_1, &["van-1"], 2, 10), &txn("w", 2)).await.unwrap();
    assert_eq!((version, proxy.hits() > 0), (2, true));
    proxy.set(Fault::Pass);
    table.append(readings(DAY_1, &["van-1"], 3, 10), &txn("w", 3)).await.unwrap();
    let lake = Lake::open_at(&direct).await.unwrap();
    assert_eq!(query_one(&mut open(&lake).await, COUNTED).await, "30, 3");
}

#[tokio::test]
async fn a_commit_that_lands_after_its_writer_gave_it_up_is_found_by_the_next_try() {
    let server = S3Server::start();
    let proxy = S3Proxy::start(server.address()).await;
    let (direct, mut table) = through(&proxy, &server, "late").await;
    let lake = Lake::open_at(&direct).await.unwrap();
    for (version, is_awaited) in [(2, true), (3, false)] {
        let (mark, second) = (CommitMark::default(), txn("w", version));
        let rows = || readings(DAY_1, &["van-1"], version.unsigned_abs(), 10);
        proxy.set(Fault::Late(Duration::from_millis(1500)));
        let error = table.append_marked(rows(), &second, &mark).await.unwrap_err();
        assert!(matches!(error, CommitError::Write { .. }), "{error:?}");
        proxy.set(Fault::Pass);
        let landed = async {
            while open(&lake).await.version() < version {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if is_awaited {
            tokio::time::timeout(Duration::from_secs(20), landed).await.unwrap();
        }
        // Before it lands the second try is in and the late one refused; after, it is found.
        table.append_marked(rows(), &second, &mark).await.unwrap();
        assert_eq!(query_one(&mut open(&lake).await, COUNTED).await, format!("{0}0, {0}", version));
    }
    // The mark is one of these rows only: a writer of others is fenced.
    let mut other = open(&lake).await;
    let error = other.append(readings(DAY_1, &["van-1"], 4, 10), &txn("w", 3)).await.unwrap_err();
    assert!(matches!(error, CommitError::Fenced { .. }), "{error:?}");
}

#[tokio::test]
async fn every_fault_of_the_store_ends_in_an_error_within_its_time_and_mends() {
    let server = S3Server::start();
    let proxy = S3Proxy::start(server.address()).await;
    let (direct, mut table) = through(&proxy, &server, "faults").await;
    let mut version = 1;
    for fault in [Fault::Unavailable, Fault::SlowDown, Fault::Stall, Fault::Reset] {
        version += 1;
        let (mark, next) = (CommitMark::default(), txn("w", version));
        let rows = || readings(DAY_1, &["van-1"], version.unsigned_abs(), 10);
        proxy.set(fault);
        let before = proxy.hits();
        let tried = table.append_marked(rows(), &next, &mark);
        let error = tokio::time::timeout(Duration::from_secs(30), tried).await.unwrap().unwrap_err();
        assert!(matches!(error, CommitError::Write { .. }), "{fault:?}: {error:?}");
        assert!(proxy.hits() > before, "{fault:?}");
        let told = format!("{error:?}");
        assert!(!told.contains("a-secret-of-tests"), "{told}");
        proxy.set(Fault::Pass);
        table.append_marked(rows(), &next, &mark).await.unwrap();
    }
    let lake = Lake::open_at(&direct).await.unwrap();
    assert_eq!(query_one(&mut open(&lake).await, COUNTED).await, "50, 5");
}
