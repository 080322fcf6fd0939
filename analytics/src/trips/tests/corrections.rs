use super::*;
use crate::row::Purpose;

fn corrected(car: &Car, said: &[Said]) -> Derivation {
    through(Deriver::new(Parameters::default()), &car.readings, said)
}

fn through(deriver: Deriver, readings: &[Reading], said: &[Said]) -> Derivation {
    let mut deriver = deriver.corrected(Corrections::of(said.iter().copied()));
    readings.iter().for_each(|reading| deriver.push(*reading));
    deriver.finish()
}

/// Two drives with a stop of ten minutes between, each 600 s at 50 km/h.
fn two_drives() -> Car {
    let mut car = Car::new();
    car.has_gnss = true;
    car.ignition(true).drive(600, 50.0).ignition(false).stand(600);
    car.ignition(true).drive(600, 50.0).ignition(false).stand(600);
    car
}

fn merge_all(found: &Derivation) -> Vec<Said> {
    let pairs = found.trips.windows(2);
    pairs.map(|pair| Said::Merge { from: pair[0].end_time, to: pair[1].start_time }).collect()
}

#[test]
fn two_trips_that_were_merged_are_one_with_the_sums_of_both_and_the_stop_between() {
    let car = two_drives();
    let apart = car.derive();
    let [first, second] = &apart.trips[..] else { panic!("{apart:?}") };
    let found = corrected(&car, &merge_all(&apart));
    let [trip] = &found.trips[..] else { panic!("{found:?}") };
    assert_eq!((trip.start_time, trip.end_time), (first.start_time, second.end_time));
    assert_eq!(trip.distance_m, first.distance_m + second.distance_m);
    assert_eq!(trip.duration_s, secs(first.start_time, second.end_time));
    assert_eq!(trip.moving_s, first.moving_s + second.moving_s);
    assert_eq!((trip.merged_count, trip.end_reason), (2, second.end_reason));
    assert_eq!(found.stops, apart.stops[1..], "the stop between is none");
}

#[test]
fn a_hole_between_merged_trips_is_bridged_by_what_measured_both() {
    for (by, source) in [("odometer", DistanceSource::Odometer), ("gnss", DistanceSource::Gnss)] {
        let mut car = Car::new();
        (car.has_gnss, car.has_odometer) = (by == "gnss", by == "odometer");
        car.drive(600, 60.0);
        // A tunnel of twenty minutes: 10 km that no reading tells of.
        car.dark(1200).metres += 10_000.0;
        car.drive(600, 60.0).stand(400);
        let apart = car.derive();
        let [first, second] = &apart.trips[..] else { panic!("{by}: {apart:?}") };
        let found = corrected(&car, &merge_all(&apart));
        let between_m = found.trips[0].distance_m - first.distance_m - second.distance_m;
        assert!((9_900..=10_100).contains(&between_m), "{by}: {between_m}");
        assert_eq!(found.trips[0].distance_source, source);
    }
}

#[test]
fn a_way_that_no_vehicle_can_go_is_not_added_between_merged_trips() {
    let mut car = Car::new();
    car.has_gnss = true;
    car.drive(600, 60.0);
    // 500 km in twenty minutes.
    car.dark(1200).metres += 500_000.0;
    car.drive(600, 60.0).stand(400);
    let apart = car.derive();
    let found = corrected(&car, &merge_all(&apart));
    assert_eq!(found.trips[0].distance_m, apart.trips[0].distance_m + apart.trips[1].distance_m);
}

#[test]
fn a_trip_is_split_at_the_last_reading_before_the_moment_and_no_way_is_lost() {
    let mut car = Car::new();
    car.has_gnss = true;
    car.ignition(true).drive(900, 50.0).ignition(false).stand(600);
    let whole = &car.derive().trips[0];
    let at = car.readings[299].ts.plus_us(400_000);
    let found = corrected(&car, &[Said::Split { at }]);
    let [first, second] = &found.trips[..] else { panic!("{found:?}") };
    assert_eq!((first.end_time, first.end_reason), (car.readings[299].ts, EndReason::Split));
    assert_eq!((second.start_time, second.end_time), (first.end_time, whole.end_time));
    assert!((first.distance_m + second.distance_m - whole.distance_m).abs() <= 1);
    assert_eq!(found.stops.len(), 2);
    assert_eq!(found.stops[0].end.unwrap().time, second.start_time);
}

#[test]
fn split_where_it_stood_it_ends_where_it_came_to_stand() {
    let mut car = Car::new();
    // A delivery of four minutes: no stop to the algorithm.
    car.ignition(true).drive(600, 50.0).stand(240).drive(600, 50.0).ignition(false).stand(600);
    assert_eq!(car.derive().trips.len(), 1);
    let found = corrected(&car, &[Said::Split { at: car.readings[700].ts }]);
    let [first, second] = &found.trips[..] else { panic!("{found:?}") };
    assert_eq!(first.end_time, car.readings[600].ts);
    assert_eq!(second.start_time, car.readings[840].ts);
}

#[test]
fn a_part_that_is_too_short_for_a_trip_is_one_all_the_same() {
    let mut car = Car::new();
    car.ignition(true).drive(900, 50.0).ignition(false).stand(600);
    for place in [3, 895] {
        let found = corrected(&car, &[Said::Split { at: car.readings[place].ts }]);
        assert_eq!(found.trips.len(), 2, "at reading {place}");
        assert_eq!(found.dropped_count, 0);
    }
}

#[test]
fn of_a_merge_and_a_split_of_the_same_time_the_later_holds() {
    let car = two_drives();
    let apart = car.derive();
    let merge = merge_all(&apart)[0];
    let at = apart.trips[0].end_time.plus_us(60_000_000);
    assert_eq!(corrected(&car, &[merge, Said::Split { at }]).trips, apart.trips);
    assert_eq!(corrected(&car, &[Said::Split { at }, merge]).trips.len(), 1);
    // And a trip that was split is one again when its parts are merged.
    let at = car.readings[299].ts;
    let split = corrected(&car, &[Said::Split { at }]);
    let again = Said::Merge { from: split.trips[0].end_time, to: split.trips[1].start_time };
    assert_eq!(corrected(&car, &[Said::Split { at }, again]).trips, apart.trips);
}

#[test]
fn a_mark_is_of_the_trip_it_covers_and_the_last_one_holds() {
    let car = two_drives();
    let apart = car.derive();
    let of = |place: usize, purpose| {
        let trip = &apart.trips[place];
        Said::Mark { from: trip.start_time, to: trip.end_time, purpose }
    };
    let purposes =
        |said: &[Said]| corrected(&car, said).trips.iter().map(|trip| trip.purpose).collect::<Vec<_>>();
    let private = of(0, Some(Purpose::Private));
    assert_eq!(purposes(&[private]), [Some(Purpose::Private), None]);
    assert_eq!(purposes(&[private, of(0, Some(Purpose::Business))]), [Some(Purpose::Business), None]);
    assert_eq!(purposes(&[private, of(0, None)]), [None, None]);
    // Merged with as long a one that is none, it is half of it.
    let merged = [&[private][..], &merge_all(&apart)].concat();
    assert_eq!(corrected(&car, &merged).trips[0].purpose, None);
    let span = (apart.trips[0].start_time, apart.trips[0].end_time);
    assert_eq!(Corrections::of([private, of(1, Some(Purpose::Business))]).private(), [span]);
    assert_eq!(Corrections::of([private, of(0, None)]).private(), []);
}

#[test]
fn a_trip_under_way_goes_on_from_the_one_it_was_merged_with() {
    let mut car = Car::new();
    car.ignition(true).drive(600, 50.0).ignition(false).stand(600).ignition(true).drive(600, 50.0);
    let apart = car.derive();
    let (end, start) = (apart.trips[0].end_time, apart.open.as_ref().unwrap().start_time);
    let mut found = corrected(&car, &[Said::Merge { from: end, to: start }]);
    assert_eq!((found.trips.len(), found.stops.len()), (0, 0));
    assert_eq!(found.open.as_ref().unwrap().start_time, apart.trips[0].start_time);
    found.end_by_silence();
    assert_eq!((found.trips.len(), found.trips[0].merged_count, found.stops.len()), (1, 2, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a day is cut and joined: no trip overlaps another, the stops lie between them, and what was driven
    /// is what was driven.
    #[test]
    fn cut_and_joined_trips_are_in_order_and_lose_no_way(
        legs in prop::collection::vec((30_i64..400, 5.0_f64..110.0, 0_i64..700), 1..8),
        cuts in prop::collection::vec(0_usize..3000, 0..4),
        joins in prop::collection::vec(0_usize..8, 0..4),
    ) {
        let mut car = Car::new();
        car.has_gnss = true;
        for (drive_s, kmh, stand_s) in legs {
            car.ignition(true).drive(drive_s, kmh).ignition(stand_s % 2 == 0).stand(stand_s);
        }
        car.ignition(false).stand(400);
        let plain = car.derive();
        let mut said: Vec<Said> =
            cuts.iter().filter_map(|cut| car.readings.get(*cut)).map(|r| Said::Split { at: r.ts }).collect();
        said.extend(merge_all(&plain).into_iter().enumerate().filter(|(i, _)| joins.contains(i)).map(|(_, m)| m));
        let found = corrected(&car, &said);
        prop_assert!(found.trips.windows(2).all(|pair| pair[0].end_time <= pair[1].start_time));
        prop_assert_eq!(found.stops.len(), found.trips.len());
        for (trip, stop) in found.trips.iter().zip(&found.stops) {
            prop_assert_eq!(stop.start.time, trip.end_time);
        }
        let sum = |trips: &[DerivedTrip]| trips.iter().map(|trip| trip.distance_m).sum::<i64>();
        // Each part is rounded by itself, and a cut may save what the algorithm drops.
        prop_assert!(sum(&found.trips) >= sum(&plain.trips) - i64::try_from(said.len()).unwrap() - 1);
        // Taken up again after any trip that is not joined to the next, the rest is the same.
        for (place, trip) in found.trips.iter().enumerate() {
            let rest: Vec<Reading> = car.readings.iter().copied().filter(|r| r.ts >= trip.end_time).collect();
            let again = through(Deriver::after(trip.rest, Parameters::default()), &rest, &said);
            prop_assert_eq!(&again.trips[..], &found.trips[place + 1..]);
        }
    }
}
