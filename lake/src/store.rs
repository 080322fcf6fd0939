//! A lake: a folder (later a bucket) of tables.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use deltalake::{DeltaTable, DeltaTableError};

use crate::{schema::TableKind, table::LakeTable};

/// Whose lock tells writers of batches from who must be alone. The system lets go of it however a
/// process ends.
const LOCK_FILE: &str = ".writers.lock";

/// A lock of a lake, held until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is let go of when it is dropped"]
pub struct LakeLock(#[allow(dead_code, reason = "held for its lock")] fs::File);

/// Why a lake cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock's file.
    #[error("cannot lock {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody must be alone.
    #[error("an admin command works on the lake at {path}; start again when it has ended")]
    Taken {
        /// The lake.
        path: PathBuf,
    },
    /// Somebody writes.
    #[error("an ingest writes to the lake at {path}; stop it first")]
    Writers {
        /// The lake.
        path: PathBuf,
    },
}

/// Where a lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lake {
    root: PathBuf,
}

/// Why a lake or one of its tables cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLakeError {
    /// The folder cannot be made or written.
    #[error("cannot write to lake folder {path}; give one this user may write to")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no lake.
    #[error("no lake at {path}; `--data` must name a folder that roadlake wrote")]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// A table cannot be opened or created.
    #[error("cannot open table {table} of the lake at {path}")]
    Table {
        /// Its name.
        table: &'static str,
        /// The lake.
        path: PathBuf,
        /// Why.
        source: Box<DeltaTableError>,
    },
}

impl Lake {
    /// Opens the lake in a folder for writing; makes the folder, and proves that it can be
    /// written to.
    pub fn create(root: &Path) -> Result<Self, OpenLakeError> {
        let refused = |source| OpenLakeError::Folder { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(refused)?;
        let root = root.canonicalize().map_err(refused)?;
        let probe = root.join(format!(".write-probe-{}", std::process::id()));
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(refused)?;
        Ok(Self { root })
    }

    /// Opens the lake in a folder for reading; there must be one.
    pub fn open(root: &Path) -> Result<Self, OpenLakeError> {
        let missing = || OpenLakeError::Missing { path: root.to_owned() };
        let lake = Self { root: root.canonicalize().map_err(|_| missing())? };
        if TableKind::ALL.iter().any(|&kind| lake.has_table(kind)) { Ok(lake) } else { Err(missing()) }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Says that this process writes batches into the lake, until the lock is dropped or the
    /// process ends. Many may at once; who has [`Lake::lock_alone`] keeps them out.
    pub fn lock_as_writer(&self) -> Result<LakeLock, LockError> {
        self.lock(fs::File::try_lock_shared, || LockError::Taken { path: self.root.clone() })
    }

    /// Keeps writers of batches out until the lock is dropped; refused while there is one.
    pub fn lock_alone(&self) -> Result<LakeLock, LockError> {
        self.lock(fs::File::try_lock, || LockError::Writers { path: self.root.clone() })
    }

    fn lock(
        &self,
        take: fn(&fs::File) -> Result<(), fs::TryLockError>,
        held: impl Fn() -> LockError,
    ) -> Result<LakeLock, LockError> {
        let path = self.root.join(LOCK_FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let file =
            fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match take(&file) {
            Ok(()) => Ok(LakeLock(file)),
            Err(fs::TryLockError::WouldBlock) => Err(held()),
            Err(fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether the table has been created.
    pub fn has_table(&self, kind: TableKind) -> bool {
        self.root.join(kind.name()).join("_delta_log").is_dir()
    }

    /// Opens a table for writing at its newest version, creating it when it is not there. A table
    /// of an earlier release gets the columns that are new since; its rows have null in them.
    pub async fn create_table(&self, kind: TableKind) -> Result<LakeTable, OpenLakeError> {
        let failed = |source| self.table_error(kind, source);
        if !self.has_table(kind) {
            let folder = self.root.join(kind.name());
            fs::create_dir_all(&folder).map_err(|source| OpenLakeError::Folder { path: folder, source })?;
            let table = self.handle(kind).map_err(failed)?;
            match LakeTable::create(table, kind).await {
                // Another process may have been faster.
                Ok(()) | Err(DeltaTableError::VersionAlreadyExists(_)) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        let mut table = self.open_table(kind).await?;
        table.add_new_columns().await.map_err(failed)?;
        Ok(table)
    }

    /// Opens a table at its newest version; it must be there.
    pub async fn open_table(&self, kind: TableKind) -> Result<LakeTable, OpenLakeError> {
        let failed = |source| self.table_error(kind, source);
        let mut table = self.handle(kind).map_err(failed)?;
        table.load().await.map_err(failed)?;
        Ok(LakeTable::new(table, kind))
    }

    fn handle(&self, kind: TableKind) -> Result<DeltaTable, DeltaTableError> {
        let folder = self.root.join(kind.name());
        let url = deltalake::ensure_table_uri(folder.to_string_lossy())?;
        deltalake::DeltaTableBuilder::from_url(url)?.build()
    }

    fn table_error(&self, kind: TableKind, source: DeltaTableError) -> OpenLakeError {
        OpenLakeError::Table { table: kind.name(), path: self.root.clone(), source: Box::new(source) }
    }
}
