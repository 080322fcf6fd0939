//! Tables at one set of versions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::Schema;
use datafusion::{catalog::TableProvider, datasource::empty::EmptyTable, logical_expr::Expr};
use lake::{Lake, LakeTable, ReadError, TableKind};

use super::{
    Only, SqlError, SqlErrorKind, Versions,
    private::{self, PrivateTrips},
};

/// The open tables of a lake, kept at their newest known version.
#[derive(Debug)]
pub(crate) struct Tables {
    lake: Lake,
    open: Mutex<BTreeMap<TableKind, LakeTable>>,
    private: PrivateTrips,
}

/// What a query reads.
pub(crate) struct Snapshot {
    pub(super) providers: Vec<(TableKind, Arc<dyn TableProvider>)>,
    /// The same tables; `None` for one that nobody has written.
    pub(super) tables: Vec<(TableKind, Option<LakeTable>)>,
    pub(crate) versions: Versions,
}

impl Snapshot {
    /// The table of this kind as it is read, where somebody has written it.
    pub(crate) fn table(&self, kind: TableKind) -> Option<LakeTable> {
        self.tables.iter().find(|(of, _)| *of == kind).and_then(|(_, table)| table.clone())
    }

    /// Leaves of each table only the rows of which a condition holds, where one is given.
    pub(crate) fn narrow(&mut self, condition: impl Fn(TableKind, &Schema) -> Option<Expr>) {
        for (kind, provider) in &mut self.providers {
            if let Some(condition) = condition(*kind, provider.schema().as_ref()) {
                *provider = Arc::new(Only::those(Arc::clone(provider), condition));
            }
        }
    }

    /// The table of this kind; an empty one when it is not among them.
    pub(crate) fn into_provider(self, kind: TableKind) -> Arc<dyn TableProvider> {
        let found = self.providers.into_iter().find(|(of, _)| *of == kind);
        found.map_or_else(|| Arc::new(EmptyTable::new(kind.schema())) as Arc<dyn TableProvider>, |(_, p)| p)
    }
}

impl Tables {
    pub(super) fn new(lake: Lake) -> Self {
        Self { lake, open: Mutex::default(), private: PrivateTrips::default() }
    }

    pub(crate) fn lake(&self) -> &Lake {
        &self.lake
    }

    /// A table moved to its newest version; `None` while nobody has written it.
    pub(crate) async fn newest_table(&self, kind: TableKind) -> Result<Option<LakeTable>, SqlError> {
        let held = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        let table = match held {
            Some(mut table) => {
                table.refresh().await.map_err(|e| SqlError::internal(&e))?;
                table
            }
            None if self.lake.has_table(kind).await.map_err(|e| SqlError::internal(&e))? => {
                self.lake.open_table(kind).await.map_err(|e| SqlError::internal(&e))?
            }
            None => return Ok(None),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer = open.get(&kind).is_none_or(|known| known.version() <= table.version());
        if is_newer {
            open.insert(kind, table.clone());
        }
        Ok(Some(table))
    }

    /// Tables at their newest versions; those not written yet are empty.
    pub(crate) async fn newest(&self, kinds: &[TableKind]) -> Result<Snapshot, SqlError> {
        let mut snapshot = Snapshot {
            providers: Vec::with_capacity(kinds.len()),
            tables: Vec::with_capacity(kinds.len()),
            versions: Versions::new(),
        };
        for &kind in kinds {
            let table = self.newest_table(kind).await?;
            let provider = match &table {
                Some(table) => {
                    snapshot.versions.insert(kind.name().to_owned(), table.version());
                    table.provider().await.map_err(|e| SqlError::internal(&e))?
                }
                None => Arc::new(EmptyTable::new(kind.schema())) as Arc<dyn TableProvider>,
            };
            snapshot.providers.push((kind, provider));
            snapshot.tables.push((kind, table));
        }
        Ok(snapshot)
    }

    /// Tables at their newest versions as they are told to people: without the places of private trips.
    pub(crate) async fn told(&self, kinds: &[TableKind]) -> Result<Snapshot, SqlError> {
        self.without_places(self.newest(kinds).await?).await
    }

    /// One table as it was at a version, as it is told to people now.
    pub(super) async fn told_pinned(&self, kind: TableKind, version: i64) -> Result<Snapshot, SqlError> {
        self.without_places(self.pinned(kind, version).await?).await
    }

    async fn without_places(&self, mut snapshot: Snapshot) -> Result<Snapshot, SqlError> {
        if let Some(corrections) = self.newest_table(TableKind::TripCorrections).await? {
            let private = self.private.of(&corrections).await?;
            let told = |(kind, table)| (kind, private::told(kind, table, &private));
            snapshot.providers = snapshot.providers.into_iter().map(told).collect();
        }
        Ok(snapshot)
    }

    /// One table as it was at a version.
    pub(crate) async fn pinned(&self, kind: TableKind, version: i64) -> Result<Snapshot, SqlError> {
        let gone = |e: ReadError| match e {
            ReadError::VersionGone { .. } => SqlError { kind: SqlErrorKind::Invalid, message: e.to_string() },
            e => SqlError::internal(&e),
        };
        let missing = || gone(ReadError::VersionGone { table: kind.name(), version });
        let mut table = self.newest_table(kind).await?.ok_or_else(missing)?;
        if !(0..=table.version()).contains(&version) {
            return Err(missing());
        }
        if table.version() != version {
            table = table.at(version).await.map_err(gone)?;
        }
        let provider = table.provider().await.map_err(gone)?;
        let versions = Versions::from([(kind.name().to_owned(), version)]);
        Ok(Snapshot { providers: vec![(kind, provider)], tables: vec![(kind, Some(table))], versions })
    }
}
