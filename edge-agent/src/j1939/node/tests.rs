#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test: a failure is the message")]

use proptest::prelude::*;

use super::*;

const MS: i64 = 1000;
const ENGINE: u8 = 0;
const GATEWAY: u8 = 37;

fn node(address: u8, name: u64) -> Node {
    let settings =
        NodeSettings { name: Name(name), address: SourceAddress(address), interface: Arc::from("vbus0") };
    Node::new(settings)
}

/// Nodes that hear each other, and everything that was on the bus.
struct Bus {
    nodes: Vec<Node>,
    now: i64,
    frames: Vec<Frame>,
    /// Which frames nobody hears, by their count on the bus.
    lost: Vec<usize>,
}

impl Bus {
    fn of(nodes: Vec<Node>) -> Self {
        Self { nodes, now: 0, frames: Vec::new(), lost: Vec::new() }
    }

    /// An engine and a gateway whose addresses are their own.
    fn settled() -> Self {
        let mut bus = Self::of(vec![node(ENGINE, 10), node(GATEWAY, 20)]);
        bus.run(300);
        assert_eq!(bus.nodes[0].address(), Some(SourceAddress(ENGINE)));
        assert_eq!(bus.nodes[1].address(), Some(SourceAddress(GATEWAY)));
        bus.frames.clear();
        bus
    }

    fn run(&mut self, ms: i64) {
        for _ in 0..ms {
            self.now += MS;
            let now = Timestamp(self.now);
            for i in 0..self.nodes.len() {
                while let Some(frame) = self.nodes[i].take_frame(now) {
                    let is_lost = self.lost.contains(&self.frames.len());
                    self.frames.push(frame.clone());
                    for (k, node) in self.nodes.iter_mut().enumerate() {
                        if k != i && !is_lost {
                            node.observe(&frame);
                        }
                    }
                }
            }
        }
    }

    fn events(&mut self, of: usize) -> Vec<NodeEvent> {
        std::iter::from_fn(|| self.nodes[of].take_event()).collect()
    }

    fn message(&mut self, of: usize) -> Option<Vec<u8>> {
        self.events(of).into_iter().find_map(|event| match event {
            NodeEvent::Message(message) => Some(message.data),
            _ => None,
        })
    }

    /// Data of the frames of a parameter group.
    fn of_group(&self, pgn: Pgn) -> Vec<&[u8]> {
        let is_it = |frame: &&Frame| Header::of(frame.id).unwrap().pgn == pgn;
        self.frames.iter().filter(is_it).map(Frame::data).collect()
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 37 + 11) as u8).collect()
}

#[test]
fn nothing_but_the_claim_is_sent_before_the_address_is_its_own() {
    let mut bus = Bus::of(vec![node(ENGINE, 0x8000_1234)]);
    bus.nodes[0].ask(Pgn::DM2, SourceAddress(3)).unwrap();
    bus.run(249);
    assert_eq!(bus.frames.len(), 1);
    assert_eq!(bus.frames[0].id.raw, 0x18EE_FF00);
    assert_eq!(bus.frames[0].data(), 0x8000_1234_u64.to_le_bytes());
    bus.run(10);
    assert_eq!(bus.frames[1].id.raw, 0x18EA_0300);
    assert_eq!(bus.frames[1].data(), [0xCB, 0xFE, 0x00]);
}

#[test]
fn of_two_that_want_one_address_the_lower_name_has_it() {
    let flexible = 1 << 63 | 7;
    let mut bus = Bus::of(vec![node(GATEWAY, 5), node(GATEWAY, flexible), node(GATEWAY, 6)]);
    bus.run(1000);
    assert_eq!(bus.nodes[0].address(), Some(SourceAddress(GATEWAY)));
    // One takes any free address, the other may not and says that it has none.
    assert_eq!(bus.nodes[1].address(), Some(SourceAddress(128)));
    assert_eq!(bus.nodes[2].address(), None);
    assert_eq!(bus.nodes[2].send(Pgn::DM1, SourceAddress::GLOBAL, &[0; 8]), Err(SendRefusal::NoAddress));
    let cannot: Vec<_> = bus.frames.iter().filter(|f| f.id.raw == 0x18EE_FFFE).collect();
    assert_eq!(cannot.len(), 1);
    assert_eq!(cannot[0].data(), 6_u64.to_le_bytes());
    // A later unit of higher priority has it too.
    bus.nodes.push(node(GATEWAY, 1));
    bus.run(1000);
    assert_eq!(bus.nodes[3].address(), Some(SourceAddress(GATEWAY)));
    assert_eq!(bus.nodes[0].address(), None);
}

#[test]
fn whoever_asks_for_addresses_hears_every_unit() {
    let mut bus = Bus::settled();
    bus.nodes[1].ask(Pgn::ADDRESS_CLAIMED, SourceAddress::GLOBAL).unwrap();
    bus.run(10);
    assert_eq!(bus.of_group(Pgn::ADDRESS_CLAIMED), [10_u64.to_le_bytes()]);
}

#[test]
fn a_request_is_heard_and_its_acknowledgement_comes_back() {
    let mut bus = Bus::settled();
    bus.nodes[1].ask(Pgn::DM11, SourceAddress(ENGINE)).unwrap();
    bus.run(5);
    let (by, pgn) = (SourceAddress(GATEWAY), Pgn::DM11);
    assert!(matches!(
        bus.events(0).as_slice(),
        [NodeEvent::Asked { pgn: Pgn::DM11, is_global: false, by: SourceAddress(GATEWAY), .. }]
    ));
    bus.nodes[0].acknowledge(pgn, by, Acknowledgement::AccessDenied).unwrap();
    bus.run(5);
    let how = Acknowledgement::AccessDenied;
    assert_eq!(bus.events(1), [NodeEvent::Acknowledged { pgn, by: SourceAddress(ENGINE), how }]);
}

#[test]
fn a_long_message_is_granted_in_parts_and_acknowledged() {
    let mut bus = Bus::settled();
    let payload = bytes(200);
    bus.nodes[0].send(Pgn::DM2, SourceAddress(GATEWAY), &payload).unwrap();
    bus.run(100);
    assert_eq!(bus.message(1), Some(payload));
    assert!(bus.nodes[0].is_idle());
    let control = bus.of_group(Pgn::TRANSPORT_CONTROL);
    let kinds: Vec<u8> = control.iter().map(|data| data[0]).collect();
    // 29 packets, 16 at most at once.
    assert_eq!(kinds, [16, 17, 17, 19]);
    assert_eq!(control[1][1..3], [16, 1]);
    assert_eq!(control[2][1..3], [13, 17]);
    assert_eq!(control[3], [19, 200, 0, 29, 0xFF, 0xCB, 0xFE, 0]);
}

#[test]
fn a_message_of_more_than_1785_bytes_goes_by_the_extended_protocol() {
    let mut bus = Bus::settled();
    let payload = bytes(1786);
    bus.nodes[0].send(Pgn::DM2, SourceAddress(GATEWAY), &payload).unwrap();
    bus.run(400);
    assert_eq!(bus.message(1), Some(payload));
    assert!(bus.nodes[0].is_idle());
    assert_eq!(bus.nodes[1].wake_at(), None);
    let control = bus.of_group(Pgn::EXTENDED_TRANSPORT_CONTROL);
    // 256 packets in parts of 16, each with its grant and its offset.
    assert_eq!(control.len(), 1 + 2 * 16 + 1);
    assert_eq!(control[0], [20, 0xFA, 0x06, 0, 0, 0xCB, 0xFE, 0]);
    assert_eq!(control[1], [21, 16, 1, 0, 0, 0xCB, 0xFE, 0]);
    assert_eq!(control[2], [22, 16, 0, 0, 0, 0xCB, 0xFE, 0]);
    assert_eq!(control[31], [21, 16, 241, 0, 0, 0xCB, 0xFE, 0]);
    assert_eq!(control[32], [22, 16, 240, 0, 0, 0xCB, 0xFE, 0]);
    assert_eq!(control[33], [23, 0xFA, 0x06, 0, 0, 0xCB, 0xFE, 0]);
    let packets = bus.of_group(Pgn::EXTENDED_TRANSPORT_DATA);
    assert_eq!((packets.len(), packets[16][0], packets[255][0]), (256, 1, 16));
    assert_eq!(bus.of_group(Pgn::TRANSPORT_CONTROL).len() + bus.of_group(Pgn::TRANSPORT_DATA).len(), 0);
}

#[test]
fn a_longer_message_than_a_node_takes_is_refused_at_once() {
    let mut bus = Bus::settled();
    let id = crate::frame::FrameId { raw: 0x1CC8_2500, is_extended: true };
    let data = [20, 1, 0, 1, 0, 0xCB, 0xFE, 0];
    let frame = Frame::new(Timestamp(bus.now), Arc::from("vbus0"), id, FrameKind::Data, &data).unwrap();
    bus.nodes[1].observe(&frame);
    bus.run(5);
    assert_eq!(bus.of_group(Pgn::EXTENDED_TRANSPORT_CONTROL), [[255, 1, 0xFF, 0xFF, 0xFF, 0xCB, 0xFE, 0]]);
    assert_eq!(bus.nodes[1].wake_at(), None);
}

#[test]
fn a_broadcast_has_its_pauses() {
    let mut bus = Bus::settled();
    bus.nodes[0].send(Pgn::DM1, SourceAddress::GLOBAL, &bytes(30)).unwrap();
    bus.run(500);
    let times: Vec<i64> = bus.frames.iter().map(|f| f.time.0).collect();
    assert_eq!(times.len(), 6);
    assert!(times.windows(2).all(|pair| (50 * MS..=200 * MS).contains(&(pair[1] - pair[0]))), "{times:?}");
}

#[test]
fn a_packet_that_is_lost_is_asked_for_again() {
    for lost in 0..40 {
        let mut bus = Bus::settled();
        bus.lost = vec![lost];
        bus.nodes[0].send(Pgn::DM2, SourceAddress(GATEWAY), &bytes(200)).unwrap();
        bus.run(6000);
        assert_eq!(bus.message(1), Some(bytes(200)), "frame {lost} lost");
        assert!(bus.nodes[0].is_idle(), "frame {lost} lost");
    }
}

#[test]
fn whom_nobody_answers_is_told_so() {
    let mut bus = Bus::settled();
    bus.nodes[0].send(Pgn::DM2, SourceAddress(99), &bytes(20)).unwrap();
    bus.run(5000);
    let (pgn, to, why) = (Pgn::DM2, SourceAddress(99), Undelivered::Silent);
    assert_eq!(bus.events(0), [NodeEvent::Undelivered { pgn, to, why }]);
    let kinds: Vec<u8> = bus.of_group(Pgn::TRANSPORT_CONTROL).iter().map(|data| data[0]).collect();
    assert_eq!(kinds, [16, 16, 16, 255]);
}

#[test]
fn a_sender_that_falls_silent_is_given_up() {
    let mut bus = Bus::settled();
    bus.nodes[0].send(Pgn::DM2, SourceAddress(GATEWAY), &bytes(200)).unwrap();
    bus.run(1);
    bus.nodes.remove(0);
    bus.run(8000);
    let kinds: Vec<u8> = bus.of_group(Pgn::TRANSPORT_CONTROL).iter().map(|data| data[0]).collect();
    assert_eq!(kinds.last(), Some(&255));
    assert_eq!(bus.nodes[0].wake_at(), None);
}

#[test]
fn the_ninth_sender_at_once_is_told_to_come_again() {
    let mut gateway = node(GATEWAY, 20);
    let mut frames = Vec::new();
    for now in 0..300 {
        frames.extend(gateway.take_frame(Timestamp(now * MS)));
    }
    for sender in 1..=9_u8 {
        let id = crate::frame::FrameId { raw: 0x1CEC_2500 | u32::from(sender), is_extended: true };
        let data = [16, 20, 0, 3, 0xFF, 0xCB, 0xFE, 0];
        let time = Timestamp(300 * MS);
        gateway.observe(&Frame::new(time, Arc::from("vbus0"), id, FrameKind::Data, &data).unwrap());
    }
    frames.clear();
    frames.extend(std::iter::from_fn(|| gateway.take_frame(Timestamp(300 * MS))));
    let kinds: Vec<u8> = frames.iter().map(|frame| frame.data()[0]).collect();
    assert_eq!(kinds, [17, 17, 17, 17, 17, 17, 17, 17, 255]);
    assert_eq!(frames[8].data()[1], 1);
}

#[test]
fn a_node_holds_no_more_than_its_bounds() {
    let mut node = node(ENGINE, 10);
    for _ in 0..WAITING_MAX {
        node.send(Pgn::DM1, SourceAddress::GLOBAL, &[0; 8]).unwrap();
    }
    assert_eq!(node.send(Pgn::DM1, SourceAddress::GLOBAL, &[0; 8]), Err(SendRefusal::Full));
    assert_eq!(node.send(Pgn::DM1, SourceAddress::GLOBAL, &[]), Err(SendRefusal::Length));
    assert_eq!(node.send(Pgn::DM1, SourceAddress::GLOBAL, &[0; 1786]), Err(SendRefusal::Length));
    let long = vec![0; EXTENDED_PAYLOAD_BYTES_MAX + 1];
    assert_eq!(node.send(Pgn::DM1, SourceAddress(3), &long), Err(SendRefusal::Length));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Messages of every length, both ways at once, with frames lost: what comes is what was sent,
    /// and a sender that was not told otherwise was heard.
    #[test]
    fn what_comes_is_what_was_sent(
        there in 1_usize..4000, back in 1_usize..4000, lost in prop::collection::vec(0_usize..1200, 0..6),
    ) {
        let mut bus = Bus::settled();
        bus.lost = lost;
        bus.nodes[0].send(Pgn::DM2, SourceAddress(GATEWAY), &bytes(there)).unwrap();
        bus.nodes[1].send(Pgn::VEHICLE_IDENTIFICATION, SourceAddress(ENGINE), &bytes(back)).unwrap();
        bus.run(20_000);
        let events = [bus.events(0), bus.events(1)];
        for (to, from, count) in [(1, 0, there), (0, 1, back)] {
            let came = events[to].iter().find_map(|event| match event {
                NodeEvent::Message(message) => Some(message.data.as_slice()),
                _ => None,
            });
            let is_told = events[from].iter().any(|e| matches!(e, NodeEvent::Undelivered { .. }));
            match came {
                Some(data) => prop_assert_eq!(data, bytes(count)),
                // A message of one frame has no answer that could be missed.
                None => prop_assert!(is_told || count <= 8, "{} bytes vanished", count),
            }
        }
    }

    /// Any frame at all is borne.
    #[test]
    fn no_frame_disturbs_it(frames in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..=8)), 0..200)) {
        let mut bus = Bus::settled();
        for (raw, data) in frames {
            // Mostly of the transport protocol and to the gateway.
            let group = [0, 0x1CEB_2500, 0x1CEC_2500, 0x1CC7_2500, 0x1CC8_2500][raw as usize % 5];
            let raw = if group == 0 { raw & 0x1FFF_FFFF } else { group | (raw >> 8) & 0xFF };
            let id = crate::frame::FrameId { raw, is_extended: true };
            let time = Timestamp(bus.now);
            if let Some(frame) = Frame::new(time, Arc::from("vbus0"), id, FrameKind::Data, &data) {
                bus.nodes[1].observe(&frame);
            }
            bus.run(1);
        }
        bus.run(20_000);
        prop_assert!(bus.nodes[1].wake_at().is_none());
    }
}
