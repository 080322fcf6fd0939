//! Taking over a writer's share: from the claim on, whoever held it is refused.
//!
//! Every commit of rows carries the application transaction of its writer. A claim is a commit
//! without rows that raises that transaction, and those of all rivals the table has ever heard
//! of, so that a commit any of them still has under way meets [`CommitError::Fenced`]. It is made
//! for exactly the version after the one whose transactions it read, so two claims cannot miss
//! each other.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use deltalake::{
    DeltaTableError,
    kernel::{
        Action, Transaction,
        transaction::{CommitBuilder, TableReference},
    },
    protocol::{DeltaOperation, OutputMode},
};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, path::Path};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::json;

use crate::{
    durable::LOG,
    table::{COMMIT_MARK, CommitError, LakeTable, ReadError, quiet_commit},
};

/// Tries of a claim; each is lost only to another commit that was faster.
const CLAIM_TRIES: u32 = 100;
/// Log entries read at once.
const READS_AT_ONCE: usize = 16;

impl LakeTable {
    /// Takes the share `app_id`, and whatever `is_rival` says overlaps with it, from who holds
    /// it. Returns the version that the next commit goes on from.
    pub async fn claim(&mut self, app_id: &str, is_rival: impl Fn(&str) -> bool) -> Result<i64, CommitError> {
        let mut tries = 0;
        loop {
            self.refresh().await.map_err(|e| self.commit_read_error(e))?;
            let mut held = self.app_versions().await.map_err(|e| self.commit_read_error(e))?;
            held.retain(|id, _| id == app_id || is_rival(id));
            held.entry(app_id.to_owned()).or_insert(0);
            let raised: Vec<Transaction> =
                held.iter().map(|(id, version)| Transaction::new(id, version.saturating_add(1))).collect();
            let mine = held.get(app_id).copied().unwrap_or(0).saturating_add(1);
            let table = self.kind().name();
            let failed = |source| CommitError::Write { table, source: Box::new(source) };
            let mark = uuid::Uuid::new_v4().to_string();
            let properties = quiet_commit()
                .with_max_retries(0)
                .with_metadata([(COMMIT_MARK.to_owned(), json!(mark))])
                .with_application_transactions(raised);
            let operation = DeltaOperation::StreamingUpdate {
                output_mode: OutputMode::Append,
                query_id: app_id.to_owned(),
                epoch_id: mine,
            };
            let state = self.table.snapshot().map_err(failed)?;
            let claimed = CommitBuilder::from(properties)
                .build(Some(state as &dyn TableReference), self.table.log_store(), operation)
                .await;
            tries += 1;
            match claimed {
                Ok(_) => {
                    self.refresh().await.map_err(|e| self.commit_read_error(e))?;
                    self.sync_log().await.map_err(failed)?;
                    return Ok(mine);
                }
                Err(error) if tries >= CLAIM_TRIES || !is_overtaken(&error) => return Err(failed(error)),
                Err(error) => {
                    tracing::debug!(table = self.kind().name(), %error, "claim tried again");
                }
            }
        }
    }

    /// The last version of every writer of the table, at the loaded version.
    ///
    /// deltalake answers for one `app_id` it is given, by reading the whole log each time; a claim
    /// has to know of all. Read here are the newest checkpoint and the log entries after it.
    pub async fn app_versions(&self) -> Result<BTreeMap<String, i64>, ReadError> {
        let checkpoint = self.newest_checkpoint().await.map_err(|e| self.read_error(e))?;
        let mut found = BTreeMap::new();
        let mut first = 0;
        if let Some((version, parts)) = checkpoint {
            for part in parts {
                self.transactions_of(&part, &mut found).await.map_err(|e| self.read_error(e))?;
            }
            first = version + 1;
        }
        let versions = futures::stream::iter(first..=self.version());
        let mut entries = versions.map(|version| self.actions(version)).buffered(READS_AT_ONCE);
        while let Some(actions) = entries.try_next().await? {
            for action in actions {
                if let Action::Txn(txn) = action {
                    found.insert(txn.app_id, txn.version);
                }
            }
        }
        Ok(found)
    }

    /// The newest whole checkpoint that is not above the loaded version: its files.
    pub(crate) async fn newest_checkpoint(&self) -> Result<Option<(i64, Vec<Path>)>, DeltaTableError> {
        let store = self.table.object_store();
        let log = Path::from(LOG);
        // A log keeps a month of entries: what is older than the hint need not be listed.
        let mut listed = match self.checkpoint_hint().await {
            Some(hint) if hint <= self.version() => {
                store.list_with_offset(Some(&log), &log.clone().join(format!("{hint:020}")))
            }
            _ => store.list(Some(&log)),
        };
        let mut checkpoints: BTreeMap<i64, Vec<(CheckpointPart, Path)>> = BTreeMap::new();
        while let Some(file) = listed.try_next().await? {
            if let Some((version, part)) = file.location.filename().and_then(checkpoint_of) {
                checkpoints.entry(version).or_default().push((part, file.location));
            }
        }
        let up_to = checkpoints.into_iter().filter(|(version, _)| *version <= self.version());
        let whole = up_to.rev().find_map(|(version, files)| {
            if let Some((_, path)) = files.iter().find(|(part, _)| *part == CheckpointPart::Whole) {
                return Some((version, vec![path.clone()]));
            }
            let wanted = files.iter().find_map(|(part, _)| match part {
                CheckpointPart::OneOf(count) => Some(*count),
                CheckpointPart::Whole => None,
            })?;
            (files.len() == wanted).then(|| (version, files.into_iter().map(|(_, path)| path).collect()))
        });
        Ok(whole)
    }

    /// Which checkpoint is said to be the newest; nothing rests on it.
    async fn checkpoint_hint(&self) -> Option<i64> {
        let hint = Path::from_iter([LOG, "_last_checkpoint"]);
        let bytes = self.table.object_store().get(&hint).await.ok()?.bytes().await.ok()?;
        serde_json::from_slice::<serde_json::Value>(&bytes).ok()?.get("version")?.as_i64()
    }

    async fn transactions_of(
        &self,
        checkpoint: &Path,
        found: &mut BTreeMap<String, i64>,
    ) -> Result<(), DeltaTableError> {
        let bytes = self.table.object_store().get(checkpoint).await?.bytes().await?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let wanted = ProjectionMask::columns(builder.parquet_schema(), ["txn"]);
        for batch in builder.with_projection(wanted).build()? {
            let batch = batch?;
            let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else {
                continue;
            };
            let (Some(ids), Some(versions)) = (txn.column_by_name("appId"), txn.column_by_name("version"))
            else {
                continue;
            };
            let (ids, versions) = (cast(ids, &DataType::Utf8)?, cast(versions, &DataType::Int64)?);
            let (ids, versions) = (ids.as_string::<i32>(), versions.as_primitive::<Int64Type>());
            for row in (0..txn.len()).filter(|&row| !txn.is_null(row) && !ids.is_null(row)) {
                found.insert(ids.value(row).to_owned(), versions.value(row));
            }
        }
        Ok(())
    }
}

/// Whether another commit took the version.
fn is_overtaken(error: &DeltaTableError) -> bool {
    use deltalake::kernel::transaction::TransactionError;
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::VersionAlreadyExists(_) | TransactionError::MaxCommitAttempts(_)
            }
    )
}

/// What a file of a checkpoint is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CheckpointPart {
    /// All of it, as far as transactions go.
    Whole,
    /// One of so many.
    OneOf(usize),
}

/// The version and part of `{version}.checkpoint[.{uuid} | .{part}.{parts}].parquet`.
pub(crate) fn checkpoint_of(name: &str) -> Option<(i64, CheckpointPart)> {
    let (version, rest) = name.strip_suffix(".parquet")?.split_once(".checkpoint")?;
    let version = version.parse().ok()?;
    let part = match rest.strip_prefix('.').and_then(|rest| rest.split_once('.')) {
        Some((_, parts)) => CheckpointPart::OneOf(parts.parse().ok()?),
        None => CheckpointPart::Whole,
    };
    Some((version, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_checkpoints_are_told_from_others() {
        let of = checkpoint_of;
        assert_eq!(of("00000000000000000100.checkpoint.parquet"), Some((100, CheckpointPart::Whole)));
        let named = "00000000000000000100.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet";
        assert_eq!(of(named), Some((100, CheckpointPart::Whole)));
        let part = "00000000000000000100.checkpoint.0000000001.0000000003.parquet";
        assert_eq!(of(part), Some((100, CheckpointPart::OneOf(3))));
        assert_eq!(of("00000000000000000100.json"), None);
        assert_eq!(of("_last_checkpoint"), None);
    }
}
