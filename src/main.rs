//! The program `roadlake`: the whole pipeline, from the vehicle to the invoice, in one process.
//!
//! Wiring only. [`stack`] starts ingest, analytics and api together; [`demo`] adds vehicles to it,
//! [`serve`] runs it for real ones, [`sql`] asks its lake, [`import`] backfills it, [`export`]
//! writes its trips as tracks, [`status`] and [`trips`] show them in a terminal, [`load`] tries what it bears,
//! [`admin`] looks after it, [`manual`] tells shells and `man` of all these.

mod admin;
mod demo;
mod export;
mod import;
mod load;
mod manual;
mod place;
mod progress;
mod serve;
mod sql;
mod stack;
mod status;
mod terminal;
mod trips;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use lake::backup::BackupError;
use service::{config::ConfigError, exit, logs};

/// How long threads that are still at work may take when all tasks have ended.
const LEFTOVERS_GRACE: Duration = Duration::from_secs(5);

/// Vehicle telemetry from CAN to trips, SQL and invoices, self-hosted.
#[derive(Debug, Parser)]
#[command(name = "roadlake", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay a real car and simulated vehicles through everything, to trips, a map and an invoice
    Demo(demo::Arguments),
    /// Run ingest, analytics and the api in this process
    Serve(serve::Arguments),
    /// Ask the lake in SQL; without a query, a prompt
    Sql(sql::Arguments),
    /// The fleet on one screen: when each vehicle was heard of, its levels, faults and trips
    Status(status::Arguments),
    /// The newest trips, a line each
    Trips(trips::Arguments),
    /// Backfill the history of a vehicle from a CSV or Parquet file
    Import(import::Arguments),
    /// Write the tracks of trips as GPX or GeoJSON
    Export(export::Arguments),
    /// Many vehicles at once against a broker, each with real batches and durable acks
    Load(load::Arguments),
    /// Look after the data: how it stands, whether it is whole, and putting it in order by hand
    Admin(admin::Arguments),
    /// A script that completes these commands in a shell
    Completions(manual::CompletionsArguments),
    /// The man pages of these commands
    Man(manual::ManArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = match arguments.command {
        Command::Serve(_) => service::logs::DEFAULT_FILTER,
        // These draw on the terminal themselves.
        Command::Demo(_)
        | Command::Sql(_)
        | Command::Import(_)
        | Command::Export(_)
        | Command::Status(_)
        | Command::Trips(_)
        | Command::Load(_)
        | Command::Admin(_)
        | Command::Completions(_)
        | Command::Man(_) => "error,rumqttd=off,rumqttc=off",
    };
    logs::init(filter, logs::LogFormat::Text);
    service::metrics::install();
    let outcome = match tokio::runtime::Runtime::new() {
        Err(error) => Err(error.into()),
        Ok(runtime) => {
            let outcome = runtime.block_on(async {
                match arguments.command {
                    Command::Demo(a) => Box::pin(demo::run(a)).await,
                    Command::Serve(a) => Box::pin(serve::run(a)).await,
                    Command::Sql(a) => Box::pin(sql::run(a)).await,
                    Command::Import(a) => Box::pin(import::run(a)).await,
                    Command::Export(a) => Box::pin(export::run(a)).await,
                    Command::Load(a) => Box::pin(load::run(a)).await,
                    Command::Status(a) => Box::pin(status::run(a)).await,
                    Command::Trips(a) => Box::pin(trips::run(a)).await,
                    Command::Admin(a) => Box::pin(admin::run(a)).await,
                    Command::Completions(a) => manual::completions(&a),
                    Command::Man(a) => manual::man(&a),
                }
            });
            // What had to be done is done: work on a blocking thread that waits for the outside is not waited for.
            runtime.shutdown_timeout(LEFTOVERS_GRACE);
            outcome
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roadlake: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Which kind of failure it was.
fn exit_code(error: &anyhow::Error) -> u8 {
    let find = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
    if find(|e| e.is::<ConfigError>()) {
        exit::CONFIG
    } else if find(|e| {
        matches!(e.downcast_ref(), Some(lake::CommitError::Fenced { .. }))
            || matches!(e.downcast_ref(), Some(BackupError::Busy { .. } | BackupError::Occupied { .. }))
            || e.is::<lake::store::LockError>()
    }) {
        exit::CONFLICT
    } else if find(|e| {
        e.is::<analytics::SqlError>()
            || e.is::<ingest::import::ImportError>()
            || e.is::<admin::NotWhole>()
            || e.is::<admin::Damaged>()
            || matches!(
                e.downcast_ref(),
                Some(
                    BackupError::Damaged { .. }
                        | BackupError::Missing { .. }
                        | BackupError::NotOfBackups { .. }
                )
            )
            || e.is::<load::NotAcked>()
    }) {
        exit::DATA
    } else if find(|e| {
        e.is::<lake::OpenLakeError>()
            || matches!(e.downcast_ref(), Some(BackupError::Lake(_)))
            || e.is::<ingest::broker::BrokerError>()
            || e.is::<api::StartError>()
    }) {
        exit::UNAVAILABLE
    } else {
        exit::FAILURE
    }
}
