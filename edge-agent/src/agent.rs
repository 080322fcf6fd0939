//! The agent: one vehicle's source, decoder, collector, spool and uplink, started and counted.
//!
//! [`start`] opens everything that can be refused first; then two tasks run until they are
//! stopped: *collect*, a thread that pulls frames and appends batches to the spool, and
//! *uplink*, which sends them. They meet in the spool only. A replay or a simulation waits for
//! room in the spool; a live bus does not wait, the spool drops by its own order.

mod asks;
mod campaigns;
mod faults;
mod keys;
pub(crate) mod latest;
mod live;
mod open;
mod polling;
pub(crate) mod shared;
#[cfg(test)]
mod tests;
mod watch;
mod worker;
mod writer;

use std::{
    fs,
    io::{self, Read},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use service::{
    SharedClock, Tasks,
    responder::{ListenError, Responder},
};
use sha2::{Digest, Sha256};
use tracing::info;
use wire::{catalog::Catalog, ids::VehicleId, time::Timestamp};

use crate::{
    campaign::{CampaignError, Desk as CampaignDesk, desk::CampaignSettings},
    collect::CollectSettings,
    command::{CommandSettings, Desk, book::BookError},
    dbc::DbcError,
    decode::CompileDbcError,
    faults::FaultSettings,
    j1939::J1939Settings,
    map::MapError,
    obd::ValueReaderError,
    poll::PollSettings,
    simulate::{SimulateError, SimulateSettings},
    source::{LogReader, OwnFramesError, SourceError, replay::Pace},
    spool::{OpenFolderError, SpoolError, SpoolSettings},
    unit::{
        UnitSettings, http,
        state::{self, UnitCounts, UnitState},
    },
    uplink::{TlsError, UplinkSettings},
};
pub(crate) use keys::{KeyError, read_key, read_signing_key};
pub use live::{FrameFilter, LiveSettings};
use open::Opened;
pub(crate) use open::decoder;
use shared::Shared;
pub use shared::Stats;
use worker::CollectError;

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

/// A log to replay: a file, which is read as it is replayed however long it is, or bytes.
#[derive(Debug, Clone)]
pub enum ReplayLog {
    /// A file.
    File(PathBuf),
    /// Compiled in, or made.
    Bytes(NamedBytes),
}

impl From<NamedBytes> for ReplayLog {
    fn from(log: NamedBytes) -> Self {
        Self::Bytes(log)
    }
}

impl ReplayLog {
    pub(crate) fn open(&self) -> Result<LogReader, SourceError> {
        match self {
            Self::File(path) => LogReader::open(path),
            Self::Bytes(log) => LogReader::new(log.name.clone(), io::Cursor::new(Arc::clone(&log.bytes))),
        }
    }

    /// SHA-256 of its content.
    fn digest(&self) -> Result<[u8; 32], SourceError> {
        let path = match self {
            Self::Bytes(log) => return Ok(Sha256::digest(&log.bytes).into()),
            Self::File(path) => path,
        };
        let failed = |source| SourceError::Open { path: path.clone(), source };
        let (mut file, mut digest) = (fs::File::open(path).map_err(failed)?, Sha256::new());
        let mut piece = vec![0; 64 * 1024];
        loop {
            match file.read(&mut piece).map_err(failed)? {
                0 => return Ok(digest.finalize().into()),
                count => digest.update(piece.get(..count).unwrap_or_default()),
            }
        }
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

impl Settings {
    /// Of a vehicle, what its frames come from and mean, and a folder; all else at its default.
    pub fn new(
        vehicle_id: VehicleId,
        spool_folder: PathBuf,
        source: SourceSettings,
        (dbcs, maps): (Vec<NamedBytes>, Vec<NamedBytes>),
    ) -> Self {
        Self {
            vehicle_id,
            spool_folder,
            source,
            dbcs,
            maps,
            poll: None,
            collect: CollectSettings::default(),
            j1939: J1939Settings::default(),
            faults: FaultSettings::default(),
            campaigns: CampaignSettings::default(),
            spool: SpoolSettings::default(),
            uplink: UplinkSettings::default(),
            unit: UnitSettings::default(),
            commands: CommandSettings::default(),
        }
    }
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
    pub log: ReplayLog,
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
            refusal: self.shared.refusal(),
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

/// Opens everything and starts the agent's tasks.
pub async fn start(settings: Settings, tasks: &Tasks, clock: SharedClock) -> Result<Handle, StartError> {
    let stop = tasks.stop_token();
    let responder = match settings.unit.listen {
        Some(address) => {
            service::metrics::install();
            Some(Responder::bind(address, "unit.listen").await?)
        }
        None => None,
    };
    let Opened { worker, uplink, mut handle, inbox } =
        tokio::task::spawn_blocking(move || open::open(settings, clock)).await??;
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
        let of = handle.clone();
        let answer = move |path: String| http::answer(path, of.clone());
        tasks.spawn("loopback", responder.run(answer, stop));
    }
    Ok(handle)
}
