//! What people said of trips, through the table to revisions.

use super::*;
use crate::row::{CorrectionKind, CorrectionRow, CorrectionStatus, Purpose};

fn said(id: &str, kind: CorrectionKind, (from, to): (Timestamp, Timestamp)) -> CorrectionRow {
    CorrectionRow {
        correction_id: format!("tco_{id}"),
        revision: 1,
        vehicle_id: "car-1".parse().unwrap(),
        status: CorrectionStatus::Active,
        kind,
        from_time: from,
        to_time: to,
        purpose: None,
        made_by: "usr_1".to_owned(),
        made_at: NOW,
        recorded_at: NOW,
    }
}

fn revoked(row: &CorrectionRow) -> CorrectionRow {
    CorrectionRow { revision: row.revision + 1, status: CorrectionStatus::Revoked, ..row.clone() }
}

async fn record(follower: &mut Follower, row: &CorrectionRow) {
    follower.analytics.record_correction(row.clone()).await.unwrap();
    catch_up(follower).await;
}

/// A follower that has derived three drives, each longer than the one before, and these.
async fn three(lake: &mut TestLake, clock: &Arc<ManualClock>) -> (Follower, Vec<TripRow>) {
    let drive = |i: i64| {
        [run(MORNING_S + i * 3600, 600 + i * 60, 50.0), run(MORNING_S + i * 3600 + 600 + i * 60, 120, 0.0)]
    };
    let drives: Vec<Reading> = (0..3).flat_map(drive).flatten().collect();
    lake.append_of("car-1", &drives, NOW).await;
    let mut follower = follower(lake.dir.path(), clock).await;
    catch_up(&mut follower).await;
    let trips = standing(&follower).await;
    assert_eq!(trips.len(), 3);
    (follower, trips)
}

#[tokio::test]
async fn merged_trips_are_one_revision_and_a_withdrawn_one_and_are_two_again_when_it_is_taken_back() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let (mut follower, before) = three(&mut lake, &clock).await;
    let merge = said("m", CorrectionKind::Merge, (before[0].end_time, before[1].start_time));
    record(&mut follower, &merge).await;
    let merged = standing(&follower).await;
    assert_eq!(merged.len(), 2);
    assert_eq!((merged[0].start_time, merged[0].end_time), (before[0].start_time, before[1].end_time));
    assert_eq!((merged[0].merged_count, merged[0].revision), (2, 2));
    assert_eq!(merged[0].trip_id, before[0].trip_id, "the first goes on, though the other is longer");
    assert_eq!(merged[0].distance_m, before[0].distance_m + before[1].distance_m);
    assert_eq!(merged[1], before[2], "the third stands as it was");
    // The same again, by a retry: nothing.
    let count = revisions(&follower).await.len();
    record(&mut follower, &merge).await;
    assert_eq!(revisions(&follower).await.len(), count);
    record(&mut follower, &revoked(&merge)).await;
    assert_eq!(spans(&standing(&follower).await), spans(&before));
    let ids = |rows: &[TripRow]| rows.iter().map(|row| row.trip_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&standing(&follower).await), ids(&before), "under the ids they had");
}

#[tokio::test]
async fn a_split_trip_is_two_with_events_and_stops_of_their_own() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let (mut follower, before) = three(&mut lake, &clock).await;
    let at = before[1].start_time.plus_us(200_000_000);
    record(&mut follower, &said("s", CorrectionKind::Split, (at, at))).await;
    let split = standing(&follower).await;
    assert_eq!(split.len(), 4);
    assert_eq!((split[1].end_time, split[1].end_reason.as_str()), (at, "split"));
    assert_eq!((split[2].start_time, split[2].end_time), (at, before[1].end_time));
    assert_eq!(
        split[1].trip_id, before[1].trip_id,
        "the first part is the trip it was, though the other is longer"
    );
    assert_eq!((&split[0], &split[3]), (&before[0], &before[2]));
    record(&mut follower, &revoked(&said("s", CorrectionKind::Split, (at, at)))).await;
    let whole = standing(&follower).await;
    assert_eq!(spans(&whole), spans(&before));
    assert_eq!(whole[1].trip_id, before[1].trip_id);
}

#[tokio::test]
async fn what_was_said_holds_when_late_data_comes_and_after_a_restart() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let (mut first, before) = three(&mut lake, &clock).await;
    record(&mut first, &said("m", CorrectionKind::Merge, (before[1].end_time, before[2].start_time))).await;
    let mut mark = said("p", CorrectionKind::Mark, (before[0].start_time, before[0].end_time));
    mark.purpose = Some(Purpose::Private);
    record(&mut first, &mark).await;
    let known = standing(&first).await;
    assert_eq!(known[0].purpose, Some(Purpose::Private));
    assert_eq!(known[1].merged_count, 2);
    drop(first);
    // Said while nobody derived: seen after the start.
    let mut next = follower(lake.dir.path(), &clock).await;
    let at = before[0].start_time.plus_us(300_000_000);
    next.analytics.record_correction(said("s", CorrectionKind::Split, (at, at))).await.unwrap();
    catch_up(&mut next).await;
    let split = standing(&next).await;
    assert_eq!(split.len(), 3);
    assert_eq!(split[0].end_time, at);
    assert_eq!(split[0].purpose, Some(Purpose::Private), "half of what was marked");
    assert_eq!(split[2], known[1]);
    // Ten late minutes before the merged trip, which make one more trip, and minutes in the merged stop.
    lake.append_of("car-1", &run(MORNING_S + 1800, 600, 50.0), NOW).await;
    lake.append_of("car-1", &run(MORNING_S + 5400, 60, 0.0), NOW).await;
    catch_up(&mut next).await;
    let late = standing(&next).await;
    assert_eq!(late.len(), 4);
    assert_eq!(
        (late[3].start_time, late[3].end_time, late[3].merged_count),
        (known[1].start_time, known[1].end_time, 2)
    );
    assert_eq!(late[3].trip_id, known[1].trip_id);
    let mut again = follower(lake.dir.path(), &clock).await;
    catch_up(&mut again).await;
    assert_eq!(standing(&again).await, late, "a restart derives nothing else");
}

#[tokio::test]
async fn where_a_private_trip_was_is_in_no_table_that_is_asked() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let placed = |readings: Vec<Reading>| -> Vec<Reading> {
        let at = |reading: Reading| Reading { latitude: Some(55.0), longitude: Some(12.0), ..reading };
        readings.into_iter().map(at).collect()
    };
    lake.append_of("car-1", &placed(three_drives()), NOW).await;
    lake.append_of("car-2", &placed(three_drives()), NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    let trips = standing(&follower).await;
    let analytics = follower.analytics.clone();
    let count = async |query: &str| {
        let found = analytics.sql(query, 10).await.unwrap();
        found.rows[0][0].as_i64().unwrap()
    };
    let places = "SELECT count(latitude) FROM readings";
    let before = count(places).await;
    let inside = count(&format!(
        "SELECT count(*) FROM readings WHERE vehicle_id = 'car-1' AND ts >= to_timestamp_micros({}) AND ts <= to_timestamp_micros({})",
        trips[0].start_time.0, trips[0].end_time.0
    ))
    .await;
    let mut mark = said("p", CorrectionKind::Mark, (trips[0].start_time, trips[0].end_time));
    mark.purpose = Some(Purpose::Private);
    record(&mut follower, &mark).await;
    assert_eq!(count(places).await, before - inside);
    // However it is asked: by a condition on the place, a function, a view, an earlier version, another's rows.
    let with_a_place = "SELECT count(*) FROM readings WHERE latitude > 50.0";
    assert_eq!(count(with_a_place).await, before - inside);
    let near = "SELECT count(*) FROM readings WHERE haversine_m(latitude, longitude, 55.0, 12.0) < 1.0";
    assert_eq!(count(near).await, before - inside);
    assert_eq!(count("SELECT count(latitude) FROM lake_at('readings', 2)").await, before - inside);
    assert_eq!(count("SELECT count(start_latitude) FROM latest_trips").await, 5);
    assert_eq!(count("SELECT count(start_latitude) FROM lake_at('trips', 1)").await, 5);
    assert_eq!(count("SELECT count(latitude) FROM readings WHERE vehicle_id = 'car-2'").await, before / 2);
    let whose = "car-1".parse().unwrap();
    let own = analytics.sql_of(Some(&whose), places, 10).await.unwrap();
    assert_eq!(own.rows[0][0], before / 2 - inside);
    // Its figures are there, it is derived as before, and all of it is back when the mark is taken back.
    let figures = "SELECT sum(distance_m) FROM latest_trips WHERE vehicle_id = 'car-1'";
    let metres: i64 = trips.iter().filter(|t| t.vehicle_id.as_str() == "car-1").map(|t| t.distance_m).sum();
    assert_eq!(count(figures).await, metres);
    record(&mut follower, &revoked(&mark)).await;
    assert_eq!(count(places).await, before);
    assert_eq!(spans(&standing(&follower).await), spans(&trips));
}
