//! Derived trips against what others found in the same recorded drives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{collections::BTreeMap, io::Read, time::Duration};

use analytics::trips::{DerivedTrip, DistanceSource, EndReason, Parameters, Reading, derive};
use wire::time::Timestamp;

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn number(text: &str) -> Option<f64> {
    if text.is_empty() { None } else { Some(text.parse().unwrap()) }
}

fn seconds(text: &str) -> Timestamp {
    Timestamp(text.parse::<i64>().unwrap() * 1_000_000)
}

fn css_car() -> Vec<Reading> {
    let text = unpacked(include_bytes!("data/css_car_1hz.csv.gz"));
    let reading = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Reading {
            ts: seconds(cells[0]),
            latitude: number(cells[1]),
            longitude: number(cells[2]),
            speed_kmh: number(cells[3]),
            engine_speed_rpm: number(cells[4]),
            fuel_level_pct: number(cells[5]),
            ..Reading::default()
        }
    };
    text.lines().skip(1).map(reading).collect()
}

fn cmap_cars() -> BTreeMap<String, Vec<Reading>> {
    let text = unpacked(include_bytes!("data/cmap_speed_1hz.csv.gz"));
    let mut cars: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let speed_kmh = number(cells[2]).map(|mph| mph * 1.609_344);
        cars.entry(cells[0].to_owned()).or_default().push(Reading {
            ts: seconds(cells[1]),
            speed_kmh,
            ..Reading::default()
        });
    }
    cars
}

fn share_off(found: f64, reference: f64) -> f64 {
    (found - reference).abs() / reference
}

#[test]
fn a_real_car_makes_one_trip_of_the_known_length() {
    let derivation = derive(&css_car(), &Parameters::default());
    assert_eq!(derivation.trips, []);
    let trip = derivation.open.unwrap().so_far.unwrap().trip;
    // Reference, from every frame of the log: 40,500.8 m over valid fixes, 41,649.7 m by OBD
    // speed, 88 km/h. Sampling once a second may change each by half a percent.
    let gnss_m = trip.gnss_distance_m.unwrap() as f64;
    let speed_m = trip.speed_distance_m.unwrap() as f64;
    assert!(share_off(gnss_m, 40_500.8) < 0.005, "gnss {gnss_m}");
    assert!(share_off(speed_m, 41_649.7) < 0.005, "speed {speed_m}");
    assert_eq!(trip.speed_max_kmh, Some(88.0));
    assert_eq!((trip.distance_source, trip.jump_count), (DistanceSource::Gnss, 0));
    assert!(trip.duration_s > 2_340 && trip.duration_s < 2_390, "{}", trip.duration_s);
    assert_eq!(trip.end_reason, EndReason::Silence);
    assert_eq!(trip.fuel_used_l, None, "a level says nothing in litres without a tank");
}

#[test]
fn a_known_tank_turns_the_level_into_litres() {
    let parameters = Parameters { tank_capacity_l: Some(50.0), ..Parameters::default() };
    let trip = derive(&css_car(), &parameters).open.unwrap().so_far.unwrap().trip;
    // 54.9 % to 51.4 % of 50 l.
    let fuel_l = trip.fuel_used_l.unwrap();
    assert!((1.5..=2.0).contains(&fuel_l), "{fuel_l}");
    assert_eq!(trip.fuel_source, Some("level"));
}

#[test]
fn with_nrels_gap_rule_the_trips_are_nrels() {
    // NREL cuts at gaps over 300 s and nowhere else, and drops nothing.
    let parameters = Parameters {
        version: 2,
        gap: Duration::from_secs(300),
        stationary: Duration::from_secs(1_000_000),
        start_speed_kmh: 0.01,
        moving_speed_kmh: 0.01,
        distance_min_m: 0,
        duration_min: Duration::ZERO,
        ..Parameters::default()
    };
    let mut reference: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
    for line in include_str!("data/cmap_trips.csv").lines().skip(1) {
        let (car, cells) = line.split_once(',').unwrap();
        reference.entry(car).or_default().push(cells.split(',').map(|c| c.parse().unwrap()).collect());
    }
    let mut trip_count = 0;
    for (car, readings) in cmap_cars() {
        let mut derivation = derive(&readings, &parameters);
        derivation.end_by_silence();
        let trips: Vec<DerivedTrip> = derivation.trips;
        let theirs = &reference[car.as_str()];
        assert_eq!(trips.len(), theirs.len(), "{car}");
        for (ours, theirs) in trips.iter().zip(theirs) {
            let [start_s, end_s, distance_m, speed_max_kmh] = theirs[..] else { panic!("four columns") };
            let (ours_m, most) = (ours.speed_distance_m.unwrap() as f64, ours.speed_max_kmh.unwrap());
            // A tenth of a percent, and the half metre of rounding to whole metres.
            assert!((ours_m - distance_m).abs() <= distance_m * 0.001 + 0.5, "{car} {ours_m} {distance_m}");
            assert!((most - speed_max_kmh).abs() < 0.01, "{car} {most} {speed_max_kmh}");
            assert_eq!(ours.end_time.as_seconds(), end_s, "{car}");
            let overlaps = ours.start_time.as_seconds() < end_s && ours.end_time.as_seconds() > start_s;
            assert!(overlaps, "{car} {start_s}");
            trip_count += 1;
        }
    }
    assert_eq!(trip_count, 110);
}
