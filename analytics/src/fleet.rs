//! The last known state of every vehicle, in memory: one entry a vehicle.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, PoisonError, RwLock},
};

use wire::ids::VehicleId;

use crate::row::VehicleState;

/// The states, shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet(Arc<RwLock<BTreeMap<VehicleId, VehicleState>>>);

impl Fleet {
    /// Every state, by vehicle.
    pub(crate) fn states(&self) -> Vec<VehicleState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes states in. Newer ones win; what they do not tell stays as it was known.
    pub(crate) fn merge(&self, states: impl IntoIterator<Item = VehicleState>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for state in states {
            match known.entry(state.vehicle_id.clone()) {
                Entry::Vacant(place) => {
                    place.insert(state);
                }
                Entry::Occupied(mut place) if place.get().ts <= state.ts => {
                    let merged = completed(state, place.get());
                    place.insert(merged);
                }
                Entry::Occupied(mut place) => {
                    // Late data tells nothing of now but that the vehicle is heard.
                    let known = place.get_mut();
                    known.received_at = known.received_at.max(state.received_at);
                }
            }
        }
    }
}

/// The newer state, completed from the older.
pub(crate) fn completed(newer: VehicleState, older: &VehicleState) -> VehicleState {
    let has_fix = newer.latitude.is_some() && newer.longitude.is_some();
    let place = if has_fix { (newer.latitude, newer.longitude) } else { (older.latitude, older.longitude) };
    VehicleState {
        latitude: place.0,
        longitude: place.1,
        heading_deg: newer.heading_deg.or(older.heading_deg),
        speed_kmh: newer.speed_kmh.or(older.speed_kmh),
        ignition_on: newer.ignition_on.or(older.ignition_on),
        engine_speed_rpm: newer.engine_speed_rpm.or(older.engine_speed_rpm),
        fuel_level_pct: newer.fuel_level_pct.or(older.fuel_level_pct),
        soc_pct: newer.soc_pct.or(older.soc_pct),
        odometer_km: newer.odometer_km.or(older.odometer_km),
        received_at: newer.received_at.max(older.received_at),
        ..newer
    }
}
