//! Stops and driving events beside the trips.

use super::*;
use crate::{
    event_table::{self, EventRow},
    stop_table::{self, StopRow, StopStatus},
    trips::{Derivation, DrivingEvent},
};

/// Every revision of stops, by stop.
pub(super) async fn stop_revisions(follower: &Follower) -> Vec<StopRow> {
    let query = "SELECT * FROM stops ORDER BY vehicle_id, start_time, stop_id, revision";
    stop_table::from_batches(&follower.read(query, &[TableKind::Stops]).await.unwrap()).unwrap()
}

/// Every revision of events, by event.
async fn event_revisions(follower: &Follower) -> Vec<EventRow> {
    let query = "SELECT * FROM driving_events ORDER BY vehicle_id, start_time, event_id, revision";
    event_table::from_batches(&follower.read(query, &[TableKind::DrivingEvents]).await.unwrap()).unwrap()
}

fn latest<T: Clone>(rows: &[T], id: fn(&T) -> &str, stands: fn(&T) -> bool) -> Vec<T> {
    let mut latest: BTreeMap<String, T> = BTreeMap::new();
    for row in rows {
        latest.insert(id(row).to_owned(), row.clone());
    }
    latest.into_values().filter(stands).collect()
}

/// What stands of stops: whose, from when to when, and the figures that could go wrong.
type StopSpan = (String, i64, Option<i64>, Option<i64>, Option<i64>, Option<f64>);

async fn standing_stops(follower: &Follower) -> Vec<StopSpan> {
    let rows = latest(&stop_revisions(follower).await, |r| &r.stop_id, |r| r.status != StopStatus::Withdrawn);
    let mut spans: Vec<StopSpan> = rows
        .into_iter()
        .map(|r| {
            assert_eq!(r.end_time.is_some(), r.status == StopStatus::Completed);
            let end_us = r.end_time.map(|ts| ts.0);
            let vehicle = r.vehicle_id.to_string();
            (vehicle, r.start_time.0, end_us, r.idle_s, r.reading_count, r.fuel_level_start_pct)
        })
        .collect();
    spans.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    spans
}

fn derived_stops(vehicle: &str, derivation: &Derivation) -> Vec<StopSpan> {
    derivation
        .stops
        .iter()
        .map(|s| {
            let end_us = s.end.map(|end| end.time.0);
            let (idle_s, count) = (s.end.map(|end| end.idle_s), s.end.map(|end| end.reading_count));
            (vehicle.to_owned(), s.start.time.0, end_us, idle_s, count, s.start.fuel_level_pct)
        })
        .collect()
}

/// What stands of events.
type EventSpan = (String, i64, String, &'static str, i64, Option<f64>, Option<f64>);

async fn standing_events(follower: &Follower) -> Vec<EventSpan> {
    let rows =
        latest(&event_revisions(follower).await, |r| &r.event_id, |r| r.status == TripStatus::Completed);
    let mut spans: Vec<EventSpan> = rows
        .into_iter()
        .map(|r| {
            let during = if r.during == "trip" { "trip" } else { "stop" };
            let vehicle = r.vehicle_id.to_string();
            (vehicle, r.start_time.0, r.kind, during, r.end_time.0, r.peak_mps2, r.level_end_pct)
        })
        .collect();
    spans.sort_by(|a, b| (&a.0, a.1, &a.2).cmp(&(&b.0, b.1, &b.2)));
    spans
}

fn derived_events(vehicle: &str, derivation: &Derivation) -> Vec<EventSpan> {
    let span = |event: &DrivingEvent, during| {
        let kind = event.kind.as_str().to_owned();
        let (peak, level) = (event.peak_mps2, event.end_pct);
        (vehicle.to_owned(), event.start_time.0, kind, during, event.end_time.0, peak, level)
    };
    let in_trips = derivation.trips.iter().flat_map(|trip| &trip.events).map(|e| span(e, "trip"));
    let in_stops = derivation.stops.iter().flat_map(|stop| &stop.events).map(|e| span(e, "stop"));
    let mut spans: Vec<EventSpan> = in_trips.chain(in_stops).collect();
    spans.sort_by(|a, b| (&a.0, a.1, &a.2).cmp(&(&b.0, b.1, &b.2)));
    spans
}

/// Three drives with a harsh moment in each; the tank is filled in the second stop.
fn eventful_drives() -> Vec<Reading> {
    let mut drives = three_drives();
    for reading in &mut drives {
        let second = reading.ts.0 / 1_000_000 - MORNING_S;
        reading.accel_x_mps2 = Some(if second % 3600 == 300 { -5.0 } else { 0.0 });
        reading.fuel_level_pct = Some(if second < 6000 { 30.0 } else { 90.0 });
    }
    drives
}

#[tokio::test]
async fn a_stop_is_open_until_the_next_trip_is_there_and_then_whole() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let drives = eventful_drives();
    let (first, rest) = drives.split_at(720);
    lake.append_of("car-1", first, NOW).await;
    let mut at_work = follower(lake.dir.path(), &clock).await;
    catch_up(&mut at_work).await;
    let rows = stop_revisions(&at_work).await;
    assert_eq!((rows.len(), rows[0].status, rows[0].revision), (1, StopStatus::Open, 1));
    assert_eq!((rows[0].end_time, rows[0].fuel_level_start_pct), (None, Some(30.0)));
    // More of the stop is nothing to tell.
    lake.append_of("car-1", &run(MORNING_S + 800, 60, 0.0), NOW).await;
    catch_up(&mut at_work).await;
    assert_eq!(stop_revisions(&at_work).await.len(), 1);

    lake.append_of("car-1", rest, NOW).await;
    catch_up(&mut at_work).await;
    let rows = stop_revisions(&at_work).await;
    assert_eq!(rows.iter().map(|r| r.revision).collect::<Vec<_>>(), [1, 2, 1, 1]);
    let trips = standing(&at_work).await;
    for (stop, (trip, next)) in rows[1..].iter().zip(trips.iter().zip(&trips[1..])) {
        assert_eq!(stop.stop_id.strip_prefix("stp_"), trip.trip_id.strip_prefix("trp_"));
        assert_eq!((stop.start_time, stop.end_time), (trip.end_time, Some(next.start_time)));
        assert_eq!(stop.duration_s, Some(3000));
    }
    let events = event_revisions(&at_work).await;
    let told: Vec<_> = events.iter().map(|e| (e.kind.as_str(), e.during.as_str(), e.revision)).collect();
    let braking = ("harsh_braking", "trip", 1);
    assert_eq!(told, [braking, braking, ("refuel", "stop", 1), braking]);
    assert_eq!(events[2].trip_id, trips[1].trip_id);
    let query = "SELECT stop_id FROM latest_stops WHERE status = 'open' UNION ALL
                 SELECT event_id FROM latest_driving_events WHERE kind = 'refuel'";
    assert_eq!(at_work.analytics.sql(query, 10).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn what_late_data_makes_undone_is_withdrawn_and_what_it_moves_is_revised() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let mut first = run(MORNING_S, 600, 50.0);
    let mut second = run(MORNING_S + 1800, 900, 50.0);
    first.iter_mut().for_each(|r| r.soc_pct = Some(30.0));
    second.iter_mut().for_each(|r| r.soc_pct = Some(60.0));
    first[300].accel_y_mps2 = Some(6.0);
    let end = run(MORNING_S + 2700, 120, 0.0);
    lake.append_of("car-1", &[first.clone(), second.clone(), end.clone()].concat(), NOW).await;
    let mut at_work = follower(lake.dir.path(), &clock).await;
    catch_up(&mut at_work).await;
    let trips = standing(&at_work).await;
    let kinds = |rows: &[EventRow]| rows.iter().map(|r| r.kind.clone()).collect::<Vec<_>>();
    let stored = event_revisions(&at_work).await;
    assert_eq!(kinds(&stored), ["harsh_cornering", "charging"]);
    assert_eq!(stored[0].trip_id, trips[0].trip_id);

    // It drove on all the while: one trip, no stop, no charging.
    lake.append_of("car-1", &run(MORNING_S + 600, 1200, 50.0), NOW).await;
    catch_up(&mut at_work).await;
    let stops = stop_revisions(&at_work).await;
    let told: Vec<_> = stops.iter().map(|r| (r.status, r.revision)).collect();
    assert_eq!(
        told,
        [(StopStatus::Completed, 1), (StopStatus::Withdrawn, 2), (StopStatus::Open, 1)],
        "{stops:?}"
    );
    let events = event_revisions(&at_work).await;
    let told: Vec<_> = events.iter().map(|r| (r.kind.as_str(), r.revision, r.status)).collect();
    assert_eq!(
        told,
        [
            ("harsh_cornering", 1, TripStatus::Completed),
            ("harsh_cornering", 2, TripStatus::Completed),
            ("charging", 1, TripStatus::Completed),
            ("charging", 2, TripStatus::Withdrawn),
        ]
    );
    assert_eq!(events[1].trip_id, trips[1].trip_id, "it is in the trip that goes on");
}

#[tokio::test]
async fn what_a_trip_under_way_again_has_ended_stays_ended() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let (mut first, mut second) = (run(MORNING_S, 600, 50.0), run(MORNING_S + 3600, 600, 50.0));
    first.iter_mut().for_each(|r| r.soc_pct = Some(30.0));
    second.iter_mut().for_each(|r| r.soc_pct = Some(60.0));
    lake.append_of("car-1", &[first, second].concat(), NOW).await;
    clock.advance(Duration::from_secs(900));
    let mut at_work = follower(lake.dir.path(), &clock).await;
    catch_up(&mut at_work).await;
    let stops = stop_revisions(&at_work).await;
    let told: Vec<_> = stops.iter().map(|r| (r.status, r.soc_end_pct)).collect();
    assert_eq!(told, [(StopStatus::Completed, Some(60.0)), (StopStatus::Open, None)]);
    let events = event_revisions(&at_work).await;
    assert_eq!((events.len(), events[0].kind.as_str()), (1, "charging"));
    // It goes on.
    let later = NOW.plus_us(1_000_000_000);
    clock.set_wall(later.0);
    lake.append_of("car-1", &run(MORNING_S + 4300, 600, 50.0), later).await;
    catch_up(&mut at_work).await;
    assert_eq!((stop_revisions(&at_work).await, event_revisions(&at_work).await), (stops, events.clone()));
    // It ends, elsewhere.
    lake.append_of("car-1", &run(MORNING_S + 4900, 120, 0.0), later).await;
    catch_up(&mut at_work).await;
    let told: Vec<_> =
        stop_revisions(&at_work).await.iter().map(|r| (r.status, r.revision, r.start_time.0)).collect();
    assert_eq!(told[1], (StopStatus::Open, 1, (MORNING_S + 4199) * 1_000_000));
    assert_eq!(told[2], (StopStatus::Open, 2, (MORNING_S + 4900) * 1_000_000));
    assert_eq!(event_revisions(&at_work).await, events);
}

/// A busy day in which the vehicle is pushed, filled and charged at random.
fn eventful_day(dice: &mut Dice) -> Vec<Reading> {
    let mut day = busy_day(dice);
    for part in day.chunks_mut(170) {
        let (fuel, soc, push) = (5 + dice.below(95), 5 + dice.below(95), dice.below(40));
        for (i, reading) in part.iter_mut().enumerate() {
            reading.fuel_level_pct = Some(fuel as f64);
            reading.soc_pct = Some(soc as f64);
            reading.accel_x_mps2 = Some(if i < 5 { push as f64 / 2.0 - 10.0 } else { 0.0 });
        }
    }
    day
}

#[tokio::test]
async fn killed_between_any_two_commits_it_ends_in_the_same_rows() {
    for (seed, committed_count) in [(11, 0), (12, 1), (13, 2), (14, 3)] {
        let mut dice = Dice(seed);
        let mut lake = TestLake::new().await;
        let clock = ManualClock::at(NOW.0);
        let day = eventful_day(&mut dice);
        // Half of the day, of which a fifth comes late: what is derived first is partly wrong.
        let half = day.len() / 2;
        let (early, late): (Vec<_>, Vec<_>) =
            day[..half].iter().copied().partition(|r| !(half / 5..half / 3).contains(&index_of(&day, r)));
        lake.append_of("car-1", &early, NOW).await;
        let mut killed = follower(lake.dir.path(), &clock).await;
        let places = killed.next_places().await.unwrap();
        let mut touched = Touched::default();
        touched::everything(&killed, &mut touched).await.unwrap();
        let (rows, _) = killed.derive(touched, &corrected::Book::empty(), (1, NOW)).await.unwrap();
        for kind in DERIVED.into_iter().take(committed_count) {
            if let Some(batch) = rows.batch(kind).unwrap() {
                killed.commit_to(kind, batch, &places[&kind]).await.unwrap();
            }
        }
        drop(killed);
        lake.append_of("car-1", &late, NOW).await;
        lake.append_of("car-1", &day[half..], NOW).await;
        let mut after = follower(lake.dir.path(), &clock).await;
        catch_up(&mut after).await;
        // The follower ends what is under way when nothing comes any more; so does the reference.
        let derivation = derive(&day, &Parameters::default());
        assert_eq!(spans(&standing(&after).await), one_shot("car-1", &day), "{committed_count}");
        assert_eq!(standing_stops(&after).await, derived_stops("car-1", &derivation), "{committed_count}");
        assert_eq!(standing_events(&after).await, derived_events("car-1", &derivation), "{committed_count}");
        assert!(!derivation.stops.is_empty() && !derived_events("car-1", &derivation).is_empty());
    }
}

fn index_of(day: &[Reading], reading: &Reading) -> usize {
    day.partition_point(|r| r.ts < reading.ts)
}

#[tokio::test]
async fn any_commits_late_data_and_restarts_tell_the_same_stops_and_events() {
    for seed in 21..=22 {
        let mut dice = Dice(seed);
        let mut lake = TestLake::new().await;
        let clock = ManualClock::at(NOW.0);
        let day = eventful_day(&mut dice);
        let derivation = derive(&day, &Parameters::default());
        let mut slices: Vec<(i64, &[Reading])> = Vec::new();
        for (place, part) in day.chunks(400).enumerate() {
            let turn = i64::try_from(place).unwrap() + if dice.below(3) == 0 { dice.below(6) } else { 0 };
            slices.push((turn, part));
        }
        slices.sort_by_key(|slice| slice.0);
        let mut at_work = follower(lake.dir.path(), &clock).await;
        for (_, readings) in slices {
            lake.append_of("car-1", readings, NOW).await;
            if dice.below(2) == 0 {
                at_work = follower(lake.dir.path(), &clock).await;
            }
            at_work.pass().await.unwrap();
        }
        catch_up(&mut at_work).await;
        assert_eq!(standing_stops(&at_work).await, derived_stops("car-1", &derivation), "seed {seed}");
        assert_eq!(standing_events(&at_work).await, derived_events("car-1", &derivation), "seed {seed}");
        let (stops, events) = (stop_revisions(&at_work).await, event_revisions(&at_work).await);
        let mut keys: Vec<_> = stops.iter().map(|r| (&r.stop_id, r.revision)).collect();
        keys.extend(events.iter().map(|r| (&r.event_id, r.revision)));
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count, "no revision is written twice");
        let mut after = follower(lake.dir.path(), &clock).await;
        catch_up(&mut after).await;
        assert_eq!((stop_revisions(&after).await, event_revisions(&after).await), (stops, events));
    }
}
