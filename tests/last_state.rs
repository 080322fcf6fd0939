//! What is known of a vehicle now is told long before it is in the lake: in one process, and by
//! Redis between processes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/pipeline.rs"]
mod pipeline;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use analytics::{Analytics, row::VehicleState};
use ingest::last_state::shared::SharedStates;
use pipeline::{Pipeline, ingest_settings, simulated, within};
use service::{Tasks, clock::SystemClock, config::Secret};
use wire::{last_state::LastState, readings::column_by_name, time::Timestamp};

/// Nothing of a test is in the lake before it is over.
const NEVER: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(20);
/// A vehicle that is parked tells its state every 30 s of the clock: the last of a drive is in these.
const LAST_US: i64 = 30_000_000;

/// A redis-server of the test's own, which keeps nothing on disk.
struct Redis {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        for _ in 0..20 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let redis = Self { process: Self::run(address, folder.path()), address, folder };
            if let Some(redis) = redis.answering() {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    fn run(address: SocketAddr, folder: &Path) -> Child {
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(address.port().to_string())
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed for this test; scripts/setup --tests installs it")
    }

    /// Itself once it answers; nothing when it has ended, as it does when its port is taken.
    fn answering(mut self) -> Option<Self> {
        while self.process.try_wait().unwrap().is_none() {
            if let Ok(mut stream) = TcpStream::connect(self.address) {
                let mut answer = [0; 7];
                stream.write_all(b"PING\r\n").unwrap();
                if stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n" {
                    return Some(self);
                }
            }
            std::thread::sleep(STEP);
        }
        None
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Again on the same port, knowing nothing.
    fn again(mut self) -> Self {
        self.process = Self::run(self.address, self.folder.path());
        self.answering().expect("redis-server starts again")
    }

    fn url(&self) -> Secret {
        let file = self.folder.path().join("url");
        std::fs::write(&file, format!("redis://{}/0\n", self.address)).unwrap();
        Secret::from_file(&file).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn state_where(
    analytics: &Analytics,
    what: &str,
    is_it: impl Fn(&VehicleState) -> bool,
) -> VehicleState {
    within(what, async {
        loop {
            if let Some(state) = analytics.fleet().into_iter().find(&is_it) {
                return state;
            }
            tokio::time::sleep(STEP).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_shown_before_it_is_in_the_lake() {
    let data = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start_with(data.path(), |ingest| ingest.flush_interval = NEVER).await;
    let start = Timestamp(pipeline.clock.now_us()).plus_us(-3_600_000_000);
    let spool = data.path().join("spool");
    let length = Duration::from_secs(600);
    let mut agent = simulated("sim-1", &spool, pipeline.broker(), start, length);
    // Nothing is acknowledged here: the window must let all of it out, also where the agent connects amid the drive.
    agent.uplink.in_flight_max = 1_000;
    pipeline.agent(agent).await;
    // The last of its ten minutes, complete though single readings tell only what changed.
    let last = start.plus_us(600_000_000 - LAST_US);
    let state = state_where(&pipeline.analytics, "the newest state", |s| {
        s.vehicle_id.as_str() == "sim-1" && s.ts >= last
    })
    .await;
    assert!(
        state.latitude.is_some() && state.longitude.is_some() && state.odometer_km.is_some(),
        "{state:?}"
    );
    assert!(state.ignition_on.is_some(), "{state:?}");
    let status = pipeline.get("/v1/fleet/status").await;
    assert_eq!(status["data"][0]["vehicle_id"], "sim-1");
    assert_eq!(pipeline.ingest.stats().samples_stored, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_has_it_by_redis_also_after_redis_forgot_everything() {
    let mut redis = Redis::start();
    let data = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let clock = SystemClock::shared();
    let mut settings = ingest_settings(data.path());
    settings.flush_interval = NEVER;
    settings.last_state_url = Some(redis.url());
    let ingest = ingest::start(settings, &tasks, clock.clone()).await.unwrap();
    ingest.connected().await;
    let shown = async || {
        let lake = analytics::LakeSettings::folder(data.path().join("lake"));
        let limits = analytics::Settings::for_lake(lake.clone()).limits;
        let analytics = Analytics::open(&lake, limits, Arc::clone(&clock)).await.unwrap();
        analytics::live::follow_redis(&analytics, &redis.url(), &tasks).unwrap();
        analytics
    };
    let (one, broker) = (shown().await, ingest.broker_address().unwrap());
    let start = Timestamp(clock.now_us()).plus_us(-3_600_000_000);
    let agent = |id: &str| simulated(id, &data.path().join(id), broker, start, Duration::from_secs(300));
    edge_agent::agent::start(agent("sim-1"), &tasks, clock.clone()).await.unwrap();
    let last = start.plus_us(300_000_000 - LAST_US);
    let is_last = |id: &'static str| move |s: &VehicleState| s.vehicle_id.as_str() == id && s.ts >= last;
    let state = state_where(&one, "the state by Redis", is_last("sim-1")).await;
    assert!(state.latitude.is_some() && state.odometer_km.is_some(), "{state:?}");
    // Who comes later has it too. The drive's last half minute may still tell something newer to both.
    let two = shown().await;
    let of = |analytics: &Analytics| analytics.fleet().into_iter().find(is_last("sim-1"));
    within("the state of before", async {
        while of(&two).is_none() || of(&two) != of(&one) {
            tokio::time::sleep(STEP).await;
        }
    })
    .await;

    redis.kill();
    edge_agent::agent::start(agent("sim-2"), &tasks, clock.clone()).await.unwrap();
    assert!(one.fleet().iter().any(is_last("sim-1")), "what was known stays known");
    let redis = redis.again();
    state_where(&one, "what came while Redis was away", is_last("sim-2")).await;
    state_where(&two, "the same for the other", is_last("sim-2")).await;
    assert_eq!(ingest.stats().samples_stored, 0);
    drop(redis);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_does_not_replace_a_newer_one() {
    let redis = Redis::start();
    let tasks = Tasks::new();
    let state = |ts, speed_kmh| {
        let mut state = LastState::new("car-1".parse().unwrap(), Timestamp(ts), Timestamp(ts));
        state.set(column_by_name("speed_kmh").unwrap(), speed_kmh);
        Arc::new(state)
    };
    let shared = SharedStates::new(&redis.url()).unwrap();
    // Two writers, as two instances have a vehicle for a moment; the second is behind.
    for (ts, speed_kmh, is_newest) in
        [(2_000_000, 20.0, true), (1_000_000, 10.0, false), (3_000_000, 30.0, true)]
    {
        let (queue, states) = tokio::sync::mpsc::channel(8);
        queue.send(state(ts, speed_kmh)).await.unwrap();
        drop(queue);
        shared.clone().run(states, tasks.stop_token()).await.unwrap();
        let known = shared.load().await.unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0] == *state(ts, speed_kmh), is_newest, "{known:?}");
    }
    // Nobody there is an error in time, and no panic.
    let url = redis.url();
    drop(redis);
    assert!(SharedStates::new(&url).unwrap().load().await.is_err());
}
