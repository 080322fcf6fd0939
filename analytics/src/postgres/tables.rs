//! What a connection sees of the lake: tables that are looked up when a statement runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
        MemorySchemaProvider, SchemaProvider, Session, TableProvider,
    },
    error::{DataFusionError, Result},
    execution::SessionStateBuilder,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
    prelude::SessionContext,
};
use datafusion_postgres::datafusion_pg_catalog::{
    pg_catalog::context::EmptyContextProvider, setup_pg_catalog,
};
use lake::{TableKind, Whose};

use super::settings::current_setting;
use crate::{
    Analytics,
    engine::{CATALOG, Only, add_table_functions, add_views, scan_by_name},
};

/// The schema that Postgres' tools look in.
const SCHEMA: &str = "public";

/// The tables as a statement sees them: each is looked up once.
#[derive(Debug)]
pub(super) struct StatementTables {
    analytics: Analytics,
    found: Mutex<BTreeMap<TableKind, Arc<dyn TableProvider>>>,
}

impl StatementTables {
    pub(super) fn new(analytics: Analytics) -> Self {
        Self { analytics, found: Mutex::default() }
    }

    /// A statement begins: it sees the newest.
    pub(super) fn begin(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn find(&self, kind: TableKind) -> Result<Arc<dyn TableProvider>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let snapshot = self.analytics.shared.tables.newest(&[kind]).await;
        let snapshot = snapshot.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let newest = snapshot.into_provider(kind);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(found.entry(kind).or_insert(newest)))
    }
}

/// A table by its name: its rows are looked up when it is scanned.
#[derive(Debug)]
struct LakeTable {
    kind: TableKind,
    schema: SchemaRef,
    tables: Arc<StatementTables>,
}

#[async_trait::async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The table of then may prune by them; they are applied above in any case.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let newest = self.tables.find(self.kind).await?;
        scan_by_name(&self.schema, &newest, self.kind, (state, projection, filters, limit)).await
    }
}

/// A session over the newest tables; with `whose`, over these vehicles' rows alone.
pub(super) async fn session(
    analytics: &Analytics,
    tables: &Arc<StatementTables>,
    whose: Option<&Whose>,
) -> Result<SessionContext> {
    let schema = Arc::new(MemorySchemaProvider::new());
    for kind in TableKind::ALL {
        let table = Arc::new(LakeTable {
            kind,
            schema: tables.find(kind).await?.schema(),
            tables: Arc::clone(tables),
        });
        let seen: Arc<dyn TableProvider> = match whose {
            None => table,
            Some(whose) => Arc::new(Only { table, whose: whose.clone() }),
        };
        schema.register_table(kind.name().to_owned(), seen)?;
    }
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(SCHEMA, Arc::clone(&schema) as Arc<dyn SchemaProvider>)?;
    let catalogs = Arc::new(MemoryCatalogProviderList::new());
    catalogs.register_catalog(CATALOG.to_owned(), catalog);
    let base = &analytics.shared.base;
    let state = SessionStateBuilder::new_from_existing(base.clone())
        .with_config(base.config().clone().with_default_catalog_and_schema(CATALOG, SCHEMA))
        .with_catalog_list(catalogs)
        .build();
    let context = SessionContext::new_with_state(state);
    add_views(&context, &schema, &TableKind::ALL).await?;
    add_table_functions(&context, &schema, &analytics.shared.tables, whose);
    context.register_udf(current_setting());
    setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|e| *e)?;
    Ok(context)
}
