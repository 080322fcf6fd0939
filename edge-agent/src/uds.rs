//! UDS, ISO 14229-1: the diagnostic services of control units, as requests and answers.
//!
//! Requests are plain bytes from the functions below; [`Client`] carries one of them at a time
//! over ISO-TP, with the timing of ISO 14229-2. OBD-II answers by the same rules, so [`crate::obd`]
//! uses the same client.

mod client;
#[cfg(test)]
mod tests;

pub use client::{Client, Outcome, Timing};

/// `DiagnosticSessionControl`, ISO 14229-1 clause 9.2.
pub const SESSION_CONTROL: u8 = 0x10;
/// `ClearDiagnosticInformation`, clause 11.2.
pub const CLEAR_DTCS: u8 = 0x14;
/// `ReadDTCInformation`, clause 11.3.
pub const READ_DTCS: u8 = 0x19;
/// `ReadDataByIdentifier`, clause 10.2.
pub const READ_DATA: u8 = 0x22;
/// `TesterPresent`, clause 9.6.
pub const TESTER_PRESENT: u8 = 0x3E;
/// The first byte of a negative answer, clause 8.3.
pub const NEGATIVE: u8 = 0x7F;
/// Added to a service's byte by its positive answer, clause 7.3.2.
pub const ANSWER: u8 = 0x40;
/// `suppressPosRspMsgIndicationBit` of a sub-function, clause 8.2.2.
pub const SUPPRESS: u8 = 0x80;

/// `extendedDiagnosticSession`, clause 9.2.2.2.
pub const EXTENDED_SESSION: u8 = 0x03;
/// `groupOfDTC` of all codes, clause D.1.
pub const ALL_DTCS: u32 = 0x00FF_FFFF;
/// A record number that stands for all of them, clauses 11.3.5.1.
pub const ALL_RECORDS: u8 = 0xFF;

/// `testFailed`, bit 0 of a code's status, clause D.2.
pub const STATUS_FAILED: u8 = 0x01;
/// `pendingDTC`, bit 2.
pub const STATUS_PENDING: u8 = 0x04;
/// `confirmedDTC`, bit 3.
pub const STATUS_CONFIRMED: u8 = 0x08;

/// `reportDTCByStatusMask`, clause 11.3.2.2.
pub const DTCS_BY_STATUS: u8 = 0x02;
/// `reportDTCSnapshotRecordByDTCNumber`.
pub const SNAPSHOT_OF_DTC: u8 = 0x04;
/// `reportDTCExtDataRecordByDTCNumber`.
pub const EXTENDED_DATA_OF_DTC: u8 = 0x06;
/// `reportSupportedDTC`.
pub const SUPPORTED_DTCS: u8 = 0x0A;

/// Asks for a session.
pub fn session(kind: u8) -> Vec<u8> {
    vec![SESSION_CONTROL, kind]
}

/// Keeps a session without an answer.
pub fn tester_present() -> Vec<u8> {
    vec![TESTER_PRESENT, SUPPRESS]
}

/// Clears a group of codes, or [`ALL_DTCS`].
pub fn clear_dtcs(group: u32) -> Vec<u8> {
    let [_, high, middle, low] = group.to_be_bytes();
    vec![CLEAR_DTCS, high, middle, low]
}

/// Asks for the codes with any of the status bits of `mask`.
pub fn dtcs_by_status(mask: u8) -> Vec<u8> {
    vec![READ_DTCS, DTCS_BY_STATUS, mask]
}

/// Asks for every code the control unit can set.
pub fn supported_dtcs() -> Vec<u8> {
    vec![READ_DTCS, SUPPORTED_DTCS]
}

/// Asks for what was measured when a code was set.
pub fn snapshot_of(code: DtcCode, record: u8) -> Vec<u8> {
    let [high, middle, low] = code.0;
    vec![READ_DTCS, SNAPSHOT_OF_DTC, high, middle, low, record]
}

/// Asks for counters and the like of a code.
pub fn extended_data_of(code: DtcCode, record: u8) -> Vec<u8> {
    let [high, middle, low] = code.0;
    vec![READ_DTCS, EXTENDED_DATA_OF_DTC, high, middle, low, record]
}

/// Asks for one data identifier.
pub fn read_data(identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    vec![READ_DATA, high, low]
}

/// Three bytes of a trouble code, the last of them the failure type (SAE J2012-DA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DtcCode(pub [u8; 3]);

impl DtcCode {
    /// Reads `P0171` or, with its failure type, `U0100-87`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no trouble code; write one like P0171 or U0100-87");
        let (base, failure_type) = text.split_once('-').unwrap_or((text, "00"));
        let byte = |digits: Option<&str>| {
            let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(wrong)?;
            u16::from_str_radix(digits, 16).map_err(|_| wrong())
        };
        let system = base.bytes().next().and_then(|letter| b"PCBU".iter().position(|l| *l == letter));
        let number = byte(base.get(1..).filter(|d| d.len() == 4))?;
        let failure_type = byte(Some(failure_type).filter(|d| d.len() == 2))?;
        // The letter is in the two highest bits, and the first digit is at most 3.
        let system =
            system.and_then(|s| u16::try_from(s).ok()).filter(|_| number < 0x4000).ok_or_else(wrong)?;
        let [high, low] = (system << 14 | number).to_be_bytes();
        Ok(Self([high, low, failure_type.to_be_bytes()[1]]))
    }
}

impl std::fmt::Display for DtcCode {
    /// `P0171-00`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [high, low, failure_type] = self.0;
        write!(f, "{}-{failure_type:02X}", crate::obd::dtc_text([high, low]))
    }
}

/// A trouble code and its status byte (clause D.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtcStatus {
    /// The code.
    pub code: DtcCode,
    /// Its status bits.
    pub status: u8,
}

/// The codes of a positive answer to sub-function 02 or 0A; `None` when it is none.
pub fn parse_dtcs(answer: &[u8]) -> Option<Vec<DtcStatus>> {
    let [service, sub_function, _availability_mask, records @ ..] = answer else { return None };
    if *service != READ_DTCS + ANSWER || ![DTCS_BY_STATUS, SUPPORTED_DTCS].contains(sub_function) {
        return None;
    }
    let (records, _odd) = records.as_chunks::<4>();
    Some(
        records
            .iter()
            .map(|&[high, middle, low, status]| DtcStatus { code: DtcCode([high, middle, low]), status })
            .collect(),
    )
}

/// What follows code and status in an answer to sub-function 04 or 06: records as the control
/// unit's maker lays them out. `None` when the answer is of another code.
pub fn parse_records(answer: &[u8], code: DtcCode) -> Option<&[u8]> {
    let [service, sub_function, high, middle, low, _status, records @ ..] = answer else { return None };
    let is_records = [SNAPSHOT_OF_DTC, EXTENDED_DATA_OF_DTC].contains(sub_function);
    (*service == READ_DTCS + ANSWER && is_records && DtcCode([*high, *middle, *low]) == code)
        .then_some(records)
}

/// A negative response code (table A.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegativeCode(pub u8);

impl NegativeCode {
    /// `busyRepeatRequest`.
    pub const BUSY: Self = Self(0x21);
    /// `requestCorrectlyReceived-ResponsePending`.
    pub const PENDING: Self = Self(0x78);

    /// Its name in table A.1.
    pub fn name(self) -> &'static str {
        match self.0 {
            0x10 => "generalReject",
            0x11 => "serviceNotSupported",
            0x12 => "sub-functionNotSupported",
            0x13 => "incorrectMessageLengthOrInvalidFormat",
            0x14 => "responseTooLong",
            0x21 => "busyRepeatRequest",
            0x22 => "conditionsNotCorrect",
            0x24 => "requestSequenceError",
            0x25 => "noResponseFromSubnetComponent",
            0x26 => "failurePreventsExecutionOfRequestedAction",
            0x31 => "requestOutOfRange",
            0x33 => "securityAccessDenied",
            0x34 => "authenticationRequired",
            0x35 => "invalidKey",
            0x36 => "exceedNumberOfAttempts",
            0x37 => "requiredTimeDelayNotExpired",
            0x70 => "uploadDownloadNotAccepted",
            0x71 => "transferDataSuspended",
            0x72 => "generalProgrammingFailure",
            0x73 => "wrongBlockSequenceCounter",
            0x78 => "requestCorrectlyReceived-ResponsePending",
            0x7E => "sub-functionNotSupportedInActiveSession",
            0x7F => "serviceNotSupportedInActiveSession",
            0x81 => "rpmTooHigh",
            0x82 => "rpmTooLow",
            0x83 => "engineIsRunning",
            0x84 => "engineIsNotRunning",
            0x85 => "engineRunTimeTooLow",
            0x86 => "temperatureTooHigh",
            0x87 => "temperatureTooLow",
            0x88 => "vehicleSpeedTooHigh",
            0x89 => "vehicleSpeedTooLow",
            0x8A => "throttle/PedalTooHigh",
            0x8B => "throttle/PedalTooLow",
            0x8C => "transmissionRangeNotInNeutral",
            0x8D => "transmissionRangeNotInGear",
            0x8F => "brakeSwitch(es)NotClosed",
            0x90 => "shifterLeverNotInPark",
            0x91 => "torqueConverterClutchLocked",
            0x92 => "voltageTooHigh",
            0x93 => "voltageTooLow",
            0x38..=0x4F => "reservedByExtendedDataLinkSecurityDocument",
            0xF0..=0xFE => "vehicleManufacturerSpecificConditionsNotCorrect",
            _ => "ISOSAEReserved",
        }
    }
}

impl std::fmt::Display for NegativeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.0)
    }
}
