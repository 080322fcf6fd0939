//! Replacing files of a day by one sorted run.
//!
//! Sorting is DataFusion's external sort over a scan of just these files, in one partition: it
//! is bounded by a memory pool and goes to disk beyond it, whatever order and number of files
//! there are. (A merge of the files as they are would need each of them sorted, which files of
//! other writers are not, and one open reader a file, of which a busy day has thousands.)

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array},
    compute::cast,
    datatypes::SchemaRef,
    error::ArrowError,
};
use datafusion::{
    execution::{
        SendableRecordBatchStream,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::{DataFrame, SessionConfig, SessionContext, col},
};
use deltalake::{
    delta_datafusion::TableProviderBuilder,
    kernel::{
        Action, Add, Remove,
        transaction::{CommitBuilder, TableReference},
    },
    protocol::DeltaOperation,
    writer::{DeltaWriter, RecordBatchWriter},
};
use futures::StreamExt;
use serde_json::json;

use super::{
    Compacted, CompactionPolicy, MaintenanceError,
    plan::{DataFile, Job, ORDER_TAG, RUN_TAG},
};
use crate::{
    schema::TableKind,
    table::{LakeTable, quiet_commit},
    writer::{Layout, properties, sort_columns},
};

/// Tries of a commit; each is lost only to another commit that was faster.
const COMMIT_TRIES: u32 = 30;

/// The value of the tag of sorted files.
pub(super) fn order_tag(kind: TableKind) -> String {
    sort_columns(kind).join(",")
}

/// Files written, not yet part of the table, and those they stand for.
pub(super) struct Rewritten {
    old: Vec<DataFile>,
    new: Vec<Add>,
    rows: u64,
}

impl LakeTable {
    /// Writes the files of these jobs; nothing is committed.
    pub(super) async fn rewrite(
        &self,
        jobs: &[Job],
        policy: &CompactionPolicy,
    ) -> Result<Rewritten, MaintenanceError> {
        let mut all = Rewritten { old: Vec::new(), new: Vec::new(), rows: 0 };
        let live: HashSet<String> = self.file_paths()?.into_iter().collect();
        if !jobs.iter().flat_map(|job| &job.files).all(|file| live.contains(&file.add.path)) {
            return Err(MaintenanceError::Conflict { table: self.kind().name() });
        }
        for job in jobs {
            let stream = self.in_order(self.scan(&job.files, policy).await?).await?;
            let (adds, rows) = self.write_run(stream, policy, None).await?;
            let expected: Option<u64> = job.files.iter().map(|f| f.rows).sum();
            let written: Option<u64> = adds.iter().map(rows_of).sum();
            if expected.is_some_and(|n| n != rows) || written.is_some_and(|n| n != rows) {
                return Err(MaintenanceError::RowsDiffer {
                    table: self.kind().name(),
                    rows_read: expected.unwrap_or(rows),
                    rows_written: written.unwrap_or(rows),
                });
            }
            tracing::debug!(
                table = self.kind().name(),
                date = job.date,
                files = job.files.len(),
                rows,
                "day rewritten"
            );
            all.old.extend(job.files.iter().cloned());
            all.new.extend(adds);
            all.rows += rows;
        }
        Ok(all)
    }

    /// Commits rewritten files in place of the old ones: the same rows, so no change of data.
    pub(super) async fn commit_rewrite(
        &mut self,
        rewritten: Rewritten,
        policy: &CompactionPolicy,
        now_ms: i64,
    ) -> Result<Compacted, MaintenanceError> {
        let done = Compacted {
            commits: 1,
            files_removed: rewritten.old.len() as u64,
            files_added: rewritten.new.len() as u64,
            bytes_removed: rewritten.old.iter().map(|f| f.bytes).sum(),
            bytes_added: rewritten.new.iter().map(|a| u64::try_from(a.size).unwrap_or(0)).sum(),
            rows: rewritten.rows,
        };
        let removes = rewritten.old.into_iter().map(|f| Action::Remove(remove(f.add, false, now_ms)));
        let actions = removes.chain(rewritten.new.into_iter().map(Action::Add)).collect();
        let target_size = i64::try_from(policy.file_bytes_target).unwrap_or(i64::MAX);
        self.commit_actions(actions, DeltaOperation::Optimize { predicate: None, target_size }).await?;
        Ok(done)
    }

    /// Commits the removal of files and what stands in for them, or fails with
    /// [`MaintenanceError::Conflict`] when one of them has been removed already.
    ///
    /// The check is ours: deltalake lets two commits remove the same file as long as neither
    /// changes data, and the rows of both rewrites would be there. So each try is made for exactly
    /// the version after the one checked (no retries of deltalake's own), and a commit in between,
    /// an append mostly, leads to the next check.
    pub(crate) async fn commit_actions(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<(), MaintenanceError> {
        let kind = self.kind();
        let failed = MaintenanceError::delta("commit to", kind);
        let paths = |is_wanted: fn(&Action) -> Option<&String>| -> Vec<String> {
            actions.iter().filter_map(is_wanted).cloned().collect()
        };
        let removed =
            paths(|action| if let Action::Remove(remove) = action { Some(&remove.path) } else { None });
        let added = paths(|action| if let Action::Add(add) = action { Some(&add.path) } else { None });
        // Before the log names them: these stand for rows that were acknowledged.
        self.sync_files(added.clone()).await.map_err(&failed)?;
        let mut tries = 0;
        loop {
            self.refresh().await?;
            let live: HashSet<String> = self.file_paths()?.into_iter().collect();
            if tries > 0 && !added.is_empty() && added.iter().all(|path| live.contains(path)) {
                // The answer was lost, the commit was not.
                return Ok(());
            }
            if !removed.iter().all(|path| live.contains(path)) {
                return Err(MaintenanceError::Conflict { table: kind.name() });
            }
            tries += 1;
            let state = self.table.snapshot().map_err(&failed)?;
            let properties = quiet_commit()
                .with_max_retries(0)
                .with_metadata([("roadlake_maintenance".to_owned(), json!(true))]);
            let committed = CommitBuilder::from(properties)
                .with_actions(actions.clone())
                .build(Some(state as &dyn TableReference), self.table.log_store(), operation.clone())
                .await;
            match committed {
                Ok(_) => {
                    self.refresh().await?;
                    return self.sync_log().await.map_err(&failed);
                }
                Err(error) if tries >= COMMIT_TRIES => return Err(failed(error)),
                Err(error) => {
                    tracing::debug!(table = kind.name(), %error, "commit of maintenance tried again")
                }
            }
        }
    }

    /// The rows of these files, in a session within the policy's bounds.
    pub(super) async fn scan(
        &self,
        files: &[DataFile],
        policy: &CompactionPolicy,
    ) -> Result<DataFrame, MaintenanceError> {
        let failed = MaintenanceError::sort(self.kind());
        let state = self.table.snapshot().map_err(MaintenanceError::delta("read", self.kind()))?;
        let scan = TableProviderBuilder::default()
            .with_log_store(self.table.log_store())
            .with_eager_snapshot(state.snapshot().clone())
            .with_file_paths(files.iter().map(|f| f.add.path.clone()))
            .build()
            .await
            .map_err(&failed)?;
        let context = bounded_session(policy, batch_rows(self.kind())).map_err(&failed)?;
        context.read_table(Arc::new(scan)).map_err(&failed)
    }

    /// Rows in the table's order.
    pub(super) async fn in_order(
        &self,
        rows: DataFrame,
    ) -> Result<SendableRecordBatchStream, MaintenanceError> {
        let failed = MaintenanceError::sort(self.kind());
        let order = sort_columns(self.kind()).iter().map(|name| col(*name).sort(true, false)).collect();
        rows.sort(order).map_err(&failed)?.execute_stream().await.map_err(&failed)
    }

    /// Writes a sorted stream as files of about the target size; cut where the vehicle changes,
    /// so that a vehicle's day is in one file as far as it fits. They are part of `run`, or a run of
    /// their own.
    pub(super) async fn write_run(
        &self,
        mut stream: SendableRecordBatchStream,
        policy: &CompactionPolicy,
        run: Option<String>,
    ) -> Result<(Vec<Add>, u64), MaintenanceError> {
        let kind = self.kind();
        let failed = MaintenanceError::delta("write sorted files of", kind);
        let writer = RecordBatchWriter::for_table(&self.table).map_err(&failed)?;
        let schema = writer.arrow_schema();
        let mut writer = writer.with_writer_properties(properties(kind, Layout::Sorted, &schema));
        let (mut adds, mut rows, mut last_vehicle) = (Vec::new(), 0_u64, None);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(MaintenanceError::sort(kind))?;
            let mut rest = conform(&batch, &schema).map_err(|e| failed(e.into()))?;
            rows += rest.num_rows() as u64;
            let filled = writer.buffer_len() as u64;
            if filled >= policy.file_bytes_target {
                let is_overfull = filled >= policy.file_bytes_target.saturating_mul(2);
                let cut = if is_overfull { Some(0) } else { vehicle_change(&rest, last_vehicle.as_deref()) };
                if let Some(cut) = cut {
                    if cut > 0 {
                        writer.write(rest.slice(0, cut)).await.map_err(&failed)?;
                    }
                    adds.extend(writer.flush().await.map_err(&failed)?);
                    rest = rest.slice(cut, rest.num_rows() - cut);
                }
            }
            last_vehicle = vehicle_at(&rest, rest.num_rows().saturating_sub(1));
            if rest.num_rows() > 0 {
                writer.write(rest).await.map_err(&failed)?;
            }
        }
        adds.extend(writer.flush().await.map_err(&failed)?);
        let run = run.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        for add in &mut adds {
            add.data_change = false;
            let tag = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
            add.tags = Some([tag(ORDER_TAG, &order_tag(kind)), tag(RUN_TAG, &run)].into_iter().collect());
        }
        Ok((adds, rows))
    }
}

/// The entry that retires a file.
pub(super) fn remove(add: Add, data_change: bool, now_ms: i64) -> Remove {
    Remove {
        path: add.path,
        data_change,
        deletion_timestamp: Some(now_ms),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values),
        size: Some(add.size),
        tags: add.tags,
        deletion_vector: add.deletion_vector,
        base_row_id: add.base_row_id,
        default_row_commit_version: add.default_row_commit_version,
    }
}

fn rows_of(add: &Add) -> Option<u64> {
    let stats: serde_json::Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
    stats.get("numRecords")?.as_u64()
}

/// Rows handled at once: those of `quarantine` are payloads of up to a quarter of a MiB.
pub(crate) fn batch_rows(kind: TableKind) -> usize {
    if kind == TableKind::Quarantine { 64 } else { 8192 }
}

/// A session of one partition whose sorts keep within the policy's memory and disk.
pub(crate) fn bounded_session(
    policy: &CompactionPolicy,
    batch_rows: usize,
) -> Result<SessionContext, datafusion::error::DataFusionError> {
    let mode = match &policy.spill_dir {
        Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk =
        DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(policy.spill_bytes_max);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(policy.sort_memory_bytes_max)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    // Half of the memory is for the merge, which holds the key of every row (text in it, which a batch may
    // hold once in a dictionary) beside the batches. With DataFusion's 10 MiB a sort that nearly fits fails.
    let reservation = policy.sort_memory_bytes_max / 2;
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(batch_rows)
        .with_sort_spill_reservation_bytes(reservation)
        .with_collect_statistics(false);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// The batch in the table's own schema, which may have more columns than this release knows.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns: Result<Vec<ArrayRef>, _> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns?)
}

fn vehicle_at(batch: &RecordBatch, row: usize) -> Option<String> {
    let vehicles = batch.column_by_name("vehicle_id")?.as_string_opt::<i32>()?;
    (row < vehicles.len()).then(|| vehicles.value(row).to_owned())
}

/// The first row whose vehicle is another than that of the row before.
fn vehicle_change(batch: &RecordBatch, before: Option<&str>) -> Option<usize> {
    let vehicles = batch.column_by_name("vehicle_id")?.as_string_opt::<i32>()?;
    let mut last = before;
    for row in 0..vehicles.len() {
        let vehicle = vehicles.value(row);
        if last.is_some_and(|last| last != vehicle) {
            return Some(row);
        }
        last = Some(vehicle);
    }
    None
}
