//! The common case of a [`Program`]: a frame that holds its message whole, of integers within
//! eight bytes. All signals of the message, under the values its multiplexers have, then lie in
//! one row of steps, and each is two shifts and a mask of the frame as one number.
//!
//! What does not fit this (floats, 64-bit unsigned values, both byte orders in one message, long
//! or short frames, several multiplexers side by side, multiplexers of many values) has no plan
//! and is decoded by the tree.

use super::{NodeIndex, Program, Step};
use crate::decode::{
    ByteOrder, SignalIndex,
    layout::{Encoding, Layout},
};

/// Most values a multiplexer is looked up by; those of real files have at most 8 bits.
const CHOICE_VALUES_MAX: u64 = 1024;
/// Most steps, and most values of choices, of all messages together; the largest published file
/// has a tenth of it.
const ENTRY_COUNT_MAX: usize = 200_000;

/// One signal.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuickStep {
    mask: u64,
    pub(super) signal: SignalIndex,
    /// Brings its highest bit to the top.
    up: u8,
    /// And its lowest bit to the bottom, with copies of the highest above.
    down: u8,
}

impl QuickStep {
    fn new(signal: SignalIndex, layout: &Layout, order: ByteOrder) -> Option<Self> {
        let up = u8::try_from(layout.place_in_first_word(order)?).ok()?;
        let down = 64_u32.checked_sub(layout.bit_count())?;
        // The copies of the highest bit are right for a signed value only.
        let mask = if layout.encoding() == Encoding::Signed { u64::MAX } else { u64::MAX >> down };
        Some(Self { mask, signal, up, down: u8::try_from(down).ok()? })
    }

    /// The signal's value. Nothing here branches on what the signal is: in a stream of different
    /// frames each branch would be guessed wrongly half of the time.
    #[inline]
    pub(super) fn take(&self, word: u64) -> i64 {
        // Both are below 64; the masks tell the compiler.
        ((word << (self.up & 63)).cast_signed() >> (self.down & 63)) & self.mask.cast_signed()
    }
}

/// The first eight bytes of a frame as one number.
#[inline]
fn word(data: &[u8; 8], order: ByteOrder) -> u64 {
    match order {
        ByteOrder::Little => u64::from_le_bytes(*data),
        ByteOrder::Big => u64::from_be_bytes(*data),
    }
}

/// What is done with a frame.
#[derive(Debug, Clone, Copy)]
pub(in crate::decode) enum Plan {
    /// It has these steps, if it has so many bytes.
    Row { byte_count: u8, order: ByteOrder, first: u32, end: u32 },
    /// Look at a multiplexer, if it has so many bytes: there is a plan for each value, the last
    /// one for all beyond.
    Choose { byte_count: u8, order: ByteOrder, step: u32, first: u32, end: u32 },
    /// Decode it by the tree.
    Tree,
}

/// Every message's plans, in flat tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Quick {
    steps: Vec<QuickStep>,
    /// Of a choice, one a value.
    plans: Vec<Plan>,
}

impl Quick {
    /// Compiles a message that is compiled to a tree.
    pub(super) fn add(&mut self, program: &Program, root: NodeIndex) -> Plan {
        self.add_node(program, root, &[]).unwrap_or(Plan::Tree)
    }

    /// `above` are the steps that come before those of the node.
    fn add_node(&mut self, program: &Program, node: NodeIndex, above: &[Step]) -> Option<Plan> {
        let row = [above, program.steps_of(node)].concat();
        match program.switches_of(node) {
            [] => self.add_row(&row),
            [switch] => {
                let cases = program.cases_of(switch);
                let beyond = cases.last()?.high.checked_add(1).filter(|end| *end < CHOICE_VALUES_MAX)?;
                let order = switch.layout.order();
                let multiplexer = QuickStep::new(SignalIndex(0), &switch.layout, order)?;
                let other = self.add_row(&row)?;
                let mut plans = vec![other; usize::try_from(beyond).ok()? + 1];
                for case in cases {
                    let plan = self.add_node(program, case.node, &row).unwrap_or(Plan::Tree);
                    let values = usize::try_from(case.low).ok()?..=usize::try_from(case.high).ok()?;
                    plans.get_mut(values)?.fill(plan);
                }
                let step = index(self.steps.len())?;
                self.steps.push(multiplexer);
                let first = index(self.plans.len())?;
                self.plans.append(&mut plans);
                let byte_count = u8::try_from(switch.layout.byte_count_needed()).ok()?;
                Some(Plan::Choose { byte_count, order, step, first, end: index(self.plans.len())? })
            }
            _ => None,
        }
    }

    fn add_row(&mut self, row: &[Step]) -> Option<Plan> {
        let in_order = |order| -> Option<(ByteOrder, Vec<QuickStep>)> {
            let steps = row.iter().map(|step| QuickStep::new(step.signal, &step.layout, order));
            Some((order, steps.collect::<Option<_>>()?))
        };
        let (order, steps) = in_order(ByteOrder::Little).or_else(|| in_order(ByteOrder::Big))?;
        let byte_count = row.iter().map(|step| step.layout.byte_count_needed()).max().unwrap_or(0);
        let first = index(self.steps.len())?;
        self.steps.extend(steps);
        let end = index(self.steps.len())?;
        Some(Plan::Row { byte_count: u8::try_from(byte_count).ok()?, order, first, end })
    }

    /// The steps of a frame of `len` bytes that starts so, and its bytes as the number they work
    /// on; `None` when it is for the tree.
    #[inline]
    pub(super) fn steps(&self, mut plan: Plan, data: &[u8; 8], len: usize) -> Option<(&[QuickStep], u64)> {
        loop {
            match plan {
                Plan::Row { byte_count, order, first, end } if usize::from(byte_count) <= len => {
                    return Some((self.steps.get(first as usize..end as usize)?, word(data, order)));
                }
                Plan::Choose { byte_count, order, step, first, end } if usize::from(byte_count) <= len => {
                    let value = self.steps.get(step as usize)?.take(word(data, order)).cast_unsigned();
                    let plans = self.plans.get(first as usize..end as usize)?;
                    let last = plans.len().checked_sub(1)?;
                    plan = *plans.get(usize::try_from(value).map_or(last, |value| value.min(last)))?;
                }
                _ => return None,
            }
        }
    }
}

/// An index into one of the tables, while they are below the limit.
fn index(len: usize) -> Option<u32> {
    u32::try_from(len).ok().filter(|_| len <= ENTRY_COUNT_MAX)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        dbc::Dbc,
        decode::{Decoder, MessageIndex, Sample},
        frame::FRAME_BYTES_MAX,
    };

    const HEAD: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\nBO_ 5 M: 8 A\n";

    /// A signal within eight bytes: first bit along them, length, byte order, sign, and the values
    /// of the multiplexer it is under.
    type Part = (u64, u64, ByteOrder, bool, Option<(u8, u8)>);

    fn part(order: ByteOrder) -> impl Strategy<Value = Part> {
        let order = prop_oneof![30 => Just(order), 1 => Just(ByteOrder::Little), 1 => Just(ByteOrder::Big)];
        // Few are as long as 64 bits, which an unsigned plan has no place for.
        let length = prop_oneof![8 => 1_u64..9, 4 => 9_u64..64, 1 => Just(64_u64)];
        let under = proptest::option::of((0_u8..20, 0_u8..3));
        (0_u64..64, length, order, any::<bool>(), under).prop_map(
            |(first, length, order, is_signed, under)| {
                (first.min(64 - length), length, order, is_signed, under.map(|(low, more)| (low, low + more)))
            },
        )
    }

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        let order = prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)];
        order.prop_flat_map(|order| proptest::collection::vec(part(order), 0..12))
    }

    /// The start bit as a DBC writes it is the lowest of a little-endian signal and the highest,
    /// in sawtooth numbering, of a big-endian one.
    fn place(first: u64, length: u64, order: ByteOrder) -> String {
        match order {
            ByteOrder::Little => format!("{first}|{length}@1"),
            ByteOrder::Big => format!("{}|{length}@0", 8 * (first / 8) + 7 - first % 8),
        }
    }

    fn decoder(multiplexer: (u64, u64), parts: &[Part]) -> Decoder {
        let (first, length) = multiplexer;
        let mut text = format!("{HEAD} SG_ Switch M : {first}|{length}@1+ (1,0) [0|0] \"\" B\n");
        let mut switches = String::new();
        for (i, (first, length, order, is_signed, under)) in parts.iter().enumerate() {
            let sign = if *is_signed { '-' } else { '+' };
            let place = place(*first, *length, *order);
            let indicator = under.map_or(String::new(), |(low, _)| format!("m{low} "));
            writeln!(text, " SG_ S{i} {indicator}: {place}{sign} (1,0) [0|0] \"\" B").unwrap();
            if let Some((low, high)) = under {
                writeln!(switches, "SG_MUL_VAL_ 5 S{i} Switch {low}-{high};").unwrap();
            }
        }
        Decoder::compile(&[Dbc::from_bytes("car.dbc", format!("{text}\n{switches}").as_bytes()).unwrap()])
            .unwrap()
    }

    fn samples(decoder: &Decoder, plan: Plan, data: [u8; 8], len: usize) -> Vec<Sample> {
        let mut padded = [0; FRAME_BYTES_MAX];
        padded[..len].copy_from_slice(&data[..len]);
        let mut samples = Vec::new();
        decoder.program.run(MessageIndex(0), plan, &padded, len, &mut |sample| samples.push(sample));
        samples
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_plan_gives_what_the_tree_gives(
            multiplexer in (0_u64..60, 1_u64..5),
            parts in parts(),
            frames in proptest::collection::vec((any::<[u8; 8]>(), prop_oneof![3 => Just(8_usize), 1 => 0_usize..8]), 40),
        ) {
            let decoder = decoder(multiplexer, &parts);
            let plan = decoder.program.plan(MessageIndex(0));
            for (data, len) in frames {
                prop_assert_eq!(
                    samples(&decoder, plan, data, len),
                    samples(&decoder, Plan::Tree, data, len)
                );
            }
        }
    }

    #[test]
    fn integers_of_one_byte_order_have_a_plan_and_what_does_not_fit_has_none() {
        let (little, big) = (ByteOrder::Little, ByteOrder::Big);
        let plan = |parts: &[Part]| decoder((0, 4), parts).program.plan(MessageIndex(0));
        assert!(matches!(plan(&[(8, 16, little, true, None)]), Plan::Row { order: ByteOrder::Little, .. }));
        // What is within one byte is the same in both orders.
        assert!(matches!(plan(&[(8, 16, big, true, None)]), Plan::Row { order: ByteOrder::Big, .. }));
        assert!(matches!(plan(&[(8, 16, big, true, Some((1, 2)))]), Plan::Choose { .. }));
        assert!(matches!(plan(&[(8, 16, big, true, None), (24, 16, little, true, None)]), Plan::Tree));
        assert!(matches!(plan(&[(0, 64, little, false, None)]), Plan::Tree));
        assert!(matches!(plan(&[(0, 64, little, true, None)]), Plan::Row { byte_count: 8, .. }));
    }
}
