//! `roadlake load`: many vehicles at once, each a connection of its own that sends real batches and
//! waits for durable acks, to see what a broker, an ingest and a lake bear.
//!
//! The batches are those of a simulated vehicle (`load/templates.rs`), in each vehicle's own name and
//! of the time they are sent. Vehicles connect, and send, at random as a fleet does: Poisson arrivals,
//! each at its own mean interval. A batch without a durable ack is sent again, as an agent would.

use std::{
    net::SocketAddr,
    process,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use ingest::share::Share;
use service::{SharedClock, clock::SystemClock};
use tokio::{sync::watch, task::JoinSet};
use wire::ids::VehicleId;

use chance::Chance;
use counts::{Counts, Shown};
use templates::Templates;

mod chance;
mod client;
mod counts;
mod templates;

/// Vehicles of one run: more need more than one process.
const VEHICLES_MAX: i64 = 100_000;
/// Files a process has open beside its connections.
const FILES_BESIDE: u64 = 100;
const SHOW_INTERVAL: Duration = Duration::from_secs(5);

/// What `roadlake load` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The broker, HOST:PORT, without TLS
    #[arg(long, default_value = "127.0.0.1:1883")]
    broker: String,
    /// How many vehicles
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=VEHICLES_MAX))]
    vehicles: u32,
    /// Mean time between two batches of a vehicle
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Time in which they connect
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    ramp: Duration,
    /// Time for which they send, the ramp included
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Longest wait for the acks that are missing then
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    drain: Duration,
    /// Time without a durable ack after which a batch is sent again
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    resend_after: Duration,
    /// What their ids begin with
    #[arg(long, default_value = "load-")]
    prefix: String,
    /// Vehicles of this ingest instance's shards alone, where each instance has a broker of its own
    #[arg(long, default_value_t = 0, value_name = "N")]
    instance: u32,
    /// How many such instances there are
    #[arg(long, default_value_t = 1, value_name = "N")]
    instances: u32,
    /// Where chance comes from; the same number connects and sends at the same times
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tells memory and CPU time of this process too, such as that of ingest
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
    /// One JSON object at the end and nothing before
    #[arg(long)]
    json: bool,
}

/// Batches that were sent and are not in the lake.
#[derive(Debug, thiserror::Error)]
#[error("{missing} of {sent} batches have no durable ack")]
pub(crate) struct NotAcked {
    missing: u64,
    sent: u64,
}

/// What every vehicle is given.
struct Fleet {
    arguments: Arguments,
    broker: SocketAddr,
    templates: Templates,
    counts: Counts,
    clock: SharedClock,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    check_open_files(u64::from(arguments.vehicles))?;
    ensure!(!arguments.interval.is_zero(), "--interval must be longer than 0");
    let ids = ids(&arguments)?;
    let broker = tokio::net::lookup_host(&arguments.broker).await.ok().and_then(|mut found| found.next());
    let broker = broker.with_context(|| format!("--broker {:?} is no HOST:PORT", arguments.broker))?;
    let templates = Templates::make().await.context("cannot make batches")?;
    let clock = SystemClock::shared();
    let started_us = clock.monotonic_us();
    let fleet = Arc::new(Fleet { arguments, broker, templates, counts: Counts::default(), clock });
    let (sending, is_sending) = watch::channel(true);
    let mut vehicles = JoinSet::new();
    for (i, id) in ids.into_iter().enumerate() {
        let chance = Chance::new(fleet.arguments.seed, i as u64);
        vehicles.spawn(client::drive(Arc::clone(&fleet), id, i, chance, is_sending.clone()));
    }
    drop(is_sending);
    let shown = show(Arc::clone(&fleet), started_us);
    tokio::select! {
        () = tokio::time::sleep(fleet.arguments.duration) => {}
        () = shown => {}
        signal = tokio::signal::ctrl_c() => signal.context("cannot wait for a signal")?,
    }
    sending.send_replace(false);
    let drained =
        tokio::time::timeout(fleet.arguments.drain, async { while vehicles.join_next().await.is_some() {} });
    // Past the time what is missing is counted below.
    let _ = drained.await;
    vehicles.abort_all();
    let elapsed_us = fleet.clock.monotonic_us() - started_us;
    let shown = Shown::of(&fleet, elapsed_us);
    println!("{}", if fleet.arguments.json { shown.json() } else { shown.table() });
    let (sent, acked) = (shown.batches, shown.batches_acked);
    if sent == 0 {
        bail!("nothing was sent; is there a broker at {}?", fleet.arguments.broker);
    }
    if acked < sent {
        return Err(NotAcked { missing: sent - acked, sent }.into());
    }
    Ok(())
}

/// The first ids of the prefix that are of the share.
fn ids(arguments: &Arguments) -> anyhow::Result<Vec<VehicleId>> {
    let Arguments { instance, instances, .. } = *arguments;
    Share::new(instance, instances)
        .context("--instance must be below --instances, and these are 1 to 256")?;
    (1_u32..)
        .map(|i| format!("{}{i:06}", arguments.prefix).parse::<VehicleId>())
        .filter(|id| id.as_ref().map_or(true, |id| id.shard() % instances == instance))
        .take(usize::try_from(arguments.vehicles)?)
        .collect::<Result<_, _>>()
        .context("--prefix gives no vehicle ids")
}

/// A line now and then, until the fleet is gone.
async fn show(fleet: Arc<Fleet>, started_us: i64) {
    let mut ticks = tokio::time::interval(SHOW_INTERVAL);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if !fleet.arguments.json {
            let elapsed_us = fleet.clock.monotonic_us() - started_us;
            println!("{}", Shown::of(&fleet, elapsed_us).line());
        }
    }
}

/// A connection is an open file: too few of them would show only when half the fleet is there.
fn check_open_files(connections: u64) -> anyhow::Result<()> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process::id())).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().next()).and_then(|most| most.parse::<u64>().ok());
    let needed = connections + FILES_BESIDE;
    match most {
        Some(most) if most < needed => bail!(
            "{connections} vehicles need {needed} open files, and this shell allows {most}: run `ulimit -n {needed}` first, here and where the broker starts"
        ),
        _ => Ok(()),
    }
}

impl Fleet {
    fn add(&self, count: &std::sync::atomic::AtomicU64, by: u64) {
        count.fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
