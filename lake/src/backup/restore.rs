//! A lake made from a copy, where there was none.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, path::Path as Key};
use sha2::{Digest, Sha256};

use super::{
    BackupError, Backups, CATALOGS, LOGS, Manifest, Part, SHARED,
    error::{failed, store_failed},
    folder,
};
use crate::{
    durable::LOG,
    schema::TableKind,
    store::{Lake, Place},
};

/// Bytes of a part of a file that is sent.
const SENT_BYTES: usize = 8 << 20;
/// Parts on their way at once.
const SENT_MAX: usize = 4;

impl Backups {
    /// Makes the tables of a copy in a lake that has none, and opens each to see that it is there. Logs are
    /// written last: what was cut short is no lake, and is begun anew.
    pub async fn restore(&self, manifest: &Manifest, lake: &Lake) -> Result<(), BackupError> {
        if !lake.tables(TableKind::ALL).await?.is_empty() {
            return Err(BackupError::Occupied { location: lake.location().clone() });
        }
        let (store, shared) = (lake.root_store()?, self.folder.join(SHARED));
        for part in &manifest.catalogs {
            let key = Key::from_iter([CATALOGS, &part.path]);
            send(&shared.join(CATALOGS).join(&part.path), part, store.as_ref(), &key).await?;
        }
        for table in &manifest.tables {
            for part in &table.files {
                let name = format!("{}/{}", table.table, part.path);
                send(&shared.join(&name), part, store.as_ref(), &Key::from(name.as_str())).await?;
            }
        }
        for table in &manifest.tables {
            let from = self.folder.join(&manifest.id).join(LOGS).join(&table.table);
            for part in &table.log {
                let key = Key::from_iter([table.table.as_str(), LOG, &part.path]);
                send(&from.join(&part.path), part, store.as_ref(), &key).await?;
            }
        }
        if let Place::Folder(root) = lake.place() {
            let root = root.clone();
            let done = tokio::task::spawn_blocking(move || sync_all(&root).map_err(|e| (root, e))).await;
            let done = done.unwrap_or_else(|e| Err((self.folder.clone(), io::Error::other(e))));
            done.map_err(|(path, source)| BackupError::File { act: "sync", path, source })?;
        }
        for table in &manifest.tables {
            opens(lake, table).await?;
        }
        Ok(())
    }

    /// Puts one of a copy's other files somewhere, if it is what was copied; it is there whole or not at all.
    pub fn hand_out(&self, manifest: &Manifest, part: &Part, to: &Path) -> Result<(), BackupError> {
        let from = self.folder.join(&manifest.id).join(&part.path);
        let found = folder::hash_of(&from).map_err(failed("read", &from))?;
        if found != (part.bytes, part.sha256.clone()) {
            return Err(BackupError::Damaged { path: from, what: "its bytes differ".to_owned() });
        }
        folder::copied(&from, to).map_err(failed("write", to))
    }
}

/// Whether the table is as it was.
async fn opens(lake: &Lake, copy: &super::TableCopy) -> Result<(), BackupError> {
    let damaged = |what: String| BackupError::Damaged { path: copy.table.clone().into(), what };
    let kind = TableKind::ALL.into_iter().find(|kind| kind.name() == copy.table);
    let kind = kind.ok_or_else(|| damaged("this release has no such table".to_owned()))?;
    let table = lake.open_table(kind).await?;
    let files = table.data_files().map_err(|e| damaged(e.to_string()))?.len();
    if (table.version(), files) != (copy.version, copy.files.len()) {
        return Err(damaged(format!(
            "it opens at version {} with {files} files, not at {} with {}",
            table.version(),
            copy.version,
            copy.files.len()
        )));
    }
    Ok(())
}

/// Writes a file of the backup into a store, if it is what was copied.
async fn send(from: &Path, part: &Part, store: &dyn ObjectStore, key: &Key) -> Result<(), BackupError> {
    let damaged = |what: &str| BackupError::Damaged { path: from.to_owned(), what: what.to_owned() };
    let mut file = File::open(from).map_err(failed("read", from))?;
    let upload = store.put_multipart(key).await.map_err(store_failed("write", key.as_ref()))?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, SENT_BYTES);
    let (mut digest, mut count, mut chunk) = (Sha256::new(), 0, vec![0; SENT_BYTES]);
    loop {
        let read = file.read(&mut chunk).map_err(failed("read", from))?;
        if read == 0 {
            break;
        }
        digest.update(&chunk[..read]);
        count += read as u64;
        upload.wait_for_capacity(SENT_MAX).await.map_err(store_failed("write", key.as_ref()))?;
        upload.write(&chunk[..read]);
    }
    let is_same = (count, folder::hex(&digest.finalize())) == (part.bytes, part.sha256.clone());
    if !is_same {
        // It must not be taken for the file; that it cannot be taken back changes nothing.
        let _ = upload.abort().await;
        return Err(damaged("its bytes differ"));
    }
    upload.finish().await.map_err(store_failed("write", key.as_ref()))?;
    Ok(())
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_all(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}
