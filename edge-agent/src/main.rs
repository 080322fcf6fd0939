//! `edge-agent`: the program on the vehicle, and its tools.

use std::process::ExitCode;

use clap::Parser;
use edge_agent::{
    campaign_cli, check_cli,
    cli::{Cli, Command},
    command_cli, decode_cli, ecu_cli, enrol_cli, play_cli, run_cli, top_cli,
};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Campaign(args) => campaign_cli::main(&args),
        Command::Command(args) => command_cli::main(args),
        Command::Decode(args) => decode_cli::main(&args),
        Command::Ecu(args) => ecu_cli::main(&args),
        Command::Play(args) => play_cli::main(&args),
        Command::Run(args) => run_cli::main(&args),
        Command::Check(args) => check_cli::main(&args),
        Command::Enrol(args) => enrol_cli::enrol(&args),
        Command::Renew(args) => enrol_cli::renew(&args),
        Command::Top(args) => top_cli::main(&args),
    }
}
