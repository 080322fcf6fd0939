//! Any frames are survived: sessions stay bounded, messages are whole, faults are followed.
#![no_main]

use edge_agent::{
    faults::{FaultBook, FaultSettings},
    frame::{Frame, FrameId, FrameKind},
    j1939::{EXTENDED_PAYLOAD_BYTES_MAX, Event, J1939Settings, Listener},
};
use libfuzzer_sys::fuzz_target;
use wire::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let mut listener = Listener::new(J1939Settings::default());
    let mut book = FaultBook::new(FaultSettings::default());
    let (mut heard, mut told, mut now) = (Vec::new(), Vec::new(), 0_i64);
    for record in bytes.chunks(15) {
        let Some((&[t0, t1, i0, i1, i2, i3, len], data)) = record.split_first_chunk::<7>() else { return };
        now += i64::from(u16::from_le_bytes([t0, t1])) * 100;
        let id = FrameId { raw: u32::from_le_bytes([i0, i1, i2, i3 & 0x1F]), is_extended: true };
        let data = data.get(..usize::from(len % 9)).unwrap_or(data);
        let frame = Frame::new(Timestamp(now), "can0".into(), id, FrameKind::Data, data);
        listener.receive(&frame.expect("at most eight bytes"), &mut heard);
        for event in heard.drain(..) {
            match event {
                Event::Message(message) => {
                    assert!((9..=EXTENDED_PAYLOAD_BYTES_MAX).contains(&message.data.len()))
                }
                Event::Faults(report) => book.report(&report, &mut told),
                Event::Cleared { .. } => {}
            }
        }
        told.clear();
    }
});
