//! One recording in three formats is one stream of frames, and native logs are read whole.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::path::PathBuf;

use edge_agent::{
    frame::{Frame, FrameKind},
    source::{LogReader, Source},
};

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(path)
}

fn frames(path: &str, count_max: usize) -> Vec<Frame> {
    let mut reader = LogReader::open(&data(path)).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).take(count_max).collect()
}

/// Frames of the first minute, by the data's own facts.
const FRAME_COUNT: usize = 5599;

#[test]
fn candump_and_blf_of_one_recording_give_equal_frames() {
    let candump = frames("css-car-obd-gnss/00000164.candump.log.gz", FRAME_COUNT);
    let blf = frames("css-car-obd-gnss/first60s.blf", usize::MAX);
    assert_eq!(blf.len(), FRAME_COUNT);
    for (i, (ours, theirs)) in blf.iter().zip(&candump).enumerate() {
        assert_eq!(ours, theirs, "frame {i}");
    }
}

#[test]
fn asc_gives_the_same_frames_at_the_same_distances() {
    let candump = frames("css-car-obd-gnss/00000164.candump.log.gz", FRAME_COUNT);
    let asc = frames("css-car-obd-gnss/first60s.asc.gz", usize::MAX);
    assert_eq!(asc.len(), FRAME_COUNT);
    // The writer of this file spelled 12 ms as `.12`: its beginning is off, not its distances.
    let shift_us = asc[0].time.since_us(candump[0].time);
    assert_eq!(shift_us, 108_000 - 500);
    for (i, (mut ours, theirs)) in asc.into_iter().zip(&candump).enumerate() {
        ours.time = ours.time.plus_us(-shift_us);
        assert_eq!(&ours, theirs, "frame {i}");
    }
}

#[test]
fn a_native_asc_log_is_read_whole() {
    let frames = frames("kona-bms-uds-asc/Main_Relay_-_On.asc", usize::MAX);
    assert_eq!(frames.len(), KONA_FRAME_COUNT);
    assert!(frames.iter().all(|frame| frame.kind == FrameKind::Data && &*frame.interface == "can0"));
    assert!(frames.windows(2).all(|pair| pair[0].time <= pair[1].time));
    // Thu, 09 Nov 2023 20:21:36 GMT and 110.42 ms.
    assert_eq!(frames[0].time.to_string(), "2023-11-09T20:21:36.11042Z");
    assert_eq!(
        (frames[0].id.raw, frames[0].data()),
        (0x594, &[0x34, 0x21, 0x34, 0x21, 0xA0, 0x61, 4, 0x20][..])
    );
}

/// By the data's own facts.
const KONA_FRAME_COUNT: usize = 640;
