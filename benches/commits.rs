//! What age costs a lake: the time of a commit against the versions its table has, and the time from
//! an ingest's start to its first commit against what the lake holds.
//!
//! Each commit is one batch of 10 s that the agent collects of the real car's log, of one of 100
//! vehicles; deltalake's checkpoints are on, and the table is compacted as often as an ingest's
//! maintenance does, counted in commits. Beside it, deltalake (PyPI) appends the same rows to a copy of
//! the same table.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use benches::{
    Figure, Options, Report, peers,
    recorded::{CAR_MAP, Recording},
    root,
    samples::LOGS,
};
use ingest::{commit::Committer, share::Share, verify::Verified};
use lake::{Lake, TableKind, maintenance::CompactionPolicy};
use service::clock::SystemClock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    batch::{Batch, Table},
    ids::{StreamId, VehicleId},
};

/// Versions of the table at which is measured.
const AGES: [u64; 4] = [10, 100, 1_000, 10_000];
/// Commits timed at each age.
const TIMED: u64 = 50;
const VEHICLES: u64 = 100;
/// Commits between two compactions: those of 15 minutes, one each 5 s: maintenance looks each 5 minutes and rewrites from 32 loose files on.
const COMMITS_OF_INTERVAL: u64 = 180;
const ROWS_TABLE: TableKind = TableKind::Readings;

fn main() -> std::process::ExitCode {
    benches::main("commits", |options, report| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(bench(options, report))
    })
}

async fn bench(options: &Options, report: &mut Report) -> Result<()> {
    let recording = Recording::of_map(&LOGS[0], CAR_MAP)?;
    let batches: Vec<Verified> = recording
        .verified()
        .into_iter()
        .filter(|v| v.batch.groups.iter().all(|g| g.table == Table::Readings))
        .collect();
    ensure!(!batches.is_empty(), "no batches of readings");
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("lake");
    let lake = Lake::create(&place)?;
    let mut committer = claim(&lake).await?;
    let mut commits = 0;
    let mut compactions_s = Vec::new();
    for age in AGES {
        while commits < age {
            commit(&mut committer, &batches, &mut commits).await?;
            if commits % COMMITS_OF_INTERVAL == 0 {
                compactions_s.push(compact(&lake).await?);
            }
        }
        let mut ms = Vec::new();
        for _ in 0..TIMED {
            ms.push(commit(&mut committer, &batches, &mut commits).await?.as_secs_f64() * 1e3);
        }
        let case = format!("commit at {age} versions");
        report.ours(&case, "ms", Figure::of(&ms));
        if let Some(peers) = peers() {
            report.peer(&case, "deltalake (PyPI)", "ms", by_deltalake(&peers, &place, folder.path())?);
        }
        let files = lake.open_table(ROWS_TABLE).await?.file_paths()?.len();
        let seconds = restarts(options, &lake, &mut committer, &batches, &mut commits).await?;
        let case = format!("start to first commit at {age} versions, {files} files");
        report.ours(&case, "s", Figure::of(&seconds));
    }
    let case = format!("compaction each {COMMITS_OF_INTERVAL} commits");
    report.ours(&case, "s", Figure::of(&compactions_s));
    Ok(())
}

/// Seconds a pass over the table takes, under the policy of an ingest that is told nothing else.
async fn compact(lake: &Lake) -> Result<f64> {
    let mut table = lake.open_table(ROWS_TABLE).await?;
    let start = now();
    let clock = SystemClock::shared();
    table.compact(&CompactionPolicy::default(), clock.now_us() / 1000).await?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds from a start to its first commit, whose batch is looked up in the lake. The ingest of before is
/// fenced by it, as by a restart.
async fn restarts(
    options: &Options,
    lake: &Lake,
    committer: &mut Committer,
    batches: &[Verified],
    commits: &mut u64,
) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..options.run_count.div_ceil(3) {
        let start = now();
        *committer = claim(lake).await?;
        commit(committer, batches, commits).await?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

async fn claim(lake: &Lake) -> Result<Committer> {
    let share = Share::new(0, 1).context("one instance of one")?;
    Ok(Committer::claim(lake, share, SystemClock::shared()).await?)
}

/// The next batch of the next vehicle, committed.
async fn commit(committer: &mut Committer, batches: &[Verified], commits: &mut u64) -> Result<Duration> {
    let (vehicle, sequence) = (*commits % VEHICLES, *commits / VEHICLES + 1);
    *commits += 1;
    let like = &batches[usize::try_from(sequence)? % batches.len()];
    let vehicle_id: VehicleId = format!("car-{vehicle:04}").parse()?;
    let batch = Batch {
        stream_id: StreamId(Uuid::from_u128(u128::from(vehicle) + 1)),
        vehicle_id,
        sequence,
        oldest_sequence: 1,
        ..like.batch.clone()
    };
    let verified = Verified { batch, catalog: Arc::clone(&like.catalog), ..like.clone() };
    let start = now();
    committer.accept(verified);
    let flushed = committer.flush(&CancellationToken::new()).await?;
    let elapsed = start.elapsed();
    ensure!(flushed.samples_stored > 0, "commit {commits}: nothing was new");
    Ok(elapsed)
}

/// Milliseconds deltalake takes to append one of the table's files' rows to a copy of the table.
fn by_deltalake(peers: &Path, lake: &Path, scratch: &Path) -> Result<Figure> {
    let script = root().join("benches/peers/commits.py");
    let table = lake.join(ROWS_TABLE.name());
    let output = Command::new(peers.join("venv/bin/python"))
        .arg(script)
        .arg(&table)
        .arg(scratch.join("copy"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ms: Vec<f64> = serde_json::from_slice(&output.stdout).context("what commits.py told")?;
    Ok(Figure::of(&ms))
}
