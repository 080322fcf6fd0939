//! How much of the bus polling may take: bits on the wire, counted at their worst.

use wire::time::Timestamp;

use crate::frame::{Frame, FrameKind};

/// Seconds of its share that may be saved up and spent at once.
const SAVED_S: f64 = 1.0;

/// Bits a classic data frame takes on the bus with the space after it, every stuff bit that can
/// come counted: ISO 11898-1 10.5, by the formula of Davis, Burns, Bril and Lukkien (2007), with
/// 34 of the frame's own bits under stuffing for an 11-bit id and 54 for a 29-bit one.
pub fn frame_bits(is_extended: bool, data_bytes: usize) -> u32 {
    let own = if is_extended { 54 } else { 34 };
    let data = 8 * u32::try_from(data_bytes.min(64)).unwrap_or(64);
    own + data + 13 + (own + data - 1) / 4
}

/// The same of a CAN FD frame (ISO 11898-1:2015 10.4.2): 22 or 41 of its own bits before the data,
/// with them under stuffing; then the count of stuff bits and the checksum with their fixed stuff
/// bits. All are counted at the bus's own rate, also where a frame switches to the faster one.
pub fn fd_frame_bits(is_extended: bool, data_bytes: usize) -> u32 {
    let own = if is_extended { 41 } else { 22 };
    let data = 8 * u32::try_from(data_bytes.min(64)).unwrap_or(64);
    // 4 bits of count, a checksum of 17 or 21, and a stuff bit before each four of them.
    let checked = if data_bytes <= 16 { 4 + 17 + 6 } else { 4 + 21 + 7 };
    own + data + (own + data - 1) / 4 + checked + 13
}

/// The bits of one frame.
pub(super) fn bits_of(frame: &Frame) -> u32 {
    let (is_extended, data_bytes) = (frame.id.is_extended, frame.data().len());
    if frame.kind == FrameKind::Fd {
        fd_frame_bits(is_extended, data_bytes)
    } else {
        frame_bits(is_extended, data_bytes)
    }
}

/// A token bucket of bits. It begins empty, and what an exchange takes beyond what was there is
/// paid back before the next.
#[derive(Debug)]
pub(super) struct Budget {
    bits_per_us: f64,
    bits_max: f64,
    bits: f64,
    at: Option<Timestamp>,
}

impl Budget {
    pub(super) fn new(bitrate: u32, share: f64) -> Self {
        let bits_per_s = f64::from(bitrate) * share;
        Self { bits_per_us: bits_per_s / 1e6, bits_max: bits_per_s * SAVED_S, bits: 0.0, at: None }
    }

    #[allow(clippy::cast_precision_loss, reason = "a time between two ticks")]
    pub(super) fn tick(&mut self, now: Timestamp) {
        let passed_us = self.at.map_or(0, |at| now.since_us(at)).max(0);
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
        self.bits = (self.bits + passed_us as f64 * self.bits_per_us).min(self.bits_max);
    }

    /// Whether so many bits can be begun while `reserved` are still to come of what runs.
    pub(super) fn allows(&self, bits: u32, reserved: u32) -> bool {
        self.bits - f64::from(reserved) >= f64::from(bits).min(self.bits_max)
    }

    pub(super) fn charge(&mut self, bits: u32) {
        self.bits -= f64::from(bits);
    }
}
