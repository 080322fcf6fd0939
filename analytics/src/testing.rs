//! A lake in a temporary folder, written through the lake crate as ingest would.

pub(crate) mod door;

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, new_null_array,
    },
    datatypes::DataType,
};
use lake::{AppTransaction, Lake, LakeTable, TableKind};
use wire::time::Timestamp;

use crate::trips::Reading;

/// The lake and its writer.
pub(crate) struct TestLake {
    pub(crate) dir: tempfile::TempDir,
    readings: LakeTable,
    commits: i64,
}

impl TestLake {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let readings = Lake::create(dir.path()).unwrap().create_table(TableKind::Readings).await.unwrap();
        Self { dir, readings, commits: 0 }
    }

    /// One commit of readings, received at one time.
    pub(crate) async fn append(&mut self, rows: &[(&str, Reading)], received_at: Timestamp) -> i64 {
        self.commits += 1;
        let txn = AppTransaction { app_id: "test".to_owned(), version: self.commits };
        self.readings.append(batch(rows, received_at, self.commits), &txn).await.unwrap()
    }

    /// One commit of one vehicle's readings.
    pub(crate) async fn append_of(
        &mut self,
        vehicle: &str,
        readings: &[Reading],
        received_at: Timestamp,
    ) -> i64 {
        let rows: Vec<_> = readings.iter().map(|r| (vehicle, *r)).collect();
        self.append(&rows, received_at).await
    }
}

fn batch(rows: &[(&str, Reading)], received_at: Timestamp, sequence: i64) -> RecordBatch {
    let schema = TableKind::Readings.schema();
    let float = |get: fn(&Reading) -> Option<f64>| {
        Arc::new(rows.iter().map(|(_, r)| get(r)).collect::<Float64Array>()) as ArrayRef
    };
    let time = |get: &dyn Fn(&Reading) -> Timestamp| {
        let times: TimestampMicrosecondArray = rows.iter().map(|(_, r)| Some(get(r).0)).collect();
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "vehicle_id" => Arc::new(rows.iter().map(|(v, _)| Some(*v)).collect::<StringArray>()) as ArrayRef,
            "ts" => time(&|r| r.ts),
            "date" => Arc::new(rows.iter().map(|(_, r)| Some(r.ts.utc_day())).collect::<Date32Array>()),
            "received_at" => time(&|_| received_at),
            "stream_id" => Arc::new(StringArray::from(vec!["s"; rows.len()])),
            "sequence" => Arc::new(Int64Array::from(vec![sequence; rows.len()])),
            "latitude" => float(|r| r.latitude),
            "longitude" => float(|r| r.longitude),
            "speed_kmh" => float(|r| r.speed_kmh),
            "odometer_km" => float(|r| r.odometer_km),
            "ignition_on" => Arc::new(rows.iter().map(|(_, r)| r.ignition_on).collect::<BooleanArray>()),
            "engine_speed_rpm" => float(|r| r.engine_speed_rpm),
            "fuel_used_l" => float(|r| r.fuel_used_l),
            "fuel_level_pct" => float(|r| r.fuel_level_pct),
            "soc_pct" => float(|r| r.soc_pct),
            "accel_x_mps2" => float(|r| r.accel_x_mps2),
            "accel_y_mps2" => float(|r| r.accel_y_mps2),
            _ => match field.data_type() {
                DataType::Float64 => new_null_array(&DataType::Float64, rows.len()),
                other => new_null_array(other, rows.len()),
            },
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// Readings once a second from `start_s` at one speed; zero means standing with ignition off.
pub(crate) fn run(start_s: i64, seconds: i64, speed_kmh: f64) -> Vec<Reading> {
    (0..seconds)
        .map(|i| Reading {
            ts: Timestamp((start_s + i) * 1_000_000),
            speed_kmh: Some(speed_kmh),
            latitude: Some(50.0),
            longitude: Some(10.0 + (start_s + i) as f64 % 10_000.0 * speed_kmh * 1e-7),
            ignition_on: Some(speed_kmh > 0.0),
            ..Reading::default()
        })
        .collect()
}
