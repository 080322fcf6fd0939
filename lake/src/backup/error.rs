//! Why a backup cannot be made, read or restored.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::FORMAT;
use crate::{location::LakeLocation, store::OpenLakeError};

/// Why a backup cannot be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of the backup, or of what is restored.
    #[error("cannot {act} {path}")]
    File {
        /// What was tried.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is none of ours.
    #[error(
        "{path} is no folder of backups; name one that `roadlake admin backup make` made, or an empty one to begin"
    )]
    NotOfBackups {
        /// The folder.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error(
        "{path} was written by a later release (format {found}, this one knows {FORMAT}); use that release"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Another process writes a copy there.
    #[error("another backup is being made in {path}; wait for its end")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// There is no copy of that name.
    #[error("there is no backup {id} in {path}; `roadlake admin backup list` names those there are")]
    Missing {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        id: String,
    },
    /// What was kept is not what was written.
    #[error("{path} is not what the backup's manifest says ({what})")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file was deleted before it was copied.
    #[error(
        "{path} was deleted while it was to be copied: retired files are kept for less time than a backup takes; \
         raise maintenance.retention and make it again"
    )]
    Vanished {
        /// The file.
        path: String,
    },
    /// There is a lake where one is to be made.
    #[error("there are tables at {location}; name a new place for what is restored")]
    Occupied {
        /// Where.
        location: LakeLocation,
    },
    /// The lake cannot be opened.
    #[error(transparent)]
    Lake(#[from] OpenLakeError),
    /// A table cannot be read or written.
    #[error("cannot {act} table {table}")]
    Table {
        /// What was tried.
        act: &'static str,
        /// Which.
        table: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The lake's store.
    #[error("cannot {act} {path} of the lake")]
    Store {
        /// What was tried.
        act: &'static str,
        /// Which file.
        path: String,
        /// Why.
        source: Box<object_store::Error>,
    },
}

pub(super) fn failed<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> BackupError + 'a {
    move |source| BackupError::File { act, path: path.to_owned(), source }
}

pub(super) fn store_failed(act: &'static str, path: &str) -> impl FnOnce(object_store::Error) -> BackupError {
    let path = path.to_owned();
    move |source| match source {
        object_store::Error::NotFound { .. } if act == "copy" => BackupError::Vanished { path },
        source => BackupError::Store { act, path, source: Box::new(source) },
    }
}
