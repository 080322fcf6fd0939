//! `[clock]`: how the time of live sources becomes known.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use service::config::{DurationText, Faults};

use crate::clock::ClockSettings;

/// Longest time that batches may be held back.
const HOLD_MAX: Duration = Duration::from_hours(24);

/// `[clock]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockConfig {
    /// Is there once the wall clock is synchronized.
    pub synchronized_file: PathBuf,
    /// Longest time that batches without a known time are held back.
    pub hold_max: DurationText,
}

impl Default for ClockConfig {
    fn default() -> Self {
        let ClockSettings { synchronized_file, hold_max, .. } = ClockSettings::default();
        Self { synchronized_file, hold_max: DurationText(hold_max) }
    }
}

impl ClockConfig {
    pub(super) fn check(self, faults: &mut Faults) -> ClockSettings {
        if self.hold_max.0 > HOLD_MAX {
            faults.add("clock.hold_max", "is too long; write at most \"24h\"");
        }
        ClockSettings {
            synchronized_file: self.synchronized_file,
            hold_max: self.hold_max.0,
            ..ClockSettings::default()
        }
    }
}
