//! kill -9 of ingest at the instants that matter: rows written and not committed, one table
//! committed and the next not, everything committed and not acknowledged. Not by chance: the process
//! is held still, the lake's folder says how far it is, and only then it is killed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use service::clock::SystemClock;

use crate::{
    content::content,
    fault_proxy::{FaultProxy, Link},
    fleet::{Agents, Fleet},
    mosquitto::Mosquitto,
    pipeline::PATIENCE,
    programs::Program,
};

/// Kills at each instant.
const KILLS: usize = 3;
/// Longest wait for a commit once the link stands still: a few flush intervals.
const COMMIT_DUE: Duration = Duration::from_secs(2);

/// How far a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    entries: usize,
    files: usize,
}

struct Table(PathBuf);

impl Table {
    fn of(data: &Path, name: &str) -> Self {
        Self(data.join("lake").join(name))
    }

    fn entries(&self) -> usize {
        count(&self.0.join("_delta_log"), "json")
    }

    /// Data files, committed or not. Entries are counted first: a file of a commit that comes in
    /// between is then taken for an old one, never for one that is not committed.
    fn progress(&self) -> Progress {
        let entries = self.entries();
        let days = std::fs::read_dir(&self.0).into_iter().flatten().map(|d| d.unwrap().path());
        let files =
            days.filter(|d| d.to_string_lossy().contains("date=")).map(|d| count(&d, "parquet")).sum();
        Progress { entries, files }
    }
}

fn count(folder: &Path, extension: &str) -> usize {
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|f| f.unwrap().path());
    files.filter(|f| f.extension().is_some_and(|e| e == extension)).count()
}

/// Looks, without letting go of the processor for long, until `found` gives something.
fn look<T>(patience: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let clock = SystemClock::shared();
    let until_us = clock.monotonic_us() + patience.as_micros() as i64;
    while clock.monotonic_us() < until_us {
        if let Some(found) = found() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    None
}

/// Rows are in a file that no version of the table has.
fn kill_before_the_commit(ingest: &mut Program, data: &Path) {
    let table = Table::of(data, "signals");
    let mut before = table.progress();
    look(PATIENCE, || {
        let now = table.progress();
        if now.entries != before.entries {
            before = now;
        } else if now.files > before.files {
            ingest.hold();
            let held = table.entries();
            if held == before.entries {
                ingest.kill();
                return Some(());
            }
            ingest.go_on();
            before = table.progress();
        }
        None
    })
    .expect("no commit was met before its log entry");
}

/// The batches of `readings` are committed, those of `signals` not.
fn kill_between_two_tables(ingest: &mut Program, data: &Path) {
    let (first, second) = (Table::of(data, "readings"), Table::of(data, "signals"));
    let mut before = (first.entries(), second.entries());
    look(PATIENCE, || {
        let now = (first.entries(), second.entries());
        if now.0 > before.0 {
            ingest.hold();
            if second.entries() == before.1 {
                ingest.kill();
                return Some(());
            }
            ingest.go_on();
        }
        before = (first.entries(), second.entries());
        None
    })
    .expect("no flush was met between its tables");
}

/// Everything of a flush is committed, and its acks cannot have left: the link stands still.
fn kill_before_the_ack(ingest: &mut Program, data: &Path, link: &FaultProxy) {
    let table = Table::of(data, "signals");
    look(PATIENCE, || {
        link.set(Link::Stall);
        let before = table.entries();
        // What it has buffered is committed now; there may be nothing.
        let committed = look(COMMIT_DUE, || (table.entries() > before).then_some(()));
        if committed.is_some() {
            ingest.kill();
        }
        link.set(Link::Pass);
        committed
    })
    .expect("no commit was met while the link stood still");
}

async fn progress(agents: &Agents) {
    agents.until_acked(agents.acked() + 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_killed_before_during_and_after_a_commit_loses_and_doubles_nothing() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let data = tempfile::tempdir().unwrap();
    let link = FaultProxy::start(broker.address());
    let start = || Program::ingest(data.path(), link.address(), (0, 1));
    let mut ingest = start();
    let agents = fleet.drive(data.path(), broker.address(), Duration::from_secs(25)).await;
    for _ in 0..KILLS {
        for instant in 0..3 {
            progress(&agents).await;
            tokio::task::block_in_place(|| match instant {
                0 => kill_before_the_commit(&mut ingest, data.path()),
                1 => kill_between_two_tables(&mut ingest, data.path()),
                _ => kill_before_the_ack(&mut ingest, data.path(), &link),
            });
            ingest = start();
        }
    }
    agents.drained().await;
    agents.stop().await;
    ingest.assert_running();
    drop(ingest);
    assert_eq!(&content(&data.path().join("lake")).await, expected);
}
