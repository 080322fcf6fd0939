//! Nothing vanishes: sampled = stored + duplicate + quarantined + dropped, over the demo's set,
//! with a log replayed twice, a vehicle whose clock is days ahead, and payloads that are none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/pipeline.rs"]
mod pipeline;

use std::time::Duration;

use edge_agent::{agent::SourceSettings, source::replay::Pace};
use pipeline::{Pipeline, real_car, simulated, within};
use wire::{readings::COLUMNS, time::Timestamp};

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_stored_duplicate_quarantined_or_dropped() {
    let data = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(data.path()).await;
    let (spool, broker) = (|name: &str| data.path().join(name), pipeline.broker());
    let now = Timestamp(pipeline.clock.now_us());
    let hour = Duration::from_secs(3600);

    let first = pipeline.agent(real_car(&spool("first"), broker, Pace::FlatOut)).await;
    within("the first replay drained", first.drained()).await;
    let mut agents = vec![first];
    // The same log by an agent that knows nothing of the first: all of it duplicate.
    let second = pipeline.agent(real_car(&spool("second"), broker, Pace::FlatOut)).await;
    within("the second replay drained", second.drained()).await;
    let replayed = second.stats().samples_collected_total();
    agents.push(second);
    for i in 1..=20 {
        let (id, start) = (format!("sim-{i:02}"), now.plus_us(-24 * 3_600_000_000));
        agents.push(pipeline.agent(simulated(&id, &spool(&id), broker, start, hour / 2)).await);
    }
    let mut ahead = real_car(&spool("ahead"), broker, Pace::FlatOut);
    ahead.vehicle_id = "car-ahead".parse().unwrap();
    if let SourceSettings::Replay(replay) = &mut ahead.source {
        replay.shift_to = Some(now.plus_us(10 * 86_400_000_000));
    }
    let ahead = pipeline.agent(ahead).await;
    agents.push(ahead.clone());
    for agent in &agents {
        within("an agent drained", agent.drained()).await;
    }

    let sampled: u64 = agents.iter().map(|a| a.stats().samples_collected_total()).sum();
    let dropped: u64 = agents.iter().map(|a| a.stats().samples_dropped_total()).sum();
    let stats = pipeline.ingest.stats();
    println!("sampled {sampled} = {stats:?} + dropped {dropped}");
    assert!(sampled > 250_000, "{sampled}");

    // What the lake says, not what a counter says.
    let columns: Vec<String> = COLUMNS.iter().map(|c| format!("count({})", c.name)).collect();
    let stored = pipeline.number(&format!("SELECT {} FROM readings", columns.join(" + "))).await
        + pipeline.number("SELECT count(*) FROM signals").await;
    let quarantined = pipeline.number("SELECT coalesce(sum(sample_count), 0) FROM quarantine").await;
    assert_eq!(stored, stats.samples_stored as f64);
    assert_eq!(quarantined, ahead.stats().samples_collected_total() as f64);
    assert_eq!(quarantined, stats.samples_quarantined as f64);
    // The second replay is duplicate, whether it was sent (and dropped by ingest) or acked before it
    // was sent: an ack covers all of the stream that the lake holds.
    assert!(stats.samples_duplicate > 0);
    let acked: u64 = agents.iter().map(|a| a.stats().samples_acked).sum();
    assert_eq!(acked + dropped, sampled);
    let duplicate = replayed as f64;
    assert_eq!(stored + duplicate + quarantined + dropped as f64, sampled as f64);

    // And no row is there twice.
    let rows = pipeline.number("SELECT count(*) FROM readings").await;
    let distinct = pipeline
        .number("SELECT count(*) FROM (SELECT DISTINCT vehicle_id, ts, stream_id FROM readings)")
        .await;
    assert_eq!(rows, distinct);
    pipeline.stop().await;
}
