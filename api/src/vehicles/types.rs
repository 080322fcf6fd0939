//! What the vehicles domain shows.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::ids::{GroupId, OrganizationId, RegistryId};

/// A vehicle of the registry, with its mileage from trips.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Vehicle {
    /// `veh_…`
    #[schema(value_type = String)]
    pub id: RegistryId,
    /// Telemetry id: the name in topics and in the lake.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// Shown name.
    pub name: String,
    /// Whose vehicle; billing needs it.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Odometer at the end of its last trip, where the vehicle tells.
    pub odometer_km: Option<f64>,
    /// Trips completed.
    pub trip_count: i64,
    /// Distance of those trips.
    pub distance_m: i64,
    /// When its last reading came in, by our clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// What it does now; absent before its first reading.
    pub state: Option<MotionState>,
    /// The groups it is in, `grp_…`.
    #[schema(value_type = Vec<String>)]
    pub group_ids: Vec<GroupId>,
    /// Rises by one with each change; also its ETag.
    pub version: i64,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A vehicle to register.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVehicle {
    /// Telemetry id: 1 to 64 of a-z, 0-9 and '-'.
    pub vehicle_id: String,
    /// Shown name; the telemetry id when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Whose vehicle.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a vehicle; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VehiclePatch {
    /// Shown name.
    #[serde(default)]
    pub name: Option<String>,
    /// Whose vehicle.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// Which vehicles to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VehicleQuery {
    /// Part of the name or telemetry id, in any case.
    pub q: Option<String>,
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only those in this group.
    pub group_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which part of the fleet to show.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FleetQuery {
    /// Only vehicles in this group.
    pub group_id: Option<String>,
}

/// What a vehicle does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MotionState {
    /// Speed of 1 km/h or more.
    Moving,
    /// Engine on, standing.
    Idling,
    /// Engine off.
    Parked,
    /// No reading for a while.
    Offline,
}

/// Where a vehicle is and what it does: one item of `/v1/fleet/status` and of `/v1/tracking`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FleetItem {
    /// Telemetry id.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// Shown name; the telemetry id when it is not registered.
    pub name: String,
    /// Vehicle clock of the last reading.
    #[schema(value_type = String, format = DateTime)]
    pub ts: Timestamp,
    /// Our clock when it came.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// WGS 84.
    pub latitude: Option<f64>,
    /// WGS 84.
    pub longitude: Option<f64>,
    /// Clockwise from north.
    pub heading_deg: Option<f64>,
    /// Speed.
    pub speed_kmh: Option<f64>,
    /// Ignition, where the vehicle tells.
    pub ignition_on: Option<bool>,
    /// Engine speed.
    pub engine_speed_rpm: Option<f64>,
    /// Fuel level.
    pub fuel_level_pct: Option<f64>,
    /// State of charge.
    pub soc_pct: Option<f64>,
    /// Odometer.
    pub odometer_km: Option<f64>,
    /// What it does.
    pub state: MotionState,
}

/// The whole fleet now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FleetStatus {
    /// One item a vehicle seen, by telemetry id.
    pub data: Vec<FleetItem>,
    /// Our clock when this was put together.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
}
