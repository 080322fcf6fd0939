#![allow(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use proptest::prelude::*;

use super::*;

const MS: i64 = 1000;

/// One bus and its clock.
#[derive(Default)]
struct Bench {
    transport: Transport,
    now_us: i64,
    messages: Vec<Message>,
}

impl Bench {
    /// A frame 50 ms after the one before.
    fn frame(&mut self, raw: u32, data: &[u8]) {
        self.after(50 * MS, raw, data);
    }

    fn after(&mut self, us: i64, raw: u32, data: &[u8]) {
        self.now_us += us;
        let header = Header::of(FrameId { raw, is_extended: true }).unwrap();
        self.messages.extend(self.transport.receive(Timestamp(self.now_us), &header, data));
    }

    /// Packet `number` of `bytes`, from a unit to another.
    fn packet(&mut self, from: u8, to: u8, bytes: &[u8], number: usize) {
        let mut data = [0xFF; 8];
        data[0] = number as u8;
        let part = bytes.chunks(7).nth(number - 1).unwrap();
        data[1..=part.len()].copy_from_slice(part);
        self.frame(0x1CEB_0000 | u32::from(to) << 8 | u32::from(from), &data);
    }

    fn control(&mut self, from: u8, to: u8, control: u8, more: [u8; 4]) {
        let [a, b, c, d] = more;
        let data = [control, a, b, c, d, 0xCA, 0xFE, 0x00];
        self.frame(0x1CEC_0000 | u32::from(to) << 8 | u32::from(from), &data);
    }

    fn bam(&mut self, from: u8, bytes: &[u8]) {
        let [low, high] = (bytes.len() as u16).to_le_bytes();
        self.control(from, 255, BAM, [low, high, bytes.len().div_ceil(7) as u8, 0xFF]);
    }

    fn rts(&mut self, from: u8, to: u8, bytes: &[u8]) {
        let [low, high] = (bytes.len() as u16).to_le_bytes();
        self.control(from, to, RTS, [low, high, bytes.len().div_ceil(7) as u8, 0xFF]);
    }

    fn payloads(&self) -> Vec<(u8, &[u8])> {
        self.messages.iter().map(|m| (m.source.0, m.data.as_slice())).collect()
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 37 + 11) as u8).collect()
}

#[test]
fn a_broadcast_is_put_together_at_its_last_packet() {
    // pretty_j1939 (Apache-2.0), test_tp_frames.txt, with its count of packets put right.
    let mut bench = Bench::default();
    bench.frame(0x18EC_FF00, &[0x20, 9, 0, 2, 0xFF, 0, 0, 0]);
    bench.frame(0x18EB_FF00, &[1, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(bench.messages, []);
    bench.frame(0x18EB_FF00, &[2, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(bench.payloads(), [(0, [1, 2, 3, 4, 5, 6, 7, 1, 2].as_slice())]);
    assert_eq!(bench.messages[0].time, Timestamp(150 * MS));
    assert_eq!(bench.transport.session_count(), 0);
}

#[test]
fn every_length_from_nine_to_the_longest_comes_whole() {
    for count in [9, 13, 14, 15, 20, 64, 65, 700, 1784, 1785] {
        let (mut bench, payload) = (Bench::default(), bytes(count));
        bench.bam(3, &payload);
        for number in 1..=count.div_ceil(7) {
            bench.packet(3, 255, &payload, number);
        }
        assert_eq!(bench.payloads(), [(3, payload.as_slice())], "{count}");
    }
}

#[test]
fn sessions_of_many_units_interleave_and_so_do_both_kinds_of_one_unit() {
    let (mut bench, payloads) = (Bench::default(), [bytes(30), bytes(31), bytes(32)]);
    bench.bam(1, &payloads[0]);
    bench.bam(2, &payloads[1]);
    bench.rts(1, 249, &payloads[2]);
    for number in 1..=5 {
        bench.packet(2, 255, &payloads[1], number);
        bench.packet(1, 249, &payloads[2], number);
        bench.packet(1, 255, &payloads[0], number);
    }
    let got = bench.payloads();
    assert_eq!(got, [(2, &*payloads[1]), (1, &*payloads[2]), (1, &*payloads[0])]);
    assert_eq!(bench.messages[1].destination, SourceAddress(249));
}

#[test]
fn a_missing_packet_ends_a_broadcast_and_a_doubled_one_does_not() {
    let (mut bench, payload) = (Bench::default(), bytes(30));
    bench.bam(1, &payload);
    bench.packet(1, 255, &payload, 1);
    bench.packet(1, 255, &payload, 3);
    bench.packet(1, 255, &payload, 4);
    bench.packet(1, 255, &payload, 5);
    assert_eq!(bench.messages, []);
    let counts = bench.transport.counts();
    assert_eq!((counts.lost_packet, counts.stray_packets, counts.completed), (1, 2, 0));

    bench.bam(1, &payload);
    for number in [1, 2, 2, 3, 1, 4, 5] {
        bench.packet(1, 255, &payload, number);
    }
    assert_eq!(bench.payloads(), [(1, payload.as_slice())]);
}

#[test]
fn packets_of_a_connection_that_are_sent_again_fill_its_holes() {
    let (mut bench, payload) = (Bench::default(), bytes(30));
    bench.rts(0, 249, &payload);
    bench.control(249, 0, CTS, [5, 1, 0xFF, 0xFF]);
    for number in [1, 3, 4, 5] {
        bench.packet(0, 249, &payload, number);
    }
    bench.control(249, 0, CTS, [1, 2, 0xFF, 0xFF]);
    bench.packet(0, 249, &payload, 2);
    assert_eq!(bench.payloads(), [(0, payload.as_slice())]);
    bench.control(249, 0, END_OF_MESSAGE, [30, 0, 5, 0xFF]);
    assert_eq!(bench.transport.counts().lost_packet, 0);
}

#[test]
fn a_connection_the_receiver_had_whole_but_we_did_not_is_counted_as_lost() {
    let (mut bench, payload) = (Bench::default(), bytes(30));
    bench.rts(0, 249, &payload);
    for number in [1, 2, 4, 5] {
        bench.packet(0, 249, &payload, number);
    }
    bench.control(249, 0, END_OF_MESSAGE, [30, 0, 5, 0xFF]);
    assert_eq!((bench.messages.len(), bench.transport.counts().lost_packet), (0, 1));
    assert_eq!(bench.transport.session_count(), 0);
}

#[test]
fn either_side_may_give_a_connection_up() {
    for from_receiver in [true, false] {
        let (mut bench, payload) = (Bench::default(), bytes(30));
        bench.rts(0, 249, &payload);
        bench.packet(0, 249, &payload, 1);
        let (from, to) = if from_receiver { (249, 0) } else { (0, 249) };
        bench.control(from, to, ABORT, [1, 0xFF, 0xFF, 0xFF]);
        bench.packet(0, 249, &payload, 2);
        let counts = bench.transport.counts();
        assert_eq!((counts.aborted, counts.stray_packets), (1, 1));
    }
}

#[test]
fn an_abort_of_another_message_leaves_the_session() {
    let (mut bench, payload) = (Bench::default(), bytes(9));
    bench.rts(0, 249, &payload);
    bench.frame(0x1CEC_00F9, &[ABORT, 1, 0xFF, 0xFF, 0xFF, 0xCB, 0xFE, 0]);
    bench.packet(0, 249, &payload, 1);
    bench.packet(0, 249, &payload, 2);
    assert_eq!(bench.messages.len(), 1);
}

#[test]
fn a_session_that_falls_silent_is_over_after_the_standard_s_time() {
    // (what is heard last, its time to wait in ms)
    type Begin<'a> = &'a dyn Fn(&mut Bench);
    let cases: [(Begin, i64); 5] = [
        (&|b: &mut Bench| b.bam(0, &bytes(30)), 750),
        (&|b: &mut Bench| b.rts(0, 249, &bytes(30)), 1250),
        (
            &|b: &mut Bench| {
                b.rts(0, 249, &bytes(30));
                b.control(249, 0, CTS, [2, 1, 0xFF, 0xFF]);
            },
            1250,
        ),
        (
            &|b: &mut Bench| {
                b.rts(0, 249, &bytes(30));
                b.control(249, 0, CTS, [0, 0xFF, 0xFF, 0xFF]);
            },
            1050,
        ),
        (
            &|b: &mut Bench| {
                b.rts(0, 249, &bytes(30));
                b.control(249, 0, CTS, [2, 1, 0xFF, 0xFF]);
                b.packet(0, 249, &bytes(30), 1);
            },
            750,
        ),
    ];
    for (i, (begin, wait_ms)) in cases.into_iter().enumerate() {
        let mut bench = Bench::default();
        begin(&mut bench);
        bench.transport.expire(Timestamp(bench.now_us + wait_ms * MS));
        assert_eq!(bench.transport.session_count(), 1, "{i}");
        bench.transport.expire(Timestamp(bench.now_us + wait_ms * MS + 1));
        assert_eq!((bench.transport.session_count(), bench.transport.counts().timed_out), (0, 1), "{i}");
    }
}

#[test]
fn after_the_last_packet_asked_for_the_receiver_s_time_counts() {
    let mut bench = Bench::default();
    bench.rts(0, 249, &bytes(30));
    bench.control(249, 0, CTS, [2, 1, 0xFF, 0xFF]);
    bench.packet(0, 249, &bytes(30), 1);
    bench.packet(0, 249, &bytes(30), 2);
    bench.transport.expire(Timestamp(bench.now_us + 1250 * MS));
    assert_eq!(bench.transport.session_count(), 1);
}

#[test]
fn a_clock_that_goes_back_ends_what_was_under_way() {
    let (mut bench, payload) = (Bench::default(), bytes(30));
    bench.now_us = 10_000 * MS;
    bench.bam(0, &payload);
    bench.packet(0, 255, &payload, 1);
    bench.now_us = 0;
    bench.packet(0, 255, &payload, 2);
    let counts = bench.transport.counts();
    assert_eq!((counts.timed_out, counts.stray_packets), (1, 1));
}

#[test]
fn a_sender_that_begins_again_is_followed_from_there() {
    let (mut bench, payload) = (Bench::default(), bytes(14));
    bench.bam(0, &bytes(30));
    bench.packet(0, 255, &bytes(30), 1);
    bench.bam(0, &payload);
    bench.packet(0, 255, &payload, 1);
    bench.packet(0, 255, &payload, 2);
    assert_eq!(bench.payloads(), [(0, payload.as_slice())]);
    assert_eq!(bench.transport.counts().superseded, 1);
}

#[test]
fn what_contradicts_the_standard_is_counted_and_begins_nothing() {
    let mut bench = Bench::default();
    // 8 bytes fit a frame; 1786 are too many; 30 bytes are no 4 packets; RTS is not for all.
    bench.control(0, 255, BAM, [8, 0, 2, 0xFF]);
    bench.control(0, 255, BAM, [0xFA, 0x06, 255, 0xFF]);
    bench.control(0, 255, BAM, [30, 0, 4, 0xFF]);
    bench.control(0, 255, RTS, [30, 0, 5, 0xFF]);
    bench.control(0, 249, BAM, [30, 0, 5, 0xFF]);
    bench.control(0, 249, 99, [30, 0, 5, 0xFF]);
    bench.frame(0x1CEC_FF00, &[BAM, 30, 0, 5]);
    bench.frame(0x1CEB_FF00, &[]);
    assert_eq!((bench.transport.counts().malformed, bench.transport.session_count()), (8, 0));
}

#[test]
fn a_flood_of_sessions_takes_bounded_memory() {
    let mut bench = Bench::default();
    for from in 0..254_u8 {
        for to in 0..=255_u8 {
            let control = if to == 255 { BAM } else { RTS };
            let data = [control, 0xF9, 0x06, 255, 0xFF, 0xCA, 0xFE, 0];
            bench.after(1, 0x1CEC_0000 | u32::from(to) << 8 | u32::from(from), &data);
        }
    }
    assert_eq!(bench.transport.session_count(), SESSION_COUNT_MAX);
    assert!(bench.transport.counts().evicted > 60_000);
}

proptest! {
    #[test]
    fn any_frames_of_the_protocol_are_survived(
        frames in proptest::collection::vec(
            (0_u8..4, any::<bool>(), 0_u8..3, 0_u8..4, proptest::collection::vec(any::<u8>(), 0..9), 0..2_000_000_i64),
            0..300,
        ),
    ) {
        let mut bench = Bench::default();
        let mut begun = 0_u64;
        for (kind, is_control, from, to, mut data, us) in frames {
            let to = if to == 3 { 255 } else { to };
            if is_control && let Some(first) = data.first_mut() {
                *first = [RTS, CTS, BAM, ABORT][usize::from(kind)];
                begun += 1;
            } else if let Some(first) = data.first_mut() {
                *first %= 6;
            }
            let group = if is_control { 0x1CEC_0000 } else { 0x1CEB_0000 };
            bench.after(us, group | u32::from(to) << 8 | u32::from(from), &data);
        }
        for message in &bench.messages {
            prop_assert!((PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&message.data.len()));
        }
        // Each session ends in one way, or is under way.
        let c = bench.transport.counts();
        let ended = c.completed + c.lost_packet + c.timed_out + c.aborted + c.superseded + c.evicted;
        prop_assert!(ended + bench.transport.session_count() as u64 <= begun);
    }

    #[test]
    fn a_payload_sent_is_the_payload_given(
        payload in proptest::collection::vec(any::<u8>(), PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX),
        order in any::<u64>(),
    ) {
        let mut bench = Bench::default();
        bench.rts(5, 6, &payload);
        let mut numbers: Vec<usize> = (1..=payload.len().div_ceil(7)).collect();
        // A connection's packets may come in any order.
        numbers.sort_by_key(|n| (*n as u64).wrapping_mul(order | 1));
        for number in numbers {
            bench.packet(5, 6, &payload, number);
        }
        prop_assert_eq!(bench.payloads(), vec![(5, payload.as_slice())]);
    }
}
