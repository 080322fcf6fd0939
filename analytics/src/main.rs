//! `analytics`: the derivation of trips as a process of its own.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use analytics::{Config, Settings};
use clap::Parser;
use lake::LakeLocation;
use service::{
    Tasks,
    clock::SystemClock,
    config::{ConfigError, load},
    exit,
    health::Health,
    logs::{self, LogFormat},
};

/// How long tasks may take to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// Derives trips from the readings of a lake.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Configuration file (configs/analytics.toml tells every key).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where the lake is, a folder or s3://bucket/prefix; overrides the file.
    #[arg(long)]
    lake: Option<LakeLocation>,
}

fn main() -> ExitCode {
    logs::init(logs::DEFAULT_FILTER, LogFormat::Text);
    service::metrics::install();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return ExitCode::from(exit::FAILURE);
        }
    };
    match runtime.block_on(run(Args::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(if error.is::<ConfigError>() { exit::CONFIG } else { exit::FAILURE })
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut loaded = load::<Config>("analytics", args.config.as_deref())?;
    if let Some(lake) = args.lake {
        loaded.config.lake = lake;
    }
    let settings = Settings::check(&loaded)?;
    let tasks = Tasks::new();
    let handle = analytics::start(settings, &tasks, SystemClock::shared(), &Health::default()).await?;
    let outcome = tasks.until_signal().await;
    let stopped = handle.stop(SHUTDOWN_GRACE).await;
    // Why it ended comes before what ending met.
    outcome?;
    Ok(stopped?)
}
