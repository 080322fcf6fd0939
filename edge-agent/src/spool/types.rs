//! What a spool is told and what it tells.

use std::{io, time::Duration};

use serde::Deserialize;
use wire::{
    batch::{Gap, Table},
    ids::StreamId,
};

use super::{RecordMeta, seal::SpoolKey};

/// A lane of the spool: what goes first when there is something to send, and last when there is no
/// room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Faults.
    Diagnostics,
    /// States at instants.
    Readings,
    /// Everything else, by what its campaign says.
    Signals(Priority, CatchUp),
}

/// How much the samples of a campaign matter: who goes on when the set's daily cap comes near, who
/// is sent first, and whose batches are given up last when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Until all of the cap is spent.
    High,
    /// Until nine tenths of it are.
    #[default]
    Normal,
    /// Until seven tenths of it are.
    Low,
}

impl Lane {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// Every lane, most valuable first.
    pub const ALL: [Lane; Self::COUNT] = [
        Lane::Diagnostics,
        Lane::Readings,
        Lane::Signals(Priority::High, CatchUp::OldestFirst),
        Lane::Signals(Priority::High, CatchUp::LatestFirst),
        Lane::Signals(Priority::Normal, CatchUp::OldestFirst),
        Lane::Signals(Priority::Normal, CatchUp::LatestFirst),
        Lane::Signals(Priority::Low, CatchUp::OldestFirst),
        Lane::Signals(Priority::Low, CatchUp::LatestFirst),
    ];

    /// What changes, and campaigns that say nothing else, where the oldest goes first.
    pub const SIGNALS: Lane = Lane::Signals(Priority::Normal, CatchUp::OldestFirst);

    /// The lane of a table's batches where nothing else is said.
    pub fn of(table: Table, catch_up: CatchUp) -> Self {
        match table {
            Table::Diagnostics => Lane::Diagnostics,
            Table::Readings => Lane::Readings,
            Table::Signals => Lane::Signals(Priority::Normal, catch_up),
        }
    }

    /// The table whose batches it holds.
    pub fn table(self) -> Table {
        match self {
            Lane::Diagnostics => Table::Diagnostics,
            Lane::Readings => Table::Readings,
            Lane::Signals(..) => Table::Signals,
        }
    }

    /// Its place in [`Lane::ALL`].
    pub fn index(self) -> usize {
        match self {
            Lane::Diagnostics => 0,
            Lane::Readings => 1,
            Lane::Signals(priority, catch_up) => 2 + 2 * priority as usize + catch_up as usize,
        }
    }

    /// Lanes of equal value share one: 0 is the most valuable.
    pub(super) fn rank(self) -> usize {
        match self {
            Lane::Diagnostics => 0,
            Lane::Readings => 1,
            Lane::Signals(priority, _) => 2 + priority as usize,
        }
    }

    /// What of it is sent first after an outage; `other` is what holds where it says nothing.
    pub(crate) fn catch_up(self, other: CatchUp) -> CatchUp {
        match self {
            Lane::Diagnostics | Lane::Readings => other,
            Lane::Signals(_, catch_up) => catch_up,
        }
    }

    /// As written in a segment.
    pub(crate) fn code(self) -> u8 {
        match self {
            Lane::Diagnostics => 0,
            Lane::Readings => 1,
            Lane::Signals(priority, catch_up) => {
                let by_priority = match priority {
                    Priority::Normal => 2,
                    Priority::High => 4,
                    Priority::Low => 6,
                };
                by_priority + catch_up as u8
            }
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.code() == code)
    }
}

/// When appended batches are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After every batch.
    Always,
    /// At most so much time after it: one sync for many batches.
    Interval(Duration),
    /// When the system likes: a killed agent loses nothing, a power cut may.
    Never,
}

/// The bounds of a spool.
#[derive(Debug, Clone, Copy)]
pub struct SpoolSettings {
    /// When appended batches are forced to the disk.
    pub sync: SyncPolicy,
    /// Length at which a new segment is begun.
    pub segment_bytes: u64,
    /// Cap of all segments together.
    pub bytes_max: u64,
    /// Age at which a segment is given up.
    pub age_max: Duration,
    /// What is sent first after an outage, of diagnostics and readings.
    pub catch_up: CatchUp,
    /// The key that seals what is written from now on; none: plain.
    pub key: Option<SpoolKey>,
}

/// What is sent first after an outage, of lanes of equal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// What waits longest.
    #[default]
    OldestFirst,
    /// What is collected now: it gets a stream of its own, and what waited fills up behind it.
    LatestFirst,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::Interval(Duration::from_secs(1)),
            segment_bytes: 4 << 20,
            bytes_max: 256 << 20,
            age_max: Duration::from_hours(7 * 24),
            catch_up: CatchUp::OldestFirst,
            key: None,
        }
    }
}

/// Why samples were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The cap, or the disk itself, was reached.
    SpoolFull,
    /// Older than the spool keeps.
    SpoolAge,
    /// The disk gave back other bytes than were written.
    Corrupt,
    /// The cloud said that it can never take the batch.
    Rejected,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 4;

    /// Every reason.
    pub const ALL: [DropReason; Self::COUNT] =
        [DropReason::SpoolFull, DropReason::SpoolAge, DropReason::Corrupt, DropReason::Rejected];

    /// As written in a gap and a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::SpoolFull => "spool_full",
            DropReason::SpoolAge => "spool_age",
            DropReason::Corrupt => "corrupt",
            DropReason::Rejected => "rejected",
        }
    }
}

/// Why the spool could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder's files could not be read at the start.
    #[error("cannot read the spool")]
    Open(#[source] io::Error),
    /// A batch could not be written, for another reason than a full disk.
    #[error("cannot write to the spool")]
    Append(#[source] io::Error),
    /// A segment could not be read.
    #[error("cannot read spool segment {name}")]
    Read {
        /// Which file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A segment sealed by another key, or by one where none is configured.
    #[error(
        "spool segment {name} is sealed by another key; name the key it was written with (`spool.key_file`), or move the folder away"
    )]
    Key {
        /// Which file.
        name: String,
    },
    /// The state could not be written.
    #[error("cannot write the spool's state")]
    State(#[source] io::Error),
    /// A sequence that does not follow the last one.
    #[error("sequence {given} does not follow {last} in its stream")]
    Order {
        /// The batch's.
        given: u64,
        /// The stream's.
        last: u64,
    },
}

/// What the next batch of a lane must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextBatch {
    /// Its sequence.
    pub sequence: u64,
    /// The lowest sequence of the stream that may still come.
    pub oldest_sequence: u64,
    /// Gaps to tell, with the spool's numbers for them.
    pub gaps: Vec<(u64, Gap)>,
}

/// A batch as it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// The log it belongs to.
    pub stream_id: StreamId,
    /// Its fields beside the body.
    pub meta: RecordMeta,
    /// Where earlier batches of its stream were dropped: the lowest sequence that may still
    /// come, which its body may not know yet.
    pub floor: Option<u64>,
    /// The compressed batch.
    pub body: Vec<u8>,
}

/// Counts of a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolCounts {
    /// Batches waiting for a durable ack.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Batches acknowledged since the start.
    pub acked_batches: u64,
    /// Samples in them.
    pub acked_samples: u64,
    /// Samples dropped since the start, by [`DropReason::ALL`].
    pub dropped_samples: [u64; DropReason::COUNT],
    /// Batches dropped since the start.
    pub dropped_batches: u64,
    /// Torn tails cut when the spool was opened.
    pub torn_tails: u64,
    /// Bytes written to the disk on this UTC day, restarts included.
    pub written_today_bytes: u64,
}
