//! Batches and MB a second into the vehicle's disk log by policy, beside a plain file that is
//! appended to and forced alike in the same folder; reading back; opening after a restart.
//!
//! `ROADLAKE_BENCH_DISK` names the folder to write in (default: the system's temporary one, which
//! must not be in memory for the figures to mean a disk).

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{collections::HashMap, fs::File, io::Write, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use benches::{Chance, Figure, Options, Report, time};
use edge_agent::spool::{DiskStorage, Lane, RecordMeta, Spool, SpoolSettings, SyncPolicy};
use uuid::Uuid;
use wire::{
    ids::{CatalogHash, StreamId},
    time::Timestamp,
};

/// A batch of 10 s of a busy vehicle, compressed.
const BODY_BYTES: usize = 16 * 1024;
const RECOVERY_BYTES: u64 = 256 << 20;
const STREAM: StreamId = StreamId(Uuid::from_u128(1));
const CATALOG: CatalogHash = CatalogHash(Uuid::from_u128(2));

fn main() -> ExitCode {
    benches::main("spool", |options, report| {
        let folder = match std::env::var_os("ROADLAKE_BENCH_DISK") {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        appends(options, report, folder.path())?;
        recovery(options, report, folder.path())
    })
}

/// Bytes that do not compress, as a compressed batch.
fn body() -> Vec<u8> {
    let mut chance = Chance(7);
    (0..BODY_BYTES / 8).flat_map(|_| chance.bits().to_le_bytes()).collect()
}

fn appends(options: &Options, report: &mut Report, folder: &Path) -> Result<()> {
    let policies = [
        ("sync always", SyncPolicy::Always, 100),
        ("sync each second", SyncPolicy::Interval(Duration::from_secs(1)), 8_000),
        ("sync never", SyncPolicy::Never, 8_000),
    ];
    for (name, policy, count) in policies {
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for run in 0..options.run_count.div_ceil(2) {
            let at = folder.join(format!("spool-{run}"));
            ours.push(count as f64 / fill(&at, policy, count)?.as_secs_f64());
            std::fs::remove_dir_all(&at)?;
            let at = folder.join("plain");
            plain.push(count as f64 / fill_plain(&at, policy, count)?.as_secs_f64());
            std::fs::remove_file(&at)?;
        }
        let case = format!("append, {name}, 16 KiB batches");
        report.ours(&case, "batches/s", Figure::of(&ours));
        report.peer(&case, "plain append + fdatasync", "batches/s", Figure::of(&plain));
        let mb =
            |runs: &[f64]| Figure::of(&runs.iter().map(|r| r * BODY_BYTES as f64 / 1e6).collect::<Vec<_>>());
        report.ours(&case, "MB/s", mb(&ours));
        report.peer(&case, "plain append + fdatasync", "MB/s", mb(&plain));
    }
    Ok(())
}

fn settings(sync: SyncPolicy) -> SpoolSettings {
    SpoolSettings { sync, bytes_max: 1 << 30, ..SpoolSettings::default() }
}

fn open(folder: &Path, policy: SyncPolicy) -> Result<Spool> {
    Ok(Spool::open(Box::new(DiskStorage::open(folder)?), settings(policy))?)
}

/// How long so many appends take, with the last sync that makes all of them durable but when
/// nothing is to be.
fn fill(folder: &Path, policy: SyncPolicy, count: usize) -> Result<Duration> {
    let mut spool = open(folder, policy)?;
    let body = body();
    let (elapsed, result) = time(|| append(&mut spool, &body, policy, count));
    result?;
    Ok(elapsed)
}

fn append(spool: &mut Spool, body: &[u8], policy: SyncPolicy, count: usize) -> Result<()> {
    let clock = Seconds::new();
    for _ in 0..count {
        let sequence = spool.next_batch(Lane::SIGNALS, STREAM).sequence;
        let meta = RecordMeta {
            sequence,
            oldest_sequence: 1,
            first_time: Timestamp(1),
            last_time: Timestamp(2),
            sample_count: 10_000,
            gap_ids: Vec::new(),
        };
        spool.append(Lane::SIGNALS, (STREAM, CATALOG), &meta, body, 0)?;
        spool.maintain(0, clock.elapsed_us())?;
    }
    if policy != SyncPolicy::Never {
        spool.sync()?;
    }
    Ok(())
}

fn fill_plain(path: &Path, policy: SyncPolicy, count: usize) -> Result<Duration> {
    let mut file = File::create(path)?;
    let body = body();
    let (elapsed, result) = time(|| -> Result<()> {
        let (clock, mut synced_us) = (Seconds::new(), 0);
        for _ in 0..count {
            file.write_all(&body)?;
            let is_due = match policy {
                SyncPolicy::Always => true,
                SyncPolicy::Interval(_) => clock.elapsed_us() - synced_us >= 1_000_000,
                SyncPolicy::Never => false,
            };
            if is_due {
                synced_us = clock.elapsed_us();
                file.sync_data()?;
            }
        }
        if policy != SyncPolicy::Never {
            file.sync_data()?;
        }
        Ok(())
    });
    result?;
    Ok(elapsed)
}

fn recovery(options: &Options, report: &mut Report, folder: &Path) -> Result<()> {
    let at = folder.join("recovery");
    let count = usize::try_from(RECOVERY_BYTES)? / BODY_BYTES;
    fill(&at, SyncPolicy::Never, count)?;
    let (mut opens, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..options.run_count.div_ceil(3) {
        let (elapsed, spool) = time(|| open(&at, SyncPolicy::Never));
        let mut spool = spool?;
        ensure!(spool.counts().batches == count as u64, "the spool lost batches");
        opens.push(elapsed.as_secs_f64() * 1e3);
        let (elapsed, result) = time(|| read_all(&mut spool));
        ensure!(result? == count, "the spool did not give back every batch");
        reads.push(RECOVERY_BYTES as f64 / 1e6 / elapsed.as_secs_f64());
    }
    report.ours("open a spool of 256 MiB, in the page cache", "ms", Figure::of(&opens));
    report.ours("read back 256 MiB, 64 batches at once", "MB/s", Figure::of(&reads));
    let (elapsed, acked) = time(|| open(&at, SyncPolicy::Never)?.ack(STREAM, u64::MAX - 1).context("ack"));
    ensure!(acked? == count as u64, "the ack did not cover every batch");
    report.ours("open and let go of 256 MiB by one ack", "ms", Figure::exact(elapsed.as_secs_f64() * 1e3));
    Ok(())
}

fn read_all(spool: &mut Spool) -> Result<usize> {
    let (mut sent, mut count) = (HashMap::new(), 0);
    loop {
        let batches = spool.next_batches(&sent, 64)?;
        let Some(last) = batches.last() else { return Ok(count) };
        count += batches.len();
        sent.insert(STREAM, last.meta.sequence);
    }
}

/// A monotonic clock for the spool's maintenance.
struct Seconds(std::time::Instant);

impl Seconds {
    #[allow(clippy::disallowed_methods, reason = "a bench times real disks")]
    fn new() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed_us(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}
