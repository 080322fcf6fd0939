//! What people said of trips: kept beside the follower, and what is new of it touches its time.

use std::collections::BTreeMap;

use lake::{ReadError, TableKind};
use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    Follower, PassError,
    touched::{Touch, Touched},
};
use crate::{
    correction_table::{self, OfVehicle},
    row::CorrectionRow,
    trips::Corrections,
};

/// After a start, what was recorded so long before the newest derivation is touched again: two clocks may differ.
const OVERLAP_US: i64 = DAY_US;

/// The corrections of all vehicles up to one version of their table.
#[derive(Debug, Clone)]
pub(super) struct Book {
    version: i64,
    vehicles: BTreeMap<VehicleId, OfVehicle>,
}

impl Book {
    /// Of no table yet.
    pub(super) fn empty() -> Self {
        Self { version: -1, vehicles: BTreeMap::new() }
    }

    /// What holds of a vehicle.
    pub(super) fn of(&self, vehicle_id: &VehicleId) -> Corrections {
        self.vehicles.get(vehicle_id).map(OfVehicle::corrections).unwrap_or_default()
    }

    fn add(&mut self, row: CorrectionRow) {
        self.vehicles.entry(row.vehicle_id.clone()).or_default().add(row);
    }
}

impl Follower {
    /// The newest corrections; those that were not known before are touched. `derived_until` is set after a
    /// start: when the newest stored trip was derived.
    pub(super) async fn take_corrections(
        &self,
        derived_until: Option<Timestamp>,
        touched: &mut Touched,
    ) -> Result<Option<Book>, PassError> {
        let tables = &self.analytics.shared.tables;
        let Some(mut table) = tables.newest_table(TableKind::TripCorrections).await? else { return Ok(None) };
        let known = &self.book;
        if known.version == table.version() {
            return Ok(None);
        }
        let mut book = known.clone();
        let mut rows = Vec::new();
        while book.version < table.version() {
            match table.changes(book.version, self.versions_max).await {
                Ok(changes) if changes.is_empty() => break,
                Ok(changes) => {
                    for change in changes {
                        rows.extend(correction_table::from_batches(&change.batches)?);
                        book.version = change.version;
                    }
                }
                Err(ReadError::VersionGone { .. }) => {
                    let query = "SELECT * FROM trip_corrections";
                    let batches = self.read(query, &[TableKind::TripCorrections]).await?;
                    rows = correction_table::from_batches(&batches)?;
                    book.version = table.version();
                }
                Err(error) => return Err(error.into()),
            }
        }
        let is_new = |row: &CorrectionRow| {
            known.version >= 0
                || derived_until.is_none_or(|until| row.recorded_at >= until.plus_us(-OVERLAP_US))
        };
        for row in rows {
            if is_new(&row) {
                // Whether the vehicle has been silent is no matter of this.
                let touch = Touch { from: row.from_time, to: row.to_time, received_at: Timestamp(0) };
                touched.add(&row.vehicle_id, touch);
            }
            book.add(row);
        }
        Ok(Some(book))
    }
}
