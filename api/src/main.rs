//! `api`: REST and the console over the lake of another process; `api ca init` makes a certificate authority.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use api::ca_cli;
use clap::Parser;
use service::{Tasks, clock::SystemClock, exit, logs, metrics};
use wire::time::Timestamp;

/// How long tasks may take to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// REST and the console of Roadlake, over a lake that other processes write.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; see configs/api.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What it does instead of serving.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The certificate authority of the vehicles' units
    Ca(ca_cli::CaArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Ca(args)) = &arguments.command {
        return match ca_cli::run(args, Timestamp(SystemClock::shared().now_us())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("api: {}", logs::chain(&error));
                ExitCode::from(exit::FAILURE)
            }
        };
    }
    logs::init(logs::DEFAULT_FILTER, logs::LogFormat::Text);
    metrics::install();
    let settings = match api::config::load(arguments.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("api: {}", logs::chain(&error));
            return ExitCode::from(exit::CONFIG);
        }
    };
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api: {error:#}");
            ExitCode::from(exit::UNAVAILABLE)
        }
    }
}

async fn run(settings: api::Settings) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let reading = analytics::Settings::for_lake(settings.lake.clone());
    let lake = analytics::Analytics::open(&settings.lake, reading.limits, Arc::clone(&clock))
        .await
        .with_context(|| format!("cannot open the lake {}; set `lake`", settings.lake.location))?;
    let tasks = Tasks::new();
    if let Some(url) = &settings.last_state_url {
        analytics::live::follow_redis(&lake, url, &tasks).context("cannot follow last states")?;
    }
    analytics::watch_fleet(&lake, &reading, &tasks, Arc::clone(&clock));
    let handle = api::start(settings, &tasks, clock, Arc::new(lake)).await?;
    println!("console and api: http://{}/", handle.addr);
    tasks.until_signal().await?;
    tasks.stop(SHUTDOWN_GRACE).await?;
    Ok(())
}
