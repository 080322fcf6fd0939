//! One Delta table: committing exactly once, and reading what each version added.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, new_null_array},
    compute::cast,
    datatypes::SchemaRef,
};
use bytes::Bytes;
use datafusion::{catalog::TableProvider, error::DataFusionError};
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, StructType, Transaction,
        engine::arrow_conversion::TryIntoKernel,
        transaction::{CommitProperties, TransactionError},
    },
    logstore::get_actions,
    protocol::SaveMode,
};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use wire::time::Timestamp;

use crate::{
    properties,
    schema::{PARTITION, TableKind},
    stored,
};

/// The key of our own mark in a commit's metadata: tells our commit from another's of the same
/// version after an answer was lost.
pub(crate) const COMMIT_MARK: &str = "roadlake_commit";
/// Versions searched for our own mark.
const LOOKED_BACK_MAX: usize = 100;

/// A table of the lake at some version.
#[derive(Debug, Clone)]
pub struct LakeTable {
    pub(crate) table: DeltaTable,
    pub(crate) kind: TableKind,
    /// The log up to this version is on the disk for sure; -1 before that is known (`durable.rs`).
    pub(crate) synced_version: i64,
    /// What the last append of this handle moved: as long as its version is the loaded one, the log need not be
    /// read for it.
    moved: Option<(i64, AppTransaction)>,
}

/// The writer's place: `app_id` names the writer's share (its shards), `version` rises by one a
/// commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppTransaction {
    /// Who writes.
    pub app_id: String,
    /// The version this commit takes.
    pub version: i64,
}

/// Stands in a commit's metadata: tells a writer its own commit from another's when it does not know
/// what became of it. All tries of the same rows have the same one.
#[derive(Debug, Clone)]
pub struct CommitMark(String);

impl Default for CommitMark {
    fn default() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

/// What one table version added.
#[derive(Debug, Clone)]
pub struct Change {
    /// The table version.
    pub version: i64,
    /// The rows it added, in the table's schema; empty for maintenance.
    pub batches: Vec<RecordBatch>,
}

/// Why a commit did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another writer used the same `app_id`: this one must stop.
    #[error(
        "another writer has committed to table {table} as {app_id:?}; only one process may own these shards"
    )]
    Fenced {
        /// The table.
        table: &'static str,
        /// The share both claim.
        app_id: String,
    },
    /// The store or the rows refused; nothing was written that a reader sees.
    #[error("cannot commit to table {table}")]
    Write {
        /// The table.
        table: &'static str,
        /// Why.
        source: Box<DeltaTableError>,
    },
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log or a file cannot be read.
    #[error("cannot read table {table}")]
    Read {
        /// The table.
        table: &'static str,
        /// Why.
        source: Box<DeltaTableError>,
    },
    /// A version has left the log, or vacuum has deleted files of it.
    #[error("version {version} of table {table} is no longer kept")]
    VersionGone {
        /// The table.
        table: &'static str,
        /// The version asked for.
        version: i64,
    },
    /// A query over the table failed.
    #[error("cannot query table {table}")]
    Query {
        /// The table.
        table: &'static str,
        /// Why.
        source: Box<datafusion::error::DataFusionError>,
    },
}

impl LakeTable {
    pub(crate) fn new(table: DeltaTable, kind: TableKind) -> Self {
        Self { table, kind, synced_version: -1, moved: None }
    }

    pub(crate) async fn create(table: DeltaTable, kind: TableKind) -> Result<(), DeltaTableError> {
        let schema: StructType = kind.stored_schema().as_ref().try_into_kernel()?;
        table
            .create()
            .with_table_name(kind.name())
            .with_columns(schema.fields().cloned())
            .with_partition_columns([PARTITION])
            .with_configuration(properties::of(kind).map(|(key, value)| (key, Some(value))))
            .with_save_mode(SaveMode::ErrorIfExists)
            .await?;
        Ok(())
    }

    /// Adds the columns of this release that the table lacks, as one commit.
    pub(crate) async fn add_new_columns(&mut self) -> Result<(), DeltaTableError> {
        let wanted: StructType = self.kind.stored_schema().as_ref().try_into_kernel()?;
        loop {
            let have = self.table.snapshot()?.schema();
            let lacking: Vec<_> =
                wanted.fields().filter(|f| have.field(f.name()).is_none()).cloned().collect();
            if lacking.is_empty() {
                return Ok(());
            }
            let names: Vec<&str> = lacking.iter().map(|f| f.name().as_str()).collect();
            tracing::info!(table = self.kind.name(), columns = ?names, "adding columns of this release");
            let adding = self
                .table
                .clone()
                .add_columns()
                .with_commit_properties(quiet_commit())
                .with_fields(lacking.clone());
            match adding.await {
                Ok(table) => self.table = table,
                Err(error) => {
                    // Another process may have been faster; anything else stays lacking.
                    self.table.update_state().await?;
                    let have = self.table.snapshot()?.schema();
                    if lacking.iter().any(|f| have.field(f.name()).is_none()) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The schema of the files written to the table: it keeps the types it was made with.
    pub(crate) fn files_schema(&self) -> Result<SchemaRef, DeltaTableError> {
        Ok(self.table.snapshot()?.snapshot().arrow_schema())
    }

    /// Which table.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// The version loaded.
    pub fn version(&self) -> i64 {
        self.table.version().and_then(|v| i64::try_from(v).ok()).unwrap_or(-1)
    }

    /// When the loaded version was committed, by its writer's clock; `None` where its commit says nothing.
    pub async fn committed_at(&self) -> Result<Option<Timestamp>, ReadError> {
        let newest = self.table.history(Some(1)).next().await.transpose().map_err(|e| self.read_error(e))?;
        let committed_ms = newest.and_then(|commit| commit.timestamp);
        Ok(committed_ms.map(|ms| Timestamp(ms.saturating_mul(1000))))
    }

    /// Moves to the newest version and returns it.
    pub async fn refresh(&mut self) -> Result<i64, ReadError> {
        if let Err(error) = self.table.update_state().await {
            // The step from the loaded version may need log entries that have been cleaned up
            // since: a table that nobody wrote to for long. From its checkpoint it opens.
            self.reload().await.map_err(|_| self.read_error(error))?;
        }
        Ok(self.version())
    }

    async fn reload(&mut self) -> Result<(), DeltaTableError> {
        let mut table = DeltaTable::new(self.table.log_store());
        table.load().await?;
        self.table = table;
        Ok(())
    }

    /// The table at the loaded version, for SQL.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>, ReadError> {
        self.as_read(self.table.table_provider().await)
    }

    /// The table as it was at a version.
    pub async fn at(&self, version: i64) -> Result<Self, ReadError> {
        let gone = || ReadError::VersionGone { table: self.kind.name(), version };
        let wanted = u64::try_from(version).map_err(|_| gone())?;
        let mut table = self.table.clone();
        match table.load_version(wanted).await {
            Ok(()) if table.version() == Some(wanted) => Ok(Self::new(table, self.kind)),
            Ok(()) | Err(DeltaTableError::InvalidVersion(_)) => Err(gone()),
            Err(e) => Err(self.read_error(e)),
        }
    }

    /// The same, for SQL.
    pub async fn provider_at(&self, version: i64) -> Result<Arc<dyn TableProvider>, ReadError> {
        self.at(version).await?.provider().await
    }

    fn as_read(
        &self,
        files: Result<Arc<dyn TableProvider>, DataFusionError>,
    ) -> Result<Arc<dyn TableProvider>, ReadError> {
        files.and_then(|files| stored::as_read(self.kind, files)).map_err(|e| self.query_error(e))
    }

    /// The last version a writer committed under `app_id`, at the loaded table version.
    pub async fn app_version(&self, app_id: &str) -> Result<Option<i64>, ReadError> {
        let store = self.table.log_store();
        let snapshot = self.table.snapshot().map_err(|e| self.read_error(e))?;
        snapshot.snapshot().transaction_version(store.as_ref(), app_id).await.map_err(|e| self.read_error(e))
    }

    /// Appends rows as one commit that also moves `app_id` from `version - 1` to `version`.
    ///
    /// The commit is made from the loaded snapshot, on which the writer's last version is
    /// checked, so of two writers with one `app_id` the second fails with
    /// [`CommitError::Fenced`]. After any other failure it looks whether the commit landed all
    /// the same (an answer can be lost) and reports success if it did.
    pub async fn append(&mut self, batch: RecordBatch, txn: &AppTransaction) -> Result<i64, CommitError> {
        self.append_marked(batch, txn, &CommitMark::default()).await
    }

    /// [`LakeTable::append`] for who tries again: a try that looked failed may land later, while a
    /// store is slow. The next one finds it by the mark, and is neither doubled nor fenced.
    pub async fn append_marked(
        &mut self,
        batch: RecordBatch,
        txn: &AppTransaction,
        mark: &CommitMark,
    ) -> Result<i64, CommitError> {
        let expected = txn.version - 1;
        let loaded = self.version();
        let moved =
            self.moved.as_ref().filter(|(version, own)| *version == loaded && own.app_id == txn.app_id);
        let found = match moved.map(|(_, own)| own.version) {
            Some(version) => Some(version),
            None => match self.app_version(&txn.app_id).await {
                Ok(found) => found,
                Err(_) => {
                    self.refresh().await.map_err(|e| self.commit_read_error(e))?;
                    self.app_version(&txn.app_id).await.map_err(|e| self.commit_read_error(e))?
                }
            },
        };
        if found.unwrap_or(0) != expected {
            return self.landed(mark).await?.ok_or_else(|| self.fenced(txn));
        }
        let properties = quiet_commit()
            .with_metadata([(COMMIT_MARK.to_owned(), json!(mark.0))])
            .with_application_transaction(Transaction::new(&txn.app_id, txn.version));
        let written = match self.write_files(&batch).await {
            Ok(files) => self.commit_files(files, properties).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                self.moved = Some((self.version(), txn.clone()));
                Ok(self.version())
            }
            Err(error) => self.after_failed_append(error, txn, mark).await,
        }
    }

    async fn after_failed_append(
        &mut self,
        error: DeltaTableError,
        txn: &AppTransaction,
        mark: &CommitMark,
    ) -> Result<i64, CommitError> {
        let is_conflict =
            matches!(&error, DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) });
        let original = self.write_error(error);
        if self.refresh().await.is_err() {
            return Err(original);
        }
        let found = self.app_version(&txn.app_id).await.map_err(|e| self.commit_read_error(e))?;
        if found.unwrap_or(0) < txn.version {
            return Err(original);
        }
        // Somebody took our version: was it us?
        if let Some(version) = self.landed(mark).await? {
            return Ok(version);
        }
        tracing::error!(
            table = self.kind.name(),
            app_id = txn.app_id,
            is_conflict,
            "commit lost to another writer"
        );
        Err(self.fenced(txn))
    }

    /// Whether a commit with this mark is among the newest.
    pub async fn has_landed(&mut self, mark: &CommitMark) -> Result<bool, CommitError> {
        self.refresh().await.map_err(|e| self.commit_read_error(e))?;
        Ok(self.landed(mark).await?.is_some())
    }

    /// The newest version with this mark.
    async fn landed(&mut self, mark: &CommitMark) -> Result<Option<i64>, CommitError> {
        let is_marked = |action: &Action| {
            matches!(action, Action::CommitInfo(i)
                if i.info.get(COMMIT_MARK).and_then(|v| v.as_str()) == Some(mark.0.as_str()))
        };
        for version in (0..=self.version()).rev().take(LOOKED_BACK_MAX) {
            let actions = match self.actions(version).await {
                Err(ReadError::VersionGone { .. }) => break,
                other => other.map_err(|e| self.commit_read_error(e))?,
            };
            if actions.iter().any(is_marked) {
                // It may be that the try which made it did not come to this.
                self.sync_log().await.map_err(|e| self.write_error(e))?;
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// What each version after `after_version` added, oldest first, at most `versions_max` of
    /// them. Maintenance (compaction) shows as a version without rows. A version whose log entry
    /// or files maintenance has deleted is [`ReadError::VersionGone`]: the caller starts anew
    /// from the table as it is.
    pub async fn changes(
        &mut self,
        after_version: i64,
        versions_max: usize,
    ) -> Result<Vec<Change>, ReadError> {
        let newest = self.refresh().await?;
        let mut out = Vec::new();
        for version in (after_version + 1..=newest).take(versions_max) {
            let mut batches = Vec::new();
            for action in self.actions(version).await? {
                if let Action::Add(add) = action
                    && add.data_change
                {
                    let date = add.partition_values.get(PARTITION).cloned().flatten();
                    batches.extend(self.read_file(version, &add.path, date.as_deref()).await?);
                }
            }
            out.push(Change { version, batches });
        }
        Ok(out)
    }

    pub(crate) async fn actions(&self, version: i64) -> Result<Vec<Action>, ReadError> {
        let gone = || ReadError::VersionGone { table: self.kind.name(), version };
        let wanted = u64::try_from(version).map_err(|_| gone())?;
        let bytes = self.table.log_store().read_commit_entry(wanted).await.map_err(|e| self.read_error(e))?;
        get_actions(wanted, &bytes.ok_or_else(gone)?).map_err(|e| self.read_error(e))
    }

    pub(crate) async fn read_file(
        &self,
        version: i64,
        path: &str,
        date: Option<&str>,
    ) -> Result<Vec<RecordBatch>, ReadError> {
        let file = self.open_file(version, path).await?;
        let reader = file.build().map_err(|source| self.read_error(DeltaTableError::Parquet { source }))?;
        let batches: Vec<RecordBatch> = reader
            .collect::<Result<_, _>>()
            .map_err(|e: arrow::error::ArrowError| self.read_error(e.into()))?;
        let schema = self.kind.schema();
        batches.iter().map(|b| conform(b, &schema, date).map_err(|e| self.read_error(e.into()))).collect()
    }

    /// A file of the table, in memory, to be read.
    pub(crate) async fn open_file(
        &self,
        version: i64,
        path: &str,
    ) -> Result<ParquetRecordBatchReaderBuilder<Bytes>, ReadError> {
        let location = object_store::path::Path::parse(path)
            .map_err(|e| self.read_error(DeltaTableError::ObjectStore { source: e.into() }))?;
        let store_failed = |e: object_store::Error| match e {
            object_store::Error::NotFound { .. } => {
                ReadError::VersionGone { table: self.kind.name(), version }
            }
            e => self.read_error(DeltaTableError::ObjectStore { source: e }),
        };
        let file = self.table.object_store().get(&location).await.map_err(store_failed)?;
        let bytes = file.bytes().await.map_err(store_failed)?;
        ParquetRecordBatchReaderBuilder::try_new(bytes)
            .map_err(|source| self.read_error(DeltaTableError::Parquet { source }))
    }

    pub(crate) fn read_error(&self, source: DeltaTableError) -> ReadError {
        ReadError::Read { table: self.kind.name(), source: Box::new(source) }
    }

    pub(crate) fn query_error(&self, source: datafusion::error::DataFusionError) -> ReadError {
        ReadError::Query { table: self.kind.name(), source: Box::new(source) }
    }

    pub(crate) fn commit_read_error(&self, error: ReadError) -> CommitError {
        let source = match error {
            ReadError::Read { source, .. } => source,
            other => Box::new(DeltaTableError::Generic(other.to_string())),
        };
        CommitError::Write { table: self.kind.name(), source }
    }

    fn write_error(&self, source: DeltaTableError) -> CommitError {
        CommitError::Write { table: self.kind.name(), source: Box::new(source) }
    }

    fn fenced(&self, txn: &AppTransaction) -> CommitError {
        CommitError::Fenced { table: self.kind.name(), app_id: txn.app_id.clone() }
    }
}

/// A commit that leaves the log's old entries alone: deleting them lists the whole log, which
/// maintenance does now and then and a writer should not wait for.
pub(crate) fn quiet_commit() -> CommitProperties {
    CommitProperties::default().with_cleanup_expired_logs(Some(false))
}

/// A file's rows in the table's schema: the partition column comes from its folder, columns
/// added since are null.
fn conform(
    batch: &RecordBatch,
    schema: &SchemaRef,
    date: Option<&str>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let rows = batch.num_rows();
    let columns: Result<Vec<ArrayRef>, _> = schema
        .fields()
        .iter()
        .map(|field| match (batch.column_by_name(field.name()), date) {
            (Some(column), _) => cast(column, field.data_type()),
            (None, Some(date)) if field.name() == PARTITION => {
                let texts = arrow::array::StringArray::from(vec![date; rows]);
                cast(&texts, field.data_type())
            }
            (None, _) => Ok(new_null_array(field.data_type(), rows)),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns?)
}
