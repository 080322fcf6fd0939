//! Taking over a writer's share: who held it is refused, also in the middle of a commit, and
//! whatever part of the log has become a checkpoint.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test: a failure is the message"
)]

#[path = "support/rows.rs"]
mod rows;

use std::collections::BTreeMap;

use lake::{AppTransaction, CommitError, Lake, LakeTable, TableKind};
use rows::{DAY_1, Writer, readings};

const KIND: TableKind = TableKind::Readings;

fn is_of_ingest(app_id: &str) -> bool {
    app_id.starts_with("ingest/")
}

async fn append(table: &mut LakeTable, app_id: &str, version: i64) -> Result<i64, CommitError> {
    let txn = AppTransaction { app_id: app_id.to_owned(), version };
    table.append(readings(DAY_1, &["van-1"], version as u64, 3), &txn).await
}

#[tokio::test]
async fn a_claim_fences_every_rival_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut table = lake.create_table(KIND).await.unwrap();
    for app_id in ["ingest/0-of-2", "ingest/1-of-2", "import/a-file"] {
        append(&mut table, app_id, 1).await.unwrap();
    }
    // As they are in processes of their own: loaded before the claim.
    let (mut even, mut odd, mut other) = (table.clone(), table.clone(), table.clone());

    let mine = table.claim("ingest/0-of-3", is_of_ingest).await.unwrap();
    assert_eq!(mine, 1);
    for (rival, app_id) in [(&mut even, "ingest/0-of-2"), (&mut odd, "ingest/1-of-2")] {
        let refused = append(rival, app_id, 2).await.unwrap_err();
        assert!(matches!(refused, CommitError::Fenced { .. }), "{refused:?}");
    }
    append(&mut other, "import/a-file", 2).await.unwrap();
    append(&mut table, "ingest/0-of-3", mine + 1).await.unwrap();

    // Another start of the same share fences the process before.
    let mut again = lake.open_table(KIND).await.unwrap();
    assert_eq!(again.claim("ingest/0-of-3", is_of_ingest).await.unwrap(), 3);
    let refused = append(&mut table, "ingest/0-of-3", 3).await.unwrap_err();
    assert!(matches!(refused, CommitError::Fenced { .. }), "{refused:?}");
    // A claim has no rows.
    let version = again.version();
    assert!(again.changes(version - 1, 1).await.unwrap()[0].batches.is_empty());
}

#[tokio::test]
async fn writers_are_known_from_checkpoint_and_log_alike() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut table = lake.create_table(KIND).await.unwrap();
    assert_eq!(table.app_versions().await.unwrap(), BTreeMap::new());
    let found = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect()
    };
    for version in 1..=3 {
        append(&mut table, "ingest/0-of-1", version).await.unwrap();
    }
    append(&mut table, "import/a-file", 1).await.unwrap();
    let before = found(&[("import/a-file", 1), ("ingest/0-of-1", 3)]);
    assert_eq!(table.app_versions().await.unwrap(), before);
    table.checkpoint().await.unwrap();
    assert_eq!(table.app_versions().await.unwrap(), before);
    append(&mut table, "ingest/0-of-1", 4).await.unwrap();
    append(&mut table, "ingest/1-of-2", 1).await.unwrap();
    let after = found(&[("import/a-file", 1), ("ingest/0-of-1", 4), ("ingest/1-of-2", 1)]);
    assert_eq!(table.app_versions().await.unwrap(), after);

    // Of the log only what is after the checkpoint is needed.
    let log = dir.path().join("readings/_delta_log");
    for version in 0..=3 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let mut anew = lake.open_table(KIND).await.unwrap();
    assert_eq!(anew.app_versions().await.unwrap(), after);
    // Nor is the hint.
    std::fs::remove_file(log.join("_last_checkpoint")).unwrap();
    assert_eq!(anew.app_versions().await.unwrap(), after);
    assert_eq!(anew.claim("ingest/0-of-1", is_of_ingest).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_among_busy_writers_miss_none_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create(dir.path()).unwrap();
    let mut writer = Writer::open(&lake, KIND, "import/busy").await;
    let busy = tokio::spawn(async move {
        for sequence in 1..=20 {
            writer.append(readings(DAY_1, &["van-2"], sequence, 3)).await;
        }
    });
    // Each names a share of its own, all of which overlap.
    let claims = (0..6).map(|i| {
        let lake = lake.clone();
        tokio::spawn(async move {
            let mut table = lake.open_table(KIND).await.unwrap();
            let app_id = format!("ingest/0-of-{}", i + 1);
            let version = table.claim(&app_id, is_of_ingest).await.unwrap();
            (table, app_id, version)
        })
    });
    let mut owners = 0;
    for claim in claims.collect::<Vec<_>>() {
        let (mut table, app_id, version) = claim.await.unwrap();
        match append(&mut table, &app_id, version + 1).await {
            Ok(_) => owners += 1,
            Err(refused) => assert!(matches!(refused, CommitError::Fenced { .. }), "{refused:?}"),
        }
    }
    busy.await.unwrap();
    // The last claim of all has fenced those before it.
    let mut table = lake.open_table(KIND).await.unwrap();
    table.refresh().await.unwrap();
    assert!(owners >= 1, "{:?}", table.app_versions().await.unwrap());
}
