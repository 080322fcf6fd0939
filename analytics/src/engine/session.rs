//! The session every query starts from: bounded memory, our functions, no tables.

use std::sync::Arc;

use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
        MemorySchemaProvider, SchemaProvider,
    },
    error::Result,
    execution::{
        SessionState, SessionStateBuilder,
        context::SessionContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::SessionConfig,
};

use datafusion::catalog::TableProvider;
use lake::{TableKind, Whose};

use super::{
    Only,
    cited::Pinned,
    functions,
    limits::Limits,
    snapshot::{Snapshot, Tables},
    table_functions, views,
};

/// Where queries find the tables.
pub(crate) const CATALOG: &str = "roadlake";
/// The schema they are in.
pub(crate) const SCHEMA: &str = "lake";

/// A session without tables, within limits.
pub(super) fn base(limits: &Limits) -> Result<SessionState> {
    let spill = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::OsTmpDirectory)
        .with_max_temp_directory_size(limits.spill_bytes_max);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes_max)))
        .with_disk_manager_builder(spill)
        .build_arc()?;
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(limits.parallel_max.max(1));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .build();
    let context = SessionContext::new_with_state(state);
    functions::add(&context);
    Ok(context.state())
}

/// A session over one snapshot; with `whose`, over these vehicles' rows alone.
pub(super) async fn over(
    base: &SessionState,
    tables: &Arc<Tables>,
    snapshot: Snapshot,
    whose: Option<&Whose>,
) -> Result<SessionContext> {
    let schema = Arc::new(MemorySchemaProvider::new());
    let kinds: Vec<TableKind> = snapshot.providers.iter().map(|provider| provider.0).collect();
    for (kind, provider) in snapshot.providers {
        let seen: Arc<dyn TableProvider> = match whose {
            None => provider,
            Some(whose) => Arc::new(Only::of(provider, whose)),
        };
        schema.register_table(kind.name().to_owned(), seen)?;
    }
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(SCHEMA, Arc::clone(&schema) as Arc<dyn SchemaProvider>)?;
    let catalogs = Arc::new(MemoryCatalogProviderList::new());
    catalogs.register_catalog(CATALOG.to_owned(), catalog);
    let state = SessionStateBuilder::new_from_existing(base.clone()).with_catalog_list(catalogs).build();
    let context = SessionContext::new_with_state(state);
    views::add(&context, &schema, &kinds).await?;
    table_functions::add(&context, &schema, (tables, Arc::new(Pinned(snapshot.tables))), whose);
    Ok(context)
}
