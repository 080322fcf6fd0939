//! Any bytes are a log or a fault: every call yields a frame, an error or the end, it does end, and no
//! object or block asks for more memory than it has bytes.
#![no_main]

use std::io::{Cursor, Write};

use arbitrary::Arbitrary;
use edge_agent::source::{LogReader, Source};
use flate2::{Compression, write::ZlibEncoder};
use libfuzzer_sys::fuzz_target;

/// What follows the file header. Blocks are mostly packed here, since the fuzzer would never get
/// past zlib's checksum.
#[derive(Debug, Arbitrary)]
enum Part {
    Raw(Vec<u8>),
    /// A block: how its objects are packed, whether it tells their size, and the objects.
    Block {
        is_packed: bool,
        told: Option<u32>,
        objects: Vec<Object>,
    },
}

/// An object of a block.
#[derive(Debug, Arbitrary)]
enum Object {
    Raw(Vec<u8>),
    Framed { kind: u8, header_bytes: u8, flags: u8, ticks: u64, body: Vec<u8> },
}

fn framed(kind: u32, header_bytes: u16, rest: &[u8], out: &mut Vec<u8>) {
    let size = 16 + rest.len() as u32;
    out.extend_from_slice(b"LOBJ");
    out.extend_from_slice(&header_bytes.to_le_bytes());
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(rest);
    out.resize(out.len().next_multiple_of(4), 0);
}

impl Object {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Framed { kind, header_bytes, flags, ticks, body } => {
                // The kinds of frames, and what the fuzzer likes.
                let kind = [1, 86, 2, 73, 100, 101].get(usize::from(*kind)).copied().unwrap_or(*kind);
                let header_bytes = if *header_bytes < 128 { 32 } else { u16::from(*header_bytes) - 128 };
                let mut rest = Vec::new();
                rest.extend_from_slice(&u32::from(*flags % 4).to_le_bytes());
                rest.extend_from_slice(&[0; 4]);
                rest.extend_from_slice(&ticks.to_le_bytes());
                rest.extend_from_slice(body);
                framed(u32::from(kind), header_bytes, &rest, out);
            }
        }
    }
}

fn log(parts: &[Part]) -> Vec<u8> {
    let mut out = b"LOGG".to_vec();
    out.extend_from_slice(&144_u32.to_le_bytes());
    out.resize(144, 0);
    for part in parts {
        match part {
            Part::Raw(bytes) => out.extend_from_slice(bytes),
            Part::Block { is_packed, told, objects } => {
                let mut inner = Vec::new();
                for object in objects {
                    object.write(&mut inner);
                }
                let told = told.unwrap_or(inner.len() as u32);
                let mut rest = (if *is_packed { 2_u16 } else { 0 }).to_le_bytes().to_vec();
                rest.extend_from_slice(&[0; 6]);
                rest.extend_from_slice(&told.to_le_bytes());
                rest.extend_from_slice(&[0; 4]);
                if *is_packed {
                    let mut packer = ZlibEncoder::new(rest, Compression::fast());
                    packer.write_all(&inner).expect("memory takes all");
                    rest = packer.finish().expect("memory takes all");
                } else {
                    rest.extend_from_slice(&inner);
                }
                framed(10, 16, &rest, &mut out);
            }
        }
    }
    out
}

fn read(bytes: Vec<u8>) {
    let len = bytes.len() as u64;
    let Ok(mut source) = LogReader::new("fuzz", Cursor::new(bytes)) else { return };
    let mut steps = 0_u64;
    loop {
        match source.next() {
            Ok(None) => break,
            Ok(Some(frame)) => assert!(frame.data().len() <= 64),
            Err(error) if error.is_passing() => {}
            Err(_) => break,
        }
        steps += 1;
        // zlib packs at most 1032 to 1.
        assert!(steps <= len.saturating_mul(1032), "no end after {steps} steps of {len} bytes");
    }
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"LOGG") {
        read(bytes.to_vec());
        return;
    }
    let mut input = arbitrary::Unstructured::new(bytes);
    if let Ok(parts) = Vec::<Part>::arbitrary(&mut input) {
        read(log(&parts));
    }
});
