//! Batches on their way: sent until durable, whatever is lost, forgotten or refused.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_lane_is_sent_once_and_let_go_when_durable() {
    let rig = Rig::new(SpoolSettings::default(), |_, shared| {
        fill(shared, Lane::SIGNALS, stream(2), 30);
        fill(shared, Lane::Readings, stream(1), 30);
    })
    .await;
    rig.drained().await;
    fill(&rig.shared, Lane::Readings, stream(1), 5);
    rig.drained().await;
    assert_eq!(rig.cloud.counts(), vec![1; 65]);
    let stats = rig.shared.stats();
    assert_eq!((stats.batches_acked, stats.samples_acked, stats.reconnects), (65, 65, 0));
    assert!(rig.cloud.cloud.lock().unwrap().catalogs.len() == 1);
    let statuses = rig.stop().await;
    assert!(statuses[0].is_online && statuses[0].link == LinkState::CatchingUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_puback_releases_nothing_and_one_batch_asks_for_the_ack_of_all() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        cloud.gives_acks.store(false, Ordering::SeqCst);
        fill(shared, Lane::Readings, stream(1), 20);
    })
    .await;
    let again = async {
        while !rig.cloud.counts().iter().any(|count| *count >= 2) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("sent again");
    // No more than the window went out, and of it one batch again.
    let counts = rig.cloud.counts();
    assert_eq!((counts.len(), counts.iter().filter(|count| **count > 1).count()), (8, 1), "{counts:?}");
    assert_eq!(rig.shared.stats().batches_in_spool, 20);
    assert!(rig.shared.stats().resends >= 1);
    rig.cloud.gives_acks.store(true, Ordering::SeqCst);
    rig.cloud.changed.send_modify(|n| *n += 1);
    rig.drained().await;
    assert_eq!(rig.cloud.counts().len(), 20);
    rig.stop().await;
}

/// Batches sent, resent ones included.
fn sent(rig: &Rig) -> u32 {
    rig.cloud.counts().iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_asked_to_wait_sends_nothing_until_then_also_over_a_new_connection() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        cloud.gives_acks.store(false, Ordering::SeqCst);
        cloud.cloud.lock().unwrap().wait_s = 3;
        // Cut with the wait just asked for.
        *cloud.cuts.lock().unwrap() = vec![7];
        fill(shared, Lane::Readings, stream(1), 20);
    })
    .await;
    let clock = SystemClock::shared();
    let connected_again = async {
        while rig.shared.stats().reconnects == 0 || rig.shared.stats().waits == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), connected_again).await.expect("asked and cut");
    let (from_us, before) = (clock.monotonic_us(), sent(&rig));
    let again = async {
        while sent(&rig) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("sent again");
    // `resend_after` is 600 ms, and coming back took up to 1 s of the three.
    let waited_us = clock.monotonic_us() - from_us;
    assert!(waited_us > 1_500_000, "{waited_us}");
    rig.cloud.cloud.lock().unwrap().wait_s = 0;
    rig.cloud.gives_acks.store(true, Ordering::SeqCst);
    rig.cloud.changed.send_modify(|n| *n += 1);
    rig.drained().await;
    assert_eq!(rig.cloud.counts().len(), 20);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_ack_ends_a_wait() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        cloud.gives_acks.store(false, Ordering::SeqCst);
        cloud.cloud.lock().unwrap().wait_s = 600;
        fill(shared, Lane::Readings, stream(1), 20);
    })
    .await;
    let asked = async {
        while rig.shared.stats().waits == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("asked");
    rig.cloud.cloud.lock().unwrap().wait_s = 0;
    rig.cloud.gives_acks.store(true, Ordering::SeqCst);
    rig.cloud.changed.send_modify(|n| *n += 1);
    // Long before ten minutes.
    rig.drained().await;
    assert_eq!(rig.cloud.counts().len(), 20);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_costs_a_resend_and_never_a_batch() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        *cloud.cuts.lock().unwrap() = vec![9, 3];
        fill(shared, Lane::Readings, stream(1), 40);
    })
    .await;
    rig.drained().await;
    assert_eq!(rig.cloud.counts().len(), 40);
    assert_eq!(rig.shared.stats().reconnects, 2);
    assert_eq!(rig.cloud.cloud.lock().unwrap().connections, 3);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_asked_for_is_published_and_the_window_sent_again() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        cloud.needs_catalog.store(true, Ordering::SeqCst);
        cloud.gives_acks.store(false, Ordering::SeqCst);
        fill(shared, Lane::Readings, stream(1), 4);
    })
    .await;
    let again = async {
        while rig.cloud.counts() != [2, 2, 2, 2] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("sent again");
    rig.cloud.gives_acks.store(true, Ordering::SeqCst);
    rig.cloud.changed.send_modify(|n| *n += 1);
    rig.drained().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_drop_the_cloud_is_told_that_nothing_older_comes() {
    let settings = SpoolSettings { segment_bytes: 600, bytes_max: 4000, ..SpoolSettings::default() };
    let rig = Rig::new(settings, |_, shared| fill(shared, Lane::SIGNALS, stream(2), 60)).await;
    // Without it the acks would never pass the hole, and this would not end.
    rig.drained().await;
    let stats = rig.shared.stats();
    assert!(stats.samples_dropped_total() > 0);
    assert_eq!(stats.samples_acked + stats.samples_dropped_total(), 60);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_the_cloud_can_never_take_is_given_up_alone_and_counted() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        *cloud.unreadable.lock().unwrap() = [3, 20].into();
        fill(shared, Lane::Readings, stream(1), 20);
    })
    .await;
    // Without the rejection both would be sent every 600 ms for ever, and this would not end.
    rig.drained().await;
    let stats = rig.shared.stats();
    assert_eq!((stats.samples_acked, stats.dropped_by(DropReason::Rejected)), (18, 2));
    assert_eq!(rig.cloud.counts().len(), 18);
    let next = rig.shared.spool().next_batch(Lane::Readings, stream(1));
    assert_eq!((next.sequence, next.oldest_sequence), (21, 21));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_latest_gets_streams_of_its_own_where_it_goes_first() {
    let outage = |catch_up, count| async move {
        let settings = SpoolSettings { catch_up, ..SpoolSettings::default() };
        let rig = Rig::new(settings, |_, shared| fill(shared, Lane::Readings, stream(1), count)).await;
        rig.drained().await;
        let epoch = rig.shared.counters.stream_epoch.load(Ordering::Relaxed);
        rig.stop().await;
        epoch
    };
    assert_eq!(outage(CatchUp::LatestFirst, 20).await, 1);
    // What fits the window is no backlog.
    assert_eq!(outage(CatchUp::LatestFirst, 5).await, 0);
    assert_eq!(outage(CatchUp::OldestFirst, 20).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_campaign_set_is_looked_at_and_status_tells_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pub");
    let signer = wire::signature::BatchSigner::from_secret(&[9; 32]);
    let hex: String = signer.public_key().iter().map(|b| format!("{b:02x}")).collect();
    std::fs::write(&key, hex).unwrap();
    let settings = CampaignSettings { public_key_file: Some(key), ..CampaignSettings::default() };
    let good = wire::campaigns::sign("version = 1\nid = \"fleet\"\nrevision = 7\n", &signer);
    let rig = Rig::with_campaigns(SpoolSettings::default(), settings, move |cloud, _| {
        *cloud.campaigns.lock().unwrap() = good;
    })
    .await;
    let told = |is_it: fn(&VehicleStatus) -> bool| {
        let cloud = Arc::clone(&rig.cloud);
        async move {
            let seen = async {
                while !cloud.cloud.lock().unwrap().statuses.iter().any(is_it) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), seen).await.expect("status tells it");
        }
    };
    told(|s| s.campaigns.in_force.as_ref().is_some_and(|f| f.revision == 7)).await;
    let desk = Arc::clone(&rig.campaigns);
    tokio::task::spawn_blocking(move || drop(desk.deliver(b"unsigned", Delivery::Mqtt))).await.unwrap();
    told(|s| s.campaigns.refusal.contains("not signed") && s.campaigns.in_force.is_some()).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_asked_for_by_every_batch_of_a_window_is_sent_once() {
    const WINDOW: usize = 256;
    let change = |settings: &mut UplinkSettings| {
        settings.in_flight_max = WINDOW;
        settings.resend_after = Duration::from_secs(60);
    };
    let parts = (None, None, None, CampaignSettings::default());
    let clock = SystemClock::shared();
    let began_us = clock.monotonic_us();
    let rig = Rig::changed(SpoolSettings::default(), parts, change, |cloud, shared| {
        cloud.gives_acks.store(false, Ordering::SeqCst);
        // The one of the introduction is lost, as when telemetry is faster than it.
        cloud.catalogs_wanted.store(2, Ordering::SeqCst);
        fill(shared, Lane::Readings, stream(1), 2 * WINDOW as u64);
    })
    .await;
    let all_came = async {
        while rig.cloud.counts().len() < WINDOW {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_came).await.expect("the window comes again");
    rig.cloud.gives_acks.store(true, Ordering::SeqCst);
    rig.cloud.changed.send_modify(|n| *n += 1);
    rig.drained().await;
    // One more for each second that this took: on a busy machine some.
    let came = u64::from(rig.cloud.cloud.lock().unwrap().catalogs_came);
    let most = 2 + u64::try_from((clock.monotonic_us() - began_us) / 1_000_000).unwrap();
    assert!((2..=most).contains(&came), "{came} came, {most} at most");
    let stats = rig.shared.stats();
    assert_eq!(stats.reconnects, 0);
    assert!(stats.batches_sent <= (1 + came) * WINDOW as u64, "{} sent", stats.batches_sent);
    rig.stop().await;
}

/// As a cluster does while it chooses a leader. The connection itself stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_asked_for_again() {
    let rig = Rig::new(SpoolSettings::default(), |cloud, shared| {
        // All of the first time, and one of the second.
        *cloud.subscription_refusals.lock().unwrap() = 3;
        fill(shared, Lane::Readings, stream(1), 20);
    })
    .await;
    rig.drained().await;
    assert_eq!(rig.cloud.cloud.lock().unwrap().connections, 1);
    rig.stop().await;
}
