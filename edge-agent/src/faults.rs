//! Faults as control units report them, whatever the protocol.
//!
//! A [`FaultReport`] is one whole list of one control unit at one time, as DM1, OBD mode 03 or UDS
//! 0x19 gives it. The [`book`] makes of them events: what was raised, changed and cleared.

use wire::time::Timestamp;

pub mod book;

pub use book::{EventKind, FaultBook, FaultEvent, FaultSettings};

/// How a fault was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// SAE J1939-73 diagnostic messages.
    J1939,
    /// OBD-II, SAE J1979.
    Obd,
    /// UDS, ISO 14229-1.
    Uds,
}

impl Protocol {
    /// As written in the lake.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::J1939 => "j1939",
            Protocol::Obd => "obd",
            Protocol::Uds => "uds",
        }
    }
}

/// Which of a control unit's lists it is; each is followed on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultList {
    /// Failing now: DM1, UDS 0x19 02.
    Active,
    /// Was failing: DM2.
    Previous,
    /// Seen in this or the last cycle: OBD mode 07.
    Pending,
    /// Confirmed: OBD mode 03.
    Confirmed,
    /// Not to be cleared by a tool: OBD mode 0A.
    Permanent,
    /// What the unit can tell at all, set or not: UDS 0x19 0A. Told to who asks, never a fault.
    Supported,
}

impl FaultList {
    /// As written in the lake.
    pub fn name(self) -> &'static str {
        match self {
            FaultList::Active => "active",
            FaultList::Previous => "previous",
            FaultList::Pending => "pending",
            FaultList::Confirmed => "confirmed",
            FaultList::Permanent => "permanent",
            FaultList::Supported => "supported",
        }
    }
}

/// One diagnostic trouble code in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultCode {
    /// As technicians write it: `P0171`, `U0100-87`, `SPN 100 FMI 1`.
    pub code: String,
    /// J1939: suspect parameter number.
    pub spn: Option<u32>,
    /// J1939: failure mode identifier.
    pub fmi: Option<u8>,
    /// J1939: occurrence count, where it is available.
    pub occurrences: Option<u8>,
    /// UDS: status byte of ISO 14229-1; J1939: lamps of DM1 in bits 0 to 7, how they flash in
    /// bits 8 to 15.
    pub status_bits: Option<u32>,
    /// Freeze frame or snapshot, as JSON of names and values.
    pub freeze_frame: Option<String>,
}

/// The whole of one list of one control unit at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultReport {
    /// When it was on the bus.
    pub time: Timestamp,
    /// How.
    pub protocol: Protocol,
    /// Whose: the name of the control unit, or its address.
    pub ecu: String,
    /// Which list.
    pub list: FaultList,
    /// Its codes; none when there is no fault.
    pub codes: Vec<FaultCode>,
}

/// What a control unit was like when some of its faults appeared, told apart from their list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeReport {
    /// When it was on the bus.
    pub time: Timestamp,
    /// How.
    pub protocol: Protocol,
    /// Whose.
    pub ecu: String,
    /// Of which code ([`FaultCode::code`]), and the frame ([`FaultCode::freeze_frame`]).
    pub frames: Vec<(String, String)>,
}
