//! Seeded payloads of many DBC files decode as cantools decodes them; payloads that cantools
//! refuses do not panic. Files that cantools does not load still compile, with warnings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{BufRead, BufReader},
    path::PathBuf,
};

use edge_agent::{
    dbc::{Dbc, DbcError},
    decode::{Decoder, Physical, Raw},
    frame::{Frame, FrameId, FrameKind},
};
use serde_json::Value;
use wire::time::Timestamp;

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(path)
}

fn frame(id: FrameId, hex: &str) -> Frame {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    let kind = if bytes.len() > 8 { FrameKind::Fd } else { FrameKind::Data };
    Frame::new(Timestamp(0), "can0".into(), id, kind, &bytes).unwrap()
}

/// A number of a row as it is written: serde_json may read floats a last place off.
fn token<'a>(line: &'a str, signal: &str, key: &str) -> &'a str {
    let (_, object) = line.split_once(&format!("\"{signal}\": {{")).unwrap();
    let (_, value) = object.split_once(&format!("\"{key}\": ")).unwrap();
    value.split([',', '}']).next().unwrap()
}

fn is_float(v: f64, want: &str) -> bool {
    match want {
        "\"nan\"" => v.is_nan(),
        "\"inf\"" => v == f64::INFINITY,
        "\"-inf\"" => v == f64::NEG_INFINITY,
        _ => want.contains(['.', 'e']) && want.parse() == Ok(v),
    }
}

fn is_raw(raw: Raw, want: &str) -> bool {
    match raw {
        Raw::Int(_) | Raw::Wide(_) => raw.to_string() == want,
        Raw::Float(v) => is_float(v, want),
    }
}

/// An integer in cantools is one here too, and the other way round.
fn is_physical(physical: Physical, want: &str) -> bool {
    match physical {
        Physical::Int(v) => want.parse() == Ok(v),
        Physical::Float(v) => is_float(v, want),
    }
}

/// Runs a set's vectors and says how many rows had values.
fn check(set: &str) -> usize {
    let mut decoders: HashMap<String, Decoder> = HashMap::new();
    let mut row_count = 0;
    let file = File::open(data(&format!("{set}/vectors.jsonl.gz"))).unwrap();
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
        let line = line.unwrap();
        let row: Value = serde_json::from_str(&line).unwrap();
        let name = row["dbc"].as_str().unwrap();
        let decoder = decoders.entry(name.to_owned()).or_insert_with(|| {
            Decoder::compile(&[Dbc::open(&data(&format!("{set}/{name}"))).unwrap()]).unwrap()
        });
        let id = FrameId {
            raw: u32::try_from(row["id"].as_u64().unwrap()).unwrap(),
            is_extended: row["ext"].as_bool().unwrap(),
        };
        let mut got = BTreeMap::new();
        let message = decoder.decode(&frame(id, row["data"].as_str().unwrap()), &mut |sample| {
            got.insert(decoder.signal(sample.signal).name.clone(), sample);
        });
        let Some(want) = row["signals"].as_object() else { continue };
        row_count += 1;
        assert_eq!(decoder.message(message.unwrap()).name, row["message"].as_str().unwrap());
        let names: Vec<&String> = got.keys().collect();
        let mut wanted: Vec<&String> = want.keys().collect();
        wanted.sort();
        assert_eq!(names, wanted, "{line}");
        for (signal, want) in want {
            let sample = got[signal];
            let def = decoder.signal(sample.signal);
            assert!(is_raw(sample.raw, token(&line, signal, "raw")), "{signal}: {:?} in {line}", sample.raw);
            let physical = def.physical(sample.raw);
            assert!(is_physical(physical, token(&line, signal, "phys")), "{signal}: {physical:?} in {line}");
            assert_eq!(def.label(sample.raw), want["label"].as_str(), "{signal} in {line}");
        }
    }
    row_count
}

#[test]
fn payloads_of_production_dbc_files_decode_as_cantools_does() {
    assert_eq!(check("opendbc"), 1161);
}

#[test]
fn payloads_of_cantools_own_dbc_files_decode_as_cantools_does() {
    assert_eq!(check("cantools"), 524);
}

#[test]
fn every_dbc_file_compiles_and_what_is_left_out_is_told_with_its_line() {
    let mut count = 0;
    for set in ["opendbc", "cantools", "model3dbc", "css-car-obd-gnss", "css-truck-j1939", "css-ev-uds-gnss"]
    {
        for entry in fs::read_dir(data(set)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ext| ext != "dbc") {
                continue;
            }
            let dbc = Dbc::open(&path).unwrap();
            for warning in &dbc.warnings {
                assert!(warning.line > 0, "{warning}");
            }
            Decoder::compile(&[dbc]).unwrap();
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn any_frame_of_any_length_decodes_without_panic() {
    for set in ["opendbc", "cantools", "model3dbc", "css-car-obd-gnss"] {
        for entry in fs::read_dir(data(set)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ext| ext != "dbc") {
                continue;
            }
            let decoder = Decoder::compile(&[Dbc::open(&path).unwrap()]).unwrap();
            for message in decoder.messages() {
                for len in 0..=64_usize {
                    for fill in [0_u8, 0xFF, 0x5A] {
                        let bytes = vec![fill; len];
                        let frame =
                            Frame::new(Timestamp(0), "can0".into(), message.id, FrameKind::Fd, &bytes)
                                .unwrap();
                        decoder.decode(&frame, &mut |sample| {
                            assert!(decoder.signal(sample.signal).layout.byte_count_needed() <= len);
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn a_dbc_file_that_is_not_there_or_not_a_dbc_file_is_named() {
    let error = Dbc::open(&data("nowhere.dbc")).unwrap_err();
    assert!(error.to_string().contains("nowhere.dbc"), "{error}");
    let error = Dbc::open(&data("css-car-obd-gnss/LICENSE")).unwrap_err();
    assert!(matches!(&error, DbcError::Syntax { line: 1, .. }), "{error}");
}
