use super::*;

fn header(raw: u32) -> Header {
    Header::of(FrameId { raw, is_extended: true }).unwrap()
}

#[test]
fn an_id_is_taken_apart_as_the_standard_says() {
    // EEC1 of engine 1, priority 3.
    let eec1 = header(0x0CF0_0400);
    assert_eq!((eec1.priority, eec1.pgn.number(), eec1.source.0), (3, 61444, 0));
    assert_eq!(eec1.destination, SourceAddress::GLOBAL);
    // A request from address 11 to all.
    let request = header(0x18EA_FF0B);
    assert_eq!((request.pgn, request.source.0, request.destination.0), (Pgn::REQUEST, 11, 255));
    // Proprietary A2 has the data page set, and a destination.
    let proprietary = header(0x19EF_000B);
    assert_eq!((proprietary.pgn.number(), proprietary.destination.0), (0x1_EF00, 0));
    // The extended data page is part of the number.
    assert_eq!(header(0x1AF0_0400).pgn.number(), 0x2_F004);
    assert_eq!(Header::of(FrameId { raw: 0x7E8, is_extended: false }), None);
}

#[test]
fn an_id_put_together_again_is_the_same() {
    for raw in [0x0CF0_0400, 0x18EA_FF0B, 0x19EF_000B, 0x1CEB_FF00, 0x1FFF_FFFF, 0] {
        assert_eq!(header(raw).id().raw, raw, "{raw:08X}");
    }
}

#[test]
fn a_number_that_is_no_parameter_group_is_refused() {
    assert_eq!(Pgn::new(0xFECA), Some(Pgn::DM1));
    assert_eq!(Pgn::new(0xEA01), None);
    assert_eq!(Pgn::new(1 << 18), None);
    assert_eq!(Pgn::from_le_bytes([0xCA, 0xFE, 0]), Some(Pgn::DM1));
}
