use std::time::Duration;

use proptest::prelude::*;
use wire::time::Timestamp;

use super::*;

mod corrections;
mod events;
mod golden;

/// A vehicle that is driven by hand, one reading a second.
#[derive(Default)]
struct Car {
    at_s: i64,
    readings: Vec<Reading>,
    template: Reading,
    metres: f64,
    has_odometer: bool,
    has_gnss: bool,
}

impl Car {
    fn new() -> Self {
        Self { at_s: 1_000_000, ..Self::default() }
    }

    fn every(&mut self, step_s: i64, seconds: i64, speed_kmh: f64) -> &mut Self {
        for _ in 0..seconds / step_s {
            self.at_s += step_s;
            self.metres += speed_kmh / 3.6 * step_s as f64;
            let mut reading = Reading {
                ts: Timestamp(self.at_s * 1_000_000),
                speed_kmh: self.template.speed_kmh.or(Some(speed_kmh)),
                ..self.template
            };
            if self.has_odometer {
                reading.odometer_km = Some(1000.0 + (self.metres / 100.0).floor() / 10.0);
            }
            if self.has_gnss {
                // North along a meridian.
                reading.latitude = Some(50.0 + (self.metres / EARTH_RADIUS_M).to_degrees());
                reading.longitude = Some(10.0);
            }
            self.readings.push(reading);
        }
        self
    }

    fn drive(&mut self, seconds: i64, speed_kmh: f64) -> &mut Self {
        self.every(1, seconds, speed_kmh)
    }

    fn stand(&mut self, seconds: i64) -> &mut Self {
        self.every(1, seconds, 0.0)
    }

    fn dark(&mut self, seconds: i64) -> &mut Self {
        self.at_s += seconds;
        self
    }

    fn ignition(&mut self, is_on: bool) -> &mut Self {
        self.template.ignition_on = Some(is_on);
        self
    }

    fn engine(&mut self, rpm: f64) -> &mut Self {
        self.template.engine_speed_rpm = Some(rpm);
        self
    }

    fn derive(&self) -> Derivation {
        derive(&self.readings, &Parameters::default())
    }
}

fn secs(from: Timestamp, to: Timestamp) -> i64 {
    to.since_us(from) / 1_000_000
}

#[test]
fn ignition_off_for_a_minute_ends_a_trip_when_it_went_off() {
    let mut car = Car::new();
    car.ignition(true).stand(30).drive(600, 50.0).stand(20).ignition(false).stand(100);
    let derivation = car.derive();
    let [trip] = &derivation.trips[..] else { panic!("{derivation:?}") };
    assert_eq!((trip.end_reason, trip.duration_s), (EndReason::IgnitionOff, 620));
    assert_eq!(trip.start_time, car.readings[30].ts);
    assert_eq!(derivation.open, None);
}

#[test]
fn ignition_that_flickers_does_not_end_a_trip() {
    let mut car = Car::new();
    car.ignition(true).drive(300, 50.0).ignition(false).stand(50).ignition(true).drive(300, 50.0);
    car.ignition(false).stand(61);
    assert_eq!(car.derive().trips.len(), 1);
}

#[test]
fn a_car_that_drives_is_on_whatever_its_ignition_says() {
    let mut car = Car::new();
    car.ignition(false).drive(600, 50.0).stand(61);
    let trips = car.derive().trips;
    assert_eq!((trips.len(), trips[0].duration_s), (1, 600));
}

#[test]
fn standing_for_five_minutes_ends_a_trip_where_it_stopped() {
    let mut car = Car::new();
    car.drive(600, 50.0).stand(301).drive(600, 50.0).stand(299).drive(600, 50.0);
    let derivation = car.derive();
    let [trip] = &derivation.trips[..] else { panic!("{derivation:?}") };
    assert_eq!((trip.end_reason, trip.duration_s, trip.moving_s), (EndReason::Stationary, 600, 600));
    let open = derivation.open.unwrap();
    assert_eq!(open.so_far.unwrap().trip.duration_s, 600 + 299 + 600 - 1);
}

#[test]
fn a_gap_of_fifteen_minutes_ends_a_trip_at_its_last_reading() {
    let mut car = Car::new();
    car.drive(600, 50.0).dark(899).drive(600, 50.0).dark(898).drive(600, 50.0);
    let derivation = car.derive();
    assert_eq!(derivation.trips.len(), 1);
    assert_eq!((derivation.trips[0].end_reason, derivation.trips[0].duration_s), (EndReason::Gap, 599));
    assert!(derivation.open.unwrap().so_far.unwrap().trip.duration_s > 2000);
}

#[test]
fn crawling_is_no_trip_without_ignition_and_one_with_it() {
    let mut car = Car::new();
    car.drive(600, 5.0).stand(400);
    assert_eq!(car.derive(), Derivation::default());
    let mut car = Car::new();
    car.ignition(true).drive(600, 5.0).stand(400);
    assert_eq!(car.derive().trips.len(), 1);
}

#[test]
fn a_start_counts_from_the_first_motion() {
    let mut car = Car::new();
    car.stand(60).drive(10, 5.0).drive(600, 50.0).stand(400);
    assert_eq!(car.derive().trips[0].duration_s, 610);
}

#[test]
fn a_trip_short_in_both_is_dropped_and_counted() {
    let mut car = Car::new();
    // 100 m in 36 s; 100 m in 200 s; 300 m in 36 s.
    car.ignition(true).drive(36, 10.0).stand(400).drive(200, 1.8).stand(400).drive(36, 30.0).stand(400);
    let derivation = car.derive();
    assert_eq!((derivation.trips.len(), derivation.dropped_count), (2, 1));
}

#[test]
fn rare_readings_while_parked_invent_no_distance() {
    let mut car = Car::new();
    car.every(600, 3600, 0.0).drive(600, 36.0).stand(400);
    let trip = &car.derive().trips[0];
    assert!((5_985..=6_010).contains(&trip.distance_m), "{}", trip.distance_m);
}

#[test]
fn a_fine_odometer_measures_before_gnss_before_speed() {
    let source = |set: fn(&mut Car)| {
        let mut car = Car::new();
        set(&mut car);
        car.stand(10).drive(600, 60.0).stand(400);
        let trip = car.derive().trips.remove(0);
        assert!((9_890..=10_020).contains(&trip.distance_m), "{}", trip.distance_m);
        trip.distance_source
    };
    assert_eq!(source(|_| {}), DistanceSource::Speed);
    assert_eq!(source(|car| car.has_gnss = true), DistanceSource::Gnss);
    assert_eq!(source(|car| (car.has_gnss, car.has_odometer) = (true, true)), DistanceSource::Odometer);
}

#[test]
fn a_coarse_or_reset_odometer_measures_nothing() {
    let mut car = Car::new();
    car.has_odometer = true;
    car.drive(1200, 60.0).stand(400);
    for reading in &mut car.readings {
        reading.odometer_km = reading.odometer_km.map(f64::floor);
    }
    assert_eq!(car.derive().trips[0].distance_source, DistanceSource::Speed);
    let mut car = Car::new();
    car.has_odometer = true;
    car.drive(1200, 60.0).stand(400);
    car.readings[600].odometer_km = Some(3.0);
    assert_eq!(car.derive().trips[0].distance_source, DistanceSource::Speed);
}

#[test]
fn gnss_that_missed_a_tenth_of_the_way_does_not_measure_it() {
    let mut car = Car::new();
    car.has_gnss = true;
    car.drive(100, 60.0);
    car.has_gnss = false;
    car.drive(12, 60.0);
    car.has_gnss = true;
    car.drive(5, 60.0).stand(400);
    let trip = &car.derive().trips[0];
    assert_eq!(trip.distance_source, DistanceSource::Speed);
    assert!(trip.gnss_distance_m.is_some());
}

#[test]
fn a_jump_is_flagged_and_not_summed() {
    let mut car = Car::new();
    car.has_gnss = true;
    car.drive(600, 60.0).stand(400);
    car.readings[300].latitude = Some(52.0);
    let trip = &car.derive().trips[0];
    assert_eq!(trip.jump_count, 1);
    assert!((9_950..=10_020).contains(&trip.distance_m), "{}", trip.distance_m);
}

#[test]
fn a_wrong_first_fix_does_not_spoil_the_rest() {
    let mut car = Car::new();
    car.has_gnss = true;
    car.drive(600, 60.0).stand(400);
    car.readings[0].latitude = Some(-52.0);
    let trip = &car.derive().trips[0];
    assert!((9_900..=10_020).contains(&trip.distance_m), "{}", trip.distance_m);
}

#[test]
fn drift_while_parked_is_no_trip_and_adds_nothing() {
    // No speed is told: only fixes that wander by some metres, then a drive, then wandering.
    let mut car = Car::new();
    car.has_gnss = true;
    car.stand(3600).drive(600, 60.0).stand(3600);
    for (i, reading) in car.readings.iter_mut().enumerate() {
        reading.speed_kmh = None;
        let wander_m = ((i * 7919) % 17) as f64 - 8.0;
        reading.latitude = reading.latitude.map(|lat| lat + (wander_m / EARTH_RADIUS_M).to_degrees());
    }
    let derivation = car.derive();
    let [trip] = &derivation.trips[..] else { panic!("{derivation:?}") };
    assert!((580..=640).contains(&secs(trip.start_time, trip.end_time)), "{trip:?}");
    assert_eq!(trip.speed_distance_m, None);
}

#[test]
fn idling_counts_in_long_stretches_only() {
    let mut car = Car::new();
    car.ignition(true).engine(800.0).drive(300, 50.0).stand(250).drive(300, 50.0).stand(150).drive(300, 50.0);
    car.ignition(false).engine(0.0).stand(400);
    let trip = &car.derive().trips[0];
    assert!((249..=251).contains(&trip.idle_s), "{}", trip.idle_s);
    let mut stopped = Car::new();
    stopped.ignition(true).engine(0.0).drive(300, 50.0).stand(250).drive(300, 50.0).stand(400);
    assert_eq!(stopped.derive().trips[0].idle_s, 0);
}

#[test]
fn fuel_is_counted_else_integrated() {
    let mut car = Car::new();
    car.template.fuel_rate_lph = Some(6.0);
    car.drive(601, 50.0).stand(400);
    let trip = &car.derive().trips[0];
    assert_eq!(trip.fuel_source, Some("rate"));
    assert!((trip.fuel_used_l.unwrap() - 6.0 / 3600.0 * 601.0).abs() < 0.01, "{:?}", trip.fuel_used_l);
    for (i, reading) in car.readings.iter_mut().enumerate() {
        reading.fuel_used_l = Some(100.0 + i as f64 / 1000.0);
    }
    let trip = &car.derive().trips[0];
    assert_eq!(trip.fuel_source, Some("counter"));
    assert!((trip.fuel_used_l.unwrap() - 0.601).abs() < 1e-9);
}

#[test]
fn energy_out_of_the_battery_is_energy_used() {
    let mut car = Car::new();
    car.template.traction_power_kw = Some(-18.0);
    car.drive(601, 50.0);
    let trip = car.derive().open.unwrap().so_far.unwrap().trip;
    assert!((trip.energy_used_kwh.unwrap() - 3.0).abs() < 1e-9);
}

/// A piece of a vehicle's day.
#[derive(Debug, Clone)]
enum Piece {
    Drive(i64, f64),
    Stand(i64),
    Parked(i64),
    Dark(i64),
    Ignition(bool),
    Gnss(bool),
    /// Engine speed, fuel level and state of charge from here on.
    Levels(f64, f64, f64),
    /// Accelerations, or none told.
    Pushed(Option<(f64, f64)>),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (1_i64..400, 0.5_f64..130.0).prop_map(|(s, v)| Piece::Drive(s, v)),
        (1_i64..400).prop_map(Piece::Stand),
        (60_i64..2000).prop_map(Piece::Parked),
        (10_i64..2000).prop_map(Piece::Dark),
        any::<bool>().prop_map(Piece::Ignition),
        any::<bool>().prop_map(Piece::Gnss),
        (0_u8..3, 5_u8..100, 5_u8..100).prop_map(|(engine, fuel, soc)| {
            Piece::Levels(f64::from(engine) * 800.0, f64::from(fuel), f64::from(soc))
        }),
        prop::option::of((-9.0_f64..9.0, -9.0_f64..9.0)).prop_map(Piece::Pushed),
    ]
}

fn day(pieces: Vec<Piece>) -> Vec<Reading> {
    let mut car = Car::new();
    for piece in pieces {
        match piece {
            Piece::Drive(seconds, speed_kmh) => car.drive(seconds, speed_kmh),
            Piece::Stand(seconds) => car.stand(seconds),
            Piece::Parked(seconds) => car.every(60, seconds, 0.0),
            Piece::Dark(seconds) => car.dark(seconds),
            Piece::Ignition(is_on) => car.ignition(is_on),
            Piece::Gnss(is_on) => {
                car.has_gnss = is_on;
                &mut car
            }
            Piece::Levels(rpm, fuel_level_pct, soc_pct) => {
                car.template.fuel_level_pct = Some(fuel_level_pct);
                car.template.soc_pct = Some(soc_pct);
                car.engine(rpm)
            }
            Piece::Pushed(accelerations) => {
                car.template.accel_x_mps2 = accelerations.map(|a| a.0);
                car.template.accel_y_mps2 = accelerations.map(|a| a.1);
                &mut car
            }
        };
    }
    car.readings
}

fn rules() -> Parameters {
    // Short days: let more of their segments be trips.
    Parameters { distance_min_m: 50, duration_min: Duration::from_secs(20), ..Parameters::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_order_of_arrival_changes_nothing(pieces in prop::collection::vec(piece(), 1..30), seed in any::<u64>()) {
        let readings = day(pieces);
        let mut shuffled = readings.clone();
        let len = shuffled.len().max(1);
        let mut state = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        // Some arrive twice.
        let twice: Vec<Reading> = shuffled.iter().take(len / 5).copied().collect();
        shuffled.extend(twice);
        prop_assert_eq!(derive(&shuffled, &rules()), derive(&readings, &rules()));
    }

    #[test]
    fn taken_up_at_the_end_of_any_trip_the_rest_is_the_same(pieces in prop::collection::vec(piece(), 1..40)) {
        let readings = day(pieces);
        let whole = derive(&readings, &rules());
        for (i, trip) in whole.trips.iter().enumerate() {
            let is_cut = trip.end_reason == EndReason::Gap;
            let rest: Vec<Reading> = readings
                .iter()
                .filter(|r| if is_cut { r.ts > trip.end_time } else { r.ts >= trip.end_time })
                .copied()
                .collect();
            let rest = derive_after(trip.rest, &rest, &rules());
            prop_assert_eq!(&rest.trips[..], &whole.trips[i + 1..]);
            prop_assert_eq!(&rest.stops[..], &whole.stops[i..]);
            prop_assert_eq!(&rest.open, &whole.open);
        }
    }

    #[test]
    fn trips_are_in_order_and_never_longer_than_the_way(pieces in prop::collection::vec(piece(), 1..40)) {
        let readings = day(pieces);
        let derivation = derive(&readings, &rules());
        let mut derivation = derivation;
        derivation.end_by_silence();
        let trips: Vec<&DerivedTrip> = derivation.trips.iter().collect();
        for pair in trips.windows(2) {
            prop_assert!(pair[0].end_time <= pair[1].start_time);
        }
        // Stops fill the time between them, and each thing happened within its own.
        prop_assert_eq!(derivation.stops.len(), trips.len());
        for (i, stop) in derivation.stops.iter().enumerate() {
            prop_assert_eq!(stop.start, trips[i].rest);
            prop_assert_eq!(stop.start.time, trips[i].end_time);
            let next_start = trips.get(i + 1).map(|next| next.start_time);
            prop_assert_eq!(stop.end.map(|end| end.time), next_start);
            let until = next_start.unwrap_or(Timestamp(i64::MAX));
            for event in &stop.events {
                prop_assert!(stop.start.time <= event.start_time && event.end_time <= until, "{:?}", event);
            }
        }
        for trip in &trips {
            for event in &trip.events {
                prop_assert!(event.start_time <= event.end_time && event.end_time <= trip.end_time);
                prop_assert!(event.start_time >= trip.start_time, "{:?} {:?}", event, trip);
            }
            let idle_s: i64 = trip.events.iter().filter(|e| e.kind == EventKind::Idling)
                .map(|e| secs(e.start_time, e.end_time)).sum();
            prop_assert_eq!(idle_s, trip.idle_s);
        }
        for trip in &trips {
            prop_assert!(trip.start_time < trip.end_time);
            prop_assert!(trip.moving_s + trip.idle_s <= trip.duration_s + 1);
        }
        let way_m: f64 = readings
            .windows(2)
            .map(|pair| {
                let mean_kmh = (pair[0].speed_kmh.unwrap_or(0.0) + pair[1].speed_kmh.unwrap_or(0.0)) / 2.0;
                mean_kmh / 3.6 * pair[1].ts.since_us(pair[0].ts) as f64 / 1e6
            })
            .sum();
        let parts_m: i64 = trips.iter().filter_map(|trip| trip.speed_distance_m).sum();
        prop_assert!(parts_m as f64 <= way_m + trips.len() as f64, "{} of {}", parts_m, way_m);
    }
}
