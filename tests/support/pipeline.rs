//! The pipeline for whole-path tests: ingest, analytics and api on free ports over a temporary
//! folder, agents beside them, and a small HTTP client.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is the message")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use analytics::{Analytics, LakeLocation};
use edge_agent::{
    agent::{self, NamedBytes, ReplaySettings, SourceSettings},
    campaign::desk::CampaignSettings,
    collect::CollectSettings,
    command::CommandSettings,
    simulate::{self, Powertrain, SimulateSettings},
    source::replay::Pace,
    spool::SpoolSettings,
    unit::UnitSettings,
    uplink::UplinkSettings,
};
use service::{SharedClock, Tasks, clock::SystemClock, config::Loaded, health::Health};
use wire::{ids::VehicleId, time::Timestamp};

pub const REAL_CAR: &str = "car-3ba199e2";
/// Longest any step of a test may take; reaching it is a failure, not a wait.
pub const PATIENCE: Duration = Duration::from_secs(240);

pub struct Pipeline {
    pub ingest: ingest::Handle,
    pub analytics: Analytics,
    pub api: api::Handle,
    pub tasks: Tasks,
    pub clock: SharedClock,
    pub data: PathBuf,
}

pub fn ingest_settings(data: &Path) -> ingest::Settings {
    let mut config =
        ingest::Config { lake: LakeLocation::Folder(data.join("lake")), ..ingest::Config::default() };
    config.broker.embedded_listen = "127.0.0.1:0".to_owned();
    ingest::Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap()
}

impl Pipeline {
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, |_| {}).await
    }

    /// With other settings of ingest. The lake is where they say, for analytics too.
    pub async fn start_with(data: &Path, change: impl FnOnce(&mut ingest::Settings)) -> Self {
        Self::start_with_api(data, change, |_, _| {}).await
    }

    /// And with another configuration of the api, which may name the broker.
    pub async fn start_with_api(
        data: &Path,
        change: impl FnOnce(&mut ingest::Settings),
        change_api: impl FnOnce(&mut api::Config, Option<SocketAddr>),
    ) -> Self {
        let (tasks, clock) = (Tasks::new(), SystemClock::shared());
        let mut settings = ingest_settings(data);
        change(&mut settings);
        let lake = settings.lake.clone();
        let ingest = ingest::start(settings, &tasks, clock.clone()).await.unwrap();
        let mut settings = analytics::Settings::for_lake(lake);
        settings.parameters.silence = Duration::from_secs(3);
        let handle = analytics::start(settings, &tasks, clock.clone(), &Health::default()).await.unwrap();
        analytics::live::follow_ingest(&handle.analytics, ingest.last_state_changes(), &tasks);
        let mut config = api::Config { listen: "127.0.0.1:0".to_owned(), ..api::Config::default() };
        config.database = Some(data.join("api.db").into());
        change_api(&mut config, ingest.broker_address());
        let settings = api::Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap();
        let api =
            api::start(settings, &tasks, clock.clone(), Arc::new(handle.analytics.clone())).await.unwrap();
        ingest.connected().await;
        Self { ingest, analytics: handle.analytics, api, tasks, clock, data: data.to_owned() }
    }

    pub fn broker(&self) -> SocketAddr {
        self.ingest.broker_address().unwrap()
    }

    pub async fn agent(&self, settings: agent::Settings) -> agent::Handle {
        agent::start(settings, &self.tasks, self.clock.clone()).await.unwrap()
    }

    /// The first value of a query's first row.
    pub async fn number(&self, query: &str) -> f64 {
        let result = self.analytics.sql(query, 10).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        result.rows[0][0].as_f64().unwrap_or_else(|| panic!("{query}: {:?}", result.rows[0]))
    }

    /// Waits until every reading is derived, no trip is open, and the api has followed.
    pub async fn settled(&self) {
        within("trips derived and billed", async {
            loop {
                let readings = self.version_of("readings").await;
                let progress = *self.analytics.progress().borrow();
                let is_derived = progress.readings_version >= readings && progress.open_trip_count == 0;
                // Asked for after the progress: the trips of that progress are in it.
                let trips = self.version_of("trips").await;
                if is_derived && trips > 0 && self.api.followed_version().await.unwrap() >= trips {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
    }

    /// The newest version of a table; -1 before there is one.
    async fn version_of(&self, table: &str) -> i64 {
        let result = self.analytics.sql(&format!("SELECT count(*) FROM {table}"), 1).await.unwrap();
        result.lake_versions.get(table).copied().unwrap_or(-1)
    }

    pub async fn stop(self) {
        self.ingest.stop(Duration::from_secs(30)).await.unwrap();
        self.tasks.stop(Duration::from_secs(30)).await.unwrap();
    }

    /// `POST path` of the api, as JSON; it must make something.
    pub async fn post(&self, path: &str, body: serde_json::Value) -> serde_json::Value {
        let (address, path) = (self.api.addr, path.to_owned());
        let posting = tokio::task::spawn_blocking(move || http_post(address, &path, &body));
        let (status, body) = posting.await.unwrap();
        assert_eq!(status, 201, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        within(path, async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }

    /// `GET path` of the api, as JSON.
    pub async fn get(&self, path: &str) -> serde_json::Value {
        let (address, path) = (self.api.addr, path.to_owned());
        let (status, body) = tokio::task::spawn_blocking(move || http_get(address, &path)).await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// A plain HTTP/1.1 POST of JSON under a key of its own: status and body.
pub fn http_post(address: SocketAddr, path: &str, body: &serde_json::Value) -> (u16, String) {
    let (body, key) = (body.to_string(), uuid::Uuid::new_v4());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Fails the test when `work` takes longer than [`PATIENCE`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} took over {PATIENCE:?}"))
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn named(path: &str) -> NamedBytes {
    NamedBytes::open(&root().join(path)).unwrap()
}

/// An agent that replays the real car's log.
pub fn real_car(spool: &Path, broker: SocketAddr, pace: Pace) -> agent::Settings {
    let log = named("tests/data/css-car-obd-gnss/00000164.candump.log.gz");
    agent::Settings {
        vehicle_id: REAL_CAR.parse().unwrap(),
        spool_folder: spool.to_owned(),
        source: SourceSettings::Replay(ReplaySettings { log: log.into(), pace, shift_to: None }),
        dbcs: vec![
            named("tests/data/css-car-obd-gnss/OBD-v4.4.dbc"),
            named("tests/data/css-car-obd-gnss/canmod-gps.dbc"),
        ],
        maps: vec![named("configs/maps/css-car-obd-gnss.toml")],
        poll: None,
        collect: CollectSettings::default(),
        j1939: edge_agent::j1939::J1939Settings::default(),
        faults: edge_agent::faults::FaultSettings::default(),
        campaigns: CampaignSettings::default(),
        spool: SpoolSettings::default(),
        uplink: uplink(broker),
        unit: UnitSettings::default(),
        commands: CommandSettings::default(),
    }
}

/// An agent whose vehicle is computed, from `start` for `length`, as fast as it goes.
pub fn simulated(
    vehicle_id: &str,
    spool: &Path,
    broker: SocketAddr,
    start: Timestamp,
    length: Duration,
) -> agent::Settings {
    let vehicle_id: VehicleId = vehicle_id.parse().unwrap();
    let seed = u64::from(vehicle_id.shard());
    let powertrain = if seed % 2 == 0 { Powertrain::Combustion } else { Powertrain::Battery };
    let simulate = SimulateSettings {
        track: simulate::tracks().remove(1),
        powertrain,
        seed,
        start_time: start,
        speed: 100_000.0,
        until: Some(start.plus_us(i64::try_from(length.as_micros()).unwrap())),
    };
    agent::Settings {
        vehicle_id,
        spool_folder: spool.to_owned(),
        source: SourceSettings::Simulate(simulate),
        dbcs: vec![simulate::dbc()],
        maps: vec![simulate::map(powertrain)],
        poll: None,
        collect: CollectSettings::default(),
        j1939: edge_agent::j1939::J1939Settings::default(),
        faults: edge_agent::faults::FaultSettings::default(),
        campaigns: CampaignSettings::default(),
        spool: SpoolSettings::default(),
        uplink: uplink(broker),
        unit: UnitSettings::default(),
        commands: CommandSettings::default(),
    }
}

fn uplink(broker: SocketAddr) -> UplinkSettings {
    UplinkSettings {
        host: broker.ip().to_string(),
        port: broker.port(),
        resend_after: Duration::from_secs(3),
        ..UplinkSettings::default()
    }
}

/// A plain HTTP/1.1 GET: status and body.
pub fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    try_http_get(address, path).unwrap()
}

/// The same of a server that may be gone.
pub fn try_http_get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return Ok((status, body.to_owned()));
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    Ok((status, whole))
}
