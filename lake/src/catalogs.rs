//! The signal catalogues of every agent that ever sent, one file each, named by their hash.
//!
//! They are kept for good: a quarantined batch can be decoded later, and an ingest that starts
//! anew need not ask.

use std::{fs, io, path::PathBuf};

use wire::{
    catalog::{self, Catalog},
    ids::CatalogHash,
};

use crate::store::Lake;

/// Why a catalogue cannot be stored or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} signal catalogue {path}")]
pub struct CatalogStoreError {
    act: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Lake {
    /// Stores an encoded catalogue under its hash; a second time does nothing.
    pub fn put_catalog(&self, encoded: &[u8]) -> Result<CatalogHash, CatalogStoreError> {
        let hash = catalog::hash_of(encoded);
        let path = self.catalog_path(hash);
        let failed = |source| CatalogStoreError { act: "store", path: path.clone(), source };
        if path.exists() {
            return Ok(hash);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        let mut file = fs::File::create(&partial).map_err(failed)?;
        io::Write::write_all(&mut file, encoded).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&partial, &path).map_err(failed)?;
        Ok(hash)
    }

    /// The stored catalogue of that hash; `None` when there is none that can be read.
    pub fn catalog(&self, hash: CatalogHash) -> Result<Option<Catalog>, CatalogStoreError> {
        let path = self.catalog_path(hash);
        match fs::read(&path) {
            Ok(bytes) if catalog::hash_of(&bytes) == hash => Ok(Catalog::decode(&bytes).ok()),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CatalogStoreError { act: "read", path, source }),
        }
    }

    fn catalog_path(&self, hash: CatalogHash) -> PathBuf {
        self.root().join("catalogs").join(format!("{hash}.pb"))
    }
}
