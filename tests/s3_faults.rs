//! The lake in a bucket whose store goes wrong while a vehicle's log comes in: nothing is
//! acknowledged that is not committed, memory is bounded, the vehicle is told to wait, and without a
//! hand the lake ends with exactly the rows of an undisturbed run in a folder.
//!
//! An outage of minutes is some seconds here: the limits of a request, of a commit before vehicles
//! wait, and of that wait are shortened alike (`request_timeout`, `wait_after`, `wait_max`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/content.rs"]
mod content;
#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/s3_faults.rs"]
mod s3_faults;
#[path = "support/s3_server.rs"]
mod s3_server;

use std::{path::Path, time::Duration};

use analytics::LakeSettings;
use content::content_of;
use edge_agent::{agent, source::replay::Pace};
use pipeline::{ingest_settings, real_car, within};
use s3_faults::{Fault, S3Proxy};
use s3_server::S3Server;
use service::{Tasks, clock::SystemClock};

/// Bounds of ingest's memory in these tests.
const QUEUE_LEN_MAX: usize = 8;
const FLUSH_BYTES: usize = 32 << 10;

/// Ingest over a lake, and a vehicle whose log comes in.
struct Rig {
    ingest: ingest::Handle,
    agent: agent::Handle,
    tasks: Tasks,
}

impl Rig {
    async fn start(lake: LakeSettings, folder: &Path, pace: Pace) -> Self {
        service::metrics::install();
        let tasks = Tasks::new();
        let mut settings = ingest_settings(folder);
        settings.lake = lake;
        settings.flush_interval = Duration::from_millis(300);
        settings.flush_bytes = FLUSH_BYTES;
        settings.intake_queue_len_max = QUEUE_LEN_MAX;
        settings.wait.after = Duration::from_secs(2);
        settings.wait.max = Duration::from_secs(3);
        // Files are put in order beside the writer all the time.
        settings.maintenance.compaction_interval = Duration::from_secs(2);
        settings.maintenance.policy.loose_files_min = 2;
        let ingest = ingest::start(settings, &tasks, SystemClock::shared()).await.unwrap();
        ingest.connected().await;
        let vehicle = real_car(&folder.join("spool"), ingest.broker_address().unwrap(), pace);
        let agent = agent::start(vehicle, &tasks, SystemClock::shared()).await.unwrap();
        Self { ingest, agent, tasks }
    }

    /// Waits until the vehicle has sent some and all of that is in the lake, or more is.
    async fn stored(&self, samples: u64) {
        within("samples stored", async {
            while self.ingest.stats().samples_stored < samples {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    async fn drained(self) -> (ingest::pipeline::Stats, edge_agent::agent::Stats) {
        within("the vehicle's log drained", self.agent.drained()).await;
        let told = (self.ingest.stats(), self.agent.stats());
        self.ingest.stop(Duration::from_secs(30)).await.unwrap();
        self.tasks.stop(Duration::from_secs(30)).await.unwrap();
        told
    }
}

/// The value of a gauge of this process.
fn gauge(name: &str) -> f64 {
    let text = service::metrics::render();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_store_does_the_lake_ends_with_the_rows_of_an_undisturbed_run() {
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = LakeSettings::folder(folder.path().join("lake"));
    let rig = Rig::start(undisturbed.clone(), folder.path(), Pace::FlatOut).await;
    let (stats, _) = rig.drained().await;
    let expected = content_of(&undisturbed).await;
    assert!(expected.rows > 10_000, "{expected:?}");
    let samples = stats.samples_stored;

    let server = S3Server::start();
    let proxy = S3Proxy::start(server.address()).await;
    let folder = tempfile::tempdir().unwrap();
    let lake = server.lake_by(proxy.address(), "fleet");
    let rig = Rig::start(lake, folder.path(), Pace::Recorded(60.0)).await;
    rig.stored(1).await;
    let direct = lake::Lake::open_at(&server.lake("fleet")).await.unwrap();
    // The longest outage first: vehicles are told to wait, and what does not fit is left.
    let faults = [
        (Fault::SlowDown, Duration::from_secs(6)),
        (Fault::LoseAnswers, Duration::from_secs(3)),
        (Fault::Stall, Duration::from_secs(4)),
        (Fault::Slow(40_000), Duration::from_secs(3)),
        (Fault::Reset, Duration::from_secs(2)),
        (Fault::Late(Duration::from_millis(2500)), Duration::from_secs(4)),
        (Fault::Unavailable, Duration::from_secs(2)),
    ];
    for (fault, length) in faults {
        let (hits, stored) = (proxy.hits(), rig.ingest.stats().samples_stored);
        proxy.set(fault);
        proxy.struck(hits, 1).await;
        if matches!(fault, Fault::SlowDown) {
            within("the vehicle told to wait", async {
                while rig.agent.stats().waits == 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        }
        let (stats, agent) = (rig.ingest.stats(), rig.agent.stats());
        println!(
            "{fault:?}: {} of {samples} samples stored, {} batches acked, {} wait, {} shed, {} waits",
            stats.samples_stored,
            agent.batches_acked,
            agent.batches_in_spool,
            stats.messages_shed,
            agent.waits
        );
        tokio::time::sleep(length).await;
        // What waits for a commit is bounded, whatever the vehicle has: a payload above the limit.
        let bound = FLUSH_BYTES + wire::batch::PAYLOAD_BYTES_MAX;
        assert!(gauge("roadlake_ingest_buffer_bytes") <= f64::from(u32::try_from(bound).unwrap()));
        // Past the proxy: what is acknowledged is there, and nothing twice.
        let acked = rig.agent.stats().batches_acked;
        let audit = direct.audit(&Default::default()).await.unwrap();
        assert!(acked <= audit.batches, "{fault:?}: {acked} acknowledged of {}", audit.batches);
        assert_eq!(audit.doubled_batches, 0, "{fault:?}: {audit:?}");
        proxy.set(Fault::Pass);
        if rig.agent.stats().batches_in_spool > 0 {
            rig.stored(stored + 1).await;
        }
    }
    let (stats, agent) = rig.drained().await;
    println!(
        "{} shed, {} waits, {} resends, {} batches sent for {}, {} faults",
        stats.messages_shed,
        agent.waits,
        agent.resends,
        agent.batches_sent,
        agent.batches_spooled,
        proxy.hits()
    );
    assert_eq!((stats.samples_stored, stats.samples_quarantined), (samples, 0));
    assert_eq!((agent.samples_acked, agent.samples_dropped_total()), (samples, 0));
    assert!(agent.waits > 0);
    assert_eq!(content_of(&server.lake("fleet")).await, expected);
    assert!(direct.audit(&Default::default()).await.unwrap().is_clean());
}
