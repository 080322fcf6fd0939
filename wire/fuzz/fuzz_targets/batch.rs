//! Any bytes are a batch or an error, and a batch that reads writes and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{
    ack::{AckMessage, VehicleStatus},
    batch::{Batch, Envelope},
    catalog::Catalog,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::decode(bytes) {
        let _ = Batch::decode_body(&envelope.body);
    }
    // Past the compressor, so that the fuzzer reaches the columns.
    let body = zstd::bulk::compress(bytes, 1).unwrap_or_default();
    if let Ok(batch) = Batch::decode_body(&body) {
        let again = batch.encode_body().expect("what was read can be written");
        assert_eq!(Batch::decode_body(&again).expect("and read again").sequence, batch.sequence);
    }
    let _ = Catalog::decode(bytes);
    let _ = AckMessage::decode(bytes);
    let _ = VehicleStatus::decode(bytes);
});
