#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::io::{Cursor, Write};

use flate2::{Compression, write::ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// An object with a header of version 1 and a time in nanoseconds.
fn object(kind: u32, time_ns: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = OBJECT_MAGIC.to_vec();
    bytes.extend(32_u16.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(u32::try_from(32 + body.len()).unwrap().to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(time_ns.to_le_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(channel: u16, flags: u8, id: u32, data: [u8; 8]) -> Vec<u8> {
    let mut body = channel.to_le_bytes().to_vec();
    body.extend([flags, 8]);
    body.extend(id.to_le_bytes());
    body.extend(data);
    body
}

fn container(content: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content).unwrap();
    let packed = packed.finish().unwrap();
    let mut bytes = OBJECT_MAGIC.to_vec();
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(u32::try_from(32 + packed.len()).unwrap().to_le_bytes());
    bytes.extend(TYPE_CONTAINER.to_le_bytes());
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(&packed);
    bytes.extend(vec![0; packed.len() % 4]);
    bytes
}

fn file(content: &[u8]) -> Vec<u8> {
    let mut bytes = FILE_MAGIC.to_vec();
    bytes.extend(144_u32.to_le_bytes());
    bytes.resize(40, 0);
    for part in [2021_u16, 7, 1, 26, 4, 40, 55, 12] {
        bytes.extend(part.to_le_bytes());
    }
    bytes.resize(144, 0);
    bytes.extend(content);
    bytes
}

fn reader(bytes: Vec<u8>) -> BlfReader {
    BlfReader::of_input("t.blf".to_owned(), Box::new(Cursor::new(bytes))).unwrap()
}

#[test]
fn objects_that_go_on_in_the_next_container_are_read_whole() {
    let mut fd = 2_u16.to_le_bytes().to_vec();
    fd.extend([0, 9]);
    fd.extend(0x18FE_F100_u32.to_le_bytes().map(|b| b));
    fd[7] |= 0x80;
    fd.extend([0; 5]);
    fd.extend([FD_FLAG_EDL, 12]);
    fd.extend([0; 5]);
    fd.extend(0..64);
    let mut fd64 = vec![1, 9, 12, 0];
    fd64.extend(0x123_u32.to_le_bytes());
    fd64.extend([0; 4]);
    fd64.extend(FD64_FLAG_EDL.to_le_bytes());
    fd64.extend([0; 24]);
    fd64.extend(10..22);
    let objects = [
        object(TYPE_CAN_MESSAGE, 1_000_000, &message(1, 0, 0x7E8, [1, 2, 3, 4, 5, 6, 7, 8])),
        object(115, 0, b"an object of another type"),
        object(TYPE_CAN_FD_MESSAGE, 2_000_000, &fd),
        object(TYPE_CAN_FD_MESSAGE_64, 3_000_000, &fd64),
        object(TYPE_CAN_MESSAGE2, 4_000_000, &message(2, FLAG_REMOTE, 0x100, [0; 8])),
        object(TYPE_CAN_ERROR_EXT, 5_000_000, &[1, 0, 0, 0]),
    ]
    .concat();
    // Cut at an odd place, in the midst of an object.
    let (first, second) = objects.split_at(51);
    let mut reader = reader(file(&[container(first), container(second)].concat()));
    let frames: Vec<Frame> = std::iter::from_fn(|| reader.next().unwrap()).collect();
    let seen: Vec<_> = frames.iter().map(|f| (&*f.interface, f.id.raw, f.kind, f.data().len())).collect();
    assert_eq!(
        seen,
        [
            ("can0", 0x7E8, FrameKind::Data, 8),
            ("can1", 0x18FE_F100, FrameKind::Fd, 12),
            ("can0", 0x123, FrameKind::Fd, 12),
            ("can1", 0x100, FrameKind::Remote, 0),
            ("can0", 0, FrameKind::Error, 0),
        ]
    );
    assert_eq!(frames[0].time, Timestamp::parse("2021-07-26T04:40:55.013Z").unwrap());
    assert_eq!(frames[2].data(), (10..22).collect::<Vec<u8>>());
}

#[test]
fn a_damaged_object_is_told_and_the_next_is_read() {
    let mut bad = object(TYPE_CAN_MESSAGE, 0, &message(1, 0, 0x7E8, [0; 8]));
    bad[..4].copy_from_slice(b"XXXX");
    let good = object(TYPE_CAN_MESSAGE, 0, &message(1, 0, 0x7E9, [0; 8]));
    let mut reader = reader(file(&container(&[bad, good].concat())));
    assert!(matches!(reader.next(), Err(SourceError::Entry { fault: EntryFault::Object, .. })));
    assert_eq!(reader.next().unwrap().unwrap().id.raw, 0x7E9);
    assert_eq!(reader.next().unwrap(), None);
}

#[test]
fn a_file_that_was_cut_gives_its_frames_and_then_says_so() {
    let content = container(&object(TYPE_CAN_MESSAGE, 0, &message(1, 0, 0x7E8, [0; 8])));
    let mut bytes = file(&[content.clone(), content].concat());
    bytes.truncate(bytes.len() - 10);
    let mut reader = reader(bytes);
    assert!(reader.next().unwrap().is_some());
    assert!(matches!(reader.next(), Err(SourceError::Read { .. })));
    assert_eq!(reader.next().unwrap(), None);
}

#[test]
fn a_file_that_was_cut_in_its_header_is_no_empty_log() {
    for len in [10, 56, 100, 143] {
        let bytes = file(&[])[..len].to_vec();
        let opened = BlfReader::of_input("t.blf".to_owned(), Box::new(Cursor::new(bytes)));
        assert!(matches!(opened, Err(SourceError::Read { .. })), "{len}");
    }
    assert_eq!(reader(file(&[])).next().unwrap(), None);
}

/// Reads to the end; ends itself when a reader does not.
fn drain(mut reader: BlfReader) {
    for _ in 0..100_000 {
        if matches!(reader.next(), Ok(None)) {
            return;
        }
    }
    panic!("the reader goes on for ever");
}

proptest! {
    #[test]
    fn any_objects_give_frames_or_faults(
        kinds in proptest::collection::vec(
            (prop_oneof![Just(1_u32), Just(2), Just(73), Just(86), Just(100), Just(101), any::<u32>()],
             proptest::collection::vec(any::<u8>(), 0..120)), 0..6),
        flip in any::<proptest::sample::Index>(),
        bits in any::<u8>(),
    ) {
        let mut objects: Vec<u8> = kinds.iter().flat_map(|(kind, body)| object(*kind, 7, body)).collect();
        if !objects.is_empty() {
            let at = flip.index(objects.len());
            objects[at] ^= bits;
        }
        drain(reader(file(&container(&objects))));
        // The same without a container.
        drain(reader(file(&objects)));
    }

    #[test]
    fn any_bytes_after_the_header_give_frames_or_faults(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drain(reader(file(&bytes)));
    }
}
