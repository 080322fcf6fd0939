//! Samples to frames, by the same DBC files the decoder reads: what the simulator speaks with.
//!
//! Physical values are rounded to the nearest raw value and clamped to what the signal's bits can
//! carry. Bits no given signal covers are zero. For a multiplexed message the caller gives the
//! multiplexer's value as any other signal's.

use std::{collections::HashMap, sync::Arc};

use wire::time::Timestamp;

use crate::{
    decode::{Decoder, Encoding, Raw, SignalDef},
    frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind},
};

/// Frames of every message of some DBC files.
#[derive(Debug, Clone)]
pub struct Encoder {
    messages: HashMap<String, MessageEncoder>,
}

/// Frames of one message.
#[derive(Debug, Clone)]
pub struct MessageEncoder {
    name: String,
    id: FrameId,
    byte_count: usize,
    signals: Vec<SignalDef>,
}

/// The bytes of one frame, not yet on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// Its id.
    pub id: FrameId,
    data: [u8; FRAME_BYTES_MAX],
    byte_count: usize,
}

/// Why values are no frame.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// No file has the message.
    #[error("message {0} is in none of the DBC files")]
    UnknownMessage(String),
    /// The message has no such signal.
    #[error("message {message} has no signal {signal}")]
    UnknownSignal {
        /// The message.
        message: String,
        /// What it does not have.
        signal: String,
    },
    /// Longer than 64 bytes by its file, or a signal beyond its end.
    #[error("message {message} of {byte_count} bytes does not hold signal {signal}")]
    TooShort {
        /// The message.
        message: String,
        /// Bytes of the message.
        byte_count: usize,
        /// The signal beyond its end.
        signal: String,
    },
    /// Not a number, or a raw value that does not fit.
    #[error("value {value} does not fit signal {message}.{signal}")]
    Value {
        /// The message.
        message: String,
        /// The signal.
        signal: String,
        /// What was given.
        value: f64,
    },
}

impl Encoder {
    /// An encoder of every message of a decoder; of messages of one name the first.
    pub fn new(decoder: &Decoder) -> Self {
        let mut messages = HashMap::new();
        for message in decoder.messages() {
            let signals = message.signals().map(|i| decoder.signal(i).clone()).collect();
            let byte_count =
                usize::try_from(message.byte_count).unwrap_or(FRAME_BYTES_MAX).min(FRAME_BYTES_MAX);
            messages.entry(message.name.clone()).or_insert_with(|| MessageEncoder {
                name: message.name.clone(),
                id: message.id,
                byte_count,
                signals,
            });
        }
        Self { messages }
    }

    /// The encoder of one message, for callers that make many frames of it.
    pub fn message(&self, name: &str) -> Result<&MessageEncoder, EncodeError> {
        self.messages.get(name).ok_or_else(|| EncodeError::UnknownMessage(name.to_owned()))
    }

    /// A frame of physical values, `("Speed", 13.9)`.
    pub fn encode(&self, message: &str, values: &[(&str, f64)]) -> Result<EncodedFrame, EncodeError> {
        self.message(message)?.encode(values)
    }
}

impl MessageEncoder {
    /// A frame of physical values.
    pub fn encode(&self, values: &[(&str, f64)]) -> Result<EncodedFrame, EncodeError> {
        let mut frame = self.empty();
        for (name, value) in values {
            let signal = self.signal(name)?;
            let raw = nearest_raw(signal, *value).ok_or_else(|| self.misfit(signal, *value))?;
            self.put(&mut frame, signal, raw)?;
        }
        Ok(frame)
    }

    /// A frame of raw values, not scaled and not clamped.
    pub fn encode_raw(&self, values: &[(&str, Raw)]) -> Result<EncodedFrame, EncodeError> {
        let mut frame = self.empty();
        for (name, raw) in values {
            self.put(&mut frame, self.signal(name)?, *raw)?;
        }
        Ok(frame)
    }

    fn empty(&self) -> EncodedFrame {
        EncodedFrame { id: self.id, data: [0; FRAME_BYTES_MAX], byte_count: self.byte_count }
    }

    fn signal(&self, name: &str) -> Result<&SignalDef, EncodeError> {
        self.signals
            .iter()
            .find(|s| s.name == name)
            .ok_or_else(|| EncodeError::UnknownSignal { message: self.name.clone(), signal: name.to_owned() })
    }

    fn put(&self, frame: &mut EncodedFrame, signal: &SignalDef, raw: Raw) -> Result<(), EncodeError> {
        if signal.layout.byte_count_needed() > self.byte_count {
            return Err(EncodeError::TooShort {
                message: self.name.clone(),
                byte_count: self.byte_count,
                signal: signal.name.clone(),
            });
        }
        let bits = signal.layout.bits_of(raw).ok_or_else(|| self.misfit(signal, raw.as_f64()))?;
        signal.layout.insert(&mut frame.data, bits);
        Ok(())
    }

    fn misfit(&self, signal: &SignalDef, value: f64) -> EncodeError {
        EncodeError::Value { message: self.name.clone(), signal: signal.name.clone(), value }
    }
}

/// The raw value whose physical value is nearest, clamped to the signal's bits.
#[allow(clippy::cast_possible_truncation, reason = "float to integer casts saturate, then are clamped")]
fn nearest_raw(signal: &SignalDef, value: f64) -> Option<Raw> {
    let unscaled = (value - signal.offset) / signal.scale;
    if unscaled.is_nan() {
        return None;
    }
    match (signal.layout.encoding(), signal.layout.range()) {
        (Encoding::Float32 | Encoding::Float64, _) | (_, None) => Some(Raw::Float(unscaled)),
        (_, Some((min, max))) => {
            let raw = (unscaled.round() as i128).clamp(min, max);
            i64::try_from(raw).map(Raw::Int).or_else(|_| u64::try_from(raw).map(Raw::Wide)).ok()
        }
    }
}

impl EncodedFrame {
    /// Its data bytes.
    pub fn data(&self) -> &[u8] {
        &self.data[..self.byte_count]
    }

    /// The frame as it appears on an interface; CAN FD when it is longer than 8 bytes.
    pub fn on(&self, interface: Arc<str>, time: Timestamp) -> Option<Frame> {
        let kind = if self.byte_count > 8 { FrameKind::Fd } else { FrameKind::Data };
        Frame::new(time, interface, self.id, kind, self.data())
    }
}

#[cfg(test)]
mod tests;
