//! Keeping the lake in order beside the writer: a task of instance 0.
//!
//! The work is `lake::maintenance`; here is when. Rewriting a day takes processor time for
//! minutes, so it runs on a thread of its own and a commit never waits for it. A pass that fails
//! is tried again at the next interval: the tables read the same without it.

use std::{future::Future, sync::Arc};

use lake::{
    Lake, LakeTable, TableKind,
    maintenance::{
        Compacted, MaintenanceError, Tries,
        expire::{ShortRetention, keeps_history},
    },
};
use service::{SharedClock, logs::chain, tasks::TaskError};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{MaintenanceSettings, RetentionOf},
    metrics,
};

const DAY_US: i64 = 86_400_000_000;

/// The task.
#[derive(Debug, Clone)]
pub struct Maintenance {
    lake: Lake,
    settings: Arc<MaintenanceSettings>,
    clock: SharedClock,
}

impl Maintenance {
    /// Of a lake.
    pub fn new(lake: Lake, settings: MaintenanceSettings, clock: SharedClock) -> Self {
        Self { lake, settings: Arc::new(settings), clock }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), TaskError> {
        let mut expired_us = self.clock.monotonic_us();
        while self.rest(&stop).await {
            self.apart(&stop, |this| async move { this.compact_all().await }).await?;
            let since_us = self.clock.monotonic_us().saturating_sub(expired_us);
            if since_us >= service::clock::micros(self.settings.expiry_interval) {
                self.apart(&stop, |this| async move { this.expire_all().await }).await?;
                expired_us = self.clock.monotonic_us();
            }
        }
        Ok(())
    }

    /// Waits for the next pass; says whether there is one.
    async fn rest(&self, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(self.settings.compaction_interval) => true,
        }
    }

    /// Does work on a thread of its own, until it is done or `stop` is cancelled. What it had not
    /// committed by then is files that no version names.
    async fn apart<F, W>(&self, stop: &CancellationToken, work: F) -> Result<(), TaskError>
    where
        F: FnOnce(Self) -> W + Send + 'static,
        W: Future<Output = ()> + Send,
    {
        let (this, stop, runtime) = (self.clone(), stop.clone(), tokio::runtime::Handle::current());
        let done = tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = work(this) => {}
                }
            });
        });
        Ok(done.await?)
    }

    /// Rewrites the days that need it, of every table there is.
    pub async fn compact_all(&self) {
        for kind in self.tables().await {
            let started_us = self.clock.monotonic_us();
            match self.compact(kind).await {
                Ok(done) => {
                    let elapsed_us = self.clock.monotonic_us().saturating_sub(started_us);
                    metrics::compacted(kind.name(), &done, elapsed_us);
                    if done.commits > 0 {
                        tracing::info!(
                            table = kind.name(),
                            files_removed = done.files_removed,
                            files_added = done.files_added,
                            bytes_removed = done.bytes_removed,
                            bytes_added = done.bytes_added,
                            elapsed_ms = elapsed_us / 1000,
                            "days put in order"
                        );
                    }
                }
                Err(error) => failed(kind, "compaction", &error),
            }
        }
    }

    async fn compact(&self, kind: TableKind) -> Result<Compacted, MaintenanceError> {
        let mut table = self.lake.open_table(kind).await?;
        let mut tries = Tries::default();
        let done = loop {
            match table.compact(&self.settings.policy, self.now_ms()).await {
                Err(error) if tries.again(&error) => {}
                other => break other?,
            }
        };
        let status = table.status(&self.settings.policy, self.now_ms()).await?;
        metrics::table_files(kind.name(), &status);
        Ok(done)
    }

    /// Drops days past their retention, deletes retired files and old entries of the log.
    pub async fn expire_all(&self) {
        for kind in self.tables().await {
            if let Err(error) = self.expire(kind).await {
                failed(kind, "expiry", &error);
            }
        }
    }

    async fn expire(&self, kind: TableKind) -> Result<(), MaintenanceError> {
        let mut table = self.lake.open_table(kind).await?;
        if let Some(days) = self.settings.retention_days.get(&kind) {
            let first_kept = self.first_kept_day(*days);
            let dropped = table.drop_days_before(first_kept, self.now_ms()).await?;
            if dropped.files > 0 {
                tracing::info!(
                    table = kind.name(),
                    files = dropped.files,
                    bytes = dropped.bytes,
                    "old days dropped"
                );
            }
        }
        self.erase(&mut table).await?;
        if keeps_history(kind) {
            return Ok(());
        }
        let deleted = table.vacuum(self.settings.vacuum_retention, ShortRetention::Refused).await?;
        metrics::files_vacuumed(kind.name(), deleted);
        let entries = table.clean_log(self.settings.log_retention, self.now_ms()).await?;
        tracing::debug!(table = kind.name(), files = deleted, log_entries = entries, "retired files deleted");
        Ok(())
    }

    /// Erases rows of vehicles that are kept for a shorter time.
    async fn erase(&self, table: &mut LakeTable) -> Result<(), MaintenanceError> {
        for RetentionOf { whose, days } in &self.settings.retention_of {
            let Some(days) = days.get(&table.kind()) else { continue };
            let first_kept = self.first_kept_day(*days);
            let erased = table.erase_before(whose, first_kept, &self.settings.policy, self.now_ms()).await?;
            if erased.rows > 0 {
                tracing::info!(
                    table = table.kind().name(),
                    rows = erased.rows,
                    files = erased.files,
                    "rows past their vehicles' retention erased"
                );
            }
        }
        Ok(())
    }

    /// The first of so many days up to now.
    fn first_kept_day(&self, days: u32) -> i32 {
        let day = self.clock.now_us().div_euclid(DAY_US).saturating_sub(i64::from(days));
        i32::try_from(day).unwrap_or(i32::MIN)
    }

    async fn tables(&self) -> Vec<TableKind> {
        match self.lake.tables(TableKind::ALL).await {
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "maintenance cannot see the tables, trying again later");
                Vec::new()
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_us() / 1000
    }
}

fn failed(kind: TableKind, what: &'static str, error: &MaintenanceError) {
    metrics::maintenance_failed(kind.name());
    tracing::warn!(table = kind.name(), what, error = %chain(error), "maintenance failed, trying again later");
}
