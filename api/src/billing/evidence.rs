//! Evidence: a line's query run again at its lake version, and the amount made from the answer.
//!
//! The rows are hashed as canonical JSON: keys sorted, times as RFC 3339 in UTC, no spaces. The
//! follower hashes the row it was given; the proof hashes what SQL reads. They must agree.

use std::collections::BTreeMap;

use analytics::row::QueryResult;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use wire::time::Timestamp;

use super::{
    rating::{self, MonthRest, TripUsage},
    tariff::Tariff,
    types::{Evidence, Line},
};
use crate::{
    fault::DomainError,
    lake_port::LakeReader,
    text::hex,
    trips::types::{Trip, TripState},
};

/// What of a trip is rated.
pub(crate) fn usage_of(trip: &Trip) -> TripUsage {
    TripUsage {
        distance_m: trip.distance_m,
        duration_s: trip.duration_s,
        idle_s: trip.idle_s,
        energy_wh: energy_wh(trip).unwrap_or(0),
        start_time: trip.start_time,
    }
}

/// Whole watt hours, as [`sql_of`] rounds them too: no float goes further than this.
#[allow(clippy::cast_possible_truncation, reason = "saturates, and rating refuses what is so large")]
fn energy_wh(trip: &Trip) -> Option<i64> {
    trip.energy_used_kwh.map(|kwh| (kwh * 1000.0).round() as i64)
}

/// The query that reads a trip's revision. Ids are of letters, digits, `-` and `_` alone.
pub(crate) fn sql_of(trip: &Trip) -> String {
    let energy = match trip.energy_used_kwh {
        Some(_) => ", CAST(ROUND(energy_used_kwh * 1000) AS BIGINT) AS energy_wh",
        None => "",
    };
    format!(
        "SELECT trip_id, revision, vehicle_id, status, start_time, end_time, distance_m, duration_s, idle_s{energy} \
         FROM trips WHERE trip_id = '{}' AND revision = {}",
        trip.id, trip.revision
    )
}

/// The hash of the row that query reads.
pub(crate) fn hash_of_trip(trip: &Trip) -> String {
    let row = serde_json::json!({
        "trip_id": trip.id.as_str(),
        "revision": trip.revision,
        "vehicle_id": trip.vehicle_id.as_str(),
        "status": trip.status.as_str(),
        "start_time": trip.start_time.to_string(),
        "end_time": trip.end_time.to_string(),
        "distance_m": trip.distance_m,
        "duration_s": trip.duration_s,
        "idle_s": trip.idle_s,
    });
    match row {
        Value::Object(mut row) => {
            if let Some(energy_wh) = energy_wh(trip) {
                row.insert("energy_wh".to_owned(), energy_wh.into());
            }
            hash_of(&[row])
        }
        _ => String::new(),
    }
}

/// Proves a line.
pub(crate) async fn of_line(
    lake: &dyn LakeReader,
    (line, tariff): (&Line, &Tariff),
) -> Result<Evidence, DomainError> {
    let found = lake.sql_at(line.lake_version, &line.evidence_sql).await?;
    let rows = objects(&found);
    let row_hash = hash_of(&rows);
    let amount_minor_recomputed = recompute(line, tariff, &rows)?;
    let row_hash_matches = row_hash == line.row_hash;
    Ok(Evidence {
        sql: line.evidence_sql.clone(),
        lake_version: line.lake_version,
        tariff_id: line.tariff_id.clone(),
        tariff_version: line.tariff_version,
        rows,
        row_hash,
        row_hash_matches,
        amount_minor_recomputed,
        amount_minor: line.amount_minor,
        currency: tariff.terms.currency.clone(),
        agrees: row_hash_matches && amount_minor_recomputed == line.amount_minor,
    })
}

/// The line's amount from the rows: what its component costs, less what was billed before.
fn recompute(line: &Line, tariff: &Tariff, rows: &[Map<String, Value>]) -> Result<i64, DomainError> {
    // The month's other trips are as they were when the line was rated.
    let rest: MonthRest = line.month.iter().map(|m| (line.component, m.rest)).collect();
    let usage = match rows {
        [row] if row.get("status").and_then(Value::as_str) == Some(TripState::Completed.as_str()) => {
            usage_of_row(row)
        }
        // No row, or a withdrawn trip: it took place nowhere.
        _ => None,
    };
    let rated = match usage {
        Some(usage) => rating::rate(&tariff.terms, &usage, &rest)?,
        None => rating::rate_withdrawn(&tariff.terms, &rest)?,
    };
    let costs = rated.iter().find(|r| r.component == line.component).map_or(0, |r| r.amount_minor);
    Ok(costs - line.billed_before_minor)
}

fn usage_of_row(row: &Map<String, Value>) -> Option<TripUsage> {
    let number = |name: &str| row.get(name).and_then(Value::as_i64);
    Some(TripUsage {
        distance_m: number("distance_m")?,
        duration_s: number("duration_s")?,
        idle_s: number("idle_s")?,
        energy_wh: number("energy_wh").unwrap_or(0),
        start_time: Timestamp::parse(row.get("start_time")?.as_str()?).ok()?,
    })
}

/// The rows of a result as objects, times in one spelling.
fn objects(found: &QueryResult) -> Vec<Map<String, Value>> {
    let object = |row: &Vec<Value>| {
        let named = found.columns.iter().zip(row);
        named.map(|(column, value)| (column.name.clone(), canonical(&column.name, value))).collect()
    };
    found.rows.iter().map(object).collect()
}

fn canonical(column: &str, value: &Value) -> Value {
    match value.as_str() {
        Some(text) if column.ends_with("_time") => {
            Timestamp::parse(text).map_or_else(|_| value.clone(), |t| Value::String(t.to_string()))
        }
        _ => value.clone(),
    }
}

fn hash_of(rows: &[Map<String, Value>]) -> String {
    let sorted: Vec<BTreeMap<&String, &Value>> = rows.iter().map(|r| r.iter().collect()).collect();
    // Text keys and plain values: serializing them cannot fail.
    let json = serde_json::to_vec(&sorted).unwrap_or_default();
    hex(&Sha256::digest(json))
}
