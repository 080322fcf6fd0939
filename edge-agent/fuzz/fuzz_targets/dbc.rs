//! Any bytes are a DBC file or an error; what compiles decodes any payload.
#![no_main]

use edge_agent::{
    dbc::Dbc,
    decode::Decoder,
    frame::{Frame, FrameKind},
};
use libfuzzer_sys::fuzz_target;
use wire::time::Timestamp;

fuzz_target!(|input: ([u8; 64], &[u8])| {
    let (payload, text) = input;
    let Ok(dbc) = Dbc::from_bytes("fuzz.dbc", text) else { return };
    let Ok(decoder) = Decoder::compile(&[dbc]) else { return };
    for message in decoder.messages() {
        for len in [0, 1, 7, 8, 64] {
            let frame = Frame::new(Timestamp(0), "can0".into(), message.id, FrameKind::Fd, &payload[..len]);
            let Some(frame) = frame else { return };
            decoder.decode(&frame, &mut |sample| {
                let def = decoder.signal(sample.signal);
                let _ = def.physical(sample.raw);
                let _ = def.label(sample.raw);
            });
        }
    }
});
