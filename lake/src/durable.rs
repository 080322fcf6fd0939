//! What of a table in a folder is on the disk for sure, and what a power cut has left of the rest.
//!
//! Rows are acknowledged once they are committed, so the commit has to outlive a power cut of this machine: its
//! files, its log entry and every entry before it, other writers' too, because a table whose log has a hole
//! cannot be read. Files are synced before the log names them, and the log before a commit is said to be done.
//! What is torn after a cut can only be newer than that, and a writer that opens the table sets it aside.
//! A bucket's store answers for itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io,
    path::Path,
};

use deltalake::{DeltaTable, DeltaTableError};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::{
    claim::{CheckpointPart, checkpoint_of},
    table::LakeTable,
};

pub(crate) const LOG: &str = "_delta_log";
/// What says which checkpoint is the newest.
const HINT: &str = "_last_checkpoint";
/// Ends the names of what was set aside, which no reader takes for a part of the log.
const TORN: &str = "torn";

impl LakeTable {
    /// Has the log up to the loaded version on the disk.
    pub(crate) async fn sync_log(&mut self) -> Result<(), DeltaTableError> {
        let loaded = self.version();
        if loaded <= self.synced_version {
            return Ok(());
        }
        let after = self.synced_version;
        in_folder(&self.table, move |root| {
            let log = root.join(LOG);
            // What is older than a checkpoint was on the disk before it was written.
            let first = if after < 0 { hinted(&log).unwrap_or(0).min(loaded) } else { after + 1 };
            for version in first..=loaded {
                for name in [format!("{version:020}.json"), format!("{version:020}.checkpoint.parquet")] {
                    sync_if_there(&log.join(name))?;
                }
            }
            sync_if_there(&log.join(HINT))?;
            for folder in [Some(log.as_path()), Some(root), root.parent()].into_iter().flatten() {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        })
        .await?;
        self.synced_version = loaded;
        Ok(())
    }

    /// Has these files of the table, named from its folder, on the disk.
    pub(crate) async fn sync_files(&self, paths: Vec<String>) -> Result<(), DeltaTableError> {
        in_folder(&self.table, move |root| {
            let mut folders = BTreeSet::from([root.to_owned()]);
            for path in paths {
                let path = root.join(path);
                File::open(&path)?.sync_all()?;
                folders.extend(path.parent().map(Path::to_owned));
            }
            folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())
        })
        .await
    }
}

/// Does blocking work on the table's folder, where it has one.
async fn in_folder(
    table: &DeltaTable,
    work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
) -> Result<(), DeltaTableError> {
    let Ok(root) = table.table_url().to_file_path() else { return Ok(()) };
    let done = tokio::task::spawn_blocking(move || work(&root)).await;
    done.map_err(|e| DeltaTableError::Generic(e.to_string()))?
        .map_err(|source| DeltaTableError::Io { source })
}

fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn hinted(log: &Path) -> Option<i64> {
    let hint = fs::read(log.join(HINT)).ok()?;
    serde_json::from_slice::<serde_json::Value>(&hint).ok()?.get("version")?.as_i64()
}

/// Sets aside what a power cut has torn at the end of a log: entries, checkpoints and the hint. Writers put them in
/// place whole, so nothing that one writes at the same time is taken for torn.
pub(crate) fn mend(log: &Path) -> io::Result<()> {
    let (mut entries, mut checkpoints, mut in_parts) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    for file in fs::read_dir(log)? {
        let name = file?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(version) = name.strip_suffix(".json").filter(|stem| stem.len() == 20) {
            entries.extend(version.parse::<u64>());
        }
        match checkpoint_of(name) {
            Some((version, CheckpointPart::Whole)) => drop(checkpoints.insert(version, name.to_owned())),
            // None of ours, and left alone.
            Some((version, CheckpointPart::OneOf(_))) => drop(in_parts.insert(version)),
            None => {}
        }
    }
    for version in entries.into_iter().rev() {
        let path = log.join(format!("{version:020}.json"));
        if is_whole_entry(&fs::read(&path)?) {
            break;
        }
        set_aside(&path)?;
    }
    for name in checkpoints.values().rev() {
        let path = log.join(name);
        if is_whole_parquet(&path) {
            break;
        }
        set_aside(&path)?;
    }
    let hint = log.join(HINT);
    if hint.is_file() {
        let is_there = |version: i64| {
            in_parts.contains(&version)
                || checkpoints.get(&version).is_some_and(|name| log.join(name).is_file())
        };
        if !hinted(log).is_some_and(is_there) {
            set_aside(&hint)?;
        }
    }
    Ok(())
}

/// Whether every line is an action. A line cut in its middle is no JSON, and what was never written is
/// nothing, or zeros.
fn is_whole_entry(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()).peekable();
    lines.peek().is_some() && lines.all(|line| serde_json::from_slice::<serde_json::Map<_, _>>(line).is_ok())
}

/// Whether all of its pages can be read.
fn is_whole_parquet(path: &Path) -> bool {
    let Ok(reader) = File::open(path).map_err(Into::into).and_then(SerializedFileReader::new) else {
        return false;
    };
    let is_whole_column = |group: usize, column: usize| {
        let pages = reader.get_row_group(group).and_then(|group| group.get_column_page_reader(column));
        pages.is_ok_and(|mut pages| pages.all(|page| page.is_ok()))
    };
    let columns = reader.metadata().file_metadata().schema_descr().num_columns();
    (0..reader.num_row_groups()).all(|group| (0..columns).all(|column| is_whole_column(group, column)))
}

fn set_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension(match path.extension().and_then(OsStr::to_str) {
        Some(extension) => format!("{extension}.{TORN}"),
        None => TORN.to_owned(),
    });
    tracing::warn!(path = %path.display(), "torn by a power cut, set aside: nothing acknowledged was in it");
    match fs::rename(path, aside) {
        // Another writer was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
