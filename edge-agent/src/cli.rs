//! The command line of `edge-agent`.

use clap::{Parser, Subcommand};

use crate::{campaign_cli::CampaignArgs, decode_cli::DecodeArgs, run_cli::RunArgs};

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
    /// Check, try and sign campaign sets.
    Campaign(CampaignArgs),
    /// Run the agent of one vehicle: collect, spool and send.
    Run(RunArgs),
}
