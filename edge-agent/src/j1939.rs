//! SAE J1939: what a 29-bit id says, messages longer than a frame, faults, and who sent them.
//!
//! [`Listener`] takes the frames of every bus and gives [`Event`]s; it only listens, and never
//! asks a control unit for anything. Below it: [`transport`] puts long messages together,
//! [`dm`] and [`freeze`] read the diagnostic messages, [`address`] follows who has which source address.
//! [`node`] is a unit that takes part: polling is one where it may, and simulated units are.
//!
//! Bounds: [`BUS_COUNT_MAX`] interfaces, each with [`transport::SESSION_COUNT_MAX`] long messages
//! under way, [`transport::EXTENDED_BYTES_MAX`] of still longer ones, and 254 names. What is beyond
//! them is counted.

use std::fmt;

use crate::frame::{Frame, FrameId, FrameKind};

pub mod address;
pub mod dm;
pub mod freeze;
mod listener;
pub mod node;
pub mod transport;

pub use address::Name;
pub use dm::{Dm, Dtc, SpnConversion};
pub use listener::{BUS_COUNT_MAX, Event, J1939Settings, Listen, Listener};
pub use node::{Acknowledgement, Node, NodeEvent, NodeSettings};
pub use transport::{EXTENDED_PAYLOAD_BYTES_MAX, Message, PAYLOAD_BYTES_MAX, Transport, TransportCounts};

/// Parameter group number: which message it is, whoever sends it (J1939-21, 5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pgn(u32);

impl Pgn {
    /// Acknowledgement (J1939-21, 5.4.4).
    pub const ACKNOWLEDGEMENT: Pgn = Pgn(0xE800);
    /// Request for a parameter group (J1939-21, 5.4.2).
    pub const REQUEST: Pgn = Pgn(0xEA00);
    /// Transport protocol, data transfer (J1939-21, 5.10.4).
    pub const TRANSPORT_DATA: Pgn = Pgn(0xEB00);
    /// Transport protocol, connection management (J1939-21, 5.10.3).
    pub const TRANSPORT_CONTROL: Pgn = Pgn(0xEC00);
    /// Extended transport protocol, data transfer (J1939-21, 5.11.4).
    pub const EXTENDED_TRANSPORT_DATA: Pgn = Pgn(0xC700);
    /// Extended transport protocol, connection management (J1939-21, 5.11.3).
    pub const EXTENDED_TRANSPORT_CONTROL: Pgn = Pgn(0xC800);
    /// Address claimed, or cannot claim (J1939-81, 4.2.2).
    pub const ADDRESS_CLAIMED: Pgn = Pgn(0xEE00);
    /// DM1, active trouble codes (J1939-73, 5.7.1).
    pub const DM1: Pgn = Pgn(0xFECA);
    /// DM2, previously active trouble codes (J1939-73, 5.7.2).
    pub const DM2: Pgn = Pgn(0xFECB);
    /// DM3, clear of previously active trouble codes (J1939-73, 5.7.3).
    pub const DM3: Pgn = Pgn(0xFECC);
    /// DM4, freeze frames of values fixed by the standard (J1939-73, 5.7.4).
    pub const DM4: Pgn = Pgn(0xFECD);
    /// Component identification (J1939-71, 5.3.24).
    pub const COMPONENT_IDENTIFICATION: Pgn = Pgn(0xFEEB);
    /// Vehicle identification (J1939-71, 5.3.25).
    pub const VEHICLE_IDENTIFICATION: Pgn = Pgn(0xFEEC);
    /// DM11, clear of active trouble codes (J1939-73, 5.7.11).
    pub const DM11: Pgn = Pgn(0xFED3);
    /// DM24, which parameters a unit tells, and those of its DM25 (J1939-73, 5.7.24).
    pub const DM24: Pgn = Pgn(0xFDB6);
    /// DM25, freeze frames of values that the unit chooses (J1939-73, 5.7.25).
    pub const DM25: Pgn = Pgn(0xFDB7);

    /// A number of at most 18 bits; of a group with a destination the last byte is zero.
    pub fn new(number: u32) -> Option<Self> {
        let has_destination = (number >> 8) & 0xFF < PDU2_FORMAT_MIN;
        (number < 1 << 18 && !(has_destination && number & 0xFF != 0)).then_some(Self(number))
    }

    /// Of the three bytes a message carries it in, the lowest first.
    pub(crate) fn from_le_bytes(bytes: [u8; 3]) -> Option<Self> {
        Self::new(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Pgn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Suspect parameter number: what a trouble code is about (J1939-73, 5.7.1.6), of 19 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spn(pub u32);

/// The address of a control unit on its bus (J1939-21, 5.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceAddress(pub u8);

impl SourceAddress {
    /// Of a unit that has none (J1939-81, 4.2.2.3).
    pub const NULL: SourceAddress = SourceAddress(254);
    /// Every unit (J1939-21, 5.2.6).
    pub const GLOBAL: SourceAddress = SourceAddress(255);
}

/// PDU formats from here on are for everyone (J1939-21, 5.2.5).
const PDU2_FORMAT_MIN: u32 = 240;

/// What a 29-bit id says (J1939-21, 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// 0 is the highest, 7 the lowest.
    pub priority: u8,
    /// Which message.
    pub pgn: Pgn,
    /// Who sent it.
    pub source: SourceAddress,
    /// Whom it is for; [`SourceAddress::GLOBAL`] for everyone.
    pub destination: SourceAddress,
}

impl Header {
    /// Takes an id apart; `None` for an 11-bit one.
    #[allow(clippy::cast_possible_truncation, reason = "masked to a byte")]
    pub fn of(id: FrameId) -> Option<Self> {
        if !id.is_extended {
            return None;
        }
        let byte = |shift: u32| ((id.raw >> shift) & 0xFF) as u8;
        let group = (id.raw >> 8) & 0x3_FFFF;
        let has_destination = (group >> 8) & 0xFF < PDU2_FORMAT_MIN;
        Some(Self {
            priority: byte(26) & 7,
            pgn: Pgn(if has_destination { group & 0x3_FF00 } else { group }),
            source: SourceAddress(byte(0)),
            destination: if has_destination { SourceAddress(byte(8)) } else { SourceAddress::GLOBAL },
        })
    }

    /// The id it is of.
    pub fn id(self) -> FrameId {
        let group = self.pgn.0;
        let has_destination = (group >> 8) & 0xFF < PDU2_FORMAT_MIN;
        let specific = if has_destination { u32::from(self.destination.0) } else { 0 };
        let raw = u32::from(self.priority & 7) << 26 | (group | specific) << 8 | u32::from(self.source.0);
        FrameId { raw, is_extended: true }
    }
}

/// The header of a frame that J1939 may be in: 29-bit, data, and none of the agent's own.
fn header_of(frame: &Frame) -> Option<Header> {
    if frame.kind != FrameKind::Data || frame.id.is_own() {
        return None;
    }
    Header::of(frame.id)
}

#[cfg(test)]
mod tests;
