//! One-shot requests to a vehicle, signed, and its replies.
//!
//! A [`Command`] is signed over a text of its own and its bytes, so that no other thing signed by
//! the same key is a command. Decoding is total and bounded by [`COMMAND_BYTES_MAX`].

use prost::Message;

use crate::{
    ids::{IdError, VehicleId},
    proto,
    signature::{BatchSigner, BatchVerifier, SignatureError},
    time::Timestamp,
};

/// The version this crate writes.
pub const COMMAND_VERSION: u32 = 1;
/// Largest payload of a `command` message.
pub const COMMAND_BYTES_MAX: usize = 4096;
/// Longest command id.
pub const COMMAND_ID_CHARS_MAX: usize = 64;
const SIGNED_TEXT: &[u8] = b"roadlake command v1\0";

/// One request to one vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Whose it is.
    pub vehicle_id: VehicleId,
    /// Names it in its reply; used once.
    pub command_id: String,
    /// Rises with every command of this vehicle.
    pub sequence: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// From when on it may not be done any more.
    pub expires_at: Timestamp,
    /// What is to be done.
    pub kind: CommandKind,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKind {
    /// Ask the control units for their faults now.
    ReadDtcs,
    /// Ask the control units which faults they can tell at all.
    ReadSupportedDtcs,
    /// Have the control units forget their faults.
    ClearDtcs,
    /// Send the end of the agent's log.
    SendLog {
        /// Its last so many bytes.
        bytes_max: u32,
    },
    /// End the agent, for its supervisor to start it again.
    Restart,
    /// Bring the unit to a version of its software, by the updater it is configured with.
    ApplyUpdate {
        /// The version, see [`is_version`].
        version: String,
    },
}

/// Whether a text may name a version: 1 to 64 of `A-Z a-z 0-9 . + ~ - _`, not beginning with `-`, so
/// that no updater takes it for an option.
pub fn is_version(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b".+~-_".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) && !text.starts_with('-')
}

impl CommandKind {
    /// As written in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            CommandKind::ReadDtcs => "read_dtcs",
            CommandKind::ReadSupportedDtcs => "read_supported_dtcs",
            CommandKind::ApplyUpdate { .. } => "apply_update",
            CommandKind::ClearDtcs => "clear_dtcs",
            CommandKind::SendLog { .. } => "send_log",
            CommandKind::Restart => "restart",
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Done.
    Done,
    /// Not done, and nothing was tried.
    Refused,
    /// Tried, and it did not work or it is not known whether it did.
    Failed,
}

/// The payload of a `reply` message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandReply {
    /// Which command.
    pub command_id: String,
    /// What became of it.
    pub outcome: CommandOutcome,
    /// Why; empty when done.
    pub reason: String,
    /// Vehicle clock.
    pub replied_at: Timestamp,
    /// What the control units said.
    pub dtcs: Vec<ReportedDtc>,
    /// The end of the log.
    pub log: String,
}

/// One fault in a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedDtc {
    /// `j1939`, `obd` or `uds`.
    pub protocol: String,
    /// The control unit.
    pub ecu: String,
    /// `active`, `previous`, `pending`, `confirmed`, `permanent` or `supported`.
    pub list: String,
    /// As technicians write it.
    pub code: String,
    /// When it was on the bus.
    pub time: Timestamp,
}

/// Why bytes are no command or reply.
#[derive(Debug, thiserror::Error)]
pub enum DecodeCommandError {
    /// Over [`COMMAND_BYTES_MAX`].
    #[error("command of {0} bytes is over the limit of {COMMAND_BYTES_MAX}")]
    TooLarge(usize),
    /// Not protobuf of the message.
    #[error("{what} is not protobuf of its message")]
    Protobuf {
        /// Which message.
        what: &'static str,
        /// The reader's error.
        source: prost::DecodeError,
    },
    /// Not signed by the key.
    #[error("the command is not signed by the configured key")]
    Signature(#[from] SignatureError),
    /// A version this crate does not read.
    #[error("version {0} is not known to this release (it reads {COMMAND_VERSION})")]
    Version(u32),
    /// A malformed id.
    #[error("malformed id")]
    Id(#[from] IdError),
    /// A field that is missing or out of bounds.
    #[error("malformed command: {0}")]
    Malformed(&'static str),
}

impl Command {
    /// The payload that travels.
    pub fn encode_signed(&self, signer: &BatchSigner) -> Vec<u8> {
        use proto::command::Kind;
        let kind = match &self.kind {
            CommandKind::ReadDtcs => Kind::ReadDtcs(proto::ReadDtcs {}),
            CommandKind::ReadSupportedDtcs => Kind::ReadSupportedDtcs(proto::ReadSupportedDtcs {}),
            CommandKind::ApplyUpdate { version } => {
                Kind::ApplyUpdate(proto::ApplyUpdate { version: version.clone() })
            }
            CommandKind::ClearDtcs => Kind::ClearDtcs(proto::ClearDtcs {}),
            CommandKind::SendLog { bytes_max } => Kind::SendLog(proto::SendLog { bytes_max: *bytes_max }),
            CommandKind::Restart => Kind::Restart(proto::Restart {}),
        };
        let message = proto::Command {
            version: COMMAND_VERSION,
            vehicle_id: self.vehicle_id.as_str().to_owned(),
            command_id: self.command_id.clone(),
            sequence: self.sequence,
            issued_at_us: self.issued_at.0,
            expires_at_us: self.expires_at.0,
            kind: Some(kind),
        };
        let body = message.encode_to_vec();
        let signature = signer.sign(&signed(&body));
        proto::SignedCommand { body, signature }.encode_to_vec()
    }

    /// Reads a payload; nothing of it is looked at before its signature is good.
    pub fn decode_verified(payload: &[u8], verifier: &BatchVerifier) -> Result<Self, DecodeCommandError> {
        use proto::command::Kind;
        if payload.len() > COMMAND_BYTES_MAX {
            return Err(DecodeCommandError::TooLarge(payload.len()));
        }
        let envelope = proto::SignedCommand::decode(payload)
            .map_err(|source| DecodeCommandError::Protobuf { what: "signed command", source })?;
        verifier.verify(&signed(&envelope.body), &envelope.signature)?;
        let message = proto::Command::decode(envelope.body.as_slice())
            .map_err(|source| DecodeCommandError::Protobuf { what: "command", source })?;
        if message.version != COMMAND_VERSION {
            return Err(DecodeCommandError::Version(message.version));
        }
        if !(1..=COMMAND_ID_CHARS_MAX).contains(&message.command_id.chars().count()) {
            return Err(DecodeCommandError::Malformed("command_id is not 1 to 64 characters"));
        }
        let kind = match message.kind {
            Some(Kind::ReadDtcs(_)) => CommandKind::ReadDtcs,
            Some(Kind::ClearDtcs(_)) => CommandKind::ClearDtcs,
            Some(Kind::SendLog(log)) => CommandKind::SendLog { bytes_max: log.bytes_max },
            Some(Kind::Restart(_)) => CommandKind::Restart,
            Some(Kind::ReadSupportedDtcs(_)) => CommandKind::ReadSupportedDtcs,
            Some(Kind::ApplyUpdate(update)) if is_version(&update.version) => {
                CommandKind::ApplyUpdate { version: update.version }
            }
            Some(Kind::ApplyUpdate(_)) => {
                return Err(DecodeCommandError::Malformed("a version that is none"));
            }
            None => return Err(DecodeCommandError::Malformed("a kind this release does not know")),
        };
        Ok(Self {
            vehicle_id: message.vehicle_id.parse()?,
            command_id: message.command_id,
            sequence: message.sequence,
            issued_at: Timestamp(message.issued_at_us),
            expires_at: Timestamp(message.expires_at_us),
            kind,
        })
    }
}

fn signed(body: &[u8]) -> Vec<u8> {
    [SIGNED_TEXT, body].concat()
}

impl CommandReply {
    /// The payload that travels.
    pub fn encode(&self) -> Vec<u8> {
        let outcome = match self.outcome {
            CommandOutcome::Done => proto::CommandOutcome::Done,
            CommandOutcome::Refused => proto::CommandOutcome::Refused,
            CommandOutcome::Failed => proto::CommandOutcome::Failed,
        };
        let dtcs = self.dtcs.iter().map(|dtc| proto::ReportedDtc {
            protocol: dtc.protocol.clone(),
            ecu: dtc.ecu.clone(),
            list: dtc.list.clone(),
            code: dtc.code.clone(),
            time_us: dtc.time.0,
        });
        let message = proto::CommandReply {
            version: COMMAND_VERSION,
            command_id: self.command_id.clone(),
            outcome: outcome as i32,
            reason: self.reason.clone(),
            replied_at_us: self.replied_at.0,
            dtcs: dtcs.collect(),
            log: self.log.clone(),
        };
        message.encode_to_vec()
    }

    /// Reads the payload that travels.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeCommandError> {
        let message = proto::CommandReply::decode(bytes)
            .map_err(|source| DecodeCommandError::Protobuf { what: "reply", source })?;
        if message.version != COMMAND_VERSION {
            return Err(DecodeCommandError::Version(message.version));
        }
        let outcome = match message.outcome() {
            proto::CommandOutcome::Done => CommandOutcome::Done,
            proto::CommandOutcome::Refused => CommandOutcome::Refused,
            proto::CommandOutcome::Failed => CommandOutcome::Failed,
            proto::CommandOutcome::Unspecified => {
                return Err(DecodeCommandError::Malformed("a reply without an outcome"));
            }
        };
        let dtcs = message.dtcs.into_iter().map(|dtc| ReportedDtc {
            protocol: dtc.protocol,
            ecu: dtc.ecu,
            list: dtc.list,
            code: dtc.code,
            time: Timestamp(dtc.time_us),
        });
        Ok(Self {
            command_id: message.command_id,
            outcome,
            reason: message.reason,
            replied_at: Timestamp(message.replied_at_us),
            dtcs: dtcs.collect(),
            log: message.log,
        })
    }
}
