//! `[spool]`: what is kept on disk, and for how long.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use service::{
    config::{ByteSize, DurationText, Faults},
    logs::chain,
};

use crate::{
    agent,
    spool::{CatchUp, SpoolKey, SpoolSettings, SyncPolicy},
};

/// `[spool]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// `always`, `never`, or an interval.
    pub sync: String,
    /// Length of a segment file.
    pub segment_bytes: ByteSize,
    /// Cap of all segment files.
    pub spool_bytes_max: ByteSize,
    /// Age at which data is given up.
    pub spool_age_max: DurationText,
    /// The key that seals what is written.
    pub key_file: Option<PathBuf>,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        let settings = SpoolSettings::default();
        Self {
            sync: "1s".to_owned(),
            segment_bytes: ByteSize(settings.segment_bytes),
            spool_bytes_max: ByteSize(settings.bytes_max),
            spool_age_max: DurationText(settings.age_max),
            key_file: None,
        }
    }
}

impl SpoolConfig {
    pub(super) fn check(self, faults: &mut Faults, catch_up: CatchUp) -> Option<SpoolSettings> {
        let sync = faults.check("spool.sync", parse_sync(&self.sync));
        let key = self.key_file.as_ref().and_then(|path| {
            let key = agent::read_key(path).map_err(|e| chain(&e).to_string());
            faults.check("spool.key_file", key).map(SpoolKey::new)
        });
        if self.spool_age_max.0 < Duration::from_millis(100) {
            faults.add("spool.spool_age_max", "is too short; write at least \"100ms\"");
        }
        if self.segment_bytes.0 < 4096 || self.spool_bytes_max.0 < 4 * self.segment_bytes.0 {
            faults.add(
                "spool.spool_bytes_max",
                "must be at least four segments (`segment_bytes`) of at least 4KiB",
            );
        }
        Some(SpoolSettings {
            sync: sync?,
            segment_bytes: self.segment_bytes.0,
            bytes_max: self.spool_bytes_max.0,
            age_max: self.spool_age_max.0,
            catch_up,
            key,
        })
    }
}

fn parse_sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "never" => Ok(SyncPolicy::Never),
        interval => interval
            .parse::<DurationText>()
            .map(|d| SyncPolicy::Interval(d.0))
            .map_err(|_| format!("{text:?} is none of \"always\", \"never\" and an interval such as \"1s\"")),
    }
}
