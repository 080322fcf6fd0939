//! The map of the real car: it fits its DBC files, and its samples agree with the log's facts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a test: a failure is the message"
)]

use std::{collections::BTreeMap, path::PathBuf};

use edge_agent::{
    dbc::Dbc,
    decode::Decoder,
    map::{FrameOutcome, MappedDecoder, MappedSample, RawValue, SignalMap},
    source::{CandumpReader, Source},
};
use wire::batch::Table;

fn path(of_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(of_root)
}

fn car() -> MappedDecoder {
    let dbcs = ["OBD-v4.4.dbc", "canmod-gps.dbc"]
        .map(|name| Dbc::open(&path(&format!("tests/data/css-car-obd-gnss/{name}"))).unwrap());
    let map = SignalMap::open(&path("configs/maps/css-car-obd-gnss.toml")).unwrap();
    MappedDecoder::new(Decoder::compile(&dbcs).unwrap(), &[map]).unwrap()
}

/// What one column saw over the log, in the catalogue's unit.
#[derive(Debug, Clone, Copy)]
struct Seen {
    count: u64,
    min: f64,
    max: f64,
}

#[test]
fn the_mapped_samples_of_the_real_car_agree_with_its_facts() {
    let mut car = car();
    let catalog = car.catalog().clone();
    let mut seen: Vec<Option<Seen>> = vec![None; car.columns().len()];
    let mut source =
        CandumpReader::open(&path("tests/data/css-car-obd-gnss/00000164.candump.log.gz")).unwrap();
    let mut samples: Vec<MappedSample> = Vec::new();
    let (mut mapped, mut unmapped, mut unknown) = (0, 0, 0);
    while let Some(frame) = source.next().unwrap() {
        samples.clear();
        match car.samples(&frame, &mut samples) {
            FrameOutcome::Mapped(_) => mapped += 1,
            FrameOutcome::Unmapped => unmapped += 1,
            FrameOutcome::Unknown => unknown += 1,
        }
        for sample in &samples {
            let value = match sample.value {
                RawValue::Raw(raw) => catalog.column(sample.column_id).unwrap().scaled(raw),
                RawValue::Number(value) => value,
            };
            let column = &mut seen[sample.column_id as usize];
            let was = column.unwrap_or(Seen { count: 0, min: value, max: value });
            *column = Some(Seen { count: was.count + 1, min: was.min.min(value), max: was.max.max(value) });
        }
    }
    // Messages 1, 2, 7 and 8 (status, time, GNSS speed, geofence) are not mapped.
    assert_eq!((mapped, unmapped, unknown), (292_097 - 4780 - 4 * 2272, 4 * 2272, 4780));
    let of = |vss: &str| {
        let column = car.columns().iter().find(|c| c.vss.path == vss).unwrap();
        seen[column.column_id as usize].unwrap()
    };
    let speed = of("Vehicle.Speed");
    assert_eq!((speed.count, speed.min, speed.max), (4785, 0.0, 88.0));
    // 2,161 of the 2,272 fixes are valid, and only those.
    let latitude = of("Vehicle.CurrentLocation.Latitude");
    assert_eq!(latitude.count, 2161);
    assert_eq!((latitude.min, latitude.max), (55.869_963_999_999_98, 56.112_345_000_000_005));
    let odometer = of("Vehicle.TraveledDistance");
    assert_eq!((odometer.count, odometer.min, odometer.max), (2272, 2_077_000.0, 2_118_000.0));
    let coolant = of("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature");
    assert_eq!((coolant.min, coolant.max), (24.0, 98.0));
    assert!(of("Vehicle.Acceleration.Longitudinal").min > -20.0);
    assert!(seen.iter().all(Option::is_some));
}

/// Mean of a signal in each second of the log, in the catalogue's unit.
fn by_second(vss: &str) -> BTreeMap<i64, f64> {
    let mut car = car();
    let catalog = car.catalog().clone();
    let column_id = car.columns().iter().find(|c| c.vss.path == vss).unwrap().column_id;
    let definition = catalog.column(column_id).unwrap();
    let mut source =
        CandumpReader::open(&path("tests/data/css-car-obd-gnss/00000164.candump.log.gz")).unwrap();
    let (mut samples, mut sums) = (Vec::new(), BTreeMap::<i64, (f64, f64)>::new());
    while let Some(frame) = source.next().unwrap() {
        samples.clear();
        car.samples(&frame, &mut samples);
        for sample in samples.iter().filter(|s| s.column_id == column_id) {
            let RawValue::Raw(raw) = sample.value else { panic!("{sample:?}") };
            let (sum, count) = sums.entry(frame.time.0 / 1_000_000).or_default();
            (*sum, *count) = (*sum + definition.scaled(raw), *count + 1.0);
        }
    }
    sums.into_iter().map(|(second, (sum, count))| (second, sum / count)).collect()
}

/// Slope of `y` over `x`, least squares.
fn slope(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (mx, my) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sxy: f64 = pairs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    sxy / pairs.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>()
}

/// The axes are those of ISO 8855, whichever way the module was built in: up feels gravity, forward
/// the gain of speed, left the turns to the left.
#[test]
fn accelerations_of_the_real_car_are_forward_left_and_up() {
    let up = by_second("Vehicle.Acceleration.Vertical");
    let mean = up.values().sum::<f64>() / up.len() as f64;
    assert!((9.3..10.1).contains(&mean), "{mean}");

    let speed = by_second("Vehicle.Speed");
    let gain = |t: i64| Some((speed.get(&(t + 1))? - speed.get(&(t - 1))?) / 2.0 / 3.6);
    let forward = by_second("Vehicle.Acceleration.Longitudinal");
    let pairs: Vec<_> = forward.iter().filter_map(|(t, a)| Some((gain(*t)?, *a))).collect();
    assert!(pairs.len() > 1000 && (0.6..1.3).contains(&slope(&pairs)), "{}", slope(&pairs));

    // To the left the heading falls.
    let heading = by_second("Vehicle.CurrentLocation.Heading");
    let turn_left = |t: i64| {
        let change = (heading.get(&(t + 1))? - heading.get(&(t - 1))? + 540.0).rem_euclid(360.0) - 180.0;
        (*speed.get(&t)? > 15.0).then(|| -change.to_radians() / 2.0 * speed[&t] / 3.6)
    };
    let left = by_second("Vehicle.Acceleration.Lateral");
    let pairs: Vec<_> = left.iter().filter_map(|(t, a)| Some((turn_left(*t)?, *a))).collect();
    assert!(pairs.len() > 500 && (0.3..1.3).contains(&slope(&pairs)), "{}", slope(&pairs));
    let yaw = by_second("Vehicle.AngularVelocity.Yaw");
    let rate = |t: i64| Some(turn_left(t)?.to_degrees() * 3.6 / speed[&t]);
    let pairs: Vec<_> = yaw.iter().filter_map(|(t, a)| Some((rate(*t)?, *a))).collect();
    assert!(pairs.len() > 500 && (0.5..1.3).contains(&slope(&pairs)), "{}", slope(&pairs));
}

#[test]
fn readings_columns_go_to_readings_and_the_rest_to_signals() {
    let car = car();
    for column in car.columns() {
        assert_eq!(column.table == Table::Readings, column.reading.is_some(), "{}", column.vss.path);
    }
    assert_eq!(car.columns().iter().filter(|c| c.table == Table::Readings).count(), 14);
    // The ten columns of diagnostics and the VIN come after the mapped ones.
    assert_eq!(car.catalog().columns.len(), car.columns().len() + 11);
}

#[test]
fn every_shipped_map_file_parses() {
    let mut count = 0;
    for entry in std::fs::read_dir(path("configs/maps")).unwrap() {
        SignalMap::open(&entry.unwrap().path()).unwrap();
        count += 1;
    }
    assert!(count > 0);
}
