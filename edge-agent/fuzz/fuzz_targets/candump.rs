//! Any bytes are a log: every call yields a frame, an error or the end, and it does end.
#![no_main]

use edge_agent::source::{CandumpReader, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut source) = CandumpReader::new("fuzz", std::io::Cursor::new(bytes.to_vec())) else { return };
    loop {
        match source.next() {
            Ok(None) => break,
            Ok(Some(frame)) => assert!(frame.data().len() <= 64),
            Err(_) => {}
        }
    }
});
