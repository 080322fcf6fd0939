//! Campaigns in a whole agent: what they add, and that they take nothing away.

use super::*;
use crate::spool::CatchUp;
use wire::ids::StreamId;

/// Rows of the columns below `len`, without which batch they came in.
fn default_rows(batches: &[Batch], len: u32) -> Vec<(u32, i64, wire::batch::Values)> {
    let mut rows = Vec::new();
    for (base, group) in batches.iter().flat_map(|b| b.groups.iter().map(move |g| (b.base_time, g))) {
        for column in group.columns.iter().filter(|c| c.column_id < len) {
            for (i, row) in column.present.present_rows().enumerate() {
                let value = match &column.values {
                    wire::batch::Values::Raw(v) => wire::batch::Values::Raw(vec![v[i]]),
                    wire::batch::Values::Number(v) => wire::batch::Values::Number(vec![v[i]]),
                    wire::batch::Values::Text(v) => wire::batch::Values::Text(vec![v[i].clone()]),
                };
                rows.push((column.column_id, base.0 + group.times_us[row], value));
            }
        }
    }
    rows.sort_by_key(|r| (r.0, r.1));
    rows
}

/// The columns of a vehicle without campaigns: the mapped ones, and those of faults.
fn column_count(settings: &Settings) -> u32 {
    decoder(settings).unwrap().catalog().columns.last().unwrap().column_id + 1
}

fn battery(folder: &std::path::Path, start: Timestamp, minutes: i64) -> Settings {
    let mut settings = simulation(folder, start, minutes);
    if let SourceSettings::Simulate(simulate) = &mut settings.source {
        simulate.powertrain = Powertrain::Battery;
    }
    settings.maps = vec![crate::simulate::map(Powertrain::Battery)];
    settings
}

/// What the battery-electric vehicle collects by default, and how many columns that has.
async fn without_campaigns(start: Timestamp, minutes: i64, clock: Arc<ManualClock>) -> (Vec<Batch>, u32) {
    let folder = tempfile::tempdir().unwrap();
    let (batches, _) = spooled(battery(folder.path(), start, minutes), clock).await;
    (decoded(&batches), column_count(&battery(folder.path(), start, minutes)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_battery_set_fires_and_the_default_collection_stays_as_it_is() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let (expected, len) = without_campaigns(start, 40, clock.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = battery(folder.path(), start, 40);
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
async fn a_campaign_of_its_own_priority_is_in_streams_of_its_own_and_sent_first() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let (expected, len) = without_campaigns(start, 40, clock.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = battery(folder.path(), start, 40);
    let file = folder.path().join("set.toml");
    let campaign = |name: &str, more: &str| {
        format!(
            "[[campaign]]\nname = \"{name}\"\n{more}\n[[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\ntake = \"every\"\ninterval = \"1s\"\n"
        )
    };
    let set = ["version = 1\nid = \"v\"\nrevision = 1\n".to_owned()].into_iter().chain([
        campaign("shares", ""),
        campaign("urgent", "priority = \"high\"\ncatch_up = \"latest_first\""),
        campaign("urgent-too", "priority = \"high\"\ncatch_up = \"latest_first\""),
        campaign("idle", "priority = \"low\""),
    ]);
    std::fs::write(&file, set.collect::<String>()).unwrap();
    settings.campaigns.file = Some(file);
    let (batches, stats) = spooled(settings, clock).await;
    let found = decoded(&batches);
    assert_eq!(default_rows(&found, len), default_rows(&expected, len));
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
    // By order of sending: the streams of `signals`, and whose columns each has.
    let mut streams: Vec<(StreamId, std::collections::BTreeSet<u32>)> = Vec::new();
    for batch in found.iter().filter(|b| b.groups.iter().any(|g| g.table == Table::Signals)) {
        if streams.last().is_none_or(|(id, _)| *id != batch.stream_id) {
            streams.push((batch.stream_id, std::collections::BTreeSet::new()));
        }
        let columns =
            batch.groups.iter().flat_map(|g| &g.columns).map(|c| c.column_id.max(len - 1) + 1 - len);
        streams.last_mut().unwrap().1.extend(columns);
    }
    let columns: Vec<Vec<u32>> = streams.into_iter().map(|(_, c)| c.into_iter().collect()).collect();
    assert_eq!(columns, [vec![2, 3], vec![0, 1], vec![4]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_replayed_again_under_another_order_of_sending_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.toml");
    let set = "version = 1\nid = \"v\"\nrevision = 1\n[[campaign]]\nname = \"c\"\ncatch_up = \"oldest_first\"\n\
               [[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n";
    std::fs::write(&file, set).unwrap();
    let mut collected = Vec::new();
    for catch_up in [CatchUp::OldestFirst, CatchUp::LatestFirst] {
        let mut settings = replay(&folder.path().join("spool"), start_of_log(40_000));
        settings.campaigns.file = Some(file.clone());
        (settings.collect.catch_up, settings.spool.catch_up) = (catch_up, catch_up);
        let (_, stats) = spooled(settings, SystemClock::shared()).await;
        collected.push(stats.samples_collected_total());
    }
    assert!(collected[0] > 1000 && collected[1] == 0, "{collected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_delivered_amid_a_run_loses_no_sample() {
    // A set takes syncs of the disk; where that is slow, a drive must be long to see three of them.
    for minutes in [40, 160, 640, 1400] {
        if sets_delivered_amid_a_run(minutes).await > 2 {
            return;
        }
    }
    panic!("no drive saw three sets");
}

/// Delivers one set after the other while a drive is collected, and returns how many it saw.
async fn sets_delivered_amid_a_run(minutes: i64) -> usize {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let (expected, len) = without_campaigns(start, minutes, clock.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = battery(folder.path(), start, minutes);
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
    let batches = handle.shared.spool().next_batches(&HashMap::new(), usize::MAX).unwrap();
    assert_eq!(default_rows(&decoded(&batches), len), default_rows(&expected, len));
    // Every batch can be read: the catalogue it names is kept.
    // Taken before the loop: within it the spool's lock is taken again.
    let hashes = handle.shared.spool().catalog_hashes();
    for hash in hashes {
        assert!(handle.shared.spool().catalog(hash).is_some());
    }
    let stats = handle.stats();
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
    catalogs.len()
}

async fn start_agent(settings: Settings, tasks: &Tasks, clock: SharedClock) -> Handle {
    start(settings, tasks, clock).await.unwrap()
}
