//! What is stored of the touched vehicles.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use lake::TableKind;
use service::clock::micros;
use wire::ids::VehicleId;

use super::{Follower, PassError, derivation::VEHICLES_A_QUERY, touched::Touched};
use crate::{
    columns::RowError,
    engine::timestamp_literal,
    event_table::{self, EventRow},
    row::TripRow,
    stop_table::{self, StopRow},
    trip_table,
    trips::{Fix, StopStart},
};

/// The latest revisions of one vehicle's rows, from a lookback before what is new on.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) trips: Vec<TripRow>,
    pub(super) stops: Vec<StopRow>,
    pub(super) events: Vec<EventRow>,
}

/// A row with revisions.
trait Revised {
    fn vehicle_id(&self) -> &VehicleId;
    fn id(&self) -> &str;
    fn revision(&self) -> i64;
}

impl Revised for TripRow {
    fn vehicle_id(&self) -> &VehicleId {
        &self.vehicle_id
    }
    fn id(&self) -> &str {
        &self.trip_id
    }
    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Revised for StopRow {
    fn vehicle_id(&self) -> &VehicleId {
        &self.vehicle_id
    }
    fn id(&self) -> &str {
        &self.stop_id
    }
    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Revised for EventRow {
    fn vehicle_id(&self) -> &VehicleId {
        &self.vehicle_id
    }
    fn id(&self) -> &str {
        &self.event_id
    }
    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Stored {
    /// What the stop after a trip starts from. A trip of a release that kept no stops tells less.
    pub(super) fn stop_start(&self, trip_id: &str) -> Option<StopStart> {
        let trip = self.trips.iter().find(|row| row.trip_id == trip_id)?;
        let stop = self.stops.iter().find(|row| row.trip_id == trip_id);
        let place = trip.end_latitude.zip(trip.end_longitude);
        Some(StopStart {
            time: trip.end_time,
            fix: place.map(|(latitude, longitude)| Fix { latitude, longitude }),
            fuel_level_pct: stop.and_then(|row| row.fuel_level_start_pct),
            soc_pct: stop.and_then(|row| row.soc_start_pct),
        })
    }
}

impl Follower {
    /// The latest revision of every row of the touched vehicles, from a lookback before the touch
    /// on.
    pub(super) async fn stored(&self, touched: &Touched) -> Result<BTreeMap<VehicleId, Stored>, PassError> {
        let mut stored: BTreeMap<VehicleId, Stored> = BTreeMap::new();
        for row in self.latest(touched, TableKind::Trips, trip_table::from_batches).await? {
            stored.entry(row.vehicle_id.clone()).or_default().trips.push(row);
        }
        for row in self.latest(touched, TableKind::Stops, stop_table::from_batches).await? {
            stored.entry(row.vehicle_id.clone()).or_default().stops.push(row);
        }
        for row in self.latest(touched, TableKind::DrivingEvents, event_table::from_batches).await? {
            stored.entry(row.vehicle_id.clone()).or_default().events.push(row);
        }
        Ok(stored)
    }

    async fn latest<T: Revised>(
        &self,
        touched: &Touched,
        kind: TableKind,
        from_batches: fn(&[RecordBatch]) -> Result<Vec<T>, RowError>,
    ) -> Result<Vec<T>, PassError> {
        let mut latest: BTreeMap<(VehicleId, String), T> = BTreeMap::new();
        let vehicles: Vec<_> = touched.0.iter().collect();
        for group in vehicles.chunks(VEHICLES_A_QUERY) {
            let from = group.iter().map(|(_, touch)| touch.from).min().unwrap_or_default();
            let from = from.plus_us(-micros(self.lookback));
            let names: Vec<String> = group.iter().map(|(id, _)| format!("'{id}'")).collect();
            let query = format!(
                "SELECT * FROM {} WHERE vehicle_id IN ({}) AND date >= CAST({} AS DATE)",
                kind.name(),
                names.join(", "),
                timestamp_literal(from),
            );
            for row in from_batches(&self.read(&query, &[kind]).await?)? {
                let key = (row.vehicle_id().clone(), row.id().to_owned());
                match latest.get(&key) {
                    Some(known) if known.revision() >= row.revision() => {}
                    _ => {
                        latest.insert(key, row);
                    }
                }
            }
        }
        Ok(latest.into_values().collect())
    }
}
