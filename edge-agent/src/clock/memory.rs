//! What is remembered of time, in a file of the spool's folder.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Its file.
pub(super) const FILE_NAME: &str = "clock.json";
/// Most streams of unknown time: dozens of starts of an agent before the time is known. The
/// oldest are forgotten first; their batches then are sent as they were written, flagged.
const STREAM_COUNT_MAX: usize = 512;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Which boot of the machine the rest is about.
    pub(super) boot: String,
    /// Provisional time less time since boot; once made it holds for the boot.
    pub(super) provisional_us: Option<i64>,
    /// Known time less time since boot, as it first became known. It stays: a batch sent again
    /// is the same.
    pub(super) known_us: Option<i64>,
    /// Streams of this boot made by the provisional clock.
    pub(super) streams: Vec<Uuid>,
    /// The latest time known, of any boot.
    pub(super) last_known_us: i64,
}

impl Memory {
    /// What is remembered of this boot; of an earlier one only the time remains. A file that
    /// cannot be read is none.
    pub(super) fn load(folder: &Path, boot: &str) -> Self {
        let read = fs::read(folder.join(FILE_NAME)).ok();
        let memory: Self = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        if !boot.is_empty() && memory.boot == boot {
            return memory;
        }
        Self { boot: boot.to_owned(), last_known_us: memory.last_known_us, ..Self::default() }
    }

    /// Adds streams of unknown time.
    pub(super) fn enroll(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        self.streams.extend(ids);
        let excess = self.streams.len().saturating_sub(STREAM_COUNT_MAX);
        self.streams.drain(..excess);
    }

    /// Replaces the file, atomically and durably.
    pub(super) fn store(&self, folder: &Path) -> io::Result<()> {
        let (path, beside) = (folder.join(FILE_NAME), folder.join("clock.new"));
        let mut file = fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        fs::File::open(folder)?.sync_all()
    }
}
