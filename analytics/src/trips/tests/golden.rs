//! What every hard case amounts to, whole, in a file: `golden.txt`. A change of the rules shows there as a
//! difference to be read. `UPDATE_GOLDEN=1 cargo test -p analytics golden` writes it anew.

use std::{fmt::Write, fs, path::Path};

use super::*;

/// 2026-10-24 22:00:00 UTC: two hours before midnight UTC, three before Central European summer time ends.
const EVENING_S: i64 = 1_792_879_200;

fn cases() -> Vec<(&'static str, Car)> {
    let car = |set: fn(&mut Car)| {
        let mut car = Car { at_s: EVENING_S, has_gnss: true, ..Car::default() };
        set(&mut car);
        car
    };
    let fixes_off = |car: &mut Car, from: usize, to: usize| {
        for reading in &mut car.readings[from..to] {
            (reading.latitude, reading.longitude) = (None, None);
        }
    };
    let mut tunnel = car(|car| {
        car.ignition(true).drive(900, 90.0).ignition(false).stand(120);
    });
    fixes_off(&mut tunnel, 300, 420);
    let mut tunnel_without_speed = car(|car| {
        car.drive(900, 90.0).stand(400);
    });
    fixes_off(&mut tunnel_without_speed, 300, 420);
    for reading in &mut tunnel_without_speed.readings {
        reading.speed_kmh = None;
    }
    let mut drift = car(|car| {
        car.stand(1800).drive(600, 60.0).stand(1800);
    });
    for (i, reading) in drift.readings.iter_mut().enumerate() {
        reading.speed_kmh = None;
        let wander_m = ((i * 7919) % 17) as f64 - 8.0;
        reading.latitude = reading.latitude.map(|lat| lat + (wander_m / EARTH_RADIUS_M).to_degrees());
    }
    let ferry = car(|car| {
        car.ignition(true).drive(1200, 60.0).ignition(false).stand(300);
        // Carried for an hour and a half with the unit asleep.
        car.dark(5400).metres += 40_000.0;
        car.ignition(true).stand(60).drive(1200, 60.0).ignition(false).stand(120);
    });
    let ferry_awake = car(|car| {
        car.ignition(true).drive(1200, 60.0).ignition(false).stand(120);
        // The unit stays on, and its receiver sees the ship go at 36 km/h; the wheels do not turn.
        for _ in 0..3600 {
            car.metres += 10.0;
            car.stand(1);
        }
        car.ignition(true).drive(1200, 60.0).ignition(false).stand(120);
    });
    let mut backwards = car(|car| {
        car.ignition(true).drive(600, 60.0);
        // The clock is set back by two minutes in the drive, and goes on.
        car.at_s -= 120;
        car.drive(600, 60.0).ignition(false).stand(120);
    });
    backwards.readings.rotate_left(200);
    let rollback = |to_km: f64| {
        let mut car = car(|car| {
            car.has_odometer = true;
            car.ignition(true).drive(1200, 60.0).ignition(false).stand(120);
        });
        for reading in &mut car.readings[600..] {
            reading.odometer_km = reading.odometer_km.map(|km| km + to_km);
        }
        car
    };
    vec![
        ("drift while parked, no speed told", drift),
        ("tunnel of two minutes", tunnel),
        ("tunnel of two minutes, no speed told", tunnel_without_speed),
        (
            "ignition flickers at a light",
            car(|car| {
                car.ignition(true)
                    .drive(600, 50.0)
                    .ignition(false)
                    .stand(20)
                    .ignition(true)
                    .stand(20)
                    .ignition(false);
                car.stand(15).ignition(true).drive(600, 50.0).ignition(false).stand(120);
            }),
        ),
        (
            "no ignition told",
            car(|car| {
                car.stand(60).drive(600, 50.0).stand(120).drive(600, 50.0).stand(400);
            }),
        ),
        ("odometer jumps by 500 km", rollback(500.0)),
        ("odometer rolls back by 300 km", rollback(-300.0)),
        ("time goes backwards, and rows come out of order", backwards),
        (
            "over midnight UTC and the end of summer time",
            car(|car| {
                car.ignition(true);
                for _ in 0..4 {
                    car.drive(3000, 80.0).stand(60);
                }
                car.ignition(false).stand(120);
            }),
        ),
        ("ferry, unit asleep", ferry),
        ("ferry, unit awake", ferry_awake),
        (
            "one reading in 30 s",
            car(|car| {
                car.ignition(true).every(30, 1800, 60.0).every(30, 240, 0.0).every(30, 1800, 60.0);
                car.ignition(false).every(30, 300, 0.0);
            }),
        ),
        (
            "engine off, rolling downhill",
            car(|car| {
                car.ignition(true)
                    .engine(1500.0)
                    .drive(600, 60.0)
                    .engine(0.0)
                    .ignition(false)
                    .drive(200, 40.0);
                car.ignition(true).engine(1500.0).drive(600, 60.0).engine(0.0).ignition(false).stand(120);
            }),
        ),
        (
            "electric, no engine speed",
            car(|car| {
                car.template.traction_power_kw = Some(-12.0);
                car.template.soc_pct = Some(80.0);
                car.ignition(true).drive(900, 50.0);
                car.template.soc_pct = Some(78.0);
                car.drive(900, 50.0);
                car.template.traction_power_kw = Some(0.0);
                car.ignition(false).stand(120);
                car.template.traction_power_kw = Some(11.0);
                for soc in 78..=90 {
                    car.template.soc_pct = Some(f64::from(soc));
                    car.stand(300);
                }
                car.template.traction_power_kw = Some(-12.0);
                car.ignition(true).drive(600, 50.0).ignition(false).stand(120);
            }),
        ),
    ]
}

fn clock(ts: Timestamp) -> String {
    // Seconds are enough, and the day is told by the first.
    let text = ts.to_string();
    text.get(8..19).unwrap_or(&text).replace('T', " ")
}

fn told(name: &str, derivation: &Derivation) -> String {
    let mut out = format!("{name}\n");
    for trip in &derivation.trips {
        let _ = write!(
            out,
            "  trip {} to {}  {:>4} s  moving {:>4} s  idle {:>4} s  {:>6} m by {:<8}  {}",
            clock(trip.start_time),
            clock(trip.end_time),
            trip.duration_s,
            trip.moving_s,
            trip.idle_s,
            trip.distance_m,
            trip.distance_source.as_str(),
            trip.end_reason.as_str(),
        );
        if trip.jump_count > 0 {
            let _ = write!(out, "  jumps {}", trip.jump_count);
        }
        if let Some(energy_kwh) = trip.energy_used_kwh {
            let _ = write!(out, "  {energy_kwh:.2} kWh");
        }
        out.push('\n');
        for event in &trip.events {
            let _ = writeln!(out, "    {} {}", clock(event.start_time), event.kind.as_str());
        }
    }
    for stop in &derivation.stops {
        let end = stop.end.map_or("now".to_owned(), |end| clock(end.time));
        let _ = writeln!(out, "  stop {} to {end}", clock(stop.start.time));
        for event in &stop.events {
            let _ = writeln!(out, "    {} {}", clock(event.start_time), event.kind.as_str());
        }
    }
    if derivation.open.is_some() {
        out.push_str("  a trip is open\n");
    }
    let _ = writeln!(out, "  dropped {}", derivation.dropped_count);
    out
}

#[test]
fn hard_cases_amount_to_what_the_golden_file_says() {
    let found: Vec<String> = cases().iter().map(|(name, car)| told(name, &car.derive())).collect();
    let found = found.join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trips/tests/golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    for (found, golden) in found.split("\n\n").zip(golden.split("\n\n")) {
        assert_eq!(found.trim(), golden.trim());
    }
    assert_eq!(found.trim(), golden.trim());
}

/// The same drive told once in 1, 10 and 30 s: the trips are the same, within a reading at each end.
#[test]
fn the_period_of_readings_changes_no_trip() {
    let mut drive = Car { at_s: EVENING_S, has_gnss: true, ..Car::default() };
    drive.ignition(true).stand(60);
    for _ in 0..3 {
        drive.drive(600, 70.0).stand(90).drive(300, 40.0);
    }
    drive.ignition(false).stand(1800).ignition(true).drive(900, 50.0).ignition(false).stand(600);
    let at = |period_s: u32| {
        let readings: Vec<Reading> = drive.readings.iter().step_by(period_s as usize).copied().collect();
        derive(&readings, &Parameters::default()).trips
    };
    let every_second = at(1);
    assert_eq!(every_second.len(), 2);
    for period_s in [10, 30] {
        let rarer = at(period_s);
        assert_eq!(rarer.len(), 2, "{period_s} s: {rarer:?}");
        for (fine, coarse) in every_second.iter().zip(&rarer) {
            let apart = |a: Timestamp, b: Timestamp| secs(a, b).unsigned_abs();
            assert!(
                apart(fine.start_time, coarse.start_time) <= u64::from(period_s),
                "{period_s} s: {coarse:?}"
            );
            assert!(apart(fine.end_time, coarse.end_time) <= u64::from(period_s), "{period_s} s: {coarse:?}");
            let (fine_m, coarse_m) = (fine.distance_m as f64, coarse.distance_m as f64);
            let way_of_ends_m = 2.0 * f64::from(period_s) * 70.0 / 3.6;
            assert!((fine_m - coarse_m).abs() <= way_of_ends_m, "{period_s} s: {fine_m} {coarse_m}");
        }
    }
}
