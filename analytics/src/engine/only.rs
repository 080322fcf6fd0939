//! A table of which only some rows are there.
//!
//! A view with a condition is not enough: the optimizer joins it with those of the query, and a cast that
//! fails on a row that is not to be seen would tell of it, as would the statistics of files that EXPLAIN shows.
//! So the rows are chosen by a plan of their own, which the query's plan knows as a stream and nothing more.
//! What the query asks of it goes down for pruning where it cannot fail.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::{
    catalog::{Session, TableProvider},
    common::DFSchema,
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        filter::FilterExec,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use lake::Whose;

/// The table.
#[derive(Debug)]
pub(crate) struct Only {
    table: Arc<dyn TableProvider>,
    /// Of columns of the table, and such that it cannot fail.
    condition: Expr,
}

impl Only {
    /// The rows of which a condition holds. It may name columns of the table and must not fail on any row.
    pub(crate) fn those(table: Arc<dyn TableProvider>, condition: Expr) -> Self {
        Self { table, condition }
    }

    /// The rows of some vehicles.
    pub(crate) fn of(table: Arc<dyn TableProvider>, whose: &Whose) -> Self {
        Self::those(table, whose.condition())
    }
}

/// Adds the columns that a condition names to those that are read.
fn with_columns_of(condition: &Expr, schema: &Schema, read: &mut Vec<usize>) -> Result<()> {
    let mut named: Vec<usize> = Vec::new();
    for column in condition.column_refs() {
        named.push(schema.index_of(column.name())?);
    }
    named.sort_unstable();
    read.extend(named.into_iter().filter(|at| !read.contains(at)).collect::<Vec<_>>());
    Ok(())
}

/// Whether a filter cannot fail whatever the row: columns beside literals.
pub(super) fn is_plain(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            is_plain(left) && is_plain(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => matches!(
            (left.as_ref(), right.as_ref()),
            (Expr::Column(_), Expr::Literal(..)) | (Expr::Literal(..), Expr::Column(_))
        ),
        Expr::Between(between) => matches!(
            (between.expr.as_ref(), between.low.as_ref(), between.high.as_ref()),
            (Expr::Column(_), Expr::Literal(..), Expr::Literal(..))
        ),
        Expr::InList(list) => {
            matches!(list.expr.as_ref(), Expr::Column(_))
                && list.list.iter().all(|item| matches!(item, Expr::Literal(..)))
        }
        Expr::IsNull(of) | Expr::IsNotNull(of) => matches!(of.as_ref(), Expr::Column(_)),
        _ => false,
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

#[async_trait::async_trait]
impl TableProvider for Only {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| {
            if is_plain(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let asked = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let mut read = asked.clone();
        with_columns_of(&self.condition, &schema, &mut read)?;
        let mut conditions: Vec<Expr> = filters.iter().filter(|filter| is_plain(filter)).cloned().collect();
        conditions.push(self.condition.clone());
        let rows = self.table.scan(state, Some(&read), &conditions, None).await?;
        let columns = DFSchema::try_from(rows.schema())?;
        let condition = state.create_physical_expr(self.condition.clone(), &columns)?;
        let chosen: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(condition, rows)?);
        let schema = chosen.schema();
        let partitions = parts_of(&chosen, chosen.output_partitioning().partition_count());
        let asked: Vec<usize> = (0..asked.len()).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, Some(&asked), [], false, None)?))
    }
}

/// The parts of a plan, as a query's plan knows them: streams and nothing more.
pub(super) fn parts_of(plan: &Arc<dyn ExecutionPlan>, count: usize) -> Vec<Arc<dyn PartitionStream>> {
    let schema = plan.schema();
    let part = |partition| {
        Arc::new(Chosen { plan: Arc::clone(plan), schema: Arc::clone(&schema), partition })
            as Arc<dyn PartitionStream>
    };
    (0..count).map(part).collect()
}

/// One part of the rows that are there.
#[derive(Debug)]
struct Chosen {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    partition: usize,
}

impl PartitionStream for Chosen {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.plan.execute(self.partition, context) {
            Ok(stream) => stream,
            Err(error) => Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                futures::stream::once(std::future::ready(Err(error))),
            )),
        }
    }
}
