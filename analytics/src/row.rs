//! The rows analytics hands out: trips, vehicle states, query results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{ids::VehicleId, time::Timestamp};

/// One revision of one trip, as stored in the `trips` table. Whole metres and seconds: billing
/// reads them, and no float touches a billed quantity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TripRow {
    /// `trp_…`, the same in every revision.
    pub trip_id: String,
    /// From 1; late data or a correction makes the next.
    pub revision: i64,
    /// Whose trip.
    pub vehicle_id: VehicleId,
    /// Whether this revision is a trip, or says that there is none any more.
    pub status: TripStatus,
    /// First reading in motion.
    pub start_time: Timestamp,
    /// Last reading of the trip.
    pub end_time: Timestamp,
    /// Where it started, if positions were known.
    pub start_latitude: Option<f64>,
    /// Where it started.
    pub start_longitude: Option<f64>,
    /// Where it ended.
    pub end_latitude: Option<f64>,
    /// Where it ended.
    pub end_longitude: Option<f64>,
    /// The distance that counts, by `distance_source`.
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
    /// `end_time - start_time`.
    pub duration_s: i64,
    /// Time at or over 1 km/h.
    pub moving_s: i64,
    /// Time in stretches of engine on under 1 km/h longer than the idle limit.
    pub idle_s: i64,
    /// Highest plausible speed.
    pub speed_max_kmh: Option<f64>,
    /// Fuel used, by `fuel_source`.
    pub fuel_used_l: Option<f64>,
    /// `counter`, `rate` or `level`.
    pub fuel_source: Option<String>,
    /// Energy used by an electric drive.
    pub energy_used_kwh: Option<f64>,
    /// Readings in it.
    pub reading_count: i64,
    /// Implausible jumps flagged and not summed.
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
    pub derived_at: Timestamp,
    /// What people marked it as.
    pub purpose: Option<Purpose>,
    /// Of how many trips of the algorithm people merged it; 1 for one as it was found.
    pub merged_count: i64,
}

/// What a trip was for, as people say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// For work.
    Business,
    /// The driver's own: its distance and time count, its places are told to nobody.
    Private,
}

impl Purpose {
    /// As the tables spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::Private => "private",
        }
    }

    /// By its spelling.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Business, Self::Private].into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// One revision of one thing that people said of trips, as stored in the `trip_corrections` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionRow {
    /// `tco_…`, the same in every revision.
    pub correction_id: String,
    /// From 1.
    pub revision: i64,
    /// Of whose trips.
    pub vehicle_id: VehicleId,
    /// Whether it holds.
    pub status: CorrectionStatus,
    /// What was said.
    pub kind: CorrectionKind,
    /// Of a merge the start of the stop that is none; of a split the moment; of a mark the trip's start.
    pub from_time: Timestamp,
    /// Of a merge the stop's end; of a split the same moment; of a mark the trip's end.
    pub to_time: Timestamp,
    /// What a mark says; `None` says nothing any more.
    pub purpose: Option<Purpose>,
    /// The id of who said it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// When it was handed to the lake.
    pub recorded_at: Timestamp,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionKind {
    /// Two trips are one.
    Merge,
    /// One trip is two.
    Split,
    /// A trip was for something.
    Mark,
}

impl CorrectionKind {
    /// As the tables spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Split => "split",
            Self::Mark => "mark",
        }
    }

    /// By its spelling.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Merge, Self::Split, Self::Mark].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whether a correction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionStatus {
    /// It does.
    Active,
    /// It was taken back.
    Revoked,
}

impl CorrectionStatus {
    /// As the tables spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    /// By its spelling.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Active, Self::Revoked].into_iter().find(|status| status.as_str() == text)
    }
}

/// What a revision says of its trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TripStatus {
    /// It took place as this row says.
    Completed,
    /// Later data showed that it is part of another or none at all.
    Withdrawn,
}

impl TripStatus {
    /// As the tables spell it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Completed, Self::Withdrawn].into_iter().find(|status| status.as_str() == text)
    }
}

/// The last reading of a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VehicleState {
    /// Which vehicle.
    pub vehicle_id: VehicleId,
    /// Vehicle clock of the reading.
    pub ts: Timestamp,
    /// Our clock when its batch came.
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
}

/// A column of a query's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnInfo {
    /// Name.
    pub name: String,
    /// Arrow data type, as Arrow writes it.
    pub data_type: String,
}

/// A query's result, at most so many rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryResult {
    /// The columns, in order.
    pub columns: Vec<ColumnInfo>,
    /// The rows: a JSON value a column; times are RFC 3339.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether rows were left off at the cap.
    pub is_truncated: bool,
    /// The version of each lake table that was read.
    pub lake_versions: BTreeMap<String, i64>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// What one version of `trips` added.
#[derive(Debug, Clone, PartialEq)]
pub struct TripChange {
    /// The table version.
    pub version: i64,
    /// The rows it added, in order; empty for maintenance.
    pub trips: Vec<TripRow>,
}
