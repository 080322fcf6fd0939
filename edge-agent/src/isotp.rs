//! ISO-TP, ISO 15765-2:2016: messages longer than a frame, over frames.
//!
//! A [`Link`] is one pair of addresses and both directions between them. It is a state machine
//! without thread, socket or clock: it is shown the bus's frames and the time, and gives events and
//! the frames to send. `pdu.rs` is what a frame says, `receive.rs` and `send.rs` are the two sides.
//!
//! Bounds: one message in each direction, each of at most
//! [`LinkSettings::payload_bytes_max`]; every wait has its timeout of clause 9.8.

use std::time::Duration;

use crate::frame::FrameId;

mod link;
pub mod pdu;
mod receive;
mod send;
#[cfg(test)]
mod tests;

pub use link::{Link, LinkEvent};

/// The ids two nodes speak on, and the address byte in front of the data where there is one
/// (ISO 15765-2 10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Id of the frames this side sends.
    pub send_id: FrameId,
    /// Id of the frames the other side sends.
    pub receive_id: FrameId,
    /// First byte of the frames this side sends: extended (10.3.4) and mixed (10.3.5) addressing.
    pub send_prefix: Option<u8>,
    /// First byte of the frames the other side sends.
    pub receive_prefix: Option<u8>,
}

impl Address {
    /// Normal addressing, 10.3.2: the ids say all.
    pub fn normal(send_id: FrameId, receive_id: FrameId) -> Self {
        Self { send_id, receive_id, send_prefix: None, receive_prefix: None }
    }

    /// Normal fixed addressing, 10.3.3: `0x18DA`, target and source in a 29-bit id.
    pub fn normal_fixed(target: u8, source: u8) -> Self {
        let id = |to: u8, from: u8| extended_id(0x18DA_0000 | u32::from(to) << 8 | u32::from(from));
        Self::normal(id(target, source), id(source, target))
    }

    /// Extended addressing, 10.3.4: the target's address is the first data byte.
    pub fn extended(send_id: FrameId, receive_id: FrameId, target: u8, source: u8) -> Self {
        Self { send_id, receive_id, send_prefix: Some(target), receive_prefix: Some(source) }
    }

    /// Mixed addressing with 29 bits, 10.3.5.2: `0x18CE`, target and source, and the extension byte.
    pub fn mixed_fixed(target: u8, source: u8, extension: u8) -> Self {
        let id = |to: u8, from: u8| extended_id(0x18CE_0000 | u32::from(to) << 8 | u32::from(from));
        let prefix = Some(extension);
        Self {
            send_id: id(target, source),
            receive_id: id(source, target),
            send_prefix: prefix,
            receive_prefix: prefix,
        }
    }

    /// The same link as the other side has it.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            send_id: self.receive_id,
            receive_id: self.send_id,
            send_prefix: self.receive_prefix,
            receive_prefix: self.send_prefix,
        }
    }
}

fn extended_id(raw: u32) -> FrameId {
    FrameId { raw, is_extended: true }
}

/// How a [`Link`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// Longest message taken or sent; a longer one is refused with a flow control *overflow*.
    pub payload_bytes_max: usize,
    /// Data bytes of a full frame sent, `TX_DL` of table 3: 8, or an FD length up to 64.
    pub frame_bytes: usize,
    /// Whether FD frames are sent with their data at the bus's faster rate.
    pub is_rate_switched: bool,
    /// What fills frames up to `frame_bytes` of 8; `None` sends classic frames as short as they
    /// are. FD frames are always filled to the next length there is. 10.4.2.1 proposes `0xCC`.
    pub padding: Option<u8>,
    /// Consecutive frames the other side may send in a row; 0 is without end (9.6.5.3).
    pub block_size: u8,
    /// Least time between the other side's consecutive frames, as its code of table 20.
    pub st_min_code: u8,
    /// `N_As`: longest time a frame may wait to be put on the bus (9.8.2).
    pub n_as: Duration,
    /// `N_Bs`: longest wait for a flow control (9.8.2).
    pub n_bs: Duration,
    /// `N_Cr`: longest wait for a consecutive frame (9.8.2).
    pub n_cr: Duration,
    /// Flow controls in a row that may ask to wait, before sending is given up.
    pub waits_max: u32,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            payload_bytes_max: 4095,
            frame_bytes: 8,
            is_rate_switched: false,
            padding: Some(0xCC),
            block_size: 0,
            st_min_code: 0,
            n_as: Duration::from_secs(1),
            n_bs: Duration::from_secs(1),
            n_cr: Duration::from_secs(1),
            waits_max: 16,
        }
    }
}

/// Why a message did not get through; the names are those of the `N_Result` of 8.3.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// `N_TIMEOUT_A`: a frame was not put on the bus in time.
    #[error("a frame could not be sent within N_As")]
    SendTimeout,
    /// `N_TIMEOUT_Bs`: no flow control in time.
    #[error("no flow control within N_Bs")]
    FlowTimeout,
    /// `N_TIMEOUT_Cr`: no consecutive frame in time.
    #[error("no consecutive frame within N_Cr")]
    ConsecutiveTimeout,
    /// `N_WRONG_SN`: a consecutive frame was lost or came twice.
    #[error("consecutive frame {got} where {expected} was due")]
    WrongSequence {
        /// The number that was due.
        expected: u8,
        /// The number that came.
        got: u8,
    },
    /// `N_INVALID_FS`: a flow control with a reserved status.
    #[error("flow control with reserved status {0}")]
    FlowStatus(u8),
    /// `N_UNEXP_PDU`: the other side began a new message within one.
    #[error("a new message began before the last was whole")]
    Interrupted,
    /// `N_WFT_OVRN`: more flow controls asked to wait than are waited for.
    #[error("the receiver asked to wait too often")]
    Waits,
    /// `N_BUFFER_OVFLW`: the receiver has no room.
    #[error("the receiver has no room for the message")]
    Overflow,
    /// A first frame of a message longer than is taken.
    #[error("a message of {bytes} bytes is longer than is taken")]
    TooLong {
        /// Its length.
        bytes: u32,
    },
}

/// Why a message is not sent at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The last message is not out yet.
    #[error("the last message is not out yet; wait for its event")]
    Busy,
    /// There is no empty message in ISO-TP.
    #[error("an empty message cannot be sent")]
    Empty,
    /// Longer than the settings allow, or than the one frame a functional request may have.
    #[error("a message of {bytes} bytes is longer than {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
