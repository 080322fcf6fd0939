//! Trip rows as the `trips` table holds them, both ways.

use arrow::array::{ArrayRef, RecordBatch};
use lake::TableKind;

use crate::{
    columns::{self, Columns, RowError, days, floats, ints, texts, times, unknown},
    row::{Purpose, TripRow, TripStatus},
};

/// Rows in the table's schema.
pub(crate) fn to_batch(rows: &[TripRow]) -> Result<RecordBatch, RowError> {
    columns::to_batch(TableKind::Trips, rows, column)
}

/// The rows of batches, in order.
pub(crate) fn from_batches(batches: &[RecordBatch]) -> Result<Vec<TripRow>, RowError> {
    columns::from_batches(TableKind::Trips, batches, row)
}

fn column(name: &str, rows: &[TripRow]) -> ArrayRef {
    match name {
        "trip_id" => texts(rows, |r| Some(&r.trip_id)),
        "revision" => ints(rows, |r| Some(r.revision)),
        "vehicle_id" => texts(rows, |r| Some(r.vehicle_id.as_str())),
        "date" => days(rows, |r| r.start_time),
        "status" => texts(rows, |r| Some(r.status.as_str())),
        "start_time" => times(rows, |r| Some(r.start_time)),
        "end_time" => times(rows, |r| Some(r.end_time)),
        "start_latitude" => floats(rows, |r| r.start_latitude),
        "start_longitude" => floats(rows, |r| r.start_longitude),
        "end_latitude" => floats(rows, |r| r.end_latitude),
        "end_longitude" => floats(rows, |r| r.end_longitude),
        "distance_m" => ints(rows, |r| Some(r.distance_m)),
        "distance_source" => texts(rows, |r| Some(&r.distance_source)),
        "odometer_start_km" => floats(rows, |r| r.odometer_start_km),
        "odometer_end_km" => floats(rows, |r| r.odometer_end_km),
        "gnss_distance_m" => ints(rows, |r| r.gnss_distance_m),
        "speed_distance_m" => ints(rows, |r| r.speed_distance_m),
        "duration_s" => ints(rows, |r| Some(r.duration_s)),
        "moving_s" => ints(rows, |r| Some(r.moving_s)),
        "idle_s" => ints(rows, |r| Some(r.idle_s)),
        "speed_max_kmh" => floats(rows, |r| r.speed_max_kmh),
        "fuel_used_l" => floats(rows, |r| r.fuel_used_l),
        "fuel_source" => texts(rows, |r| r.fuel_source.as_deref()),
        "energy_used_kwh" => floats(rows, |r| r.energy_used_kwh),
        "reading_count" => ints(rows, |r| Some(r.reading_count)),
        "jump_count" => ints(rows, |r| Some(r.jump_count)),
        "end_reason" => texts(rows, |r| Some(&r.end_reason)),
        "algorithm_version" => ints(rows, |r| Some(r.algorithm_version)),
        "parameters_version" => ints(rows, |r| Some(r.parameters_version)),
        "readings_version" => ints(rows, |r| Some(r.readings_version)),
        "derived_at" => times(rows, |r| Some(r.derived_at)),
        "purpose" => texts(rows, |r| r.purpose.map(Purpose::as_str)),
        "merged_count" => ints(rows, |r| (r.merged_count != 1).then_some(r.merged_count)),
        _ => unknown(rows),
    }
}

fn row(columns: &Columns<'_>, i: usize) -> Result<TripRow, RowError> {
    let status = columns.required_text("status", i)?;
    Ok(TripRow {
        trip_id: columns.required_text("trip_id", i)?,
        revision: columns.required_int("revision", i)?,
        vehicle_id: columns.vehicle_id(i)?,
        status: TripStatus::of(&status).ok_or_else(|| columns.unknown("status", &status))?,
        start_time: columns.required_time("start_time", i)?,
        end_time: columns.required_time("end_time", i)?,
        start_latitude: columns.float("start_latitude", i)?,
        start_longitude: columns.float("start_longitude", i)?,
        end_latitude: columns.float("end_latitude", i)?,
        end_longitude: columns.float("end_longitude", i)?,
        distance_m: columns.required_int("distance_m", i)?,
        distance_source: columns.required_text("distance_source", i)?,
        odometer_start_km: columns.float("odometer_start_km", i)?,
        odometer_end_km: columns.float("odometer_end_km", i)?,
        gnss_distance_m: columns.int("gnss_distance_m", i)?,
        speed_distance_m: columns.int("speed_distance_m", i)?,
        duration_s: columns.required_int("duration_s", i)?,
        moving_s: columns.required_int("moving_s", i)?,
        idle_s: columns.required_int("idle_s", i)?,
        speed_max_kmh: columns.float("speed_max_kmh", i)?,
        fuel_used_l: columns.float("fuel_used_l", i)?,
        fuel_source: columns.text("fuel_source", i)?,
        energy_used_kwh: columns.float("energy_used_kwh", i)?,
        reading_count: columns.required_int("reading_count", i)?,
        jump_count: columns.required_int("jump_count", i)?,
        end_reason: columns.required_text("end_reason", i)?,
        algorithm_version: columns.required_int("algorithm_version", i)?,
        parameters_version: columns.required_int("parameters_version", i)?,
        readings_version: columns.required_int("readings_version", i)?,
        derived_at: columns.required_time("derived_at", i)?,
        purpose: match columns.text("purpose", i)? {
            None => None,
            Some(text) => Some(Purpose::of(&text).ok_or_else(|| columns.unknown("purpose", &text))?),
        },
        merged_count: columns.int("merged_count", i)?.unwrap_or(1),
    })
}
