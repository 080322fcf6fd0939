//! `api ca init`, which is `roadlake admin ca init` too: an authority for a fleet that has none.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wire::time::Timestamp;

use crate::devices::authority::init::{self, InitError};

/// Arguments of `ca`.
#[derive(Debug, Args)]
pub struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make an authority: a key that stays on this machine, and its certificate. Never over another
    Init(InitArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// Folder of ca.pem and ca-key.pem; made when it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Name of the authority, as people see it on its certificates
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Days it is good; what it signs is good for no longer
    #[arg(long, value_name = "DAYS", default_value_t = 3650)]
    days: i64,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Does it, and tells what is to be done with the files.
pub fn run(args: &CaArgs, now: Timestamp) -> Result<(), InitError> {
    let CaCommand::Init(InitArgs { dir, name, days, json }) = &args.command;
    let (cert, key) = init::make(dir, (name, *days), now)?;
    if *json {
        println!("{}", serde_json::json!({ "ca_cert_file": cert, "ca_key_file": key }));
        return Ok(());
    }
    println!("made {} and {} (of its owner alone; keep a copy offline)", cert.display(), key.display());
    println!("\n[devices]            # of the api's configuration");
    println!("ca_cert_file = {:?}", cert.display().to_string());
    println!("ca_key_file = {:?}", key.display().to_string());
    Ok(())
}
