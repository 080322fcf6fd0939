use proptest::prelude::*;

use super::*;
use crate::{dbc::Dbc, decode::layout::ByteOrder};

const HEAD: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\n";

fn decoder(body: &str) -> Decoder {
    Decoder::compile(&[Dbc::from_bytes("sim.dbc", format!("{HEAD}{body}").as_bytes()).unwrap()]).unwrap()
}

fn round_trip(decoder: &Decoder, frame: &EncodedFrame) -> Vec<(String, Raw)> {
    let mut found = Vec::new();
    let frame = frame.on("can0".into(), Timestamp(0)).unwrap();
    decoder
        .decode(&frame, &mut |s| found.push((decoder.signal(s.signal).name.clone(), s.raw)))
        .expect("the message is known");
    found
}

const MESSAGE: &str = "BO_ 5 M: 8 A\n SG_ Speed : 0|12@1+ (0.1,0) [0|300] \"km/h\" B\n \
                       SG_ Temperature : 23|8@0- (1,-40) [-168|87] \"degC\" B\n \
                       SG_ Exact : 32|32@1- (1,0) [0|0] \"\" B\n\nSIG_VALTYPE_ 5 Exact : 1;\n";

#[test]
fn physical_values_are_rounded_to_the_nearest_raw_value_and_clamped() {
    let decoder = decoder(MESSAGE);
    let encoder = Encoder::new(&decoder);
    let frame = encoder.encode("M", &[("Speed", 13.94), ("Temperature", -50.4), ("Exact", 1.25)]).unwrap();
    assert_eq!(
        round_trip(&decoder, &frame),
        [
            ("Speed".to_owned(), Raw::Int(139)),
            ("Temperature".to_owned(), Raw::Int(-10)),
            ("Exact".to_owned(), Raw::Float(1.25))
        ]
    );
    let frame = encoder.encode("M", &[("Speed", 1e9), ("Temperature", f64::NEG_INFINITY)]).unwrap();
    assert_eq!(
        round_trip(&decoder, &frame)[..2],
        [("Speed".to_owned(), Raw::Int(4095)), ("Temperature".to_owned(), Raw::Int(-128))]
    );
    assert_eq!((frame.id.raw, frame.data().len()), (5, 8));
}

#[test]
fn what_is_not_in_the_dbc_file_or_does_not_fit_is_named() {
    let decoder = decoder(&format!("{MESSAGE}\n"));
    let encoder = Encoder::new(&decoder);
    assert_eq!(encoder.encode("N", &[]).unwrap_err().to_string(), "message N is in none of the DBC files");
    assert_eq!(
        encoder.encode("M", &[("Sped", 1.0)]).unwrap_err().to_string(),
        "message M has no signal Sped"
    );
    let error = encoder.encode("M", &[("Speed", f64::NAN)]).unwrap_err();
    assert_eq!(error.to_string(), "value NaN does not fit signal M.Speed");
    let error = encoder.message("M").unwrap().encode_raw(&[("Speed", Raw::Int(4096))]).unwrap_err();
    assert_eq!(error.to_string(), "value 4096 does not fit signal M.Speed");

    let short = self::decoder("BO_ 6 Short: 1 A\n SG_ S : 8|8@1+ (1,0) [0|0] \"\" B\n");
    let error = Encoder::new(&short).encode("Short", &[("S", 1.0)]).unwrap_err();
    assert_eq!(error.to_string(), "message Short of 1 bytes does not hold signal S");
}

/// A signal of a random layout: start bit, length, byte order, sign, and its raw bits.
fn signal() -> impl Strategy<Value = (u64, u64, ByteOrder, bool, u64)> {
    let order = prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)];
    (0_u64..512, 1_u64..=64, order, any::<bool>(), any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_layouts_written_as_dbc_encode_and_decode_to_the_same_raw(signals in prop::collection::vec(signal(), 1..20)) {
        let mut body = "BO_ 5 M: 64 A\n".to_owned();
        let mut taken = [false; 512];
        let mut values = Vec::new();
        for (i, (start, len, order, is_signed, bits)) in signals.into_iter().enumerate() {
            let (at, first) = match order {
                ByteOrder::Little => (1, start),
                ByteOrder::Big => (0, 8 * (start / 8) + 7 - start % 8),
            };
            // Places along the bytes, counted from the high bit for big endian.
            let places: Vec<usize> = (first..first + len)
                .map(|p| usize::try_from(if at == 1 { p } else { 8 * (p / 8) + 7 - p % 8 }).unwrap())
                .collect();
            if places.iter().any(|p| taken.get(*p).is_none_or(|is_taken| *is_taken)) {
                continue;
            }
            places.iter().for_each(|p| taken[*p] = true);
            let sign = if is_signed { '-' } else { '+' };
            body.push_str(&format!(" SG_ S{i} : {start}|{len}@{at}{sign} (1,0) [0|0] \"\" B\n"));
            let bits = bits >> (64 - len);
            let unused = 64 - u32::try_from(len).unwrap();
            let raw = if is_signed {
                Raw::Int((bits << unused).cast_signed() >> unused)
            } else {
                i64::try_from(bits).map_or(Raw::Wide(bits), Raw::Int)
            };
            values.push((format!("S{i}"), raw));
        }
        let decoder = decoder(&body);
        let encoder = Encoder::new(&decoder);
        let given: Vec<(&str, Raw)> = values.iter().map(|(name, raw)| (name.as_str(), *raw)).collect();
        let frame = encoder.message("M").unwrap().encode_raw(&given).unwrap();
        let mut found = round_trip(&decoder, &frame);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        values.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert_eq!(found, values);
    }
}
