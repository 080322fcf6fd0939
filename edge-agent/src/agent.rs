//! The agent: one vehicle's source, decoder, collector, spool and uplink, started and counted.
//!
//! [`start`] opens everything that can be refused first; then two tasks run until they are
//! stopped: *collect*, a thread that pulls frames and appends batches to the spool, and
//! *uplink*, which sends them. They meet in the spool only. A replay or a simulation waits for
//! room in the spool; a live bus does not wait, the spool drops by its own order.

mod campaigns;
pub(crate) mod shared;
#[cfg(test)]
mod tests;
mod worker;
mod writer;

use std::{fs, io, path::PathBuf, sync::Arc};

use service::{SharedClock, Tasks};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use wire::{
    catalog::Catalog,
    ids::{BootId, StreamId, VehicleId},
    signature::BatchSigner,
    time::Timestamp,
};

use crate::{
    campaign::{
        CampaignError, Desk, Spent,
        desk::{CampaignSettings, TakesEffect},
        engine::Engine,
    },
    collect::{CollectSettings, Collector},
    dbc::{Dbc, DbcError},
    decode::{CompileDbcError, Decoder},
    map::{MapError, MappedDecoder, SignalMap},
    simulate::{SimulateError, SimulateSettings, Simulator},
    source::{CandumpReader, Source, SourceError, replay::Pace},
    spool::{DiskStorage, Lane, OpenFolderError, Spool, SpoolError, SpoolSettings},
    uplink::{TlsError, Uplink, UplinkSettings},
};
use campaigns::Campaigns;
use shared::Shared;
pub use shared::Stats;
use worker::{Keeper, Worker};
use writer::{BatchWriter, Streams};

/// A file by its content, read or compiled in; messages call it `name`.
#[derive(Debug, Clone)]
pub struct NamedBytes {
    /// What messages call it.
    pub name: String,
    /// Its content.
    pub bytes: Arc<[u8]>,
}

impl NamedBytes {
    /// Of content that is there.
    pub fn new(name: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.to_owned(), bytes: bytes.into() }
    }

    /// Of a file.
    pub fn open(path: &std::path::Path) -> io::Result<Self> {
        Ok(Self::new(&path.display().to_string(), fs::read(path)?))
    }
}

/// Everything an agent needs to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The vehicle.
    pub vehicle_id: VehicleId,
    /// Folder of its spool, of this agent alone.
    pub spool_folder: PathBuf,
    /// Where frames come from.
    pub source: SourceSettings,
    /// DBC files that say what frames mean.
    pub dbcs: Vec<NamedBytes>,
    /// Map files that say which signals are collected.
    pub maps: Vec<NamedBytes>,
    /// How they are collected.
    pub collect: CollectSettings,
    /// Campaigns beside the default collection.
    pub campaigns: CampaignSettings,
    /// Bounds of the spool.
    pub spool: SpoolSettings,
    /// Where batches go.
    pub uplink: UplinkSettings,
}

/// Where frames come from.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    /// A recorded log.
    Replay(ReplaySettings),
    /// A vehicle that is computed.
    Simulate(SimulateSettings),
}

/// A recorded log and how it is replayed.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The candump log, gzip or not.
    pub log: NamedBytes,
    /// How fast.
    pub pace: Pace,
    /// Moves the log in time, so that its first frame is at this moment.
    pub shift_to: Option<Timestamp>,
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A DBC file that cannot be read.
    #[error("cannot use a DBC file")]
    Dbc(#[from] DbcError),
    /// DBC files that make no decoder.
    #[error("cannot compile the DBC files")]
    Compile(#[from] CompileDbcError),
    /// Maps that cannot be used.
    #[error("cannot use the signal maps")]
    Map(#[from] MapError),
    /// A map file that is no text.
    #[error("map file {0} is not UTF-8 text; save it as UTF-8")]
    MapText(String),
    /// The spool's folder.
    #[error("cannot open the spool")]
    Folder(#[from] OpenFolderError),
    /// The spool's content.
    #[error("cannot open the spool")]
    Spool(#[from] SpoolError),
    /// The log.
    #[error("cannot open the log")]
    Source(#[from] SourceError),
    /// The simulation.
    #[error("cannot start the simulation")]
    Simulate(#[from] SimulateError),
    /// The campaigns' key.
    #[error("cannot use the campaigns' key (`campaigns.public_key_file`)")]
    Campaigns(#[from] CampaignError),
    /// The TLS files.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The signing key.
    #[error("cannot read signing key {path}; it must be 64 hexadecimal digits (`signing_key_file`)")]
    SigningKey {
        /// Which file.
        path: PathBuf,
        /// Why, when it could not be read at all.
        source: Option<io::Error>,
    },
    /// The thread that opens all this ended.
    #[error("the starting thread failed")]
    Thread(#[from] tokio::task::JoinError),
}

/// A running agent.
#[derive(Debug, Clone)]
pub struct Handle {
    vehicle_id: VehicleId,
    catalog: Arc<Catalog>,
    shared: Arc<Shared>,
    campaigns: Arc<Desk>,
}

impl Handle {
    /// Whose agent it is.
    pub fn vehicle_id(&self) -> &VehicleId {
        &self.vehicle_id
    }

    /// What its column ids meant at the start; campaigns may add some since.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Where its campaign sets arrive.
    pub fn campaigns(&self) -> &Arc<Desk> {
        &self.campaigns
    }

    /// Its counts of now.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Waits until the source has ended and every batch is durable in the lake.
    pub async fn drained(&self) {
        loop {
            let settled = self.shared.settled.notified();
            tokio::pin!(settled);
            // Listening starts before looking, so no ring is missed.
            settled.as_mut().enable();
            let stats = self.stats();
            if stats.is_source_done && stats.batches_in_spool == 0 {
                return;
            }
            settled.await;
        }
    }
}

/// Everything opened, nothing running.
struct Opened {
    worker: Worker,
    uplink: Uplink,
    handle: Handle,
}

/// Opens everything and starts the agent's tasks.
pub async fn start(settings: Settings, tasks: &Tasks, clock: SharedClock) -> Result<Handle, StartError> {
    let stop = tasks.stop_token();
    let Opened { worker, uplink, handle } =
        tokio::task::spawn_blocking(move || open(settings, clock)).await??;
    let collect_stop = stop.clone();
    tasks.spawn("collect", async move {
        let stopped = collect_stop.clone();
        tokio::task::spawn_blocking(move || worker.run(&collect_stop)).await??;
        stopped.cancelled().await;
        Ok(())
    });
    if handle.campaigns.file().is_some() {
        tasks.spawn("campaign-file", campaigns::watch_file(Arc::clone(&handle.campaigns), stop.clone()));
    }
    tasks.spawn("uplink", uplink.run(stop));
    Ok(handle)
}

fn open(settings: Settings, clock: SharedClock) -> Result<Opened, StartError> {
    let decoder = decoder(&settings)?;
    let base_catalog = decoder.catalog().clone();
    let transport = Uplink::transport(&settings.uplink)?;
    let signer = settings.uplink.signing_key_file.as_deref().map(read_signing_key).transpose()?;

    let storage = DiskStorage::open(&settings.spool_folder)?;
    let mut spool = Spool::open(Box::new(storage), settings.spool)?;
    let is_replay = matches!(settings.source, SourceSettings::Replay(_));
    let desk = Arc::new(Desk::open(
        settings.vehicle_id.clone(),
        base_catalog.clone(),
        &settings.campaigns,
        &settings.spool_folder,
        if is_replay { TakesEffect::NextStart } else { TakesEffect::AtOnce },
    )?);
    let plan = desk.plan();
    let catalog = plan.as_ref().map_or_else(|| base_catalog.clone(), |p| p.catalog().clone());
    let encoded_catalog = catalog.encode();
    let catalog_hash = wire::catalog::hash_of(&encoded_catalog);
    spool.put_catalog(catalog_hash, &encoded_catalog)?;

    let boot_id = BootId(Uuid::new_v4());
    let mut identity = catalog_hash.as_bytes().to_vec();
    if let Some(plan) = &plan {
        identity.extend_from_slice(&plan.hash().0);
    }
    let source = open_source(&settings, &spool, &identity, &clock)?;
    let intervals: Vec<_> = decoder.columns().iter().map(|c| c.min_interval).collect();
    let min_interval = move |id: u32| intervals.get(id as usize).copied().flatten();
    let mut collector = Collector::new(&base_catalog, settings.collect, min_interval, source.resume_after);

    if let Some(plan) = plan {
        let spent = if is_replay { Spent::default() } else { desk.spent() };
        collector.install(Engine::new(plan, &spent), &mut Vec::new());
    }

    let shared = Arc::new(Shared::new(spool));
    let vehicle_id = settings.vehicle_id;
    let writer = BatchWriter::new(
        writer::Identity { vehicle_id: vehicle_id.clone(), boot_id, catalog_hash },
        source.streams,
        Arc::clone(&shared),
        Arc::clone(&clock),
    );
    let worker = Worker {
        source: source.source,
        decoder,
        collector,
        writer,
        keeper: source.keeper,
        shared: Arc::clone(&shared),
        clock: Arc::clone(&clock),
        campaigns: Campaigns::new(Arc::clone(&desk), !is_replay),
    };
    let uplink = Uplink {
        vehicle_id: vehicle_id.clone(),
        boot_id,
        campaigns: Arc::clone(&desk),
        settings: settings.uplink,
        signer,
        transport,
        shared: Arc::clone(&shared),
        clock,
    };
    let handle = Handle { vehicle_id, catalog: Arc::new(catalog), shared, campaigns: desk };
    Ok(Opened { worker, uplink, handle })
}

fn decoder(settings: &Settings) -> Result<MappedDecoder, StartError> {
    let dbcs: Vec<Dbc> =
        settings.dbcs.iter().map(|d| Dbc::from_bytes(&d.name, &d.bytes)).collect::<Result<_, _>>()?;
    let maps = settings.maps.iter().map(|m| {
        let text = std::str::from_utf8(&m.bytes).map_err(|_| StartError::MapText(m.name.clone()))?;
        Ok(SignalMap::parse(&m.name, text)?)
    });
    let maps: Vec<SignalMap> = maps.collect::<Result<_, StartError>>()?;
    Ok(MappedDecoder::new(Decoder::compile(&dbcs)?, &maps)?)
}

struct OpenedSource {
    source: Box<dyn Source + Send>,
    keeper: Keeper,
    streams: Streams,
    resume_after: [Option<Timestamp>; 3],
}

fn open_source(
    settings: &Settings,
    spool: &Spool,
    columns: &[u8],
    clock: &SharedClock,
) -> Result<OpenedSource, StartError> {
    match &settings.source {
        SourceSettings::Replay(replay) => {
            let log = std::io::Cursor::new(Arc::clone(&replay.log.bytes));
            let source = CandumpReader::new(replay.log.name.clone(), log)?;
            let ids = Lane::ALL.map(|lane| replay_stream(settings, replay, columns, lane));
            Ok(OpenedSource {
                source: Box::new(source),
                keeper: Keeper::replay(replay.pace, replay.shift_to),
                streams: Streams::Recorded(ids),
                resume_after: [None; 3],
            })
        }
        SourceSettings::Simulate(simulate) => {
            let resume_after = Lane::ALL.map(|lane| spool.last_time(lane));
            let collected = [Lane::Readings, Lane::Signals].map(|lane| spool.last_time(lane));
            // A lane that has nothing yet may lack all of it.
            let resume_from = collected.iter().copied().min().flatten();
            let resumed_to = resume_after.iter().flatten().max().copied();
            let source = Simulator::new(simulate, resume_from)?;
            Ok(OpenedSource {
                source: Box::new(source),
                keeper: Keeper::simulate(simulate, resumed_to, clock.as_ref()),
                streams: Streams::Live(Lane::ALL.map(|_| StreamId(Uuid::new_v4()))),
                resume_after,
            })
        }
    }
}

/// The stream of a recorded log: a function of everything its batches depend on (`columns`: the
/// catalogue and the campaigns), so that a second replay makes the same ones.
fn replay_stream(settings: &Settings, replay: &ReplaySettings, columns: &[u8], lane: Lane) -> StreamId {
    let mut source = Sha256::digest(&replay.log.bytes).to_vec();
    source.extend_from_slice(columns);
    source.extend_from_slice(lane.table().name().as_bytes());
    let collect = settings.collect;
    source.extend_from_slice(&service::clock::micros(collect.batch_interval).to_le_bytes());
    source.extend_from_slice(&service::clock::micros(collect.signal_interval).to_le_bytes());
    source.extend_from_slice(&replay.shift_to.map_or(i64::MIN, |t| t.0).to_le_bytes());
    StreamId::of_source(&settings.vehicle_id, &source)
}

fn read_signing_key(path: &std::path::Path) -> Result<BatchSigner, StartError> {
    let refused = |source| StartError::SigningKey { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(|e| refused(Some(e)))?;
    let digits = text.trim();
    let mut secret = [0_u8; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(refused(None));
    }
    for (i, byte) in secret.iter_mut().enumerate() {
        let pair = digits.get(2 * i..2 * i + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).map_err(|_| refused(None))?;
    }
    Ok(BatchSigner::from_secret(&secret))
}
