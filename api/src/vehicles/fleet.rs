//! Where the fleet is now, from the lake port's last readings. Pure but for the names.

use std::{collections::HashMap, time::Duration};

use analytics::row::VehicleState;
use service::clock::micros;
use wire::{ids::VehicleId, time::Timestamp};

use super::types::{FleetItem, MotionState, Vehicle};

/// At this speed or above a vehicle moves.
const MOVING_SPEED_KMH: f64 = 1.0;

/// What a vehicle with this last reading does now.
pub(crate) fn motion_of(state: &VehicleState, now: Timestamp, offline_after: Duration) -> MotionState {
    let engine_on = state.engine_speed_rpm.map(|rpm| rpm > 0.0).or(state.ignition_on).unwrap_or(false);
    if now.since_us(state.received_at) > micros(offline_after) {
        MotionState::Offline
    } else if state.speed_kmh.is_some_and(|v| v >= MOVING_SPEED_KMH) {
        MotionState::Moving
    } else if engine_on {
        MotionState::Idling
    } else {
        MotionState::Parked
    }
}

/// The items of a fleet, by telemetry id.
pub(crate) fn items(
    states: Vec<VehicleState>,
    names: &HashMap<VehicleId, String>,
    now: Timestamp,
    offline_after: Duration,
) -> Vec<FleetItem> {
    let mut items: Vec<FleetItem> = states
        .into_iter()
        .map(|s| FleetItem {
            state: motion_of(&s, now, offline_after),
            name: names.get(&s.vehicle_id).cloned().unwrap_or_else(|| s.vehicle_id.to_string()),
            vehicle_id: s.vehicle_id,
            ts: s.ts,
            received_at: s.received_at,
            latitude: s.latitude,
            longitude: s.longitude,
            heading_deg: s.heading_deg,
            speed_kmh: s.speed_kmh,
            ignition_on: s.ignition_on,
            engine_speed_rpm: s.engine_speed_rpm,
            fuel_level_pct: s.fuel_level_pct,
            soc_pct: s.soc_pct,
            odometer_km: s.odometer_km,
        })
        .collect();
    items.sort_by(|a, b| a.vehicle_id.cmp(&b.vehicle_id));
    items
}

/// Adds the live state to registered vehicles.
pub(crate) fn with_live_state(
    vehicles: &mut [Vehicle],
    states: &[VehicleState],
    now: Timestamp,
    offline_after: Duration,
) {
    let by_id: HashMap<&VehicleId, &VehicleState> = states.iter().map(|s| (&s.vehicle_id, s)).collect();
    for vehicle in vehicles {
        if let Some(state) = by_id.get(&vehicle.vehicle_id) {
            vehicle.last_seen = Some(state.received_at);
            vehicle.state = Some(motion_of(state, now, offline_after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(speed_kmh: Option<f64>, rpm: Option<f64>, ignition_on: Option<bool>) -> VehicleState {
        VehicleState {
            vehicle_id: "car-1".parse().unwrap(),
            ts: Timestamp(0),
            received_at: Timestamp(1_000_000),
            latitude: None,
            longitude: None,
            heading_deg: None,
            speed_kmh,
            ignition_on,
            engine_speed_rpm: rpm,
            fuel_level_pct: None,
            soc_pct: None,
            odometer_km: None,
        }
    }

    #[test]
    fn motion_is_told_by_speed_then_engine_then_silence() {
        let minute = Duration::from_secs(60);
        let now = Timestamp(2_000_000);
        let cases = [
            (state(Some(30.0), Some(1500.0), None), MotionState::Moving),
            (state(Some(0.4), Some(800.0), None), MotionState::Idling),
            (state(Some(0.0), None, Some(true)), MotionState::Idling),
            (state(Some(0.0), Some(0.0), Some(true)), MotionState::Parked),
            (state(None, None, None), MotionState::Parked),
        ];
        for (state, motion) in cases {
            assert_eq!(motion_of(&state, now, minute), motion, "{state:?}");
        }
        let late = Timestamp(1_000_000 + 60_000_001);
        assert_eq!(motion_of(&state(Some(30.0), None, None), late, minute), MotionState::Offline);
    }
}
