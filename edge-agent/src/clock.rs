//! What the vehicle's clock can be believed, and what is done while it cannot.
//!
//! A unit may boot without knowing the time: no battery behind its clock, no network yet. Time is
//! *known* once the wall clock is past [`RELEASE_TIME`] and somebody vouches for it, or a GNSS
//! receiver has told it (`clock/keeper.rs` has the rules). Until then samples get times of a provisional
//! clock that runs on from the last time known, and their batches are flagged and held back a
//! while; when the time becomes known in the same boot they are sent with their times set right
//! by the clock since boot, which no setting moves. `clock/memory.rs` keeps what that takes on the disk,
//! so that a killed agent goes on where it was.

pub(crate) mod keeper;
mod memory;

use std::{path::PathBuf, time::Duration};

use wire::time::Timestamp;

/// 2026-01-01: a clock that shows less than this is not set, as no agent of this release ran then.
pub const RELEASE_TIME: Timestamp = Timestamp(1_767_225_600_000_000);

/// How time becomes known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSettings {
    /// Is there once the wall clock is synchronized. Where not even its folder is, nobody says
    /// such things, and a wall clock past [`RELEASE_TIME`] is believed.
    pub synchronized_file: PathBuf,
    /// Where the kernel says which boot this is.
    pub boot_id_file: PathBuf,
    /// Longest time that batches without a known time are held back.
    pub hold_max: Duration,
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self {
            synchronized_file: PathBuf::from("/run/systemd/timesync/synchronized"),
            boot_id_file: PathBuf::from("/proc/sys/kernel/random/boot_id"),
            hold_max: Duration::from_mins(10),
        }
    }
}
