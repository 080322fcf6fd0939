//! What a lake holds, as something to compare.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, reason = "a failed test is the message")]

use std::path::Path;

use analytics::{LakeSettings, sql_cli::Session};
use service::clock::SystemClock;

/// Every row of the tables that ingest writes, without its time of receipt: the same for two lakes exactly if
/// they hold the same rows equally often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Table, count and hash, a line each.
    pub described: String,
    pub rows: u64,
}

/// What the lake in `lake_dir` holds.
pub async fn content(lake_dir: &Path) -> Content {
    content_of(&LakeSettings::folder(lake_dir)).await
}

/// What a lake anywhere holds.
pub async fn content_of(lake: &LakeSettings) -> Content {
    let session = Session::open(lake, SystemClock::shared()).await.unwrap();
    let mut content = Content { described: String::new(), rows: 0 };
    for table in ["readings", "signals", "diagnostics", "gaps", "quarantine"] {
        // The hash is over the sorted hashes of all rows.
        let described = session.query(&format!("SELECT * FROM {table} LIMIT 1")).await.unwrap();
        let columns: Vec<String> = described
            .columns
            .iter()
            .filter(|c| c.name != "received_at")
            .map(|c| format!("coalesce(CAST({} AS VARCHAR), '-')", c.name))
            .collect();
        let hashed = format!("SELECT md5(concat_ws('|', {})) AS h FROM {table}", columns.join(", "));
        let query = format!("SELECT count(*), md5(string_agg(h, '' ORDER BY h)) FROM ({hashed})");
        let result = session.query(&query).await.unwrap();
        content.rows += result.rows[0][0].as_u64().unwrap();
        content.described.push_str(&format!("{table} {:?}\n", result.rows[0]));
    }
    content
}
