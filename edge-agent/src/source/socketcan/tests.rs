#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use service::clock::ManualClock;

use super::*;
use crate::frame::FrameId;

fn frame(kind: FrameKind, raw: u32, data: &[u8]) -> Frame {
    Frame::new(Timestamp(1), "can0".into(), FrameId { raw, is_extended: false }, kind, data).unwrap()
}

#[test]
fn an_interface_that_is_not_there_is_tried_again_with_back_off_and_the_source_stays_quiet() {
    let clock = ManualClock::at(0);
    let mut source = SocketCanSource::new(&["nocan9".to_owned()], None, clock.clone());
    assert_eq!(source.next_within(Duration::ZERO).unwrap(), Polled::Quiet);
    assert_eq!(source.counts().interfaces_out, 1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let due_us = source.lines[0].retry_at_us;
        waits.push(due_us - clock.as_ref().monotonic());
        clock.advance(Duration::from_micros(u64::try_from(waits[waits.len() - 1]).unwrap()));
        source.open_due();
    }
    assert_eq!(waits[..3], [100_000, 200_000, 400_000]);
    assert_eq!(waits[7], RETRY_MAX_US);
}

trait Monotonic {
    fn monotonic(&self) -> i64;
}

impl Monotonic for ManualClock {
    fn monotonic(&self) -> i64 {
        service::Clock::monotonic_us(self)
    }
}

#[test]
fn reports_of_the_controller_are_counted_by_change_and_are_no_frames() {
    let (mut line, mut counts) = (Line::new("can0"), SourceCounts::default());
    let bus_off = frame(FrameKind::Error, 0x40, &[0; 8]);
    let mut frames = vec![
        frame(FrameKind::Data, 0x100, &[1]),
        frame(FrameKind::Error, 0x4, &[0, 0x20, 0, 0, 0, 0, 0, 0]),
        bus_off.clone(),
        bus_off,
        frame(FrameKind::Data, 0x101, &[2]),
    ];
    note(&mut line, &mut frames, 0, &mut counts);
    assert_eq!(frames.iter().map(|f| f.id.raw).collect::<Vec<_>>(), [0x100, 0x101]);
    assert_eq!((counts.error_frames, counts.bus_offs, counts.error_passives), (3, 1, 1));
    assert!(line.is_out());

    let mut restarted = vec![frame(FrameKind::Error, 0x100, &[0; 8])];
    note(&mut line, &mut restarted, 0, &mut counts);
    assert_eq!((counts.restarts, line.state), (1, BusState::Active));
}

#[test]
fn a_frame_that_comes_long_after_a_bus_off_says_that_the_controller_is_back() {
    let (mut line, mut counts) = (Line::new("can0"), SourceCounts::default());
    let at = |us: i64, kind, raw| {
        let mut frame = frame(kind, raw, &[0; 8]);
        frame.time = Timestamp(us);
        frame
    };
    let off = at(10, FrameKind::Error, 0x40);
    note(&mut line, &mut vec![off, at(20, FrameKind::Data, 0x100)], 0, &mut counts);
    assert!(line.is_out(), "what the controller still had is no sign");
    note(&mut line, &mut vec![at(10 + OFF_LEAST_US + 1, FrameKind::Data, 0x100)], 0, &mut counts);
    assert_eq!(line.state, BusState::Active);
    // So the next one is counted.
    note(&mut line, &mut vec![at(3_000_000, FrameKind::Error, 0x40)], 0, &mut counts);
    assert_eq!((counts.bus_offs, counts.error_frames, counts.restarts), (2, 2, 0));
}

#[test]
fn a_writer_without_an_interface_says_so() {
    let mut source = SocketCanSource::new(&["nocan9".to_owned()], None, ManualClock::at(0));
    let mut writer = source.bus_writer("nocan9").unwrap();
    let error = writer.send(&frame(FrameKind::Data, 1, &[])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    assert!(source.bus_writer("can7").is_none());
}
