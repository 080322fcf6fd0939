//! Frames to samples: DBC messages compiled once to a table that decodes without allocation.
//!
//! [`Decoder::decode`] finds the message by id (or PGN for J1939 messages), then walks nodes: a
//! node is a run of signals that are in the frame together, and the multiplexers whose value
//! chooses the next node. Signals come in the order cantools gives them: by first bit, then down
//! the multiplexers. A signal that a short frame does not hold whole is not emitted.
//!
//! [`Decoder::decode_payload`] does the same for messages of many frames, up to
//! [`PAYLOAD_BYTES_MAX`] bytes.

use std::fmt;

use crate::{
    dbc::{Dbc, DbcWarning},
    frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind},
    j1939::{Header, Message, PAYLOAD_BYTES_MAX},
};

mod ids;
pub mod layout;
mod program;

#[cfg(test)]
mod properties;

pub use layout::{ByteOrder, Encoding, Layout, Raw};

use ids::IdTable;
use layout::PADDING_BYTES;
use program::{Plan, Program};

/// A signal of one [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalIndex(pub(crate) u32);

impl SignalIndex {
    /// Its place in [`Decoder::signals`].
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A message of one [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageIndex(pub(crate) u32);

impl MessageIndex {
    /// Its place in [`Decoder::messages`].
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// One value of one signal in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which signal.
    pub signal: SignalIndex,
    /// Its value on the bus.
    pub raw: Raw,
}

/// A value in the signal's unit: an integer where scale and offset are integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Physical {
    /// Exact.
    Int(i128),
    /// Scaled.
    Float(f64),
}

impl fmt::Display for Physical {
    /// So that it reads back to the same value; floats always with a point or exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Physical::Int(v) => write!(f, "{v}"),
            Physical::Float(v) => write!(f, "{v:?}"),
        }
    }
}

/// A message of the compiled files.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageDef {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: FrameId,
    /// Bytes a frame has by the file.
    pub byte_count: u64,
    /// Whether it is matched by PGN when the exact id is no message.
    pub is_j1939: bool,
    /// The file it is from.
    pub file: String,
    /// Line of its `BO_`.
    pub line: usize,
    signals: std::ops::Range<u32>,
}

impl MessageDef {
    /// Its signals, by first bit.
    pub fn signals(&self) -> impl Iterator<Item = SignalIndex> + use<> {
        self.signals.clone().map(SignalIndex)
    }
}

/// A signal of the compiled files.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalDef {
    /// The message it is in.
    pub message: MessageIndex,
    /// Its name.
    pub name: String,
    /// Unit as the file spells it.
    pub unit: String,
    /// `physical = raw * scale + offset`.
    pub scale: f64,
    /// `physical = raw * scale + offset`.
    pub offset: f64,
    /// Least physical value by the file; equal to `max` when not given.
    pub min: f64,
    /// Greatest physical value by the file.
    pub max: f64,
    /// Where its bits are.
    pub layout: Layout,
    /// Names of raw values, sorted by value.
    pub labels: Vec<(i64, String)>,
    /// The switch it depends on: the multiplexer, and its raw values.
    pub present_when: Option<(SignalIndex, Vec<(u64, u64)>)>,
    /// Line of its `SG_`.
    pub line: usize,
    integral: Option<(i128, i128)>,
}

impl SignalDef {
    /// Whether its bits are an IEEE float.
    pub fn is_float(&self) -> bool {
        matches!(self.layout.encoding(), Encoding::Float32 | Encoding::Float64)
    }

    /// Whether its raw values always fit an `i64`.
    pub fn is_raw_i64(&self) -> bool {
        self.layout.range().is_some_and(|(_, max)| max <= i128::from(i64::MAX))
    }

    /// The value in its unit, computed as cantools does.
    pub fn physical(&self, raw: Raw) -> Physical {
        let exact = |raw: i128| {
            let (scale, offset) = self.integral?;
            raw.checked_mul(scale)?.checked_add(offset)
        };
        match raw {
            Raw::Int(v) => exact(i128::from(v)).map_or_else(|| self.scaled(raw), Physical::Int),
            Raw::Wide(v) => exact(i128::from(v)).map_or_else(|| self.scaled(raw), Physical::Int),
            Raw::Float(_) => self.scaled(raw),
        }
    }

    fn scaled(&self, raw: Raw) -> Physical {
        Physical::Float(self.value(raw))
    }

    /// The value in its unit as a float.
    pub fn value(&self, raw: Raw) -> f64 {
        raw.as_f64() * self.scale + self.offset
    }

    /// The name of a raw value, if the file has one.
    pub fn label(&self, raw: Raw) -> Option<&str> {
        let raw = raw.as_i64()?;
        let i = self.labels.binary_search_by_key(&raw, |label| label.0).ok()?;
        self.labels.get(i).map(|label| label.1.as_str())
    }
}

/// Why files do not make a decoder together.
#[derive(Debug, thiserror::Error)]
pub enum CompileDbcError {
    /// Two files describe the same id.
    #[error(
        "{file}:{line}: message {name} has the id of {other_name} at {other_file}:{other_line}; \
         give only one of the two files, or remove one of the messages"
    )]
    DuplicateMessage {
        /// The later file.
        file: String,
        /// Its line.
        line: usize,
        /// Its message.
        name: String,
        /// The earlier message.
        other_name: String,
        /// The earlier file.
        other_file: String,
        /// Its line.
        other_line: usize,
    },
    /// Multiplexing with more combinations than any real file.
    #[error("{file}:{line}: the multiplexing of message {name} has too many combinations; split the message")]
    TooComplex {
        /// The file.
        file: String,
        /// Line of its `BO_`.
        line: usize,
        /// The message.
        name: String,
    },
}

const NONE: u32 = u32::MAX;
/// Most bytes of a classic frame.
const CLASSIC_FRAME_BYTES: u64 = 8;
const STANDARD_ID_COUNT: usize = 0x800;

/// A message, and what is done with a frame of it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    message: MessageIndex,
    plan: Plan,
}

/// DBC files, compiled.
#[derive(Debug, Clone)]
pub struct Decoder {
    messages: Vec<MessageDef>,
    signals: Vec<SignalDef>,
    warnings: Vec<DbcWarning>,
    program: Program,
    /// By 11-bit id, so that nearly every frame is one look away from what is done with it.
    standard: Vec<Option<Entry>>,
    extended: IdTable,
    pgns: IdTable,
    /// Messages too long for a classic frame that their file does not call J1939: of them only
    /// the transport protocol can be asked by PGN.
    long_pgns: IdTable,
}

impl Decoder {
    /// Compiles files; their messages must not share ids.
    pub fn compile(files: &[Dbc]) -> Result<Self, CompileDbcError> {
        let mut decoder = Self {
            messages: Vec::new(),
            signals: Vec::new(),
            warnings: files.iter().flat_map(|dbc| dbc.warnings.iter().cloned()).collect(),
            program: Program::default(),
            standard: vec![None; STANDARD_ID_COUNT],
            extended: IdTable::new(),
            pgns: IdTable::new(),
            long_pgns: IdTable::new(),
        };
        for dbc in files {
            for message in &dbc.messages {
                decoder.add(dbc, message)?;
            }
        }
        Ok(decoder)
    }

    fn add(&mut self, dbc: &Dbc, message: &crate::dbc::DbcMessage) -> Result<(), CompileDbcError> {
        if let Some(other) = self.find_id(message.id) {
            let other = &self.messages[other.as_usize()];
            return Err(CompileDbcError::DuplicateMessage {
                file: dbc.file.clone(),
                line: message.line,
                name: message.name.clone(),
                other_name: other.name.clone(),
                other_file: other.file.clone(),
                other_line: other.line,
            });
        }
        let too_complex = || CompileDbcError::TooComplex {
            file: dbc.file.clone(),
            line: message.line,
            name: message.name.clone(),
        };
        let index = u32::try_from(self.messages.len()).map_err(|_| too_complex())?;
        let first = u32::try_from(self.signals.len()).map_err(|_| too_complex())?;
        let end = u32::try_from(self.signals.len() + message.signals.len()).map_err(|_| too_complex())?;
        self.program.add(&message.signals, first).ok_or_else(too_complex)?;
        for signal in &message.signals {
            self.signals.push(SignalDef {
                message: MessageIndex(index),
                name: signal.name.clone(),
                unit: signal.unit.clone(),
                scale: signal.scale,
                offset: signal.offset,
                min: signal.min,
                max: signal.max,
                layout: signal.layout,
                labels: signal.labels.clone(),
                present_when: signal.present_when.as_ref().and_then(|switch| {
                    let multiplexer = first + u32::try_from(switch.multiplexer).ok()?;
                    Some((SignalIndex(multiplexer), switch.ranges.clone()))
                }),
                line: signal.line,
                integral: as_integer(signal.scale).zip(as_integer(signal.offset)),
            });
        }
        self.messages.push(MessageDef {
            name: message.name.clone(),
            id: message.id,
            byte_count: message.byte_count,
            is_j1939: message.is_j1939,
            file: dbc.file.clone(),
            line: message.line,
            signals: first..end,
        });
        if message.id.is_extended {
            self.extended.get_or_insert(message.id.raw, index);
            if message.is_j1939 {
                let first = self.pgns.get_or_insert(pgn_key(message.id.raw), index);
                if first != index {
                    self.warn_of_shared_pgn(dbc, message, first);
                }
            } else if message.byte_count > CLASSIC_FRAME_BYTES {
                self.long_pgns.get_or_insert(pgn_key(message.id.raw), index);
            }
        } else if let Some(slot) = self.standard.get_mut(message.id.raw as usize) {
            let message = MessageIndex(index);
            *slot = Some(Entry { message, plan: self.program.plan(message) });
        }
        Ok(())
    }

    fn warn_of_shared_pgn(&mut self, dbc: &Dbc, message: &crate::dbc::DbcMessage, first: u32) {
        let MessageDef { name, file, line, .. } = &self.messages[first as usize];
        self.warnings.push(DbcWarning {
            file: dbc.file.clone(),
            line: message.line,
            message: format!(
                "message {} has the PGN of {name} at {file}:{line}; frames of senders and priorities \
                 that neither names are decoded as {name}, remove one of them if they differ",
                message.name
            ),
        });
    }

    fn find_id(&self, id: FrameId) -> Option<MessageIndex> {
        if id.is_extended { self.extended.get(id.raw).map(MessageIndex) } else { self.message_of(id) }
    }

    /// By the exact id, or else by PGN.
    fn extended_message(&self, id: u32) -> Option<MessageIndex> {
        self.extended.get(id).or_else(|| self.pgns.get(pgn_key(id))).map(MessageIndex)
    }

    /// The message a frame of that id is.
    #[inline]
    pub fn message_of(&self, id: FrameId) -> Option<MessageIndex> {
        if id.is_extended {
            self.extended_message(id.raw)
        } else {
            (*self.standard.get(id.raw as usize)?).map(|entry| entry.message)
        }
    }

    #[inline]
    fn entry_of(&self, id: FrameId) -> Option<Entry> {
        if id.is_extended {
            let message = self.extended_message(id.raw)?;
            Some(Entry { message, plan: self.program.plan(message) })
        } else {
            *self.standard.get(id.raw as usize)?
        }
    }

    /// Calls `visit` with each signal in the frame. `None` when no file has the frame's id, or
    /// it is a remote or error frame.
    #[inline]
    pub fn decode(&self, frame: &Frame, visit: &mut impl FnMut(Sample)) -> Option<MessageIndex> {
        if matches!(frame.kind, FrameKind::Remote | FrameKind::Error) {
            return None;
        }
        let Entry { message, plan } = self.entry_of(frame.id)?;
        self.program.run(message, plan, frame.padded(), frame.byte_count(), visit);
        Some(message)
    }

    /// The message that a reassembled one is: of that sender, or of its PGN.
    pub fn message_of_long(&self, message: &Message) -> Option<MessageIndex> {
        let Message { pgn, source, destination, .. } = *message;
        // Its own priority is not sent; a file writes the id with some priority.
        let id = |priority| Header { priority, pgn, source, destination }.id();
        (0..=7).find_map(|priority| self.find_id(id(priority))).or_else(|| {
            let key = pgn_key(id(0).raw);
            self.pgns.get(key).or_else(|| self.long_pgns.get(key)).map(MessageIndex)
        })
    }

    /// Calls `visit` with each signal in the bytes of a message, of one frame or of many. What is
    /// beyond the longest message is not looked at.
    pub fn decode_payload(&self, message: MessageIndex, payload: &[u8], visit: &mut impl FnMut(Sample)) {
        let plan = self.program.plan(message);
        let len = payload.len().min(PAYLOAD_BYTES_MAX);
        if len <= FRAME_BYTES_MAX {
            let mut padded = [0_u8; FRAME_BYTES_MAX];
            padded[..len].copy_from_slice(&payload[..len]);
            self.program.run(message, plan, &padded, len, visit);
        } else {
            let mut padded = [0_u8; PAYLOAD_BYTES_MAX + PADDING_BYTES];
            padded[..len].copy_from_slice(&payload[..len]);
            self.program.run(message, plan, &padded, len, visit);
        }
    }

    /// What the files' warnings are, in their order.
    pub fn warnings(&self) -> &[DbcWarning] {
        &self.warnings
    }

    /// Every signal; a [`SignalIndex`] is a place in it.
    pub fn signals(&self) -> &[SignalDef] {
        &self.signals
    }

    /// Every message; a [`MessageIndex`] is a place in it.
    pub fn messages(&self) -> &[MessageDef] {
        &self.messages
    }

    /// A signal of this decoder.
    pub fn signal(&self, index: SignalIndex) -> &SignalDef {
        &self.signals[index.as_usize()]
    }

    /// A message of this decoder.
    pub fn message(&self, index: MessageIndex) -> &MessageDef {
        &self.messages[index.as_usize()]
    }

    /// Signals called `message.signal`; more than one when two files name messages alike.
    pub fn find<'a>(&'a self, message: &'a str, signal: &'a str) -> impl Iterator<Item = SignalIndex> + 'a {
        self.messages
            .iter()
            .filter(move |m| m.name == message)
            .flat_map(MessageDef::signals)
            .filter(move |index| self.signal(*index).name == signal)
    }
}

/// What of a 29-bit id names the parameter group: priority and source gone, and the destination
/// where the group has one (PDU format below 240).
fn pgn_key(id: u32) -> u32 {
    if (id >> 16) & 0xFF < 240 { id & 0x03FF_0000 } else { id & 0x03FF_FF00 }
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be integral and in range")]
fn as_integer(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < 9.2e18).then_some(value as i128)
}

#[cfg(test)]
mod tests;
