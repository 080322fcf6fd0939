//! Six vehicles that replay one drive, one for each rest of a shard by six, so that each of two and
//! each of three instances has some; and what the lake holds when nothing goes wrong.
#![allow(dead_code, reason = "shared by several test targets")]

use std::{io::Read, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use edge_agent::{
    agent::{self, NamedBytes, ReplaySettings, SourceSettings},
    source::replay::Pace,
};
use service::{Tasks, clock::SystemClock};
use tokio::sync::OnceCell;
use wire::ids::VehicleId;

use crate::{
    content::{Content, content},
    pipeline::{ingest_settings, real_car, root, within},
    programs::{Program, Replayed},
};

/// Lines of the recorded log that are replayed.
const LINES: usize = 60_000;
/// Seconds of the drive in them, about.
const DRIVE_S: f64 = 490.0;

/// The vehicles and what they replay.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) vehicles: Vec<VehicleId>,
    pub(crate) log: NamedBytes,
    /// Event time of a batch.
    batch_interval: Duration,
}

/// A plain generator of numbers, so that a seed says everything.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `of`.
    pub(crate) fn below(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % of
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A time below `of_ms` milliseconds.
    pub(crate) fn pause(&mut self, of_ms: u64) -> Duration {
        Duration::from_millis(self.below(of_ms))
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.index(i + 1));
        }
    }
}

/// Agents in this process.
pub(crate) struct Agents {
    pub(crate) handles: Vec<agent::Handle>,
    pub(crate) tasks: Tasks,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let vehicles = (0..6).map(|rest| {
            let mut named = (0..).map(|i| format!("car-{rest}-{i}").parse::<VehicleId>().unwrap());
            named.find(|id| id.shard() % 6 == rest).unwrap()
        });
        Self { vehicles: vehicles.collect(), log: drive(), batch_interval: BATCH_INTERVAL }
    }

    /// The same with batches of another length. All fleets of one test program have the same, as they
    /// share [`Fleet::undisturbed`].
    pub(crate) fn with_batches_of(interval: Duration) -> Self {
        Self { batch_interval: interval, ..Self::new() }
    }

    pub(crate) fn settings(
        &self,
        vehicle_id: &VehicleId,
        folder: &Path,
        broker: SocketAddr,
        pace: Pace,
    ) -> agent::Settings {
        let mut settings = real_car(&folder.join(format!("spool-{vehicle_id}")), broker, pace);
        settings.vehicle_id = vehicle_id.clone();
        settings.source =
            SourceSettings::Replay(ReplaySettings { log: self.log.clone().into(), pace, shift_to: None });
        settings.collect.batch_interval = self.batch_interval;
        settings.uplink.resend_after = Duration::from_secs(2);
        settings
    }

    /// Starts the agent of a vehicle as a process of its own, or starts it again.
    pub(crate) fn process(
        &self,
        vehicle_id: &VehicleId,
        folder: &Path,
        broker: SocketAddr,
        speed: &str,
    ) -> Program {
        let log = folder.join(&self.log.name);
        if !log.exists() {
            std::fs::write(&log, &self.log.bytes).unwrap();
        }
        let vehicle = Replayed {
            id: vehicle_id.as_str(),
            log: &log,
            dbcs: &["tests/data/css-car-obd-gnss/OBD-v4.4.dbc", "tests/data/css-car-obd-gnss/canmod-gps.dbc"],
            map: "configs/maps/css-car-obd-gnss.toml",
            speed,
            batch_interval: &format!("{}s", self.batch_interval.as_secs()),
        };
        Program::agent(folder, broker, &vehicle)
    }

    /// Starts an agent a vehicle; the drive takes `length`.
    pub(crate) async fn drive(&self, folder: &Path, broker: SocketAddr, length: Duration) -> Agents {
        self.start(folder, |_| broker, Pace::Recorded(DRIVE_S / length.as_secs_f64())).await
    }

    pub(crate) async fn start(
        &self,
        folder: &Path,
        broker: impl Fn(&VehicleId) -> SocketAddr,
        pace: Pace,
    ) -> Agents {
        self.start_with(folder, broker, pace, |_, _| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(
        &self,
        folder: &Path,
        broker: impl Fn(&VehicleId) -> SocketAddr,
        pace: Pace,
        change: impl Fn(&VehicleId, &mut agent::Settings),
    ) -> Agents {
        let (tasks, mut handles) = (Tasks::new(), Vec::new());
        for vehicle_id in &self.vehicles {
            let mut settings = self.settings(vehicle_id, folder, broker(vehicle_id), pace);
            change(vehicle_id, &mut settings);
            handles.push(agent::start(settings, &tasks, SystemClock::shared()).await.unwrap());
        }
        Agents { handles, tasks }
    }

    /// Batches of a whole drive of all, a little fewer than there are.
    pub(crate) fn batches(&self) -> u64 {
        (DRIVE_S / self.batch_interval.as_secs_f64()) as u64 * 2 * self.vehicles.len() as u64 * 9 / 10
    }

    /// What the lake holds after a run in which nothing happened.
    pub(crate) async fn undisturbed(&self) -> &'static Content {
        static CONTENT: OnceCell<Content> = OnceCell::const_new();
        CONTENT
            .get_or_init(|| async {
                let data = tempfile::tempdir().unwrap();
                let tasks = Tasks::new();
                let settings = ingest_settings(data.path());
                let ingest = ingest::start(settings, &tasks, SystemClock::shared()).await.unwrap();
                ingest.connected().await;
                let broker = ingest.broker_address().unwrap();
                let agents = self.start(data.path(), |_| broker, Pace::FlatOut).await;
                agents.drained().await;
                agents.stop().await;
                ingest.stop(Duration::from_secs(30)).await.unwrap();
                tasks.stop(Duration::from_secs(30)).await.unwrap();
                let content = content(&data.path().join("lake")).await;
                assert!(content.rows > 10_000, "{content:?}");
                content
            })
            .await
    }
}

/// Usual event time of a batch: short, so that there are many.
pub(crate) const BATCH_INTERVAL: Duration = Duration::from_secs(5);

impl Agents {
    /// Batches covered by a durable ack.
    pub(crate) fn acked(&self) -> u64 {
        self.handles.iter().map(|a| a.stats().batches_acked).sum()
    }

    /// Waits until so many batches are durable.
    pub(crate) async fn until_acked(&self, batches: u64) {
        within(&format!("{batches} durable acks"), async {
            while self.acked() < batches {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until everything is durable; nothing may have been dropped.
    pub(crate) async fn drained(&self) {
        for agent in &self.handles {
            within("an agent drained", agent.drained()).await;
            assert_eq!(agent.stats().samples_dropped_total(), 0);
        }
    }

    pub(crate) async fn stop(self) {
        self.tasks.stop(Duration::from_secs(10)).await.unwrap();
    }
}

/// The beginning of the real car's log.
fn drive() -> NamedBytes {
    let path = root().join("tests/data/css-car-obd-gnss/00000164.candump.log.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let beginning: String = text.split_inclusive('\n').take(LINES).collect();
    NamedBytes { name: "drive.log".to_owned(), bytes: Arc::from(beginning.into_bytes()) }
}
