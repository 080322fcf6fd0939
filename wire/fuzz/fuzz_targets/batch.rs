//! Any bytes are a batch or an error, and a batch that reads writes and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::batch::{Batch, CELL_COUNT_MAX, Envelope};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::decode(bytes) {
        let _ = Batch::decode_body(envelope.body);
        let again = envelope.encode().expect("what was read can be written");
        assert_eq!(Envelope::decode(&again).expect("and read again"), envelope);
    }
    // Past the compressor, so that the fuzzer reaches the columns.
    let body = zstd::bulk::compress(bytes, 1).expect("a slice is compressed");
    let Ok(batch) = Batch::decode_body(&body) else { return };
    let cells = batch.groups.iter().map(|g| g.times_us.len() * g.columns.len()).sum::<usize>();
    assert!(cells <= CELL_COUNT_MAX);
    let again = batch.encode_body().expect("what was read can be written");
    // Not `==` on the batches: a NaN is not equal to itself.
    let third = Batch::decode_body(&again).expect("and read again").encode_body();
    assert_eq!(third.expect("and written again"), again);
});
