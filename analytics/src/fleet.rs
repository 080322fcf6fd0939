//! The last known state of every vehicle, in memory: one entry a vehicle.
//!
//! Each change has a number, so that who shows a map asks for what changed since the last one it
//! has, however large the fleet is.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;
use wire::ids::VehicleId;

use crate::row::VehicleState;

/// The states, shared.
#[derive(Debug, Clone)]
pub(crate) struct Fleet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<Known>,
    /// The number of the newest change.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    by_vehicle: BTreeMap<VehicleId, (u64, VehicleState)>,
    by_change: BTreeMap<u64, VehicleId>,
    newest: u64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self(Arc::new(Shared { known: RwLock::default(), newest: watch::Sender::new(0) }))
    }
}

impl Fleet {
    /// Every state, by vehicle.
    pub(crate) fn states(&self) -> Vec<VehicleState> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_vehicle.values().map(|(_, state)| state.clone()).collect()
    }

    /// The states that changed after a change's number, and the number of the newest.
    pub(crate) fn since(&self, change: u64) -> (Vec<VehicleState>, u64) {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let changed = known.by_change.range(change.saturating_add(1)..).map(|(_, id)| id);
        let states = changed.filter_map(|id| known.by_vehicle.get(id)).map(|(_, state)| state.clone());
        (states.collect(), known.newest)
    }

    /// The number of the newest change, which can be awaited.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// Takes states in. Newer ones win; what they do not tell stays as it was known.
    pub(crate) fn merge(&self, states: impl IntoIterator<Item = VehicleState>) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.newest;
        for state in states {
            known.take(state);
        }
        let newest = known.newest;
        drop(known);
        if newest != before {
            self.0.newest.send_replace(newest);
        }
    }
}

impl Known {
    fn take(&mut self, state: VehicleState) {
        let id = state.vehicle_id.clone();
        let number = self.newest + 1;
        match self.by_vehicle.entry(id.clone()) {
            Entry::Vacant(place) => {
                place.insert((number, state));
            }
            Entry::Occupied(mut place) => {
                let (change, older) = place.get_mut();
                let merged = if older.ts <= state.ts {
                    completed(state, older)
                } else {
                    // Late data tells nothing of now but that the vehicle is heard.
                    VehicleState { received_at: older.received_at.max(state.received_at), ..older.clone() }
                };
                if *older == merged {
                    return;
                }
                *older = merged;
                self.by_change.remove(&std::mem::replace(change, number));
            }
        }
        self.by_change.insert(number, id);
        self.newest = number;
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

#[cfg(test)]
mod tests {
    use wire::time::Timestamp;

    use super::*;

    fn state(id: &str, ts: i64, speed_kmh: Option<f64>) -> VehicleState {
        let last = wire::last_state::LastState::new(id.parse().unwrap(), Timestamp(ts), Timestamp(ts));
        VehicleState { speed_kmh, ..VehicleState::from(&last) }
    }

    fn ids(states: &[VehicleState]) -> Vec<(&str, i64)> {
        states.iter().map(|s| (s.vehicle_id.as_str(), s.ts.0)).collect()
    }

    #[test]
    fn who_asks_gets_what_changed_since() {
        let fleet = Fleet::default();
        let mut newest = fleet.newest();
        fleet.merge([state("a", 1, None), state("b", 1, Some(5.0))]);
        assert!(newest.has_changed().unwrap());
        let (states, first) = fleet.since(0);
        assert_eq!(ids(&states), [("a", 1), ("b", 1)]);
        newest.mark_unchanged();
        // The same again, by the lake: nothing is new.
        fleet.merge([state("a", 1, None), state("b", 1, Some(5.0))]);
        assert!(!newest.has_changed().unwrap());
        assert_eq!(fleet.since(first), (Vec::new(), first));
        fleet.merge([state("a", 3, None), state("a", 4, None)]);
        let (states, second) = fleet.since(first);
        assert_eq!(ids(&states), [("a", 4)]);
        // Late data says that the vehicle is heard, and nothing of where it is.
        let late = VehicleState { received_at: Timestamp(9), ..state("b", 0, Some(80.0)) };
        fleet.merge([late]);
        let (states, _) = fleet.since(second);
        assert_eq!(
            (states[0].ts, states[0].received_at, states[0].speed_kmh),
            (Timestamp(1), Timestamp(9), Some(5.0))
        );
        assert_eq!(fleet.states().len(), 2);
    }
}
