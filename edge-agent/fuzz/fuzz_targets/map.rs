//! Any text is a map file or an error; one that joins with a decoder maps any frame.
#![no_main]

use std::sync::LazyLock;

use edge_agent::{
    dbc::Dbc,
    decode::Decoder,
    frame::{Frame, FrameKind},
    map::{MappedDecoder, SignalMap},
};
use libfuzzer_sys::fuzz_target;
use wire::time::Timestamp;

/// The simulator's messages: what the seed maps are of.
static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../configs/dbc/roadlake-simulator.dbc");
    let dbc = Dbc::from_bytes("simulator.dbc", bytes).expect("our own file is valid");
    Decoder::compile(&[dbc]).expect("our own file compiles")
});

fuzz_target!(|input: ([u8; 8], &str)| {
    let (payload, text) = input;
    let Ok(map) = SignalMap::parse("fuzz.toml", text) else { return };
    let Ok(mut mapped) = MappedDecoder::new(DECODER.clone(), &[map]) else { return };
    let ids: Vec<_> = mapped.decoder().messages().iter().map(|m| m.id).collect();
    let mut samples = Vec::new();
    for id in ids {
        for len in [0, 1, 8] {
            let frame = Frame::new(Timestamp(0), "can0".into(), id, FrameKind::Data, &payload[..len]);
            mapped.samples(&frame.expect("8 bytes fit"), &mut samples);
        }
    }
    for sample in samples {
        assert!(mapped.catalog().column(sample.column_id).is_some(), "{}", sample.column_id);
    }
});
