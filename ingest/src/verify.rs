//! From bytes to a batch that may be stored, or the reason why not.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use lake::Lake;
use service::clock::micros;
use wire::{
    batch::{Batch, Column, Envelope, Table, Values},
    catalog::{Catalog, ValueKind},
    ids::{CatalogHash, VehicleId},
    readings::column_of_signal,
    time::Timestamp,
};

use crate::{config::SignaturePolicy, intake::Incoming, keys::DeviceKeys};

/// No vehicle of ours has a clock before this: 2000-01-01.
const CLOCK_MIN: Timestamp = Timestamp(946_684_800_000_000);

/// A batch that may be stored.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The batch.
    pub batch: Batch,
    /// The meaning of its columns; every column of the batch is in it, with the kind it has.
    pub catalog: Arc<Catalog>,
    /// When it came.
    pub received_at: Timestamp,
    /// Size of its payload.
    pub payload_bytes: usize,
}

/// A payload that may not be stored as samples.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// Whose topic it came by.
    pub vehicle_id: VehicleId,
    /// The topic.
    pub topic: String,
    /// Why, as a word.
    pub reason: QuarantineReason,
    /// Why, in full.
    pub detail: String,
    /// The batch, where it could be read and its sender is not in doubt: then its sequence is
    /// accounted for and acknowledged.
    pub batch: Option<Batch>,
    /// When it came.
    pub received_at: Timestamp,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Why a payload is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineReason {
    /// No batch by any reading.
    Undecodable,
    /// It names another vehicle than its topic.
    VehicleMismatch,
    /// It is not signed, or not by the enrolled key.
    BadSignature,
    /// Its columns are not those of its catalogue.
    CatalogMismatch,
    /// Its times are beyond what a clock can be wrong by.
    ClockSkew,
    /// It carries nothing.
    Empty,
}

impl QuarantineReason {
    /// Whether the payload has no readable stream and would be refused for ever, so that the
    /// vehicle should give it up. One with a bad signature waits for its key to be enrolled.
    pub fn is_hopeless(self) -> bool {
        matches!(self, QuarantineReason::Undecodable | QuarantineReason::VehicleMismatch)
    }

    /// The word in the `quarantine` table and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            QuarantineReason::Undecodable => "undecodable",
            QuarantineReason::VehicleMismatch => "vehicle_mismatch",
            QuarantineReason::BadSignature => "bad_signature",
            QuarantineReason::CatalogMismatch => "catalog_mismatch",
            QuarantineReason::ClockSkew => "clock_skew",
            QuarantineReason::Empty => "empty",
        }
    }
}

/// What a telemetry message turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// To be stored.
    Accept(Box<Verified>),
    /// To be quarantined.
    Quarantine(Box<Quarantined>),
    /// Its catalogue is unknown: ask for it; the vehicle sends the batch again.
    NeedCatalog(CatalogHash),
}

/// A catalogue, and what is wrong with it.
#[derive(Debug, Clone)]
struct Known {
    catalog: Arc<Catalog>,
    /// Columns said to be of `readings`, which has no such column.
    foreign: Arc<HashSet<u32>>,
}

impl Known {
    fn new(catalog: Catalog) -> Self {
        let of_readings = catalog.columns.iter().filter(|def| def.table == Table::Readings);
        let foreign = of_readings.filter(|def| column_of_signal(&def.signal).is_none());
        let foreign = Arc::new(foreign.map(|def| def.column_id).collect());
        Self { catalog: Arc::new(catalog), foreign }
    }
}

/// Checks messages against keys, catalogues and clock.
#[derive(Debug)]
pub struct Verifier {
    lake: Lake,
    keys: DeviceKeys,
    signatures: SignaturePolicy,
    clock_ahead_max: Duration,
    catalogs: HashMap<CatalogHash, Known>,
    missing: HashSet<CatalogHash>,
}

impl Verifier {
    /// With the catalogues stored in the lake.
    pub fn new(lake: Lake, keys: DeviceKeys, signatures: SignaturePolicy, clock_ahead_max: Duration) -> Self {
        Self { lake, keys, signatures, clock_ahead_max, catalogs: HashMap::new(), missing: HashSet::new() }
    }

    /// Takes a catalogue a vehicle published; stores it for good.
    pub async fn learn_catalog(&mut self, encoded: &[u8]) -> Result<CatalogHash, String> {
        let catalog = Catalog::decode(encoded).map_err(|e| service::logs::chain(&e).to_string())?;
        let hash = self.lake.put_catalog(encoded).await.map_err(|e| service::logs::chain(&e).to_string())?;
        self.missing.remove(&hash);
        self.catalogs.insert(hash, Known::new(catalog));
        Ok(hash)
    }

    /// Decides about a telemetry message.
    pub async fn verify(&mut self, incoming: Incoming, received_at: Timestamp) -> Verdict {
        let Incoming { topic, vehicle_id, payload, .. } = incoming;
        let refuse = |reason, detail: String, batch, payload| {
            let vehicle_id = vehicle_id.clone();
            Verdict::Quarantine(Box::new(Quarantined {
                vehicle_id,
                topic,
                reason,
                detail,
                batch,
                received_at,
                payload,
            }))
        };
        let decoded = Envelope::decode(&payload).and_then(|e| Ok((Batch::decode_body(e.body)?, e)));
        let (batch, envelope) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                let detail = service::logs::chain(&error).to_string();
                return refuse(QuarantineReason::Undecodable, detail, None, payload);
            }
        };
        if batch.vehicle_id != vehicle_id {
            let detail = format!("topic is of {vehicle_id}, batch of {}", batch.vehicle_id);
            return refuse(QuarantineReason::VehicleMismatch, detail, None, payload);
        }
        if let Err(detail) = self.check_signature(&vehicle_id, &envelope) {
            return refuse(QuarantineReason::BadSignature, detail, None, payload);
        }
        if let Err(detail) = self.check_clock(&batch, received_at) {
            return refuse(QuarantineReason::ClockSkew, detail, Some(batch), payload);
        }
        if batch.groups.iter().all(|g| g.times_us.is_empty()) && batch.gaps.is_empty() {
            return refuse(
                QuarantineReason::Empty,
                "no samples and no gaps".to_owned(),
                Some(batch),
                payload,
            );
        }
        let Some(known) = self.catalog(batch.catalog_hash).await else {
            return Verdict::NeedCatalog(batch.catalog_hash);
        };
        if let Err(detail) = check_columns(&batch, &known) {
            return refuse(QuarantineReason::CatalogMismatch, detail, Some(batch), payload);
        }
        let Known { catalog, .. } = known;
        Verdict::Accept(Box::new(Verified { batch, catalog, received_at, payload_bytes: payload.len() }))
    }

    fn check_signature(&mut self, vehicle_id: &VehicleId, envelope: &Envelope<'_>) -> Result<(), String> {
        if self.signatures == SignaturePolicy::Off {
            return Ok(());
        }
        match self.keys.of(vehicle_id) {
            Some(key) => key.verify(envelope.body, envelope.signature).map_err(|e| e.to_string()),
            None if self.signatures == SignaturePolicy::Required => {
                Err("vehicle has no enrolled key".to_owned())
            }
            None => Ok(()),
        }
    }

    fn check_clock(&self, batch: &Batch, received_at: Timestamp) -> Result<(), String> {
        let latest_allowed = received_at.plus_us(micros(self.clock_ahead_max));
        let times = batch.groups.iter().flat_map(|g| &g.times_us).map(|&t| batch.base_time.plus_us(t));
        let (earliest, latest) =
            times.fold((batch.base_time, batch.base_time), |(a, b), t| (a.min(t), b.max(t)));
        if earliest < CLOCK_MIN {
            return Err(format!("time {earliest} is before {CLOCK_MIN}"));
        }
        if latest > latest_allowed {
            return Err(format!("time {latest} is after {latest_allowed}, the latest allowed"));
        }
        Ok(())
    }

    async fn catalog(&mut self, hash: CatalogHash) -> Option<Known> {
        if let Some(known) = self.catalogs.get(&hash) {
            return Some(known.clone());
        }
        if self.missing.contains(&hash) {
            return None;
        }
        match self.lake.catalog(hash).await {
            Ok(Some(catalog)) => {
                let known = Known::new(catalog);
                self.catalogs.insert(hash, known.clone());
                Some(known)
            }
            Ok(None) => {
                self.missing.insert(hash);
                None
            }
            Err(error) => {
                tracing::error!(error = %service::logs::chain(&error), "signal catalogue unreadable");
                None
            }
        }
    }
}

fn check_columns(batch: &Batch, known: &Known) -> Result<(), String> {
    for group in &batch.groups {
        for column in &group.columns {
            check_column(group.table, column, known)?;
        }
    }
    Ok(())
}

fn check_column(table: Table, column: &Column, known: &Known) -> Result<(), String> {
    let id = column.column_id;
    let def = known.catalog.column(id).ok_or_else(|| format!("column {id} is not in the catalogue"))?;
    if def.table != table {
        return Err(format!("column {id} is of table {}, its group of {}", def.table.name(), table.name()));
    }
    let fits = matches!(
        (def.kind, &column.values),
        (ValueKind::Raw, Values::Raw(_))
            | (ValueKind::Number, Values::Number(_))
            | (ValueKind::Text, Values::Text(_))
    ) || column.values.is_empty();
    if !fits {
        return Err(format!("column {id} carries values of another kind than its catalogue says"));
    }
    if !known.foreign.is_empty() && known.foreign.contains(&id) {
        return Err(format!("signal {} is no column of readings", def.signal));
    }
    Ok(())
}
