//! Table functions: one signal's samples, and a table as it was at a version.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    catalog::{MemorySchemaProvider, SchemaProvider, TableFunctionImpl, TableProvider, view::ViewTable},
    common::{ScalarValue, plan_err},
    datasource::provider_as_source,
    error::{DataFusionError, Result},
    logical_expr::{Expr, LogicalPlanBuilder, cast},
    prelude::{SessionContext, col, lit},
};
use lake::{TableKind, Whose};
use wire::readings::COLUMNS;

use super::{Find, Late, Only, snapshot::Tables};

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
        let then = Then { tables: Arc::clone(&self.tables), version: *version };
        let then = Arc::new(Late { kind, schema: kind.schema(), place: Arc::new(then) });
        let Some(whose) = &self.whose else { return Ok(then) };
        Ok(Arc::new(Only { table: then, whose: whose.clone() }))
    }
}

/// Tables at a version.
#[derive(Debug)]
struct Then {
    tables: Arc<Tables>,
    version: i64,
}

#[async_trait::async_trait]
impl Find for Then {
    async fn find(&self, kind: TableKind) -> Result<Arc<dyn TableProvider>> {
        let then = self.tables.pinned(kind, self.version).await;
        Ok(then.map_err(|e| DataFusionError::Execution(e.message))?.into_provider(kind))
    }
}
