//! `[campaigns]`: what is collected beside the default, and its bounds.

use std::path::PathBuf;

use serde::Deserialize;
use service::config::ByteSize;

use crate::campaign::{Bounds, desk::CampaignSettings};

/// `[campaigns]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignsConfig {
    /// A local campaign set.
    pub file: Option<PathBuf>,
    /// The key that signs sets: an unsigned one is refused then.
    pub public_key_file: Option<PathBuf>,
    /// Cap of the bytes of all campaigns in a day.
    pub bytes_per_day_max: ByteSize,
    /// Memory for what came before a trigger.
    pub ring_bytes_max: ByteSize,
}

impl Default for CampaignsConfig {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            file: None,
            public_key_file: None,
            bytes_per_day_max: ByteSize(bounds.bytes_per_day_max),
            ring_bytes_max: ByteSize(bounds.ring_bytes_max),
        }
    }
}

impl CampaignsConfig {
    pub(super) fn settings(self) -> CampaignSettings {
        let bounds =
            Bounds { ring_bytes_max: self.ring_bytes_max.0, bytes_per_day_max: self.bytes_per_day_max.0 };
        CampaignSettings { file: self.file, public_key_file: self.public_key_file, bounds }
    }
}
