//! A unit that boots without the time: what the cloud gets, by a receiver and a clock of the test.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::Path,
};

use service::Clock as _;
use wire::batch::{ClockState, Values};

use super::*;
use crate::{clock::ClockSettings, source::gnss::Receiver, uplink::tests::FakeCloud};

const NOON: &str = "2026-11-23T12:00:00Z";

/// A unit, its receiver and its cloud.
struct Drive {
    clock: Arc<ManualClock>,
    tasks: Tasks,
    handle: Handle,
    receiver: TcpStream,
    cloud: Arc<FakeCloud>,
    /// Time since boot of each dilution sent.
    sent_us: Vec<i64>,
}

/// An agent whose clock nobody vouches for, until there is a file `run/synchronized`.
fn settings(folder: &Path, cloud_port: u16, receiver: &str) -> Settings {
    std::fs::create_dir_all(folder.join("run")).unwrap();
    let clock = ClockSettings {
        synchronized_file: folder.join("run/synchronized"),
        boot_id_file: folder.join("boot_id"),
        ..ClockSettings::default()
    };
    Settings {
        vehicle_id: "car-1".parse().unwrap(),
        source: SourceSettings::Live(LiveSettings {
            interfaces: Vec::new(),
            filter: FrameFilter::Known,
            gnss: Some(Receiver::parse(receiver, 9600).unwrap()),
            unit_interval: None,
            clock,
        }),
        dbcs: Vec::new(),
        maps: Vec::new(),
        uplink: UplinkSettings { port: cloud_port, ..UplinkSettings::default() },
        ..replay(&folder.join("spool"), start_of_log(0))
    }
}

impl Drive {
    async fn start(folder: &Path, clock: &Arc<ManualClock>, change: impl FnOnce(&mut ClockSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tasks = Tasks::new();
        let cloud = FakeCloud::start(&tasks).await;
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut settings = settings(folder, cloud.port, &address);
        if let SourceSettings::Live(live) = &mut settings.source {
            change(&mut live.clock);
        }
        let handle = start(settings, &tasks, Arc::clone(clock) as SharedClock).await.unwrap();
        let receiver = tokio::task::spawn_blocking(move || listener.accept().unwrap().0).await.unwrap();
        Self { clock: Arc::clone(clock), tasks, handle, receiver, cloud, sent_us: Vec::new() }
    }

    /// Sends a sentence and waits until it is taken.
    async fn send(&mut self, sentence: &str) {
        let before = self.handle.stats().frames;
        let sum = sentence.bytes().fold(0, |sum, byte| sum ^ byte);
        write!(self.receiver, "${sentence}*{sum:02X}\r\n").unwrap();
        self.until("a sentence is at least two frames", |stats| stats.frames >= before + 2).await;
    }

    /// Positions with a dilution of their own, which is a sample of its own, half a minute apart.
    async fn drive(&mut self, count: usize) {
        for _ in 0..count {
            let hdop = self.sent_us.len() + 1;
            self.sent_us.push(self.clock.boot_us());
            self.send(&format!("GPGGA,11{hdop:02}00,4807.038,N,01131.000,E,1,08,{hdop}.0,545.4,M,46.9,M,,"))
                .await;
            self.clock.advance(Duration::from_secs(30));
        }
    }

    /// The receiver tells noon; the time since boot of that.
    async fn tell_noon(&mut self) -> i64 {
        let at_us = self.clock.boot_us();
        self.send("GPRMC,120000,A,4807.038,N,01131.000,E,000.0,084.4,231126,,,A").await;
        at_us
    }

    /// The dilutions the cloud has: value, time, and what is said of the clock.
    fn dilutions(&self) -> Vec<(usize, i64, ClockState)> {
        let columns = &self.handle.catalog().columns;
        let id = columns.iter().find(|c| c.signal.ends_with("HDOP")).unwrap().column_id;
        let mut out = Vec::new();
        for batch in &self.cloud.cloud.lock().unwrap().decoded {
            for group in &batch.groups {
                for column in group.columns.iter().filter(|c| c.column_id == id) {
                    let rows = column.present.present_rows();
                    let Values::Raw(values) = &column.values else { panic!("raw values") };
                    for (row, raw) in rows.zip(values) {
                        let scale = columns[id as usize].scale;
                        let hdop = format!("{:.0}", *raw as f64 * scale).parse().unwrap();
                        out.push((hdop, batch.base_time.0 + group.times_us[row], batch.clock));
                    }
                }
            }
        }
        out.sort_unstable_by_key(|d| d.0);
        out.dedup();
        out
    }

    async fn has(&self, count: usize) -> Vec<(usize, i64, ClockState)> {
        self.until("the cloud has the dilutions", |_| self.dilutions().len() >= count).await;
        self.dilutions()
    }

    /// Waits; a unit that does not come to it is stopped, as the test could not end otherwise.
    async fn until(&self, what: &str, is_so: impl Fn(Stats) -> bool) {
        let waiting = async {
            while !is_so(self.handle.stats()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), waiting).await.is_err() {
            let (stats, found) = (self.handle.stats(), self.dilutions());
            drop(self.tasks.stop(Duration::from_secs(20)).await);
            panic!("{what}: {found:?} {stats:?}");
        }
    }

    async fn stop(self) {
        self.tasks.stop(Duration::from_secs(20)).await.unwrap();
    }
}

fn noon_us() -> i64 {
    Timestamp::parse(NOON).unwrap().0
}

fn unset_clock() -> Arc<ManualClock> {
    let clock = ManualClock::at(0);
    clock.advance(Duration::from_secs(20));
    clock
}

/// That dilution `n` was at its time since boot, where noon was at `noon_boot_us`.
fn assert_right(found: &[(usize, i64, ClockState)], sent_us: &[i64], noon_boot_us: i64) {
    for ((hdop, time_us, _), sent_us) in found.iter().zip(sent_us) {
        let right_us = noon_us() + sent_us - noon_boot_us;
        assert!((time_us - right_us).abs() <= 1000, "{hdop}: {} us off", time_us - right_us);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_without_the_time_is_set_right_when_a_receiver_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("boot_id"), "boot-1\n").unwrap();
    let mut drive = Drive::start(folder.path(), &unset_clock(), |_| ()).await;
    drive.drive(6).await;
    drive.until("batches wait", |stats| stats.batches_in_spool >= 5 && stats.is_online).await;
    assert_eq!(drive.dilutions(), []);
    let noon_boot_us = drive.tell_noon().await;
    drive.drive(1).await;
    let found = drive.has(7).await;
    assert_right(&found, &drive.sent_us, noon_boot_us);
    let clocks: Vec<ClockState> = found.iter().map(|d| d.2).collect();
    assert_eq!(clocks[..6], [ClockState::Corrected; 6]);
    assert_eq!(clocks[6], ClockState::Synchronized);
    for batch in &drive.cloud.cloud.lock().unwrap().decoded {
        let offset_us = batch.base_time.0 - batch.monotonic_base_us;
        assert_eq!(offset_us, noon_us() - noon_boot_us, "{:?}", batch.clock);
    }
    drive.stop().await;
}

/// What is on the disk of a running agent, as a kill would leave it.
fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("spool")).unwrap();
    for file in std::fs::read_dir(from.join("spool")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.path().join("spool").join(file.file_name())).unwrap();
        }
    }
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_batches_of_this_boot_are_set_right_and_those_of_another_flagged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("boot_id"), "boot-1\n").unwrap();
    let clock = unset_clock();
    let mut first = Drive::start(folder.path(), &clock, |_| ()).await;
    first.drive(4).await;
    first.until("three are on the disk", |stats| stats.batches_spooled >= 6).await;
    let (same, other) = (copied(folder.path()), copied(folder.path()));
    let sent_us = first.sent_us.clone();
    first.stop().await;

    std::fs::write(same.path().join("boot_id"), "boot-1\n").unwrap();
    let mut second = Drive::start(same.path(), &clock, |_| ()).await;
    let noon_boot_us = second.tell_noon().await;
    let found = second.has(3).await;
    assert_right(&found, &sent_us, noon_boot_us);
    assert!(found.iter().all(|d| d.2 == ClockState::Corrected), "{found:?}");
    second.stop().await;

    std::fs::write(other.path().join("boot_id"), "boot-2\n").unwrap();
    let third = Drive::start(other.path(), &unset_clock(), |_| ()).await;
    let found = third.has(3).await;
    assert!(found.iter().all(|d| d.2 == ClockState::Unsynchronized), "{found:?}");
    // Right to each other all the same.
    assert_eq!(found[1].1 - found[0].1, sent_us[1] - sent_us[0]);
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_too_long_for_the_time_is_sent_flagged() {
    let folder = tempfile::tempdir().unwrap();
    let hold = |settings: &mut ClockSettings| settings.hold_max = Duration::from_secs(170);
    let mut drive = Drive::start(folder.path(), &unset_clock(), hold).await;
    drive.drive(4).await;
    assert_eq!(drive.dilutions(), []);
    drive.drive(2).await;
    let found = drive.has(5).await;
    assert!(found.iter().all(|d| d.2 == ClockState::Unsynchronized), "{found:?}");
    assert!(found.iter().all(|d| d.1 >= crate::clock::RELEASE_TIME.0), "{found:?}");
    drive.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_in_the_midst_ends_the_batch_and_moves_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("run")).unwrap();
    std::fs::write(folder.path().join("run/synchronized"), "").unwrap();
    let clock = ManualClock::at(noon_us());
    let mut drive = Drive::start(folder.path(), &clock, |_| ()).await;
    drive.drive(3).await;
    clock.set_wall(clock.now_us() - 3_600_000_000);
    drive.drive(3).await;
    drive.clock.advance(Duration::from_secs(30));
    let found = drive.has(6).await;
    for (i, (_, time_us, clock)) in found.iter().enumerate() {
        let set_us = if i < 3 { 0 } else { -3_600_000_000 };
        assert_eq!((*time_us, *clock), (noon_us() + drive.sent_us[i] + set_us, ClockState::Synchronized));
    }
    for batch in &drive.cloud.cloud.lock().unwrap().decoded {
        let offset_us = batch.base_time.0 - batch.monotonic_base_us;
        assert!([noon_us(), noon_us() - 3_600_000_000].contains(&offset_us), "{offset_us}");
        assert!(batch.groups.iter().flat_map(|g| &g.times_us).all(|t| (0..60_000_000).contains(t)));
    }
    drive.stop().await;
}
