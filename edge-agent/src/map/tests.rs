use wire::{catalog::ValueKind, time::Timestamp};

use super::*;
use crate::{
    dbc::Dbc,
    frame::{FrameId, FrameKind},
};

const DBC: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\n\
    BO_ 5 Motion: 8 A\n SG_ Valid : 63|1@0+ (1,0) [0|1] \"\" B\n \
    SG_ Speed : 0|16@1+ (0.1,0) [0|300] \"m/s\" B\n SG_ Odometer : 16|16@1+ (1,2) [0|0] \"km\" B\n \
    SG_ Gear : 32|4@1+ (1,0) [0|0] \"\" B\n\n\
    BO_ 6 Engine: 8 A\n SG_ Speed : 0|16@1+ (0.25,0) [0|0] \"rpm\" B\n \
    SG_ Load : 32|32@1- (1,0) [0|0] \"\" B\n\n\
    BO_ 7 Other: 8 A\n SG_ X : 0|8@1+ (1,0) [0|0] \"\" B\n\nSIG_VALTYPE_ 6 Load : 1;\n";

fn decoder() -> Decoder {
    Decoder::compile(&[Dbc::from_bytes("car.dbc", DBC.as_bytes()).unwrap()]).unwrap()
}

fn mapped(body: &str) -> Result<MappedDecoder, MapError> {
    MappedDecoder::new(decoder(), &[SignalMap::parse("car.toml", &format!("version = 1\n{body}"))?])
}

/// What is wrong with a map of one entry.
fn fault(body: &str) -> String {
    mapped(&format!("\n[[signal]]\n{body}\n")).unwrap_err().to_string()
}

fn frame(raw: u32, data: &[u8]) -> Frame {
    let id = FrameId { raw, is_extended: false };
    Frame::new(Timestamp(0), "can0".into(), id, FrameKind::Data, data).unwrap()
}

const MOTION: &str = "
[[signal]]
dbc = \"Motion.Speed\"
vss = \"Vehicle.Speed\"
valid_when = { signal = \"Valid\", equals = 1 }
max = 360.0

[[signal]]
dbc = \"Motion.Odometer\"
vss = \"Vehicle.TraveledDistance\"

[[signal]]
dbc = \"Engine.Load\"
vss = \"Vehicle.Powertrain.CombustionEngine.TorquePercent\"
unit = \"percent\"
min_interval = \"2s\"
";

#[test]
fn a_factor_of_the_map_s_own_comes_before_the_unit() {
    let odometer = "[[signal]]\ndbc = \"Motion.Odometer\"\nvss = \"Vehicle.TraveledDistance\"\n";
    let column = |keys: &str| mapped(&format!("{odometer}{keys}")).unwrap().catalog().columns[0].clone();
    // By the DBC file raw + 2 kilometres.
    let turned = column("scale = -1.0\noffset = 0.5\n");
    assert_eq!((turned.scale, turned.offset), (-1000.0, -1500.0));
}

#[test]
fn conversions_are_folded_into_the_catalogue_and_raw_values_travel() {
    let mut mapped = mapped(MOTION).unwrap();
    let columns = &mapped.catalog().columns;
    assert_eq!((columns[0].signal.as_str(), columns[0].unit.as_str()), ("Vehicle.Speed", "km/h"));
    assert!((columns[0].scale - 0.36).abs() < 1e-12 && columns[0].offset == 0.0);
    assert_eq!((columns[1].scale, columns[1].offset), (1000.0, 2000.0));
    assert_eq!((columns[2].scale, columns[2].offset, columns[2].kind), (1.0, 0.0, ValueKind::Number));
    assert_eq!((mapped.columns()[0].table, mapped.columns()[0].reading), (Table::Readings, Some(5)));
    assert_eq!((mapped.columns()[2].table, mapped.columns()[2].reading), (Table::Signals, None));
    assert_eq!(mapped.columns()[2].min_interval, Some(Duration::from_secs(2)));
    assert_eq!(columns, &Catalog::decode(&mapped.catalog().encode()).unwrap().columns);

    let mut out = Vec::new();
    let outcome = mapped.samples(&frame(5, &[139, 0, 7, 0, 0, 0, 0, 0x80]), &mut out);
    assert_eq!(outcome, FrameOutcome::Mapped(MessageIndex(0)));
    assert_eq!(
        out,
        [
            MappedSample { column_id: 0, value: RawValue::Raw(139) },
            MappedSample { column_id: 1, value: RawValue::Raw(7) }
        ]
    );
}

#[test]
fn invalid_values_and_values_out_of_bounds_are_left_out() {
    let mut mapped = mapped(MOTION).unwrap();
    let mut ids = |data: &[u8]| {
        let mut out = Vec::new();
        mapped.samples(&frame(5, data), &mut out);
        out.iter().map(|s| s.column_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[139, 0, 7, 0, 0, 0, 0, 0x80]), [0, 1]);
    // Not valid; over 360 km/h (100 m/s); too short to say whether it is valid.
    assert_eq!(ids(&[139, 0, 7, 0, 0, 0, 0, 0]), [1]);
    assert_eq!(ids(&[0xE9, 3, 7, 0, 0, 0, 0, 0x80]), [1]);
    assert_eq!(ids(&[139, 0, 7, 0]), [1]);

    let mut out = Vec::new();
    let mut data = [0_u8; 8];
    data[4..].copy_from_slice(&f32::NAN.to_le_bytes());
    mapped.samples(&frame(6, &data), &mut out);
    assert_eq!(out, []);
    data[4..].copy_from_slice(&2.5_f32.to_le_bytes());
    mapped.samples(&frame(6, &data), &mut out);
    assert_eq!(out, [MappedSample { column_id: 2, value: RawValue::Number(2.5) }]);
}

#[test]
fn frames_of_other_messages_are_unmapped_or_unknown() {
    let mut mapped = mapped(MOTION).unwrap();
    let mut out = Vec::new();
    assert_eq!(mapped.samples(&frame(7, &[1]), &mut out), FrameOutcome::Unmapped);
    assert_eq!(mapped.samples(&frame(8, &[1]), &mut out), FrameOutcome::Unknown);
    let mut remote = frame(5, &[]);
    remote.kind = FrameKind::Remote;
    assert_eq!(mapped.samples(&remote, &mut out), FrameOutcome::Unknown);
    assert_eq!(out, []);
}

#[test]
fn each_fault_names_line_thing_and_remedy() {
    let cases = [
        ("dbc = \"Motion.Speed\"\nvss = \"Vehicle.Sped\"", "Vehicle.Sped is no signal of VSS 6.0"),
        (
            "dbc = \"Motion.Speed\"\nvss = \"Vehicle.Foo.Altitude\"",
            "did you mean Vehicle.CurrentLocation.Altitude?",
        ),
        ("dbc = \"Speed\"\nvss = \"Vehicle.Speed\"", "is not message.signal"),
        ("dbc = \"Motion.speed\"\nvss = \"Vehicle.Speed\"", "did you mean Motion.Speed?"),
        ("dbc = \"Motion.Nothing\"\nvss = \"Vehicle.Speed\"", "message Motion is in car.dbc:9, look there"),
        ("dbc = \"Nowhere.Nothing\"\nvss = \"Vehicle.Speed\"", "add the file that has it"),
        (
            "dbc = \"Engine.Speed\"\nvss = \"Vehicle.Speed\"",
            "unit \"rpm\" of Engine.Speed cannot become \"km/h\"",
        ),
        ("dbc = \"Engine.Load\"\nvss = \"Vehicle.Speed\"", "say what it is with unit"),
        (
            "dbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\nvalid_when = { signal = \"Ok\", equals = 1 }",
            "valid_when names Ok, which is no signal of message Motion",
        ),
        ("dbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\nmin = 2.0\nmax = 1.0", "above its max"),
        ("dbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\nscale = 0.0", "a number other than 0"),
        ("dbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\noffset = inf", "offset a number"),
        ("dbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\nmin_interval = \"1s\"", "remove it"),
        (
            "dbc = \"Motion.Gear\"\nvss = \"Vehicle.Powertrain.Transmission.CurrentGear\"\ntable = \"readings\"",
            "write table = \"signals\"",
        ),
        (
            "dbc = \"Motion.Gear\"\nvss = \"Vehicle.Powertrain.FuelSystem.HybridType\"",
            "numbers without names",
        ),
    ];
    for (body, want) in cases {
        let message = fault(body);
        assert!(message.contains("car.toml:3: ") && message.contains(want), "{message}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_a_path_is_mapped_once() {
    let body = "[[signal]]\ndbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\n\
                [[signal]]\ndbc = \"Motion.Speed\"\nvss = \"Vehicle.Speed\"\n\
                [[signal]]\ndbc = \"Motion.Nothing\"\nvss = \"Vehicle.Nothing\"\n";
    let message = mapped(body).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 4, "{message}");
    assert!(message.contains("car.toml:5: Vehicle.Speed is already mapped at car.toml:2"), "{message}");
}

#[test]
fn a_file_that_is_no_map_is_told_with_its_place() {
    let parse = |text: &str| SignalMap::parse("car.toml", text).unwrap_err().to_string();
    assert!(parse("signal = 1").contains("car.toml"));
    assert!(parse("version = 2").contains("write version = 1"));
    assert!(parse("version = 1\n[[signal]]\ndbc = \"a.b\"\nvss = \"c\"\nfactor = 2").contains("line 5"));
    assert!(
        parse("version = 1\n[[signal]]\ndbc = \"a.b\"\nvss = \"c\"\nmin_interval = \"1\"").contains("10s")
    );
    assert!(mapped("").unwrap_err().to_string().contains("maps no signal"));
    let error = SignalMap::open(Path::new("/nowhere/car.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read map file /nowhere/car.toml");
}

/// A message of J1939, one that is too long for a frame, and one that is neither.
const J1939_DBC: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\n\
    BO_ 2364540158 EEC1: 8 A\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] \"rpm\" B\n \
    SG_ Load : 16|8@1+ (1,-125) [0|0] \"percent\" B\n SG_ Signed : 8|8@1- (1,0) [0|0] \"percent\" B\n \
    SG_ Two : 6|2@1+ (1,0) [0|0] \"\" B\n SG_ Twelve : 40|12@1+ (1,0) [0|0] \"\" B\n\n\
    BO_ 2566841342 Long: 300 A\n SG_ Far : 2392|8@1+ (1,0) [0|0] \"percent\" B\n \
    SG_ FarBig : 2391|16@0+ (1,0) [0|0] \"\" B\n\n\
    BO_ 2566844900 Plain: 8 A\n SG_ Byte : 0|8@1+ (1,0) [0|0] \"percent\" B\n\n\
    BA_DEF_ BO_ \"VFrameFormat\" ENUM \"StandardCAN\",\"ExtendedCAN\",\"reserved\",\"J1939PG\";\n\
    BA_DEF_DEF_ \"VFrameFormat\" \"ExtendedCAN\";\nBA_ \"VFrameFormat\" BO_ 2364540158 3;\n";

fn j1939(body: &str) -> MappedDecoder {
    let dbc = Dbc::from_bytes("truck.dbc", J1939_DBC.as_bytes()).unwrap();
    let map = SignalMap::parse("truck.toml", &format!("version = 1\n{body}")).unwrap();
    MappedDecoder::new(Decoder::compile(&[dbc]).unwrap(), &[map]).unwrap()
}

fn one(dbc: &str, vss: &str, more: &str) -> MappedDecoder {
    j1939(&format!("[[signal]]\ndbc = \"{dbc}\"\nvss = \"{vss}\"\n{more}\n"))
}

fn extended(raw: u32, data: &[u8]) -> Frame {
    let id = FrameId { raw, is_extended: true };
    Frame::new(Timestamp(0), "can0".into(), id, FrameKind::Data, data).unwrap()
}

fn raws(mapped: &mut MappedDecoder, frame: &Frame) -> Vec<RawValue> {
    let mut out = Vec::new();
    mapped.samples(frame, &mut out);
    out.iter().map(|s| s.value).collect()
}

#[test]
fn raw_values_by_which_j1939_says_that_there_is_none_are_left_out() {
    const EEC1: u32 = 0x0CF0_0400;
    let torque = "Vehicle.Powertrain.CombustionEngine.TorquePercent";
    let cases: [(&str, &str, &str, [u8; 8], bool); 13] = [
        ("EEC1.Speed", "Vehicle.Powertrain.CombustionEngine.Speed", "", [0, 0, 0, 0xFF, 0xFA, 0, 0, 0], true),
        (
            "EEC1.Speed",
            "Vehicle.Powertrain.CombustionEngine.Speed",
            "",
            [0, 0, 0, 0x00, 0xFB, 0, 0, 0],
            false,
        ),
        (
            "EEC1.Speed",
            "Vehicle.Powertrain.CombustionEngine.Speed",
            "",
            [0, 0, 0, 0x00, 0xFE, 0, 0, 0],
            false,
        ),
        (
            "EEC1.Speed",
            "Vehicle.Powertrain.CombustionEngine.Speed",
            "",
            [0, 0, 0, 0xFF, 0xFF, 0, 0, 0],
            false,
        ),
        ("EEC1.Load", torque, "", [0, 0, 0xFA, 0, 0, 0, 0, 0], true),
        ("EEC1.Load", torque, "", [0, 0, 0xFB, 0, 0, 0, 0, 0], false),
        ("EEC1.Load", torque, "not_available = \"none\"", [0, 0, 0xFF, 0, 0, 0, 0, 0], true),
        ("EEC1.Signed", torque, "", [0, 0xFF, 0, 0, 0, 0, 0, 0], true),
        ("EEC1.Two", torque, "unit = \"percent\"", [0x40, 0, 0, 0, 0, 0, 0, 0], true),
        ("EEC1.Two", torque, "unit = \"percent\"", [0x80, 0, 0, 0, 0, 0, 0, 0], false),
        ("EEC1.Two", torque, "unit = \"percent\"", [0xC0, 0, 0, 0, 0, 0, 0, 0], false),
        ("EEC1.Twelve", torque, "unit = \"percent\"", [0, 0, 0, 0, 0, 0xFE, 0x0F, 0], true),
        ("EEC1.Twelve", torque, "unit = \"percent\"", [0, 0, 0, 0, 0, 0xFF, 0x0F, 0], false),
    ];
    for (dbc, vss, more, data, is_value) in cases {
        let found = raws(&mut one(dbc, vss, more), &extended(EEC1, &data));
        assert_eq!(found.len(), usize::from(is_value), "{dbc} {data:02X?} {found:?}");
    }
    // A message that is not of J1939 has all its values, unless the map says otherwise.
    let plain = extended(0x18FE_F1E4, &[0xFF]);
    let all = raws(&mut one("Plain.Byte", torque, ""), &plain);
    let plain_id = crate::frame::FrameId { raw: 2_566_844_900 & 0x1FFF_FFFF, is_extended: true };
    assert_eq!((plain.id, all), (plain_id, vec![RawValue::Raw(255)]));
    assert_eq!(raws(&mut one("Plain.Byte", torque, "not_available = \"j1939\""), &plain), []);
}

#[test]
fn signals_far_beyond_a_frame_are_read_out_of_a_long_message() {
    let mut mapped = j1939(
        "[[signal]]\ndbc = \"Long.Far\"\nvss = \"Vehicle.Powertrain.CombustionEngine.TorquePercent\"\n\
         [[signal]]\ndbc = \"Long.FarBig\"\nvss = \"Vehicle.Powertrain.CombustionEngine.Speed\"\nunit = \"rpm\"\n",
    );
    let message = |source, len: usize, last: u8| {
        let mut data = vec![0; len];
        data[len - 1] = last;
        let pgn = crate::j1939::Pgn::new(0xFEE3).unwrap();
        let (source, destination) =
            (crate::j1939::SourceAddress(source), crate::j1939::SourceAddress::GLOBAL);
        crate::j1939::Message { time: Timestamp(0), pgn, source, destination, data }
    };
    let mut values = |message| {
        let mut out = Vec::new();
        let outcome = mapped.message_samples(&message, &mut out);
        (outcome, out.iter().map(|s| s.value).collect::<Vec<_>>())
    };
    let is_mapped = FrameOutcome::Mapped(MessageIndex(1));
    // Big endian from the highest bit of byte 299, so it has the last two bytes; the other the last.
    assert_eq!(values(message(0, 300, 7)), (is_mapped, vec![RawValue::Raw(7), RawValue::Raw(7)]));
    // A shorter message does not hold it; of the longest the rest is not looked at.
    assert_eq!(values(message(0, 299, 7)), (is_mapped, vec![]));
    assert_eq!(values(message(0, 1785, 7)).1, [RawValue::Raw(0), RawValue::Raw(0)]);
    // What came by the transport protocol is of J1939, so 0xFF is not available.
    assert_eq!(values(message(9, 300, 0xFF)), (is_mapped, vec![RawValue::Raw(255)]));
}
