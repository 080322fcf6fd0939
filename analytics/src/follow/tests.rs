use std::{path::Path, sync::Arc, time::Duration};

use lake::LakeSettings;
use service::clock::ManualClock;

use super::*;
use crate::{
    engine::Limits,
    row::{TripRow, TripStatus},
    testing::{TestLake, run},
    trips::{Reading, derive},
};

mod corrections;
mod timeline;

/// 2024-05-01T08:00:00Z, in seconds.
const MORNING_S: i64 = 1_714_550_400;
const NOW: Timestamp = Timestamp((MORNING_S + 400_000) * 1_000_000);

async fn follower(dir: &Path, clock: &Arc<ManualClock>) -> Follower {
    let clock = Arc::clone(clock) as SharedClock;
    let settings = Settings { versions_max: 3, ..Settings::for_lake(LakeSettings::folder(dir)) };
    let analytics = Analytics::create(&settings.lake, Limits::default(), Arc::clone(&clock)).await.unwrap();
    Follower::new(analytics, &settings, clock)
}

async fn catch_up(follower: &mut Follower) {
    while follower.pass().await.unwrap() {}
}

/// Every revision, in the order they were committed.
async fn revisions(follower: &Follower) -> Vec<TripRow> {
    let changes = follower.analytics.trip_changes(-1, 1000).await.unwrap();
    changes.into_iter().flat_map(|change| change.trips).collect()
}

/// The trips that stand, by start.
async fn standing(follower: &Follower) -> Vec<TripRow> {
    let mut latest = BTreeMap::new();
    for row in revisions(follower).await {
        latest.insert(row.trip_id.clone(), row);
    }
    let mut rows: Vec<_> = latest.into_values().filter(|r| r.status == TripStatus::Completed).collect();
    rows.sort_by(|a, b| (&a.vehicle_id, a.start_time).cmp(&(&b.vehicle_id, b.start_time)));
    rows
}

fn spans(rows: &[TripRow]) -> Vec<(String, i64, i64, i64)> {
    rows.iter().map(|r| (r.vehicle_id.to_string(), r.start_time.0, r.end_time.0, r.distance_m)).collect()
}

fn one_shot(vehicle: &str, readings: &[Reading]) -> Vec<(String, i64, i64, i64)> {
    let trips = derive(readings, &Parameters::default()).trips;
    trips.iter().map(|t| (vehicle.to_owned(), t.start_time.0, t.end_time.0, t.distance_m)).collect()
}

/// Three drives of ten minutes, each an hour after the other, each ended by the ignition.
fn three_drives() -> Vec<Reading> {
    (0..3)
        .flat_map(|i| [run(MORNING_S + i * 3600, 600, 50.0), run(MORNING_S + i * 3600 + 600, 120, 0.0)])
        .flatten()
        .collect()
}

#[tokio::test]
async fn a_finished_trip_is_written_once_and_a_second_pass_writes_nothing() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let drives = three_drives();
    lake.append_of("car-1", &drives, NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    let first = revisions(&follower).await;
    assert_eq!(spans(&first), one_shot("car-1", &drives));
    assert!(
        first
            .iter()
            .all(|r| r.revision == 1 && r.end_reason == "ignition_off" && r.trip_id.starts_with("trp_"))
    );
    assert!(first.windows(2).all(|pair| pair[0].trip_id < pair[1].trip_id), "ids sort by time");
    lake.append_of("car-1", &run(MORNING_S + 20_000, 60, 0.0), NOW).await;
    catch_up(&mut follower).await;
    assert_eq!(revisions(&follower).await, first);
}

#[tokio::test]
async fn a_trip_under_way_waits_for_its_end_or_for_silence() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let drive = run(MORNING_S, 600, 50.0);
    lake.append_of("car-1", &drive, NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    assert_eq!(revisions(&follower).await, []);
    assert_eq!(follower.open.len(), 1);
    clock.advance(Duration::from_secs(899));
    catch_up(&mut follower).await;
    assert_eq!(revisions(&follower).await, []);
    clock.advance(Duration::from_secs(1));
    catch_up(&mut follower).await;
    let rows = revisions(&follower).await;
    assert_eq!((rows.len(), rows[0].end_reason.as_str(), rows[0].duration_s), (1, "silence", 599));
    catch_up(&mut follower).await;
    assert_eq!(revisions(&follower).await.len(), 1);
}

#[tokio::test]
async fn data_after_silence_makes_a_revision_with_the_same_id() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    lake.append_of("car-1", &run(MORNING_S, 600, 50.0), NOW).await;
    let mut follower_1 = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower_1).await;
    clock.advance(Duration::from_secs(900));
    catch_up(&mut follower_1).await;
    // It was a tunnel. The trip goes on for an hour, over two commits and a restart.
    let later = NOW.plus_us(1_000_000_000);
    clock.set_wall(later.0);
    lake.append_of("car-1", &run(MORNING_S + 700, 1800, 50.0), later).await;
    catch_up(&mut follower_1).await;
    assert_eq!(revisions(&follower_1).await.len(), 1, "what is stored of it stands until it ends");
    let mut follower_2 = follower(lake.dir.path(), &clock).await;
    lake.append_of("car-1", &run(MORNING_S + 2500, 1800, 50.0), later).await;
    lake.append_of("car-1", &run(MORNING_S + 4300, 120, 0.0), later).await;
    catch_up(&mut follower_2).await;
    let rows = revisions(&follower_2).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((rows[1].revision, &rows[1].trip_id), (2, &rows[0].trip_id));
    assert_eq!((rows[1].duration_s, rows[1].end_reason.as_str()), (4300, "ignition_off"));
}

#[tokio::test]
async fn a_gap_that_proves_the_silence_right_changes_nothing() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    lake.append_of("car-1", &run(MORNING_S, 600, 50.0), NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    clock.advance(Duration::from_secs(900));
    catch_up(&mut follower).await;
    let later = NOW.plus_us(1_000_000_000);
    lake.append_of("car-1", &run(MORNING_S + 1600, 600, 50.0), later).await;
    lake.append_of("car-1", &run(MORNING_S + 2200, 100, 0.0), later).await;
    catch_up(&mut follower).await;
    let rows = revisions(&follower).await;
    assert_eq!(rows.iter().map(|r| r.revision).collect::<Vec<_>>(), [1, 1], "{rows:?}");
}

#[tokio::test]
async fn late_data_revises_its_trip_and_no_other() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let all = three_drives();
    let is_late = |r: &Reading| (300..500).contains(&(r.ts.0 / 1_000_000 - MORNING_S - 3600));
    // While it is away the ignition goes off: the second drive looks like two.
    let known: Vec<Reading> = all.iter().filter(|r| !is_late(r)).copied().collect();
    let late: Vec<Reading> = all.iter().filter(|r| is_late(r)).copied().collect();
    lake.append_of("car-1", &known, NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    let before = standing(&follower).await;
    lake.append_of("car-1", &late, NOW).await;
    catch_up(&mut follower).await;
    let after = revisions(&follower).await;
    assert_eq!(after.len(), 4);
    assert_eq!((&after[3].trip_id, after[3].revision), (&before[1].trip_id, 2));
    assert_eq!(spans(&standing(&follower).await), one_shot("car-1", &all));
}

#[tokio::test]
async fn trips_that_late_data_joins_become_one_and_the_other_is_withdrawn() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let (first, second) = (run(MORNING_S, 600, 50.0), run(MORNING_S + 1800, 900, 50.0));
    let end = run(MORNING_S + 2700, 120, 0.0);
    lake.append_of("car-1", &[first.clone(), second.clone(), end.clone()].concat(), NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    let before = standing(&follower).await;
    assert_eq!(before.len(), 2);
    let between = run(MORNING_S + 600, 1200, 50.0);
    lake.append_of("car-1", &between, NOW).await;
    catch_up(&mut follower).await;
    let after = standing(&follower).await;
    assert_eq!(spans(&after), one_shot("car-1", &[first, between, second, end].concat()));
    assert_eq!(
        (&after[0].trip_id, after[0].revision),
        (&before[1].trip_id, 2),
        "the longer part keeps its id"
    );
    let withdrawn: Vec<_> =
        revisions(&follower).await.into_iter().filter(|r| r.status == TripStatus::Withdrawn).collect();
    assert_eq!(withdrawn.len(), 1);
    assert_eq!((&withdrawn[0].trip_id, withdrawn[0].revision), (&before[0].trip_id, 2));
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// A day of drives, stops, gaps and parking.
fn busy_day(dice: &mut Dice) -> Vec<Reading> {
    let (mut at_s, mut readings) = (MORNING_S, Vec::new());
    for _ in 0..14 {
        let seconds = 30 + dice.below(500);
        match dice.below(5) {
            0 => at_s += seconds * 4,
            1 => readings.extend(run(at_s, seconds, 0.0)),
            _ => readings.extend(run(at_s, seconds, 5.0 + dice.below(80) as f64)),
        }
        at_s += seconds;
    }
    readings.extend(run(at_s + 10, 70, 0.0));
    readings
}

#[tokio::test]
async fn any_commits_late_data_and_restarts_end_as_one_derivation_would() {
    for seed in 1..=2 {
        let mut dice = Dice(seed);
        let mut lake = TestLake::new().await;
        let clock = ManualClock::at(NOW.0);
        let vehicles = ["car-1", "car-2"];
        let mut expected = Vec::new();
        let mut slices: Vec<(i64, Vec<(&str, Reading)>)> = Vec::new();
        for vehicle in vehicles {
            let day = busy_day(&mut dice);
            expected.extend(one_shot(vehicle, &day));
            for (place, part) in day.chunks(400).enumerate() {
                // Some parts come late, up to five parts after their turn.
                let turn = i64::try_from(place).unwrap() + if dice.below(4) == 0 { dice.below(6) } else { 0 };
                slices.push((turn, part.iter().map(|r| (vehicle, *r)).collect()));
            }
        }
        slices.sort_by_key(|slice| slice.0);
        let mut at_work = follower(lake.dir.path(), &clock).await;
        for (_, rows) in slices {
            lake.append(&rows, NOW).await;
            match dice.below(3) {
                0 => {}
                1 => {
                    at_work.pass().await.unwrap();
                }
                _ => {
                    at_work = follower(lake.dir.path(), &clock).await;
                    at_work.pass().await.unwrap();
                }
            }
        }
        catch_up(&mut at_work).await;
        assert_eq!(spans(&standing(&at_work).await), expected, "seed {seed}");
        let rows = revisions(&at_work).await;
        let mut keys: Vec<_> = rows.iter().map(|r| (r.trip_id.clone(), r.revision)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), rows.len(), "no revision is written twice");
        let mut after = follower(lake.dir.path(), &clock).await;
        catch_up(&mut after).await;
        assert_eq!(revisions(&after).await.len(), rows.len(), "a restart writes nothing again");
    }
}

#[tokio::test]
async fn the_fleet_is_known_after_a_restart_and_follows_new_readings() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    lake.append(&[("car-1", run(MORNING_S, 1, 50.0)[0]), ("car-2", run(MORNING_S, 1, 0.0)[0])], NOW).await;
    let mut follower = follower(lake.dir.path(), &clock).await;
    catch_up(&mut follower).await;
    let mut blind = run(MORNING_S + 5, 1, 60.0)[0];
    blind.latitude = None;
    lake.append_of("car-1", &[blind], NOW).await;
    catch_up(&mut follower).await;
    let fleet = follower.analytics.fleet();
    assert_eq!(fleet.len(), 2);
    assert_eq!(
        (fleet[0].speed_kmh, fleet[0].latitude),
        (Some(60.0), Some(50.0)),
        "the last known position stays"
    );
    assert_eq!(fleet[1].ignition_on, Some(false));
}

#[tokio::test]
async fn a_started_follower_tells_its_progress_and_stops() {
    let mut lake = TestLake::new().await;
    let version = lake.append_of("car-1", &three_drives(), NOW).await;
    let tasks = Tasks::new();
    let health = Health::default();
    let settings = Settings::for_lake(LakeSettings::folder(lake.dir.path()));
    let handle = start(settings, &tasks, ManualClock::at(NOW.0), &health).await.unwrap();
    let mut progress = handle.analytics.progress();
    progress.wait_for(|p| p.readings_version >= version).await.unwrap();
    assert_eq!(handle.analytics.sql("SELECT * FROM latest_trips", 10).await.unwrap().rows.len(), 3);
    tasks.stop(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn a_second_process_on_the_same_trips_is_refused_not_doubled() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    lake.append_of("car-1", &three_drives(), NOW).await;
    let (mut first, mut second) =
        (follower(lake.dir.path(), &clock).await, follower(lake.dir.path(), &clock).await);
    // The first takes its places and what is stored; the second is faster.
    let places = first.next_places().await.unwrap();
    let mut touched = Touched::default();
    touched::everything(&first, &mut touched).await.unwrap();
    let (rows, _) = first.derive(touched, &corrected::Book::empty(), (1, NOW)).await.unwrap();
    catch_up(&mut second).await;
    let error = first.commit(&rows, &places).await.unwrap_err();
    assert!(matches!(error, PassError::Commit(lake::CommitError::Fenced { .. })), "{error:?}");
    assert_eq!(revisions(&second).await.len(), 3);
}

#[tokio::test]
async fn a_watching_process_knows_the_fleet_and_writes_nothing() {
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    lake.append(&[("car-1", run(MORNING_S, 1, 50.0)[0]), ("car-2", run(MORNING_S, 1, 0.0)[0])], NOW).await;
    let mut watcher = follower(lake.dir.path(), &clock).await;
    while watcher.watch_pass().await.unwrap() {}
    assert_eq!(watcher.analytics.fleet().len(), 2);
    for (i, speed_kmh) in (1..).zip([51.0, 52.0, 53.0, 54.0, 55.0]) {
        lake.append_of("car-1", &[run(MORNING_S + i, 1, speed_kmh)[0]], NOW).await;
    }
    while watcher.watch_pass().await.unwrap() {}
    assert_eq!(watcher.analytics.fleet()[0].speed_kmh, Some(55.0));
    assert!(revisions(&watcher).await.is_empty(), "trips are derived by another process");
}

#[tokio::test]
async fn trips_stand_when_the_days_of_their_readings_were_dropped() {
    const DAY_S: i64 = 86_400;
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    // One before the cut, one across it, one after it, and one far after it.
    let midnight_s = MORNING_S - MORNING_S % DAY_S + DAY_S;
    let mut drives = Vec::new();
    for start_s in [MORNING_S, midnight_s - 300, midnight_s + 7200, midnight_s + DAY_S + 7200] {
        drives.extend(run(start_s, 600, 50.0));
        drives.extend(run(start_s + 600, 120, 0.0));
    }
    lake.append_of("car-1", &drives, NOW).await;
    let mut before = follower(lake.dir.path(), &clock).await;
    catch_up(&mut before).await;
    let stored = revisions(&before).await;
    let stops = timeline::stop_revisions(&before).await;
    assert_eq!((stored.len(), stops.len()), (4, 4));

    let mut readings =
        lake::Lake::open(lake.dir.path()).unwrap().open_table(TableKind::Readings).await.unwrap();
    let first_kept = i32::try_from(midnight_s / DAY_S).unwrap();
    assert_eq!(readings.drop_days_before(first_kept, NOW.0 / 1000).await.unwrap().files, 1);
    // All is looked at again, as after a log that no longer reaches back.
    let mut after = follower(lake.dir.path(), &clock).await;
    after.cursor = Some(-1);
    catch_up(&mut after).await;
    assert_eq!(revisions(&after).await, stored);
    assert_eq!(timeline::stop_revisions(&after).await, stops);
}

#[tokio::test]
async fn trips_stand_when_the_readings_of_their_vehicle_were_erased() {
    const DAY_S: i64 = 86_400;
    let mut lake = TestLake::new().await;
    let clock = ManualClock::at(NOW.0);
    let midnight_s = MORNING_S - MORNING_S % DAY_S + DAY_S;
    for vehicle in ["acme-1", "van-1"] {
        let mut drives = Vec::new();
        for start_s in [MORNING_S, midnight_s + DAY_S + 7200] {
            drives.extend(run(start_s, 600, 50.0));
            drives.extend(run(start_s + 600, 120, 0.0));
        }
        lake.append_of(vehicle, &drives, NOW).await;
    }
    let mut before = follower(lake.dir.path(), &clock).await;
    catch_up(&mut before).await;
    let stored = revisions(&before).await;
    assert_eq!(stored.len(), 4);

    let mut readings =
        lake::Lake::open(lake.dir.path()).unwrap().open_table(TableKind::Readings).await.unwrap();
    let first_kept = i32::try_from(midnight_s / DAY_S).unwrap();
    let (whose, policy) = ("acme-*".parse().unwrap(), lake::maintenance::CompactionPolicy::default());
    let erased = readings.erase_before(&whose, first_kept, &policy, NOW.0 / 1000).await.unwrap();
    assert!(erased.rows > 500, "{erased:?}");
    let mut after = follower(lake.dir.path(), &clock).await;
    after.cursor = Some(-1);
    catch_up(&mut after).await;
    assert_eq!(revisions(&after).await, stored);
}
