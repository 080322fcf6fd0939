//! The signal catalogues of every agent that ever sent, one file each, named by their hash.
//!
//! They are kept for good: a quarantined batch can be decoded later, and an ingest that starts
//! anew need not ask.

use std::{fs, io, path::Path, sync::Arc};

use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path as Key};
use wire::{
    catalog::{self, Catalog},
    ids::CatalogHash,
};

use crate::store::{Lake, Place};

/// Why a catalogue cannot be stored or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} signal catalogue {hash} of the lake")]
pub struct CatalogStoreError {
    act: &'static str,
    hash: CatalogHash,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Lake {
    /// Stores an encoded catalogue under its hash; a second time does nothing.
    pub async fn put_catalog(&self, encoded: &[u8]) -> Result<CatalogHash, CatalogStoreError> {
        let hash = catalog::hash_of(encoded);
        let failed = |source| CatalogStoreError { act: "store", hash, source };
        match self.place() {
            Place::Folder(root) => write_file(root, hash, encoded).map_err(|e| failed(e.into()))?,
            Place::Bucket(store, prefix) => {
                let payload = PutPayload::from(encoded.to_vec());
                match store.put_opts(&key(prefix, hash), payload, PutMode::Create.into()).await {
                    // The same name has the same bytes.
                    Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
                    Err(error) => return Err(failed(error.into())),
                }
            }
        }
        Ok(hash)
    }

    /// The stored catalogue of that hash; `None` when there is none that can be read.
    pub async fn catalog(&self, hash: CatalogHash) -> Result<Option<Catalog>, CatalogStoreError> {
        let failed = |source| CatalogStoreError { act: "read", hash, source };
        let found = match self.place() {
            Place::Folder(root) => read_file(root, hash).map_err(|e| failed(e.into()))?,
            Place::Bucket(store, prefix) => {
                read_key(store, &key(prefix, hash)).await.map_err(|e| failed(e.into()))?
            }
        };
        Ok(found
            .filter(|bytes| catalog::hash_of(bytes) == hash)
            .and_then(|bytes| Catalog::decode(&bytes).ok()))
    }
}

fn file_name(hash: CatalogHash) -> String {
    format!("{hash}.pb")
}

fn key(prefix: &Key, hash: CatalogHash) -> Key {
    prefix.clone().join("catalogs").join(file_name(hash))
}

async fn read_key(store: &Arc<dyn ObjectStore>, key: &Key) -> Result<Option<Vec<u8>>, object_store::Error> {
    match store.get(key).await {
        Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_file(root: &Path, hash: CatalogHash) -> io::Result<Option<Vec<u8>>> {
    match fs::read(root.join("catalogs").join(file_name(hash))) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whole and on the disk, or not there.
fn write_file(root: &Path, hash: CatalogHash, encoded: &[u8]) -> io::Result<()> {
    let folder = root.join("catalogs");
    let path = folder.join(file_name(hash));
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let mut file = fs::File::create(&partial)?;
    io::Write::write_all(&mut file, encoded)?;
    file.sync_all()?;
    fs::rename(&partial, &path)
}
