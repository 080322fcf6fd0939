//! What the trips domain shows.

use analytics::row::{Purpose, TripRow, TripStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::ids::{DriverId, RegistryId, TripId};

/// One revision of a trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trip {
    /// `trp_…`, the same in every revision.
    #[schema(value_type = String)]
    pub id: TripId,
    /// From 1; late data makes the next.
    pub revision: i64,
    /// Telemetry id of the vehicle.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// `completed`, or `withdrawn` when later data showed that there is none.
    pub status: TripState,
    /// First reading in motion.
    #[schema(value_type = String, format = DateTime)]
    pub start_time: Timestamp,
    /// Last reading.
    #[schema(value_type = String, format = DateTime)]
    pub end_time: Timestamp,
    /// Where it started.
    pub start_latitude: Option<f64>,
    /// Where it started.
    pub start_longitude: Option<f64>,
    /// Where it ended.
    pub end_latitude: Option<f64>,
    /// Where it ended.
    pub end_longitude: Option<f64>,
    /// The distance that counts.
    pub distance_m: i64,
    /// `odometer`, `gnss` or `speed`.
    pub distance_source: String,
    /// Odometer at the start.
    pub odometer_start_km: Option<f64>,
    /// Odometer at the end.
    pub odometer_end_km: Option<f64>,
    /// Sum of plausible GNSS steps.
    pub gnss_distance_m: Option<i64>,
    /// Integral of speed.
    pub speed_distance_m: Option<i64>,
    /// From start to end.
    pub duration_s: i64,
    /// Time at or over 1 km/h.
    pub moving_s: i64,
    /// Time idling.
    pub idle_s: i64,
    /// Highest plausible speed.
    pub speed_max_kmh: Option<f64>,
    /// Fuel used.
    pub fuel_used_l: Option<f64>,
    /// `counter`, `rate` or `level`.
    pub fuel_source: Option<String>,
    /// Energy used by an electric drive.
    pub energy_used_kwh: Option<f64>,
    /// Readings in it.
    pub reading_count: i64,
    /// Implausible jumps, flagged and not summed.
    pub jump_count: i64,
    /// `ignition_off`, `stationary`, `gap`, `silence`, or `split` by people.
    pub end_reason: String,
    /// The algorithm that derived it.
    pub algorithm_version: i64,
    /// The parameter set it used.
    pub parameters_version: i64,
    /// The version of `readings` it was derived from.
    pub readings_version: i64,
    /// When it was derived.
    #[schema(value_type = String, format = DateTime)]
    pub derived_at: Timestamp,
    /// The version of the lake's `trips` table that brought this revision.
    pub lake_version: i64,
    /// What people marked it as: `business`, `private`, or null. Where a private trip was is told to nobody.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub purpose: Option<Purpose>,
    /// Of how many trips of the algorithm people merged it; 1 for one as it was found.
    #[serde(default = "one")]
    pub merged_count: i64,
}

/// A trip from before trips could be merged.
fn one() -> i64 {
    1
}

/// A trip, and who drove.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TripItem {
    /// Its latest revision.
    #[serde(flatten)]
    pub trip: Trip,
    /// Whose assignment covers most of its time, at least half; null when nobody's does, and for whoever may not see
    /// drivers. It is worked out now: a correction of the assignment corrects it.
    #[schema(value_type = Option<String>)]
    pub driver_id: Option<DriverId>,
    /// The driver's name.
    pub driver_name: Option<String>,
}

/// What a driver drove in a period.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriverSummary {
    /// `drv_…`
    #[schema(value_type = String)]
    pub driver_id: DriverId,
    /// When the period begins.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// When it is over.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Trips that started in it.
    pub trips: i64,
    /// Their distance.
    pub distance_km: f64,
    /// Their time from start to end, without idling.
    pub driving_duration_s: i64,
    /// Time idling.
    pub idle_duration_s: i64,
    /// The vehicles, most driven first.
    pub vehicles: Vec<DrivenVehicle>,
}

/// A vehicle that a driver drove.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DrivenVehicle {
    /// `veh_…`; null when it is not registered.
    #[schema(value_type = Option<String>)]
    pub vehicle_id: Option<RegistryId>,
    /// Telemetry id.
    #[schema(value_type = String)]
    pub vehicle_name: VehicleId,
    /// Trips with it.
    pub trips: i64,
    /// Their distance.
    pub distance_km: f64,
}

/// Which period to sum up.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SummaryQuery {
    /// RFC 3339; 30 days before `to` when absent.
    pub from: Option<String>,
    /// RFC 3339; now when absent. At most 366 days after `from`.
    pub to: Option<String>,
}

/// What a revision says of its trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TripState {
    /// It took place as written.
    Completed,
    /// There is no such trip any more.
    Withdrawn,
}

impl TripState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Trip {
    /// A row of the lake, brought by a version of its `trips` table; `None` when its id is none.
    pub fn from_row(row: &TripRow, lake_version: i64) -> Option<Self> {
        let trip = Self {
            id: row.trip_id.parse().ok()?,
            revision: row.revision,
            vehicle_id: row.vehicle_id.clone(),
            status: match row.status {
                TripStatus::Completed => TripState::Completed,
                TripStatus::Withdrawn => TripState::Withdrawn,
            },
            start_time: row.start_time,
            end_time: row.end_time,
            start_latitude: row.start_latitude,
            start_longitude: row.start_longitude,
            end_latitude: row.end_latitude,
            end_longitude: row.end_longitude,
            distance_m: row.distance_m,
            distance_source: row.distance_source.clone(),
            odometer_start_km: row.odometer_start_km,
            odometer_end_km: row.odometer_end_km,
            gnss_distance_m: row.gnss_distance_m,
            speed_distance_m: row.speed_distance_m,
            duration_s: row.duration_s,
            moving_s: row.moving_s,
            idle_s: row.idle_s,
            speed_max_kmh: row.speed_max_kmh,
            fuel_used_l: row.fuel_used_l,
            fuel_source: row.fuel_source.clone(),
            energy_used_kwh: row.energy_used_kwh,
            reading_count: row.reading_count,
            jump_count: row.jump_count,
            end_reason: row.end_reason.clone(),
            algorithm_version: row.algorithm_version,
            parameters_version: row.parameters_version,
            readings_version: row.readings_version,
            derived_at: row.derived_at,
            lake_version,
            purpose: row.purpose,
            merged_count: row.merged_count,
        };
        Some(if trip.is_private() { trip.without_places() } else { trip })
    }

    /// Whether its places are told to nobody.
    pub fn is_private(&self) -> bool {
        self.purpose == Some(Purpose::Private)
    }

    /// The same without where it was.
    #[must_use]
    pub fn without_places(self) -> Self {
        let (start_latitude, start_longitude, end_latitude, end_longitude) = (None, None, None, None);
        Self { start_latitude, start_longitude, end_latitude, end_longitude, ..self }
    }
}

/// Which trips to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TripQuery {
    /// Only this vehicle's: telemetry id.
    pub vehicle_id: Option<String>,
    /// Only those of vehicles in this group.
    pub group_id: Option<String>,
    /// Only what this driver drove.
    pub driver_id: Option<String>,
    /// Only trips that end at or after this RFC 3339 time.
    pub from: Option<String>,
    /// Only trips that start before this RFC 3339 time.
    pub to: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How finely to show a track.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PositionQuery {
    /// At most so many points, 2 to 20000 (default 2000).
    pub max_points: Option<i64>,
}

/// One point of a track.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Position {
    /// Vehicle clock.
    pub ts: String,
    /// WGS 84.
    pub latitude: f64,
    /// WGS 84.
    pub longitude: f64,
    /// Speed.
    pub speed_kmh: Option<f64>,
    /// Clockwise from north.
    pub heading_deg: Option<f64>,
    /// Above the ellipsoid or sea level, as the receiver tells.
    pub altitude_m: Option<f64>,
}

/// A track.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Positions {
    /// In order of time; readings without a position are left out.
    pub data: Vec<Position>,
}

/// Every revision of a trip.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Revisions {
    /// Oldest first.
    pub data: Vec<Trip>,
}
