//! A whole agent without a broker: what it spools, and what a second start makes of it.

use std::{collections::HashMap, time::Duration};

use service::clock::{ManualClock, SystemClock};
use wire::batch::Batch;

use super::*;
use crate::{simulate::Powertrain, spool::StoredBatch};

fn data(name: &str) -> NamedBytes {
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

fn replay(folder: &std::path::Path, log: NamedBytes) -> Settings {
    Settings {
        vehicle_id: "car-3ba199e2".parse().unwrap(),
        spool_folder: folder.to_owned(),
        source: SourceSettings::Replay(ReplaySettings { log, pace: Pace::FlatOut, shift_to: None }),
        dbcs: vec![
            data("tests/data/css-car-obd-gnss/OBD-v4.4.dbc"),
            data("tests/data/css-car-obd-gnss/canmod-gps.dbc"),
        ],
        maps: vec![data("configs/maps/css-car-obd-gnss.toml")],
        collect: CollectSettings::default(),
        campaigns: CampaignSettings::default(),
        spool: SpoolSettings::default(),
        // Nobody listens there.
        uplink: UplinkSettings { port: 1, ..UplinkSettings::default() },
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
async fn spooled(settings: Settings, clock: SharedClock) -> (Vec<StoredBatch>, Stats) {
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

fn decoded(batches: &[StoredBatch]) -> Vec<Batch> {
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
    assert!(stats.samples_of(Lane::Readings) > 1500 && stats.samples_of(Lane::Signals) > 1000, "{stats:?}");

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
    assert!(stats.samples_of(Lane::Readings) > 5_000, "{stats:?}");

    let parts = tempfile::tempdir().unwrap();
    spooled(simulation(parts.path(), start, 17), clock.clone()).await;
    let (batches, _) = spooled(simulation(parts.path(), start, 40), clock).await;
    let found = decoded(&batches);
    for lane in [Lane::Readings, Lane::Signals] {
        let (expected, found) = (times(&expected, lane), times(&found, lane));
        assert_eq!(found.len(), expected.len(), "{lane:?}");
        assert_eq!(found, expected, "{lane:?}");
    }
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

/// Rows of the columns below `len`, without which batch they came in.
fn default_rows(batches: &[Batch], len: u32) -> Vec<(u32, i64, wire::batch::Values)> {
    let mut rows = Vec::new();
    for (base, group) in batches.iter().flat_map(|b| b.groups.iter().map(move |g| (b.base_time, g))) {
        for column in group.columns.iter().filter(|c| c.column_id < len) {
            let times = group.times_us.iter().zip(&column.present).filter(|(_, is_there)| **is_there);
            for (i, (time, _)) in times.enumerate() {
                let value = match &column.values {
                    wire::batch::Values::Raw(v) => wire::batch::Values::Raw(vec![v[i]]),
                    wire::batch::Values::Number(v) => wire::batch::Values::Number(vec![v[i]]),
                    wire::batch::Values::Text(v) => wire::batch::Values::Text(vec![v[i].clone()]),
                };
                rows.push((column.column_id, base.0 + time, value));
            }
        }
    }
    rows.sort_by_key(|r| (r.0, r.1));
    rows
}

fn battery(folder: &std::path::Path, start: Timestamp) -> Settings {
    let mut settings = simulation(folder, start, 40);
    if let SourceSettings::Simulate(simulate) = &mut settings.source {
        simulate.powertrain = Powertrain::Battery;
    }
    settings.maps = vec![crate::simulate::map(Powertrain::Battery)];
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn the_battery_set_fires_and_the_default_collection_stays_as_it_is() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let plain = tempfile::tempdir().unwrap();
    let (batches, _) = spooled(battery(plain.path(), start), clock.clone()).await;
    let expected = decoded(&batches);
    let len = 1 + expected
        .iter()
        .flat_map(|b| &b.groups)
        .flat_map(|g| &g.columns)
        .map(|c| c.column_id)
        .max()
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut settings = battery(folder.path(), start);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    settings.campaigns.file = Some(root.join("configs/campaigns/battery-watch.toml"));
    let (batches, stats) = spooled(settings, clock).await;
    let found = decoded(&batches);
    assert_eq!(default_rows(&found, len), default_rows(&expected, len));
    assert_ne!(found[0].catalog_hash, expected[0].catalog_hash);
    let columns: Vec<u32> =
        found.iter().flat_map(|b| &b.groups).flat_map(|g| &g.columns).map(|c| c.column_id).collect();
    // The trigger's column comes first among those of the campaigns.
    assert!(columns.contains(&len), "no trigger");
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_delivered_amid_a_run_loses_no_sample() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let plain = tempfile::tempdir().unwrap();
    let (batches, _) = spooled(battery(plain.path(), start), clock.clone()).await;
    let expected = decoded(&batches);
    let len = 1 + expected
        .iter()
        .flat_map(|b| &b.groups)
        .flat_map(|g| &g.columns)
        .map(|c| c.column_id)
        .max()
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut settings = battery(folder.path(), start);
    // A file that is not there yet is watched, and sets by file are let in.
    settings.campaigns.file = Some(folder.path().join("set.toml"));
    let tasks = Tasks::new();
    let handle = start_agent(settings, &tasks, clock).await;
    let desk = Arc::clone(handle.campaigns());
    let mut catalogs = std::collections::BTreeSet::new();
    let mut revision = 0;
    let mut frames = 0;
    while !handle.stats().is_source_done {
        // A set takes several syncs of the disk; the frames are to go on between two of them.
        if handle.stats().frames < frames {
            tokio::task::yield_now().await;
            continue;
        }
        frames = handle.stats().frames + 2000;
        catalogs.insert(desk.catalog_hash().to_string());
        revision += 1;
        let set = format!(
            "version = 1\nid = \"v\"\nrevision = {revision}\n[[campaign]]\nname = \"c{revision}\"\n\
             [[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\ntake = \"every\"\ninterval = \"1min\"\n"
        );
        let desk = Arc::clone(&desk);
        tokio::task::spawn_blocking(move || {
            desk.deliver(set.as_bytes(), crate::campaign::desk::Delivery::File).unwrap();
        })
        .await
        .unwrap();
    }
    tasks.stop(Duration::from_secs(20)).await.unwrap();
    assert!(catalogs.len() > 2, "{revision} sets were delivered");
    let batches = handle.shared.spool().next_batches(&HashMap::new(), usize::MAX).unwrap();
    assert_eq!(default_rows(&decoded(&batches), len), default_rows(&expected, len));
    // Every batch can be read: the catalogue it names is kept.
    for hash in handle.shared.spool().catalog_hashes() {
        assert!(handle.shared.spool().catalog(hash).is_some());
    }
    let stats = handle.stats();
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
}

async fn start_agent(settings: Settings, tasks: &Tasks, clock: SharedClock) -> Handle {
    start(settings, tasks, clock).await.unwrap()
}
