//! Running one statement over one snapshot.

use arrow::array::RecordBatch;
use datafusion::{
    execution::{SendableRecordBatchStream, context::SQLOptions},
    logical_expr::LogicalPlan,
    prelude::SessionContext,
};
use futures::StreamExt;
use lake::Whose;
use service::SharedClock;
use wire::time::Timestamp;

use super::{Shared, SqlError, elapsed_ms, json, prepared, session, snapshot::Snapshot};
use crate::row::{ColumnInfo, QueryResult};

/// Rows as they come.
pub(crate) type Stream = SendableRecordBatchStream;

/// The statement's own clock.
pub(crate) struct Bounded {
    pub(super) clock: SharedClock,
    pub(super) started_us: i64,
}

/// A time as SQL.
pub(crate) fn timestamp_literal(ts: Timestamp) -> String {
    format!("to_timestamp_micros({})", ts.0)
}

/// Plans and starts a statement that only reads, of everybody's rows or of some vehicles'.
pub(super) async fn stream(
    shared: &Shared,
    snapshot: Snapshot,
    (query, whose): (&str, Option<&Whose>),
) -> Result<Stream, SqlError> {
    let (context, plan) = planned(shared, snapshot, (query, whose)).await?;
    Ok(context.execute_logical_plan(plan).await?.execute_stream().await?)
}

/// Plans a statement that only reads.
pub(crate) async fn planned(
    shared: &Shared,
    snapshot: Snapshot,
    (query, whose): (&str, Option<&Whose>),
) -> Result<(SessionContext, LogicalPlan), SqlError> {
    let context = session::over(&shared.base, &shared.tables, snapshot, whose).await?;
    let state = context.state();
    let plan = state.statement_to_plan(prepared::parsed(&state, query)?).await?;
    check_only_reads(&plan)?;
    Ok((context, plan))
}

pub(crate) fn check_only_reads(plan: &LogicalPlan) -> Result<(), SqlError> {
    let only_reads =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reads.verify_plan(plan).map_err(|e| {
        SqlError::invalid(format!(
            "{}; this door only reads: SELECT, EXPLAIN, SHOW and DESCRIBE",
            e.strip_backtrace().trim_start_matches("Error during planning: ")
        ))
    })
}

impl Bounded {
    /// Runs a statement to its end or to `rows_max` rows.
    pub(super) async fn run(
        &self,
        shared: &Shared,
        snapshot: Snapshot,
        (query, whose): (&str, Option<&Whose>),
        rows_max: usize,
    ) -> Result<QueryResult, SqlError> {
        let lake_versions = snapshot.versions.clone();
        let mut stream = stream(shared, snapshot, (query, whose)).await?;
        let columns = stream
            .schema()
            .fields()
            .iter()
            .map(|f| ColumnInfo { name: f.name().clone(), data_type: f.data_type().to_string() })
            .collect();
        let mut rows = Vec::new();
        let mut is_truncated = false;
        while let Some(batch) = stream.next().await {
            let batch: RecordBatch = batch?;
            let room = rows_max - rows.len();
            is_truncated = batch.num_rows() > room;
            json::append_rows(&batch.slice(0, batch.num_rows().min(room)), &mut rows)?;
            if is_truncated {
                break;
            }
        }
        let elapsed_ms = elapsed_ms(self.clock.as_ref(), self.started_us);
        Ok(QueryResult { columns, rows, is_truncated, lake_versions, elapsed_ms })
    }
}
