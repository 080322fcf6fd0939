#![allow(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use proptest::prelude::*;

use super::*;
use crate::{frame::FrameId, j1939::Transport};

const MS: i64 = 1000;
const CONTROL: u32 = 0x1CC8_0000;
const DATA: u32 = 0x1CC7_0000;

/// One bus and its clock.
#[derive(Default)]
struct Bench {
    transport: Transport,
    now_us: i64,
    messages: Vec<Message>,
}

impl Bench {
    /// A frame a millisecond after the one before.
    fn frame(&mut self, raw: u32, data: &[u8]) {
        self.after(MS, raw, data);
    }

    fn after(&mut self, us: i64, raw: u32, data: &[u8]) {
        self.now_us += us;
        let header = Header::of(FrameId { raw, is_extended: true }).unwrap();
        self.messages.extend(self.transport.receive(Timestamp(self.now_us), &header, data));
    }

    fn control(&mut self, from: u8, to: u8, control: u8, more: [u8; 4]) {
        let [a, b, c, d] = more;
        let data = [control, a, b, c, d, 0xCB, 0xFE, 0x00];
        self.frame(CONTROL | u32::from(to) << 8 | u32::from(from), &data);
    }

    fn rts(&mut self, from: u8, to: u8, count: usize) {
        self.control(from, to, EXTENDED_RTS, (count as u32).to_le_bytes());
    }

    fn cts(&mut self, from: u8, to: u8, count: u8, next: usize) {
        let [a, b, c, _] = (next as u32).to_le_bytes();
        self.control(from, to, EXTENDED_CTS, [count, a, b, c]);
    }

    fn offset(&mut self, from: u8, to: u8, count: u8, offset: usize) {
        let [a, b, c, _] = (offset as u32).to_le_bytes();
        self.control(from, to, DATA_PACKET_OFFSET, [count, a, b, c]);
    }

    /// Packet `number` of those after `offset`.
    fn packet(&mut self, from: u8, to: u8, bytes: &[u8], offset: usize, number: u8) {
        let mut data = [0xFF; 8];
        data[0] = number;
        let part = bytes.chunks(7).nth(offset + usize::from(number) - 1).unwrap();
        data[1..=part.len()].copy_from_slice(part);
        self.frame(DATA | u32::from(to) << 8 | u32::from(from), &data);
    }

    /// All packets from the one after `offset` on, as many as were granted.
    fn part(&mut self, from: u8, to: u8, bytes: &[u8], offset: usize, count: u8) {
        self.cts(to, from, count, offset + 1);
        self.offset(from, to, count, offset);
        for number in 1..=count {
            self.packet(from, to, bytes, offset, number);
        }
    }

    /// The whole of it, in parts of at most so many packets.
    fn whole(&mut self, from: u8, to: u8, bytes: &[u8], part_max: usize) {
        self.rts(from, to, bytes.len());
        let packets = bytes.len().div_ceil(7);
        for offset in (0..packets).step_by(part_max) {
            self.part(from, to, bytes, offset, part_max.min(packets - offset) as u8);
        }
        self.control(to, from, EXTENDED_END_OF_MESSAGE, (bytes.len() as u32).to_le_bytes());
    }

    fn payloads(&self) -> Vec<(u8, &[u8])> {
        self.messages.iter().map(|m| (m.source.0, m.data.as_slice())).collect()
    }

    fn counts(&self) -> TransportCounts {
        self.transport.counts()
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 37 + 11 + i / 256) as u8).collect()
}

#[test]
fn a_message_of_many_parts_is_put_together_at_its_last_packet() {
    let (mut bench, payload) = (Bench::default(), bytes(2000));
    bench.whole(0, 249, &payload, 255);
    assert_eq!(bench.payloads(), [(0, payload.as_slice())]);
    let message = &bench.messages[0];
    assert_eq!((message.pgn.number(), message.destination), (0xFECB, SourceAddress(249)));
    assert_eq!(bench.counts(), TransportCounts { completed: 1, ..TransportCounts::default() });
    assert_eq!(bench.transport.session_count(), 0);
}

#[test]
fn it_runs_beside_a_message_of_the_transport_protocol_between_the_same_units() {
    let (mut bench, payload) = (Bench::default(), bytes(1786));
    bench.rts(0, 249, payload.len());
    bench.frame(0x1CEC_F900, &[16, 9, 0, 2, 0xFF, 0xCB, 0xFE, 0]);
    bench.part(0, 249, &payload, 0, 255);
    bench.frame(0x1CEB_F900, &[1, 1, 2, 3, 4, 5, 6, 7]);
    // Another unit's, to the same one.
    bench.rts(1, 249, payload.len());
    bench.part(1, 249, &payload, 0, 255);
    bench.part(0, 249, &payload, 255, 1);
    bench.part(1, 249, &payload, 255, 1);
    bench.frame(0x1CEB_F900, &[2, 8, 9, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let got: Vec<_> = bench.messages.iter().map(|m| (m.source.0, m.data.len())).collect();
    assert_eq!(got, [(0, 1786), (1, 1786), (0, 9)]);
    assert_eq!((&bench.messages[0].data, &bench.messages[1].data), (&payload, &payload));
    assert_eq!(bench.messages[2].data, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn packets_that_are_sent_again_fill_holes() {
    let (mut bench, payload) = (Bench::default(), bytes(1786));
    bench.rts(0, 249, payload.len());
    bench.offset(0, 249, 255, 0);
    for number in (1..=255).filter(|n| *n != 77) {
        bench.packet(0, 249, &payload, 0, number);
    }
    bench.part(0, 249, &payload, 255, 1);
    assert_eq!(bench.messages, []);
    bench.part(0, 249, &payload, 76, 1);
    assert_eq!(bench.payloads(), [(0, payload.as_slice())]);
}

#[test]
fn packets_whose_offset_was_not_heard_are_put_nowhere() {
    // Of the first part the end, of the second its grant and its offset are not heard.
    let (mut bench, payload) = (Bench::default(), bytes(1786));
    bench.rts(0, 249, payload.len());
    bench.offset(0, 249, 128, 0);
    for number in 1..=120 {
        bench.packet(0, 249, &payload, 0, number);
    }
    for number in 1..=128 {
        bench.packet(0, 249, &payload, 128, number);
    }
    assert_eq!(bench.counts().malformed, 128);
    bench.part(0, 249, &payload, 120, 8);
    bench.part(0, 249, &payload, 128, 128);
    assert_eq!(bench.payloads(), [(0, payload.as_slice())]);
    // A grant alone ends a part too.
    bench.rts(0, 249, payload.len());
    bench.offset(0, 249, 128, 0);
    bench.cts(249, 0, 128, 129);
    bench.packet(0, 249, &payload, 128, 1);
    assert_eq!(bench.counts().malformed, 129);
}

#[test]
fn a_message_the_receiver_had_whole_but_we_did_not_is_counted_as_lost() {
    let (mut bench, payload) = (Bench::default(), bytes(1786));
    bench.rts(0, 249, payload.len());
    bench.part(0, 249, &payload, 0, 255);
    bench.control(249, 0, EXTENDED_END_OF_MESSAGE, 1786_u32.to_le_bytes());
    assert_eq!((bench.counts().lost_packet, bench.transport.session_count()), (1, 0));
}

#[test]
fn either_side_may_give_it_up_and_an_abort_of_another_message_does_not() {
    for (from, to) in [(0, 249), (249, 0)] {
        let (mut bench, payload) = (Bench::default(), bytes(1786));
        bench.rts(0, 249, payload.len());
        bench.part(0, 249, &payload, 0, 3);
        let other = [ABORT, 1, 0xFF, 0xFF, 0xFF, 0xCA, 0xFE, 0];
        bench.frame(CONTROL | u32::from(to) << 8 | u32::from(from), &other);
        assert_eq!(bench.transport.session_count(), 1);
        bench.control(from, to, ABORT, [1, 0xFF, 0xFF, 0xFF]);
        bench.packet(0, 249, &payload, 0, 4);
        assert_eq!((bench.counts().aborted, bench.counts().stray_packets), (1, 1));
    }
}

#[test]
fn a_session_that_falls_silent_is_over_after_the_standard_s_time() {
    // (what is heard last, its time to wait in ms)
    type Begin<'a> = &'a dyn Fn(&mut Bench);
    let cases: [(Begin, i64); 6] = [
        (&|_| {}, 1250),
        (&|b| b.cts(249, 0, 2, 1), 1250),
        (&|b| b.cts(249, 0, 0, 1), 1050),
        (&|b| b.offset(0, 249, 2, 0), 750),
        (
            &|b| {
                b.offset(0, 249, 2, 0);
                b.packet(0, 249, &bytes(1786), 0, 1);
            },
            750,
        ),
        (&|b| b.part(0, 249, &bytes(1786), 0, 2), 1250),
    ];
    for (i, (begin, wait_ms)) in cases.into_iter().enumerate() {
        let mut bench = Bench::default();
        bench.rts(0, 249, 1786);
        begin(&mut bench);
        bench.transport.expire(Timestamp(bench.now_us + wait_ms * MS));
        assert_eq!(bench.transport.session_count(), 1, "{i}");
        bench.transport.expire(Timestamp(bench.now_us + wait_ms * MS + 1));
        assert_eq!((bench.transport.session_count(), bench.counts().timed_out), (0, 1), "{i}");
    }
}

#[test]
fn a_clock_that_goes_back_ends_what_was_under_way() {
    let mut bench = Bench { now_us: 10_000 * MS, ..Bench::default() };
    bench.rts(0, 249, 1786);
    bench.now_us = 0;
    bench.offset(0, 249, 2, 0);
    assert_eq!((bench.counts().timed_out, bench.transport.session_count()), (1, 0));
}

#[test]
fn a_sender_that_begins_again_is_followed_from_there() {
    let (mut bench, payload) = (Bench::default(), bytes(1786));
    bench.rts(0, 249, 4000);
    bench.part(0, 249, &bytes(4000), 0, 9);
    bench.whole(0, 249, &payload, 100);
    assert_eq!(bench.payloads(), [(0, payload.as_slice())]);
    assert_eq!(bench.counts().superseded, 1);
}

#[test]
fn what_contradicts_the_standard_is_counted_and_begins_nothing() {
    let mut bench = Bench::default();
    // It is not for all; 1785 bytes are for the transport protocol; 2^24 packets are too many.
    bench.rts(0, 255, 1786);
    bench.rts(0, 249, 1785);
    bench.rts(0, 249, STANDARD_BYTES_MAX + 1);
    bench.rts(254, 249, 1786);
    bench.control(0, 249, 99, [0; 4]);
    bench.frame(CONTROL | 249 << 8, &[EXTENDED_RTS, 0, 8, 0, 0]);
    bench.frame(CONTROL | 249 << 8, &[EXTENDED_RTS, 0, 8, 0, 0, 0xFF, 0xFF, 0xFF]);
    bench.frame(DATA | 249 << 8, &[]);
    assert_eq!((bench.counts().malformed, bench.transport.session_count()), (8, 0));

    // Packets that no offset was told for, or beyond what it was told for, or none at all.
    let payload = bytes(1786);
    bench.rts(0, 249, payload.len());
    bench.packet(0, 249, &payload, 0, 1);
    bench.offset(0, 249, 2, 255);
    bench.offset(0, 249, 0, 0);
    bench.offset(0, 249, 2, 0);
    bench.packet(0, 249, &payload, 0, 3);
    bench.frame(DATA | 249 << 8, &[0; 8]);
    bench.frame(DATA | 249 << 8, &[1, 2, 3]);
    assert_eq!((bench.counts().malformed, bench.transport.session_count()), (14, 1));
}

#[test]
fn a_message_longer_than_is_taken_is_refused_and_others_go_on() {
    let (mut bench, payload) = (Bench::default(), bytes(EXTENDED_PAYLOAD_BYTES_MAX));
    bench.rts(1, 249, payload.len());
    bench.rts(0, 249, EXTENDED_PAYLOAD_BYTES_MAX + 1);
    bench.rts(2, 249, STANDARD_BYTES_MAX);
    assert_eq!((bench.counts().refused, bench.transport.session_count()), (2, 1));
    for offset in (0..payload.len().div_ceil(7)).step_by(255) {
        bench.part(1, 249, &payload, offset, (payload.len().div_ceil(7) - offset).min(255) as u8);
    }
    assert!(bench.payloads() == [(1, payload.as_slice())]);
}

#[test]
fn a_flood_of_sessions_takes_bounded_memory() {
    let mut bench = Bench::default();
    let count = (EXTENDED_PAYLOAD_BYTES_MAX as u32).to_le_bytes();
    for from in 0..254_u32 {
        for to in 0..254_u32 {
            let [a, b, c, d] = count;
            let data = [EXTENDED_RTS, a, b, c, d, 0xCB, 0xFE, 0];
            bench.after(1, CONTROL | to << 8 | from, &data);
        }
    }
    assert_eq!(bench.transport.session_count(), EXTENDED_BYTES_MAX / EXTENDED_PAYLOAD_BYTES_MAX);
    assert_eq!(bench.counts().refused, 254 * 254 - 4);
    // The room is there again when they have fallen silent.
    bench.after(1_250_001, CONTROL | 9 << 8, &[EXTENDED_RTS, 0, 8, 0, 0, 0xCB, 0xFE, 0]);
    assert_eq!((bench.transport.session_count(), bench.counts().timed_out), (1, 4));
}

proptest! {
    #[test]
    fn any_frames_of_the_protocol_are_survived(
        frames in prop::collection::vec(
            (0_u8..5, any::<bool>(), 0_u8..3, 0_u8..3, prop::collection::vec(any::<u8>(), 0..9), 0..900_000_i64),
            0..300,
        ),
    ) {
        let mut bench = Bench::default();
        let mut begun = 0_u64;
        for (kind, is_control, from, to, mut data, us) in frames {
            if is_control && let [first, more @ ..] = data.as_mut_slice() {
                *first = [EXTENDED_RTS, EXTENDED_CTS, DATA_PACKET_OFFSET, EXTENDED_END_OF_MESSAGE, ABORT][usize::from(kind)];
                begun += u64::from(kind == 0);
                // Lengths and offsets that are possible, and one group.
                if let [_, second, third, fourth, group @ ..] = more {
                    (*second, *third, *fourth) = (*second % 16, 0, 0);
                    group.iter_mut().for_each(|b| *b = 0);
                }
            } else if let Some(first) = data.first_mut() {
                *first %= 6;
            }
            let group = if is_control { CONTROL } else { DATA };
            bench.after(us, group | u32::from(to) << 8 | u32::from(from), &data);
        }
        for message in &bench.messages {
            prop_assert!((PAYLOAD_BYTES_MAX + 1..=EXTENDED_PAYLOAD_BYTES_MAX).contains(&message.data.len()));
        }
        // Each session ends in one way, or is under way.
        let c = bench.counts();
        let ended = c.completed + c.lost_packet + c.timed_out + c.aborted + c.superseded + c.refused;
        prop_assert!(ended + bench.transport.session_count() as u64 <= begun);
    }

    #[test]
    fn a_payload_sent_is_the_payload_given(
        payload in prop::collection::vec(any::<u8>(), PAYLOAD_BYTES_MAX + 1..6000),
        part_max in 1_usize..=255,
        order in any::<u64>(),
    ) {
        let mut bench = Bench::default();
        bench.rts(5, 6, payload.len());
        let packets = payload.len().div_ceil(7);
        let mut offsets: Vec<usize> = (0..packets).step_by(part_max).collect();
        // Parts may come in any order, and one of them twice.
        offsets.sort_by_key(|n| (*n as u64).wrapping_mul(order | 1));
        offsets.insert(offsets.len() - 1, offsets[0]);
        for offset in offsets {
            bench.part(5, 6, &payload, offset, part_max.min(packets - offset) as u8);
        }
        prop_assert_eq!(bench.payloads(), vec![(5, payload.as_slice())]);
    }
}
