//! Trip rows as the `trips` table holds them, both ways.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use lake::TableKind;
use wire::{ids::VehicleId, time::Timestamp};

use crate::row::{TripRow, TripStatus};

/// Why trip rows cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TripTableError {
    /// Arrow refused.
    #[error("trip rows do not fit the trips table")]
    Arrow(#[from] ArrowError),
    /// A value no version of ours writes.
    #[error("column {column} of table trips holds {value:?}, which this release does not know")]
    Value {
        /// Which column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
}

/// Rows in the table's schema.
pub(crate) fn to_batch(rows: &[TripRow]) -> Result<RecordBatch, TripTableError> {
    let schema = TableKind::Trips.schema();
    let columns: Result<Vec<ArrayRef>, ArrowError> =
        schema.fields().iter().map(|field| cast(&column(field.name(), rows), field.data_type())).collect();
    Ok(RecordBatch::try_new(schema, columns?)?)
}

fn column(name: &str, rows: &[TripRow]) -> ArrayRef {
    let int =
        |get: fn(&TripRow) -> Option<i64>| Arc::new(rows.iter().map(get).collect::<Int64Array>()) as ArrayRef;
    let float = |get: fn(&TripRow) -> Option<f64>| {
        Arc::new(rows.iter().map(get).collect::<Float64Array>()) as ArrayRef
    };
    let text = |get: fn(&TripRow) -> Option<&str>| {
        Arc::new(rows.iter().map(get).collect::<StringArray>()) as ArrayRef
    };
    let time = |get: fn(&TripRow) -> Timestamp| {
        let times: TimestampMicrosecondArray = rows.iter().map(|r| Some(get(r).0)).collect();
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    match name {
        "trip_id" => text(|r| Some(&r.trip_id)),
        "revision" => int(|r| Some(r.revision)),
        "vehicle_id" => text(|r| Some(r.vehicle_id.as_str())),
        "date" => Arc::new(rows.iter().map(|r| Some(r.start_time.utc_day())).collect::<Date32Array>()),
        "status" => text(|r| Some(status_name(r.status))),
        "start_time" => time(|r| r.start_time),
        "end_time" => time(|r| r.end_time),
        "start_latitude" => float(|r| r.start_latitude),
        "start_longitude" => float(|r| r.start_longitude),
        "end_latitude" => float(|r| r.end_latitude),
        "end_longitude" => float(|r| r.end_longitude),
        "distance_m" => int(|r| Some(r.distance_m)),
        "distance_source" => text(|r| Some(&r.distance_source)),
        "odometer_start_km" => float(|r| r.odometer_start_km),
        "odometer_end_km" => float(|r| r.odometer_end_km),
        "gnss_distance_m" => int(|r| r.gnss_distance_m),
        "speed_distance_m" => int(|r| r.speed_distance_m),
        "duration_s" => int(|r| Some(r.duration_s)),
        "moving_s" => int(|r| Some(r.moving_s)),
        "idle_s" => int(|r| Some(r.idle_s)),
        "speed_max_kmh" => float(|r| r.speed_max_kmh),
        "fuel_used_l" => float(|r| r.fuel_used_l),
        "fuel_source" => text(|r| r.fuel_source.as_deref()),
        "energy_used_kwh" => float(|r| r.energy_used_kwh),
        "reading_count" => int(|r| Some(r.reading_count)),
        "jump_count" => int(|r| Some(r.jump_count)),
        "end_reason" => text(|r| Some(&r.end_reason)),
        "algorithm_version" => int(|r| Some(r.algorithm_version)),
        "parameters_version" => int(|r| Some(r.parameters_version)),
        "readings_version" => int(|r| Some(r.readings_version)),
        "derived_at" => time(|r| r.derived_at),
        // A column added by a later release: null until ours fills it.
        _ => arrow::array::new_null_array(&DataType::Null, rows.len()),
    }
}

fn status_name(status: TripStatus) -> &'static str {
    match status {
        TripStatus::Completed => "completed",
        TripStatus::Withdrawn => "withdrawn",
    }
}

/// The rows of batches, in order.
pub(crate) fn from_batches(batches: &[RecordBatch]) -> Result<Vec<TripRow>, TripTableError> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = Columns { batch };
        for i in 0..batch.num_rows() {
            rows.push(columns.row(i)?);
        }
    }
    Ok(rows)
}

struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn cast_one(&self, name: &str, i: usize, to: &DataType) -> Result<ArrayRef, ArrowError> {
        let index = self.batch.schema_ref().index_of(name)?;
        cast(&self.batch.column(index).slice(i, 1), to)
    }

    fn text(&self, name: &'static str, i: usize) -> Result<Option<String>, ArrowError> {
        let one = self.cast_one(name, i, &DataType::Utf8)?;
        Ok(one.is_valid(0).then(|| one.as_string::<i32>().value(0).to_owned()))
    }

    fn float(&self, name: &'static str, i: usize) -> Result<Option<f64>, ArrowError> {
        let one = self.cast_one(name, i, &DataType::Float64)?;
        Ok(one.is_valid(0).then(|| one.as_primitive::<Float64Type>().value(0)))
    }

    fn int(&self, name: &'static str, i: usize) -> Result<Option<i64>, ArrowError> {
        let one = self.cast_one(name, i, &DataType::Int64)?;
        Ok(one.is_valid(0).then(|| one.as_primitive::<Int64Type>().value(0)))
    }

    fn time(&self, name: &'static str, i: usize) -> Result<Timestamp, TripTableError> {
        let one = self.cast_one(name, i, &lake::schema::timestamp_type())?;
        let us = one.is_valid(0).then(|| one.as_primitive::<TimestampMicrosecondType>().value(0));
        us.map(Timestamp).ok_or(TripTableError::Value { column: name, value: "null".to_owned() })
    }

    fn required(&self, name: &'static str, i: usize) -> Result<String, TripTableError> {
        self.text(name, i)?.ok_or(TripTableError::Value { column: name, value: "null".to_owned() })
    }

    fn whole(&self, name: &'static str, i: usize) -> Result<i64, TripTableError> {
        self.int(name, i)?.ok_or(TripTableError::Value { column: name, value: "null".to_owned() })
    }

    fn row(&self, i: usize) -> Result<TripRow, TripTableError> {
        let vehicle = self.required("vehicle_id", i)?;
        let vehicle_id: VehicleId =
            vehicle.parse().map_err(|_| TripTableError::Value { column: "vehicle_id", value: vehicle })?;
        let status = match self.required("status", i)?.as_str() {
            "completed" => TripStatus::Completed,
            "withdrawn" => TripStatus::Withdrawn,
            other => return Err(TripTableError::Value { column: "status", value: other.to_owned() }),
        };
        Ok(TripRow {
            trip_id: self.required("trip_id", i)?,
            revision: self.whole("revision", i)?,
            vehicle_id,
            status,
            start_time: self.time("start_time", i)?,
            end_time: self.time("end_time", i)?,
            start_latitude: self.float("start_latitude", i)?,
            start_longitude: self.float("start_longitude", i)?,
            end_latitude: self.float("end_latitude", i)?,
            end_longitude: self.float("end_longitude", i)?,
            distance_m: self.whole("distance_m", i)?,
            distance_source: self.required("distance_source", i)?,
            odometer_start_km: self.float("odometer_start_km", i)?,
            odometer_end_km: self.float("odometer_end_km", i)?,
            gnss_distance_m: self.int("gnss_distance_m", i)?,
            speed_distance_m: self.int("speed_distance_m", i)?,
            duration_s: self.whole("duration_s", i)?,
            moving_s: self.whole("moving_s", i)?,
            idle_s: self.whole("idle_s", i)?,
            speed_max_kmh: self.float("speed_max_kmh", i)?,
            fuel_used_l: self.float("fuel_used_l", i)?,
            fuel_source: self.text("fuel_source", i)?,
            energy_used_kwh: self.float("energy_used_kwh", i)?,
            reading_count: self.whole("reading_count", i)?,
            jump_count: self.whole("jump_count", i)?,
            end_reason: self.required("end_reason", i)?,
            algorithm_version: self.whole("algorithm_version", i)?,
            parameters_version: self.whole("parameters_version", i)?,
            readings_version: self.whole("readings_version", i)?,
            derived_at: self.time("derived_at", i)?,
        })
    }
}
