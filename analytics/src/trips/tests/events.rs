//! Stops, and what happens in trips and stops.

use super::*;

fn kinds(events: &[DrivingEvent]) -> Vec<(EventKind, Option<Severity>)> {
    events.iter().map(|e| (e.kind, e.severity)).collect()
}

/// A car that parks by its ignition after ten minutes of driving.
fn parked() -> Car {
    let mut car = Car::new();
    car.ignition(true).drive(600, 50.0).ignition(false).stand(120);
    car
}

fn stop_of(car: &Car) -> DerivedStop {
    let derivation = car.derive();
    derivation.stops.first().cloned().unwrap_or_else(|| panic!("{derivation:?}"))
}

impl Car {
    /// Drives off for good, so that what was before is over.
    fn leave(&mut self) -> &mut Self {
        self.ignition(true).drive(600, 50.0).ignition(false).stand(120)
    }

    fn fuel(&mut self, pct: f64) -> &mut Self {
        self.template.fuel_level_pct = Some(pct);
        self
    }

    fn soc(&mut self, pct: f64) -> &mut Self {
        self.template.soc_pct = Some(pct);
        self
    }

    fn pushed(&mut self, forward_mps2: f64, left_mps2: f64) -> &mut Self {
        self.template.accel_x_mps2 = Some(forward_mps2);
        self.template.accel_y_mps2 = Some(left_mps2);
        self
    }
}

#[test]
fn a_stop_runs_from_one_trips_end_to_the_nexts_start() {
    let mut car = parked();
    car.every(60, 3600, 0.0).ignition(true).stand(20).leave();
    let derivation = car.derive();
    let [first, second] = &derivation.trips[..] else { panic!("{derivation:?}") };
    let [stop, open] = &derivation.stops[..] else { panic!("{derivation:?}") };
    let end = stop.end.unwrap();
    assert_eq!((stop.start.time, end.time), (first.end_time, second.start_time));
    // From the reading with which it went off on: 120, 60 and 20.
    assert_eq!((end.reading_count, end.ignition_on_count, end.idle_s), (200, 1, 0));
    assert_eq!((open.start.time, open.end), (second.end_time, None));
}

#[test]
fn motion_too_short_for_a_trip_does_not_end_a_stop() {
    let mut car = parked();
    // Moved to another bay, with a halt that might have been the end of a trip.
    car.ignition(true).drive(20, 10.0).ignition(false).stand(400).leave();
    let derivation = car.derive();
    assert_eq!((derivation.trips.len(), derivation.dropped_count), (2, 1));
    let end = derivation.stops[0].end.unwrap();
    assert_eq!((end.reading_count, end.ignition_on_count), (120 + 20 + 400, 2));
    assert_eq!(end.time, derivation.trips[1].start_time);
}

#[test]
fn a_stop_ends_where_a_trip_starts_that_was_taken_for_the_end_of_none() {
    let mut car = parked();
    // Moved, off, and pushed for a minute before it drives: the push is looked at twice.
    car.ignition(true).drive(20, 10.0).ignition(false).stand(10).drive(70, 5.0).drive(600, 50.0).stand(120);
    let derivation = car.derive();
    assert_eq!((derivation.trips.len(), derivation.dropped_count), (2, 1));
    assert_eq!(derivation.trips[1].duration_s, 670);
    assert_eq!(derivation.stops[0].end.unwrap().reading_count, 120 + 20 + 10);
}

#[test]
fn an_engine_left_on_idles_in_the_stop() {
    let mut car = Car::new();
    car.ignition(true).engine(800.0).drive(600, 50.0).stand(400).engine(0.0).ignition(false).stand(100);
    car.engine(800.0).leave();
    let stop = stop_of(&car);
    assert_eq!(kinds(&stop.events), [(EventKind::Idling, None)]);
    assert_eq!(stop.end.unwrap().idle_s, secs(stop.events[0].start_time, stop.events[0].end_time));
    assert_eq!(stop.end.unwrap().idle_s, 400);
}

#[test]
fn a_level_that_rises_in_a_stop_is_a_refuel() {
    let mut car = Car::new();
    car.fuel(20.0).ignition(true).drive(600, 50.0).ignition(false).stand(90);
    for pct in 20..80 {
        car.fuel(f64::from(pct)).stand(2);
    }
    car.stand(300).leave();
    let readings = &car.readings;
    let parameters = Parameters { tank_capacity_l: Some(50.0), ..Parameters::default() };
    let derivation = derive(readings, &parameters);
    let [event] = &derivation.stops[0].events[..] else { panic!("{derivation:?}") };
    assert_eq!((event.kind, event.start_pct, event.end_pct), (EventKind::Refuel, Some(20.0), Some(79.0)));
    assert!((event.fuel_l.unwrap() - 29.5).abs() < 1e-9, "{event:?}");
    // Smoothing tells it half a minute late, within a minute of when it was.
    let pumped = (readings[690].ts, readings[810].ts);
    assert!(secs(pumped.0, event.start_time).abs() <= 60, "{}", secs(pumped.0, event.start_time));
    assert!(secs(pumped.1, event.end_time).abs() <= 60, "{}", secs(pumped.1, event.end_time));
    // No trip and no stop says it twice.
    assert!(derivation.trips.iter().all(|trip| trip.events.is_empty()));
    assert_eq!(derivation.stops[1].events, []);
}

#[test]
fn a_refuel_while_nothing_was_told_shows_at_the_start_of_the_next_trip() {
    let mut car = Car::new();
    car.fuel(20.0).ignition(true).drive(600, 50.0).ignition(false).stand(1).dark(1200);
    car.fuel(90.0).leave();
    let derivation = car.derive();
    let [event] = &derivation.stops[0].events[..] else { panic!("{derivation:?}") };
    assert_eq!((event.kind, event.start_pct, event.end_pct), (EventKind::Refuel, Some(20.0), Some(90.0)));
    assert_eq!(
        (event.start_time, event.end_time),
        (derivation.trips[0].end_time, derivation.trips[1].start_time)
    );
}

#[test]
fn a_refuel_in_a_halt_of_a_trip_is_of_the_trip() {
    let mut car = Car::new();
    car.engine(0.0).fuel(20.0).drive(600, 50.0).stand(100).fuel(90.0).stand(40).leave();
    let derivation = car.derive();
    assert_eq!(kinds(&derivation.trips[0].events), [(EventKind::Refuel, None)]);
}

#[test]
fn slosh_and_slopes_are_no_refuel_and_no_theft() {
    let mut car = Car::new();
    car.ignition(true);
    for i in 0..90 {
        // A wave of twelve percent and a long climb.
        car.fuel(if i % 7 == 0 { 62.0 } else { 50.0 }).drive(7, 50.0);
    }
    car.fuel(61.5).drive(200, 50.0).ignition(false).stand(120).fuel(55.0).stand(600).leave();
    let derivation = car.derive();
    let events: Vec<_> =
        derivation.trips.iter().flat_map(|t| &t.events).chain(&derivation.stops[0].events).collect();
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn a_level_that_falls_with_the_engine_off_is_theft_and_with_it_on_is_burnt() {
    let mut car = Car::new();
    car.fuel(80.0).ignition(true).drive(600, 50.0).ignition(false).stand(120);
    car.fuel(40.0).every(60, 3600, 0.0).leave();
    let [theft] = stop_of(&car).events[..] else { panic!("{:?}", stop_of(&car)) };
    assert_eq!((theft.kind, theft.start_pct, theft.end_pct), (EventKind::FuelTheft, Some(80.0), Some(40.0)));
    let mut burnt = Car::new();
    burnt.engine(1200.0).fuel(80.0).ignition(true).drive(600, 50.0).stand(120);
    for pct in (40..80).rev() {
        // A pump driven by the engine.
        burnt.fuel(f64::from(pct)).stand(100);
    }
    burnt.leave();
    assert_eq!(kinds(&stop_of(&burnt).events), [(EventKind::Idling, None)]);
}

#[test]
fn a_state_of_charge_that_rises_is_a_session_with_its_energy() {
    let mut car = Car::new();
    car.soc(30.0).ignition(true).drive(600, 50.0).ignition(false).stand(120);
    car.template.traction_power_kw = Some(10.0);
    for pct in 30..80 {
        car.soc(f64::from(pct)).every(60, 360, 0.0);
    }
    car.template.traction_power_kw = Some(0.0);
    car.soc(80.0).every(60, 7200, 0.0);
    // It is told before the next trip, when the level has not risen for an hour.
    assert_eq!(stop_of(&car).events.len(), 1);
    car.leave();
    let [charge] = stop_of(&car).events[..] else { panic!("{:?}", stop_of(&car)) };
    assert_eq!(
        (charge.kind, charge.start_pct, charge.end_pct),
        (EventKind::Charging, Some(30.0), Some(80.0))
    );
    // 50 steps of six minutes at 10 kW; the first shows when the level has risen.
    assert!((charge.energy_kwh.unwrap() - 50.0).abs() < 1.5, "{charge:?}");
}

#[test]
fn a_charge_at_home_with_the_unit_asleep_is_a_session_too() {
    let mut car = Car::new();
    car.soc(30.0).ignition(true).drive(600, 50.0).dark(30_000).soc(95.0).leave();
    let derivation = car.derive();
    assert_eq!(derivation.trips[0].end_reason, EndReason::Gap);
    let [charge] = derivation.stops[0].events[..] else { panic!("{derivation:?}") };
    assert_eq!((charge.kind, charge.energy_kwh), (EventKind::Charging, None));
    assert_eq!((charge.start_pct, charge.end_pct), (Some(30.0), Some(95.0)));
}

#[test]
fn an_accelerometer_tells_harsh_driving_by_kind_and_class() {
    let mut car = Car::new();
    car.ignition(true).pushed(0.0, 0.0).drive(300, 50.0);
    car.pushed(4.5, 0.0).drive(2, 50.0).pushed(0.0, 0.0).drive(60, 50.0);
    car.pushed(-6.0, 0.0).drive(1, 50.0).pushed(-7.5, 0.0).drive(1, 50.0).pushed(0.0, 0.0).drive(60, 50.0);
    // To either side is one kind.
    car.pushed(0.0, -5.5).drive(1, 50.0).pushed(0.0, 0.0).drive(60, 50.0);
    car.pushed(0.0, 5.4).drive(5, 50.0).pushed(0.0, 0.0).drive(60, 50.0).ignition(false).stand(100);
    let events = car.derive().trips.remove(0).events;
    assert_eq!(
        kinds(&events),
        [
            (EventKind::HarshAccelerating, Some(Severity::Low)),
            (EventKind::HarshBraking, Some(Severity::High)),
            (EventKind::HarshCornering, Some(Severity::Low)),
        ]
    );
    assert_eq!((events[1].peak_mps2, events[1].source), (Some(7.5), "accelerometer"));
    assert_eq!(secs(events[0].start_time, events[0].end_time), 2);
}

#[test]
fn without_an_accelerometer_the_speed_tells() {
    let mut car = Car::new();
    // 18 km/h in a second are 5 m/s². The first step is from a speed told for minutes: when in them
    // it was made is not known.
    car.drive(300, 90.0).drive(1, 72.0).drive(1, 54.0).drive(1, 36.0).drive(100, 35.0);
    car.drive(1, 36.0).drive(1, 54.0).drive(300, 55.0).drive(1, 54.0).stand(400);
    let events = car.derive().trips.remove(0).events;
    let expected =
        [(EventKind::HarshBraking, Some(Severity::Low)), (EventKind::HarshAccelerating, Some(Severity::Low))];
    // From 54 km/h to a stand within a second is none: no tyre could.
    assert_eq!(kinds(&events), expected);
    assert_eq!((secs(events[0].start_time, events[0].end_time), events[0].speed_kmh), (2, Some(72.0)));
    assert_eq!(events[0].source, "speed");
}

#[test]
fn a_frozen_speed_that_jumps_is_not_harsh_driving() {
    let mut car = Car::new();
    for i in 0..60 {
        // Told anew every five seconds, 25 km/h more or less.
        car.drive(5, if i % 2 == 0 { 20.0 } else { 45.0 });
    }
    car.stand(400);
    assert_eq!(car.derive().trips[0].events, []);
}

#[test]
fn speeds_of_every_other_second_and_of_ten_a_second_tell_no_nonsense() {
    let mut rare = Car::new();
    rare.every(2, 300, 90.0).every(2, 2, 30.0).every(2, 300, 30.0).every(2, 400, 0.0);
    assert_eq!(rare.derive().trips[0].events, []);
    // Whole km/h ten times a second: a step of one in a tenth of a second would be 2.8 m/s², of two
    // 5.6. In truth it speeds up by 2 m/s².
    let readings: Vec<Reading> = (0..3000_i64)
        .map(|i| Reading {
            ts: Timestamp(1_000_000_000_000 + i * 100_000),
            speed_kmh: Some((20.0 + (i % 100) as f64 * 0.72).floor()),
            ..Reading::default()
        })
        .collect();
    let mut derivation = derive(&readings, &Parameters::default());
    derivation.end_by_silence();
    assert_eq!(derivation.trips[0].events, []);
}

#[test]
fn a_harsh_moment_shorter_than_the_limit_is_none_and_two_near_are_one() {
    let push = |pattern: &[(i64, f64)]| {
        let mut readings: Vec<Reading> = Vec::new();
        let mut at_us = 1_000_000_000_000_i64;
        for &(count, mps2) in [(3000, 0.0)].iter().chain(pattern).chain(&[(3000, 0.0)]) {
            for _ in 0..count {
                at_us += 100_000;
                readings.push(Reading {
                    ts: Timestamp(at_us),
                    speed_kmh: Some(50.0),
                    accel_x_mps2: Some(mps2),
                    ..Reading::default()
                });
            }
        }
        let mut derivation = derive(&readings, &Parameters::default());
        derivation.end_by_silence();
        derivation.trips.remove(0).events.len()
    };
    assert_eq!(push(&[(8, 5.0)]), 0);
    assert_eq!(push(&[(10, 5.0)]), 1);
    assert_eq!(push(&[(10, 5.0), (20, 0.0), (10, 5.0)]), 1);
    assert_eq!(push(&[(10, 5.0), (21, 0.0), (10, 5.0)]), 2);
    // Many short ones are no long one.
    assert_eq!(push(&[(5, 5.0), (5, 0.0), (5, 5.0), (5, 0.0), (5, 5.0)]), 0);
}

#[test]
fn a_door_slammed_while_parked_is_not_harsh_driving() {
    let mut car = Car::new();
    car.ignition(true).pushed(0.0, 0.0).drive(300, 50.0).stand(20).pushed(6.0, 6.0).stand(2);
    car.pushed(0.0, 0.0).stand(20).drive(300, 50.0).ignition(false).stand(100);
    assert_eq!(car.derive().trips[0].events, []);
}
