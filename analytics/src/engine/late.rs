//! A table by its name: what it holds is looked for when it is scanned.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{Session, TableProvider},
    error::{DataFusionError, Result},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use lake::TableKind;

/// Where a table is found.
#[async_trait::async_trait]
pub(crate) trait Find: std::fmt::Debug + Send + Sync {
    /// The table of a kind as it is to be read.
    async fn find(&self, kind: TableKind) -> Result<Arc<dyn TableProvider>>;
}

/// The table.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) kind: TableKind,
    /// The columns it is known by. What is found may have them in other places, and others.
    pub(crate) schema: SchemaRef,
    pub(crate) place: Arc<dyn Find>,
}

#[async_trait::async_trait]
impl TableProvider for Late {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // What is found may prune by them; they are applied above in any case.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let found = self.place.find(self.kind).await?;
        let there = found.schema();
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let places = projection.unwrap_or(&all).iter().map(|&place| {
            let field = self.schema.field(place);
            match there.index_of(field.name()) {
                Ok(at) if there.field(at).data_type() == field.data_type() => Ok(at),
                _ => Err(DataFusionError::Execution(format!(
                    "{} has no such column {} at the version that is read; name others, or connect again for \
                     the newest",
                    self.kind.name(),
                    field.name(),
                ))),
            }
        });
        let places = places.collect::<Result<Vec<usize>>>()?;
        found.scan(state, Some(&places), filters, limit).await
    }
}
