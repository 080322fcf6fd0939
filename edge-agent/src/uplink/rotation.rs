//! New certificates without a restart: the TLS files are looked at as time goes by.
//!
//! Files that changed are read and checked whole before they are used: the key must be the
//! certificate's, the certificate the vehicle's and not expired. Until they pass, the old ones
//! stay, and it is said once a change; so a half-written pair does no harm.

use std::{path::PathBuf, sync::Arc, time::Duration, time::SystemTime};

use rustls::ClientConfig;
use service::{Clock, clock::micros, logs::chain};
use tracing::warn;
use wire::{ids::VehicleId, time::Timestamp};

use super::{TlsError, TlsSettings, Transport, secured};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What is known of a file without reading it.
type Stamp = Option<(SystemTime, u64)>;

/// The TLS files as they were last seen.
#[derive(Debug)]
pub(super) struct Rotation {
    tls: Option<TlsSettings>,
    vehicle_id: VehicleId,
    seen: Vec<Stamp>,
    next_look_us: i64,
}

impl Rotation {
    /// As the files are now.
    pub(super) async fn of(tls: Option<TlsSettings>, vehicle_id: &VehicleId) -> Self {
        let mut rotation =
            Self { tls, vehicle_id: vehicle_id.clone(), seen: Vec::new(), next_look_us: i64::MIN };
        if let Some(tls) = rotation.tls.clone() {
            rotation.seen = tokio::task::spawn_blocking(move || stamps(&tls)).await.unwrap_or_default();
        }
        rotation
    }

    /// The transport of files that have changed and are good.
    pub(super) async fn changed(&mut self, clock: &dyn Clock) -> Option<Transport> {
        let tls = self.tls.clone()?;
        let monotonic_us = clock.monotonic_us();
        if monotonic_us < self.next_look_us {
            return None;
        }
        self.next_look_us = monotonic_us + micros(LOOK_INTERVAL);
        let (seen, vehicle_id, now) = (self.seen.clone(), self.vehicle_id.clone(), Timestamp(clock.now_us()));
        let look = move || {
            let stamps = stamps(&tls);
            (stamps != seen).then(|| (stamps, checked(&tls, &vehicle_id, now)))
        };
        let (stamps, config) = tokio::task::spawn_blocking(look).await.ok()??;
        self.seen = stamps;
        match config {
            Ok(config) => Some(secured(config)),
            Err(error) => {
                warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "new TLS files cannot be used, the old ones stay");
                None
            }
        }
    }
}

fn stamps(tls: &TlsSettings) -> Vec<Stamp> {
    let client = tls.client.iter().flat_map(|c| [&c.cert_file, &c.key_file]);
    let files: Vec<&PathBuf> = std::iter::once(&tls.ca_file).chain(client).collect();
    let stamp = |path: &&PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    files.iter().map(stamp).collect()
}

fn checked(tls: &TlsSettings, vehicle_id: &VehicleId, now: Timestamp) -> Result<Arc<ClientConfig>, TlsError> {
    let config = tls.client_config()?;
    if let Some(facts) = tls.own_facts()? {
        if now > facts.not_after {
            return Err(TlsError::Expired { not_after: facts.not_after });
        }
        if facts.common_name.as_deref() != Some(vehicle_id.as_str()) {
            let found = facts.common_name.unwrap_or_default();
            return Err(TlsError::OtherName { found, vehicle_id: vehicle_id.clone() });
        }
    }
    Ok(config)
}
