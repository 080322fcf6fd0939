//! Bytes a sample in the lake, as the files of a settled day have them after compaction, beside the
//! same rows in the same order as pyarrow (dictionary, zstd 3) and DuckDB (zstd, its two versions of
//! Parquet) write them with all numbers as doubles.
//!
//! Of each real log: every signal of every frame, as rows of `signals` (the samples of the bench
//! `wire`), and of the car what the agent collects by its map: `readings`, once a second, and what
//! changes in `signals`. Each is one vehicle's drive in one file a table, so the file's own end (some
//! 6 KB for `readings`) weighs more than in a fleet's.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use benches::{
    Figure, Report, peers,
    recorded::{CAR_MAP, Recording},
    root,
    samples::LOGS,
};
use ingest::commit::Committer;
use lake::{Lake, TableKind, maintenance::CompactionPolicy};
use service::clock::SystemClock;
use tokio_util::sync::CancellationToken;

/// Batches of one commit: some minutes of one vehicle, a moment of a fleet.
const COMMIT_BATCHES: usize = 60;

fn main() -> ExitCode {
    benches::main("lake", |_, report| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for log in &LOGS {
            let every = Recording::of_every_signal(log)?;
            runtime.block_on(bench(&format!("{}, every signal of every frame", log.name), &every, report))?;
        }
        let mapped = Recording::of_map(&LOGS[0], CAR_MAP)?;
        runtime.block_on(bench("car, what its map collects", &mapped, report))
    })
}

async fn bench(case: &str, recording: &Recording, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let lake = Lake::create(folder.path())?;
    store(&lake, recording).await?;
    let (mut total, mut total_samples) = (BTreeMap::<String, u64>::new(), 0);
    for kind in [TableKind::Readings, TableKind::Signals] {
        let samples = samples_of(recording, kind);
        if samples == 0 {
            continue;
        }
        let files = compacted(&lake, kind).await?;
        let mut sizes = vec![("roadlake".to_owned(), bytes_of(&files)?)];
        if let Some(peers) = peers() {
            sizes.extend(written_by_peers(&peers, &files)?);
        }
        total_samples += samples;
        let case = format!("{case}, {}, {samples} samples", kind.name());
        for (name, bytes) in sizes {
            tell(report, &case, &name, bytes, samples);
            *total.entry(name).or_default() += bytes;
        }
    }
    ensure!(total_samples == recording.sample_count(), "{case}: samples of other tables");
    if samples_of(recording, TableKind::Readings) > 0 {
        let case = format!("{case}, both, {total_samples} samples");
        let ours = total.remove("roadlake").unwrap_or_default();
        tell(report, &case, "roadlake", ours, total_samples);
        for (name, bytes) in total {
            tell(report, &case, &name, bytes, total_samples);
        }
    }
    Ok(())
}

fn tell(report: &mut Report, case: &str, name: &str, bytes: u64, samples: u64) {
    report.peer(case, name, "bytes/sample", Figure::exact(bytes as f64 / samples as f64));
}

fn samples_of(recording: &Recording, kind: TableKind) -> u64 {
    let of_table = |b: &&wire::batch::Batch| b.groups.iter().all(|g| TableKind::of_wire(g.table) == kind);
    recording.batches.iter().filter(of_table).map(wire::batch::Batch::sample_count).sum()
}

/// As ingest does: batches into commits.
async fn store(lake: &Lake, recording: &Recording) -> Result<()> {
    let mut committer = Committer::open(lake, "bench".to_owned(), SystemClock::shared()).await?;
    let (mut stored, stop) = (0, CancellationToken::new());
    for batches in recording.verified().chunks(COMMIT_BATCHES) {
        for batch in batches {
            committer.accept(batch.clone());
        }
        stored += committer.flush(&stop).await?.samples_stored;
    }
    ensure!(stored == recording.sample_count(), "{stored} samples stored");
    Ok(())
}

/// The files of a table after compaction.
async fn compacted(lake: &Lake, kind: TableKind) -> Result<Vec<PathBuf>> {
    let mut table = lake.open_table(kind).await?;
    let policy = CompactionPolicy { settle: Duration::ZERO, ..CompactionPolicy::default() };
    let long_after_ms = 4_000_000_000_000;
    table.compact(&policy, long_after_ms).await?;
    let folder = lake.folder().context("a lake in a folder")?.join(kind.name());
    Ok(table.file_paths()?.iter().map(|path| folder.join(path)).collect())
}

fn bytes_of(files: &[PathBuf]) -> Result<u64> {
    files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
}

/// Bytes of the same rows by each peer.
fn written_by_peers(peers: &Path, files: &[PathBuf]) -> Result<BTreeMap<String, u64>> {
    let script = root().join("benches/peers/lake.py");
    let output = Command::new(peers.join("venv/bin/python")).arg(script).args(files).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
