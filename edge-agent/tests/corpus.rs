//! Seeded frames of every message of every DBC file here decode as cantools decodes them, and
//! what is left out of the files is told: the committed list of warnings is all there is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test: a failure is the message"
)]

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use edge_agent::{
    dbc::Dbc,
    decode::{Decoder, Physical, Raw},
    frame::{Frame, FrameId, FrameKind},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wire::time::Timestamp;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data")
}

/// A file, by its path below `tests/data`; plain or gzip.
fn open(name: &str) -> Dbc {
    let bytes = fs::read(root().join(name)).unwrap();
    if !name.ends_with(".gz") {
        return Dbc::from_bytes(name, &bytes).unwrap();
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
    Dbc::from_bytes(name, &plain).unwrap()
}

/// Every DBC file below `tests/data`, sorted.
fn names() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            if path.is_dir() {
                walk(&path, found);
            } else if name.ends_with(".dbc") || name.ends_with(".dbc.gz") {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
}

#[derive(Deserialize)]
struct Row {
    dbc: String,
    id: u32,
    ext: bool,
    length: usize,
    seeds: Seeds,
    signals: usize,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seeds {
    First(u64),
    These(Vec<u64>),
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn payload(seed: u64, length: usize) -> Vec<u8> {
    let (mut data, mut state) = (Vec::new(), seed);
    while data.len() < length {
        data.extend(splitmix64(&mut state).to_le_bytes());
    }
    data.truncate(length);
    data
}

fn float(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("f{:016x}", value.to_bits()) }
}

/// The lines of one frame, by name.
fn lines(decoder: &Decoder, row: &Row, seed: u64) -> BTreeMap<String, String> {
    let (id, data) = (FrameId { raw: row.id, is_extended: row.ext }, payload(seed, row.length));
    let frame = Frame::new(Timestamp(0), "can0".into(), id, FrameKind::Fd, &data).unwrap();
    let mut lines = BTreeMap::new();
    decoder.decode(&frame, &mut |sample| {
        let def = decoder.signal(sample.signal);
        let raw = match sample.raw {
            Raw::Float(value) => float(value),
            whole => whole.to_string(),
        };
        let value = match def.physical(sample.raw) {
            Physical::Int(value) => value.to_string(),
            Physical::Float(value) => float(value),
        };
        let label = def.label(sample.raw).unwrap_or_default();
        lines.insert(def.name.clone(), format!("{}={raw},{value},{label}\n", def.name));
    });
    lines
}

#[test]
fn seeded_frames_of_every_message_decode_as_cantools_does() {
    let file = File::open(root().join("decode-corpus/digests.jsonl.gz")).unwrap();
    let mut decoders: HashMap<String, Decoder> = HashMap::new();
    let (mut signal_count, mut wrong) = (0, Vec::new());
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
        let row: Row = serde_json::from_str(&line.unwrap()).unwrap();
        let decoder =
            decoders.entry(row.dbc.clone()).or_insert_with(|| Decoder::compile(&[open(&row.dbc)]).unwrap());
        let seeds = match &row.seeds {
            Seeds::First(count) => (0..*count).collect(),
            Seeds::These(seeds) => seeds.clone(),
        };
        let (mut digest, mut count) = (Sha256::new(), 0);
        for seed in seeds {
            let lines = lines(decoder, &row, seed);
            count += lines.len();
            lines.values().for_each(|line| digest.update(line.as_bytes()));
        }
        let hex: String = digest.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        if (count, &hex) != (row.signals, &row.sha256) {
            wrong.push(format!("{} id {} ({count} signals for {})", row.dbc, row.id, row.signals));
        }
        signal_count += count;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(decoders.len() > 50 && signal_count > 500_000, "{} {signal_count}", decoders.len());
}

#[test]
fn every_dbc_file_is_read_and_the_warnings_are_those_that_are_known() {
    let names = names();
    assert!(names.len() >= 64, "{}", names.len());
    let mut found = String::new();
    for name in names {
        let dbc = open(&name);
        for warning in &dbc.warnings {
            writeln!(found, "{warning}").unwrap();
        }
        Decoder::compile(&[dbc]).unwrap();
    }
    let known = fs::read_to_string(root().join("decode-corpus/warnings.txt")).unwrap();
    println!("{found}");
    assert!(found == known, "the warnings are no longer those of warnings.txt; those of now are above");
}
