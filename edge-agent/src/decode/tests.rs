use wire::time::Timestamp;

use super::*;

const HEAD: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\n";

fn decoder(body: &str) -> Decoder {
    Decoder::compile(&[Dbc::from_bytes("car.dbc", format!("{HEAD}{body}").as_bytes()).unwrap()]).unwrap()
}

fn frame(raw: u32, is_extended: bool, data: &[u8]) -> Frame {
    Frame::new(Timestamp(0), "can0".into(), FrameId { raw, is_extended }, FrameKind::Fd, data).unwrap()
}

/// Signals of a frame, `name=raw` in order; `None` for an unknown frame.
fn decode(decoder: &Decoder, frame: &Frame) -> Option<String> {
    let mut found = Vec::new();
    let message = decoder.decode(frame, &mut |sample| {
        found.push(format!("{}={}", decoder.signal(sample.signal).name, sample.raw));
    });
    message.map(|_| found.join(" "))
}

#[test]
fn a_standard_and_an_extended_id_of_one_number_are_two_messages() {
    let decoder = decoder(
        "BO_ 5 Short: 1 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B\n\n\
         BO_ 2147483653 Long: 1 A\n SG_ L : 0|8@1+ (1,0) [0|0] \"\" B\n",
    );
    assert_eq!(decode(&decoder, &frame(5, false, &[7])).as_deref(), Some("S=7"));
    assert_eq!(decode(&decoder, &frame(5, true, &[7])).as_deref(), Some("L=7"));
    assert_eq!(decode(&decoder, &frame(6, false, &[7])), None);
    assert_eq!(decode(&decoder, &frame(6, true, &[7])), None);
}

#[test]
fn remote_and_error_frames_carry_no_signals() {
    let decoder = decoder("BO_ 5 M: 1 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B\n");
    for kind in [FrameKind::Remote, FrameKind::Error] {
        let mut frame = frame(5, false, &[1]);
        frame.kind = kind;
        assert_eq!(decode(&decoder, &frame), None);
    }
}

#[test]
fn a_short_frame_holds_only_its_whole_signals_and_a_long_one_all() {
    let decoder = decoder(
        "BO_ 5 M: 4 A\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" B\n SG_ B : 12|8@1+ (1,0) [0|0] \"\" B\n \
         SG_ C : 31|8@0+ (1,0) [0|0] \"\" B\n",
    );
    let at = |len: usize| decode(&decoder, &frame(5, false, &[0xFF; 64][..len])).unwrap();
    assert_eq!(at(0), "");
    assert_eq!(at(1), "A=255");
    assert_eq!(at(2), "A=255");
    assert_eq!(at(3), "A=255 B=255");
    assert_eq!(at(4), "A=255 B=255 C=255");
    assert_eq!(at(64), "A=255 B=255 C=255");
}

#[test]
fn multiplexed_signals_are_those_of_the_multiplexers_value() {
    let decoder = decoder(
        "BO_ 5 M: 8 A\n SG_ Always : 8|8@1+ (1,0) [0|0] \"\" B\n SG_ Switch M : 0|8@1+ (1,0) [0|0] \"\" B\n \
         SG_ One m1 : 16|8@1+ (1,0) [0|0] \"\" B\n SG_ Two m2 : 16|8@1- (1,0) [0|0] \"\" B\n",
    );
    let of = |switch: u8| decode(&decoder, &frame(5, false, &[switch, 9, 0xFE])).unwrap();
    assert_eq!(of(1), "Switch=1 Always=9 One=254");
    assert_eq!(of(2), "Switch=2 Always=9 Two=-2");
    assert_eq!(of(3), "Switch=3 Always=9");
}

#[test]
fn extended_multiplexing_goes_by_ranges_and_levels() {
    let decoder = decoder(
        "BO_ 5 M: 8 A\n SG_ Top M : 0|8@1+ (1,0) [0|0] \"\" B\n SG_ Sub m3M : 8|8@1+ (1,0) [0|0] \"\" B\n \
         SG_ X m0 : 16|8@1+ (1,0) [0|0] \"\" B\n SG_ Y m0 : 24|8@1+ (1,0) [0|0] \"\" B\n\n\
         SG_MUL_VAL_ 5 Sub Top 3-3, 10-20;\nSG_MUL_VAL_ 5 X Sub 0-9;\nSG_MUL_VAL_ 5 Y Sub 5-200;\n",
    );
    let of = |top: u8, sub: u8| decode(&decoder, &frame(5, false, &[top, sub, 7, 8])).unwrap();
    assert_eq!(of(3, 0), "Top=3 Sub=0 X=7");
    assert_eq!(of(15, 7), "Top=15 Sub=7 X=7 Y=8");
    assert_eq!(of(20, 200), "Top=20 Sub=200 Y=8");
    assert_eq!(of(20, 201), "Top=20 Sub=201");
    assert_eq!(of(21, 7), "Top=21");
}

#[test]
fn floats_and_wide_integers_keep_every_bit() {
    let decoder = decoder(
        "BO_ 5 M: 24 A\n SG_ F : 0|32@1- (2,1) [0|0] \"\" B\n SG_ U : 64|64@1+ (1,0) [0|0] \"\" B\n \
         SG_ D : 135|64@0- (1,0) [0|0] \"\" B\n\nSIG_VALTYPE_ 5 F : 1;\nSIG_VALTYPE_ 5 D : 2;\n",
    );
    let mut data = [0_u8; 24];
    data[..4].copy_from_slice(&1.5_f32.to_le_bytes());
    data[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    data[16..].copy_from_slice(&(-0.1_f64).to_be_bytes());
    let frame = frame(5, false, &data);
    assert_eq!(decode(&decoder, &frame).unwrap(), "F=1.5 U=18446744073709551615 D=-0.1");
    let mut physical = Vec::new();
    decoder.decode(&frame, &mut |s| physical.push(decoder.signal(s.signal).physical(s.raw).to_string()));
    assert_eq!(physical, ["4.0", "18446744073709551615", "-0.1"]);
}

#[test]
fn j1939_messages_are_found_by_pgn_whatever_priority_source_and_destination() {
    // 0x8CF004FE: EEC1, PDU 2; 0x98EA00FE: a request, PDU 1 with a destination.
    let decoder = decoder(
        "BO_ 2364540158 EEC1: 8 A\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] \"rpm\" B\n\n\
         BO_ 2565472510 Request: 3 A\n SG_ Pgn : 0|24@1+ (1,0) [0|0] \"\" B\n\n\
         BO_ 2365194522 Plain: 8 A\n SG_ P : 0|8@1+ (1,0) [0|0] \"\" B\n\n\
         BA_DEF_ BO_  \"VFrameFormat\" ENUM  \"StandardCAN\",\"ExtendedCAN\",\"reserved\",\"J1939PG\";\n\
         BA_DEF_DEF_  \"VFrameFormat\" \"J1939PG\";\nBA_ \"VFrameFormat\" BO_ 2365194522 1;\n",
    );
    let name = |raw| {
        decoder.message_of(FrameId { raw, is_extended: true }).map(|i| decoder.message(i).name.as_str())
    };
    assert_eq!(name(0x0CF0_04FE), Some("EEC1"));
    assert_eq!(name(0x18F0_0400), Some("EEC1"));
    assert_eq!(name(0x18EA_FF0B), Some("Request"));
    assert_eq!(name(0x0CFA_011A), Some("Plain"));
    assert_eq!(name(0x0CFA_0100), None);
    assert_eq!(decoder.message_of(FrameId { raw: 0x404, is_extended: false }), None);
}

#[test]
fn two_j1939_messages_of_one_pgn_are_told() {
    let decoder = decoder(
        "BO_ 2364539904 One: 8 A\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" B\n\n\
         BO_ 2364539905 Two: 8 A\n SG_ B : 0|8@1+ (1,0) [0|0] \"\" B\n\n\
         BA_DEF_ BO_  \"VFrameFormat\" ENUM  \"StandardCAN\",\"ExtendedCAN\",\"reserved\",\"J1939PG\";\n\
         BA_DEF_DEF_  \"VFrameFormat\" \"J1939PG\";\n",
    );
    let told: Vec<String> = decoder.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("car.dbc:12: message Two has the PGN of One at car.dbc:9"), "{told:?}");
    assert_eq!(decode(&decoder, &frame(0x0CF0_0401, true, &[7])).as_deref(), Some("B=7"));
    assert_eq!(decode(&decoder, &frame(0x0CF0_0402, true, &[7])).as_deref(), Some("A=7"));
}

#[test]
fn an_id_in_two_files_names_both_places() {
    let file = |name: &str| Dbc::from_bytes(name, format!("{HEAD}BO_ 5 M: 8 A\n").as_bytes()).unwrap();
    let message = Decoder::compile(&[file("a.dbc"), file("b.dbc")]).unwrap_err().to_string();
    assert!(message.starts_with("b.dbc:9: message M has the id of M at a.dbc:9"), "{message}");
}

#[test]
fn multiplexing_that_would_explode_is_refused_with_its_line() {
    // Each of 1,500 signals lies in every one of as many ranges.
    let mut body = "BO_ 5 M: 8 A\n SG_ Top M : 0|16@1+ (1,0) [0|0] \"\" B\n".to_owned();
    for i in 0..1500 {
        body.push_str(&format!(" SG_ S{i} m{i} : 16|8@1+ (1,0) [0|0] \"\" B\n"));
    }
    for i in 0..1500 {
        body.push_str(&format!("SG_MUL_VAL_ 5 S{i} Top {i}-60000;\n"));
    }
    let dbc = Dbc::from_bytes("car.dbc", format!("{HEAD}{body}").as_bytes()).unwrap();
    let message = Decoder::compile(&[dbc]).unwrap_err().to_string();
    assert!(message.contains("car.dbc:9: the multiplexing of message M"), "{message}");
}

#[test]
fn labels_go_by_raw_value_and_physical_values_by_scale() {
    let decoder = decoder(
        "BO_ 5 M: 8 A\n SG_ S : 0|8@1- (0.5,-1) [0|0] \"\" B\n SG_ I : 8|8@1+ (10,-3) [0|0] \"\" B\n\n\
         VAL_ 5 S -1 \"minus\" 1 \"one\" ;\n",
    );
    let signal = |i: usize| &decoder.signals()[i];
    assert_eq!(signal(0).label(Raw::Int(-1)), Some("minus"));
    assert_eq!(signal(0).label(Raw::Float(1.0)), Some("one"));
    assert_eq!(signal(0).label(Raw::Int(2)), None);
    assert_eq!(signal(0).physical(Raw::Int(-1)), Physical::Float(-1.5));
    assert_eq!(signal(1).physical(Raw::Int(255)), Physical::Int(2547));
    assert_eq!(decoder.find("M", "I").count(), 1);
    assert_eq!(decoder.find("M", "J").count(), 0);
}
