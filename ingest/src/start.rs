//! Starting ingest: bind first, then read the lake, then receive.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use lake::{
    Lake, OpenLakeError,
    store::{LakeLock, LockError},
};
use mqtt::Broker;
use service::{
    SharedClock, Tasks,
    config::Secret,
    health::{Health, State},
    logs::chain,
    responder::{ListenError, Probes},
    tasks::StopError,
};
use tokio::sync::{broadcast, mpsc, watch};
use wire::last_state::LastState;

use crate::{
    broker::{self, BrokerError},
    commit::{Committer, CommitterError},
    config::{BrokerSettings, ExternalBroker, Settings},
    downlink::Downlinks,
    intake::Intake,
    keys::DeviceKeys,
    last_state::{
        LastStates,
        shared::{self, SharedStateError, SharedStates},
    },
    maintenance::Maintenance,
    pipeline::{Counters, FlushPolicy, Pipeline, Stats},
    pressure::{Held, Pressure},
    telling::Telling,
    verify::Verifier,
};

/// What `/ready` tells of: subscribed at the broker, and the lake takes commits.
const BROKER_PART: &str = "broker";
const LAKE_PART: &str = "lake";

/// Why ingest cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The embedded broker.
    #[error("cannot start the embedded broker")]
    Broker(#[from] BrokerError),
    /// Health and metrics.
    #[error("cannot answer by HTTP")]
    Http(#[from] ListenError),
    /// The lake's place.
    #[error("cannot open the lake")]
    Lake(#[from] OpenLakeError),
    /// Somebody else needs the lake without writers for a while.
    #[error("cannot take the lake for writing")]
    Lock(#[from] LockError),
    /// Where last states are shared.
    #[error("cannot share last states")]
    LastStates(#[from] SharedStateError),
    /// The lake's tables.
    #[error("cannot prepare the lake for writing")]
    Committer(#[from] CommitterError),
}

/// A running ingest.
#[derive(Debug, Clone)]
pub struct Handle {
    broker: Option<SocketAddr>,
    counters: Arc<Counters>,
    lines: Lines,
    intake: Tasks,
    pipeline: Tasks,
    telling: Tasks,
    maintenance: Tasks,
    changes: broadcast::Sender<Arc<LastState>>,
    probes: Option<Probes>,
    _lock: Arc<LakeLock>,
}

/// Starts ingest; its address is that of the embedded broker, if it has one.
pub async fn start(settings: Settings, tasks: &Tasks, clock: SharedClock) -> Result<Handle, StartError> {
    let lines = Lines::default();
    let lake_held = Arc::new(OnceLock::new());
    let probes = match settings.http {
        Some(http) => {
            let look = readiness(lines.clone(), Arc::clone(&lake_held));
            Some(Probes::start(http, &Health::default(), tasks, look).await?)
        }
        None => None,
    };
    let lake = Lake::create_at(&settings.lake).await?;
    let lock = Arc::new(lake.lock_as_writer()?);
    let (address, broker) = match settings.broker {
        BrokerSettings::Embedded { listen, memory_bytes_max } => {
            let address = broker::start_embedded(listen, memory_bytes_max)?;
            let broker = Broker::plain(address.ip().to_string(), address.port());
            // Enough for the vehicles that it bears (docs/brokers.md).
            let reach = ExternalBroker { broker, connections: 1 };
            (Some(address), reach)
        }
        BrokerSettings::External(broker) => (None, broker),
    };
    let committer = Committer::claim(&lake, settings.share, clock.clone()).await?;
    tracing::info!(share = %settings.share, "shards claimed");
    // One of the instances is enough, and more would be in each other's way.
    let is_maintainer = settings.maintenance.is_enabled && settings.share.is_first();
    let maintenance =
        is_maintainer.then(|| Maintenance::new(lake.clone(), settings.maintenance, clock.clone()));
    let (last_states, sharing) = last_states(settings.last_state_url.as_ref()).await?;
    let keys = DeviceKeys::new(settings.device_keys_dir);
    let verifier = Verifier::new(lake, keys, settings.signatures, settings.clock_ahead_max);
    let counters = Arc::new(Counters::default());
    let (pressure, gate) = Pressure::new(settings.wait, clock.clone());
    // The lake has been opened and claimed: from now on it is as ready as its commits are.
    lake_held.get_or_init(|| gate.held());
    let ExternalBroker { broker, connections } = broker;
    let parts = settings.share.parts(connections);
    let downlinks = Downlinks::new(settings.share, parts.len());
    let changes = last_states.changes();
    let pipeline = Pipeline {
        verifier,
        committer,
        last_states,
        downlinks: downlinks.clone(),
        policy: FlushPolicy {
            interval: settings.flush_interval,
            bytes: settings.flush_bytes.min(settings.buffer_bytes_max),
        },
        counters: Arc::clone(&counters),
        pressure,
        clock,
    };
    let (queue_in, queue_out) = mpsc::channel(settings.intake_queue_len_max);
    // Groups: on a stop intake closes first, then the pipeline commits what it has, then vehicles are told.
    let (intake_tasks, pipeline_tasks, maintenance_tasks) = (tasks.group(), tasks.group(), tasks.group());
    let telling_tasks = tasks.group();
    let stop = pipeline_tasks.stop_token();
    pipeline_tasks.spawn("ingest pipeline", pipeline.run(queue_out, stop));
    for (part, downlink) in parts.into_iter().zip(downlinks.parts()) {
        let telling = Telling::new(&broker, part, downlink.clone());
        telling_tasks.spawn("ingest acks", telling.run(lines.add(), telling_tasks.stop_token()));
        let intake = Intake::new(&broker, part, downlink.clone(), gate.clone(), Arc::clone(&counters));
        let stop = intake_tasks.stop_token();
        intake_tasks.spawn("ingest intake", intake.run(queue_in.clone(), lines.add(), stop));
    }
    drop(queue_in);
    if let Some((shared, queue)) = sharing {
        let stop = pipeline_tasks.stop_token();
        pipeline_tasks.spawn("last states", shared.run(queue, stop));
    }
    if let Some(maintenance) = maintenance {
        let stop = maintenance_tasks.stop_token();
        maintenance_tasks.spawn("lake maintenance", maintenance.run(stop));
    }
    Ok(Handle {
        broker: address,
        counters,
        lines,
        intake: intake_tasks,
        pipeline: pipeline_tasks,
        telling: telling_tasks,
        maintenance: maintenance_tasks,
        changes,
        probes,
        _lock: lock,
    })
}

/// The connections to the broker, and which of them are good.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<watch::Receiver<bool>>>>);

impl Lines {
    /// One more; what is sent is whether it is good.
    fn add(&self) -> watch::Sender<bool> {
        let (is_good, watched) = watch::channel(false);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watched);
        is_good
    }

    fn all(&self) -> Vec<watch::Receiver<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether all of them are, and there are any.
    fn are_good(&self) -> bool {
        let lines = self.all();
        !lines.is_empty() && lines.iter().all(|line| *line.borrow())
    }

    /// Waits until each has come to be.
    async fn wait(&self) {
        for mut line in self.all() {
            // An error means that the connection's task has ended, which the supervisor reports.
            drop(line.wait_for(|is| *is).await);
        }
    }
}

/// Sets the parts as they are when somebody asks.
fn readiness(lines: Lines, lake_held: Arc<OnceLock<Held>>) -> impl Fn(&Health) {
    move |health| {
        let broker = match lines.are_good() {
            true => State::Ready,
            false => State::Starting("the broker's grant of all subscriptions".to_owned()),
        };
        let lake = match lake_held.get().map(Held::closed_for) {
            None => State::Starting("its share of the lake".to_owned()),
            Some(None) => State::Ready,
            Some(Some(held)) => State::Failing(format!("takes no commit since {} s", held.as_secs())),
        };
        health.set(BROKER_PART, broker);
        health.set(LAKE_PART, lake);
    }
}

/// What is known so far, and where changes go beyond this process.
type Sharing = Option<(SharedStates, mpsc::Receiver<Arc<LastState>>)>;

async fn last_states(url: Option<&Secret>) -> Result<(LastStates, Sharing), StartError> {
    let Some(url) = url else { return Ok((LastStates::new(), None)) };
    let shared = SharedStates::new(url)?;
    let known = shared.load().await.unwrap_or_else(|error| {
        tracing::warn!(error = %chain(&error), "last states of before are not known");
        Vec::new()
    });
    let (queue_in, queue_out) = mpsc::channel(shared::QUEUE_LEN_MAX);
    Ok((LastStates::new().with_shared(known, queue_in), Some((shared, queue_out))))
}

impl Handle {
    /// Every change of a vehicle's last known state, from now on.
    pub fn last_state_changes(&self) -> broadcast::Receiver<Arc<LastState>> {
        self.changes.subscribe()
    }

    /// Where the embedded broker listens.
    pub fn broker_address(&self) -> Option<SocketAddr> {
        self.broker
    }

    /// Where health and metrics are answered, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref().map(Probes::address)
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Whether it is subscribed at the broker, and can tell vehicles.
    pub fn is_connected(&self) -> bool {
        self.lines.are_good()
    }

    /// Waits until it is.
    pub async fn connected(&self) {
        self.lines.wait().await;
    }

    /// Says so at `/ready`, closes intake, commits what is buffered, tells vehicles of it, ends.
    pub async fn stop(&self, grace: Duration) -> Result<(), StopError> {
        if let Some(probes) = &self.probes {
            probes.leave().await;
        }
        self.intake.stop(grace).await?;
        self.pipeline.stop(grace).await?;
        self.telling.stop(grace).await?;
        self.maintenance.stop(grace).await?;
        match &self.probes {
            Some(probes) => probes.close(grace).await,
            None => Ok(()),
        }
    }
}
