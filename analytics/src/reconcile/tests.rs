use super::*;
use crate::trips::{DistanceSource, EndReason, StopStart};

fn derived(start_s: i64, end_s: i64) -> DerivedTrip {
    DerivedTrip {
        start_time: Timestamp(start_s * 1_000_000),
        end_time: Timestamp(end_s * 1_000_000),
        start_fix: None,
        end_fix: None,
        distance_m: 10 * (end_s - start_s),
        distance_source: DistanceSource::Speed,
        odometer_start_km: None,
        odometer_end_km: None,
        gnss_distance_m: None,
        speed_distance_m: Some(10 * (end_s - start_s)),
        duration_s: end_s - start_s,
        moving_s: end_s - start_s,
        idle_s: 0,
        speed_max_kmh: Some(36.0),
        fuel_used_l: None,
        fuel_source: None,
        energy_used_kwh: None,
        reading_count: end_s - start_s,
        jump_count: 0,
        end_reason: EndReason::IgnitionOff,
        events: Vec::new(),
        rest: rest_at(end_s),
        purpose: None,
        merged_count: 1,
    }
}

fn rest_at(time_s: i64) -> StopStart {
    StopStart { time: Timestamp(time_s * 1_000_000), fix: None, fuel_level_pct: Some(40.0), soc_pct: None }
}

fn scope(readings_version: i64) -> Scope {
    Scope {
        vehicle_id: "car-1".parse().unwrap(),
        from: Timestamp(0),
        to: Timestamp(i64::MAX),
        open_since: None,
        parameters_version: 1,
        readings_version,
        derived_at: Timestamp(readings_version),
    }
}

/// The latest revisions after rows were added.
fn latest(stored: &[TripRow], added: &[TripRow]) -> Vec<TripRow> {
    let mut rows: BTreeMap<String, TripRow> = BTreeMap::new();
    for row in stored.iter().chain(added) {
        rows.insert(row.trip_id.clone(), row.clone());
    }
    rows.into_values().collect()
}

#[test]
fn the_same_again_writes_nothing() {
    let trips = [derived(1000, 2000), derived(5000, 6000)];
    let first = reconcile(&scope(1), &trips, &[]);
    assert_eq!((first.rows.len(), first.new_count), (2, 2));
    assert_eq!(reconcile(&scope(2), &trips, &first.rows).rows, []);
}

#[test]
fn ids_are_of_version_7_sort_by_time_and_differ_by_vehicle() {
    let rows = reconcile(&scope(1), &[derived(1000, 2000), derived(5000, 6000)], &[]).rows;
    assert!(rows[0].trip_id < rows[1].trip_id);
    let (prefix, id) = rows[0].trip_id.split_at(4);
    assert_eq!((prefix, id.len(), id.as_bytes()[12]), ("trp_", 32, b'7'));
    let other = Scope { vehicle_id: "car-2".parse().unwrap(), ..scope(1) };
    assert_ne!(reconcile(&other, &[derived(1000, 2000)], &[]).rows[0].trip_id, rows[0].trip_id);
}

#[test]
fn a_split_keeps_the_id_on_the_longer_part_and_never_reuses_it() {
    let stored = reconcile(&scope(1), &[derived(1000, 4000)], &[]).rows;
    // The shorter part starts where the whole did, so its first choice of an id is taken.
    let parts = reconcile(&scope(2), &[derived(1000, 2000), derived(2500, 4000)], &stored);
    assert_eq!((parts.new_count, parts.revised_count), (1, 1));
    assert_ne!(parts.rows[0].trip_id, stored[0].trip_id);
    assert_eq!((&parts.rows[1].trip_id, parts.rows[1].revision), (&stored[0].trip_id, 2));
    let again = latest(&stored, &parts.rows);
    assert_eq!(reconcile(&scope(3), &[derived(1000, 2000), derived(2500, 4000)], &again).rows, []);
}

#[test]
fn a_withdrawn_trip_that_comes_back_goes_on_counting() {
    let stored = reconcile(&scope(1), &[derived(1000, 2000)], &[]).rows;
    let gone = reconcile(&scope(2), &[], &stored);
    assert_eq!((gone.withdrawn_count, gone.rows[0].status), (1, TripStatus::Withdrawn));
    let back = reconcile(&scope(3), &[derived(1000, 2000)], &latest(&stored, &gone.rows));
    assert_eq!((&back.rows[0].trip_id, back.rows[0].revision), (&stored[0].trip_id, 3));
}

#[test]
fn trips_out_of_scope_are_left_alone() {
    let stored = reconcile(&scope(1), &[derived(1000, 2000), derived(5000, 6000)], &[]).rows;
    let narrow = Scope { from: Timestamp(4_000_000_000), ..scope(2) };
    let outcome = reconcile(&narrow, &[], &stored);
    assert_eq!((outcome.rows.len(), outcome.rows[0].start_time), (1, Timestamp(5_000_000_000)));
}
