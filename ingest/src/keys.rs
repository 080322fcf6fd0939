//! The enrolled public keys of vehicles: one file each, read again when it changes.

use std::{collections::HashMap, fs, path::PathBuf, time::SystemTime};

use wire::{ids::VehicleId, signature::BatchVerifier};

/// Keys by vehicle, from a folder of `{vehicle_id}.pub` files.
#[derive(Debug, Default)]
pub struct DeviceKeys {
    dir: Option<PathBuf>,
    cached: HashMap<VehicleId, (SystemTime, Option<BatchVerifier>)>,
}

impl DeviceKeys {
    /// From a folder, or none at all.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, cached: HashMap::new() }
    }

    /// The vehicle's key; `None` when it has none or its file is no key.
    pub fn of(&mut self, vehicle_id: &VehicleId) -> Option<&BatchVerifier> {
        let path = self.dir.as_ref()?.join(format!("{vehicle_id}.pub"));
        let modified = fs::metadata(&path).and_then(|m| m.modified()).ok()?;
        let entry = self.cached.entry(vehicle_id.clone()).or_insert((SystemTime::UNIX_EPOCH, None));
        if entry.0 != modified {
            let key = fs::read_to_string(&path).ok().and_then(|text| parse_hex(text.trim()));
            if key.is_none() {
                tracing::error!(%vehicle_id, path = %path.display(), "key file is not 64 hex digits of an Ed25519 key");
            }
            *entry = (modified, key);
        }
        entry.1.as_ref()
    }
}

fn parse_hex(text: &str) -> Option<BatchVerifier> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..64).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect();
    BatchVerifier::from_public(&bytes?).ok()
}
