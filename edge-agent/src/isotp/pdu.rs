//! What a frame of ISO-TP says, and how it is written: ISO 15765-2 9.6.

use crate::frame::FRAME_BYTES_MAX;

use super::LinkSettings;

/// Data lengths a frame can have (table 2 of ISO 15765-2, ISO 11898-1).
const FRAME_LENGTHS: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64];
/// Most bytes a first frame can announce in 12 bits (9.6.3.1); a greater length takes 32 bits.
const SHORT_LENGTH_MAX: u32 = 4095;
/// What fills FD frames when no padding is set (10.4.2.1).
const FILL: u8 = 0xCC;

/// A protocol data unit (table 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pdu<'a> {
    /// A whole message.
    Single(&'a [u8]),
    /// The beginning of a longer one.
    First {
        /// Bytes of the whole message.
        byte_count: u32,
        /// Its first bytes.
        data: &'a [u8],
    },
    /// A further part.
    Consecutive {
        /// Its number, 0 to 15.
        sequence: u8,
        /// Its bytes, with the padding of the last one.
        data: &'a [u8],
    },
    /// What the receiver says to the sender.
    Flow(Flow),
}

/// A flow control (9.6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Go on, wait, or give up.
    pub status: FlowStatus,
    /// Consecutive frames until the next flow control; 0 is all.
    pub block_size: u8,
    /// Least time between them, as its code.
    pub st_min_code: u8,
}

/// The flow status of table 18.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowStatus {
    /// `CTS`.
    Continue,
    /// `WAIT`.
    Wait,
    /// `OVFLW`.
    Overflow,
    /// Reserved: ends the message (9.6.5.2).
    Reserved(u8),
}

/// Why a frame is no unit; such a frame is ignored (9.6.2 to 9.6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PduFault {
    /// Too few bytes for what it says it is.
    #[error("the frame is too short for its kind")]
    Short,
    /// Reserved in table 9.
    #[error("reserved kind {0}")]
    Kind(u8),
    /// A length that its kind of frame must not have.
    #[error("the length does not fit the frame")]
    Length,
}

/// Reads the data of a frame; `prefix_bytes` is 1 where an address byte comes first.
pub fn parse(frame: &[u8], prefix_bytes: usize) -> Result<Pdu<'_>, PduFault> {
    let body = frame.get(prefix_bytes..).unwrap_or_default();
    let (first, rest) = body.split_first().ok_or(PduFault::Short)?;
    let low = first & 0x0F;
    match first >> 4 {
        0 => single(frame.len(), low, rest, prefix_bytes),
        1 => first_frame(frame.len(), low, rest, prefix_bytes),
        2 => Ok(Pdu::Consecutive { sequence: low, data: rest }),
        3 => {
            let [block_size, st_min_code, ..] = *rest else { return Err(PduFault::Short) };
            let status = match low {
                0 => FlowStatus::Continue,
                1 => FlowStatus::Wait,
                2 => FlowStatus::Overflow,
                other => FlowStatus::Reserved(other),
            };
            Ok(Pdu::Flow(Flow { status, block_size, st_min_code }))
        }
        kind => Err(PduFault::Kind(kind)),
    }
}

/// Clause 9.6.2: the length is in the first byte, or in the second when the frame has more than 8.
fn single(frame_bytes: usize, low: u8, rest: &[u8], prefix_bytes: usize) -> Result<Pdu<'_>, PduFault> {
    let (byte_count, data) = if frame_bytes <= 8 {
        (usize::from(low), rest)
    } else {
        let (count, data) = rest.split_first().ok_or(PduFault::Short)?;
        // A length that a frame of 8 bytes would hold must not take the long form.
        if low != 0 || usize::from(*count) < 8 - prefix_bytes {
            return Err(PduFault::Length);
        }
        (usize::from(*count), data)
    };
    match data.get(..byte_count) {
        Some(data) if byte_count > 0 => Ok(Pdu::Single(data)),
        _ => Err(PduFault::Length),
    }
}

/// Clause 9.6.3: 12 bits of length, or 32 after a zero.
fn first_frame(frame_bytes: usize, low: u8, rest: &[u8], prefix_bytes: usize) -> Result<Pdu<'_>, PduFault> {
    if frame_bytes < 8 || !FRAME_LENGTHS.contains(&frame_bytes) {
        return Err(PduFault::Short);
    }
    let (byte, data) = rest.split_first().ok_or(PduFault::Short)?;
    let short = u32::from(low) << 8 | u32::from(*byte);
    let (byte_count, data) = if short != 0 {
        (short, data)
    } else {
        let (length, data) = data.split_first_chunk::<4>().ok_or(PduFault::Short)?;
        let byte_count = u32::from_be_bytes(*length);
        if byte_count <= SHORT_LENGTH_MAX {
            return Err(PduFault::Length);
        }
        (byte_count, data)
    };
    // Table 14: a message that one frame holds must not come in several.
    let least = if frame_bytes == 8 { 8 - prefix_bytes } else { frame_bytes - 1 - prefix_bytes };
    if usize::try_from(byte_count).is_ok_and(|count| count < least) {
        return Err(PduFault::Length);
    }
    Ok(Pdu::First { byte_count, data })
}

/// The data of a frame to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameData {
    bytes: [u8; FRAME_BYTES_MAX],
    len: usize,
}

impl FrameData {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Writes frames: prefix, then what the unit is, then data, then fill.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameWriter {
    pub(super) prefix: Option<u8>,
    pub(super) padding: Option<u8>,
    /// One of the lengths there are, 8 to 64.
    pub(super) frame_bytes: usize,
}

impl FrameWriter {
    pub(super) fn new(prefix: Option<u8>, settings: &LinkSettings) -> Self {
        Self {
            prefix,
            padding: settings.padding,
            frame_bytes: frame_length(settings.frame_bytes.clamp(8, FRAME_BYTES_MAX)),
        }
    }

    fn prefix_bytes(&self) -> usize {
        usize::from(self.prefix.is_some())
    }

    /// Most bytes of a message in one frame (table 11).
    pub(super) fn single_bytes_max(&self) -> usize {
        let overhead = if self.frame_bytes > 8 { 2 } else { 1 };
        self.frame_bytes - overhead - self.prefix_bytes()
    }

    /// Whether the data fits a single frame; the caller has looked.
    pub(super) fn single(&self, data: &[u8]) -> FrameData {
        let count = low_byte(data.len());
        if data.len() + self.prefix_bytes() < 8 {
            self.frame(&[count], data)
        } else {
            self.frame(&[0, count], data)
        }
    }

    /// The first frame of a message, and how many bytes of it are in it.
    pub(super) fn first(&self, payload: &[u8]) -> (FrameData, usize) {
        let count = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let [a, b, c, d] = count.to_be_bytes();
        let long = [0x10, 0, a, b, c, d];
        let short = [0x10 | c, d];
        let head: &[u8] = if count > SHORT_LENGTH_MAX { &long } else { &short };
        let taken = (self.frame_bytes - self.prefix_bytes() - head.len()).min(payload.len());
        (self.frame(head, &payload[..taken]), taken)
    }

    /// A consecutive frame of what is left, and how many bytes of it are in it.
    pub(super) fn consecutive(&self, sequence: u8, left: &[u8]) -> (FrameData, usize) {
        let taken = (self.frame_bytes - self.prefix_bytes() - 1).min(left.len());
        (self.frame(&[0x20 | (sequence & 0x0F)], &left[..taken]), taken)
    }

    pub(super) fn flow(&self, flow: Flow) -> FrameData {
        let status = match flow.status {
            FlowStatus::Continue => 0,
            FlowStatus::Wait => 1,
            FlowStatus::Overflow => 2,
            FlowStatus::Reserved(code) => code & 0x0F,
        };
        self.frame(&[0x30 | status, flow.block_size, flow.st_min_code], &[])
    }

    fn frame(&self, head: &[u8], data: &[u8]) -> FrameData {
        let mut bytes = [self.padding.unwrap_or(FILL); FRAME_BYTES_MAX];
        let content = self.prefix.iter().chain(head).chain(data);
        let mut len = 0;
        for (slot, byte) in bytes.iter_mut().zip(content) {
            *slot = *byte;
            len += 1;
        }
        len = match self.padding {
            Some(_) if len < 8 => 8,
            _ => frame_length(len),
        };
        FrameData { bytes, len }
    }
}

/// The shortest frame that holds so many bytes.
fn frame_length(bytes: usize) -> usize {
    FRAME_LENGTHS.into_iter().find(|length| *length >= bytes).unwrap_or(FRAME_BYTES_MAX)
}

fn low_byte(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// Microseconds of an `STmin` code, table 20; reserved codes are the longest, 127 ms (9.6.5.6).
pub fn st_min_us(code: u8) -> i64 {
    match code {
        0..=0x7F => i64::from(code) * 1000,
        0xF1..=0xF9 => i64::from(code - 0xF0) * 100,
        _ => 127_000,
    }
}
