//! Where the bits of one signal are in a frame or a longer message, and how to take them out and
//! put them in.

use crate::{frame::FRAME_BYTES_MAX, j1939::PAYLOAD_BYTES_MAX};

/// Zero bytes that must follow a message's bytes, for the loads of its last signals.
pub(crate) const PADDING_BYTES: usize = 9;

/// Which end of a signal comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Intel, `@1`: the start bit is the lowest.
    Little,
    /// Motorola, `@0`: the start bit is the highest, in sawtooth numbering.
    Big,
}

/// What the bits of a signal are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// An integer from 0.
    Unsigned,
    /// Two's complement.
    Signed,
    /// IEEE 754, 32 bits.
    Float32,
    /// IEEE 754, 64 bits.
    Float64,
}

/// A value as it is on the bus, before scale and offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw {
    /// Every integer that fits.
    Int(i64),
    /// A 64-bit unsigned integer above `i64::MAX`.
    Wide(u64),
    /// An IEEE float.
    Float(f64),
}

impl std::fmt::Display for Raw {
    /// So that it reads back to the same value; floats always with a point or exponent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Raw::Int(v) => write!(f, "{v}"),
            Raw::Wide(v) => write!(f, "{v}"),
            Raw::Float(v) => write!(f, "{v:?}"),
        }
    }
}

impl Raw {
    /// The value as a float; integers above 2^53 are rounded.
    #[allow(clippy::cast_precision_loss, reason = "documented")]
    pub fn as_f64(self) -> f64 {
        match self {
            Raw::Int(v) => v as f64,
            Raw::Wide(v) => v as f64,
            Raw::Float(v) => v,
        }
    }

    /// The value as a key of a value table, when it is an integer that fits.
    #[allow(clippy::cast_possible_truncation, reason = "checked to be integral and in range")]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Raw::Int(v) => Some(v),
            Raw::Wide(_) => None,
            Raw::Float(v) => (v.fract() == 0.0 && v.abs() < 9e15).then_some(v as i64),
        }
    }
}

/// A position that no frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No bits, or more than a register holds.
    #[error("a length of {0} bits is outside 1 to 64")]
    Length(u64),
    /// A float of another size.
    #[error("a float of {0} bits is neither 32 nor 64 bits long")]
    Float(u64),
    /// Beyond the longest message.
    #[error("its bits end beyond byte {PAYLOAD_BYTES_MAX}, the last that is decoded")]
    Outside,
}

/// A signal's bits as one eight-byte load, one shift and, where they straddle nine bytes, one
/// more byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    first_byte: u16,
    /// From the low end of the load when little endian, from the high end when big.
    shift: u8,
    bit_count: u8,
    byte_count_needed: u16,
    order: ByteOrder,
    encoding: Encoding,
    /// An integer within one load whose every value is an `i64`: nearly every signal there is.
    is_plain: bool,
    /// Bits of the load above a plain signal.
    above: u8,
}

const WINDOW_BITS: u64 = 64;

impl Layout {
    /// The layout of a signal as a DBC writes it: `start|length@order`.
    pub fn new(
        start_bit: u64,
        bit_count: u64,
        order: ByteOrder,
        encoding: Encoding,
    ) -> Result<Self, LayoutError> {
        match (encoding, bit_count) {
            (_, 0 | 65..) => return Err(LayoutError::Length(bit_count)),
            (Encoding::Float32, 32) | (Encoding::Float64, 64) => {}
            (Encoding::Float32 | Encoding::Float64, _) => return Err(LayoutError::Float(bit_count)),
            _ => {}
        }
        let payload_bits = PAYLOAD_BYTES_MAX as u64 * 8;
        if start_bit >= payload_bits {
            return Err(LayoutError::Outside);
        }
        // Bits counted along the bytes, from the first one the signal touches.
        let first_bit = match order {
            ByteOrder::Little => start_bit,
            ByteOrder::Big => 8 * (start_bit / 8) + 7 - start_bit % 8,
        };
        let end_bit = first_bit + bit_count;
        if end_bit > payload_bits {
            return Err(LayoutError::Outside);
        }
        // What a frame can hold is loaded from within its 64 bytes.
        let first_byte = if end_bit <= FRAME_BYTES_MAX as u64 * 8 {
            (first_bit / 8).min(FRAME_BYTES_MAX as u64 - 8)
        } else {
            first_bit / 8
        };
        let shift = first_bit - 8 * first_byte;
        let is_integer = encoding == Encoding::Signed || (encoding == Encoding::Unsigned && bit_count < 64);
        let is_plain = is_integer && shift + bit_count <= WINDOW_BITS;
        let above = match order {
            _ if !is_plain => 0,
            ByteOrder::Little => WINDOW_BITS - shift - bit_count,
            ByteOrder::Big => shift,
        };
        let byte = |value: u64| u8::try_from(value).map_err(|_| LayoutError::Outside);
        let place = |value: u64| u16::try_from(value).map_err(|_| LayoutError::Outside);
        Ok(Self {
            first_byte: place(first_byte)?,
            shift: byte(shift)?,
            bit_count: byte(bit_count)?,
            byte_count_needed: place(end_bit.div_ceil(8))?,
            order,
            encoding,
            is_plain,
            above: byte(above)?,
        })
    }

    /// Bytes a frame must have for the signal to be in it.
    pub fn byte_count_needed(&self) -> usize {
        usize::from(self.byte_count_needed)
    }

    /// Length in bits.
    pub fn bit_count(&self) -> u32 {
        u32::from(self.bit_count)
    }

    /// What the bits are.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Which end comes first.
    pub(super) fn order(&self) -> ByteOrder {
        self.order
    }

    /// Where its highest bit is in the first eight bytes read as a number in `order`, in bits from
    /// the top; `None` when it is not one stretch of bits there, or no integer that is an `i64`.
    /// What is within one byte is a stretch in both orders.
    pub(super) fn place_in_first_word(&self, order: ByteOrder) -> Option<u64> {
        let bit_count = u64::from(self.bit_count);
        let first_bit = u64::from(self.first_byte) * 8 + u64::from(self.shift);
        let byte = first_bit / 8;
        let below_top = match self.order {
            ByteOrder::Little => WINDOW_BITS.checked_sub(first_bit + bit_count)?,
            ByteOrder::Big if first_bit + bit_count <= WINDOW_BITS => first_bit,
            ByteOrder::Big => return None,
        };
        if !self.is_plain {
            None
        } else if self.order == order {
            Some(below_top)
        } else if (first_bit + bit_count - 1) / 8 == byte {
            // The byte as a whole goes to its mirror place.
            Some(8 * (7 - below_top / 8) + below_top % 8)
        } else {
            None
        }
    }

    /// Its value in a frame's 64 bytes, or in a longer message's bytes and [`PADDING_BYTES`] more.
    #[inline]
    pub(crate) fn extract(&self, data: &[u8]) -> Raw {
        if self.is_plain { Raw::Int(self.extract_plain(data)) } else { self.extract_any(data) }
    }

    /// Without a branch on what the signal is: in a stream of different frames each would be
    /// guessed wrongly half of the time, which costs more than all the rest.
    #[inline]
    fn extract_plain(&self, data: &[u8]) -> i64 {
        let first = usize::from(self.first_byte);
        let mut window = [0_u8; 8];
        window.copy_from_slice(&data[first..first + 8]);
        let little = u64::from_le_bytes(window);
        let word = if self.order == ByteOrder::Big { little.swap_bytes() } else { little };
        let at_top = word << (self.above & 63);
        let down = (64 - u32::from(self.bit_count)) & 63;
        let (unsigned, signed) = ((at_top >> down).cast_signed(), at_top.cast_signed() >> down);
        if self.encoding == Encoding::Signed { signed } else { unsigned }
    }

    #[cold]
    #[inline(never)]
    fn extract_any(&self, data: &[u8]) -> Raw {
        let bits = self.extract_bits(data);
        match self.encoding {
            Encoding::Unsigned => match i64::try_from(bits) {
                Ok(value) => Raw::Int(value),
                Err(_) => Raw::Wide(bits),
            },
            Encoding::Signed => {
                let unused = 64 - u32::from(self.bit_count);
                Raw::Int((bits << unused).cast_signed() >> unused)
            }
            #[allow(clippy::cast_possible_truncation, reason = "checked to be 32 bits long")]
            Encoding::Float32 => Raw::Float(f64::from(f32::from_bits(bits as u32))),
            Encoding::Float64 => Raw::Float(f64::from_bits(bits)),
        }
    }

    #[inline]
    fn extract_bits(&self, data: &[u8]) -> u64 {
        let first = usize::from(self.first_byte);
        let mut window = [0_u8; 8];
        window.copy_from_slice(&data[first..first + 8]);
        let shift = u32::from(self.shift);
        let has_ninth = u64::from(self.shift) + u64::from(self.bit_count) > WINDOW_BITS;
        match self.order {
            ByteOrder::Little => {
                let mut bits = u64::from_le_bytes(window) >> shift;
                if has_ninth {
                    bits |= u64::from(data[first + 8]) << (64 - shift);
                }
                bits & (u64::MAX >> (64 - u32::from(self.bit_count)))
            }
            ByteOrder::Big => {
                let mut bits = u64::from_be_bytes(window) << shift;
                if has_ninth {
                    bits |= u64::from(data[first + 8]) >> (8 - shift);
                }
                bits >> (64 - u32::from(self.bit_count))
            }
        }
    }

    /// Writes the low bits of `bits` at its place, bit by bit: the simple counterpart that tests
    /// hold [`Layout::extract`] against.
    pub(crate) fn insert(&self, data: &mut [u8], bits: u64) {
        let first_bit = usize::from(self.first_byte) * 8 + usize::from(self.shift);
        let bit_count = usize::from(self.bit_count);
        for i in 0..bit_count {
            let (position, bit) = match self.order {
                ByteOrder::Little => (first_bit + i, bits >> i & 1),
                ByteOrder::Big => (first_bit + i, bits >> (bit_count - 1 - i) & 1),
            };
            let in_byte = match self.order {
                ByteOrder::Little => position % 8,
                ByteOrder::Big => 7 - position % 8,
            };
            let mask = 1_u8 << in_byte;
            if bit == 1 {
                data[position / 8] |= mask;
            } else {
                data[position / 8] &= !mask;
            }
        }
    }

    /// The bits of a raw value; `None` when it does not fit the signal.
    pub fn bits_of(&self, raw: Raw) -> Option<u64> {
        let unused = 64 - u32::from(self.bit_count);
        match (self.encoding, raw) {
            (Encoding::Unsigned, Raw::Int(v)) => {
                u64::try_from(v).ok().filter(|v| v << unused >> unused == *v)
            }
            (Encoding::Unsigned, Raw::Wide(v)) => Some(v).filter(|v| v << unused >> unused == *v),
            (Encoding::Signed, Raw::Int(v)) => {
                (v << unused >> unused == v).then(|| v.cast_unsigned() & (u64::MAX >> unused))
            }
            #[allow(clippy::cast_possible_truncation, reason = "the signal has single precision")]
            (Encoding::Float32, Raw::Float(v)) => Some(u64::from((v as f32).to_bits())),
            (Encoding::Float64, Raw::Float(v)) => Some(v.to_bits()),
            _ => None,
        }
    }

    /// The least and the greatest raw integer it can carry; `None` for floats.
    pub fn range(&self) -> Option<(i128, i128)> {
        match self.encoding {
            Encoding::Unsigned => Some((0, (1_i128 << self.bit_count) - 1)),
            Encoding::Signed => {
                let half = 1_i128 << (self.bit_count - 1);
                Some((-half, half - 1))
            }
            Encoding::Float32 | Encoding::Float64 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout() -> impl Strategy<Value = (Layout, u64)> {
        let order = prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)];
        let encoding = prop_oneof![
            3 => Just(Encoding::Unsigned),
            3 => Just(Encoding::Signed),
            1 => Just(Encoding::Float32),
            1 => Just(Encoding::Float64)
        ];
        let start = prop_oneof![0_u64..512, 0_u64..14_280];
        (start, 1_u64..=64, order, encoding, any::<u64>()).prop_filter_map(
            "does not fit a frame",
            |(start, len, order, encoding, bits)| {
                let len = match encoding {
                    Encoding::Float32 => 32,
                    Encoding::Float64 => 64,
                    _ => len,
                };
                let layout = Layout::new(start, len, order, encoding).ok()?;
                Some((layout, bits & (u64::MAX >> (64 - len))))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn what_is_put_in_is_taken_out_and_nothing_else_is_touched(
            (layout, bits) in layout(),
            noise in any::<u8>(),
        ) {
            let is_in_frame = layout.byte_count_needed() <= FRAME_BYTES_MAX;
            let len = if is_in_frame { FRAME_BYTES_MAX } else { PAYLOAD_BYTES_MAX + PADDING_BYTES };
            let mut data = vec![noise; len];
            layout.insert(&mut data, bits);
            let raw = layout.extract(&data);
            let is_nan = matches!(raw, Raw::Float(v) if v.is_nan());
            prop_assert!(is_nan || layout.bits_of(raw) == Some(bits));
            // Its own bits set to what they were before make the noise whole again.
            let mut all = vec![noise; len];
            layout.insert(&mut all, u64::MAX);
            layout.insert(&mut data, u64::MAX);
            prop_assert_eq!(all, data);
            prop_assert!(layout.byte_count_needed() <= PAYLOAD_BYTES_MAX);
        }
    }

    #[test]
    fn bytes_needed_are_those_the_bits_touch() {
        let needed = |start, len, order| {
            Layout::new(start, len, order, Encoding::Unsigned).unwrap().byte_count_needed()
        };
        assert_eq!(needed(0, 8, ByteOrder::Little), 1);
        assert_eq!(needed(1, 8, ByteOrder::Little), 2);
        assert_eq!(needed(7, 8, ByteOrder::Big), 1);
        assert_eq!(needed(31, 16, ByteOrder::Big), 5);
        assert_eq!(needed(0, 2, ByteOrder::Big), 2);
    }

    #[test]
    fn places_outside_a_frame_are_refused() {
        let new = |start, len, encoding| Layout::new(start, len, ByteOrder::Little, encoding);
        assert_eq!(new(0, 0, Encoding::Unsigned), Err(LayoutError::Length(0)));
        assert_eq!(new(0, 65, Encoding::Unsigned), Err(LayoutError::Length(65)));
        assert_eq!(new(0, 16, Encoding::Float32), Err(LayoutError::Float(16)));
        assert_eq!(new(14_273, 8, Encoding::Unsigned), Err(LayoutError::Outside));
        assert_eq!(new(u64::MAX, 8, Encoding::Unsigned), Err(LayoutError::Outside));
        assert!(new(14_272, 8, Encoding::Unsigned).is_ok());
    }

    #[test]
    fn raw_values_that_do_not_fit_have_no_bits() {
        let unsigned = Layout::new(0, 8, ByteOrder::Little, Encoding::Unsigned).unwrap();
        assert_eq!(unsigned.bits_of(Raw::Int(255)), Some(255));
        assert_eq!(unsigned.bits_of(Raw::Int(256)), None);
        assert_eq!(unsigned.bits_of(Raw::Int(-1)), None);
        let signed = Layout::new(0, 8, ByteOrder::Little, Encoding::Signed).unwrap();
        assert_eq!(signed.bits_of(Raw::Int(-128)), Some(0x80));
        assert_eq!(signed.bits_of(Raw::Int(128)), None);
        assert_eq!(signed.range(), Some((-128, 127)));
    }
}
