//! Everything that deletes: retired files, whole old days, and old entries of the log.
//!
//! `trips` is kept by default: the evidence of an invoice line is read at the version it names,
//! however long ago that was (see [`keeps_history`]).

use std::time::Duration;

use deltalake::{
    checkpoints,
    kernel::{Action, Transaction},
    operations::vacuum::VacuumMode,
    protocol::DeltaOperation,
};

use super::{MaintenanceError, rewrite::remove};
use crate::{
    properties::RETIRED_DAYS_MAX,
    schema::TableKind,
    table::{LakeTable, quiet_commit},
};

/// Retired files are kept for at least this long, so that no running query loses its files.
pub const VACUUM_RETENTION_MIN: Duration = Duration::from_secs(168 * 3600);
const VACUUM_RETENTION_MAX: Duration = Duration::from_secs(RETIRED_DAYS_MAX * 24 * 3600);
/// The application transaction that says up to which day rows were dropped: its version is that
/// day, counted from 1970.
pub(super) const RETENTION_APP_ID: &str = "roadlake/retention";

/// Whether less than [`VACUUM_RETENTION_MIN`] is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortRetention {
    /// No.
    Refused,
    /// Yes: nothing else reads or writes the lake now.
    Allowed,
}

/// What dropping old days did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Files retired.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Whether a table's old versions are kept unless its vacuum is asked for by name: `trips`, for
/// the evidence of invoices.
pub fn keeps_history(kind: TableKind) -> bool {
    kind == TableKind::Trips
}

impl LakeTable {
    /// Deletes files that no version of the last `retention` names: those that compaction
    /// retired, and those of writers that died. Returns how many.
    pub async fn vacuum(
        &mut self,
        retention: Duration,
        short: ShortRetention,
    ) -> Result<u64, MaintenanceError> {
        if retention < VACUUM_RETENTION_MIN && short == ShortRetention::Refused {
            return Err(MaintenanceError::RetentionTooShort);
        }
        // The log forgets retired files after that long; then their age would be that of their
        // writing.
        if retention > VACUUM_RETENTION_MAX {
            return Err(MaintenanceError::RetentionTooLong);
        }
        self.refresh().await?;
        let failed = MaintenanceError::delta("vacuum", self.kind());
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let vacuum = self
            .table
            .clone()
            .vacuum()
            .with_mode(VacuumMode::Full)
            .with_retention_period(chrono::TimeDelta::milliseconds(retention_ms))
            // Checked above, against our own minimum.
            .with_enforce_retention_duration(false)
            .with_commit_properties(quiet_commit());
        let (table, metrics) = vacuum.await.map_err(failed)?;
        self.table = table;
        Ok(metrics.files_deleted.len() as u64)
    }

    /// Drops the days before `first_kept` (days since 1970-01-01 UTC). Their files stay until a
    /// vacuum. A writer that commits at the same moment has to commit again.
    pub async fn drop_days_before(
        &mut self,
        first_kept: i32,
        now_ms: i64,
    ) -> Result<Dropped, MaintenanceError> {
        self.refresh().await?;
        let mut dropped = Dropped::default();
        let mut actions = Vec::new();
        for file in self.data_files()? {
            if days_of(&file.date).is_some_and(|day| day < first_kept) {
                dropped.files += 1;
                dropped.bytes += file.bytes;
                actions.push(Action::Remove(remove(file.add, true, now_ms)));
            }
        }
        if actions.is_empty() {
            return Ok(dropped);
        }
        actions.push(Action::Txn(Transaction::new(RETENTION_APP_ID, i64::from(first_kept))));
        self.commit_actions(actions, DeltaOperation::Delete { predicate: None }).await?;
        Ok(dropped)
    }

    /// Writes a checkpoint of the loaded version, so that opening the table reads one file.
    pub async fn checkpoint(&mut self) -> Result<(), MaintenanceError> {
        self.refresh().await?;
        let failed = MaintenanceError::delta("checkpoint", self.kind());
        checkpoints::create_checkpoint(&self.table, None).await.map_err(&failed)?;
        // Its file is of a version that was on the disk before.
        self.synced_version = self.version() - 1;
        self.sync_log().await.map_err(failed)
    }

    /// Deletes log entries older than `retention`, back from the newest checkpoint that is older
    /// still. Followers further behind are told that their versions are gone.
    pub async fn clean_log(&mut self, retention: Duration, now_ms: i64) -> Result<u64, MaintenanceError> {
        self.refresh().await?;
        let Ok(version) = u64::try_from(self.version()) else { return Ok(0) };
        let failed = MaintenanceError::delta("shorten the log of", self.kind());
        let cutoff_ms = now_ms.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let store = self.table.log_store();
        let deleted = checkpoints::cleanup_expired_logs_for(version, store.as_ref(), cutoff_ms, None).await;
        Ok(deleted.map_err(failed)? as u64)
    }
}

/// Days since 1970-01-01 of a date as partitions are named, `2026-11-23`.
pub fn days_of(date: &str) -> Option<i32> {
    let parsed = date.parse::<chrono::NaiveDate>().ok()?;
    i32::try_from(parsed.signed_duration_since(chrono::NaiveDate::default()).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_of("1970-01-01"), Some(0));
        assert_eq!(days_of("2026-11-23"), Some(20_780));
        assert_eq!(days_of("__HIVE_DEFAULT_PARTITION__"), None);
    }
}
