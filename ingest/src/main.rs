//! The program `ingest`: MQTT in, lake out.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use ingest::{Config, Settings};
use service::{Tasks, clock::SystemClock, exit, logs};

/// Writes vehicle telemetry from an MQTT broker into a Delta lake, exactly once.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; `configs/ingest.toml` explains every key
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logs::init(logs::DEFAULT_FILTER, logs::LogFormat::Text);
    service::metrics::install();
    let settings =
        service::config::load::<Config>("ingest", arguments.config.as_deref()).and_then(Settings::check);
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("ingest: {}", logs::chain(&error));
            return ExitCode::from(exit::CONFIG);
        }
    };
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(settings)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ingest: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    let handle = ingest::start(settings, &tasks, SystemClock::shared()).await?;
    if let Some(address) = handle.broker_address() {
        tracing::info!(%address, "embedded broker listening");
    }
    let outcome = tasks.until_signal().await;
    let stopped = handle.stop(Duration::from_secs(30)).await;
    // Why it ended comes before what ending met.
    outcome?;
    Ok(stopped?)
}

/// Which kind of failure it was.
fn exit_code(error: &anyhow::Error) -> u8 {
    let is_fenced = |e: &(dyn std::error::Error + 'static)| {
        matches!(e.downcast_ref(), Some(lake::CommitError::Fenced { .. }))
    };
    if error.chain().any(|e| is_fenced(e) || e.is::<lake::store::LockError>()) {
        exit::CONFLICT
    } else {
        exit::FAILURE
    }
}
