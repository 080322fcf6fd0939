//! A whole agent without a broker: what it spools, and what a second start makes of it.

use std::{collections::HashMap, time::Duration};

use service::clock::{ManualClock, SystemClock};
use wire::batch::{Batch, Table};

use super::*;
use crate::{
    simulate::Powertrain,
    spool::{DiskStorage, Lane, Spool, StoredBatch},
};

mod campaigns;
mod clock;
mod polled;

pub(super) fn data(name: &str) -> NamedBytes {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    NamedBytes::open(&root.join(name)).unwrap()
}

/// The first `lines` of the real car's log.
fn start_of_log(lines: usize) -> NamedBytes {
    let whole = data("tests/data/css-car-obd-gnss/00000164.candump.log.gz");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*whole.bytes), &mut text).unwrap();
    let head: String = text.split_inclusive('\n').take(lines).collect();
    NamedBytes::new("head.log", head.into_bytes())
}

pub(super) fn replay(folder: &std::path::Path, log: NamedBytes) -> Settings {
    Settings {
        vehicle_id: "car-3ba199e2".parse().unwrap(),
        spool_folder: folder.to_owned(),
        source: SourceSettings::Replay(ReplaySettings {
            log: log.into(),
            pace: Pace::FlatOut,
            shift_to: None,
        }),
        dbcs: vec![
            data("tests/data/css-car-obd-gnss/OBD-v4.4.dbc"),
            data("tests/data/css-car-obd-gnss/canmod-gps.dbc"),
        ],
        maps: vec![data("configs/maps/css-car-obd-gnss.toml")],
        poll: None,
        collect: CollectSettings::default(),
        j1939: crate::j1939::J1939Settings::default(),
        faults: crate::faults::FaultSettings::default(),
        campaigns: CampaignSettings::default(),
        spool: SpoolSettings::default(),
        // Nobody listens there.
        uplink: UplinkSettings { port: 1, ..UplinkSettings::default() },
        unit: UnitSettings::default(),
        commands: CommandSettings::default(),
    }
}

fn simulation(folder: &std::path::Path, start: Timestamp, minutes: i64) -> Settings {
    Settings {
        source: SourceSettings::Simulate(SimulateSettings {
            track: crate::simulate::tracks()[1].clone(),
            powertrain: Powertrain::Combustion,
            seed: 3,
            start_time: start,
            speed: 1e9,
            until: Some(start.plus_us(minutes * 60_000_000)),
        }),
        dbcs: vec![crate::simulate::dbc()],
        maps: vec![crate::simulate::map(Powertrain::Combustion)],
        ..replay(folder, start_of_log(0))
    }
}

/// Runs an agent until its source has ended, and returns what waits and the counts.
pub(super) async fn spooled(settings: Settings, clock: SharedClock) -> (Vec<StoredBatch>, Stats) {
    let tasks = Tasks::new();
    let handle = start(settings, &tasks, clock).await.unwrap();
    let ended = async {
        loop {
            let settled = handle.shared.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if handle.stats().is_source_done {
                return;
            }
            settled.await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), ended).await.expect("the source ends");
    tasks.stop(Duration::from_secs(20)).await.unwrap();
    let batches = handle.shared.spool().next_batches(&HashMap::new(), usize::MAX).unwrap();
    (batches, handle.stats())
}

pub(super) fn decoded(batches: &[StoredBatch]) -> Vec<Batch> {
    batches.iter().map(|b| Batch::decode_body(&b.body).unwrap()).collect()
}

/// Times of all rows of a lane, in order.
fn times(batches: &[Batch], lane: Lane) -> Vec<i64> {
    let groups = batches.iter().flat_map(|b| b.groups.iter().map(move |g| (b.base_time, g)));
    let of_lane = groups.filter(|(_, g)| g.table == lane.table());
    let mut times: Vec<i64> =
        of_lane.flat_map(|(base, g)| g.times_us.iter().map(move |t| base.0 + t)).collect();
    times.sort_unstable();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_log_is_spooled_and_a_second_replay_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = start_of_log(30_000);
    let (batches, stats) = spooled(replay(folder.path(), log.clone()), SystemClock::shared()).await;
    assert_eq!((stats.frames, stats.corrupt_lines), (30_000, 0));
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
    let first = decoded(&batches);
    assert!(times(&first, Lane::Readings).windows(2).all(|w| w[1] - w[0] == 1_000_000));
    assert!(stats.samples_of(Table::Readings) > 1500 && stats.samples_of(Table::Signals) > 1000, "{stats:?}");

    let (again, stats) = spooled(replay(folder.path(), log.clone()), SystemClock::shared()).await;
    assert_eq!(again, batches);
    assert_eq!((stats.samples_collected_total(), stats.samples_recovered), (0, stats.samples_in_spool));

    // On an empty disk the same streams and sequences come about, with the same samples.
    let other = tempfile::tempdir().unwrap();
    let (fresh, _) = spooled(replay(other.path(), log), SystemClock::shared()).await;
    let content = |b: &Batch| (b.stream_id, b.sequence, b.base_time, b.groups.clone());
    assert!(decoded(&fresh).iter().map(content).eq(first.iter().map(content)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_line_is_counted_and_the_rest_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = start_of_log(500).bytes.to_vec();
    log.splice(0..0, *b"this is no frame\n");
    let settings = replay(folder.path(), NamedBytes::new("bad.log", log));
    let (_, stats) = spooled(settings, SystemClock::shared()).await;
    assert_eq!((stats.frames, stats.corrupt_lines), (500, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_goes_on_after_a_restart_without_a_sample_twice_or_missing() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let whole = tempfile::tempdir().unwrap();
    let (batches, stats) = spooled(simulation(whole.path(), start, 40), clock.clone()).await;
    let expected = decoded(&batches);
    assert!(stats.samples_of(Table::Readings) > 5_000, "{stats:?}");

    let parts = tempfile::tempdir().unwrap();
    spooled(simulation(parts.path(), start, 17), clock.clone()).await;
    let (batches, _) = spooled(simulation(parts.path(), start, 40), clock).await;
    let found = decoded(&batches);
    for lane in [Lane::Readings, Lane::SIGNALS] {
        let (expected, found) = (times(&expected, lane), times(&found, lane));
        assert_eq!(found.len(), expected.len(), "{lane:?}");
        assert_eq!(found, expected, "{lane:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_polling_are_collected_beside_what_the_bus_says() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let (quiet, asked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, without) = spooled(simulation(quiet.path(), start, 40), clock.clone()).await;
    let text = "enabled = true\ninterface = \"sim0\"\n[[obd]]\npids = [0x01, 0x0D, 0x11]\nperiod = \"10s\"";
    let config: crate::poll::config::PollConfig = toml::from_str(text).unwrap();
    let poll = crate::poll::config::check(&mut service::config::Faults::of("test"), &config, "car-1");
    let settings = Settings { poll, ..simulation(asked.path(), start, 40) };
    let columns = decoder(&settings).unwrap();
    let paths: Vec<&str> = columns.columns().iter().map(|c| c.vss.path).collect();
    // Speed stays the bus's own; whether the lamp is on only OBD says.
    assert_eq!(paths.iter().filter(|path| **path == "Vehicle.Speed").count(), 1);
    assert!(paths.contains(&"Vehicle.OBD.IsMILOn"));
    let (_, with) = spooled(settings, clock).await;
    // The lamp and the count of codes once, as they do not change; the throttle with the drive.
    let more = with.samples_of(Table::Signals) - without.samples_of(Table::Signals);
    assert!((20..300).contains(&more), "{more}");
    assert_eq!(with.samples_of(Table::Readings), without.samples_of(Table::Readings));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_says_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = async |settings| {
        let error = start(settings, &Tasks::new(), SystemClock::shared()).await.unwrap_err();
        service::logs::chain(&error).to_string()
    };
    let message = refused(replay(&file, start_of_log(1))).await;
    assert!(message.contains("spool_folder"), "{message}");
    let mut settings = replay(folder.path(), start_of_log(1));
    settings.uplink.signing_key_file = Some(file);
    let message = refused(settings).await;
    assert!(message.contains("64 hexadecimal"), "{message}");
}

/// An answer of the loopback responder.
fn get(address: std::net::SocketAddr, request: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_shows_its_signals_counts_and_health_on_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = replay(folder.path(), start_of_log(3_000));
    settings.unit.listen = Some("127.0.0.1:0".parse().unwrap());
    let tasks = Tasks::new();
    let handle = start(settings, &tasks, SystemClock::shared()).await.unwrap();
    let address = handle.address().unwrap();
    let shown = async {
        loop {
            let settled = handle.shared.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if handle.stats().is_source_done {
                return;
            }
            settled.await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), shown).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let ask = |path: &str| get(address, &format!("GET {path} HTTP/1.1\r\nHost: unit\r\n\r\n"));
        // One after the other they would take 14 s to be cut off.
        let _silent = [(); 7].map(|()| std::net::TcpStream::connect(address).unwrap());
        assert!(ask("/health").starts_with("HTTP/1.1 200 "));
        assert!(ask("/ready").ends_with("ready\n"));
        assert!(ask("/metrics").contains("\nroadlake_edge_spool_batches "), "{}", ask("/metrics"));
        assert!(ask("/etc/passwd").starts_with("HTTP/1.1 404 "));
        assert!(get(address, "POST /v1/state HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(get(address, &"x".repeat(4096)).starts_with("HTTP/1.1 431 "));

        let state = crate::top_cli::fetch(address).unwrap();
        assert_eq!((state.vehicle_id.as_str(), state.counts.frames), ("car-3ba199e2", 3_000));
        assert_eq!(state.link, crate::uplink::LinkState::Offline);
        let speed = state.signals.iter().find(|s| s.signal == "Vehicle.Speed").unwrap();
        assert!(speed.count > 0 && speed.value.is_some() && speed.unit == "km/h", "{speed:?}");
        let args = crate::top_cli::TopArgs { address, interval: 0.1, once: true };
        let mut text = Vec::new();
        crate::top_cli::run(&args, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("link offline") && text.contains("\nVehicle.Speed "), "{text}");
    })
    .await
    .unwrap();
    tasks.stop(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn a_part_without_progress_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let spool =
        Spool::open(Box::new(DiskStorage::open(folder.path()).unwrap()), SpoolSettings::default()).unwrap();
    let shared = Shared::new(spool);
    let minute = Duration::from_secs(60);
    assert_eq!(shared.stalled(50_000_000, minute), None);
    assert_eq!(shared.stalled(61_000_000, minute), Some("collect"));
    shared.counters.collect_pulse_us.store(60_000_000, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(shared.stalled(61_000_000, minute), Some("uplink"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_less_than_two_seconds_and_leaves_every_sample_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(begin.0 + 30 * 86_400_000_000);
    let mut settings = simulation(folder.path(), begin, 14 * 24 * 60);
    settings.uplink.port = deaf.local_addr().unwrap().port();
    let tasks = Tasks::new();
    let handle = start(settings, &tasks, clock).await.unwrap();
    let some = async {
        while handle.stats().batches_spooled < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), some).await.unwrap();
    tasks.stop(Duration::from_secs(2)).await.expect("stopped in time");
    let stats = handle.stats();
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
    assert!(!stats.is_source_done);
    drop(handle);
    let storage = DiskStorage::open(folder.path()).unwrap();
    let spool = Spool::open(Box::new(storage), SpoolSettings::default()).unwrap();
    assert_eq!((spool.counts().samples, spool.counts().torn_tails), (stats.samples_in_spool, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_fed_only_while_there_is_progress() {
    use std::os::unix::net::UnixDatagram;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Arc::new(UnixDatagram::bind(&path).unwrap());
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let notifier =
        crate::unit::systemd::Notifier::new(path.as_os_str(), Some(Duration::from_secs(60))).unwrap();
    let told = async |handle: &Handle| {
        let manager = Arc::clone(&manager);
        let two = tokio::task::spawn_blocking(move || {
            [(); 2].map(|()| {
                let mut bytes = [0; 300];
                let len = manager.recv(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes[..len]).into_owned()
            })
        });
        tokio::select! {
            () = notifier.attend(handle) => unreachable!("it goes on"),
            two = two => two.unwrap(),
        }
    };
    let clock = ManualClock::at(1_790_000_000_000_000);
    let tasks = Tasks::new();
    let handle = start(replay(folder.path(), start_of_log(100)), &tasks, clock.clone()).await.unwrap();
    let [ready, status] = told(&handle).await;
    assert_eq!(ready, "READY=1");
    assert!(status.starts_with("STATUS=offline, ") && status.ends_with("\nWATCHDOG=1"), "{status}");
    tasks.stop(Duration::from_secs(20)).await.unwrap();
    clock.advance(Duration::from_secs(31));
    let [_, status] = told(&handle).await;
    assert!(status.starts_with("STATUS=") && !status.contains("WATCHDOG"), "{status}");
}

/// An agent of an interface that is not there and of a receiver that is a file.
fn live(folder: &std::path::Path) -> Settings {
    let sentences = folder.join("drive.nmea");
    std::fs::write(&sentences, "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n")
        .unwrap();
    Settings {
        source: SourceSettings::Live(LiveSettings {
            interfaces: vec!["nocan9".to_owned()],
            filter: FrameFilter::Known,
            gnss: Some(crate::source::gnss::Receiver::parse(sentences.to_str().unwrap(), 9600).unwrap()),
            unit_interval: Some(Duration::from_secs(3600)),
            clock: crate::clock::ClockSettings::default(),
        }),
        dbcs: Vec::new(),
        maps: Vec::new(),
        ..replay(&folder.join("spool"), start_of_log(0))
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_live_bus_is_silent_time_goes_on_and_batches_end() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1_760_000_000_000_000);
    let tasks = Tasks::new();
    let handle = start(live(folder.path()), &tasks, clock.clone()).await.unwrap();
    // Position and fix of the receiver; load, storage, health and network of the unit.
    until("frames of receiver and unit", || handle.stats().frames >= 6).await;
    assert_eq!(handle.stats().batches_spooled, 0);
    assert_eq!(handle.stats().interfaces_out, 1);
    clock.advance(Duration::from_secs(30));
    until("a batch ends without a frame", || handle.stats().batches_spooled >= 2).await;
    let stats = handle.stats();
    assert!(stats.samples_of(Table::Readings) > 0 && stats.samples_of(Table::Signals) > 0, "{stats:?}");
    tasks.stop(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_source_does_not_wait_for_room_in_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1_760_000_000_000_000);
    let mut settings = live(folder.path());
    // Full with its first segment, so that a replay would wait for ever.
    settings.spool.segment_bytes = 4096;
    settings.spool.bytes_max = 1;
    let tasks = Tasks::new();
    let handle = start(settings, &tasks, clock.clone()).await.unwrap();
    until("frames of receiver and unit", || handle.stats().frames >= 6).await;
    clock.advance(Duration::from_secs(30));
    until("batches go on", || handle.stats().samples_collected_total() > 0).await;
    tasks.stop(Duration::from_secs(20)).await.unwrap();
}
