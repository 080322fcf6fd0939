//! Protobuf's fields, one after the other, without a message made of them.
//!
//! Batches are read by these straight into the columns they are: of a message that is made first and
//! taken apart again, ingest spent a third of its time. What is written is written by prost.
//! <https://protobuf.dev/programming-guides/encoding/>

/// Why bytes are no protobuf of the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A field goes on behind the last byte.
    #[error("it ends within a field")]
    End,
    /// A number of more than 64 bits.
    #[error("a number of more than 64 bits")]
    Varint,
    /// A field's number is 0, or its type one that no message has.
    #[error("a field of an unknown kind")]
    Key,
    /// A field of another type than its number says.
    #[error("a field of another type than its own")]
    Type,
    /// A text that is not UTF-8.
    #[error("a text that is not UTF-8")]
    Text,
}

/// The fields of a message, in the order they are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [u8]);

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    #[inline]
    fn field(&mut self) -> Result<(u32, Value<'a>), FieldError> {
        let key = u32::try_from(varint(&mut self.0)?).map_err(|_| FieldError::Key)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => Value::Fixed64(self.fixed()?),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| FieldError::End)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(FieldError::End)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => self.fixed::<4>().map(|_| Value::Fixed32)?,
            _ => return Err(FieldError::Key),
        };
        if key >> 3 == 0 {
            return Err(FieldError::Key);
        }
        Ok((key >> 3, value))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(FieldError::End)?;
        self.0 = rest;
        Ok(*bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), FieldError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

impl<'a> Value<'a> {
    pub(crate) fn uint64(self) -> Result<u64, FieldError> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err(FieldError::Type),
        }
    }

    /// Its lower half, as every reader of protobuf takes it.
    #[allow(clippy::cast_possible_truncation, reason = "what the encoding says")]
    pub(crate) fn uint32(self) -> Result<u32, FieldError> {
        self.uint64().map(|value| value as u32)
    }

    pub(crate) fn int32(self) -> Result<i32, FieldError> {
        self.uint32().map(u32::cast_signed)
    }

    pub(crate) fn sint64(self) -> Result<i64, FieldError> {
        self.uint64().map(zigzag)
    }

    pub(crate) fn sfixed64(self) -> Result<i64, FieldError> {
        match self {
            Value::Fixed64(bytes) => Ok(i64::from_le_bytes(bytes)),
            _ => Err(FieldError::Type),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], FieldError> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(FieldError::Type),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, FieldError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| FieldError::Text)
    }

    /// One more number of a repeated field, or many packed in one.
    pub(crate) fn sint64s(self, into: &mut Vec<i64>) -> Result<(), FieldError> {
        self.varints(into, zigzag)
    }

    /// The same of unsigned ones.
    #[allow(clippy::cast_possible_truncation, reason = "what the encoding says")]
    pub(crate) fn uint32s(self, into: &mut Vec<u32>) -> Result<(), FieldError> {
        self.varints(into, |value| value as u32)
    }

    /// The same of doubles.
    pub(crate) fn doubles(self, into: &mut Vec<f64>) -> Result<(), FieldError> {
        match self {
            Value::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            Value::Bytes(packed) => {
                let (numbers, rest) = packed.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(FieldError::End);
                }
                into.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            _ => return Err(FieldError::Type),
        }
        Ok(())
    }

    #[inline]
    fn varints<T>(self, into: &mut Vec<T>, of: impl Fn(u64) -> T) -> Result<(), FieldError> {
        match self {
            Value::Varint(value) => into.push(of(value)),
            Value::Bytes(mut packed) => {
                // Each ends with the one byte that has not the upper bit.
                into.reserve(packed.iter().filter(|byte| **byte < 0x80).count());
                while !packed.is_empty() {
                    into.push(of(varint(&mut packed)?));
                }
            }
            _ => return Err(FieldError::Type),
        }
        Ok(())
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, FieldError> {
    let (&first, tail) = rest.split_first().ok_or(FieldError::End)?;
    if first < 0x80 {
        *rest = tail;
        return Ok(first.into());
    }
    long_varint(rest)
}

fn long_varint(rest: &mut &[u8]) -> Result<u64, FieldError> {
    let mut value = 0;
    for (i, &byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            // 63 bits are in nine.
            if i == 9 && byte > 1 {
                return Err(FieldError::Varint);
            }
            *rest = rest.get(i + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 { FieldError::End } else { FieldError::Varint })
}
