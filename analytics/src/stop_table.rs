//! Rows of the `stops` table, both ways.

use arrow::array::{ArrayRef, RecordBatch};
use lake::TableKind;
use wire::{ids::VehicleId, time::Timestamp};

use crate::columns::{self, Columns, RowError, days, floats, ints, texts, times, unknown};

/// One revision of one stop. A vehicle has a stop after each of its trips, so a stop goes by its
/// trip.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StopRow {
    /// `stp_` and the digits of its trip's id.
    pub(crate) stop_id: String,
    /// From 1.
    pub(crate) revision: i64,
    /// Whose stop.
    pub(crate) vehicle_id: VehicleId,
    /// What this revision says.
    pub(crate) status: StopStatus,
    /// The trip it follows.
    pub(crate) trip_id: String,
    /// End of that trip.
    pub(crate) start_time: Timestamp,
    /// Start of the next, as all that follows known when that is.
    pub(crate) end_time: Option<Timestamp>,
    /// Where it is.
    pub(crate) latitude: Option<f64>,
    /// Where it is.
    pub(crate) longitude: Option<f64>,
    /// `end_time - start_time`.
    pub(crate) duration_s: Option<i64>,
    /// Time in long stretches of engine on without motion.
    pub(crate) idle_s: Option<i64>,
    /// How often the ignition was seen going on.
    pub(crate) ignition_on_count: Option<i64>,
    /// Fuel level with which it began.
    pub(crate) fuel_level_start_pct: Option<f64>,
    /// And ended.
    pub(crate) fuel_level_end_pct: Option<f64>,
    /// State of charge with which it began.
    pub(crate) soc_start_pct: Option<f64>,
    /// And ended.
    pub(crate) soc_end_pct: Option<f64>,
    /// Readings in it.
    pub(crate) reading_count: Option<i64>,
    /// The algorithm that derived it.
    pub(crate) algorithm_version: i64,
    /// The parameter set it used.
    pub(crate) parameters_version: i64,
    /// The version of `readings` it was derived from.
    pub(crate) readings_version: i64,
    /// When it was derived.
    pub(crate) derived_at: Timestamp,
}

/// What a revision says of its stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopStatus {
    /// There is no next trip yet.
    Open,
    /// It was as this row says.
    Completed,
    /// Its trip is none any more.
    Withdrawn,
}

impl StopStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed => "completed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Rows in the table's schema.
pub(crate) fn to_batch(rows: &[StopRow]) -> Result<RecordBatch, RowError> {
    columns::to_batch(TableKind::Stops, rows, column)
}

/// The rows of batches, in order.
pub(crate) fn from_batches(batches: &[RecordBatch]) -> Result<Vec<StopRow>, RowError> {
    columns::from_batches(TableKind::Stops, batches, row)
}

fn column(name: &str, rows: &[StopRow]) -> ArrayRef {
    match name {
        "stop_id" => texts(rows, |r| Some(&r.stop_id)),
        "revision" => ints(rows, |r| Some(r.revision)),
        "vehicle_id" => texts(rows, |r| Some(r.vehicle_id.as_str())),
        "date" => days(rows, |r| r.start_time),
        "status" => texts(rows, |r| Some(r.status.as_str())),
        "trip_id" => texts(rows, |r| Some(&r.trip_id)),
        "start_time" => times(rows, |r| Some(r.start_time)),
        "end_time" => times(rows, |r| r.end_time),
        "latitude" => floats(rows, |r| r.latitude),
        "longitude" => floats(rows, |r| r.longitude),
        "duration_s" => ints(rows, |r| r.duration_s),
        "idle_s" => ints(rows, |r| r.idle_s),
        "ignition_on_count" => ints(rows, |r| r.ignition_on_count),
        "fuel_level_start_pct" => floats(rows, |r| r.fuel_level_start_pct),
        "fuel_level_end_pct" => floats(rows, |r| r.fuel_level_end_pct),
        "soc_start_pct" => floats(rows, |r| r.soc_start_pct),
        "soc_end_pct" => floats(rows, |r| r.soc_end_pct),
        "reading_count" => ints(rows, |r| r.reading_count),
        "algorithm_version" => ints(rows, |r| Some(r.algorithm_version)),
        "parameters_version" => ints(rows, |r| Some(r.parameters_version)),
        "readings_version" => ints(rows, |r| Some(r.readings_version)),
        "derived_at" => times(rows, |r| Some(r.derived_at)),
        _ => unknown(rows),
    }
}

fn row(columns: &Columns<'_>, i: usize) -> Result<StopRow, RowError> {
    let status = match columns.required_text("status", i)?.as_str() {
        "open" => StopStatus::Open,
        "completed" => StopStatus::Completed,
        "withdrawn" => StopStatus::Withdrawn,
        other => return Err(columns.unknown("status", other)),
    };
    Ok(StopRow {
        stop_id: columns.required_text("stop_id", i)?,
        revision: columns.required_int("revision", i)?,
        vehicle_id: columns.vehicle_id(i)?,
        status,
        trip_id: columns.required_text("trip_id", i)?,
        start_time: columns.required_time("start_time", i)?,
        end_time: columns.time("end_time", i)?,
        latitude: columns.float("latitude", i)?,
        longitude: columns.float("longitude", i)?,
        duration_s: columns.int("duration_s", i)?,
        idle_s: columns.int("idle_s", i)?,
        ignition_on_count: columns.int("ignition_on_count", i)?,
        fuel_level_start_pct: columns.float("fuel_level_start_pct", i)?,
        fuel_level_end_pct: columns.float("fuel_level_end_pct", i)?,
        soc_start_pct: columns.float("soc_start_pct", i)?,
        soc_end_pct: columns.float("soc_end_pct", i)?,
        reading_count: columns.int("reading_count", i)?,
        algorithm_version: columns.required_int("algorithm_version", i)?,
        parameters_version: columns.required_int("parameters_version", i)?,
        readings_version: columns.required_int("readings_version", i)?,
        derived_at: columns.required_time("derived_at", i)?,
    })
}
