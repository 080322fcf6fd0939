//! Any bytes are an ack, a status, or an error; what reads is written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ack::{AckMessage, VehicleStatus, payload_crc32};

fuzz_target!(|bytes: &[u8]| {
    let _ = payload_crc32(bytes);
    if let Ok(ack) = AckMessage::decode(bytes) {
        assert_eq!(AckMessage::decode(&ack.encode()).expect("what was written is read"), ack);
    }
    if let Ok(status) = VehicleStatus::decode(bytes) {
        assert_eq!(VehicleStatus::decode(&status.encode()).expect("what was written is read"), status);
    }
});
