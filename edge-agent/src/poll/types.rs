//! What polling is told and what it tells.

use std::{sync::Arc, time::Duration};

use crate::{
    frame::FrameId,
    isotp::Address,
    j1939::{Acknowledgement, Name, SourceAddress, SpnConversion},
    obd::Addressing,
    uds::NegativeCode,
};

/// What is asked, and how much that may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct PollSettings {
    /// The interface asked on.
    pub interface: Arc<str>,
    /// Its bit rate.
    pub bitrate: u32,
    /// Most of it that requests, answers and flow control may take.
    pub bus_share_max: f64,
    /// How OBD is addressed.
    pub addressing: Addressing,
    /// Time without a frame but our answers after which the vehicle counts as asleep.
    pub quiet_after: Duration,
    /// How long to be silent after another tester's request.
    pub tester_pause: Duration,
    /// Values of now.
    pub pids: Vec<PidPoll>,
    /// How often OBD codes are read; `None` for never.
    pub obd_faults_every: Option<Duration>,
    /// Control units of UDS.
    pub ecus: Vec<EcuPoll>,
    /// Data identifiers.
    pub dids: Vec<DidPoll>,
    /// Units of J1939; `None` when they are not asked.
    pub j1939: Option<J1939Poll>,
}

/// How units of J1939 are asked, by a node of the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct J1939Poll {
    /// The address it would have.
    pub address: SourceAddress,
    /// Its NAME.
    pub name: Name,
    /// How often the faults each unit had (DM2) are read; `None` for never.
    pub faults_every: Option<Duration>,
    /// How SPNs of old units are laid out.
    pub spn_conversion: SpnConversion,
}

/// A PID and its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidPoll {
    /// Of service 01.
    pub pid: u8,
    /// How often.
    pub period: Duration,
}

/// A control unit of UDS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcuPoll {
    /// What reports call it.
    pub name: String,
    /// Where it listens and answers.
    pub address: Address,
    /// Frames it is asked in.
    pub frames: EcuFrames,
    /// How often its codes are read; `None` for never.
    pub faults_every: Option<Duration>,
    /// Codes with any of these status bits are read.
    pub status_mask: u8,
    /// The session codes are read in, when it is not the default one.
    pub session: Option<u8>,
}

/// Frames that a control unit of UDS is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EcuFrames {
    /// Of classic CAN, 8 bytes.
    #[default]
    Classic,
    /// Of CAN FD, up to 64 bytes at the bus's own rate.
    Fd,
    /// Of CAN FD with the data at the faster rate (BRS).
    FdRateSwitched,
}

/// A data identifier and its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DidPoll {
    /// Whose: a place in [`PollSettings::ecus`].
    pub ecu: usize,
    /// Which.
    pub identifier: u16,
    /// The id of the frame made of the answer; longer answers go on with the next ids.
    pub frame_id: FrameId,
    /// Most frames made of one answer.
    pub frames_max: u8,
    /// How often.
    pub period: Duration,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollCounts {
    /// Requests put.
    pub requests: u64,
    /// Positive answers.
    pub positive: u64,
    /// Negative answers that were final.
    pub negative: u64,
    /// Requests without an answer.
    pub silent: u64,
    /// Requests or answers that did not get through whole.
    pub failed: u64,
    /// Times another tester was heard.
    pub testers: u64,
    /// Bits on the bus, of requests, answers and flow control.
    pub bits: u64,
    /// Answers longer than the frames they may have.
    pub cut_answers: u64,
}

/// Something a control unit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose.
    pub ecu: String,
    /// [`crate::obd::INFO_VIN`], [`crate::obd::INFO_CALIBRATION`] or [`crate::obd::INFO_ECU_NAME`].
    pub info_type: u8,
    /// Its texts.
    pub texts: Vec<String>,
}

/// The permission to clear codes. Whoever makes one has checked a command's signature and that
/// the vehicle's own configuration allows it; polling never makes one.
#[derive(Debug)]
pub struct ClearPermit(());

impl ClearPermit {
    /// Of a command that was checked.
    pub fn of_checked_command() -> Self {
        Self(())
    }
}

/// How a control unit took the order to clear its codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// Whose.
    pub ecu: String,
    /// Whether they are cleared.
    pub result: Result<(), ClearFault>,
}

/// Why codes were not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClearFault {
    /// It refused.
    #[error("the control unit refused: {0}")]
    Refused(NegativeCode),
    /// J1939: it did not do it.
    #[error("the control unit refused: {0}")]
    NotAcknowledged(Acknowledgement),
    /// It did not answer.
    #[error("the control unit did not answer")]
    Silent,
}

/// Why nothing is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PollRefusal {
    /// The ignition is off or the bus is quiet.
    #[error("the vehicle is asleep; ask again when its ignition is on")]
    Asleep,
    /// No control unit is known.
    #[error("no control unit has answered yet; ask again later")]
    NoControlUnit,
}
