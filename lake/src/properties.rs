//! The Delta properties of every table: what other engines must know of how it is kept.

use std::collections::HashMap;

use deltalake::DeltaTableError;

use crate::{
    schema::TableKind,
    table::{LakeTable, quiet_commit},
    writer,
};

/// How long the log tells of retired files, and the longest time vacuum can be told to keep them.
pub const RETIRED_DAYS_MAX: u64 = 30;

/// The properties of a table.
///
/// Statistics in the log are those of the columns that files are told apart by: each commit
/// carries them, and every reader loads them. Old log entries are deleted by maintenance alone,
/// never in passing by a commit.
pub(crate) fn of(kind: TableKind) -> impl Iterator<Item = (String, String)> {
    let own = |key: &str, value: String| (key.to_owned(), value);
    [
        own("delta.dataSkippingStatsColumns", writer::pruning_columns(kind).join(",")),
        own("delta.enableExpiredLogCleanup", "false".to_owned()),
        own("delta.logRetentionDuration", format!("interval {RETIRED_DAYS_MAX} days")),
        own("delta.deletedFileRetentionDuration", format!("interval {RETIRED_DAYS_MAX} days")),
        own("delta.checkpointInterval", "100".to_owned()),
    ]
    .into_iter()
}

impl LakeTable {
    /// Gives a table of an earlier release the properties it lacks; says whether it lacked any.
    /// A writer that commits at the same moment has to commit again.
    pub(crate) async fn add_lacking_properties(&mut self) -> Result<bool, DeltaTableError> {
        let have = self.table.snapshot()?.metadata().configuration().clone();
        let lacking: HashMap<String, String> =
            of(self.kind).filter(|(key, _)| !have.contains_key(key)).collect();
        if lacking.is_empty() {
            return Ok(false);
        }
        let names: Vec<&String> = lacking.keys().collect();
        tracing::info!(table = self.kind.name(), properties = ?names, "setting table properties of this release");
        let setting = self
            .table
            .clone()
            .set_tbl_properties()
            .with_properties(lacking.clone())
            .with_commit_properties(quiet_commit());
        self.table = setting.await?;
        Ok(true)
    }
}
