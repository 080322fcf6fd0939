//! Decoded values of real logs equal cantools' values exactly: every expected frame, every signal
//! of it, in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{collections::BTreeMap, fs::File, io::Read, path::PathBuf};

use edge_agent::{
    dbc::Dbc,
    decode::Decoder,
    source::{CandumpReader, Source},
};

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(path)
}

/// message, signal, raw, physical, unit, label: as texts.
type Row = [String; 6];

fn expected(path: &str) -> BTreeMap<u64, Vec<Row>> {
    let file = flate2::read::GzDecoder::new(File::open(data(path)).unwrap());
    let mut rows: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for record in csv::Reader::from_reader(file).records() {
        let record = record.unwrap();
        let field = |i: usize| record[i].to_owned();
        rows.entry(record[0].parse().unwrap()).or_default().push([
            field(3),
            field(4),
            field(5),
            field(6),
            field(7),
            field(8),
        ]);
    }
    rows
}

fn check(dbcs: &[&str], log: &str, expected_file: &str) -> usize {
    let files: Vec<Dbc> = dbcs.iter().map(|path| Dbc::open(&data(path)).unwrap()).collect();
    let decoder = Decoder::compile(&files).unwrap();
    let expected = expected(expected_file);
    let mut source = CandumpReader::open(&data(log)).unwrap();
    let (mut index, mut row_count) = (0, 0);
    while let Some(frame) = source.next().unwrap() {
        if let Some(want) = expected.get(&index) {
            let mut got: Vec<Row> = Vec::new();
            decoder.decode(&frame, &mut |sample| {
                let def = decoder.signal(sample.signal);
                got.push([
                    decoder.message(def.message).name.clone(),
                    def.name.clone(),
                    sample.raw.to_string(),
                    def.physical(sample.raw).to_string(),
                    def.unit.clone(),
                    def.label(sample.raw).unwrap_or_default().to_owned(),
                ]);
            });
            // An expectation of so many rows may end within its last frame.
            if Some(&index) == expected.keys().next_back() {
                got.truncate(want.len());
            }
            assert_eq!(&got, want, "{log}: frame {index}");
            row_count += got.len();
        }
        index += 1;
    }
    assert_eq!(row_count, expected.values().map(Vec::len).sum::<usize>());
    row_count
}

#[test]
fn the_car_with_obd_and_gnss_decodes_as_cantools_does() {
    let rows = check(
        &["css-car-obd-gnss/OBD-v4.4.dbc", "css-car-obd-gnss/canmod-gps.dbc"],
        "css-car-obd-gnss/00000164.candump.log.gz",
        "css-car-obd-gnss/expected_00000164.csv.gz",
    );
    assert_eq!(rows, 24_000);
}

#[test]
fn the_trucks_decode_by_pgn_as_cantools_does() {
    for (log, rows) in [("11111111-00000012-00000001", 4577), ("FCBF0606-00003482-00000001", 761)] {
        let found = check(
            &["css-truck-j1939/CSS-Electronics-SAE-J1939-DEMO.dbc"],
            &format!("css-truck-j1939/{log}.candump.log.gz"),
            &format!("css-truck-j1939/expected_{log}.csv.gz"),
        );
        assert_eq!(found, rows);
    }
}

#[test]
fn the_electric_car_decodes_as_cantools_does() {
    for (log, rows) in [("00000001-63BEF5CD", 17_059), ("00000002-63BEFDF9", 18_709)] {
        let found = check(
            &["css-ev-uds-gnss/gnss.dbc"],
            &format!("css-ev-uds-gnss/2F6913DB-00001089-{log}.candump.log.gz"),
            &format!("css-ev-uds-gnss/expected_2F6913DB-00001089-{log}.csv.gz"),
        );
        assert_eq!(found, rows);
    }
}

#[test]
fn frame_counts_of_the_real_car_are_those_of_its_facts() {
    let mut text = String::new();
    File::open(data("css-car-obd-gnss/facts.json")).unwrap().read_to_string(&mut text).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    let files = ["OBD-v4.4.dbc", "canmod-gps.dbc"]
        .map(|name| Dbc::open(&data(&format!("css-car-obd-gnss/{name}"))).unwrap());
    let decoder = Decoder::compile(&files).unwrap();
    let mut source = CandumpReader::open(&data("css-car-obd-gnss/00000164.candump.log.gz")).unwrap();
    let (mut frames, mut decoded) = (0_u64, 0_u64);
    let mut ranges: BTreeMap<String, (f64, f64, u64)> = BTreeMap::new();
    while let Some(frame) = source.next().unwrap() {
        frames += 1;
        let message = decoder.decode(&frame, &mut |sample| {
            let def = decoder.signal(sample.signal);
            let value = def.value(sample.raw);
            let name = format!("{}.{}", decoder.message(def.message).name, def.name);
            let range = ranges.entry(name).or_insert((value, value, 0));
            *range = (range.0.min(value), range.1.max(value), range.2 + 1);
        });
        decoded += u64::from(message.is_some());
    }
    assert_eq!(frames, facts["frames"].as_u64().unwrap());
    assert_eq!(decoded, facts["decode"]["decoded_frames"].as_u64().unwrap());
    let want: BTreeMap<String, (f64, f64, u64)> = facts["decode"]["signal_ranges"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, range)| {
            let number = |key: &str| range[key].as_f64().unwrap();
            (name.clone(), (number("min"), number("max"), range["n"].as_u64().unwrap()))
        })
        .collect();
    assert_eq!(ranges.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (name, range) in &ranges {
        // serde_json may read a float a last place off; the values themselves are compared above.
        let want = want[name];
        let is_close = |a: f64, b: f64| (a - b).abs() <= a.abs() * f64::EPSILON;
        assert!(is_close(range.0, want.0) && is_close(range.1, want.1), "{name}: {range:?} {want:?}");
        assert_eq!(range.2, want.2, "{name}");
    }
}
