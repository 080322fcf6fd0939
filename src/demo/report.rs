//! What the demo shows: progress while it plays, then trips, queries and the invoice.

use std::{path::Path, time::Duration};

use analytics::sql_cli::{Format, write_result};
use edge_agent::agent;
use indicatif::{ProgressBar, ProgressStyle};
use service::SharedClock;
use wire::time::Timestamp;

use super::vehicles::REAL_CAR;
use crate::stack::Stack;

/// Event seconds of the real car's log.
const LOG_US: i64 = 2_389_300_000;
const LOG_START: Timestamp = Timestamp(1_627_274_455_012_500);

/// Queries to try, each with what it answers.
const QUERIES: [(&str, &str); 3] = [
    (
        "the longest trips",
        "SELECT vehicle_id, start_time, round(distance_m / 1000.0, 1) AS km, duration_s / 60 AS minutes, \
         round(speed_max_kmh) AS top_kmh FROM latest_trips ORDER BY distance_m DESC LIMIT 5",
    ),
    (
        "consumption by vehicle",
        "SELECT vehicle_id, count(*) AS trips, round(sum(distance_m) / 1000.0, 1) AS km, \
         round(sum(fuel_used_l) * 100000 / sum(distance_m), 1) AS l_per_100km, \
         round(sum(energy_used_kwh) * 100000 / sum(distance_m), 1) AS kwh_per_100km \
         FROM latest_trips GROUP BY vehicle_id ORDER BY km DESC LIMIT 8",
    ),
    (
        "the recorded car, by five minutes",
        "SELECT date_bin(INTERVAL '5 minutes', ts) AS from_time, count(*) AS readings, \
         round(avg(speed_kmh), 1) AS avg_kmh, max(speed_kmh) AS top_kmh, round(avg(engine_speed_rpm)) AS avg_rpm \
         FROM readings WHERE vehicle_id = 'car-3ba199e2' GROUP BY 1 ORDER BY 1",
    ),
];

/// The progress display; plain lines when there is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    clock: SharedClock,
    started_us: i64,
    frames_before: u64,
    last_line_us: std::sync::atomic::AtomicI64,
}

impl Progress {
    pub(super) fn new(_stack: &Stack, agents: &[agent::Handle], clock: SharedClock) -> Self {
        let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}");
        let bar = ProgressBar::new(LOG_US.unsigned_abs())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let frames_before = agents.iter().map(|a| a.stats().frames).sum();
        let started_us = clock.monotonic_us();
        Self {
            bar,
            clock,
            started_us,
            frames_before,
            last_line_us: std::sync::atomic::AtomicI64::new(i64::MIN),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        let us = self.clock.monotonic_us() - self.started_us;
        Duration::from_micros(us.unsigned_abs())
    }

    pub(super) async fn draw(&self, stack: &Stack, agents: &[agent::Handle]) {
        let stats: Vec<_> = agents.iter().map(agent::Handle::stats).collect();
        let frames: u64 = stats.iter().map(|s| s.frames).sum::<u64>() - self.frames_before;
        let waiting: u64 = stats.iter().map(|s| s.batches_in_spool).sum();
        let stored = stack.ingest.stats().samples_stored;
        let trips = count(stack, "SELECT count(*) FROM latest_trips").await;
        let message = format!(
            "{} CAN frames → {} samples in the lake → {trips} trips   ({waiting} batches on the vehicles)",
            thousands(frames),
            thousands(stored)
        );
        let at = agents
            .iter()
            .find(|a| *a.vehicle_id() == *REAL_CAR)
            .map_or(0, |a| Timestamp(a.stats().last_event_time_us).since_us(LOG_START));
        if self.bar.is_hidden() {
            let now = self.clock.monotonic_us();
            let last = self.last_line_us.load(std::sync::atomic::Ordering::Relaxed);
            if now.saturating_sub(last) >= 5_000_000 {
                self.last_line_us.store(now, std::sync::atomic::Ordering::Relaxed);
                println!("{:>4} s  {message}", self.elapsed().as_secs());
            }
            return;
        }
        self.bar.set_position(at.clamp(0, LOG_US).unsigned_abs());
        self.bar.set_message(message);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether the trips of what was played are derived and billed: the real car's is there, and
/// with `all` none is open and the api has followed.
pub(super) async fn is_derived(stack: &Stack, all: bool) -> anyhow::Result<bool> {
    let real =
        count(stack, &format!("SELECT count(*) FROM latest_trips WHERE vehicle_id = '{}'", *REAL_CAR)).await;
    if real == 0 {
        return Ok(false);
    }
    if all {
        let progress = *stack.analytics.progress().borrow();
        let result = stack.analytics.sql("SELECT 1 FROM readings LIMIT 1", 1).await?;
        let newest = result.lake_versions.get("readings").copied().unwrap_or(-1);
        if progress.open_trip_count > 0 || progress.readings_version < newest {
            return Ok(false);
        }
    }
    let trips = stack.analytics.sql("SELECT 1 FROM trips LIMIT 1", 1).await?;
    let newest = trips.lake_versions.get("trips").copied().unwrap_or(-1);
    Ok(stack.api.followed_version().await? >= newest)
}

/// Prints addresses, trips, queries with their results, and the real car's invoice.
pub(super) async fn results(
    stack: &Stack,
    seed: &api::demo::DemoSeed,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let trips = count(stack, "SELECT count(*) FROM latest_trips").await;
    println!("\n{trips} trips found. Three queries to try:\n");
    for (what, query) in QUERIES {
        println!("-- {what}\nroadlake sql --data {} \"{query}\"", data_dir.display());
        let result = stack.analytics.sql(query, 50).await?;
        write_result(&result, Format::Table, &mut std::io::stdout())?;
        println!();
    }
    if let Some(organization) = seed.organizations.first() {
        match api::demo::invoice_text(&stack.api, organization, &REAL_CAR).await? {
            Some(text) => println!("{text}"),
            None => println!("no invoice yet for {}", organization.name),
        }
    }
    println!("console  http://{}", stack.api.addr);
    println!("docs     http://{}/docs", stack.api.addr);
    if let Some(address) = stack.ingest.broker_address() {
        println!("mqtt     {address}");
    }
    if let Some(address) = stack.postgres {
        println!("sql      psql postgresql://me@{address}/roadlake");
    }
    if let Some(address) = stack.flight {
        println!("flight   grpc://{address} (Arrow Flight SQL: ADBC, JDBC)");
    }
    println!("lake     {}", data_dir.join("lake").display());
    Ok(())
}

async fn count(stack: &Stack, query: &str) -> u64 {
    // Before the first commit there is nothing to count.
    let Ok(result) = stack.analytics.sql(query, 1).await else { return 0 };
    result.rows.first().and_then(|row| row.first()).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}
