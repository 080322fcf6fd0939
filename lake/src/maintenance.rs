//! Keeping tables in order, beside their writers: days rewritten into large sorted files,
//! retired files deleted, old days dropped, the log checkpointed and shortened.
//!
//! Owns what a day's files should look like ([`plan`]), rewriting them (`rewrite`), everything
//! that deletes ([`expire`]), erasing the rows of some vehicles ([`erase`]), taking single rows out ([`rows`]), and telling how a table stands
//! ([`status`]). When to do it is the
//! caller's (ingest has a task for it).
//!
//! A rewrite is one Delta transaction of removes and adds without a change of data, so followers
//! by [`LakeTable::changes`] see no rows, and an appending writer never conflicts with it. Two
//! maintenances that rewrite the same files do: the second is refused as a whole, and plans anew.
//! Whatever dies in between leaves files that no version names, which vacuum deletes.
//!
//! Bounds: a sort holds `sort_memory_bytes_max` and spills beyond it to disk, up to
//! `spill_bytes_max`; a file is streamed to the store while it is written.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use deltalake::{DeltaTableError, kernel::transaction::TransactionError};

use crate::{
    schema::TableKind,
    store::OpenLakeError,
    table::{LakeTable, ReadError},
};

pub mod erase;
pub mod expire;
pub mod plan;
mod rewrite;
pub mod rows;
pub mod status;

pub(crate) use rewrite::{batch_rows, bounded_session};

/// How days are rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionPolicy {
    /// Files are made about this large.
    pub file_bytes_target: u64,
    /// A day that still gets data is rewritten when it has so many files out of order.
    pub loose_files_min: usize,
    /// A day that got no data for this long is made one sorted run, however few its files.
    pub settle: Duration,
    /// Memory of a sort.
    pub sort_memory_bytes_max: usize,
    /// Disk of a sort that does not fit its memory.
    pub spill_bytes_max: u64,
    /// Where that is; the system's folder for temporary files when `None`.
    pub spill_dir: Option<PathBuf>,
}

impl Default for CompactionPolicy {
    fn default() -> Self {
        Self {
            file_bytes_target: 128 << 20,
            loose_files_min: 32,
            settle: Duration::from_secs(3600),
            sort_memory_bytes_max: 256 << 20,
            spill_bytes_max: 64 << 30,
            spill_dir: None,
        }
    }
}

/// What a pass over a table rewrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Commits made.
    pub commits: u64,
    /// Files retired.
    pub files_removed: u64,
    /// Files written.
    pub files_added: u64,
    /// Bytes of the files retired.
    pub bytes_removed: u64,
    /// Bytes of the files written.
    pub bytes_added: u64,
    /// Rows rewritten.
    pub rows: u64,
}

impl Compacted {
    fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.files_removed += other.files_removed;
        self.files_added += other.files_added;
        self.bytes_removed += other.bytes_removed;
        self.bytes_added += other.bytes_added;
        self.rows += other.rows;
    }
}

/// Counts how often work lost its files to another maintenance, so that it gives up at last.
#[derive(Debug, Default)]
pub struct Tries(u32);

impl Tries {
    /// Whether to try again after this error.
    pub fn again(&mut self, error: &MaintenanceError) -> bool {
        const MOST: u32 = 5;
        self.0 += 1;
        self.0 < MOST && matches!(error, MaintenanceError::Conflict { .. })
    }
}

/// Why maintenance did not happen. The table reads as before.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The table or its store refused.
    #[error("cannot {act} table {table}")]
    Delta {
        /// What was tried.
        act: &'static str,
        /// The table.
        table: &'static str,
        /// Why.
        source: Box<DeltaTableError>,
    },
    /// Sorting failed; most likely the disk for spilling is full.
    #[error("cannot sort a day of table {table}")]
    Sort {
        /// The table.
        table: &'static str,
        /// Why.
        source: Box<datafusion::error::DataFusionError>,
    },
    /// Another maintenance was faster with the same files.
    #[error("another maintenance rewrote files of table {table} at the same time")]
    Conflict {
        /// The table.
        table: &'static str,
    },
    /// The rewritten files would not have had the rows of the old ones; nothing was committed.
    #[error("rewriting table {table} gave {rows_written} rows of {rows_read}; not committed")]
    RowsDiffer {
        /// The table.
        table: &'static str,
        /// Rows of the old files.
        rows_read: u64,
        /// Rows of the new ones.
        rows_written: u64,
    },
    /// A file's place in the log is not understood.
    #[error("cannot read the file list of table {table}: {what}")]
    FileList {
        /// The table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Vacuum was asked to delete files that readers may still be at.
    #[error(
        "a vacuum that keeps retired files for less than {} h can break queries that are running; to do it all the same, say so",
        expire::VACUUM_RETENTION_MIN.as_secs() / 3600
    )]
    RetentionTooShort,
    /// The log keeps no longer account of retired files than this.
    #[error("retired files can be kept for at most {} days", crate::properties::RETIRED_DAYS_MAX)]
    RetentionTooLong,
    /// The table cannot be read.
    #[error("cannot read the table")]
    Read(#[from] ReadError),
    /// The table cannot be opened.
    #[error("cannot open the table")]
    Open(#[from] OpenLakeError),
}

impl MaintenanceError {
    fn delta(act: &'static str, kind: TableKind) -> impl Fn(DeltaTableError) -> Self {
        move |source| match source {
            DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_),
            } => Self::Conflict { table: kind.name() },
            source => Self::Delta { act, table: kind.name(), source: Box::new(source) },
        }
    }

    fn sort(kind: TableKind) -> impl Fn(datafusion::error::DataFusionError) -> Self {
        move |source| Self::Sort { table: kind.name(), source: Box::new(source) }
    }
}

impl LakeTable {
    /// Rewrites the days that need it, as of `now_ms`. Several small days go into one commit.
    ///
    /// [`MaintenanceError::Conflict`] means that another maintenance was faster: what this pass
    /// had not committed is undone, and the next pass sees what is left to do.
    pub async fn compact(
        &mut self,
        policy: &CompactionPolicy,
        now_ms: i64,
    ) -> Result<Compacted, MaintenanceError> {
        let kind = self.kind();
        self.refresh().await?;
        if self.add_lacking_properties().await.map_err(MaintenanceError::delta("set properties of", kind))? {
            self.refresh().await?;
        }
        let jobs = plan::jobs(self.data_files()?, policy, now_ms);
        let mut done = Compacted::default();
        for share in plan::commits(jobs, policy) {
            let rewritten = self.rewrite(&share, policy).await?;
            done.add(&self.commit_rewrite(rewritten, policy, now_ms).await?);
        }
        Ok(done)
    }

    /// The paths of the files of the loaded version, below the table's folder.
    pub fn file_paths(&self) -> Result<Vec<String>, MaintenanceError> {
        Ok(self.data_files()?.into_iter().map(|file| file.add.path).collect())
    }

    /// The days (partitions) that have rows, oldest first.
    pub fn days(&self) -> Result<Vec<String>, MaintenanceError> {
        let days: BTreeSet<String> = self.data_files()?.into_iter().map(|file| file.date).collect();
        Ok(days.into_iter().collect())
    }

    /// The files of the loaded version.
    pub(crate) fn data_files(&self) -> Result<Vec<plan::DataFile>, MaintenanceError> {
        let unreadable = MaintenanceError::delta("list files of", self.kind());
        let state = self.table.snapshot().map_err(unreadable)?;
        let order = rewrite::order_tag(self.kind());
        state
            .log_data()
            .iter()
            .map(|view| {
                #[allow(deprecated, reason = "the one way to a file's tags")]
                let add = view.add_action();
                plan::DataFile::of(add, &order)
                    .map_err(|what| MaintenanceError::FileList { table: self.kind().name(), what })
            })
            .collect()
    }
}
