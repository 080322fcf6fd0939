//! What a power cut may leave at the end of a table's log: a writer that opens it finds every commit that was
//! said to be done, and goes on.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

#[path = "support/rows.rs"]
mod rows;

use std::{
    fs,
    path::{Path, PathBuf},
};

use lake::{Lake, TableKind};
use rows::{DAY_1, Writer, query_one, readings};

const KIND: TableKind = TableKind::Readings;
const ROWS: usize = 3;

/// What is left of a file that was not on the disk.
type Tear = fn(&[u8]) -> Option<Vec<u8>>;

const TEARS: [(&str, Tear); 4] = [
    ("gone", |_| None),
    ("empty", |_| Some(Vec::new())),
    ("cut in its middle", |whole| Some(whole[..whole.len() / 2].to_vec())),
    ("zeros", |whole| Some(vec![0; whole.len()])),
];

fn tear(path: &Path, tear: Tear) {
    match tear(&fs::read(path).unwrap()) {
        Some(left) => fs::write(path, left).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

fn log(lake: &Lake) -> PathBuf {
    lake.folder().unwrap().join(KIND.name()).join("_delta_log")
}

async fn count(lake: &Lake) -> usize {
    let mut table = lake.open_table(KIND).await.unwrap();
    query_one(&mut table, "SELECT count(*) FROM t").await.parse().unwrap()
}

/// Appends `commits` commits, then answers for the version of the last.
async fn append(lake: &Lake, commits: u64) -> i64 {
    let mut writer = Writer::open(lake, KIND, "ingest/0-of-1").await;
    for sequence in 1..=commits {
        writer.append(readings(DAY_1, &["van-1"], sequence, ROWS)).await;
    }
    lake.open_table(KIND).await.unwrap().version()
}

#[tokio::test]
async fn entries_that_nothing_was_acknowledged_for_are_set_aside() {
    for (what, torn) in TEARS {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::create(dir.path()).unwrap();
        let newest = append(&lake, 4).await;
        for version in [newest, newest - 1] {
            tear(&log(&lake).join(format!("{version:020}.json")), torn);
        }
        append(&lake, 5).await;
        assert_eq!(count(&lake).await, 7 * ROWS, "{what}");
    }
}

#[tokio::test]
async fn a_checkpoint_and_the_hint_to_it_can_be_torn() {
    for (what, torn) in TEARS {
        for names in
            [&["checkpoint.parquet"][..], &["checkpoint.parquet", "_last_checkpoint"], &["_last_checkpoint"]]
        {
            let dir = tempfile::tempdir().unwrap();
            let lake = Lake::create(dir.path()).unwrap();
            let newest = append(&lake, 3).await;
            lake.open_table(KIND).await.unwrap().checkpoint().await.unwrap();
            for name in names {
                let name =
                    if name.starts_with('_') { (*name).to_owned() } else { format!("{newest:020}.{name}") };
                tear(&log(&lake).join(name), torn);
            }
            append(&lake, 2).await;
            assert_eq!(count(&lake).await, 5 * ROWS, "{what}: {names:?}");
        }
    }
}

#[tokio::test]
async fn a_whole_log_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    append(&lake, 3).await;
    lake.open_table(KIND).await.unwrap().checkpoint().await.unwrap();
    append(&lake, 2).await;
    let files = || {
        let mut files: Vec<_> = fs::read_dir(log(&lake)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = files();
    lake.create_table(KIND).await.unwrap();
    assert_eq!(files(), before);
}

#[tokio::test]
async fn a_table_whose_first_entry_was_lost_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    lake.create_table(KIND).await.unwrap();
    tear(&log(&lake).join(format!("{:020}.json", 0)), |_| Some(Vec::new()));
    append(&lake, 2).await;
    assert_eq!(count(&lake).await, 2 * ROWS);
}
