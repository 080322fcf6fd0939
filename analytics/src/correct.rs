//! Handing corrections of trips to the lake, for the derivation to read.

use lake::{AppTransaction, CommitError, TableKind};
use wire::time::Timestamp;

use crate::{Analytics, correction_table, engine::SqlError, row::CorrectionRow};

/// Who writes a correction: its own id, so that one that is handed over twice is there once.
const APP_ID: &str = "trip-correction/";

impl Analytics {
    /// Records a revision of a correction; one that is there already is left as it is.
    pub async fn record_correction(&self, mut row: CorrectionRow) -> Result<(), SqlError> {
        row.recorded_at = Timestamp(self.clock().now_us());
        let tables = &self.shared.tables;
        let mut table = match tables.newest_table(TableKind::TripCorrections).await? {
            Some(table) => table,
            None => {
                let made = tables.lake().create_table(TableKind::TripCorrections).await;
                made.map_err(|error| SqlError::internal(&error))?
            }
        };
        let place =
            AppTransaction { app_id: format!("{APP_ID}{}", row.correction_id), version: row.revision };
        let batch = correction_table::to_batch(&[row]).map_err(|error| SqlError::internal(&error))?;
        match table.append(batch, &place).await {
            Ok(_) | Err(CommitError::Fenced { .. }) => Ok(()),
            Err(error) => Err(SqlError::internal(&error)),
        }
    }
}
