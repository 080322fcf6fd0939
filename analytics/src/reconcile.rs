//! Derived trips against stored ones: what is new, changed, gone, or as it was.
//!
//! *Owns* trip ids and revision numbers. A pure function: deriving the same again writes nothing,
//! which is what makes a restart harmless.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    row::{TripRow, TripStatus},
    trips::{ALGORITHM_VERSION, DerivedTrip, EndReason},
};

pub(crate) mod timeline;

/// Ids tried for one start before giving up; two are enough for a split.
const ID_ATTEMPTS: u32 = 16;

/// What is compared, and what new rows carry.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Whose trips.
    pub(crate) vehicle_id: VehicleId,
    /// Stored trips that start in `[from, to)` are judged; the others are left as they are.
    pub(crate) from: Timestamp,
    /// See `from`.
    pub(crate) to: Timestamp,
    /// Start of a trip still under way: what is stored of it is judged when it has ended.
    pub(crate) open_since: Option<Timestamp>,
    /// Parameter set.
    pub(crate) parameters_version: i64,
    /// Version of `readings`.
    pub(crate) readings_version: i64,
    /// Our clock.
    pub(crate) derived_at: Timestamp,
}

/// Rows to add, by kind.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// In order of start.
    pub(crate) rows: Vec<TripRow>,
    /// Trips not known before.
    pub(crate) new_count: u64,
    /// Trips that changed.
    pub(crate) revised_count: u64,
    /// Trips that are none any more.
    pub(crate) withdrawn_count: u64,
    /// The id of each derived trip, in their order; `None` where one was left out.
    pub(crate) trip_ids: Vec<Option<String>>,
    /// Stored trips that stand without having been derived.
    pub(crate) left_ids: BTreeSet<String>,
}

/// Compares. `stored` has the latest revision of every trip of the vehicle around the scope,
/// withdrawn ones too.
pub(crate) fn reconcile(scope: &Scope, derived: &[DerivedTrip], stored: &[TripRow]) -> Outcome {
    let in_scope = |row: &&TripRow| row.start_time >= scope.from && row.start_time < scope.to;
    let current: Vec<&TripRow> =
        stored.iter().filter(|r| r.status == TripStatus::Completed).filter(in_scope).collect();
    let matches = match_by_overlap(derived, &current);
    let mut taken: BTreeSet<&str> = current.iter().map(|row| row.trip_id.as_str()).collect();
    taken.extend(stored.iter().filter(|r| r.status == TripStatus::Completed).map(|r| r.trip_id.as_str()));
    let withdrawn: BTreeMap<&str, i64> = stored
        .iter()
        .filter(|r| r.status == TripStatus::Withdrawn)
        .map(|r| (r.trip_id.as_str(), r.revision))
        .collect();

    let mut outcome = Outcome::default();
    let mut issued = BTreeSet::new();
    for (place, trip) in derived.iter().enumerate() {
        if let Some(&old) = matches.get(&place) {
            let old = current[old];
            outcome.trip_ids.push(Some(old.trip_id.clone()));
            let row = row_of(scope, trip, old.trip_id.clone(), old.revision + 1);
            if !says_the_same(&row, old) {
                outcome.rows.push(row);
                outcome.revised_count += 1;
            }
            continue;
        }
        let id = (0..ID_ATTEMPTS)
            .map(|attempt| trip_id(&scope.vehicle_id, trip.start_time, attempt))
            .find(|id| !taken.contains(id.as_str()) && !issued.contains(id));
        outcome.trip_ids.push(id.clone());
        let Some(id) = id else {
            tracing::error!(vehicle_id = %scope.vehicle_id, "no free trip id: trip left out");
            continue;
        };
        let revision = withdrawn.get(id.as_str()).map_or(1, |revision| revision + 1);
        outcome.rows.push(row_of(scope, trip, id.clone(), revision));
        issued.insert(id);
        outcome.new_count += 1;
    }
    outcome.left_ids = taken.into_iter().map(str::to_owned).collect();
    for id in outcome.trip_ids.iter().flatten() {
        outcome.left_ids.remove(id);
    }
    let matched: BTreeSet<usize> = matches.into_values().collect();
    for (place, old) in current.iter().enumerate() {
        // Silence was a guess; what the trip is now known to be is said when it has ended. (Other
        // ends were read from data, so what is stored is always what the data says.)
        let may_still_be =
            old.end_reason == "silence" && scope.open_since.is_some_and(|since| old.end_time >= since);
        if matched.contains(&place) || may_still_be {
            continue;
        }
        outcome.left_ids.remove(&old.trip_id);
        outcome.rows.push(TripRow {
            revision: old.revision + 1,
            status: TripStatus::Withdrawn,
            algorithm_version: ALGORITHM_VERSION,
            parameters_version: scope.parameters_version,
            readings_version: scope.readings_version,
            derived_at: scope.derived_at,
            ..(*old).clone()
        });
        outcome.withdrawn_count += 1;
    }
    outcome.rows.sort_by(|a, b| (a.start_time, &a.trip_id).cmp(&(b.start_time, &b.trip_id)));
    outcome
}

/// Derived place to stored place, by greatest overlap in time, each at most once. A trip that people merged or
/// split goes on as the first of its parts, and when they take that back that one goes on as the whole, or as itself.
fn match_by_overlap(derived: &[DerivedTrip], stored: &[&TripRow]) -> BTreeMap<usize, usize> {
    let mut overlaps = Vec::new();
    for (d, trip) in derived.iter().enumerate() {
        for (s, row) in stored.iter().enumerate() {
            let overlap_us = trip.end_time.min(row.end_time).since_us(trip.start_time.max(row.start_time));
            if overlap_us >= 0 {
                let is_of_parts = trip.merged_count > 1
                    || row.merged_count > 1
                    || trip.end_reason == EndReason::Split
                    || row.end_reason == EndReason::Split.as_str();
                let is_first = is_of_parts && trip.start_time == row.start_time;
                overlaps.push((std::cmp::Reverse((is_first, overlap_us)), d, s));
            }
        }
    }
    overlaps.sort_unstable();
    let mut matches = BTreeMap::new();
    let mut used = BTreeSet::new();
    for (_, d, s) in overlaps {
        if !matches.contains_key(&d) && used.insert(s) {
            matches.insert(d, s);
        }
    }
    matches
}

/// The same but for who derived it and when. A trip ended by silence that later data ends by a
/// gap in the same place has not changed.
fn says_the_same(new: &TripRow, old: &TripRow) -> bool {
    let is_quiet = |row: &TripRow| row.end_reason == "silence" || row.end_reason == "gap";
    let same_reason = new.end_reason == old.end_reason || (is_quiet(new) && is_quiet(old));
    let bare = |row: &TripRow| TripRow {
        revision: 0,
        end_reason: String::new(),
        algorithm_version: 0,
        parameters_version: 0,
        readings_version: 0,
        derived_at: Timestamp(0),
        ..row.clone()
    };
    same_reason && bare(new) == bare(old)
}

fn trip_id(vehicle_id: &VehicleId, start_time: Timestamp, attempt: u32) -> String {
    id_at("trp", vehicle_id, start_time, &attempt.to_be_bytes())
}

/// A prefix and 32 hex digits in the shape of a UUID of version 7: the start in milliseconds in
/// front, so that ids sort by time, the rest by hash of vehicle, start and seed.
fn id_at(prefix: &str, vehicle_id: &VehicleId, start_time: Timestamp, seed: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(vehicle_id.as_str().as_bytes());
    hasher.update([0]);
    hasher.update(start_time.0.to_be_bytes());
    hasher.update(seed);
    let digest = hasher.finalize();
    let mut random = [0_u8; 10];
    random.copy_from_slice(&digest[..10]);
    let millis = u64::try_from(start_time.0.div_euclid(1000)).unwrap_or(0);
    format!("{prefix}_{}", uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().simple())
}

fn row_of(scope: &Scope, trip: &DerivedTrip, trip_id: String, revision: i64) -> TripRow {
    TripRow {
        trip_id,
        revision,
        vehicle_id: scope.vehicle_id.clone(),
        status: TripStatus::Completed,
        start_time: trip.start_time,
        end_time: trip.end_time,
        start_latitude: trip.start_fix.map(|f| f.latitude),
        start_longitude: trip.start_fix.map(|f| f.longitude),
        end_latitude: trip.end_fix.map(|f| f.latitude),
        end_longitude: trip.end_fix.map(|f| f.longitude),
        distance_m: trip.distance_m,
        distance_source: trip.distance_source.as_str().to_owned(),
        odometer_start_km: trip.odometer_start_km,
        odometer_end_km: trip.odometer_end_km,
        gnss_distance_m: trip.gnss_distance_m,
        speed_distance_m: trip.speed_distance_m,
        duration_s: trip.duration_s,
        moving_s: trip.moving_s,
        idle_s: trip.idle_s,
        speed_max_kmh: trip.speed_max_kmh,
        fuel_used_l: trip.fuel_used_l,
        fuel_source: trip.fuel_source.map(str::to_owned),
        energy_used_kwh: trip.energy_used_kwh,
        reading_count: trip.reading_count,
        jump_count: trip.jump_count,
        end_reason: trip.end_reason.as_str().to_owned(),
        algorithm_version: ALGORITHM_VERSION,
        parameters_version: scope.parameters_version,
        readings_version: scope.readings_version,
        derived_at: scope.derived_at,
        purpose: trip.purpose,
        merged_count: trip.merged_count,
    }
}

#[cfg(test)]
mod tests;
