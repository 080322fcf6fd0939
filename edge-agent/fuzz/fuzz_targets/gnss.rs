//! Any lines of a receiver, NMEA or gpsd's JSON, make frames of the agent's own or are told apart
//! as damaged; a position is on the Earth.
#![no_main]

use std::sync::LazyLock;

use edge_agent::{
    dbc::Dbc,
    decode::Decoder,
    source::gnss::{Receiver, RecordedLines},
};
use libfuzzer_sys::fuzz_target;
use wire::time::Timestamp;

static LINES: LazyLock<RecordedLines> =
    LazyLock::new(|| RecordedLines::new().expect("our own file is valid"));

static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../configs/dbc/roadlake-agent.dbc");
    let dbc = Dbc::from_bytes("agent.dbc", bytes).expect("our own file is valid");
    Decoder::compile(&[dbc]).expect("our own file compiles")
});

/// A right checksum behind every sentence that ends in `*`: the fuzzer would hardly find one.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.trim_ascii();
        match text.strip_prefix(b"$").and_then(|rest| rest.strip_suffix(b"*")) {
            Some(body) => {
                let sum = body.iter().fold(0, |sum, byte| sum ^ byte);
                out.extend_from_slice(text);
                out.extend_from_slice(format!("{sum:02X}\n").as_bytes());
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    // Real recordings begin with `$` or `{`.
    let (is_gpsd, lines) = (*first == b'{', if matches!(first, b'{' | b'$') { bytes } else { rest });
    let address = "127.0.0.1:2947".to_owned();
    let receiver = if is_gpsd { Receiver::Gpsd(address) } else { Receiver::NmeaTcp(address) };
    let (frames, _) = LINES.read(&receiver, &with_checksums(lines), Timestamp(0));
    for frame in frames {
        assert!(frame.id.is_own());
        DECODER.decode(&frame, &mut |sample| {
            let def = DECODER.signal(sample.signal);
            let text = def.physical(sample.raw).to_string();
            let value: f64 = text.parse().unwrap_or(0.0);
            let limit = match &*def.name {
                "Latitude" => 90.0,
                "Longitude" => 180.0,
                _ => return,
            };
            assert!(value.abs() <= limit + 1e-6, "{} {text}", def.name);
        });
    }
});
