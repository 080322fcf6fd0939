//! Copies of a lake as it was at one moment, in a folder of their own, and a lake made from one.
//!
//! A *backup* is a folder. `files/` has what never changes once it is written (data files, which have names
//! of their own for ever, and signal catalogues), shared by every copy in it; each copy has a folder by its time with
//! a manifest, the end of each table's log, and whatever else belongs to it (the api's database). So a
//! second copy costs what is new since the first, and any copy is whole by itself once others are dropped.
//!
//! The moment: tables are frozen, the later in the way of the data first (`FREEZING`), at versions read one after
//! another. A version frozen later is of a later moment, so what is copied is a state that a crash of
//! all processes could have left, which every one of them goes on from: a follower's cursor is never ahead of what it follows.
//! Copying reads files that are never changed, beside writers and maintenance; it takes longer than a vacuum's
//! retention only where that is set to less than a copy takes, and then says so.

mod error;
mod folder;
mod manifest;
mod restore;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, path::Path as Key};
use serde::{Deserialize, Serialize};
use wire::time::Timestamp;

use crate::{durable::LOG, schema::TableKind, store::Lake, table::LakeTable};
use error::{failed, store_failed};
use folder::{copy_in, hash_of, synced};

pub use error::BackupError;
pub use manifest::{Manifest, Part, TableCopy};

/// The way this release writes backups.
const FORMAT: u32 = 1;
/// Says that a folder is of backups.
const MARK: &str = "roadlake-backup.json";
/// Keeps two from writing at once.
const LOCK: &str = ".lock";
/// What all copies share.
const SHARED: &str = "files";
/// What a copy has of tables' logs.
const LOGS: &str = "log";
const MANIFEST: &str = "manifest.json";
/// Where the lake has its signal catalogues.
const CATALOGS: &str = "catalogs";
/// Files read at once.
const PARALLEL: usize = 4;

/// Tables in the order they are frozen: against the order of their commits (`analytics::follow`,
/// `ingest::commit`), so that none is ahead of what it is made from.
const FREEZING: [TableKind; 9] = [
    TableKind::Trips,
    TableKind::DrivingEvents,
    TableKind::Stops,
    TableKind::TripCorrections,
    TableKind::Signals,
    TableKind::Readings,
    TableKind::Diagnostics,
    TableKind::Quarantine,
    TableKind::Gaps,
];

/// What a copy cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Shared files that were copied.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Shared files that were there from before.
    pub files_kept: u64,
}

/// A folder of backups.
#[derive(Debug)]
pub struct Backups {
    folder: PathBuf,
}

/// A copy that is being made; nothing of it counts before [`Making::finish`].
#[derive(Debug)]
pub struct Making<'a> {
    backups: &'a Backups,
    id: String,
    made_at: Timestamp,
    known: HashMap<String, Part>,
    _lock: File,
}

impl Backups {
    /// Opens a folder of backups; an empty or missing folder becomes one.
    pub fn create(folder: &Path) -> Result<Self, BackupError> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let is_empty = fs::read_dir(folder).map_err(failed("read", folder))?.next().is_none();
        let backups = Self { folder: folder.to_owned() };
        if is_empty {
            let mark = folder.join(MARK);
            synced(&mark, format!("{{\"format\": {FORMAT}}}\n").as_bytes())
                .map_err(failed("write", &mark))?;
        }
        backups.checked()
    }

    /// Opens a folder of backups that is there.
    pub fn open(folder: &Path) -> Result<Self, BackupError> {
        Self { folder: folder.to_owned() }.checked()
    }

    fn checked(self) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Mark {
            format: u32,
        }
        let not_ours = || BackupError::NotOfBackups { path: self.folder.clone() };
        let mark = fs::read(self.folder.join(MARK)).map_err(|_| not_ours())?;
        let mark: Mark = serde_json::from_slice(&mark).map_err(|_| not_ours())?;
        if mark.format > FORMAT {
            return Err(BackupError::Newer { path: self.folder, found: mark.format });
        }
        Ok(self)
    }

    /// The copies there are, oldest first.
    pub fn list(&self) -> Result<Vec<Manifest>, BackupError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let path = entry.map_err(failed("read", &self.folder))?.path().join(MANIFEST);
            match fs::read(&path) {
                Ok(bytes) => {
                    let manifest: Manifest = serde_json::from_slice(&bytes)
                        .map_err(|e| BackupError::Damaged { path: path.clone(), what: e.to_string() })?;
                    if manifest.format > FORMAT {
                        return Err(BackupError::Newer { path, found: manifest.format });
                    }
                    found.push(manifest);
                }
                // A file, the shared ones, or a copy that was not finished.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(e) => return Err(failed("read", &path)(e)),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// One of them by its name; the newest without.
    pub fn find(&self, id: Option<&str>) -> Result<Manifest, BackupError> {
        let missing =
            || BackupError::Missing { path: self.folder.clone(), id: id.unwrap_or("at all").to_owned() };
        let mut all = self.list()?;
        match id {
            None => all.pop().ok_or_else(missing),
            Some(id) => all.into_iter().find(|manifest| manifest.id == id).ok_or_else(missing),
        }
    }

    /// Begins a copy. What an earlier one left that was not finished is cleared away.
    pub fn begin(&self, now: Timestamp) -> Result<Making<'_>, BackupError> {
        let lock = self.lock()?;
        self.clear_unfinished()?;
        let known =
            self.list()?.iter().flat_map(Manifest::shared).map(|(path, part)| (path, part.clone())).collect();
        let id = now.to_string().replace(':', "-");
        let making = Making { backups: self, id, made_at: now, known, _lock: lock };
        let folder = making.folder();
        fs::create_dir(&folder).map_err(failed("make", &folder))?;
        Ok(making)
    }

    fn lock(&self) -> Result<File, BackupError> {
        let path = self.folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(fs::TryLockError::WouldBlock) => Err(BackupError::Busy { path: self.folder.clone() }),
            Err(fs::TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
        }
    }

    /// Keeps the newest copies and drops the others, with the files that none of those kept needs; how many
    /// copies were dropped.
    pub fn keep(&self, count: usize) -> Result<usize, BackupError> {
        let _lock = self.lock()?;
        let mut kept = self.list()?;
        let dropped: Vec<Manifest> = kept.drain(..kept.len().saturating_sub(count.max(1))).collect();
        for manifest in &dropped {
            // First the manifest, so that no copy is ever there with a part missing.
            let folder = self.folder.join(&manifest.id);
            let path = folder.join(MANIFEST);
            fs::remove_file(&path).map_err(failed("delete", &path))?;
            fs::remove_dir_all(&folder).map_err(failed("delete", &folder))?;
        }
        if !dropped.is_empty() {
            let needed: std::collections::HashSet<String> =
                kept.iter().flat_map(Manifest::shared).map(|(path, _)| path).collect();
            let shared = self.folder.join(SHARED);
            folder::remove_unless(&shared, &|path| needed.contains(path))
                .map_err(failed("clear", &shared))?;
        }
        Ok(dropped.len())
    }

    fn clear_unfinished(&self) -> Result<(), BackupError> {
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let entry = entry.map_err(failed("read", &self.folder))?;
            let path = entry.path();
            if entry.file_name() != SHARED && path.is_dir() && !path.join(MANIFEST).exists() {
                fs::remove_dir_all(&path).map_err(failed("delete", &path))?;
            }
        }
        let shared = self.folder.join(SHARED);
        folder::remove_unless(&shared, &|path| !path.ends_with(folder::PARTIAL))
            .map_err(failed("clear", &shared))
    }

    /// Reads every file of a copy again; what is not as it was written. Of those that copies share, damaged ones are
    /// set aside: the next copy has them again, if the lake still does, and with it this one.
    pub fn verify(&self, manifest: &Manifest) -> Result<Vec<BackupError>, BackupError> {
        let _lock = self.lock()?;
        let shared = manifest.shared().map(|(path, part)| (self.folder.join(SHARED).join(path), part, true));
        let own = manifest.own().map(|(path, part)| (self.folder.join(&manifest.id).join(path), part, false));
        let mut damaged = Vec::new();
        for (path, part, is_shared) in shared.chain(own) {
            match hash_of(&path) {
                Ok(found) if found == (part.bytes, part.sha256.clone()) => {}
                Ok((bytes, _)) => {
                    let what = if bytes == part.bytes {
                        "its bytes differ".to_owned()
                    } else {
                        format!("it has {bytes} bytes, not {}", part.bytes)
                    };
                    if is_shared {
                        let mut aside = path.as_os_str().to_owned();
                        aside.push(".damaged");
                        fs::rename(&path, &aside).map_err(failed("set aside", &path))?;
                    }
                    damaged.push(BackupError::Damaged { path, what });
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    damaged.push(BackupError::Damaged { path, what: "it is not there".to_owned() });
                }
                Err(e) => return Err(failed("read", &path)(e)),
            }
        }
        Ok(damaged)
    }
}

impl Making<'_> {
    /// Its folder; what belongs to the copy beside the lake is put there before [`Making::finish`].
    pub fn folder(&self) -> PathBuf {
        self.backups.folder.join(&self.id)
    }

    /// Copies the lake and ends the copy. `others` are files of the folder; they must be of an earlier moment
    /// than the lake, since they follow it.
    pub async fn finish(
        self,
        lake: &Lake,
        others: &[&str],
        release: &str,
    ) -> Result<(Manifest, Copied), BackupError> {
        let mut frozen = Vec::new();
        for kind in lake.tables(FREEZING).await? {
            frozen.push(lake.open_table(kind).await?);
        }
        let mut copied = Copied::default();
        let mut tables = Vec::with_capacity(frozen.len());
        for table in &frozen {
            tables.push(self.table(table, &mut copied).await?);
        }
        // Every catalogue that a row of those tables needs was stored before the row.
        let catalogs = self.catalogs(lake, &mut copied).await?;
        let mut parts = Vec::with_capacity(others.len());
        for name in others {
            let path = self.folder().join(name);
            let (bytes, sha256) = hash_of(&path).map_err(failed("read", &path))?;
            parts.push(Part { path: (*name).to_owned(), bytes, sha256 });
        }
        let manifest = Manifest {
            format: FORMAT,
            id: self.id.clone(),
            made_at: self.made_at.to_string(),
            release: release.to_owned(),
            lake: lake.location().to_string(),
            others: parts,
            tables,
            catalogs,
        };
        let path = self.folder().join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| BackupError::Damaged { path: path.clone(), what: e.to_string() })?;
        folder::sync_folders(&self.backups.folder.join(SHARED)).map_err(failed("sync", &path))?;
        folder::sync_folders(&self.folder()).map_err(failed("sync", &path))?;
        synced(&path, &text).map_err(failed("write", &path))?;
        Ok((manifest, copied))
    }

    async fn table(&self, table: &LakeTable, copied: &mut Copied) -> Result<TableCopy, BackupError> {
        let name = table.kind().name();
        let broken = |source| BackupError::Table { act: "read", table: name, source };
        let store = table.table.object_store();
        let data = table.data_files().map_err(|e| broken(e.into()))?;
        let rows = data.iter().map(|file| file.rows).sum();
        let wanted = data.into_iter().map(|file| (file.add.path, file.bytes));
        let mut files = futures::stream::iter(wanted)
            .map(|(path, bytes)| self.shared(store.clone(), name, path, bytes))
            .buffer_unordered(PARALLEL);
        let mut parts = Vec::new();
        while let Some((part, is_new)) = files.try_next().await? {
            count(copied, &part, is_new);
            parts.push(part);
        }
        drop(files);
        parts.sort_by(|a, b| a.path.cmp(&b.path));
        let log = self.log(table, store.as_ref()).await?;
        Ok(TableCopy { table: name.to_owned(), version: table.version(), rows, log, files: parts })
    }

    /// A shared file: copied, or known from before.
    async fn shared(
        &self,
        store: impl ObjectStore,
        table: &str,
        path: String,
        bytes: u64,
    ) -> Result<(Part, bool), BackupError> {
        let key = Key::from_url_path(&path).map_err(|e| store_failed("name", &path)(e.into()))?;
        let name = format!("{table}/{key}");
        let to = self.backups.folder.join(SHARED).join(&name);
        if let Some(part) = self.known.get(&name)
            && part.bytes == bytes
            && fs::metadata(&to).is_ok_and(|there| there.len() == bytes)
        {
            return Ok((part.clone(), false));
        }
        let (bytes, sha256) = copy_in(&store, &key, &to).await?;
        // Of the same name for ever, and so of the same bytes.
        if let Some(part) = self.known.get(&name)
            && part.sha256 != sha256
        {
            let what = "an earlier copy had other bytes of it: the lake's file has changed since".to_owned();
            return Err(BackupError::Damaged { path: name.into(), what });
        }
        Ok((Part { path: key.to_string(), bytes, sha256 }, true))
    }

    /// The log's newest checkpoint and what came after it, up to the frozen version.
    async fn log(&self, table: &LakeTable, store: &dyn ObjectStore) -> Result<Vec<Part>, BackupError> {
        let name = table.kind().name();
        let broken = |source| BackupError::Table { act: "read the log of", table: name, source };
        let checkpoint = table.newest_checkpoint().await.map_err(|e| broken(e.into()))?;
        let first = checkpoint.as_ref().map_or(0, |(version, _)| version + 1);
        let mut keys = checkpoint.map(|(_, paths)| paths).unwrap_or_default();
        keys.extend(
            (first..=table.version()).map(|version| Key::from_iter([LOG, &format!("{version:020}.json")])),
        );
        let mut parts = Vec::with_capacity(keys.len());
        for key in keys {
            let path = key.filename().unwrap_or_default().to_owned();
            let to = self.folder().join(LOGS).join(name).join(&path);
            let (bytes, sha256) = copy_in(store, &key, &to).await?;
            parts.push(Part { path, bytes, sha256 });
        }
        Ok(parts)
    }

    async fn catalogs(&self, lake: &Lake, copied: &mut Copied) -> Result<Vec<Part>, BackupError> {
        let store = lake.root_store()?;
        let folder = Key::from(CATALOGS);
        let listed: Vec<_> =
            store.list(Some(&folder)).try_collect().await.map_err(store_failed("list", CATALOGS))?;
        let mut parts = Vec::new();
        for file in listed {
            let Some(name) = file.location.filename().filter(|name| name.ends_with(".pb")) else { continue };
            let known = format!("{CATALOGS}/{name}");
            let to = self.backups.folder.join(SHARED).join(&known);
            let (part, is_new) = match self.known.get(&known) {
                Some(part) if to.exists() => (part.clone(), false),
                _ => {
                    let (bytes, sha256) = copy_in(&store, &file.location, &to).await?;
                    (Part { path: name.to_owned(), bytes, sha256 }, true)
                }
            };
            count(copied, &part, is_new);
            parts.push(part);
        }
        parts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(parts)
    }
}

fn count(copied: &mut Copied, part: &Part, is_new: bool) {
    if is_new {
        copied.files_copied += 1;
        copied.bytes_copied += part.bytes;
    } else {
        copied.files_kept += 1;
    }
}
