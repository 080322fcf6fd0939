use super::*;
use crate::{
    decode::Decoder,
    map::{FrameOutcome, MappedDecoder, RawValue, SignalMap},
};

const START: Timestamp = Timestamp(1_760_000_000_000_000);

fn settings(powertrain: Powertrain, track: usize, hours: i64) -> SimulateSettings {
    SimulateSettings {
        track: tracks()[track].clone(),
        powertrain,
        seed: 7,
        start_time: START,
        speed: 60.0,
        until: Some(START.plus_us(hours * 3_600_000_000)),
    }
}

fn decoder(powertrain: Powertrain) -> MappedDecoder {
    let (dbc, map) = (dbc(), map(powertrain));
    let dbc = crate::dbc::Dbc::from_bytes(&dbc.name, &dbc.bytes).unwrap();
    let map = SignalMap::parse(&map.name, std::str::from_utf8(&map.bytes).unwrap()).unwrap();
    MappedDecoder::new(Decoder::compile(&[dbc]).unwrap(), &[map]).unwrap()
}

fn frames(settings: &SimulateSettings, resume: Option<Timestamp>) -> Vec<Frame> {
    let mut simulator = Simulator::new(settings, resume).unwrap();
    std::iter::from_fn(|| simulator.next().unwrap()).collect()
}

/// Decoded values of one VSS signal, in its unit.
fn series(settings: &SimulateSettings, signal: &str) -> Vec<(Timestamp, f64)> {
    let mut decoder = decoder(settings.powertrain);
    let column = decoder.catalog().columns.iter().find(|c| c.signal == signal).unwrap().clone();
    let (mut out, mut samples) = (Vec::new(), Vec::new());
    for frame in frames(settings, None) {
        samples.clear();
        assert!(matches!(decoder.samples(&frame, &mut samples), FrameOutcome::Mapped(_)));
        for sample in samples.iter().filter(|s| s.column_id == column.column_id) {
            let value = match sample.value {
                RawValue::Raw(raw) => column.scaled(raw),
                RawValue::Number(number) => number,
            };
            out.push((frame.time, value));
        }
    }
    out
}

fn span(series: &[(Timestamp, f64)]) -> f64 {
    series.last().unwrap().1 - series[0].1
}

#[test]
fn the_same_seed_and_start_make_the_same_frames() {
    let settings = settings(Powertrain::Combustion, 1, 1);
    let first = frames(&settings, None);
    assert!(first.len() > 5_000, "{}", first.len());
    assert!(first == frames(&settings, None));
    let other = SimulateSettings { seed: 8, ..settings };
    assert!(first != frames(&other, None));
}

#[test]
fn a_resumed_simulation_goes_on_with_the_frames_it_would_have_had() {
    let settings = settings(Powertrain::Battery, 2, 2);
    let whole = frames(&settings, None);
    let resume = START.plus_us(3_000_000_000);
    let rest = frames(&settings, Some(resume));
    assert!(rest[0].time >= resume.plus_us(-WARM_UP_US));
    let expected: Vec<&Frame> = whole.iter().filter(|f| f.time >= rest[0].time).collect();
    assert!(rest.iter().collect::<Vec<_>>() == expected);
}

#[test]
fn speed_is_continuous_and_within_reason() {
    for track in 0..tracks().len() {
        let speeds = series(&settings(Powertrain::Combustion, track, 2), "Vehicle.Speed");
        let max = speeds.iter().map(|s| s.1).fold(0.0, f64::max);
        assert!((35.0..150.0).contains(&max), "track {track}: {max}");
        for pair in speeds.windows(2) {
            let dt_s = pair[1].0.since_us(pair[0].0) as f64 / 1e6;
            let change = (pair[1].1 - pair[0].1).abs();
            assert!(change <= 6.6 * 3.6 * dt_s + 0.02, "track {track} at {}: {change}", pair[1].0);
        }
    }
}

#[test]
fn the_odometer_grows_by_the_track_and_agrees_with_speed_and_position() {
    let settings = settings(Powertrain::Combustion, 3, 1);
    let mut simulator = Simulator::new(&settings, None).unwrap();
    let length_m = simulator.vehicle().track_length_m();
    // One whole drive: from the first ignition to the second.
    let (mut was_on, mut from_m, mut driven_m) = (false, 0.0, None);
    while simulator.next().unwrap().is_some() && driven_m.is_none() {
        let vehicle = simulator.vehicle();
        match (was_on, vehicle.is_ignition_on()) {
            (false, true) => from_m = vehicle.odometer_m,
            (true, false) => driven_m = Some(vehicle.odometer_m - from_m),
            _ => {}
        }
        was_on = vehicle.is_ignition_on();
    }
    let driven_m = driven_m.unwrap();
    assert!((driven_m / length_m - 1.0).abs() < 0.01, "{driven_m} of {length_m}");

    let odometer_m = span(&series(&settings, "Vehicle.TraveledDistance"));
    let speeds = series(&settings, "Vehicle.Speed");
    let integral_m: f64 = speeds
        .windows(2)
        .map(|w| (w[0].1 + w[1].1) / 7.2 * (w[1].0.since_us(w[0].0) as f64 / 1e6).min(1.0))
        .sum();
    assert!((integral_m / odometer_m - 1.0).abs() < 0.01, "{integral_m} against {odometer_m}");
}

#[test]
fn a_car_burns_what_cars_burn() {
    for track in 0..tracks().len() {
        let settings = settings(Powertrain::Combustion, track, 3);
        let km = span(&series(&settings, "Vehicle.TraveledDistance")) / 1000.0;
        let litres = span(&series(&settings, "Vehicle.Powertrain.FuelSystem.AccumulatedConsumption"));
        let per_100_km = litres / km * 100.0;
        assert!((3.0..15.0).contains(&per_100_km), "track {track}: {per_100_km} l/100km over {km} km");
        let rates = series(&settings, "Vehicle.Powertrain.CombustionEngine.FuelRate");
        let integral: f64 = rates
            .windows(2)
            .map(|w| w[0].1 * (w[1].0.since_us(w[0].0) as f64 / 3.6e9).min(1.0 / 1800.0))
            .sum();
        assert!((integral / litres - 1.0).abs() < 0.1, "track {track}: {integral} against {litres}");
    }
}

#[test]
fn a_battery_empties_on_the_road_and_the_engine_idles_at_lights() {
    let ev = settings(Powertrain::Battery, 0, 1);
    let soc = series(&ev, "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current");
    assert!(span(&soc) < -1.0, "{}", span(&soc));
    let km = span(&series(&ev, "Vehicle.TraveledDistance")) / 1000.0;
    let kwh = span(&series(&ev, "Vehicle.Powertrain.TractionBattery.AccumulatedConsumedEnergy"));
    assert!((8.0..35.0).contains(&(kwh / km * 100.0)), "{} kWh/100km", kwh / km * 100.0);
    let rpm = series(&settings(Powertrain::Combustion, 1, 1), "Vehicle.Powertrain.CombustionEngine.Speed");
    assert!(rpm.iter().any(|(_, r)| (750.0..850.0).contains(r)));
    assert!(rpm.iter().all(|(_, r)| *r < 5000.0));
}

#[test]
fn positions_stay_near_the_track_and_the_parked_bus_is_quiet() {
    let settings = settings(Powertrain::Combustion, 1, 2);
    let ignition = series(&settings, "Vehicle.IsIgnitionOn");
    let off: Vec<i64> = ignition
        .windows(2)
        .filter(|w| w[0].1 == 0.0 && w[1].1 == 0.0)
        .map(|w| w[1].0.since_us(w[0].0))
        .collect();
    assert!(off.len() > 100);
    // The first frame of a parking comes before the slow ones' even seconds.
    let quick = off.iter().filter(|us| **us < PARKED_TICK_US).count();
    assert!(quick <= 20 && off.len() > quick * 20, "{off:?}");
    let latitudes = series(&settings, "Vehicle.CurrentLocation.Latitude");
    let jump = latitudes.windows(2).map(|w| (w[1].1 - w[0].1).abs() * 111_000.0).fold(0.0, f64::max);
    assert!(jump < 45.0, "{jump} m in a second");
}

#[test]
fn a_bad_track_names_its_line() {
    let text = "lat,lon,ele_m,speed_limit_kmh\n50.0,8.0,,50\n50.0,east,,50\n";
    let track = NamedBytes::new("bad.csv", text.as_bytes());
    let settings = SimulateSettings { track, ..settings(Powertrain::Battery, 0, 1) };
    let error = Simulator::new(&settings, None).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("bad.csv:3:"), "{cause}");
}
