//! Rows of the `driving_events` table, both ways.

use arrow::array::{ArrayRef, RecordBatch};
use lake::TableKind;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    columns::{self, Columns, RowError, days, floats, ints, texts, times, unknown},
    row::TripStatus,
};

/// One revision of one driving event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventRow {
    /// `evt_…`, by vehicle, kind and start.
    pub(crate) event_id: String,
    /// From 1.
    pub(crate) revision: i64,
    /// Whose event.
    pub(crate) vehicle_id: VehicleId,
    /// Whether it took place.
    pub(crate) status: TripStatus,
    /// What kind (`trips::EventKind`).
    pub(crate) kind: String,
    /// How hard (`trips::Severity`).
    pub(crate) severity: Option<String>,
    /// The trip in which it was, or after which.
    pub(crate) trip_id: String,
    /// `trip`, or `stop`: the one after that trip.
    pub(crate) during: String,
    /// Its first instant.
    pub(crate) start_time: Timestamp,
    /// Its last instant.
    pub(crate) end_time: Timestamp,
    /// Where it began.
    pub(crate) latitude: Option<f64>,
    /// Where it began.
    pub(crate) longitude: Option<f64>,
    /// Speed when it began.
    pub(crate) speed_kmh: Option<f64>,
    /// Highest acceleration, without its sign.
    pub(crate) peak_mps2: Option<f64>,
    /// Fuel level, or state of charge, when it began.
    pub(crate) level_start_pct: Option<f64>,
    /// The same when it ended.
    pub(crate) level_end_pct: Option<f64>,
    /// Fuel filled in or gone.
    pub(crate) fuel_l: Option<f64>,
    /// Energy charged.
    pub(crate) energy_kwh: Option<f64>,
    /// What it was seen by.
    pub(crate) source: String,
    /// The algorithm that derived it.
    pub(crate) algorithm_version: i64,
    /// The parameter set it used.
    pub(crate) parameters_version: i64,
    /// The version of `readings` it was derived from.
    pub(crate) readings_version: i64,
    /// When it was derived.
    pub(crate) derived_at: Timestamp,
}

/// Rows in the table's schema.
pub(crate) fn to_batch(rows: &[EventRow]) -> Result<RecordBatch, RowError> {
    columns::to_batch(TableKind::DrivingEvents, rows, column)
}

/// The rows of batches, in order.
pub(crate) fn from_batches(batches: &[RecordBatch]) -> Result<Vec<EventRow>, RowError> {
    columns::from_batches(TableKind::DrivingEvents, batches, row)
}

fn column(name: &str, rows: &[EventRow]) -> ArrayRef {
    match name {
        "event_id" => texts(rows, |r| Some(&r.event_id)),
        "revision" => ints(rows, |r| Some(r.revision)),
        "vehicle_id" => texts(rows, |r| Some(r.vehicle_id.as_str())),
        "date" => days(rows, |r| r.start_time),
        "status" => texts(rows, |r| Some(r.status.as_str())),
        "kind" => texts(rows, |r| Some(&r.kind)),
        "severity" => texts(rows, |r| r.severity.as_deref()),
        "trip_id" => texts(rows, |r| Some(&r.trip_id)),
        "during" => texts(rows, |r| Some(&r.during)),
        "start_time" => times(rows, |r| Some(r.start_time)),
        "end_time" => times(rows, |r| Some(r.end_time)),
        "latitude" => floats(rows, |r| r.latitude),
        "longitude" => floats(rows, |r| r.longitude),
        "speed_kmh" => floats(rows, |r| r.speed_kmh),
        "peak_mps2" => floats(rows, |r| r.peak_mps2),
        "level_start_pct" => floats(rows, |r| r.level_start_pct),
        "level_end_pct" => floats(rows, |r| r.level_end_pct),
        "fuel_l" => floats(rows, |r| r.fuel_l),
        "energy_kwh" => floats(rows, |r| r.energy_kwh),
        "source" => texts(rows, |r| Some(&r.source)),
        "algorithm_version" => ints(rows, |r| Some(r.algorithm_version)),
        "parameters_version" => ints(rows, |r| Some(r.parameters_version)),
        "readings_version" => ints(rows, |r| Some(r.readings_version)),
        "derived_at" => times(rows, |r| Some(r.derived_at)),
        _ => unknown(rows),
    }
}

fn row(columns: &Columns<'_>, i: usize) -> Result<EventRow, RowError> {
    let status = columns.required_text("status", i)?;
    Ok(EventRow {
        event_id: columns.required_text("event_id", i)?,
        revision: columns.required_int("revision", i)?,
        vehicle_id: columns.vehicle_id(i)?,
        status: TripStatus::of(&status).ok_or_else(|| columns.unknown("status", &status))?,
        kind: columns.required_text("kind", i)?,
        severity: columns.text("severity", i)?,
        trip_id: columns.required_text("trip_id", i)?,
        during: columns.required_text("during", i)?,
        start_time: columns.required_time("start_time", i)?,
        end_time: columns.required_time("end_time", i)?,
        latitude: columns.float("latitude", i)?,
        longitude: columns.float("longitude", i)?,
        speed_kmh: columns.float("speed_kmh", i)?,
        peak_mps2: columns.float("peak_mps2", i)?,
        level_start_pct: columns.float("level_start_pct", i)?,
        level_end_pct: columns.float("level_end_pct", i)?,
        fuel_l: columns.float("fuel_l", i)?,
        energy_kwh: columns.float("energy_kwh", i)?,
        source: columns.required_text("source", i)?,
        algorithm_version: columns.required_int("algorithm_version", i)?,
        parameters_version: columns.required_int("parameters_version", i)?,
        readings_version: columns.required_int("readings_version", i)?,
        derived_at: columns.required_time("derived_at", i)?,
    })
}
