//! `roadlake demo`: a real car's log and simulated vehicles through everything, on loopback.

mod keys;
mod report;
mod vehicles;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use edge_agent::agent;
use serde::{Deserialize, Serialize};
use service::{SharedClock, Tasks, clock::SystemClock, config::Loaded};
use wire::time::Timestamp;

use crate::stack::{Config, Stack};
use report::Progress;
use vehicles::REAL_CAR;

/// How long an agent may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The demo tells its results when the real car is through, and not before this.
const RESULTS_AFTER: Duration = Duration::from_secs(60);
/// How often progress is drawn and looked at.
const TICK: Duration = Duration::from_millis(500);

/// What `roadlake demo` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the data; a second start on the same folder goes on where it was
    #[arg(long, default_value = "roadlake-data")]
    data: PathBuf,
    /// Address of the console and the api; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Address of the MQTT broker; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    mqtt_listen: String,
    /// Address for psql, Grafana and other clients of Postgres; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    postgres_listen: String,
    /// Address for ADBC, JDBC and other clients of Arrow Flight SQL; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    flight_listen: String,
    /// How many vehicles are simulated beside the real car
    #[arg(long, default_value_t = 20)]
    vehicles: usize,
    /// How many times faster than time vehicles go
    #[arg(long, default_value_t = 60.0)]
    speed: f64,
    /// End when the real car and an hour of the simulated ones are through to the invoice
    #[arg(long)]
    exit_when_done: bool,
}

/// What a second start must know of the first.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    simulation_start: Timestamp,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let remembered = remember(&arguments.data, &clock)?;
    keys::make(&arguments.data, Timestamp(clock.now_us()))?;
    let tasks = Tasks::new();
    let stack = Stack::start(configuration(&arguments), &tasks, clock.clone()).await?;
    let broker = stack.ingest.broker_address().context("the demo needs the embedded broker")?;
    tokio::select! {
        () = stack.ingest.connected() => {}
        failure = tasks.failure() => return Err(failure.into()),
    }
    let names = vehicles::names(arguments.vehicles);
    let seed = api::seed_demo(&stack.api, &names).await?;

    let agents_tasks = tasks.group();
    let mut agents = Vec::new();
    let plan = vehicles::Plan {
        data_dir: arguments.data.clone(),
        broker,
        simulation_start: remembered.simulation_start,
        speed: arguments.speed,
        has_end: arguments.exit_when_done,
    };
    for settings in vehicles::settings(&plan, &names)? {
        agents.push(agent::start(settings, &agents_tasks, clock.clone()).await?);
    }

    let progress = Progress::new(&stack, &agents, clock.clone());
    println!("{} vehicles, console http://{}", agents.len(), stack.api.addr);
    let outcome = tokio::select! {
        done = play(&arguments, &stack, &agents, &progress) => done,
        stopped = tasks.until_signal() => stopped.map_err(Into::into),
    };
    progress.clear();
    let outcome = match outcome {
        Ok(()) if agents.iter().any(|a| *a.vehicle_id() == *REAL_CAR && a.stats().is_source_done) => {
            report::results(&stack, &seed, &arguments.data).await
        }
        other => other,
    };
    if outcome.is_ok() && !arguments.exit_when_done && !tasks.stop_token().is_cancelled() {
        println!("\nRunning on; Ctrl-C stops.");
        tasks.until_signal().await?;
        println!("stopping: what is buffered is committed first");
    }
    agents_tasks.stop(STOP_GRACE).await?;
    stack.stop().await?;
    outcome
}

/// Draws progress until there are results to tell.
async fn play(
    arguments: &Arguments,
    stack: &Stack,
    agents: &[agent::Handle],
    progress: &Progress,
) -> anyhow::Result<()> {
    let real_car = agents.iter().find(|a| *a.vehicle_id() == *REAL_CAR).context("the real car is missing")?;
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        progress.draw(stack, agents).await;
        let is_through = |a: &agent::Handle| {
            let stats = a.stats();
            stats.is_source_done && stats.batches_in_spool == 0
        };
        let is_played = if arguments.exit_when_done {
            agents.iter().all(is_through)
        } else {
            is_through(real_car) && progress.elapsed() >= RESULTS_AFTER
        };
        if is_played && report::is_derived(stack, arguments.exit_when_done).await? {
            return Ok(());
        }
    }
}

fn configuration(arguments: &Arguments) -> Loaded<Config> {
    let mut config = Config::default();
    config.set_data_dir(&arguments.data);
    config.ingest.broker.embedded_listen.clone_from(&arguments.mqtt_listen);
    config.api.listen.clone_from(&arguments.listen);
    config.api.agents.campaigns_key_file = Some(keys::campaigns(&arguments.data));
    config.api.agents.commands_key_file = Some(keys::commands(&arguments.data));
    config.api.devices.ca_cert_file = Some(keys::authority_cert(&arguments.data));
    config.api.devices.ca_key_file = Some(keys::authority_key(&arguments.data));
    config.analytics.postgres.listen.clone_from(&arguments.postgres_listen);
    config.analytics.flight.listen.clone_from(&arguments.flight_listen);
    // At sixty times the speed, a quarter of an hour without data is a quarter of a minute.
    let silence = Duration::from_secs_f64((900.0 / arguments.speed.max(1.0)).max(5.0));
    config.analytics.trips.silence = service::config::DurationText(silence);
    Loaded { config, origin: "demo".to_owned() }
}

/// When the simulation began, kept beside the lake so that a second start goes on.
fn remember(data_dir: &Path, clock: &SharedClock) -> anyhow::Result<Remembered> {
    let path = data_dir.join("demo.json");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; remove the folder to begin anew", path.display()));
    }
    // The lake's own check of the folder says best what is wrong with it.
    drop(lake::Lake::create(&data_dir.join("lake"))?);
    let simulation_start = Timestamp(clock.now_us()).plus_us(-vehicles::HISTORY_US);
    let remembered = Remembered { simulation_start };
    std::fs::write(&path, serde_json::to_string(&remembered)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(remembered)
}
