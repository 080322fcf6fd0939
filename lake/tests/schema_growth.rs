//! A table that an earlier release wrote, opened by this one.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

#[path = "support/earlier.rs"]
mod earlier;

use arrow::array::{Array, AsArray};
use deltalake::DeltaTableBuilder;
use earlier::{KIND, row};
use lake::{AppTransaction, Lake, LakeTable, maintenance::CompactionPolicy};

/// `list` of every row, oldest version first.
async fn lists(table: &mut LakeTable) -> Vec<Option<String>> {
    let mut out = Vec::new();
    for batch in table.changes(-1, 100).await.unwrap().iter().flat_map(|c| &c.batches) {
        let column = batch.column_by_name("list").unwrap().as_string::<i32>();
        out.extend((0..column.len()).map(|i| column.is_valid(i).then(|| column.value(i).to_owned())));
    }
    out
}

#[tokio::test]
async fn new_columns_are_added_once_and_old_rows_have_null_in_them() {
    let dir = tempfile::tempdir().unwrap();
    earlier::table(dir.path()).await;
    let lake = Lake::create(dir.path()).unwrap();
    let mut table = lake.create_table(KIND).await.unwrap();
    assert_eq!(table.version(), 2, "created, written, columns added");
    let again = lake.create_table(KIND).await.unwrap();
    assert_eq!(again.version(), 2, "nothing is added twice");

    let txn = AppTransaction { app_id: "test".to_owned(), version: 1 };
    table.append(row(&KIND.schema(), "new"), &txn).await.unwrap();
    assert_eq!(lists(&mut table).await, [None, Some("new".to_owned())]);

    let context = datafusion::prelude::SessionContext::new();
    context.register_table("diagnostics", table.provider().await.unwrap()).unwrap();
    let query = "SELECT code, list, clock FROM diagnostics ORDER BY code";
    let rows = context.sql(query).await.unwrap().collect().await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    assert!(
        shown.contains("| new  | new  | new   |") && shown.contains("| old  |      |       |"),
        "{shown}"
    );
}

#[tokio::test]
async fn two_writers_that_open_it_at_once_both_can_write() {
    let dir = tempfile::tempdir().unwrap();
    earlier::table(dir.path()).await;
    let lake = Lake::create(dir.path()).unwrap();
    let (one, two) = tokio::join!(lake.create_table(KIND), lake.create_table(KIND));
    for (name, mut table) in [("one", one.unwrap()), ("two", two.unwrap())] {
        table.refresh().await.unwrap();
        let txn = AppTransaction { app_id: name.to_owned(), version: 1 };
        table.append(row(&KIND.schema(), name), &txn).await.unwrap();
    }
    let mut table = lake.open_table(KIND).await.unwrap();
    assert_eq!(lists(&mut table).await, [None, Some("one".to_owned()), Some("two".to_owned())]);
}

#[tokio::test]
async fn a_table_of_an_earlier_release_is_put_in_order_and_gets_the_properties_of_this_one() {
    let dir = tempfile::tempdir().unwrap();
    earlier::table(dir.path()).await;
    let lake = Lake::create(dir.path()).unwrap();
    let mut table = lake.create_table(KIND).await.unwrap();
    let txn = AppTransaction { app_id: "test".to_owned(), version: 1 };
    table.append(row(&KIND.schema(), "new"), &txn).await.unwrap();
    let policy =
        CompactionPolicy { settle: std::time::Duration::ZERO, loose_files_min: 2, ..Default::default() };
    let mut beside = lake.open_table(KIND).await.unwrap();
    let far_off_ms = 4_000_000_000_000;
    assert_eq!(beside.compact(&policy, far_off_ms).await.unwrap().files_removed, 2);
    assert_eq!(beside.compact(&policy, far_off_ms).await.unwrap().commits, 0, "nothing is left to do");
    assert_eq!(lists(&mut beside).await, [None, Some("new".to_owned())]);

    let url = deltalake::ensure_table_uri(dir.path().join(KIND.name()).to_string_lossy()).unwrap();
    let mut opened = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    opened.load().await.unwrap();
    let properties = opened.snapshot().unwrap().metadata().configuration().clone();
    assert_eq!(properties.get("delta.enableExpiredLogCleanup").map(String::as_str), Some("false"));
    // The writer that had it open commits on, at once or at the second try.
    let txn = AppTransaction { app_id: "test".to_owned(), version: 2 };
    if table.append(row(&KIND.schema(), "newer"), &txn).await.is_err() {
        table.append(row(&KIND.schema(), "newer"), &txn).await.unwrap();
    }
    assert_eq!(lists(&mut table).await.len(), 3);
}
