//! The command line of `edge-agent`.

use clap::{Parser, Subcommand};

use crate::{
    campaign_cli::CampaignArgs,
    check_cli::CheckArgs,
    command_cli::CommandArgs,
    decode_cli::DecodeArgs,
    ecu_cli::EcuArgs,
    enrol_cli::{EnrolArgs, RenewArgs},
    play_cli::PlayArgs,
    run_cli::RunArgs,
    top_cli::TopArgs,
};

/// Everything on the vehicle: reads the buses, decodes, collects, spools and sends.
#[derive(Debug, Parser)]
#[command(name = "edge-agent", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `edge-agent` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every signal of a recorded log, one line each, in frame order.
    Decode(DecodeArgs),
    /// Send the frames of a recorded log on a CAN interface. Never on the bus of a real vehicle.
    Play(PlayArgs),
    /// Answer OBD-II and UDS on a CAN interface, as a control unit. Never on the bus of a real vehicle.
    Ecu(EcuArgs),
    /// Check, try and sign campaign sets.
    Campaign(CampaignArgs),
    /// Sign commands to a vehicle and show its replies.
    Command(CommandArgs),
    /// Run the agent of one vehicle: collect, spool and send.
    Run(RunArgs),
    /// Check configuration, files, certificates, clock, spool and broker, without running.
    Check(CheckArgs),
    /// Get this unit's first certificate, by a token of the api's.
    Enrol(EnrolArgs),
    /// Renew this unit's certificate, when it is time.
    Renew(RenewArgs),
    /// Show a running agent: signals, rates, spool and link.
    Top(TopArgs),
}
