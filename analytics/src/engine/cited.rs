//! `lake_version()`: the versions a statement reads, so that its result can be cited.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    catalog::{MemTable, Session, TableFunctionImpl, TableProvider},
    common::plan_err,
    error::{DataFusionError, Result},
    logical_expr::{Expr, TableType},
    physical_plan::ExecutionPlan,
};
use lake::{LakeTable, TableKind};

/// The tables a statement reads, at the versions it reads them at.
#[async_trait::async_trait]
pub(crate) trait Versioned: std::fmt::Debug + Send + Sync {
    /// Those there are for it; `None` for one that nobody has written.
    async fn tables(&self) -> Result<Vec<(TableKind, Option<LakeTable>)>>;
}

/// The tables of a snapshot.
#[derive(Debug)]
pub(super) struct Pinned(pub(super) Vec<(TableKind, Option<LakeTable>)>);

#[async_trait::async_trait]
impl Versioned for Pinned {
    async fn tables(&self) -> Result<Vec<(TableKind, Option<LakeTable>)>> {
        Ok(self.0.clone())
    }
}

/// The function.
#[derive(Debug)]
pub(super) struct LakeVersion(pub(super) Arc<dyn Versioned>);

impl TableFunctionImpl for LakeVersion {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        if !args.is_empty() {
            return plan_err!("lake_version takes no arguments: SELECT * FROM lake_version()");
        }
        let committed_at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("table_name", DataType::Utf8, false),
            Field::new("version", DataType::Int64, true),
            Field::new("committed_at", committed_at, true),
        ]));
        Ok(Arc::new(Told { schema, place: Arc::clone(&self.0) }))
    }
}

/// What it gives: asked for when it is scanned, as the tables are.
#[derive(Debug)]
struct Told {
    schema: SchemaRef,
    place: Arc<dyn Versioned>,
}

#[async_trait::async_trait]
impl TableProvider for Told {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut names, mut versions, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, table) in self.place.tables().await? {
            let committed_at = match &table {
                Some(table) => {
                    table.committed_at().await.map_err(|e| DataFusionError::External(Box::new(e)))?
                }
                None => None,
            };
            names.push(kind.name());
            versions.push(table.map(|table| table.version()));
            times.push(committed_at.map(|at| at.0));
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(names)),
            Arc::new(Int64Array::from(versions)),
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ];
        let rows = RecordBatch::try_new(self.schema(), columns)?;
        MemTable::try_new(self.schema(), vec![vec![rows]])?.scan(state, projection, filters, limit).await
    }
}
