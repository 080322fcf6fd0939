//! The agent: one vehicle's source, decoder, collector, spool and uplink, started and counted.
//!
//! [`start`] opens everything that can be refused first; then two tasks run until they are
//! stopped: *collect*, a thread that pulls frames and appends batches to the spool, and
//! *uplink*, which sends them. They meet in the spool only. A replay or a simulation waits for
//! room in the spool; a live bus does not wait, the spool drops by its own order.

mod asks;
mod campaigns;
mod faults;
pub(crate) mod latest;
mod live;
mod polling;
pub(crate) mod shared;
#[cfg(test)]
mod tests;
mod watch;
mod worker;
mod writer;

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use service::{SharedClock, Tasks};
use sha2::{Digest, Sha256};
use tracing::info;
use uuid::Uuid;
use wire::{
    catalog::Catalog,
    ids::{BootId, StreamId, VehicleId},
    signature::BatchSigner,
    time::Timestamp,
};

use crate::{
    campaign::{
        CampaignError, Desk as CampaignDesk, Spent,
        desk::{CampaignSettings, TakesEffect},
        engine::Engine,
    },
    collect::{CollectSettings, Collector},
    command::{self, CommandSettings, Desk, DiagnosticPort, Inbox, NoDiagnostics, book::BookError},
    dbc::{Dbc, DbcError},
    decode::{CompileDbcError, Decoder},
    faults::FaultSettings,
    j1939::J1939Settings,
    map::{MapError, MappedDecoder, SignalMap},
    obd::{self, ValueReaderError},
    poll::PollSettings,
    simulate::{SimulateError, SimulateSettings, Simulator},
    source::{LogReader, OwnFramesError, Source, SourceError, replay::Pace},
    spool::{DiskStorage, Lane, OpenFolderError, Spool, SpoolError, SpoolSettings},
    unit::{
        UnitSettings,
        http::{ListenError, Responder},
        state::{self, UnitCounts, UnitState},
    },
    uplink::{TlsError, Uplink, UplinkSettings},
};
use campaigns::Campaigns;
use faults::FaultWatch;
use live::OwnFiles;
pub use live::{FrameFilter, LiveSettings};
use polling::Polling;
use shared::Shared;
pub use shared::Stats;
use watch::SourceWatch;
use worker::{CollectError, Keeper, Worker};
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
    /// What the vehicle is asked; `None` and nothing is ever transmitted.
    pub poll: Option<PollSettings>,
    /// How they are collected.
    pub collect: CollectSettings,
    /// How J1939 is listened to.
    pub j1939: J1939Settings,
    /// How faults are followed.
    pub faults: FaultSettings,
    /// Campaigns beside the default collection.
    pub campaigns: CampaignSettings,
    /// Bounds of the spool.
    pub spool: SpoolSettings,
    /// Where batches go.
    pub uplink: UplinkSettings,
    /// What is shown on the unit.
    pub unit: UnitSettings,
    /// What the cloud may ask of it.
    pub commands: CommandSettings,
}

/// Where frames come from.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    /// A recorded log.
    Replay(ReplaySettings),
    /// A vehicle that is computed.
    Simulate(SimulateSettings),
    /// Live buses, and what is beside them.
    Live(LiveSettings),
}

/// A recorded log and how it is replayed.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The log, candump, ASC or BLF, gzip or not.
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
    /// The descriptions that polling needs.
    #[error("cannot set up polling")]
    Poll(#[from] ValueReaderError),
    /// The campaigns' key.
    #[error("cannot use the campaigns' key (`campaigns.public_key_file`)")]
    Campaigns(#[from] CampaignError),
    /// The TLS files.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The agent's own frames.
    #[error("cannot make the agent's own frames")]
    OwnFrames(#[from] OwnFramesError),
    /// A live source.
    #[error("cannot start the live sources")]
    Live(#[source] io::Error),
    /// The signing key.
    #[error("cannot read signing key {path}; it must be 64 hexadecimal digits (`signing_key_file`)")]
    SigningKey {
        /// Which file.
        path: PathBuf,
        /// Why, when it could not be read at all.
        source: Option<io::Error>,
    },
    /// What is known of earlier commands.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The responder on loopback.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    clock: SharedClock,
    address: Option<SocketAddr>,
    desk: Option<Arc<Desk>>,
    campaigns: Arc<CampaignDesk>,
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

    /// Where it answers on loopback, when it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits until a command asks for the agent to be started again.
    pub async fn restart_asked(&self) {
        match &self.desk {
            Some(desk) => desk.restart.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Which part has made no progress for longer than that, if any.
    pub fn stalled(&self, longer_than: Duration) -> Option<&'static str> {
        self.shared.stalled(self.clock.monotonic_us(), longer_than)
    }

    /// What it shows of itself. Locks the spool for a moment.
    pub fn state(&self) -> UnitState {
        let stats = self.stats();
        UnitState {
            vehicle_id: self.vehicle_id.to_string(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            now: Timestamp(self.clock.now_us()),
            monotonic_us: self.clock.monotonic_us(),
            link: stats.link,
            counts: UnitCounts::of(&stats),
            signals: state::signals(&self.catalog, &self.shared.latest.rows()),
        }
    }

    /// Where its campaign sets arrive.
    pub fn campaigns(&self) -> &Arc<CampaignDesk> {
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
    inbox: Option<Inbox>,
}

/// Opens everything and starts the agent's tasks.
pub async fn start(settings: Settings, tasks: &Tasks, clock: SharedClock) -> Result<Handle, StartError> {
    let stop = tasks.stop_token();
    let responder = match settings.unit.listen {
        Some(address) => {
            service::metrics::install();
            Some(Responder::bind(address).await?)
        }
        None => None,
    };
    let Opened { worker, uplink, mut handle, inbox } =
        tokio::task::spawn_blocking(move || open(settings, clock)).await??;
    let collect_stop = stop.clone();
    tasks.spawn("collect", async move {
        let stopped = collect_stop.clone();
        tokio::task::spawn_blocking(move || {
            let shared = Arc::clone(&worker.shared);
            worker.run(&collect_stop)?;
            // What was collected outlives a power cut that follows the stop.
            shared.spool().sync().map_err(SpoolError::Append).map_err(CollectError::from)
        })
        .await??;
        stopped.cancelled().await;
        Ok(())
    });
    if handle.campaigns.file().is_some() {
        tasks.spawn("campaign-file", campaigns::watch_file(Arc::clone(&handle.campaigns), stop.clone()));
    }
    tasks.spawn("uplink", uplink.run(stop.clone()));
    if let (Some(desk), Some(inbox)) = (&handle.desk, inbox) {
        tasks.spawn("commands", Arc::clone(desk).run(inbox, stop.clone()));
    }
    if let Some(responder) = responder {
        info!(address = %responder.address(), "answering on loopback");
        handle.address = Some(responder.address());
        tasks.spawn("loopback", responder.run(handle.clone(), stop));
    }
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
    let campaigns = Arc::new(CampaignDesk::open(
        settings.vehicle_id.clone(),
        base_catalog.clone(),
        &settings.campaigns,
        &settings.spool_folder,
        if is_replay { TakesEffect::NextStart } else { TakesEffect::AtOnce },
    )?);
    let plan = campaigns.plan();
    let catalog = plan.as_ref().map_or_else(|| base_catalog.clone(), |p| p.catalog().clone());
    let encoded_catalog = catalog.encode();
    let catalog_hash = wire::catalog::hash_of(&encoded_catalog);
    spool.put_catalog(catalog_hash, &encoded_catalog)?;

    let boot_id = BootId(Uuid::new_v4());
    let mut identity = catalog_hash.as_bytes().to_vec();
    if let Some(plan) = &plan {
        identity.extend_from_slice(&plan.hash().0);
    }
    let mut source = open_source(&settings, &spool, &decoder, &identity, &clock)?;
    let polling = match &settings.poll {
        Some(poll) => Polling::open(poll.clone(), &mut source.source, &decoder)?,
        None => None,
    };
    let (polling, port) = polling.unzip();
    let intervals: Vec<_> = decoder.columns().iter().map(|c| c.min_interval).collect();
    let min_interval = move |id: u32| intervals.get(id as usize).copied().flatten();
    let mut collector = Collector::new(&base_catalog, settings.collect, min_interval, source.resume_after);
    if let Some(plan) = plan {
        let spent = if is_replay { Spent::default() } else { campaigns.spent() };
        collector.install(Engine::new(plan, &spent), &mut Vec::new());
    }
    let faults = FaultWatch::new(
        &base_catalog,
        decoder.decoder(),
        (&settings.j1939, settings.faults),
        source.resume_after[Lane::Diagnostics.index()],
    );

    let shared = Arc::new(Shared::new(spool));
    let vehicle_id = settings.vehicle_id;
    let desk = match settings.commands.verifier {
        Some(_) => {
            let book = command::open_book(&settings.spool_folder, &clock)?;
            let port: Arc<dyn DiagnosticPort> = match port {
                Some(port) => Arc::new(port),
                None => Arc::new(NoDiagnostics),
            };
            Desk::new(settings.commands, vehicle_id.clone(), book, port, Arc::clone(&clock))
        }
        None => None,
    };
    let (desk, inbox) = desk.unzip();
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
        faults,
        writer,
        keeper: source.keeper,
        watch: SourceWatch::default(),
        counted_at: Timestamp::default(),
        polling,
        shared: Arc::clone(&shared),
        clock: Arc::clone(&clock),
        campaigns: Campaigns::new(Arc::clone(&campaigns), !is_replay),
    };
    let uplink = Uplink {
        vehicle_id: vehicle_id.clone(),
        boot_id,
        campaigns: Arc::clone(&campaigns),
        settings: settings.uplink,
        signer,
        transport,
        desk: desk.clone(),
        shared: Arc::clone(&shared),
        clock: Arc::clone(&clock),
    };
    let handle =
        Handle { vehicle_id, catalog: Arc::new(catalog), shared, clock, address: None, desk, campaigns };
    Ok(Opened { worker, uplink, handle, inbox })
}

pub(crate) fn decoder(settings: &Settings) -> Result<MappedDecoder, StartError> {
    let own = match &settings.source {
        SourceSettings::Live(live) => live.own_files(),
        SourceSettings::Replay(_) | SourceSettings::Simulate(_) => OwnFiles::default(),
    };
    let dbcs = settings.dbcs.iter().chain(&own.dbcs);
    let mut dbcs: Vec<Dbc> = dbcs.map(|d| Dbc::from_bytes(&d.name, &d.bytes)).collect::<Result<_, _>>()?;
    let parse = |m: &NamedBytes| {
        let text = std::str::from_utf8(&m.bytes).map_err(|_| StartError::MapText(m.name.clone()))?;
        Ok(SignalMap::parse(&m.name, text)?)
    };
    let mut maps: Vec<SignalMap> = settings.maps.iter().map(parse).collect::<Result<_, StartError>>()?;
    for map in &own.maps {
        // What a map of the user's takes from a bus stays there.
        maps.extend(parse(map)?.yielding_to(&maps));
    }
    if settings.poll.as_ref().is_some_and(|poll| !poll.pids.is_empty()) {
        add_obd(&mut dbcs, &mut maps)?;
    }
    Ok(MappedDecoder::new(Decoder::compile(&dbcs)?, &maps)?)
}

/// What answers to OBD requests mean; signals that a map of the vehicle's own has stay its own.
fn add_obd(dbcs: &mut Vec<Dbc>, maps: &mut Vec<SignalMap>) -> Result<(), StartError> {
    let (dbc, map) = (obd::dbc(), obd::map());
    let text = std::str::from_utf8(&map.bytes).map_err(|_| StartError::MapText(map.name.clone()))?;
    maps.extend(SignalMap::parse(&map.name, text)?.yielding_to(maps));
    dbcs.push(Dbc::from_bytes(&dbc.name, &dbc.bytes)?);
    Ok(())
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
    decoder: &MappedDecoder,
    columns: &[u8],
    clock: &SharedClock,
) -> Result<OpenedSource, StartError> {
    match &settings.source {
        SourceSettings::Live(live) => Ok(OpenedSource {
            source: live.open(decoder.decoder(), &settings.spool_folder, clock)?,
            keeper: Keeper::Live,
            streams: Streams::Live(Lane::ALL.map(|_| StreamId(Uuid::new_v4()))),
            resume_after: [None; 3],
        }),
        SourceSettings::Replay(replay) => {
            let log = std::io::Cursor::new(Arc::clone(&replay.log.bytes));
            let source = LogReader::new(replay.log.name.clone(), log)?;
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
    if lane == Lane::Diagnostics {
        source.extend_from_slice(format!("{:?} {:?}", settings.j1939, settings.faults).as_bytes());
    }
    StreamId::of_source(&settings.vehicle_id, &source)
}

/// A key of 32 bytes, written as 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("cannot read key {path}; it must be 64 hexadecimal digits")]
pub(crate) struct KeyError {
    path: PathBuf,
    source: Option<io::Error>,
}

pub(crate) fn read_key(path: &std::path::Path) -> Result<[u8; 32], KeyError> {
    let refused = |source| KeyError { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(|e| refused(Some(e)))?;
    let digits = text.trim();
    let mut key = [0_u8; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(refused(None));
    }
    for (i, byte) in key.iter_mut().enumerate() {
        let pair = digits.get(2 * i..2 * i + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).map_err(|_| refused(None))?;
    }
    Ok(key)
}

pub(crate) fn read_signing_key(path: &std::path::Path) -> Result<BatchSigner, StartError> {
    let key = read_key(path).map_err(|KeyError { path, source }| StartError::SigningKey { path, source })?;
    Ok(BatchSigner::from_secret(&key))
}
