//! `edge-agent command`: makes the keys of commands, signs commands, and shows what came back.
//!
//! For whoever sends commands (a workshop, a script of the fleet's); the vehicle has the public key.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::json;
use service::{clock::SystemClock, config::DurationText, exit, logs::chain};
use uuid::Uuid;
use wire::{
    command::{
        COMMAND_ID_CHARS_MAX, Command, CommandKind, CommandOutcome, CommandReply, DecodeCommandError,
        is_version,
    },
    ids::VehicleId,
    signature::BatchSigner,
    time::Timestamp,
    topics::{Channel, topic},
};

use crate::{
    agent::{self, KeyError},
    keygen::{self, KeygenError},
};

/// Arguments of `edge-agent command`.
#[derive(Debug, Clone, Args)]
pub struct CommandArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CommandCommand,
}

/// What can be done with commands.
#[derive(Debug, Clone, Subcommand)]
pub enum CommandCommand {
    /// Make a key pair that signs commands.
    Keygen {
        /// Where the secret key goes; the public one goes beside it, with `.pub` added.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a command; its payload goes to standard output, for the vehicle's `command` topic.
    Sign(SignArgs),
    /// Print a reply, as it came on the vehicle's `reply` topic.
    Show {
        /// The payload; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `edge-agent command sign`.
#[derive(Debug, Clone, Args)]
pub struct SignArgs {
    /// The vehicle it is for.
    #[arg(long, value_name = "ID")]
    pub vehicle: VehicleId,
    /// The secret key, 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// How long it may be done after now, at most seven days.
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = parse_duration)]
    pub valid_for: DurationText,
    /// What its reply names it by [default: made up].
    #[arg(long, value_name = "TEXT")]
    pub id: Option<String>,
    /// Rises from one command of a vehicle to the next [default: the time in microseconds].
    #[arg(long, value_name = "NUMBER")]
    pub sequence: Option<u64>,
    /// What the vehicle is to do.
    #[command(subcommand)]
    pub kind: KindArgs,
}

/// What a vehicle can be asked to do.
#[derive(Debug, Clone, Subcommand)]
pub enum KindArgs {
    /// Ask the control units for their trouble codes now.
    ReadDtcs,
    /// Ask the control units which trouble codes they can set at all (UDS 0x19 0A).
    ReadSupportedDtcs,
    /// Have the control units forget their trouble codes; the vehicle must allow it.
    ClearDtcs,
    /// Send the end of the agent's log.
    SendLog {
        /// How much of it, in bytes.
        #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
        bytes_max: u32,
    },
    /// End the agent, for its supervisor to start it again.
    Restart,
    /// Bring the unit to a version of its software, by the updater it is configured with.
    ApplyUpdate {
        /// The version.
        #[arg(value_parser = parse_version)]
        version: String,
    },
}

impl From<KindArgs> for CommandKind {
    fn from(args: KindArgs) -> Self {
        match args {
            KindArgs::ReadDtcs => Self::ReadDtcs,
            KindArgs::ReadSupportedDtcs => Self::ReadSupportedDtcs,
            KindArgs::ClearDtcs => Self::ClearDtcs,
            KindArgs::SendLog { bytes_max } => Self::SendLog { bytes_max },
            KindArgs::Restart => Self::Restart,
            KindArgs::ApplyUpdate { version } => Self::ApplyUpdate { version },
        }
    }
}

fn parse_duration(text: &str) -> Result<DurationText, String> {
    text.parse()
}

fn parse_version(text: &str) -> Result<String, String> {
    if is_version(text) {
        Ok(text.to_owned())
    } else {
        Err("a version is 1 to 64 of A-Z a-z 0-9 . + ~ - _, not beginning with -".to_owned())
    }
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
enum CommandCliError {
    #[error(transparent)]
    Keygen(#[from] KeygenError),
    #[error("cannot use the key that signs")]
    Key(#[from] KeyError),
    #[error("--id must have 1 to {COMMAND_ID_CHARS_MAX} characters")]
    Id,
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no reply of a vehicle")]
    Reply { path: PathBuf, source: DecodeCommandError },
    #[error("cannot print")]
    Print(#[from] io::Error),
}

impl CommandCliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Keygen(_) | Self::Read { .. } | Self::Key(_) => exit::UNAVAILABLE,
            Self::Id => exit::CONFIG,
            Self::Reply { .. } => exit::DATA,
            Self::Print(_) => exit::FAILURE,
        }
    }
}

/// Runs the command.
pub fn main(args: CommandArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = match args.command {
        CommandCommand::Keygen { out: path } => keygen(&path, &mut out),
        CommandCommand::Sign(args) => sign(args, &mut out),
        CommandCommand::Show { file, json } => show(&file, json, &mut out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-agent: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn keygen(path: &Path, out: &mut impl Write) -> Result<(), CommandCliError> {
    let public_path = keygen::make(path)?;
    Ok(writeln!(out, "secret key {}, public key {}", path.display(), public_path.display())?)
}

fn sign(args: SignArgs, out: &mut impl Write) -> Result<(), CommandCliError> {
    let signer = BatchSigner::from_secret(&agent::read_key(&args.key)?);
    let command_id = args.id.unwrap_or_else(|| Uuid::now_v7().to_string());
    if !(1..=COMMAND_ID_CHARS_MAX).contains(&command_id.chars().count()) {
        return Err(CommandCliError::Id);
    }
    let now = Timestamp(SystemClock::shared().now_us());
    let command = Command {
        sequence: args.sequence.unwrap_or(now.0.unsigned_abs()),
        issued_at: now,
        expires_at: now.plus_us(service::clock::micros(args.valid_for.0)),
        kind: args.kind.into(),
        vehicle_id: args.vehicle,
        command_id,
    };
    out.write_all(&command.encode_signed(&signer))?;
    eprintln!(
        "command {} for {}, to be done until {}; publish it (QoS 1, not retained) on {}",
        command.command_id,
        command.vehicle_id,
        command.expires_at,
        topic(&command.vehicle_id, Channel::Command)
    );
    Ok(())
}

fn show(path: &Path, as_json: bool, out: &mut impl Write) -> Result<(), CommandCliError> {
    let refused = |source| CommandCliError::Read { path: path.to_owned(), source };
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(refused)?;
        bytes
    } else {
        fs::read(path).map_err(refused)?
    };
    let reply = CommandReply::decode(&bytes)
        .map_err(|source| CommandCliError::Reply { path: path.to_owned(), source })?;
    let outcome = match reply.outcome {
        CommandOutcome::Done => "done",
        CommandOutcome::Refused => "refused",
        CommandOutcome::Failed => "failed",
    };
    if as_json {
        let dtcs: Vec<_> = reply
            .dtcs
            .iter()
            .map(|d| {
                json!({
                    "protocol": d.protocol, "ecu": d.ecu, "list": d.list, "code": d.code,
                    "time": d.time.to_string(),
                })
            })
            .collect();
        let value = json!({
            "command_id": reply.command_id, "outcome": outcome, "reason": reply.reason,
            "replied_at": reply.replied_at.to_string(), "dtcs": dtcs, "log": reply.log,
        });
        return Ok(writeln!(out, "{value}")?);
    }
    let why = if reply.reason.is_empty() { String::new() } else { format!(": {}", reply.reason) };
    writeln!(out, "{}  {} {outcome}{why}", reply.replied_at, reply.command_id)?;
    for d in &reply.dtcs {
        writeln!(out, "{}  {:<6}{:<12}{:<11}{}", d.time, d.protocol, d.ecu, d.list, d.code)?;
    }
    Ok(write!(out, "{}", reply.log)?)
}
