use proptest::prelude::*;

use super::*;

const V4: SpnConversion = SpnConversion::Version4;

fn boost() -> Dtc {
    Dtc::new(Spn(102), 16, Some(3))
}

#[test]
fn dm4_has_the_values_of_the_standard_by_name_and_unit() {
    // Torque mode 1, 200 kPa, 1800 rpm, 75 %, 90 °C, 88.5 km/h, and two bytes of the maker's own;
    // then the filling of the last packet.
    let values = [1, 100, 0x40, 0x38, 75, 130, 0x80, 0x58, 0xAB, 0xCD];
    let mut data = encode(&[(boost(), values.to_vec())]);
    assert_eq!(data[0], 14);
    data.extend_from_slice(&[0xFF; 6]);
    let frames = parse_basic(&data, V4);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].dtc.text(), "SPN 102 FMI 16");
    let expected = json!({
        "EngineTorqueMode": 1.0, "BoostPressure_kpa": 200.0, "EngineSpeed_rpm": 1800.0,
        "EngineLoad_percent": 75.0, "CoolantTemperature_celsius": 90.0, "VehicleSpeed_kmh": 88.5,
        "more": "ABCD",
    });
    assert_eq!(Value::Object(frames[0].values.clone()), expected);
}

#[test]
fn what_a_unit_does_not_know_is_left_out() {
    let frames = parse_basic(&encode(&[(boost(), vec![0xFF, 0xFE, 0x00, 0xFF, 0xFF, 10, 0xFF, 0xFE])]), V4);
    assert_eq!(Value::Object(frames[0].values.clone()), json!({"CoolantTemperature_celsius": -30.0}));
}

#[test]
fn dm25_is_laid_out_as_dm24_says() {
    // SPN 92 of one byte is in the frames and the tests; 190 in the frames; 512 in the data stream only;
    // 3216 of two bytes in the frames, with no name here.
    let dm24 = [
        0x5C, 0x00, 0x1A, 0x01, 0xBE, 0x00, 0x1E, 0x02, 0x00, 0x02, 0x1D, 0x01, 0x90, 0x0C, 0x1E, 0x02, 0xFF,
        0xFF, 0xFF, 0xFF,
    ];
    let layout = parse_layout(&dm24);
    let spns: Vec<_> = layout.iter().map(|place| (place.spn.0, place.bytes)).collect();
    assert_eq!(spns, [(92, 1), (190, 2), (3216, 2)]);
    let frames = [(boost(), vec![50, 0x40, 0x1F, 0x34, 0x12]), (Dtc::new(Spn(110), 0, None), vec![0; 5])];
    let read = parse_expanded(&encode(&frames), &layout, V4);
    assert_eq!(read.len(), 2);
    let expected = json!({"EngineLoad_percent": 50.0, "EngineSpeed_rpm": 1000.0, "SPN 3216": 0x1234});
    assert_eq!(Value::Object(read[0].values.clone()), expected);
    assert_eq!(parse_layout(&encode_layout(&layout)), layout);
}

#[test]
fn frames_of_another_length_than_the_layout_are_not_read() {
    let layout = [Place { spn: Spn(190), bytes: 2 }];
    let data = encode(&[(boost(), vec![0x40, 0x1F, 1]), (boost(), vec![0x40]), (boost(), vec![0x40, 0x1F])]);
    assert_eq!(parse_expanded(&data, &layout, V4).len(), 1);
    assert_eq!(parse_expanded(&data, &[], V4), []);
    // Cut short on its way.
    assert_eq!(parse_basic(&encode(&[(boost(), vec![1; 8])])[..9], V4), []);
    assert_eq!(parse_basic(&encode(&[]), V4), []);
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(data in proptest::collection::vec(any::<u8>(), 0..400), dm24 in proptest::collection::vec(any::<u8>(), 0..64)) {
        let layout = parse_layout(&dm24);
        prop_assert!(layout.len() <= dm24.len() / 4);
        prop_assert!(parse_basic(&data, V4).len() <= data.len() / 5 + 1);
        prop_assert!(parse_expanded(&data, &layout, V4).len() <= data.len() / 5 + 1);
    }
}
