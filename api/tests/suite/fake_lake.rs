//! A lake in memory: trips by version, and nothing else but what a test puts in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use analytics::{
    Whose,
    row::{ColumnInfo, CorrectionRow, QueryResult, TripChange, TripRow, TripStatus, VehicleState},
    rules::{Changes, Found, Rule, Shape},
};
use api::lake_port::{LakeError, LakeErrorKind, LakeReader, LakeStream, Piece, StreamFormat};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::{
    catalog::Catalog,
    ids::{CatalogHash, VehicleId},
    time::Timestamp,
};

use crate::fake_rules::FakeRules;

/// The lake.
#[derive(Debug, Default)]
pub(crate) struct FakeLake {
    changes: Mutex<Vec<TripChange>>,
    fleet: Mutex<Vec<VehicleState>>,
    fleet_change: watch::Sender<u64>,
    pub(crate) catalogs: Mutex<HashMap<CatalogHash, Catalog>>,
    /// What was recorded of trips, in order.
    pub(crate) corrections: Mutex<Vec<CorrectionRow>>,
    /// What recording fails with.
    pub(crate) corrections_fail: Mutex<Option<LakeError>>,
    pub(crate) rules: Mutex<FakeRules>,
}

/// A trip of `metres` and `seconds`, `idle_s` of them idle.
pub(crate) fn trip(
    id: &str,
    vehicle: &str,
    start: &str,
    (metres, seconds, idle_s): (i64, i64, i64),
) -> TripRow {
    let start_time = Timestamp::parse(start).unwrap();
    TripRow {
        trip_id: format!("trp_{id}"),
        revision: 1,
        vehicle_id: vehicle.parse().unwrap(),
        status: TripStatus::Completed,
        start_time,
        end_time: start_time.plus_us(seconds * 1_000_000),
        start_latitude: Some(55.0),
        start_longitude: Some(12.0),
        end_latitude: Some(55.1),
        end_longitude: Some(12.1),
        distance_m: metres,
        distance_source: "gnss".to_owned(),
        odometer_start_km: Some(1000.0),
        odometer_end_km: Some(1010.5),
        gnss_distance_m: Some(metres),
        speed_distance_m: None,
        duration_s: seconds,
        moving_s: seconds - idle_s,
        idle_s,
        speed_max_kmh: Some(88.0),
        fuel_used_l: None,
        fuel_source: None,
        energy_used_kwh: None,
        reading_count: seconds,
        jump_count: 0,
        end_reason: "ignition_off".to_owned(),
        algorithm_version: 1,
        parameters_version: 1,
        readings_version: 7,
        derived_at: start_time.plus_us(1),
        purpose: None,
        merged_count: 1,
    }
}

/// The next revision of a trip.
pub(crate) fn revised(row: &TripRow, metres: i64) -> TripRow {
    TripRow { revision: row.revision + 1, distance_m: metres, ..row.clone() }
}

/// The revision that takes a trip back.
pub(crate) fn withdrawn(row: &TripRow) -> TripRow {
    TripRow { revision: row.revision + 1, status: TripStatus::Withdrawn, ..row.clone() }
}

/// A vehicle's last reading.
pub(crate) fn state(vehicle: &str, received_at: Timestamp, speed_kmh: f64) -> VehicleState {
    VehicleState {
        vehicle_id: vehicle.parse().unwrap(),
        ts: received_at,
        received_at,
        latitude: Some(55.0),
        longitude: Some(12.0),
        heading_deg: Some(90.0),
        speed_kmh: Some(speed_kmh),
        ignition_on: Some(true),
        engine_speed_rpm: Some(900.0),
        fuel_level_pct: None,
        soc_pct: None,
        odometer_km: None,
    }
}

impl FakeLake {
    /// Commits a version with these rows.
    pub(crate) fn commit(&self, trips: Vec<TripRow>) -> i64 {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let version = i64::try_from(changes.len()).unwrap();
        changes.push(TripChange { version, trips });
        version
    }

    /// Rewrites history: every stored row of a trip gets another distance.
    pub(crate) fn tamper(&self, trip_id: &str, metres: i64) {
        let mut changes = self.changes.lock().unwrap();
        for row in changes.iter_mut().flat_map(|c| &mut c.trips).filter(|r| r.trip_id == trip_id) {
            row.distance_m = metres;
        }
    }

    pub(crate) fn see(&self, states: Vec<VehicleState>) {
        *self.fleet.lock().unwrap() = states;
        self.fleet_change.send_modify(|change| *change += 1);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a test's trip uses little")]
fn watt_hours(kwh: f64) -> i64 {
    (kwh * 1000.0).round() as i64
}

fn result(columns: &[&str], rows: Vec<Vec<Value>>) -> QueryResult {
    let column = |name: &&str| ColumnInfo { name: (*name).to_owned(), data_type: "Utf8".to_owned() };
    QueryResult {
        columns: columns.iter().map(column).collect(),
        rows,
        is_truncated: false,
        lake_versions: BTreeMap::new(),
        elapsed_ms: 1,
    }
}

#[async_trait]
impl LakeReader for FakeLake {
    async fn sql(
        &self,
        whose: Option<&Whose>,
        query: &str,
        max_rows: usize,
    ) -> Result<QueryResult, LakeError> {
        if query == "SELECT vehicle_id FROM trips" {
            let changes = self.changes.lock().unwrap();
            let ids = changes.iter().flat_map(|c| &c.trips).map(|t| t.vehicle_id.to_string());
            let rows = ids.filter(|id| whose.is_none_or(|w| w.includes(id))).map(|id| vec![json!(id)]);
            return Ok(result(&["vehicle_id"], rows.collect()));
        }
        if query.contains("spead") {
            let message = "Schema error: No field named spead. Did you mean 'speed_kmh'?".to_owned();
            return Err(LakeError { kind: LakeErrorKind::Invalid, message });
        }
        let rows = vec![vec![json!("a,b"), json!(1)], vec![json!(null), json!(2.5)]];
        let mut found = result(&["name", "n"], rows);
        found.is_truncated = found.rows.len() > max_rows;
        found.rows.truncate(max_rows);
        Ok(found)
    }

    /// `long N` is N pieces of 100 kB; `cut N` fails after them.
    async fn sql_stream(
        &self,
        whose: Option<&Whose>,
        query: &str,
        (format, max_rows): (StreamFormat, Option<usize>),
    ) -> Result<LakeStream, LakeError> {
        let lake_versions = BTreeMap::from([("readings".to_owned(), 7), ("trips".to_owned(), 3)]);
        let busy = || LakeError { kind: LakeErrorKind::Busy, message: "it took \"too\" long".to_owned() };
        let mut pieces = Vec::new();
        let is_truncated = match query.split_once(' ') {
            Some((how @ ("long" | "cut"), count)) => {
                let piece = vec![b'x'; 100_000];
                pieces.extend((0..count.parse().unwrap()).map(|_| Ok(Piece::Bytes(piece.clone()))));
                if how == "cut" {
                    pieces.push(Err(busy()));
                }
                false
            }
            _ => {
                let most = max_rows.unwrap_or(usize::MAX);
                let found = self.sql(whose, query, most).await?;
                let text = format!("{format:?}: {} rows\r\n", found.rows.len());
                pieces.push(Ok(Piece::Bytes(text.into_bytes())));
                found.is_truncated
            }
        };
        if !query.starts_with("cut") {
            pieces.push(Ok(Piece::End { is_truncated }));
        }
        Ok(LakeStream { lake_versions, pieces: stream::iter(pieces).boxed() })
    }

    async fn record_correction(&self, row: CorrectionRow) -> Result<(), LakeError> {
        if let Some(error) = self.corrections_fail.lock().unwrap().clone() {
            return Err(error);
        }
        self.corrections.lock().unwrap().push(row);
        Ok(())
    }

    async fn check_rule(&self, query: &str) -> Result<Shape, LakeError> {
        if query.contains("spead") {
            let message = "Schema error: No field named spead. Did you mean 'speed_kmh'?".to_owned();
            return Err(LakeError { kind: LakeErrorKind::Invalid, message });
        }
        Ok(Shape { reads: vec!["readings".to_owned()], columns: Vec::new() })
    }

    async fn versions_of(&self, _: &[String]) -> Result<BTreeMap<String, i64>, LakeError> {
        Ok(self.rules.lock().unwrap().versions())
    }

    async fn rule_changes(
        &self,
        _: &[String],
        (after, _): (&BTreeMap<String, i64>, Timestamp),
    ) -> Result<Changes, LakeError> {
        Ok(self.rules.lock().unwrap().changes(after))
    }

    async fn rule_episodes(
        &self,
        rule: &Rule,
        of: (Option<&Whose>, &BTreeMap<VehicleId, Timestamp>),
        period: (Timestamp, Timestamp),
    ) -> Result<Found, LakeError> {
        self.rules.lock().unwrap().episodes(rule, of, period)
    }

    async fn catalog(&self, hash: CatalogHash) -> Result<Option<Catalog>, LakeError> {
        Ok(self.catalogs.lock().unwrap().get(&hash).cloned())
    }

    /// Understands the one query that evidence asks.
    async fn sql_at(&self, trips_version: i64, query: &str) -> Result<QueryResult, LakeError> {
        let trip_id = query.split('\'').nth(1).unwrap().to_owned();
        let revision: i64 = query.rsplit(' ').next().unwrap().parse().unwrap();
        let changes = self.changes.lock().unwrap();
        let rows = changes.iter().filter(|c| c.version <= trips_version).flat_map(|c| &c.trips);
        let has_energy = query.contains(" AS energy_wh ");
        let found = rows.filter(|r| r.trip_id == trip_id && r.revision == revision).map(|r| {
            let row = serde_json::to_value(r).unwrap();
            // As DataFusion writes times: with a zone and all digits.
            let time = |t: Timestamp| json!(t.to_string().replace('Z', "+00:00"));
            let mut values = vec![
                row["trip_id"].clone(),
                row["revision"].clone(),
                row["vehicle_id"].clone(),
                row["status"].clone(),
                time(r.start_time),
                time(r.end_time),
                row["distance_m"].clone(),
                row["duration_s"].clone(),
                row["idle_s"].clone(),
            ];
            if has_energy {
                values.push(json!(r.energy_used_kwh.map(watt_hours)));
            }
            values
        });
        let mut columns = vec![
            "trip_id",
            "revision",
            "vehicle_id",
            "status",
            "start_time",
            "end_time",
            "distance_m",
            "duration_s",
            "idle_s",
        ];
        if has_energy {
            columns.push("energy_wh");
        }
        Ok(result(&columns, found.collect()))
    }

    async fn trip_changes(
        &self,
        after_version: i64,
        max_versions: usize,
    ) -> Result<Vec<TripChange>, LakeError> {
        let changes = self.changes.lock().unwrap();
        Ok(changes.iter().filter(|c| c.version > after_version).take(max_versions).cloned().collect())
    }

    async fn positions(
        &self,
        _vehicle: &VehicleId,
        start: Timestamp,
        end: Timestamp,
        max_points: usize,
    ) -> Result<QueryResult, LakeError> {
        let ten_seconds = (end.0 - start.0) / 10_000_000;
        let rows = (0..=ten_seconds).take(max_points).map(|i| {
            let ts = start.plus_us(i * 10_000_000).to_string();
            let latitude = if i == 1 { Value::Null } else { json!(55.0) };
            vec![json!(ts), latitude, json!(12.0), json!(50.0), json!(null), json!(3.5)]
        });
        Ok(result(&["ts", "latitude", "longitude", "speed_kmh", "heading_deg", "altitude_m"], rows.collect()))
    }

    fn fleet(&self) -> Vec<VehicleState> {
        self.fleet.lock().unwrap().clone()
    }

    fn fleet_since(&self, change: u64) -> (Vec<VehicleState>, u64) {
        let newest = *self.fleet_change.borrow();
        (if newest > change { self.fleet() } else { Vec::new() }, newest)
    }

    fn fleet_changes(&self) -> watch::Receiver<u64> {
        self.fleet_change.subscribe()
    }
}
