//! What a connection sees of the lake: tables that are looked up when a statement runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
        MemorySchemaProvider, SchemaProvider, TableProvider,
    },
    error::{DataFusionError, Result},
    execution::SessionStateBuilder,
    prelude::SessionContext,
};
use datafusion_postgres::datafusion_pg_catalog::{
    pg_catalog::context::EmptyContextProvider, setup_pg_catalog,
};
use lake::{LakeTable, TableKind, Whose};

use super::settings::current_setting;
use crate::{
    Analytics,
    engine::{CATALOG, Find, Late, Only, Versioned, add_table_functions, add_views},
};

/// The schema that Postgres' tools look in.
const SCHEMA: &str = "public";

/// The tables as a statement sees them: each is looked up once.
#[derive(Debug)]
pub(super) struct StatementTables {
    analytics: Analytics,
    found: Mutex<BTreeMap<TableKind, Found>>,
}

/// A table at the version that is read, and that version.
type Found = (Arc<dyn TableProvider>, Option<LakeTable>);

impl StatementTables {
    pub(super) fn new(analytics: Analytics) -> Self {
        Self { analytics, found: Mutex::default() }
    }

    /// A statement begins: it sees the newest.
    pub(super) fn begin(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl StatementTables {
    async fn look_up(&self, kind: TableKind) -> Result<Found> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let snapshot = self.analytics.shared.tables.told(&[kind]).await;
        let snapshot = snapshot.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let table = snapshot.table(kind);
        let newest = (snapshot.into_provider(kind), table);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(found.entry(kind).or_insert(newest).clone())
    }
}

#[async_trait::async_trait]
impl Find for StatementTables {
    async fn find(&self, kind: TableKind) -> Result<Arc<dyn TableProvider>> {
        Ok(self.look_up(kind).await?.0)
    }
}

#[async_trait::async_trait]
impl Versioned for StatementTables {
    async fn tables(&self) -> Result<Vec<(TableKind, Option<LakeTable>)>> {
        let mut tables = Vec::with_capacity(TableKind::ALL.len());
        for kind in TableKind::ALL {
            tables.push((kind, self.look_up(kind).await?.1));
        }
        Ok(tables)
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
        let table = Arc::new(Late {
            kind,
            schema: tables.find(kind).await?.schema(),
            place: Arc::clone(tables) as Arc<dyn Find>,
        });
        let seen: Arc<dyn TableProvider> = match whose {
            None => table,
            Some(whose) => Arc::new(Only::of(table, whose)),
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
    let read = Arc::clone(tables) as Arc<dyn Versioned>;
    add_table_functions(&context, &schema, (&analytics.shared.tables, read), whose);
    context.register_udf(current_setting());
    setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|e| *e)?;
    Ok(context)
}
