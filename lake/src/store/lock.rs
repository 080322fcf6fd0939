//! Keeping out who must be alone while somebody writes, and the other way round.
//!
//! In a folder it is a lock of the system's, which lets go of it however a process ends. A bucket
//! has no such lock, and a lease that is renewed by time does not stop a writer that slept through
//! its end from putting one more file; so there nobody can be alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Lake, Place};
use crate::location::LakeLocation;

const LOCK_FILE: &str = ".writers.lock";

/// A lock of a lake, held until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is let go of when it is dropped"]
pub struct LakeLock(#[allow(dead_code, reason = "held for its lock")] Option<fs::File>);

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
    /// Nobody can know that there is no writer.
    #[error(
        "this must be alone with the lake, which cannot be made sure of in a bucket ({location}): a writer on \
         another machine may be at work"
    )]
    Bucket {
        /// The lake.
        location: LakeLocation,
    },
}

impl Lake {
    /// Says that this process writes batches into the lake, until the lock is dropped or the
    /// process ends. Many may at once; who has [`Lake::lock_alone`] keeps them out.
    pub fn lock_as_writer(&self) -> Result<LakeLock, LockError> {
        match self.place() {
            Place::Folder(root) => {
                lock(root, fs::File::try_lock_shared, || LockError::Taken { path: root.clone() })
            }
            Place::Bucket(..) => Ok(LakeLock(None)),
        }
    }

    /// Keeps writers of batches out until the lock is dropped; refused while there is one, and of
    /// a bucket always.
    pub fn lock_alone(&self) -> Result<LakeLock, LockError> {
        match self.place() {
            Place::Folder(root) => {
                lock(root, fs::File::try_lock, || LockError::Writers { path: root.clone() })
            }
            Place::Bucket(..) => Err(LockError::Bucket { location: self.location().clone() }),
        }
    }
}

fn lock(
    root: &Path,
    take: fn(&fs::File) -> Result<(), fs::TryLockError>,
    held: impl Fn() -> LockError,
) -> Result<LakeLock, LockError> {
    let path = root.join(LOCK_FILE);
    let failed = |source| LockError::File { path: path.clone(), source };
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match take(&file) {
        Ok(()) => Ok(LakeLock(Some(file))),
        Err(fs::TryLockError::WouldBlock) => Err(held()),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}
