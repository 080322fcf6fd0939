//! Whole messages, encoded and decoded again: every signal that is in the frame comes out as it
//! went in, and no other.

use std::fmt::Write;

use proptest::prelude::*;
use wire::time::Timestamp;

use super::*;
use crate::encode::Encoder;

/// A signal in its own bytes of a message, and its value's bits.
#[derive(Debug, Clone)]
struct Part {
    byte_count: usize,
    skip: u64,
    cut: u64,
    order: ByteOrder,
    kind: Kind,
    bits: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unsigned,
    Signed,
    Float32,
    Float64,
}

fn part() -> impl Strategy<Value = Part> {
    let kind = prop_oneof![
        4 => Just(Kind::Unsigned),
        4 => Just(Kind::Signed),
        1 => Just(Kind::Float32),
        1 => Just(Kind::Float64)
    ];
    let order = prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)];
    (1_usize..=9, 0_u64..8, 0_u64..8, order, kind, any::<u64>()).prop_map(
        |(byte_count, skip, cut, order, kind, bits)| {
            let byte_count = match kind {
                Kind::Float32 => 5,
                Kind::Float64 => 9,
                _ => byte_count,
            };
            Part { byte_count, skip, cut, order, kind, bits }
        },
    )
}

impl Part {
    fn bit_count(&self) -> u64 {
        match self.kind {
            Kind::Float32 => 32,
            Kind::Float64 => 64,
            _ => (8 * self.byte_count as u64 - self.skip).saturating_sub(self.cut).clamp(1, 64),
        }
    }

    /// `start|length@order` from that byte on.
    fn place(&self, byte: usize) -> String {
        let first = 8 * byte as u64;
        let sign = if self.kind == Kind::Signed { '-' } else { '+' };
        match self.order {
            ByteOrder::Little => format!("{}|{}@1{sign}", first + self.skip, self.bit_count()),
            ByteOrder::Big => format!("{}|{}@0{sign}", first + 7 - self.skip, self.bit_count()),
        }
    }

    fn raw(&self) -> Raw {
        let unused = 64 - self.bit_count();
        let bits = self.bits << unused >> unused;
        #[allow(clippy::cast_possible_truncation, reason = "a float of 32 bits")]
        match self.kind {
            Kind::Unsigned => i64::try_from(bits).map_or(Raw::Wide(bits), Raw::Int),
            Kind::Signed => Raw::Int((bits << unused).cast_signed() >> unused),
            Kind::Float32 => Raw::Float(f64::from(f32::from_bits(bits as u32))),
            Kind::Float64 => Raw::Float(f64::from_bits(bits)),
        }
    }
}

/// A message of 64 bytes: a multiplexer in byte 0; under each of its values a multiplexer in byte
/// 1 with parts below it, and parts of its own after them; parts that are always there at the end.
#[derive(Debug, Clone)]
struct Shape {
    outer: u8,
    inner: u8,
    always: Vec<Part>,
    /// By outer value.
    below_outer: Vec<Part>,
    /// By outer and inner value.
    below_inner: Vec<Part>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let parts = |count| proptest::collection::vec(part(), count);
    (0_u8..4, 0_u8..4, parts(0..3), parts(4..5), parts(16..17)).prop_map(
        |(outer, inner, always, below_outer, below_inner)| Shape {
            outer,
            inner,
            always,
            below_outer,
            below_inner,
        },
    )
}

/// Name and value of every signal that is in the frame, and the file.
fn file(shape: &Shape) -> (String, Vec<(String, Raw)>) {
    const HEAD: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\nBO_ 5 M: 64 A\n";
    let (mut signals, mut switches, mut floats) = (HEAD.to_owned(), String::new(), String::new());
    let mut present = vec![("Outer".to_owned(), Raw::Int(shape.outer.into()))];
    writeln!(signals, " SG_ Outer M : 0|4@1+ (1,0) [0|0] \"\" B").unwrap();
    let mut add = |name: String, indicator: String, part: &Part, byte: usize, is_present: bool| {
        writeln!(signals, " SG_ {name} {indicator}: {} (1,0) [0|0] \"\" B", part.place(byte)).unwrap();
        match part.kind {
            Kind::Float32 => writeln!(floats, "SIG_VALTYPE_ 5 {name} : 1;").unwrap(),
            Kind::Float64 => writeln!(floats, "SIG_VALTYPE_ 5 {name} : 2;").unwrap(),
            _ => {}
        }
        if is_present {
            present.push((name, part.raw()));
        }
    };
    let small = |bits: u8| Part {
        byte_count: 1,
        skip: 0,
        cut: 4,
        order: ByteOrder::Little,
        kind: Kind::Unsigned,
        bits: bits.into(),
    };
    for outer in 0..4_u8 {
        let is_outer = outer == shape.outer;
        let inner_name = format!("Inner{outer}");
        add(inner_name.clone(), format!("m{outer}M "), &small(shape.inner), 1, is_outer);
        writeln!(switches, "SG_MUL_VAL_ 5 {inner_name} Outer {outer}-{outer};").unwrap();
        let name = format!("O{outer}");
        add(name.clone(), format!("m{outer} "), &shape.below_outer[usize::from(outer)], 12, is_outer);
        writeln!(switches, "SG_MUL_VAL_ 5 {name} Outer {outer}-{outer};").unwrap();
        for inner in 0..4_u8 {
            let name = format!("I{outer}{inner}");
            let part = &shape.below_inner[usize::from(4 * outer + inner)];
            add(name.clone(), format!("m{inner} "), part, 2, is_outer && inner == shape.inner);
            // Another range beyond what is encoded.
            writeln!(switches, "SG_MUL_VAL_ 5 {name} {inner_name} {inner}-{inner}, 9-12;").unwrap();
        }
    }
    for (i, part) in shape.always.iter().enumerate() {
        add(format!("A{i}"), String::new(), part, 22 + 10 * i, true);
    }
    (format!("{signals}\n{switches}\n{floats}"), present)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_a_message_was_made_of_comes_out_of_it_and_nothing_else(shape in shape()) {
        let (text, present) = file(&shape);
        let dbc = Dbc::from_bytes("car.dbc", text.as_bytes()).unwrap();
        prop_assert_eq!(&dbc.warnings, &vec![]);
        let decoder = Decoder::compile(&[dbc]).unwrap();
        let values: Vec<(&str, Raw)> = present.iter().map(|(name, raw)| (name.as_str(), *raw)).collect();
        let encoded = Encoder::new(&decoder).message("M").unwrap().encode_raw(&values).unwrap();
        let frame = encoded.on("can0".into(), Timestamp(0)).unwrap();

        let mut got = Vec::new();
        let index = decoder.decode(&frame, &mut |sample| got.push(sample));
        let mut payload = Vec::new();
        decoder.decode_payload(index.unwrap(), frame.data(), &mut |sample| payload.push(sample));
        let texts = |samples: &[Sample]| {
            let text = |s: &Sample| (decoder.signal(s.signal).name.clone(), format!("{:?}", s.raw));
            let mut texts: Vec<_> = samples.iter().map(text).collect();
            texts.sort();
            texts
        };
        let mut want: Vec<_> = present.iter().map(|(n, raw)| (n.clone(), format!("{raw:?}"))).collect();
        want.sort();
        prop_assert_eq!(texts(&got), want);
        prop_assert_eq!(texts(&payload), texts(&got));
    }
}
