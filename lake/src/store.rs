//! A lake: a folder or a bucket's prefix, with a folder a table.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::{ObjectStore, local::LocalFileSystem, path::Path as Key, prefix::PrefixStore};

use crate::{
    durable::{self, LOG},
    location::{LakeLocation, LakeSettings},
    schema::TableKind,
    table::LakeTable,
};

mod bucket;
mod lock;

pub use lock::{LakeLock, LockError};

/// A place of tables.
#[derive(Debug, Clone)]
pub struct Lake {
    location: LakeLocation,
    place: Place,
}

/// What holds the files.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A folder, by its absolute path.
    Folder(PathBuf),
    /// A bucket, and what the keys begin with.
    Bucket(Arc<dyn ObjectStore>, Key),
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
    #[error("no lake at {location}; `--data` or `--lake` must name a place that roadlake wrote")]
    Missing {
        /// Where it was looked for.
        location: LakeLocation,
    },
    /// The bucket cannot be used.
    #[error("cannot {act} the lake at {location}; check [s3], the bucket and what its key may do")]
    Bucket {
        /// What was tried.
        act: &'static str,
        /// The lake.
        location: LakeLocation,
        /// Why.
        source: Box<object_store::Error>,
    },
    /// The bucket would lose commits.
    #[error(
        "the store of {location} does not honour `If-None-Match: *`: of two writers one would overwrite \
         the other's commit; use a store with conditional puts"
    )]
    Unconditional {
        /// The lake.
        location: LakeLocation,
    },
    /// A table cannot be opened or created.
    #[error("cannot open table {table} of the lake at {location}")]
    Table {
        /// Its name.
        table: &'static str,
        /// The lake.
        location: LakeLocation,
        /// Why.
        source: Box<DeltaTableError>,
    },
}

impl Lake {
    /// Opens a lake for writing: makes its folder when it is not there, and proves that it can be
    /// written to.
    pub async fn create_at(settings: &LakeSettings) -> Result<Self, OpenLakeError> {
        match &settings.location {
            LakeLocation::Folder(path) => Self::create(path),
            LakeLocation::S3 { bucket, prefix } => Self::create_bucket(settings, bucket, prefix).await,
        }
    }

    /// Opens a lake for reading; there must be one.
    pub async fn open_at(settings: &LakeSettings) -> Result<Self, OpenLakeError> {
        match &settings.location {
            LakeLocation::Folder(path) => Self::open(path),
            LakeLocation::S3 { bucket, prefix } => Self::open_bucket(settings, bucket, prefix).await,
        }
    }

    /// [`Lake::create_at`] of a folder.
    pub fn create(root: &Path) -> Result<Self, OpenLakeError> {
        let refused = |source| OpenLakeError::Folder { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(refused)?;
        let root = root.canonicalize().map_err(refused)?;
        let probe = root.join(format!(".write-probe-{}", std::process::id()));
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(refused)?;
        Ok(Self::of_folder(root))
    }

    /// [`Lake::open_at`] of a folder.
    pub fn open(root: &Path) -> Result<Self, OpenLakeError> {
        let missing = || OpenLakeError::Missing { location: LakeLocation::Folder(root.to_owned()) };
        let root = root.canonicalize().map_err(|_| missing())?;
        if TableKind::ALL.into_iter().any(|kind| has_log(&root, kind)) {
            Ok(Self::of_folder(root))
        } else {
            Err(missing())
        }
    }

    fn of_folder(root: PathBuf) -> Self {
        Self { location: LakeLocation::Folder(root.clone()), place: Place::Folder(root) }
    }

    /// Where it is.
    pub fn location(&self) -> &LakeLocation {
        &self.location
    }

    /// Its folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(root) => Some(root),
            Place::Bucket(..) => None,
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Its files, by their names from its root.
    pub(crate) fn root_store(&self) -> Result<Arc<dyn ObjectStore>, OpenLakeError> {
        match &self.place {
            Place::Folder(root) => {
                let store = LocalFileSystem::new_with_prefix(root).map_err(|source| {
                    OpenLakeError::Folder { path: root.clone(), source: io::Error::other(source) }
                })?;
                Ok(Arc::new(store))
            }
            Place::Bucket(store, prefix) => Ok(Arc::new(PrefixStore::new(Arc::clone(store), prefix.clone()))),
        }
    }

    /// Whether the table has been created.
    pub async fn has_table(&self, kind: TableKind) -> Result<bool, OpenLakeError> {
        match &self.place {
            Place::Folder(root) => Ok(has_log(root, kind)),
            Place::Bucket(store, prefix) => self.has_log_in_bucket(store, prefix, kind).await,
        }
    }

    /// Those of these tables that have been created.
    pub async fn tables(
        &self,
        kinds: impl IntoIterator<Item = TableKind>,
    ) -> Result<Vec<TableKind>, OpenLakeError> {
        let mut there = Vec::new();
        for kind in kinds {
            if self.has_table(kind).await? {
                there.push(kind);
            }
        }
        Ok(there)
    }

    /// Opens a table for writing at its newest version, creating it when it is not there. A table
    /// of an earlier release gets the columns that are new since; its rows have null in them.
    pub async fn create_table(&self, kind: TableKind) -> Result<LakeTable, OpenLakeError> {
        let failed = |source| self.table_error(kind, source);
        if let Place::Folder(root) = &self.place
            && has_log(root, kind)
        {
            let log = root.join(kind.name()).join(LOG);
            let mended = tokio::task::spawn_blocking(move || durable::mend(&log)).await;
            let mended = mended.unwrap_or_else(|e| Err(io::Error::other(e)));
            mended.map_err(|source| failed(DeltaTableError::Io { source }))?;
        }
        if !self.has_table(kind).await? {
            if let Place::Folder(root) = &self.place {
                let folder = root.join(kind.name());
                fs::create_dir_all(&folder)
                    .map_err(|source| OpenLakeError::Folder { path: folder, source })?;
            }
            let table = self.handle(kind).map_err(failed)?;
            match LakeTable::create(table, kind).await {
                // Another process may have been faster.
                Ok(()) | Err(DeltaTableError::VersionAlreadyExists(_)) => {}
                // Or an answer was lost, and this is the second try.
                Err(_) if self.has_table(kind).await? => {}
                Err(source) => return Err(failed(source)),
            }
        }
        let mut table = self.open_table(kind).await?;
        table.add_new_columns().await.map_err(failed)?;
        table.sync_log().await.map_err(failed)?;
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
        match &self.place {
            Place::Folder(root) => {
                let url = deltalake::ensure_table_uri(root.join(kind.name()).to_string_lossy())?;
                DeltaTableBuilder::from_url(url)?.build()
            }
            Place::Bucket(store, _) => bucket::handle(&self.location, store, kind),
        }
    }

    fn table_error(&self, kind: TableKind, source: DeltaTableError) -> OpenLakeError {
        OpenLakeError::Table { table: kind.name(), location: self.location.clone(), source: Box::new(source) }
    }
}

/// Whether the table has a log, and not only the folder for it.
fn has_log(root: &Path, kind: TableKind) -> bool {
    let is_of_log = |name: &OsStr| Path::new(name).extension().is_some_and(|e| e == "json" || e == "parquet");
    let Ok(mut log) = fs::read_dir(root.join(kind.name()).join(LOG)) else { return false };
    log.any(|file| file.is_ok_and(|file| is_of_log(&file.file_name())))
}
