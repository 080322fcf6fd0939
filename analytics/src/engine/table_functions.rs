//! Table functions: one signal's samples, and a table as it was at a version.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    catalog::{
        MemorySchemaProvider, SchemaProvider, Session, TableFunctionImpl, TableProvider, view::ViewTable,
    },
    common::{ScalarValue, plan_err},
    datasource::provider_as_source,
    error::{DataFusionError, Result},
    logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, cast},
    physical_plan::ExecutionPlan,
    prelude::{SessionContext, col, lit},
};
use lake::{TableKind, Whose};
use wire::readings::COLUMNS;

use super::{Only, snapshot::Tables};

/// Adds them. `signal` reads the schema's own tables; `lake_at` shows rows of `whose` alone.
pub(crate) fn add(
    context: &SessionContext,
    schema: &Arc<MemorySchemaProvider>,
    tables: &Arc<Tables>,
    whose: Option<&Whose>,
) {
    context.register_udtf("signal", Arc::new(Signal(Arc::clone(schema))));
    context.register_udtf("lake_at", Arc::new(LakeAt { tables: Arc::clone(tables), whose: whose.cloned() }));
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => Some(text),
        _ => None,
    }
}

/// `signal('Vehicle.Body.…')`: vehicle, time and value of one signal in the unit of VSS, wherever it is kept.
#[derive(Debug)]
struct Signal(Arc<MemorySchemaProvider>);

impl TableFunctionImpl for Signal {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let [path] = args else { return plan_err!("signal takes a VSS path: signal('Vehicle.Speed')") };
        let Some(path) = text(path) else {
            return plan_err!("signal takes a VSS path as text, {path} is none");
        };
        let column = COLUMNS.iter().find(|column| column.signal == path);
        let kind = if column.is_some() { TableKind::Readings } else { TableKind::Signals };
        // A memory schema answers at once.
        let samples = futures::executor::block_on(self.0.table(kind.name()))?;
        let Some(samples) = samples else { return plan_err!("there is no table {} here", kind.name()) };
        let (is_of_it, value, text) = match column {
            Some(column) => (
                col(column.name).is_not_null(),
                cast(col(column.name), DataType::Float64) / lit(column.scale),
                cast(lit(ScalarValue::Null), DataType::Utf8),
            ),
            None => (col("signal").eq(lit(path)), col("value"), col("text")),
        };
        let [vehicle_id, ts, date, clock] = ["vehicle_id", "ts", "date", "clock"].map(col);
        let columns = [vehicle_id, ts, date, value.alias("value"), text.alias("text"), clock];
        let plan = LogicalPlanBuilder::scan(kind.name(), provider_as_source(samples), None)?
            .filter(is_of_it)?
            .project(columns)?
            .build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// `lake_at('trips', 12)`: the table as it was at a version.
#[derive(Debug)]
struct LakeAt {
    tables: Arc<Tables>,
    whose: Option<Whose>,
}

impl TableFunctionImpl for LakeAt {
    fn call(&self, args: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let [name, version] = args else {
            return plan_err!("lake_at takes a table and a version: lake_at('trips', 12)");
        };
        let kind = TableKind::ALL.into_iter().find(|kind| text(name) == Some(kind.name()));
        let Some(kind) = kind else {
            return plan_err!("lake_at takes the name of a table as text, {name} is none");
        };
        let Expr::Literal(ScalarValue::Int64(Some(version)), _) = version else {
            return plan_err!("lake_at takes a version as a number, {version} is none");
        };
        let then = Arc::new(TableThen {
            kind,
            version: *version,
            schema: kind.schema(),
            tables: Arc::clone(&self.tables),
        });
        let Some(whose) = &self.whose else { return Ok(then) };
        Ok(Arc::new(Only { table: then, whose: whose.clone() }))
    }
}

/// A table at a version, which is looked for when it is scanned.
#[derive(Debug)]
struct TableThen {
    kind: TableKind,
    version: i64,
    schema: SchemaRef,
    tables: Arc<Tables>,
}

#[async_trait::async_trait]
impl TableProvider for TableThen {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let then = self.tables.pinned(self.kind, self.version).await;
        let then = then.map_err(|e| DataFusionError::Execution(e.message))?.into_provider(self.kind);
        scan_by_name(&self.schema, &then, self.kind, (state, projection, filters, limit)).await
    }
}

/// What a scan is asked for.
type Asked<'a> = (&'a dyn Session, Option<&'a Vec<usize>>, &'a [Expr], Option<usize>);

/// Scans a table for columns of another of its versions: their places may differ.
pub(crate) async fn scan_by_name(
    wanted: &SchemaRef,
    table: &Arc<dyn TableProvider>,
    kind: TableKind,
    (state, projection, filters, limit): Asked<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let there = table.schema();
    let all: Vec<usize> = (0..wanted.fields().len()).collect();
    let places = projection.unwrap_or(&all).iter().map(|&place| {
        let field = wanted.field(place);
        match there.index_of(field.name()) {
            Ok(found) if there.field(found).data_type() == field.data_type() => Ok(found),
            _ => Err(DataFusionError::Execution(format!(
                "{} has no such column {} at the version that is read; name others, or connect again for the newest",
                kind.name(),
                field.name(),
            ))),
        }
    });
    let places = places.collect::<Result<Vec<usize>>>()?;
    table.scan(state, Some(&places), filters, limit).await
}
