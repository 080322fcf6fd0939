use super::*;

fn dm(bytes: &[u8]) -> Dm {
    Dm::parse(bytes, SpnConversion::Version4).unwrap()
}

fn codes(dm: &Dm) -> Vec<String> {
    dm.dtcs.iter().map(|dtc| dtc.code(dm.lamps).code).collect()
}

#[test]
fn the_real_truck_s_four_faults_are_read() {
    // PGN 65226 from address 0 of the idling truck's log, 18 bytes in three packets.
    let bytes = [
        0x43, 0xFF, 0xD4, 0x03, 0x09, 0x7E, 0x90, 0x0C, 0x14, 0x02, 0x61, 0x02, 0x09, 0x01, 0x61, 0x02, 0x0C,
        0x03,
    ];
    let dm = dm(&bytes);
    assert_eq!(codes(&dm), ["SPN 980 FMI 9", "SPN 3216 FMI 20", "SPN 609 FMI 9", "SPN 609 FMI 12"]);
    let counts: Vec<_> = dm.dtcs.iter().map(|dtc| dtc.occurrences).collect();
    assert_eq!(counts, [Some(126), Some(2), Some(1), Some(3)]);
    assert_eq!(dm.lamps.lamp(LampKind::MalfunctionIndicator), Lamp::On);
    assert_eq!(dm.lamps.lamp(LampKind::RedStop), Lamp::Off);
    assert_eq!(dm.lamps.lamp(LampKind::AmberWarning), Lamp::Off);
    assert_eq!(dm.lamps.lamp(LampKind::Protect), Lamp::NotAvailable);
    assert_eq!(dm.lamps.status_bits(), 0xFF43);
}

#[test]
fn a_single_frame_has_one_fault_or_none() {
    // Both are from pretty_j1939 (Apache-2.0), test_dm1.log.
    assert_eq!(dm(&[0x00, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF]).dtcs, []);
    let one = dm(&[0x40, 0xFF, 0x5B, 0x00, 0x03, 0x01, 0xFF, 0xFF]);
    assert_eq!(codes(&one), ["SPN 91 FMI 3"]);
    // Ones are the older way to say none; a message of two bytes says nothing.
    assert_eq!(dm(&[0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).dtcs, []);
    assert_eq!(Dm::parse(&[0, 0xFF], SpnConversion::Version4), None);
    assert_eq!(Dm::parse(&[], SpnConversion::Version4), None);
}

#[test]
fn each_conversion_lays_out_the_same_spn_in_its_own_way() {
    // SPN 520267 is 0x7F04B: 16 upper bits 0xFE09, lower three 3; 16 lower bits 0xF04B, upper 7.
    let spn = |bytes: [u8; 4], conversion| Dtc::parse(bytes, conversion).spn.map(|spn| spn.0);
    let fmi = 31;
    let cases = [
        ([0x4B, 0xF0, 7 << 5 | fmi, 1], SpnConversion::Version4),
        ([0xFE, 0x09, 3 << 5 | fmi, 0x81], SpnConversion::Version1),
        ([0x09, 0xFE, 3 << 5 | fmi, 0x81], SpnConversion::Version2),
        ([0x4B, 0xF0, 7 << 5 | fmi, 0x81], SpnConversion::Version3),
    ];
    for (bytes, conversion) in cases {
        assert_eq!(spn(bytes, conversion), Some(520_267), "{conversion:?}");
        assert_eq!(Dtc::parse(bytes, conversion).fmi, 31);
    }
    // The bit clear is version 4 whatever old version the vehicle speaks.
    assert_eq!(spn(cases[0].0, SpnConversion::Version1), Some(520_267));
}

#[test]
fn an_spn_in_an_unknown_old_layout_is_not_guessed() {
    let dm = dm(&[0x40, 0xFF, 0xFE, 0x09, 3 << 5 | 7, 0x81, 0xFF, 0xFF]);
    let code = dm.dtcs[0].code(dm.lamps);
    assert_eq!((code.code.as_str(), code.spn, code.fmi), ("SPN ? (FE0960) FMI 7", None, Some(7)));
}

#[test]
fn a_count_of_all_ones_is_not_available_and_lamps_tell_how_they_flash() {
    let dm = dm(&[0b0101_0100, 0b0001_1100, 91, 0, 3, 0x7F, 0xFF, 0xFF]);
    assert_eq!(dm.dtcs[0].occurrences, None);
    assert_eq!(dm.lamps.lamp(LampKind::MalfunctionIndicator), Lamp::SlowFlash);
    assert_eq!(dm.lamps.lamp(LampKind::RedStop), Lamp::FastFlash);
    assert_eq!(dm.lamps.lamp(LampKind::AmberWarning), Lamp::On);
    assert_eq!(dm.lamps.lamp(LampKind::Protect), Lamp::Off);
}
