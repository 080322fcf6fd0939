//! The files by which brokers and ingest are told who is who, kept as the database says: the list of revoked
//! certificates (`crl_file`, mosquitto's `crlfile`), and a file a vehicle with the key that proves its batches
//! (`signing_keys_dir`, ingest's `device_keys_dir`).
//!
//! At the start the folder is healed: what the database does not say goes, what it says comes. Then the event log is
//! followed, so that changes of other processes arrive too. A vehicle for which no certificate was ever issued here is
//! not this domain's: its file, which somebody put there, stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use service::{SharedClock, files, logs::chain};
use wire::{ids::VehicleId, time::Timestamp};

use super::{AGGREGATE, authority::Authority, certificates, crl, store};
use crate::{
    config::DevicesSettings, db::Db, events, fault::DomainError, metrics, page::LIMIT_MAX, ticks::Ticks,
};

/// Events read at once.
const EVENTS_COUNT: i64 = 200;
/// For everybody: public keys and lists are no secrets, and who reads them is another user.
const MODE: u32 = 0o644;

/// Keeps the files.
#[derive(Debug)]
pub(crate) struct Keeper {
    db: Db,
    clock: SharedClock,
    settings: DevicesSettings,
    /// The list that is in its file.
    list: Option<Vec<u8>>,
    /// Up to which event the folder is as it should be; none before it was healed.
    position: Option<i64>,
}

/// Why the files are not as they should be.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no thread to write files")]
    Thread(#[from] tokio::task::JoinError),
}

impl Keeper {
    pub(crate) fn new(db: Db, clock: SharedClock, settings: DevicesSettings) -> Self {
        Self { db, clock, settings, list: None, position: None }
    }

    /// Keeps them until stopped; what fails is told and tried again at the next tick.
    pub(crate) async fn run(mut self, mut ticks: Ticks) {
        while ticks.next().await {
            for result in [self.keep_list().await, self.keep_keys().await] {
                if let Err(error) = result {
                    metrics::device_files_failed();
                    tracing::warn!(error = %chain(&error), "files for brokers and ingest are not as they should be, will try again");
                }
            }
        }
    }

    async fn keep_list(&mut self) -> Result<(), KeepError> {
        let Some(authority) = self.settings.authority.clone() else { return Ok(()) };
        let now = Timestamp(self.clock.now_us());
        let expiring = {
            let mut conn = self.db.read().await.map_err(DomainError::from)?;
            certificates::store::expiring_count(&mut conn, now).await?
        };
        let list = self.list_now(&authority, now).await?;
        metrics::certificates_kept(expiring, list.next_update_at.as_seconds());
        let Some(path) = self.settings.crl_file.clone() else { return Ok(()) };
        if self.list.as_ref() == Some(&list.der) {
            return Ok(());
        }
        let pem = list.pem();
        tokio::task::spawn_blocking(move || put(&path, &pem)).await??;
        self.list = Some(list.der);
        Ok(())
    }

    async fn list_now(&self, authority: &Authority, now: Timestamp) -> Result<crl::SignedList, DomainError> {
        crl::current(&self.db, (authority, self.settings.crl_valid_us), now).await
    }

    async fn keep_keys(&mut self) -> Result<(), KeepError> {
        let Some(dir) = self.settings.signing_keys_dir.clone() else { return Ok(()) };
        match self.position {
            None => self.heal(dir).await,
            Some(position) => self.follow(dir, position).await,
        }
    }

    /// Makes the whole folder what the database says.
    async fn heal(&mut self, dir: PathBuf) -> Result<(), KeepError> {
        let mut conn = self.db.read().await.map_err(DomainError::from)?;
        // What happens from here on is followed: it may be in what is read next already, which does no harm.
        let position = events::last_position(&mut conn).await?;
        let mut wanted = BTreeMap::new();
        let mut after = String::new();
        loop {
            let page = store::keys_after(&mut conn, "", (&after, LIMIT_MAX)).await?;
            let Some(last) = page.last() else { break };
            last.vehicle_name.as_str().clone_into(&mut after);
            wanted.extend(page.into_iter().map(|key| (key.vehicle_name, key.signing_public_key)));
        }
        let listed = dir.clone();
        let present = tokio::task::spawn_blocking(move || vehicles_of(&listed)).await??;
        let mut changes: Vec<(VehicleId, Option<String>)> = Vec::new();
        for name in present {
            if !wanted.contains_key(&name) && certificates::store::has_name(&mut conn, name.as_str()).await? {
                changes.push((name, None));
            }
        }
        changes.extend(wanted.into_iter().map(|(name, key)| (name, Some(key))));
        drop(conn);
        tokio::task::spawn_blocking(move || apply(&dir, &changes)).await??;
        self.position = Some(position);
        Ok(())
    }

    /// Takes up what happened to devices since.
    async fn follow(&mut self, dir: PathBuf, mut position: i64) -> Result<(), KeepError> {
        loop {
            let mut conn = self.db.read().await.map_err(DomainError::from)?;
            let some = events::after(&mut conn, position, EVENTS_COUNT).await?;
            let Some(last) = some.last() else { return Ok(()) };
            position = last.position;
            let of_devices = some.iter().filter(|event| event.aggregate_type == AGGREGATE);
            let name = |event: &events::Event| event.data.get("vehicle_name")?.as_str()?.parse().ok();
            let names: BTreeSet<VehicleId> = of_devices.filter_map(name).collect();
            let mut changes = Vec::new();
            for name in names {
                let key = store::key_of(&mut conn, &name).await?;
                changes.push((name, key));
            }
            drop(conn);
            let dir = dir.clone();
            tokio::task::spawn_blocking(move || apply(&dir, &changes)).await??;
            self.position = Some(position);
        }
    }
}

/// The vehicles that have a file.
fn vehicles_of(dir: &Path) -> Result<Vec<VehicleId>, KeepError> {
    let failed = |source| KeepError::Write { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".pub"));
        found.extend(stem.and_then(|stem| stem.parse::<VehicleId>().ok()));
    }
    Ok(found)
}

/// Writes the keys of vehicles, or removes those of vehicles that have none.
fn apply(dir: &Path, changes: &[(VehicleId, Option<String>)]) -> Result<(), KeepError> {
    for (name, key) in changes {
        // A vehicle's id is of a-z, 0-9 and '-' alone, so it is a file's name and nothing else.
        let path = dir.join(format!("{name}.pub"));
        match key {
            Some(key) => put(&path, &format!("{key}\n"))?,
            None => files::remove(&path).map_err(|source| KeepError::Write { path, source })?,
        }
    }
    Ok(())
}

/// Writes a file, unless it is so already.
fn put(path: &Path, text: &str) -> Result<(), KeepError> {
    if fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    files::replace(path, text.as_bytes(), MODE)
        .map_err(|source| KeepError::Write { path: path.to_owned(), source })
}
