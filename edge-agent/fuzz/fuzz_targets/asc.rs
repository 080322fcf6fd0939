//! Any bytes are a log: every call yields a frame, an error or the end, and it does end.
#![no_main]

use edge_agent::source::{LogReader, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // An ASC log is known by its head; of other bytes one is made.
    let is_headed = bytes.trim_ascii_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"date"));
    let head: &[u8] = if is_headed { b"" } else { b"base hex  timestamps relative\n" };
    let Ok(source) = LogReader::new("fuzz", std::io::Cursor::new([head, bytes].concat())) else { return };
    let LogReader::Asc(mut source) = source else { return };
    let lines = bytes.iter().filter(|b| **b == b'\n').count() + 3;
    for _ in 0..lines {
        match source.next() {
            Ok(None) => return,
            Ok(Some(frame)) => assert!(frame.data().len() <= 64),
            Err(_) => {}
        }
    }
    panic!("no end after {lines} lines");
});
