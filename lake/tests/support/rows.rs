//! Rows and questions for the tests of the lake.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a failed test is the message"
)]

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::SchemaRef,
    util::display::array_value_to_string,
};
use lake::{AppTransaction, Lake, LakeTable, TableKind};

pub const DAY_1: &str = "2026-11-23";

/// A writer of one table.
pub struct Writer {
    table: LakeTable,
    app_id: String,
    version: i64,
}

impl Writer {
    pub async fn open(lake: &Lake, kind: TableKind, app_id: &str) -> Self {
        let table = lake.create_table(kind).await.unwrap();
        let version = table.app_version(app_id).await.unwrap().unwrap_or(0);
        Self { table, app_id: app_id.to_owned(), version }
    }

    /// Appends as ingest does: a refusal that is not a fence is tried again.
    pub async fn append(&mut self, batch: RecordBatch) {
        let txn = AppTransaction { app_id: self.app_id.clone(), version: self.version + 1 };
        let mut tries = 0;
        while let Err(error) = self.table.append(batch.clone(), &txn).await {
            tries += 1;
            assert!(tries < 5 && !matches!(error, lake::CommitError::Fenced { .. }), "{error:?}");
        }
        self.version += 1;
    }
}

pub fn day_us(day: &str) -> i64 {
    let days =
        arrow::compute::cast(&StringArray::from(vec![day]), &arrow::datatypes::DataType::Date32).unwrap();
    i64::from(arrow::array::AsArray::as_primitive::<arrow::datatypes::Date32Type>(&days).value(0))
        * 86_400_000_000
}

/// `count` readings of each vehicle, one a second from `sequence` thousand seconds on.
pub fn readings(day: &str, vehicles: &[&str], sequence: u64, count: usize) -> RecordBatch {
    let schema = TableKind::Readings.schema();
    head(&schema, day, vehicles, sequence, count, |name, i| match name {
        "latitude" => Some(50.0 + i as f64 / 1e5),
        "odometer_km" => Some(1000.0 + i as f64 / 3.0),
        "speed_kmh" => Some((i % 90) as f64),
        "fuel_level_pct" => (i % 3 == 0).then_some(i as f64 / 10.0),
        _ => None,
    })
}

/// The same of `signals`.
pub fn signals(day: &str, vehicles: &[&str], sequence: u64, count: usize) -> RecordBatch {
    let schema = TableKind::Signals.schema();
    head(&schema, day, vehicles, sequence, count, |name, i| (name == "value").then_some((i % 1000) as f64))
}

fn head(
    schema: &SchemaRef,
    day: &str,
    vehicles: &[&str],
    sequence: u64,
    count: usize,
    number: impl Fn(&str, usize) -> Option<f64>,
) -> RecordBatch {
    let n = vehicles.len() * count;
    let midnight_us = day_us(day);
    let at =
        |i: usize| midnight_us + (sequence as i64 * 1000 + (i % count) as i64) * 1_000_000 % 86_400_000_000;
    let stream =
        |vehicle: &str| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, vehicle.as_bytes()).to_string();
    let of_vehicle = |f: &dyn Fn(&str) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..n).map(|i| f(vehicles[i / count]))))
    };
    let times = |plus_us: i64| -> ArrayRef {
        Arc::new(
            TimestampMicrosecondArray::from_iter_values((0..n).map(|i| at(i) + plus_us)).with_timezone("UTC"),
        )
    };
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "vehicle_id" => of_vehicle(&|v| v.to_owned()),
            "stream_id" => of_vehicle(&stream),
            "ts" => times(0),
            "received_at" => Arc::new(
                TimestampMicrosecondArray::from(vec![midnight_us + sequence as i64; n]).with_timezone("UTC"),
            ),
            "date" => Arc::new(Date32Array::from(vec![(midnight_us / 86_400_000_000) as i32; n])),
            "sequence" => Arc::new(Int64Array::from(vec![sequence as i64; n])),
            "signal" => {
                Arc::new(StringArray::from_iter_values((0..n).map(|i| format!("Vehicle.Signal{}", i % 7))))
            }
            name if number(name, 0).is_some() => {
                Arc::new(Float64Array::from_iter((0..n).map(|i| number(name, i))))
            }
            _ => new_null_array(field.data_type(), n),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

/// A hash of every row at the table's newest version, whatever their order.
pub async fn content_hash(table: &mut LakeTable) -> String {
    let columns: Vec<String> = table
        .kind()
        .schema()
        .fields()
        .iter()
        .map(|f| format!("coalesce(CAST({} AS VARCHAR), '~')", f.name()))
        .collect();
    let query = format!("SELECT concat_ws('|', {}) AS row FROM t ORDER BY row", columns.join(", "));
    let rows = query_all(table, &query).await;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut count = 0;
    for batch in &rows {
        for row in 0..batch.num_rows() {
            count += 1;
            for byte in array_value_to_string(batch.column(0), row).unwrap().bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    format!("{count} rows {hash:016x}")
}

pub async fn query_all(table: &mut LakeTable, query: &str) -> Vec<RecordBatch> {
    table.refresh().await.unwrap();
    let context = datafusion::prelude::SessionContext::new();
    context.register_table("t", table.provider().await.unwrap()).unwrap();
    context.sql(query).await.unwrap().collect().await.unwrap()
}

/// The first row of an answer, its values joined by commas.
pub async fn query_one(table: &mut LakeTable, query: &str) -> String {
    let rows = query_all(table, query).await;
    let batch = rows.iter().find(|b| b.num_rows() > 0).unwrap();
    let values: Vec<String> = batch.columns().iter().map(|c| array_value_to_string(c, 0).unwrap()).collect();
    values.join(", ")
}

/// The paths of the files of the newest version.
pub async fn live_files(table: &mut LakeTable) -> Vec<String> {
    table.refresh().await.unwrap();
    table.file_paths().unwrap()
}

pub fn now_ms() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "files are as old as the machine says")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
