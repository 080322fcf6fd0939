#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::{collections::BTreeMap, io::Read, sync::Arc};

use flate2::read::GzDecoder;
use proptest::prelude::*;
use wire::time::Timestamp;

use super::{pdu::st_min_us, *};
use crate::{
    frame::{Frame, FrameId, FrameKind},
    source::{CandumpReader, Source},
};

const SECOND_US: i64 = 1_000_000;

fn id(raw: u32) -> FrameId {
    FrameId { raw, is_extended: false }
}

fn address() -> Address {
    Address::normal(id(0x7E0), id(0x7E8))
}

fn link(address: Address, settings: LinkSettings) -> Link {
    Link::new(address, settings, Arc::from("can0"))
}

fn frame(raw: u32, data: &[u8], at_us: i64) -> Frame {
    Frame::new(Timestamp(at_us), Arc::from("can0"), id(raw), FrameKind::Data, data).unwrap()
}

fn events(link: &mut Link) -> Vec<LinkEvent> {
    std::iter::from_fn(|| link.take_event()).collect()
}

fn faults(link: &mut Link) -> Vec<LinkFault> {
    let fault = |event| match event {
        LinkEvent::SendFailed { fault, .. } | LinkEvent::ReceiveFailed { fault, .. } => Some(fault),
        _ => None,
    };
    events(link).into_iter().filter_map(fault).collect()
}

/// Lets two links speak until both are at rest; gives what the second received, and the times of
/// the first's frames.
fn converse(a: &mut Link, b: &mut Link) -> (Vec<Vec<u8>>, Vec<i64>) {
    let (mut now, mut received, mut times) = (Timestamp(0), Vec::new(), Vec::new());
    loop {
        let mut is_moving = true;
        while is_moving {
            is_moving = false;
            a.tick(now);
            b.tick(now);
            if let Some(frame) = a.take_frame(now) {
                times.push(now.0);
                b.observe(&frame);
                is_moving = true;
            }
            if let Some(frame) = b.take_frame(now) {
                a.observe(&frame);
                is_moving = true;
            }
            received.extend(events(b).into_iter().filter_map(|event| match event {
                LinkEvent::Received { payload, .. } => Some(payload),
                _ => None,
            }));
        }
        match [a.wake_at(), b.wake_at()].into_iter().flatten().min() {
            Some(at) => now = now.max(at),
            None => return (received, times),
        }
    }
}

proptest! {
    #[test]
    fn any_message_survives_any_flow_control(
        payload in prop::collection::vec(any::<u8>(), 1..4096),
        block_size in any::<u8>(),
        st_min_code in any::<u8>(),
        frame_bytes in prop::sample::select(vec![8_usize, 12, 16, 20, 24, 32, 48, 64]),
        padding in prop::option::of(any::<u8>()),
        is_extended in any::<bool>(),
    ) {
        let address = if is_extended { Address::extended(id(1), id(2), 0x33, 0xF1) } else { address() };
        let sends = LinkSettings { frame_bytes, padding, ..LinkSettings::default() };
        let mut a = link(address, sends);
        let mut b = link(address.turned(), LinkSettings { block_size, st_min_code, ..sends });
        a.send(&payload, Timestamp(0)).unwrap();
        let (received, times) = converse(&mut a, &mut b);
        prop_assert_eq!(received, vec![payload]);
        prop_assert_eq!(events(&mut a).len(), 1);
        // Frames within a block keep the receiver's distance.
        let count = times.len();
        if count > 3 && block_size == 0 {
            prop_assert!(times[2..].windows(2).all(|w| w[1] - w[0] >= st_min_us(st_min_code)));
        }
    }

    #[test]
    fn no_frames_whatever_make_a_link_panic_or_take_more_than_its_bound(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..=64), 0_i64..2_000_000), 0..60),
        payload in prop::collection::vec(any::<u8>(), 1..300),
        prefix in prop::option::of(any::<u8>()),
    ) {
        let address = Address { receive_prefix: prefix, ..address() };
        let mut link = link(address, LinkSettings { payload_bytes_max: 300, ..LinkSettings::default() });
        link.send(&payload, Timestamp(0)).unwrap();
        let mut now = 0;
        for (mut data, wait_us) in frames {
            now += wait_us;
            if let (Some(prefix), Some(first)) = (prefix, data.first_mut()) {
                *first = prefix;
            }
            link.observe(&frame(0x7E8, &data, now));
            link.tick(Timestamp(now));
            while link.take_frame(Timestamp(now)).is_some() {}
            for event in events(&mut link) {
                if let LinkEvent::Received { payload, .. } = event {
                    prop_assert!(!payload.is_empty() && payload.len() <= 300);
                }
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Transcript {
    mode: String,
    frame_bytes: usize,
    padding: Option<u8>,
    block_size: u8,
    st_min: u8,
    count: usize,
    frames: Vec<String>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn both_sides_say_byte_for_byte_what_can_isotp_says() {
    let text = include_str!("../../tests/data/isotp/transcripts.jsonl");
    let mut compared = 0;
    for line in text.lines() {
        let case: Transcript = serde_json::from_str(line).unwrap();
        let address = match case.mode.as_str() {
            "normal" => address(),
            _ => Address::extended(id(0x7E0), id(0x7E8), 0x33, 0xF1),
        };
        let settings = LinkSettings {
            payload_bytes_max: 100_000,
            frame_bytes: case.frame_bytes,
            padding: case.padding,
            block_size: case.block_size,
            st_min_code: case.st_min,
            ..LinkSettings::default()
        };
        let payload: Vec<u8> =
            (0..case.count).map(|i| u8::try_from((7 * i + case.count) & 0xFF).unwrap()).collect();
        let (mut a, mut b) = (link(address, settings), link(address.turned(), settings));
        a.send(&payload, Timestamp(0)).unwrap();
        let mut received = Vec::new();
        for (i, said) in case.frames.iter().enumerate() {
            let now = Timestamp(i64::try_from(i).unwrap() * 200_000);
            let (who, data) = said.split_once(':').unwrap();
            let (speaker, hearer) = if who == "A" { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let frame = speaker.take_frame(now).unwrap_or_else(|| panic!("{line:.120}: no frame {i}"));
            assert_eq!(frame.data(), unhex(data), "{line:.120}: frame {i}");
            assert!(hearer.observe(&frame));
            received.extend(events(&mut b));
            compared += 1;
        }
        assert!(matches!(received.last(), Some(LinkEvent::Received { payload: p, .. }) if *p == payload));
        assert!(a.take_frame(Timestamp(i64::MAX / 2)).is_none());
    }
    assert!(compared > 250, "{compared} frames");
}

#[test]
fn a_real_cars_multi_frame_answers_come_whole() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/data/css-ev-uds-gnss/2F6913DB-00001089-00000001-63BEF5CD.candump.log.gz"
    );
    let mut text = Vec::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut text).unwrap();
    let mut log = CandumpReader::new("log".to_owned(), std::io::Cursor::new(text)).unwrap();
    let (mut battery, mut answers) =
        (link(address_of(0x7E4, 0x7EC), LinkSettings::default()), BTreeMap::new());
    let mut lost = 0;
    while let Some(frame) = log.next().unwrap() {
        battery.tick(frame.time);
        battery.observe(&frame);
        for event in events(&mut battery) {
            match event {
                LinkEvent::Received { payload, .. } => {
                    let did = u16::from_be_bytes([payload[1], payload[2]]);
                    assert_eq!(payload[0], 0x62);
                    *answers.entry((did, payload.len())).or_insert(0) += 1;
                }
                LinkEvent::ReceiveFailed { .. } => lost += 1,
                _ => {}
            }
        }
    }
    // Every one of the 540 frames of 7EC in the log is of one of these answers.
    let expected = [((0x0101, 62), 24), ((0x0102, 39), 26), ((0x0105, 46), 24)];
    assert_eq!(answers, expected.into());
    assert_eq!(lost, 0, "{answers:?}");
}

fn address_of(send: u32, receive: u32) -> Address {
    Address::normal(id(send), id(receive))
}

#[test]
fn a_lost_consecutive_frame_ends_the_message() {
    let mut link = link(address(), LinkSettings::default());
    link.observe(&frame(0x7E8, &[0x10, 20, 1, 2, 3, 4, 5, 6], 0));
    link.observe(&frame(0x7E8, &[0x22, 14, 15, 16, 17, 18, 19, 20], 1000));
    assert_eq!(faults(&mut link), [LinkFault::WrongSequence { expected: 1, got: 2 }]);
    // What follows of it is nothing.
    link.observe(&frame(0x7E8, &[0x23, 14, 15, 16, 17, 18, 19, 20], 2000));
    assert_eq!(events(&mut link), []);
}

#[test]
fn a_consecutive_frame_that_does_not_come_ends_the_message_after_n_cr() {
    let mut link = link(address(), LinkSettings::default());
    link.observe(&frame(0x7E8, &[0x10, 20, 1, 2, 3, 4, 5, 6], 0));
    assert!(link.take_frame(Timestamp(0)).is_some());
    link.tick(Timestamp(SECOND_US));
    assert_eq!(faults(&mut link), []);
    assert_eq!(link.wake_at(), Some(Timestamp(SECOND_US + 1)));
    link.tick(Timestamp(SECOND_US + 1));
    assert_eq!(faults(&mut link), [LinkFault::ConsecutiveTimeout]);
}

#[test]
fn a_flow_control_that_does_not_come_ends_sending_after_n_bs() {
    let mut link = link(address(), LinkSettings::default());
    link.send(&[7; 20], Timestamp(0)).unwrap();
    assert_eq!(link.take_frame(Timestamp(5)).unwrap().data()[..2], [0x10, 20]);
    assert_eq!(link.send(&[1], Timestamp(6)), Err(SendError::Busy));
    link.tick(Timestamp(SECOND_US + 5));
    assert_eq!(faults(&mut link), []);
    link.tick(Timestamp(SECOND_US + 6));
    assert_eq!(faults(&mut link), [LinkFault::FlowTimeout]);
    assert_eq!(link.send(&[1], Timestamp(SECOND_US + 7)), Ok(()));
}

#[test]
fn a_bus_that_takes_no_frames_ends_sending_after_n_as() {
    let mut link = link(address(), LinkSettings::default());
    link.send(&[7; 3], Timestamp(0)).unwrap();
    link.tick(Timestamp(SECOND_US + 1));
    assert_eq!(faults(&mut link), [LinkFault::SendTimeout]);
    assert!(link.take_frame(Timestamp(SECOND_US + 2)).is_none());
}

#[test]
fn a_receiver_may_ask_to_wait_but_not_for_ever() {
    let mut link = link(address(), LinkSettings { waits_max: 2, ..LinkSettings::default() });
    link.send(&[7; 20], Timestamp(0)).unwrap();
    assert!(link.take_frame(Timestamp(0)).is_some());
    for i in 1..=2 {
        link.observe(&frame(0x7E8, &[0x31, 0, 0], i * 900_000));
        link.tick(Timestamp(i * 900_000 + 1));
        assert!(link.take_frame(Timestamp(i * 900_000 + 1)).is_none());
    }
    assert_eq!(faults(&mut link), []);
    link.observe(&frame(0x7E8, &[0x31, 0, 0], 2_500_000));
    assert_eq!(faults(&mut link), [LinkFault::Waits]);
}

#[test]
fn a_receiver_without_room_and_a_reserved_status_end_sending() {
    for (status, fault) in [(0x32, LinkFault::Overflow), (0x35, LinkFault::FlowStatus(5))] {
        let mut link = link(address(), LinkSettings::default());
        link.send(&[7; 20], Timestamp(0)).unwrap();
        assert!(link.take_frame(Timestamp(0)).is_some());
        link.observe(&frame(0x7E8, &[status, 0, 0], 10));
        assert_eq!(faults(&mut link), [fault]);
    }
}

#[test]
fn a_message_longer_than_is_taken_is_refused_by_flow_control() {
    let mut link = link(address(), LinkSettings { payload_bytes_max: 100, ..LinkSettings::default() });
    link.observe(&frame(0x7E8, &[0x10, 101, 1, 2, 3, 4, 5, 6], 0));
    assert_eq!(link.take_frame(Timestamp(0)).unwrap().data()[0], 0x32);
    assert_eq!(faults(&mut link), [LinkFault::TooLong { bytes: 101 }]);
    // 32 bits of length.
    link.observe(&frame(0x7E8, &[0x10, 0, 0xFF, 0xFF, 0xFF, 0xFF, 5, 6], 10));
    assert_eq!(faults(&mut link), [LinkFault::TooLong { bytes: u32::MAX }]);
}

#[test]
fn a_new_message_ends_the_one_that_was_coming_and_is_taken() {
    let mut link = link(address(), LinkSettings::default());
    link.observe(&frame(0x7E8, &[0x10, 20, 1, 2, 3, 4, 5, 6], 0));
    link.observe(&frame(0x7E8, &[0x02, 0x41, 0x00], 100));
    let got = events(&mut link);
    assert_eq!(got[1], LinkEvent::ReceiveFailed { fault: LinkFault::Interrupted, time: Timestamp(100) });
    assert_eq!(got[2], LinkEvent::Received { payload: vec![0x41, 0], time: Timestamp(100) });
    // Its flow control is not sent any more.
    assert!(link.take_frame(Timestamp(200)).is_none());
}

#[test]
fn frames_of_lengths_the_standard_forbids_are_ignored() {
    for data in [
        &[0x00, 1, 2][..],
        &[0x08, 1, 2, 3, 4, 5, 6, 7],
        &[0x05, 1, 2],
        &[0x10, 7, 1, 2, 3, 4, 5, 6],
        &[0x10, 0, 0, 0, 0x0F, 0xFF, 5, 6],
        &[0x10, 20, 1, 2, 3],
        &[0x00, 7, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0],
        &[0x07, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0],
        &[0x00, 40, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0],
        &[0x40, 1],
        &[0x30, 0],
        &[],
    ] {
        let mut link = link(address(), LinkSettings::default());
        link.observe(&frame(0x7E8, data, 0));
        assert_eq!((events(&mut link).len(), link.take_frame(Timestamp(0))), (0, None), "{data:02X?}");
    }
}

#[test]
fn only_the_last_consecutive_frame_may_be_short() {
    let mut link = link(address(), LinkSettings::default());
    link.observe(&frame(0x7E8, &[0x10, 20, 1, 2, 3, 4, 5, 6], 0));
    // Too short to be the first of two: not looked at, whatever its number.
    link.observe(&frame(0x7E8, &[0x21, 7, 8], 10));
    link.observe(&frame(0x7E8, &[0x21, 7, 8, 9, 10, 11, 12, 13], 20));
    link.observe(&frame(0x7E8, &[0x22, 14, 15, 16, 17, 18, 19, 20], 30));
    let whole: Vec<u8> = (1..=20).collect();
    assert!(events(&mut link).contains(&LinkEvent::Received { payload: whole, time: Timestamp(30) }));
}

#[test]
fn separation_times_are_those_of_table_20() {
    assert_eq!((st_min_us(0), st_min_us(0x7F)), (0, 127_000));
    assert_eq!((st_min_us(0xF1), st_min_us(0xF9)), (100, 900));
    assert_eq!([0x80, 0xF0, 0xFA, 0xFF].map(st_min_us), [127_000; 4]);
}

#[test]
fn fixed_addresses_are_those_of_the_standard() {
    let address = Address::normal_fixed(0x10, 0xF1);
    assert_eq!((address.send_id.raw, address.receive_id.raw), (0x18DA_10F1, 0x18DA_F110));
    let mixed = Address::mixed_fixed(0x10, 0xF1, 0x55);
    assert_eq!((mixed.send_id.raw, mixed.send_prefix), (0x18CE_10F1, Some(0x55)));
    assert_eq!(mixed.turned().turned(), mixed);
}

#[test]
fn a_request_to_all_fits_one_frame_or_is_refused() {
    let mut link = link(address(), LinkSettings::default());
    let all = id(0x7DF);
    let refused = link.send_functional(&[1; 8], all, Timestamp(0));
    assert_eq!(refused, Err(SendError::TooLong { bytes: 8, bytes_max: 7 }));
    link.send_functional(&[1, 0], all, Timestamp(0)).unwrap();
    assert_eq!(link.take_frame(Timestamp(0)).unwrap().id, all);
    assert_eq!(link.send(&[], Timestamp(0)), Err(SendError::Empty));
    link.send(&[1, 0], Timestamp(0)).unwrap();
    assert_eq!(link.take_frame(Timestamp(0)).unwrap().id, id(0x7E0));
}
