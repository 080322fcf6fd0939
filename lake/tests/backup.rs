//! Copies of a lake: of one moment beside a writer and maintenance, with what is new alone, whole or named as
//! damaged, and a lake in a folder or a bucket made of one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "../../tests/support/s3_server.rs"]
mod s3_server;
#[path = "support/rows.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lake::{
    Lake, LakeTable, TableKind,
    backup::{BackupError, Backups, Copied, Manifest},
    maintenance::CompactionPolicy,
};
use s3_server::S3Server;
use support::{DAY_1, Writer, content_hash, now_ms, readings};
use wire::time::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

async fn table(lake: &Lake) -> LakeTable {
    lake.open_table(TableKind::Readings).await.unwrap()
}

async fn hash(lake: &Lake) -> String {
    content_hash(&mut table(lake).await).await
}

async fn copy(backups: &Backups, lake: &Lake, after_s: i64) -> Result<(Manifest, Copied), BackupError> {
    backups.begin(NOW.plus_us(after_s * 1_000_000))?.finish(lake, &[], "test").await
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn each_copy_is_the_lake_of_its_moment_and_costs_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let lake = Lake::create(&at("lake")).unwrap();
    lake.put_catalog(b"a catalogue").await.unwrap();
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=5 {
        writer.append(readings(DAY_1, &["van-2", "van-1"], sequence, 300)).await;
    }
    let backups = Backups::create(&at("copies")).unwrap();
    let (first, copied) = copy(&backups, &lake, 0).await.unwrap();
    // The catalogue is one of them.
    assert_eq!((copied.files_copied, copied.files_kept), (6, 0));
    let wanted_first = hash(&lake).await;

    // Over a checkpoint, with days put in order between.
    for sequence in 6..=120 {
        writer.append(readings(DAY_1, &["van-1"], sequence, 3)).await;
    }
    let policy =
        CompactionPolicy { loose_files_min: 2, settle: Duration::ZERO, ..CompactionPolicy::default() };
    table(&lake).await.compact(&policy, now_ms()).await.unwrap();
    writer.append(readings(DAY_1, &["van-3"], 121, 7)).await;
    let (second, copied) = copy(&backups, &lake, 1).await.unwrap();
    assert!(copied.files_copied >= 2 && copied.files_kept == 1, "{copied:?}");
    let wanted_second = hash(&lake).await;
    assert_ne!(wanted_first, wanted_second);
    assert_eq!(backups.list().unwrap(), [first.clone(), second.clone()]);
    assert_eq!(backups.find(None).unwrap(), second);
    let (_, copied) = copy(&backups, &lake, 2).await.unwrap();
    assert_eq!((copied.files_copied, copied.bytes_copied), (0, 0), "nothing is new");

    for (manifest, wanted, name) in [(&first, &wanted_first, "a"), (&second, &wanted_second, "b")] {
        assert!(backups.verify(manifest).unwrap().is_empty());
        let made = Lake::create(&at(name)).unwrap();
        backups.restore(manifest, &made).await.unwrap();
        assert_eq!(&hash(&made).await, wanted, "{name}");
        assert_eq!(files(&at(name).join("catalogs")).len(), 1);
        // It is written on, by the same writer.
        let version = table(&made).await.version();
        let known = table(&made).await.app_version("w").await.unwrap().unwrap();
        let mut writer = Writer::open(&made, TableKind::Readings, "w").await;
        writer.append(readings(DAY_1, &["van-9"], u64::try_from(known).unwrap() + 1, 1)).await;
        assert_eq!(table(&made).await.version(), version + 1);
        let occupied = backups.restore(manifest, &made).await.unwrap_err();
        assert!(matches!(occupied, BackupError::Occupied { .. }), "{occupied}");
    }

    // Kept are the newest; files that only the first had go with it.
    let before = files(&at("copies").join("files")).len();
    assert_eq!(backups.keep(2).unwrap(), 1);
    assert!(files(&at("copies").join("files")).len() < before);
    let gone = backups.find(Some(&first.id)).unwrap_err();
    assert!(matches!(gone, BackupError::Missing { .. }), "{gone}");
    assert!(backups.verify(&second).unwrap().is_empty());
}

#[tokio::test]
async fn what_is_damaged_is_named_and_mended_by_the_next_copy() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let lake = Lake::create(&at("lake")).unwrap();
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    for sequence in 1..=3 {
        writer.append(readings(DAY_1, &["van-1"], sequence, 100)).await;
    }
    let backups = Backups::create(&at("copies")).unwrap();
    let (manifest, _) = copy(&backups, &lake, 0).await.unwrap();
    let shared = files(&at("copies").join("files"));
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&shared[0]);
    let refused = backups.restore(&manifest, &Lake::create(&at("a")).unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("its bytes differ"), "{refused}");
    // What was cut short is no lake.
    Lake::open(&at("a")).unwrap_err();
    std::fs::remove_file(&shared[1]).unwrap();
    let damaged: Vec<String> = backups.verify(&manifest).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 2, "{damaged:?}");
    for path in &shared[..2] {
        assert!(damaged.iter().any(|line| line.contains(path.to_str().unwrap())), "{damaged:?}");
    }
    let (_, copied) = copy(&backups, &lake, 1).await.unwrap();
    assert_eq!((copied.files_copied, copied.files_kept), (2, 1));
    assert!(backups.verify(&manifest).unwrap().is_empty());
    backups.restore(&manifest, &Lake::create(&at("a")).unwrap()).await.unwrap();

    // A file of the lake itself that is no longer what it was is told when it is copied again.
    let of_lake: Vec<_> = files(&at("lake"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        .collect();
    flip(&of_lake[0]);
    for path in files(&at("copies").join("files")) {
        std::fs::remove_file(path).unwrap();
    }
    let refused = copy(&backups, &lake, 2).await.unwrap_err();
    assert!(refused.to_string().contains("the lake's file has changed"), "{refused}");
}

#[tokio::test]
async fn folders_of_others_are_left_alone_and_two_copies_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(&dir.path().join("lake")).unwrap();
    let mut writer = Writer::open(&lake, TableKind::Readings, "w").await;
    writer.append(readings(DAY_1, &["van-1"], 1, 10)).await;
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    std::fs::write(dir.path().join("mine/letter"), "dear").unwrap();
    for refused in [Backups::create(&dir.path().join("mine")), Backups::open(&dir.path().join("nowhere"))] {
        assert!(matches!(refused.unwrap_err(), BackupError::NotOfBackups { .. }));
    }
    let backups = Backups::create(&dir.path().join("copies")).unwrap();
    let missing = backups.find(None).unwrap_err();
    assert!(matches!(missing, BackupError::Missing { .. }), "{missing}");
    let making = backups.begin(NOW).unwrap();
    assert!(matches!(backups.begin(NOW).unwrap_err(), BackupError::Busy { .. }));
    // One that was not finished is not there, and is cleared away by the next.
    let unfinished = making.folder();
    drop(making);
    assert!(backups.list().unwrap().is_empty() && unfinished.exists());
    copy(&backups, &lake, 1).await.unwrap();
    assert!(!unfinished.exists() && backups.list().unwrap().len() == 1);
    std::fs::write(dir.path().join("copies/roadlake-backup.json"), "{\"format\": 99}").unwrap();
    let newer = Backups::open(&dir.path().join("copies")).unwrap_err();
    assert!(matches!(newer, BackupError::Newer { found: 99, .. }), "{newer}");
}

#[tokio::test]
async fn a_bucket_is_copied_and_made_of_a_copy() {
    let server = S3Server::start();
    let dir = tempfile::tempdir().unwrap();
    let bucket = Lake::create_at(&server.lake("eu/prod")).await.unwrap();
    bucket.put_catalog(b"a catalogue").await.unwrap();
    let mut writer = Writer::open(&bucket, TableKind::Readings, "w").await;
    for sequence in 1..=5 {
        writer.append(readings(DAY_1, &["van-2", "van-1"], sequence, 300)).await;
    }
    let wanted = hash(&bucket).await;
    let backups = Backups::create(&dir.path().join("copies")).unwrap();
    let (manifest, copied) = copy(&backups, &bucket, 0).await.unwrap();
    assert_eq!(copied.files_copied, 6);
    let elsewhere = Lake::create_at(&server.lake("us/rescue")).await.unwrap();
    backups.restore(&manifest, &elsewhere).await.unwrap();
    assert_eq!(hash(&elsewhere).await, wanted);
    let folder = Lake::create(&dir.path().join("lake")).unwrap();
    backups.restore(&manifest, &folder).await.unwrap();
    assert_eq!(hash(&folder).await, wanted);
}
