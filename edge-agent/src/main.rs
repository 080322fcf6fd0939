//! `edge-agent`: the program on the vehicle, and its tools.

use std::process::ExitCode;

use clap::Parser;
use edge_agent::{
    campaign_cli,
    cli::{Cli, Command},
    decode_cli, run_cli,
};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Campaign(args) => campaign_cli::main(&args),
        Command::Decode(args) => decode_cli::main(&args),
        Command::Run(args) => run_cli::main(&args),
    }
}
