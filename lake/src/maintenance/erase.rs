//! Erasing the rows of some vehicles: what a customer keeps for a shorter time than others, or has a
//! right to see gone.
//!
//! Files that hold such rows are replaced by files without them, one commit for some of them. Nobody
//! sees new rows by it, and a writer never waits for it. Old versions of the table still show what was
//! erased until a vacuum deletes their files.
//!
//! Up to which day it was done is in the log, under a name made of the vehicles ([`KeptFrom`]): the
//! next time looks only at days since, and at files that were written since. Readers learn from it
//! that rows are missing on purpose.

use std::collections::BTreeMap;

use deltalake::{
    kernel::{Action, Transaction},
    protocol::DeltaOperation,
};

use super::{
    CompactionPolicy, MaintenanceError,
    expire::{RETENTION_APP_ID, days_of},
    plan::{COMMIT_BYTES, DataFile},
    rewrite::remove,
};
use crate::{
    table::{LakeTable, ReadError},
    whose::Whose,
};

/// The application transaction that says up to which day (counted from 1970) rows of some vehicles
/// were erased; the vehicles follow.
const ERASED_DAY: &str = "roadlake/erased-day/";
/// The one that says when, in milliseconds since 1970.
const ERASED_AT: &str = "roadlake/erased-at/";
/// Clocks of those who write files and of who erases may differ by this.
const CLOCKS_APART_MS: i64 = 3_600_000;

/// What erasing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// Rows that are gone.
    pub rows: u64,
    /// Files they were in.
    pub files: u64,
}

/// From which days on rows are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFrom {
    all: Option<i64>,
    some: Vec<(Whose, i64)>,
}

impl KeptFrom {
    /// The first day (since 1970-01-01 UTC) of which rows of this vehicle are kept, where some were
    /// dropped.
    pub fn of(&self, vehicle_id: &str) -> Option<i64> {
        let some = self.some.iter().filter(|(whose, _)| whose.includes(vehicle_id)).map(|(_, day)| *day);
        some.chain(self.all).max()
    }
}

/// What stands in for a file.
struct Without {
    actions: Vec<Action>,
    rows: u64,
}

impl LakeTable {
    /// Erases the rows of `whose` on the days before `first_kept` (days since 1970-01-01 UTC). A
    /// writer that commits at the same moment has to commit again.
    ///
    /// [`MaintenanceError::Conflict`] means that another maintenance was faster with a file: what was
    /// committed until then stays, the rest is to be done again.
    pub async fn erase_before(
        &mut self,
        whose: &Whose,
        first_kept: i32,
        policy: &CompactionPolicy,
        now_ms: i64,
    ) -> Result<Erased, MaintenanceError> {
        self.refresh().await?;
        let (day_id, at_id) = (format!("{ERASED_DAY}{whose}"), format!("{ERASED_AT}{whose}"));
        let done_before = self.app_version(&day_id).await?.unwrap_or(i64::MIN);
        let done_at_ms = self.app_version(&at_id).await?.unwrap_or(i64::MIN);
        let may_have_rows = |file: &DataFile| {
            let Some(day) = days_of(&file.date).filter(|day| *day < first_kept) else { return false };
            let is_new = file.modified_ms.saturating_add(CLOCKS_APART_MS) >= done_at_ms;
            let vehicles = file.vehicles.as_ref().map(|(first, last)| (first.as_str(), last.as_str()));
            (is_new || i64::from(day) >= done_before)
                && vehicles.is_none_or(|range| whose.may_be_within(range))
        };
        let files: Vec<DataFile> = self.data_files()?.into_iter().filter(may_have_rows).collect();
        let mut erased = Erased::default();
        if files.is_empty() {
            return Ok(erased);
        }
        let (mut actions, mut bytes) = (Vec::new(), 0);
        for file in files {
            if bytes >= COMMIT_BYTES {
                self.commit_erasure(std::mem::take(&mut actions)).await?;
                bytes = 0;
            }
            let file_bytes = file.bytes;
            let Some(without) = self.without(file, whose, policy, now_ms).await? else { continue };
            bytes += file_bytes;
            erased.files += 1;
            erased.rows += without.rows;
            actions.extend(without.actions);
        }
        actions.push(Action::Txn(Transaction::new(day_id, i64::from(first_kept))));
        actions.push(Action::Txn(Transaction::new(at_id, now_ms)));
        self.commit_erasure(actions).await?;
        Ok(erased)
    }

    /// From which days on rows are kept, of all vehicles and of some.
    pub async fn kept_from(&self) -> Result<KeptFrom, ReadError> {
        let ids: BTreeMap<String, i64> = self.app_versions().await?;
        let some =
            ids.iter().filter_map(|(id, day)| Some((id.strip_prefix(ERASED_DAY)?.parse().ok()?, *day)));
        Ok(KeptFrom { all: ids.get(RETENTION_APP_ID).copied(), some: some.collect() })
    }

    async fn commit_erasure(&mut self, actions: Vec<Action>) -> Result<(), MaintenanceError> {
        self.commit_actions(actions, DeltaOperation::Delete { predicate: None }).await
    }

    /// A file's other rows, written in the table's order; nothing when it has none of `whose`.
    async fn without(
        &self,
        file: DataFile,
        whose: &Whose,
        policy: &CompactionPolicy,
        now_ms: i64,
    ) -> Result<Option<Without>, MaintenanceError> {
        let files = std::slice::from_ref(&file);
        let sort_failed = MaintenanceError::sort(self.kind());
        let condition = whose.condition();
        let scan = self.scan(files, policy).await?;
        let rows = scan.clone().filter(condition.clone()).map_err(&sort_failed)?.count().await;
        let rows = rows.map_err(&sort_failed)? as u64;
        if rows == 0 {
            return Ok(None);
        }
        let mut actions = vec![Action::Remove(remove(file.add.clone(), true, now_ms))];
        if file.rows != Some(rows) {
            let others = scan.filter(!condition).map_err(&sort_failed)?;
            let stream = self.in_order(others).await?;
            let (adds, kept) = self.write_run(stream, policy, file.run.clone()).await?;
            if let Some(all) = file.rows.filter(|all| *all != rows + kept) {
                let (rows_read, rows_written) = (all - rows.min(all), kept);
                return Err(MaintenanceError::RowsDiffer {
                    table: self.kind().name(),
                    rows_read,
                    rows_written,
                });
            }
            actions.extend(adds.into_iter().map(Action::Add));
        }
        Ok(Some(Without { actions, rows }))
    }
}
