//! Derived trips against what others found in the same recorded drives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{collections::BTreeMap, io::Read, time::Duration};

use analytics::trips::{
    DerivedTrip, DistanceSource, DrivingEvent, EndReason, Parameters, Reading, Severity, derive,
};
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

/// Standard gravity.
const G_MPS2: f64 = 9.806_65;

/// One harsh event as a recorder labelled it.
#[derive(Debug, Clone, Copy)]
struct Labelled {
    start: Timestamp,
    end: Timestamp,
    severity: Severity,
}

/// Drives with their labels, by drive.
fn nds_drives() -> BTreeMap<String, (Vec<Reading>, BTreeMap<String, Labelled>)> {
    let text = unpacked(include_bytes!("data/nds_harsh_1hz.csv.gz"));
    let mut drives: BTreeMap<String, (Vec<Reading>, BTreeMap<String, Labelled>)> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let (readings, labels) = drives.entry(cells[0].to_owned()).or_default();
        let ts = seconds(cells[1]);
        readings.push(Reading {
            ts,
            speed_kmh: number(cells[2]).map(|mph| mph * 1.609_344),
            accel_x_mps2: number(cells[3]).map(|g| g * G_MPS2),
            accel_y_mps2: number(cells[4]).map(|g| g * G_MPS2),
            ..Reading::default()
        });
        let severity = match cells[6] {
            "" => continue,
            "low" => Severity::Low,
            "med" => Severity::Medium,
            "high" => Severity::High,
            other => panic!("{other}"),
        };
        labels.entry(cells[5].to_owned()).or_insert(Labelled { start: ts, end: ts, severity }).end = ts;
    }
    drives
}

#[test]
fn with_a_recorders_limits_the_harsh_events_are_the_recorders() {
    // Over 0.35 g along or across for a second; classes from 0.35, 0.45 and 0.6 g. It labels while
    // the car stands as well, so whatever has a speed counts as motion here.
    let limits_mps2 = [0.35, 0.45, 0.6].map(|g| g * G_MPS2);
    let parameters = Parameters {
        version: 3,
        start_speed_kmh: 0.01,
        moving_speed_kmh: 0.01,
        distance_min_m: 0,
        duration_min: Duration::ZERO,
        harsh_accelerating_mps2: limits_mps2,
        harsh_braking_mps2: limits_mps2,
        harsh_cornering_mps2: limits_mps2,
        harsh_min: Duration::from_secs(1),
        harsh_merge: Duration::ZERO,
        ..Parameters::default()
    };
    let mut labelled_count = 0;
    for (drive, (readings, labels)) in nds_drives() {
        let mut derivation = derive(&readings, &parameters);
        derivation.end_by_silence();
        let harsh: Vec<DrivingEvent> = derivation
            .trips
            .into_iter()
            .flat_map(|trip| trip.events)
            .filter(|event| event.severity.is_some())
            .collect();
        for label in labels.values() {
            // What is over along and across at once is two events of ours and one of theirs.
            let ours = harsh.iter().filter(|e| e.start_time <= label.end && e.end_time > label.start);
            let most = ours.filter_map(|event| event.severity).max();
            assert_eq!(most, Some(label.severity), "{drive} {label:?}");
            labelled_count += 1;
        }
        for event in &harsh {
            let is_labelled =
                labels.values().any(|label| event.start_time <= label.end && event.end_time > label.start);
            assert!(is_labelled, "{drive} {event:?}");
            assert_eq!(event.source, "accelerometer");
        }
    }
    assert_eq!(labelled_count, 60);
}

fn twizy_trips() -> BTreeMap<String, Vec<Reading>> {
    let text = unpacked(include_bytes!("data/twizy_1hz.csv.gz"));
    let mut trips: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        trips.entry(cells[0].to_owned()).or_default().push(Reading {
            ts: seconds(cells[1]),
            soc_pct: number(cells[2]),
            speed_kmh: number(cells[3]),
            latitude: number(cells[4]),
            longitude: number(cells[5]),
            ..Reading::default()
        });
    }
    trips
}

#[test]
fn an_electric_car_with_stalled_and_impossible_fixes_goes_its_true_way() {
    // Rows, metres over plausible fixes, metres by speed, top speed, last state of charge, by a
    // script of its own. Fixes there stall for seconds and jump; one is at longitude 1555.
    let reference = [
        ("T1_03_29_2021", 6179, 51_446.5, 49_604.4, 64.93, 15.0),
        ("T3_06_07_2021", 1703, 20_514.8, 19_718.4, 83.69, 47.36),
    ];
    let trips = twizy_trips();
    for (name, row_count, gnss_m, speed_m, speed_max_kmh, soc_pct) in reference {
        let readings = &trips[name];
        assert_eq!(readings.len(), row_count, "{name}");
        let parameters = Parameters { stationary: Duration::from_secs(1_000_000), ..Parameters::default() };
        let mut derivation = derive(readings, &parameters);
        derivation.end_by_silence();
        let [trip] = &derivation.trips[..] else { panic!("{name} {:?}", derivation.trips) };
        let ours_m = trip.gnss_distance_m.unwrap() as f64;
        assert!(share_off(ours_m, gnss_m) < 0.005, "{name} {ours_m}");
        let ours_m = trip.speed_distance_m.unwrap() as f64;
        assert!(share_off(ours_m, speed_m) < 0.005, "{name} {ours_m}");
        assert_eq!(trip.speed_max_kmh, Some(speed_max_kmh), "{name}");
        assert_eq!(trip.rest.soc_pct, Some(soc_pct), "{name}");
        // Its speed freezes for five seconds at a time and jumps by up to 40 km/h: nothing harsh.
        assert_eq!(trip.events, [], "{name}");
    }
}
