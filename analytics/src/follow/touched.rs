//! Whose data is new, and of which time.

use std::collections::BTreeMap;

use lake::TableKind;
use wire::{ids::VehicleId, time::Timestamp};

use super::{Follower, PassError};
use crate::{fleet::completed, readings::Readings, row::VehicleState};

/// The time one vehicle's new data covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touch {
    /// Oldest reading.
    pub(super) from: Timestamp,
    /// Newest reading.
    pub(super) to: Timestamp,
    /// When the last of it came.
    pub(super) received_at: Timestamp,
}

impl Touch {
    /// A single reading.
    pub(super) fn at(ts: Timestamp, received_at: Timestamp) -> Self {
        Self { from: ts, to: ts, received_at }
    }
}

/// Touched vehicles.
#[derive(Debug, Default)]
pub(super) struct Touched(pub(super) BTreeMap<VehicleId, Touch>);

impl Touched {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Widens a vehicle's touch.
    pub(super) fn add(&mut self, vehicle_id: &VehicleId, touch: Touch) {
        match self.0.get_mut(vehicle_id) {
            Some(known) => {
                known.from = known.from.min(touch.from);
                known.to = known.to.max(touch.to);
                known.received_at = known.received_at.max(touch.received_at);
            }
            None => {
                self.0.insert(vehicle_id.clone(), touch);
            }
        }
    }

    /// Takes a batch in; returns the newest state of each vehicle in it.
    pub(super) fn take(&mut self, readings: &Readings) -> Vec<VehicleState> {
        let mut touches: BTreeMap<&str, (Touch, Vec<usize>)> = BTreeMap::new();
        for i in 0..readings.len() {
            let (ts, received_at) = (readings.ts(i), readings.received_at(i));
            let (touch, rows) = touches
                .entry(readings.vehicle(i))
                .or_insert_with(|| (Touch::at(ts, received_at), Vec::new()));
            touch.from = touch.from.min(ts);
            touch.to = touch.to.max(ts);
            touch.received_at = touch.received_at.max(received_at);
            rows.push(i);
        }
        let mut states = Vec::with_capacity(touches.len());
        for (vehicle, (touch, mut rows)) in touches {
            // Ingest checks ids; a row of another writer with a bad one is nobody's.
            let Ok(vehicle_id) = vehicle.parse::<VehicleId>() else {
                tracing::warn!("reading with a malformed vehicle id left out");
                continue;
            };
            self.add(&vehicle_id, touch);
            rows.sort_by_key(|&i| readings.ts(i));
            let newest = rows.iter().fold(None::<VehicleState>, |older, &i| {
                let state = readings.state(i, vehicle_id.clone());
                Some(match older {
                    Some(older) => completed(state, &older),
                    None => state,
                })
            });
            states.extend(newest);
        }
        states
    }
}

/// The last state of every vehicle heard of on the most recent days that have readings.
pub(super) async fn last_states(
    follower: &Follower,
    days_max: usize,
) -> Result<Vec<VehicleState>, PassError> {
    let last = |column: &str| {
        format!("last_value({column} ORDER BY ts) FILTER (WHERE {column} IS NOT NULL) AS {column}")
    };
    let columns = [
        "latitude",
        "longitude",
        "heading_deg",
        "speed_kmh",
        "ignition_on",
        "engine_speed_rpm",
        "fuel_level_pct",
        "soc_pct",
        "odometer_km",
    ]
    .map(last)
    .join(", ");
    let query = format!(
        "SELECT vehicle_id, max(ts) AS ts, max(received_at) AS received_at, {columns} FROM readings
         WHERE date IN (SELECT DISTINCT date FROM readings ORDER BY date DESC LIMIT {days_max})
         GROUP BY vehicle_id"
    );
    let mut states = Vec::new();
    for batch in follower.read(&query, &[TableKind::Readings]).await? {
        let readings = Readings::of(&batch)?;
        for i in 0..readings.len() {
            if let Ok(vehicle_id) = readings.vehicle(i).parse::<VehicleId>() {
                states.push(readings.state(i, vehicle_id));
            }
        }
    }
    Ok(states)
}

/// Touches all there is.
pub(super) async fn everything(follower: &Follower, touched: &mut Touched) -> Result<(), PassError> {
    let query =
        "SELECT vehicle_id, min(ts) AS ts, max(received_at) AS received_at FROM readings GROUP BY vehicle_id";
    for batch in follower.read(query, &[TableKind::Readings]).await? {
        let spans = Readings::of(&batch)?;
        for i in 0..spans.len() {
            if let Ok(vehicle_id) = spans.vehicle(i).parse::<VehicleId>() {
                let received_at = spans.received_at(i);
                touched.add(&vehicle_id, Touch { from: spans.ts(i), to: Timestamp(i64::MAX), received_at });
            }
        }
    }
    Ok(())
}
