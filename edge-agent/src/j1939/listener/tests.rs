use proptest::prelude::*;

use super::*;
use crate::{
    frame::{FrameId, FrameKind},
    source::{CandumpReader, Source},
};

fn frame(interface: &str, us: i64, raw: u32, data: &[u8]) -> Frame {
    let id = FrameId { raw, is_extended: true };
    Frame::new(Timestamp(us), interface.into(), id, FrameKind::Data, data).unwrap()
}

fn listen(frames: &[Frame]) -> (Listener, Vec<Event>) {
    let (mut listener, mut out) = (Listener::new(J1939Settings::default()), Vec::new());
    for frame in frames {
        listener.receive(frame, &mut out);
    }
    (listener, out)
}

fn faults(events: &[Event]) -> Vec<(&str, FaultList, Vec<&str>)> {
    let of = |event| match event {
        &Event::Faults(FaultReport { ref ecu, list, ref codes, .. }) => {
            Some((ecu.as_str(), list, codes.iter().map(|c| c.code.as_str()).collect()))
        }
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

const ONE_FAULT: [u8; 8] = [0x40, 0xFF, 0x5B, 0x00, 0x03, 0x01, 0xFF, 0xFF];
const NO_FAULT: [u8; 8] = [0x00, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF];

#[test]
fn the_real_truck_tells_its_faults_and_all_of_its_long_messages_are_whole() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/css-truck-j1939/11111111-00000012-00000001.candump.log.gz");
    let mut source = CandumpReader::open(&path).unwrap();
    let (mut listener, mut out) = (Listener::new(J1939Settings::default()), Vec::new());
    while let Some(frame) = source.next().unwrap() {
        listener.receive(&frame, &mut out);
    }
    let counts = listener.counts();
    // The log has 152 announcements and their 531 packets.
    assert_eq!(counts.completed, 152, "{counts:?}");
    assert_eq!((counts.lost_packet, counts.timed_out, counts.malformed), (0, 0, 0), "{counts:?}");
    let told = faults(&out);
    assert_eq!(told.len(), 127);
    let expected = ["SPN 980 FMI 9", "SPN 3216 FMI 20", "SPN 609 FMI 9", "SPN 609 FMI 12"];
    assert!(told.iter().all(|t| t.0 == "engine-1 (SA 0)" && t.1 == FaultList::Active && t.2 == expected));
    let long = out.iter().filter_map(|e| match e {
        Event::Message(m) => Some((m.pgn.number(), m.data.len())),
        _ => None,
    });
    assert_eq!(long.filter(|m| *m == (0xFEE3, 39)).count(), 25);
}

#[test]
fn previously_active_faults_are_a_list_of_their_own() {
    let (_, out) =
        listen(&[frame("can0", 0, 0x18FE_CA03, &ONE_FAULT), frame("can0", 1, 0x18FE_CB03, &NO_FAULT)]);
    assert_eq!(
        faults(&out),
        [
            ("transmission-1 (SA 3)", FaultList::Active, vec!["SPN 91 FMI 3"]),
            ("transmission-1 (SA 3)", FaultList::Previous, vec![])
        ]
    );
}

#[test]
fn a_positive_answer_to_dm11_says_that_active_faults_are_cleared() {
    let ack = |control, pgn: u8| [control, 0xFF, 0xFF, 0xFF, 249, pgn, 0xFE, 0];
    let (_, out) = listen(&[
        frame("can0", 0, 0x18EA_00F9, &[0xD3, 0xFE, 0]),
        frame("can0", 1, 0x18E8_FF00, &ack(1, 0xD3)),
        frame("can0", 2, 0x18E8_FF00, &ack(0, 0xD3)),
        frame("can0", 3, 0x18E8_FF00, &ack(0, 0xCC)),
        frame("can0", 4, 0x18E8_FF00, &ack(0, 0xEC)),
    ]);
    let cleared = |us, list| Event::Cleared { time: Timestamp(us), ecu: "engine-1 (SA 0)".to_owned(), list };
    assert_eq!(out, [cleared(2, FaultList::Active), cleared(3, FaultList::Previous)]);
}

#[test]
fn a_unit_keeps_its_name_when_it_claims_another_address() {
    let name = [7, 0, 0x80, 0x0C, 0, 0, 0, 0x10];
    let (listener, out) = listen(&[
        frame("can0", 0, 0x18EE_FF00, &name),
        frame("can0", 1, 0x18EE_FF8C, &name),
        frame("can0", 2, 0x18FE_CA8C, &ONE_FAULT),
        // Another bus is another book of addresses.
        frame("can1", 3, 0x18FE_CA8C, &ONE_FAULT),
    ]);
    let ecus: Vec<_> = faults(&out).iter().map(|f| f.0.to_owned()).collect();
    assert_eq!(ecus, ["engine-1 (SA 0)", "SA 140"]);
    assert_eq!(listener.name("can0", SourceAddress(140)).map(Name::manufacturer), Some(100));
    assert_eq!(listener.name("can0", SourceAddress(0)), None);
}

#[test]
fn sessions_of_two_buses_do_not_mix() {
    let announce = [32, 9, 0, 2, 0xFF, 0xCA, 0xFE, 0];
    let (_, out) = listen(&[
        frame("can0", 0, 0x1CEC_FF00, &announce),
        frame("can1", 1, 0x1CEB_FF00, &[1, 0, 0, 0, 0, 0, 0, 0]),
        frame("can0", 2, 0x1CEB_FF00, &[1, 0x40, 0xFF, 0x5B, 0x00, 0x03, 0x01, 0x5C]),
        frame("can0", 3, 0x1CEB_FF00, &[2, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
    ]);
    // Nine bytes hold one code and a part of one, which is filling.
    assert_eq!(faults(&out), [("engine-1 (SA 0)", FaultList::Active, vec!["SPN 91 FMI 3"])]);
}

#[test]
fn only_the_interfaces_asked_for_are_listened_to_and_never_more_than_the_bound() {
    let settings = J1939Settings { interfaces: vec!["can1".to_owned()], ..J1939Settings::default() };
    let (mut listener, mut out) = (Listener::new(settings), Vec::new());
    assert!(!listener.receive(&frame("can0", 0, 0x18FE_CA03, &ONE_FAULT), &mut out));
    assert!(listener.receive(&frame("can1", 0, 0x18FE_CA03, &ONE_FAULT), &mut out));
    assert_eq!((out.len(), listener.frames_elsewhere()), (1, 1));

    let many: Vec<Frame> = (0..20).map(|i| frame(&format!("can{i}"), 0, 0x18FE_CA03, &ONE_FAULT)).collect();
    let (listener, out) = listen(&many);
    assert_eq!((out.len(), listener.frames_elsewhere()), (BUS_COUNT_MAX, 20 - BUS_COUNT_MAX as u64));
}

#[test]
fn frames_that_are_not_j1939_or_are_the_agent_s_own_are_left_alone() {
    let (mut listener, mut out) = (Listener::new(J1939Settings::default()), Vec::new());
    let mut others =
        vec![frame("can0", 0, 0x1FFF_F1CA, &ONE_FAULT), frame("can0", 0, 0x0CF0_0400, &ONE_FAULT)];
    let mut standard = frame("can0", 0, 0x7E8, &ONE_FAULT);
    standard.id.is_extended = false;
    let mut remote = frame("can0", 0, 0x18FE_CA03, &[]);
    remote.kind = FrameKind::Remote;
    others.extend([standard, remote]);
    for other in others {
        assert!(!listener.receive(&other, &mut out), "{other:?}");
    }
    assert_eq!(out, []);
}

proptest! {
    #[test]
    fn any_frames_are_survived(
        frames in proptest::collection::vec(
            (any::<u32>(), any::<bool>(), 0..4_usize, proptest::collection::vec(any::<u8>(), 0..=64), any::<i64>()),
            0..300,
        ),
    ) {
        let (mut listener, mut out) = (Listener::new(J1939Settings::default()), Vec::new());
        let groups = [0x18EC_FF00, 0x18EB_FF00, 0x18FE_CA00, 0x18E8_FF00];
        for (raw, is_any, group, data, us) in frames {
            let raw = if is_any { raw & 0x1FFF_FFFF } else { groups[group] | raw & 3 };
            listener.receive(&frame("can0", us, raw, &data), &mut out);
        }
        prop_assert!(listener.buses.iter().all(|(_, b)| b.transport.session_count() <= 64));
    }
}
