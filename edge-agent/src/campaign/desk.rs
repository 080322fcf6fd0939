//! Where campaign sets arrive: accepted whole, or refused whole with the reason.
//!
//! With a public key only signed sets are accepted, and only in rising revisions, so that an old
//! one cannot be played back. Without a key only the local file is. What is accepted is first
//! kept beside the spool, then put in force by the collecting thread, between two frames.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use service::logs::chain;
use tracing::{info, warn};
use wire::{
    ack::{CampaignSetName, CampaignStatus},
    campaigns::{SetHash, SetPayload, from_hex},
    catalog::Catalog,
    ids::{CatalogHash, VehicleId},
    signature::BatchVerifier,
};

use super::{Bounds, CampaignError, CampaignSet, Plan, Spent};
use crate::metrics;

/// The accepted payload, in the spool's folder.
const KEPT_NAME: &str = "campaigns.accepted";
/// What was spent today, beside it.
const SPENT_NAME: &str = "campaigns.spent.json";
/// Longest reason told in `status`.
const REFUSAL_BYTES_MAX: usize = 2048;

/// How campaigns are delivered and bounded.
#[derive(Debug, Clone, Default)]
pub struct CampaignSettings {
    /// A local set, read again when it changes.
    pub file: Option<PathBuf>,
    /// The file of the key that signs sets.
    pub public_key_file: Option<PathBuf>,
    /// The agent's own bounds.
    pub bounds: Bounds,
}

/// How a set came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// By MQTT.
    Mqtt,
    /// The local file.
    File,
}

/// What became of a set that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It will be in force after the frame at hand.
    New,
    /// It is in force already.
    Same,
}

/// When an accepted set is put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakesEffect {
    /// After the frame at hand.
    AtOnce,
    /// At the next start: a replay must be a function of its log alone.
    NextStart,
}

/// The vehicle a set is compiled for.
#[derive(Debug)]
struct Vehicle {
    id: VehicleId,
    catalog: Catalog,
    bounds: Bounds,
}

#[derive(Debug)]
struct InForce {
    plan: Arc<Plan>,
    is_signed: bool,
}

#[derive(Debug)]
struct State {
    in_force: Option<InForce>,
    refusal: String,
    /// What batches are made by; behind `in_force` until the collecting thread has taken it.
    catalog_hash: CatalogHash,
}

/// Where campaign sets arrive.
#[derive(Debug)]
pub struct Desk {
    vehicle: Vehicle,
    key: Option<BatchVerifier>,
    file: Option<PathBuf>,
    folder: PathBuf,
    takes_effect: TakesEffect,
    state: Mutex<State>,
    /// Held while a set is looked at and kept: one comes after the other.
    delivering: Mutex<()>,
    /// Rises with each accepted set.
    accepted: AtomicU64,
    /// Rises with all that `status` should tell.
    told: AtomicU64,
}

impl Desk {
    /// Opens the desk: the last good set and then the local file. A set that cannot be used does
    /// not keep the agent from starting; a key that cannot does.
    pub(crate) fn open(
        vehicle_id: VehicleId,
        catalog: Catalog,
        settings: &CampaignSettings,
        folder: &Path,
        takes_effect: TakesEffect,
    ) -> Result<Self, CampaignError> {
        let key = settings.public_key_file.as_deref().map(read_public_key).transpose()?;
        let catalog_hash = catalog.hash();
        let desk = Self {
            vehicle: Vehicle { id: vehicle_id, catalog, bounds: settings.bounds },
            key,
            file: settings.file.clone(),
            folder: folder.to_owned(),
            takes_effect,
            state: Mutex::new(State { in_force: None, refusal: String::new(), catalog_hash }),
            delivering: Mutex::new(()),
            accepted: AtomicU64::new(0),
            told: AtomicU64::new(0),
        };
        // Without a key, what was kept is the local file's; it goes when the file is not named.
        if desk.key.is_some() || desk.file.is_some() {
            desk.resume();
            desk.read_file();
        }
        if let Some(plan) = desk.plan() {
            desk.took_effect(plan.catalog().hash());
        }
        Ok(desk)
    }

    /// Looks at a delivered set; refused sets are told in `status` and logged.
    pub fn deliver(&self, payload: &[u8], by: Delivery) -> Result<Accepted, CampaignError> {
        let _one_at_a_time = self.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.look_at(payload, by).and_then(|found| match found {
            None => Ok(Accepted::Same),
            Some(in_force) => {
                self.keep(payload)?;
                self.accept(in_force);
                Ok(Accepted::New)
            }
        });
        let refusal = result.as_ref().err().map(|e| shortened(chain(e).to_string())).unwrap_or_default();
        metrics::campaign_set(result.is_ok());
        if !refusal.is_empty() {
            warn!(vehicle_id = %self.vehicle.id, reason = refusal, "campaign set refused");
        }
        let mut state = self.state();
        if state.refusal != refusal {
            state.refusal = refusal;
            self.told.fetch_add(1, Ordering::Release);
        }
        result
    }

    /// The number of sets accepted, for [`Desk::take_new`].
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    /// The set in force, or that will be after the frame at hand.
    pub(crate) fn plan(&self) -> Option<Arc<Plan>> {
        self.state().in_force.as_ref().map(|f| Arc::clone(&f.plan))
    }

    /// The plan accepted since `seen` was, for the collecting thread.
    pub(crate) fn take_new(&self, seen: &mut u64) -> Option<Arc<Plan>> {
        let accepted = self.accepted.load(Ordering::Acquire);
        if accepted == *seen || self.takes_effect == TakesEffect::NextStart {
            return None;
        }
        *seen = accepted;
        self.plan()
    }

    /// Batches are made by this catalogue from now on.
    pub(crate) fn took_effect(&self, catalog_hash: CatalogHash) {
        self.state().catalog_hash = catalog_hash;
        self.told.fetch_add(1, Ordering::Release);
    }

    /// The catalogue batches are made by.
    pub(crate) fn catalog_hash(&self) -> CatalogHash {
        self.state().catalog_hash
    }

    /// What `status` tells, and a number that rises when it changes.
    pub fn status(&self) -> (CampaignStatus, u64) {
        let told = self.told.load(Ordering::Acquire);
        let state = self.state();
        let name = |f: &InForce| CampaignSetName {
            set_id: f.plan.set_id.clone(),
            revision: f.plan.revision,
            hash: f.plan.hash,
        };
        (CampaignStatus { in_force: state.in_force.as_ref().map(name), refusal: state.refusal.clone() }, told)
    }

    /// The number of [`Desk::status`] alone.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// The local set, if one is named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Looks at the local file; one that cannot be read changes nothing but what `status` tells.
    pub(crate) fn read_file(&self) {
        let Some(path) = &self.file else { return };
        match read_bounded(path) {
            // A refusal is told by `deliver`.
            Ok(payload) => drop(self.deliver(&payload, Delivery::File)),
            Err(source) => {
                let error = CampaignError::Open { path: path.clone(), source };
                let refusal = shortened(chain(&error).to_string());
                warn!(vehicle_id = %self.vehicle.id, reason = refusal, "campaign file not read");
                self.state().refusal = refusal;
                self.told.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// What was spent today before this start.
    pub(crate) fn spent(&self) -> Spent {
        let read = fs::read(self.folder.join(SPENT_NAME));
        // A file that is damaged refills a day's cap at worst.
        read.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps what was spent today for the next start.
    pub(crate) fn keep_spent(&self, spent: &Spent) -> io::Result<()> {
        replace(&self.folder.join(SPENT_NAME), &serde_json::to_vec(spent)?)
    }

    fn look_at(&self, payload: &[u8], by: Delivery) -> Result<Option<InForce>, CampaignError> {
        let payload = SetPayload::split(payload)?;
        match &self.key {
            Some(key) => payload.verify(key)?,
            None if by == Delivery::Mqtt => return Err(CampaignError::NoKey),
            None => {}
        }
        let is_signed = self.key.is_some();
        {
            let state = self.state();
            if state.in_force.as_ref().is_some_and(|f| f.plan.hash == SetHash::of(payload.text)) {
                return Ok(None);
            }
        }
        let set = CampaignSet::parse(payload.text)?;
        if let Some(InForce { plan, is_signed: true }) = &self.state().in_force
            && is_signed
            && set.revision <= plan.revision
        {
            return Err(CampaignError::Revision { given: set.revision, in_force: plan.revision });
        }
        let plan = Plan::compile(&set, &self.vehicle.id, &self.vehicle.catalog, self.vehicle.bounds)?;
        Ok(Some(InForce { plan: Arc::new(plan), is_signed }))
    }

    fn accept(&self, in_force: InForce) {
        let (set_id, revision) = (in_force.plan.set_id.clone(), in_force.plan.revision);
        info!(vehicle_id = %self.vehicle.id, set_id, revision, "campaign set accepted");
        self.state().in_force = Some(in_force);
        self.accepted.fetch_add(1, Ordering::Release);
        self.told.fetch_add(1, Ordering::Release);
    }

    /// Takes up the last good set of an earlier start.
    fn resume(&self) {
        let Ok(payload) = read_bounded(&self.folder.join(KEPT_NAME)) else { return };
        match self.look_at(&payload, Delivery::File) {
            Ok(Some(in_force)) => self.accept(in_force),
            Ok(None) => {}
            Err(error) => {
                let refusal = shortened(chain(&error).to_string());
                warn!(vehicle_id = %self.vehicle.id, reason = refusal, "kept campaign set refused");
                self.state().refusal = refusal;
            }
        }
    }

    fn keep(&self, payload: &[u8]) -> Result<(), CampaignError> {
        let path = self.folder.join(KEPT_NAME);
        replace(&path, payload).map_err(|source| CampaignError::Keep { path, source })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an agent with these settings would make of the local set, without a desk; `None` when
/// none is named.
pub(crate) fn examine(
    settings: &CampaignSettings,
    vehicle_id: &VehicleId,
    catalog: &Catalog,
) -> Result<Option<Plan>, CampaignError> {
    let key = settings.public_key_file.as_deref().map(read_public_key).transpose()?;
    let Some(path) = &settings.file else { return Ok(None) };
    let bytes = read_bounded(path).map_err(|source| CampaignError::Open { path: path.clone(), source })?;
    let payload = SetPayload::split(&bytes)?;
    if let Some(key) = &key {
        payload.verify(key)?;
    }
    let set = CampaignSet::parse(payload.text)?;
    Plan::compile(&set, vehicle_id, catalog, settings.bounds).map(Some)
}

/// Reads a public key of 64 hexadecimal digits.
pub fn read_public_key(path: &Path) -> Result<BatchVerifier, CampaignError> {
    let refused = || CampaignError::Key { path: path.to_owned() };
    BatchVerifier::from_public(&read_key(path)?).map_err(|_| refused())
}

/// Reads 32 bytes written as 64 hexadecimal digits.
pub fn read_key(path: &Path) -> Result<[u8; 32], CampaignError> {
    let text =
        fs::read_to_string(path).map_err(|source| CampaignError::Open { path: path.to_owned(), source })?;
    from_hex(text.trim().as_bytes()).ok_or_else(|| CampaignError::Key { path: path.to_owned() })
}

/// A file, or as much of it as shows that it is too long.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    let limit = wire::campaigns::SET_BYTES_MAX as u64 + 1;
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, limit), &mut payload)?;
    Ok(payload)
}

/// Replaces a file's content, atomically and durably.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn shortened(mut text: String) -> String {
    while text.len() > REFUSAL_BYTES_MAX {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests;
