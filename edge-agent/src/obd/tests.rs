#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use proptest::prelude::*;

use super::*;

fn values(answer: &[u8]) -> Vec<(String, f64, String)> {
    let mut found = Vec::new();
    let reader = ValueReader::new().unwrap();
    reader.values(answer, &mut |name, value, unit| found.push((name.to_owned(), value, unit.to_owned())));
    found
}

#[test]
fn values_have_the_scaling_of_the_standard() {
    // (PID, data, name, value), worked out by hand from J1979-DA.
    let cases: &[(u8, &[u8], &str, f64)] = &[
        (0x01, &[0x83, 0x07, 0xE5, 0x00], "MilOn", 1.0),
        (0x01, &[0x83, 0x07, 0xE5, 0x00], "DtcCount", 3.0),
        (0x04, &[0xFF], "CalculatedLoad", 100.0),
        (0x05, &[0x7B], "CoolantTemperature", 83.0),
        (0x06, &[0x00], "ShortFuelTrim1", -100.0),
        (0x07, &[0x80], "LongFuelTrim1", 0.0),
        (0x0A, &[100], "FuelPressure", 300.0),
        (0x0C, &[0x1A, 0xF8], "EngineSpeed", 1726.0),
        (0x0D, &[88], "VehicleSpeed", 88.0),
        (0x0E, &[0x80], "TimingAdvance", 0.0),
        (0x10, &[0x01, 0x00], "AirFlowRate", 2.56),
        (0x14, &[200, 0x80], "OxygenSensor1Voltage", 1.0),
        (0x1E, &[0x01], "PowerTakeOffActive", 1.0),
        (0x1F, &[0x01, 0x02], "RunTime", 258.0),
        (0x24, &[0x80, 0x00, 0x20, 0x00], "OxygenSensor1LambdaV", 1.0),
        (0x24, &[0x80, 0x00, 0x20, 0x00], "OxygenSensor1WideVoltage", 1.0),
        (0x32, &[0xFF, 0xFC], "EvapVaporPressure", -1.0),
        (0x34, &[0x80, 0x00, 0x80, 0x00], "OxygenSensor1Current", 0.0),
        (0x3C, &[0x11, 0x94], "CatalystTemperatureBank1Sensor1", 410.0),
        (0x42, &[0x37, 0x78], "ControlModuleVoltage", 14.2),
        (0x46, &[61], "AmbientTemperature", 21.0),
        (0x4F, &[1, 2, 3, 25], "IntakePressureMax", 250.0),
        (0x5D, &[0x69, 0x00], "InjectionTiming", 0.0),
        (0x5E, &[0x00, 0xC8], "FuelRate", 10.0),
        (0x62, &[0xAF], "ActualTorque", 50.0),
        (0x64, &[125, 126, 127, 128, 129], "TorquePoint4", 4.0),
        (0xA6, &[0x00, 0x12, 0xD6, 0x87], "Odometer", 123_456.7),
    ];
    for (pid, data, name, expected) in cases {
        let found = values(&[&[0x41, *pid], *data].concat());
        let value = found.iter().find(|v| v.0 == *name).unwrap_or_else(|| panic!("{name} in {found:?}")).1;
        assert!((value - expected).abs() < 1e-6, "{name}: {value}, not {expected}");
    }
}

#[test]
fn a_freeze_frame_is_read_like_a_value_of_now() {
    assert_eq!(values(&[0x42, 0x0C, 0x00, 0x1A, 0xF8]), values(&[0x41, 0x0C, 0x1A, 0xF8]));
    assert_eq!(values(&[0x42, 0x0C, 0x00, 0x1A, 0xF8])[0].2, "rpm");
}

#[test]
fn an_answer_cut_short_gives_no_value() {
    assert_eq!(values(&[0x41, 0x0C, 0x1A]), []);
    assert_eq!(values(&[0x41]), []);
}

#[test]
fn codes_are_written_as_technicians_write_them() {
    for (code, text) in [
        ([0x01, 0x71], "P0171"),
        ([0x4A, 0xBC], "C0ABC"),
        ([0x92, 0x34], "B1234"),
        ([0xC1, 0x00], "U0100"),
        ([0x3F, 0xFF], "P3FFF"),
    ] {
        assert_eq!(dtc_text(code), text);
    }
}

#[test]
fn a_list_of_codes_has_as_many_as_it_says_and_no_fill() {
    let answer = [0x43, 2, 0x01, 0x71, 0x04, 0x20, 0x00, 0x00];
    assert_eq!(parse_dtcs(&answer, CONFIRMED_DTCS), Some(vec![[0x01, 0x71], [0x04, 0x20]]));
    assert_eq!(parse_dtcs(&[0x47, 0], PENDING_DTCS), Some(vec![]));
    assert_eq!(parse_dtcs(&[0x43, 1, 0, 0], CONFIRMED_DTCS), Some(vec![]));
    assert_eq!(parse_dtcs(&answer, PENDING_DTCS), None);
}

#[test]
fn supported_pids_are_counted_from_the_highest_bit() {
    assert_eq!(parse_supported(&[0x41, 0x00, 0x80, 0x00, 0x00, 0x01]), Some(vec![0x01, 0x20]));
    assert_eq!(parse_supported(&[0x41, 0x20, 0x40, 0x00, 0x00, 0x00]), Some(vec![0x22]));
    assert_eq!(parse_supported(&[0x41, 0xE0, 0x00, 0x00, 0x00, 0x03]), Some(vec![0xFF]));
    assert_eq!(parse_supported(&[0x41, 0x05, 0x80, 0x00, 0x00, 0x01]), None);
}

#[test]
fn texts_come_without_their_fill() {
    let mut vin = vec![0x49, 0x02, 1];
    vin.extend_from_slice(b"WDB9066351S123456");
    assert_eq!(parse_texts(&vin), Some(vec!["WDB9066351S123456".to_owned()]));
    let mut calibration = vec![0x49, 0x04, 2];
    calibration.extend_from_slice(b"CAL-1\0\0\0\0\0\0\0\0\0\0\0CAL-2");
    assert_eq!(parse_texts(&calibration), Some(vec!["CAL-1".to_owned(), "CAL-2".to_owned()]));
    assert_eq!(parse_texts(&[0x49, 0x02]), None);
}

#[test]
fn requests_and_answers_have_the_ids_of_iso_15765_4() {
    let standard = |raw| FrameId { raw, is_extended: false };
    let extended = |raw| FrameId { raw, is_extended: true };
    let (a, b) = (Addressing::Standard, Addressing::Extended);
    assert_eq!(a.address_of_answer(standard(0x7E8)).unwrap().send_id, standard(0x7E0));
    assert_eq!(b.address_of_answer(extended(0x18DA_F110)).unwrap().send_id, extended(0x18DA_10F1));
    assert!(a.address_of_answer(standard(0x7F0)).is_none() && b.address_of_answer(standard(0x7E8)).is_none());
    assert!(a.is_request(standard(0x7DF)) && a.is_request(standard(0x7E7)) && !a.is_request(standard(0x7E8)));
    assert!(b.is_request(extended(0x18DA_10F1)) && !b.is_request(extended(0x18DA_F110)));
}

#[test]
fn the_map_is_of_signals_there_are() {
    let (dbc, map) = (dbc(), map());
    let dbc = Dbc::from_bytes(&dbc.name, &dbc.bytes).unwrap();
    assert_eq!(dbc.warnings, []);
    let decoder = Decoder::compile(&[dbc]).unwrap();
    let map = crate::map::SignalMap::parse(&map.name, std::str::from_utf8(&map.bytes).unwrap()).unwrap();
    let mapped = crate::map::MappedDecoder::new(decoder.clone(), std::slice::from_ref(&map)).unwrap();
    assert!(mapped.columns().len() > 25);
    // A map of the vehicle's own goes first; nothing is left of one that says the same.
    assert!(map.clone().yielding_to(std::slice::from_ref(&map)).is_none());
    let own = "version = 1\n[[signal]]\ndbc = \"a.b\"\nvss = \"Vehicle.Speed\"\n";
    let own = crate::map::SignalMap::parse("own.toml", own).unwrap();
    let left = crate::map::MappedDecoder::new(decoder, &[map.yielding_to(&[own]).unwrap()]).unwrap();
    assert_eq!(left.columns().len() + 1, mapped.columns().len());
}

proptest! {
    #[test]
    fn no_answer_whatever_makes_a_reader_panic(answer in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = (parse_supported(&answer), parse_texts(&answer), parse_dtcs(&answer, CONFIRMED_DTCS));
        let _ = (crate::uds::parse_dtcs(&answer), current_data_frame(&answer, Arc::from("x"), Timestamp(0)));
    }
}

#[test]
fn a_real_cars_answers_have_the_values_another_file_gives_them() {
    use std::io::Read;

    use crate::source::{CandumpReader, Source};
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/css-car-obd-gnss/");
    let other = Dbc::open(std::path::Path::new(&format!("{folder}OBD-v4.4.dbc"))).unwrap();
    let other = Decoder::compile(&[other]).unwrap();
    let log = std::fs::File::open(format!("{folder}00000164.candump.log.gz")).unwrap();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(log).read_to_end(&mut text).unwrap();
    let mut log = CandumpReader::new("log".to_owned(), std::io::Cursor::new(text)).unwrap();
    let reader = ValueReader::new().unwrap();
    let (mut compared, mut pids) = (0, std::collections::BTreeSet::new());
    while let Some(frame) = log.next().unwrap() {
        let data = frame.data();
        if frame.id.raw != 0x7E8 || data.get(1) != Some(&0x41) || !reader.knows(data[2]) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let answer = &data[1..=usize::from(data[0])];
        reader.values(answer, &mut |_, value, _| ours.push(value));
        other.decode(&frame, &mut |sample| {
            let signal = other.signal(sample.signal);
            if signal.name.starts_with("S01PID") && signal.name.contains('_') {
                theirs.push(signal.value(sample.raw));
            }
        });
        assert_eq!(ours.len(), theirs.len(), "{data:02X?}");
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() <= 0.01 * b.abs().max(1.0), "{data:02X?}: {a}, not {b}");
        }
        compared += ours.len();
        pids.insert(data[2]);
    }
    assert!(compared > 10_000 && pids.len() > 5, "{compared} values of {pids:02X?}");
}
