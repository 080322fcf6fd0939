//! A table of which only some vehicles' rows are there.
//!
//! A view with a condition is not enough: the optimizer joins it with those of the query, and a cast that
//! fails on a row that is not to be seen would tell of it, as would the statistics of files that EXPLAIN shows.
//! So the rows are chosen by a plan of their own, which the query's plan knows as a stream and nothing more.
//! What the query asks of it goes down for pruning where it cannot fail.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
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

/// Whose rows are told by this column, in every table.
const VEHICLE: &str = "vehicle_id";

/// The table.
#[derive(Debug)]
pub(crate) struct Only {
    pub(crate) table: Arc<dyn TableProvider>,
    pub(crate) whose: Whose,
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
        let vehicle = schema.index_of(VEHICLE)?;
        let asked = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let mut read = asked.clone();
        if !read.contains(&vehicle) {
            read.push(vehicle);
        }
        let mut conditions: Vec<Expr> = filters.iter().filter(|filter| is_plain(filter)).cloned().collect();
        conditions.push(self.whose.condition());
        let rows = self.table.scan(state, Some(&read), &conditions, None).await?;
        let columns = DFSchema::try_from(rows.schema())?;
        let condition = state.create_physical_expr(self.whose.condition(), &columns)?;
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
