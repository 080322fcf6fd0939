//! What clients see of commands.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{
    command::{CommandKind, CommandReply},
    ids::VehicleId,
    time::Timestamp,
};

use super::outcome_word;
use crate::ids::CommandId;

/// What a vehicle is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Ask the control units for their trouble codes now.
    ReadDtcs,
    /// Ask the control units which codes they can set at all.
    ReadSupportedDtcs,
    /// Have the control units forget their codes; the vehicle must allow it.
    ClearDtcs,
    /// Send the end of the agent's log.
    SendLog {
        /// Its last so many bytes, at most 131,072 (default 65,536).
        bytes_max: Option<u32>,
    },
    /// End the agent, for its supervisor to start it again.
    Restart,
    /// Bring the unit to a version of its software, by the updater it is configured with.
    ApplyUpdate {
        /// The version.
        version: String,
    },
}

impl Task {
    /// As it travels.
    pub(crate) fn kind(&self) -> CommandKind {
        match self {
            Self::ReadDtcs => CommandKind::ReadDtcs,
            Self::ReadSupportedDtcs => CommandKind::ReadSupportedDtcs,
            Self::ClearDtcs => CommandKind::ClearDtcs,
            Self::SendLog { bytes_max } => CommandKind::SendLog { bytes_max: bytes_max.unwrap_or(0) },
            Self::Restart => CommandKind::Restart,
            Self::ApplyUpdate { version } => CommandKind::ApplyUpdate { version: version.clone() },
        }
    }
}

/// A new command.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(example = json!({ "vehicle_id": "van-7", "task": { "kind": "read_dtcs" } }))]
#[serde(deny_unknown_fields)]
pub struct NewCommand {
    /// Telemetry or registry id of the vehicle.
    pub vehicle_id: String,
    /// What it is to do.
    pub task: Task,
    /// After so many seconds it is not to be done any more; at most seven days (default one day).
    pub valid_for_s: Option<i64>,
}

/// A command and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Command)]
pub struct StoredCommand {
    /// `cmd_…`
    #[schema(value_type = String)]
    pub id: CommandId,
    /// Whose it is to do.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// What is to be done.
    pub task: Task,
    /// Rises with each command of the vehicle.
    pub sequence: i64,
    /// What became of it.
    pub state: CommandState,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// From when on it is not to be done any more.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When the broker was given it last; null while it was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<Timestamp>,
    /// What the vehicle said; null while it has not.
    pub reply: Option<Reply>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// No reply has come.
    Waiting,
    /// None has come, and it may not be done any more.
    Expired,
    /// Done.
    Done,
    /// Not done, and nothing was tried.
    Refused,
    /// Tried, and it did not work or it is not known whether it did.
    Failed,
}

/// A vehicle's reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CommandReply)]
pub struct Reply {
    /// `done`, `refused` or `failed`.
    pub outcome: String,
    /// Why; empty when done.
    pub reason: String,
    /// By the vehicle's clock.
    #[schema(value_type = String, format = DateTime)]
    pub replied_at: Timestamp,
    /// What the control units said.
    pub dtcs: Vec<Dtc>,
    /// The end of the log.
    pub log: String,
}

/// A trouble code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CommandDtc)]
pub struct Dtc {
    /// `j1939`, `obd` or `uds`.
    pub protocol: String,
    /// The control unit.
    pub ecu: String,
    /// `active`, `previous`, `pending`, `confirmed`, `permanent` or `supported`.
    pub list: String,
    /// As technicians write it.
    pub code: String,
    /// When it was on the bus.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
}

impl From<CommandReply> for Reply {
    fn from(reply: CommandReply) -> Self {
        let dtcs = reply.dtcs.into_iter().map(|dtc| Dtc {
            protocol: dtc.protocol,
            ecu: dtc.ecu,
            list: dtc.list,
            code: dtc.code,
            time: dtc.time,
        });
        Self {
            outcome: outcome_word(reply.outcome).to_owned(),
            reason: reply.reason,
            replied_at: reply.replied_at,
            dtcs: dtcs.collect(),
            log: reply.log,
        }
    }
}

/// Which commands to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CommandQuery {
    /// Only those of a vehicle.
    pub vehicle_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}
