//! One request to one control unit.

use super::{
    EcuFrames,
    share::{fd_frame_bits, frame_bits},
};
use crate::{
    frame::FRAME_BYTES_MAX,
    obd,
    uds::{self, DtcCode},
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// OBD: which of the next 32 PIDs there are.
    Supported { base: u8 },
    /// OBD: a value of now.
    Current { pid: u8 },
    /// OBD: identification; type 0 asks which there are.
    Info { info_type: u8 },
    /// OBD: a list of codes.
    Codes { service: u8 },
    /// OBD: the code whose freeze frame there is.
    FreezeCode,
    /// OBD: which values the freeze frame has.
    FreezeSupported,
    /// OBD: one of them.
    FreezeValue { pid: u8 },
    /// UDS: enters a session.
    Session { kind: u8 },
    /// UDS: keeps it.
    TesterPresent,
    /// UDS: codes by status.
    Dtcs { mask: u8 },
    /// UDS: every code it can set.
    SupportedDtcs,
    /// UDS: what was measured when a code was set.
    Snapshot { code: DtcCode },
    /// UDS: counters of a code.
    ExtendedData { code: DtcCode },
    /// UDS: a data identifier, by its place in the settings.
    Did { index: usize, identifier: u16 },
    /// OBD: clears codes.
    ClearObd,
    /// UDS: clears codes.
    ClearUds,
}

impl Job {
    pub(super) fn request(self) -> Vec<u8> {
        match self {
            Job::Supported { base } => obd::current_data(base),
            Job::Current { pid } => obd::current_data(pid),
            Job::Info { info_type } => obd::vehicle_information(info_type),
            Job::Codes { service } => obd::dtcs(service),
            Job::FreezeCode => obd::freeze_frame(obd::PID_FREEZE_DTC),
            Job::FreezeSupported => obd::freeze_frame(0),
            Job::FreezeValue { pid } => obd::freeze_frame(pid),
            Job::Session { kind } => uds::session(kind),
            Job::TesterPresent => uds::tester_present(),
            Job::Dtcs { mask } => uds::dtcs_by_status(mask),
            Job::SupportedDtcs => uds::supported_dtcs(),
            Job::Snapshot { code } => uds::snapshot_of(code, uds::ALL_RECORDS),
            Job::ExtendedData { code } => uds::extended_data_of(code, uds::ALL_RECORDS),
            Job::Did { identifier, .. } => uds::read_data(identifier),
            Job::ClearObd => obd::clear(),
            Job::ClearUds => uds::clear_dtcs(uds::ALL_DTCS),
        }
    }

    /// Whether it may be put to all control units: OBD may (ISO 15765-4), UDS is between two.
    pub(super) fn is_obd(self) -> bool {
        matches!(
            self,
            Job::Supported { .. }
                | Job::Current { .. }
                | Job::Info { .. }
                | Job::Codes { .. }
                | Job::FreezeCode
                | Job::FreezeSupported
                | Job::FreezeValue { .. }
                | Job::ClearObd
        )
    }

    /// Whether no answer means that the control unit is not there. OBD control units are silent
    /// about what they do not have (J1979 5.2.2.4), and nobody answers to a tester's presence.
    pub(super) fn is_answer_due(self) -> bool {
        matches!(
            self,
            Job::Current { .. }
                | Job::Codes { service: obd::CONFIRMED_DTCS | obd::PENDING_DTCS }
                | Job::Dtcs { .. }
                | Job::SupportedDtcs
                | Job::Did { .. }
                | Job::Session { .. }
        )
    }

    /// Bits that request, answer and flow control are expected to take; what it comes to more is
    /// charged when it comes.
    pub(super) fn bits_expected(self, is_extended: bool, sent_in: EcuFrames) -> u32 {
        let frames = match self {
            Job::TesterPresent => 1,
            Job::Info { info_type } if info_type != 0 => 5,
            Job::Dtcs { .. }
            | Job::SupportedDtcs
            | Job::Snapshot { .. }
            | Job::ExtendedData { .. }
            | Job::Did { .. } => 6,
            Job::Codes { .. } => 4,
            _ => 2,
        };
        match sent_in {
            EcuFrames::Classic => frames * frame_bits(is_extended, 8),
            // What takes six frames of 8 bytes takes a request and an answer of these.
            EcuFrames::Fd | EcuFrames::FdRateSwitched if frames > 2 => {
                fd_frame_bits(is_extended, 8) + fd_frame_bits(is_extended, FRAME_BYTES_MAX)
            }
            EcuFrames::Fd | EcuFrames::FdRateSwitched => frames * fd_frame_bits(is_extended, 8),
        }
    }
}
