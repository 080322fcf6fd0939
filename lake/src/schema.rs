//! The columns of every table as they are read (design 3.4). A column is never renamed or retyped; new
//! ones are added at the end and read as null in old files. How files keep them: `stored`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use wire::readings::{COLUMNS, ReadingKind};

/// The partition column of every table: UTC day of `ts` (what is derived: of `start_time`; corrections: of
/// `from_time`).
pub const PARTITION: &str = "date";

/// A table of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKind {
    /// The state of one vehicle at one instant.
    Readings,
    /// One sample of any other signal.
    Signals,
    /// One fault seen, changed or cleared.
    Diagnostics,
    /// Revisions of trips, derived.
    Trips,
    /// Revisions of the stops between trips, derived.
    Stops,
    /// Revisions of what happened in trips and stops, derived.
    DrivingEvents,
    /// Payloads that could not be decoded or trusted.
    Quarantine,
    /// What an agent had to drop.
    Gaps,
    /// Revisions of what people said of trips: merged, split, marked. Derivations read it.
    TripCorrections,
}

impl TableKind {
    /// Every table.
    pub const ALL: [TableKind; 9] = [
        TableKind::Readings,
        TableKind::Signals,
        TableKind::Diagnostics,
        TableKind::Trips,
        TableKind::Stops,
        TableKind::DrivingEvents,
        TableKind::Quarantine,
        TableKind::Gaps,
        TableKind::TripCorrections,
    ];

    /// Its name in SQL and its folder.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Readings => "readings",
            TableKind::Signals => "signals",
            TableKind::Diagnostics => "diagnostics",
            TableKind::Trips => "trips",
            TableKind::Stops => "stops",
            TableKind::DrivingEvents => "driving_events",
            TableKind::Quarantine => "quarantine",
            TableKind::Gaps => "gaps",
            TableKind::TripCorrections => "trip_corrections",
        }
    }

    /// The table that samples of a wire group go to.
    pub fn of_wire(table: wire::batch::Table) -> Self {
        match table {
            wire::batch::Table::Readings => TableKind::Readings,
            wire::batch::Table::Signals => TableKind::Signals,
            wire::batch::Table::Diagnostics => TableKind::Diagnostics,
        }
    }

    /// The columns between whose times its rows speak: one and the same, or a start and an end.
    pub fn times(self) -> (&'static str, &'static str) {
        match self {
            TableKind::Readings
            | TableKind::Signals
            | TableKind::Diagnostics
            | TableKind::Quarantine
            | TableKind::Gaps => ("ts", "ts"),
            TableKind::Trips | TableKind::Stops | TableKind::DrivingEvents => ("start_time", "end_time"),
            TableKind::TripCorrections => ("from_time", "to_time"),
        }
    }

    /// Its Arrow schema, of the rows that are appended and read.
    pub fn schema(self) -> SchemaRef {
        let fields = match self {
            TableKind::Readings => readings(),
            TableKind::Signals => signals(),
            TableKind::Diagnostics => diagnostics(),
            TableKind::Trips => trips(),
            TableKind::Stops => stops(),
            TableKind::DrivingEvents => driving_events(),
            TableKind::Quarantine => quarantine(),
            TableKind::Gaps => gaps(),
            TableKind::TripCorrections => trip_corrections(),
        };
        Arc::new(Schema::new(fields))
    }
}

/// The type of every time in the lake.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// Whose, when, and by which batch: the head of every telemetry table, in front so that file
/// statistics always cover it.
fn telemetry_head() -> Vec<Field> {
    vec![
        required("vehicle_id", DataType::Utf8),
        required("ts", timestamp_type()),
        required(PARTITION, DataType::Date32),
        required("received_at", timestamp_type()),
        required("stream_id", DataType::Utf8),
        required("sequence", DataType::Int64),
    ]
}

/// How far `ts` can be believed: null when the vehicle knew the time, `corrected` when it was set
/// right afterwards, `unsynchronized` when it never was.
fn clock() -> Field {
    optional("clock", DataType::Utf8)
}

fn readings() -> Vec<Field> {
    let measured = COLUMNS.iter().map(|column| match column.kind {
        ReadingKind::Number => optional(column.name, DataType::Float64),
        ReadingKind::Boolean => optional(column.name, DataType::Boolean),
    });
    telemetry_head().into_iter().chain(measured).chain([clock()]).collect()
}

fn signals() -> Vec<Field> {
    let mut fields = telemetry_head();
    fields.push(required("signal", DataType::Utf8));
    fields.push(optional("value", DataType::Float64));
    fields.push(optional("text", DataType::Utf8));
    fields.push(clock());
    fields
}

fn diagnostics() -> Vec<Field> {
    let mut fields = telemetry_head();
    fields.extend([
        optional("protocol", DataType::Utf8),
        optional("ecu", DataType::Utf8),
        optional("code", DataType::Utf8),
        optional("spn", DataType::Int64),
        optional("fmi", DataType::Int64),
        optional("occurrences", DataType::Int64),
        optional("status_bits", DataType::Int64),
        optional("event", DataType::Utf8),
        optional("freeze_frame", DataType::Utf8),
        optional("list", DataType::Utf8),
        clock(),
    ]);
    fields
}

fn trips() -> Vec<Field> {
    let (int, float, text) = (DataType::Int64, DataType::Float64, DataType::Utf8);
    vec![
        required("trip_id", text.clone()),
        required("revision", int.clone()),
        required("vehicle_id", text.clone()),
        required(PARTITION, DataType::Date32),
        required("status", text.clone()),
        required("start_time", timestamp_type()),
        required("end_time", timestamp_type()),
        optional("start_latitude", float.clone()),
        optional("start_longitude", float.clone()),
        optional("end_latitude", float.clone()),
        optional("end_longitude", float.clone()),
        required("distance_m", int.clone()),
        required("distance_source", text.clone()),
        optional("odometer_start_km", float.clone()),
        optional("odometer_end_km", float.clone()),
        optional("gnss_distance_m", int.clone()),
        optional("speed_distance_m", int.clone()),
        required("duration_s", int.clone()),
        required("moving_s", int.clone()),
        required("idle_s", int.clone()),
        optional("speed_max_kmh", float.clone()),
        optional("fuel_used_l", float.clone()),
        optional("fuel_source", text.clone()),
        optional("energy_used_kwh", float),
        required("reading_count", int.clone()),
        required("jump_count", int.clone()),
        required("end_reason", text),
        required("algorithm_version", int.clone()),
        required("parameters_version", int.clone()),
        required("readings_version", int.clone()),
        required("derived_at", timestamp_type()),
        // What people said of it: `business`, `private` or nothing.
        optional("purpose", DataType::Utf8),
        // Of how many trips of the algorithm people made it; null for one.
        optional("merged_count", int),
    ]
}

fn stops() -> Vec<Field> {
    let (int, float, text) = (DataType::Int64, DataType::Float64, DataType::Utf8);
    let mut fields = vec![
        required("stop_id", text.clone()),
        required("revision", int.clone()),
        required("vehicle_id", text.clone()),
        required(PARTITION, DataType::Date32),
        required("status", text.clone()),
        // The trip it follows.
        required("trip_id", text),
        required("start_time", timestamp_type()),
        optional("end_time", timestamp_type()),
        optional("latitude", float.clone()),
        optional("longitude", float.clone()),
        optional("duration_s", int.clone()),
        optional("idle_s", int.clone()),
        optional("ignition_on_count", int.clone()),
        optional("fuel_level_start_pct", float.clone()),
        optional("fuel_level_end_pct", float.clone()),
        optional("soc_start_pct", float.clone()),
        optional("soc_end_pct", float),
        optional("reading_count", int),
    ];
    fields.extend(derived_tail());
    fields
}

fn driving_events() -> Vec<Field> {
    let (float, text) = (DataType::Float64, DataType::Utf8);
    let mut fields = vec![
        required("event_id", text.clone()),
        required("revision", DataType::Int64),
        required("vehicle_id", text.clone()),
        required(PARTITION, DataType::Date32),
        required("status", text.clone()),
        required("kind", text.clone()),
        optional("severity", text.clone()),
        // In this trip, or in the stop after it.
        required("trip_id", text.clone()),
        required("during", text.clone()),
        required("start_time", timestamp_type()),
        required("end_time", timestamp_type()),
        optional("latitude", float.clone()),
        optional("longitude", float.clone()),
        optional("speed_kmh", float.clone()),
        optional("peak_mps2", float.clone()),
        optional("level_start_pct", float.clone()),
        optional("level_end_pct", float.clone()),
        optional("fuel_l", float.clone()),
        optional("energy_kwh", float),
        required("source", text),
    ];
    fields.extend(derived_tail());
    fields
}

/// By what, from what and when a row was derived.
fn derived_tail() -> [Field; 4] {
    [
        required("algorithm_version", DataType::Int64),
        required("parameters_version", DataType::Int64),
        required("readings_version", DataType::Int64),
        required("derived_at", timestamp_type()),
    ]
}

fn quarantine() -> Vec<Field> {
    vec![
        required("vehicle_id", DataType::Utf8),
        required("ts", timestamp_type()),
        required(PARTITION, DataType::Date32),
        required("received_at", timestamp_type()),
        optional("stream_id", DataType::Utf8),
        optional("sequence", DataType::Int64),
        required("topic", DataType::Utf8),
        required("reason", DataType::Utf8),
        required("detail", DataType::Utf8),
        required("sample_count", DataType::Int64),
        required("payload", DataType::Binary),
    ]
}

fn gaps() -> Vec<Field> {
    let mut fields = telemetry_head();
    fields.extend([
        required("lost_stream_id", DataType::Utf8),
        required("from_sequence", DataType::Int64),
        required("to_sequence", DataType::Int64),
        required("sample_count", DataType::Int64),
        required("last_time", timestamp_type()),
        required("reason", DataType::Utf8),
        // Whether the batch that told it also carried samples: then those say if it is stored.
        required("batch_has_samples", DataType::Boolean),
    ]);
    fields
}

fn trip_corrections() -> Vec<Field> {
    let text = DataType::Utf8;
    vec![
        required("correction_id", text.clone()),
        required("revision", DataType::Int64),
        required("vehicle_id", text.clone()),
        required(PARTITION, DataType::Date32),
        // `active` or `revoked`.
        required("status", text.clone()),
        // `merge`, `split` or `mark`.
        required("kind", text.clone()),
        // Of a merge the stop that is none, of a split the moment twice, of a mark the trip.
        required("from_time", timestamp_type()),
        required("to_time", timestamp_type()),
        optional("purpose", text.clone()),
        required("made_by", text),
        required("made_at", timestamp_type()),
        required("recorded_at", timestamp_type()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_partition_and_unique_columns() {
        for kind in TableKind::ALL {
            let schema = kind.schema();
            assert!(schema.field_with_name(PARTITION).is_ok(), "{}", kind.name());
            let mut names: Vec<_> = schema.fields().iter().map(|f| f.name().clone()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), schema.fields().len(), "{}", kind.name());
        }
    }
}
