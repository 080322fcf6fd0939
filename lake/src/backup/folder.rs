//! Files of a backup's folder: written whole, and on the disk before a manifest names them.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as Key};
use sha2::{Digest, Sha256};

use super::error::{BackupError, failed, store_failed};

/// Ends the name of a file that is not whole yet.
pub(super) const PARTIAL: &str = ".partial";
const READ_BYTES: usize = 1 << 20;

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Copies a file of a store; its bytes and their SHA-256. It is there whole or not at all.
pub(super) async fn copy_in(
    store: &dyn ObjectStore,
    key: &Key,
    to: &Path,
) -> Result<(u64, String), BackupError> {
    let mut partial = to.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = Path::new(&partial);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
    }
    let found = store.get(key).await.map_err(store_failed("copy", key.as_ref()))?;
    let mut bytes = found.into_stream();
    let mut file = File::create(partial).map_err(failed("write", partial))?;
    let (mut digest, mut count) = (Sha256::new(), 0);
    while let Some(chunk) = bytes.try_next().await.map_err(store_failed("copy", key.as_ref()))? {
        digest.update(&chunk);
        count += chunk.len() as u64;
        file.write_all(&chunk).map_err(failed("write", partial))?;
    }
    // A large file takes the disk a while.
    let file = tokio::task::spawn_blocking(move || file.sync_all()).await;
    file.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(failed("sync", partial))?;
    fs::rename(partial, to).map_err(failed("write", to))?;
    Ok((count, hex(&digest.finalize())))
}

/// The bytes of a file and their SHA-256.
pub(super) fn hash_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut digest, mut count, mut chunk) = (Sha256::new(), 0, vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((count, hex(&digest.finalize())));
        }
        digest.update(&chunk[..read]);
        count += read as u64;
    }
}

/// Writes a small file so that it is there whole, on the disk, or not at all.
pub(super) fn synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Copies a file so that it is there whole, on the disk, or not at all.
pub(super) fn copied(from: &Path, to: &Path) -> io::Result<()> {
    let partial = to.with_extension("partial");
    fs::copy(from, &partial)?;
    File::open(&partial)?.sync_all()?;
    fs::rename(&partial, to)?;
    match to.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Has the folders below this one on the disk, itself too; where it is.
pub(super) fn sync_folders(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Removes the files below a folder that are not to stay, by their name from it, and folders that are empty then.
pub(super) fn remove_unless(folder: &Path, stays: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fn within(root: &Path, folder: &Path, stays: &dyn Fn(&str) -> bool) -> io::Result<bool> {
        let mut is_empty = true;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_gone = if path.is_dir() {
                within(root, &path, stays)?
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                let goes = !stays(&name);
                if goes {
                    fs::remove_file(&path)?;
                }
                goes
            };
            is_empty &= is_gone;
        }
        if is_empty && folder != root {
            fs::remove_dir(folder)?;
        }
        Ok(is_empty)
    }
    if folder.is_dir() { within(folder, folder, stays).map(|_| ()) } else { Ok(()) }
}
