//! How a table stands, for people and metrics.

use super::{CompactionPolicy, MaintenanceError, plan};
use crate::table::LakeTable;

/// What there is to know of a table without reading its rows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableStatus {
    /// Its name.
    pub table: &'static str,
    /// Its newest version.
    pub version: i64,
    /// Files of that version.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows, where the log tells of every file.
    pub rows: Option<u64>,
    /// Files that maintenance has not put in order: the debt of compaction.
    pub loose_files: u64,
    /// Days that the next pass would rewrite.
    pub days_to_rewrite: u64,
    /// The oldest day with rows.
    pub oldest_day: Option<String>,
    /// The newest.
    pub newest_day: Option<String>,
    /// The version of the last checkpoint.
    pub checkpoint_version: Option<i64>,
}

impl LakeTable {
    /// How the table stands at its newest version.
    pub async fn status(
        &mut self,
        policy: &CompactionPolicy,
        now_ms: i64,
    ) -> Result<TableStatus, MaintenanceError> {
        self.refresh().await?;
        let files = self.data_files()?;
        let checkpoint_version = self.checkpoint_version().await?;
        let days = files.iter().map(|f| f.date.clone());
        let mut status = TableStatus {
            table: self.kind().name(),
            version: self.version(),
            files: files.len() as u64,
            bytes: files.iter().map(|f| f.bytes).sum(),
            rows: files.iter().map(|f| f.rows).sum(),
            loose_files: plan::debt(&files),
            days_to_rewrite: 0,
            oldest_day: days.clone().min(),
            newest_day: days.max(),
            checkpoint_version,
        };
        let mut days: Vec<String> =
            plan::jobs(files, policy, now_ms).into_iter().map(|job| job.date).collect();
        days.dedup();
        status.days_to_rewrite = days.len() as u64;
        Ok(status)
    }

    /// The version that the log's own hint names as its last checkpoint.
    async fn checkpoint_version(&self) -> Result<Option<i64>, MaintenanceError> {
        let hint = object_store::path::Path::from("_delta_log/_last_checkpoint");
        let failed = MaintenanceError::delta("read the last checkpoint of", self.kind());
        let bytes = match object_store::ObjectStoreExt::get(&self.table.object_store(), &hint).await {
            Ok(found) => found.bytes().await.map_err(|e| failed(e.into()))?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let hint: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        Ok(hint.and_then(|h| h.get("version")?.as_i64()))
    }
}
