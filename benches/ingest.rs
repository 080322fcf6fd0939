//! Samples a second from received payloads to committed rows on one core, beside pyarrow writing the
//! same rows with the same encodings; and messages a second from a publisher through mosquitto into the
//! lake, beside the same messages at QoS 1 to a subscriber that does nothing with them.
//!
//! A fleet of vehicles sends what the agent collects of the real car's log in 10 s batches. The whole
//! path is what ingest does between the broker and the ack: payloads are decoded and checked
//! (signatures off), turned into rows of `readings` and `signals`, sorted and committed, some hundred
//! thousand samples at a time. The writer alone begins with the rows. MQTT is in neither of these two.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use benches::{
    Figure, Options, Report,
    mqtt::Mosquitto,
    peers,
    recorded::{BATCH_S, CAR_MAP, Recording},
    root,
    samples::LOGS,
};
use ingest::{
    Config, Settings,
    commit::Committer,
    config::SignaturePolicy,
    intake::Incoming,
    keys::DeviceKeys,
    rows::{self, ByVehicle},
    verify::{Verdict, Verified, Verifier},
};
use lake::{AppTransaction, Lake, LakeLocation, TableKind};
use service::{Tasks, clock::SystemClock, config::Loaded};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    batch::{Batch, Envelope, Table},
    ids::{StreamId, VehicleId},
    time::Timestamp,
    topics::{self, Channel},
};

const VEHICLE_COUNT: u128 = 50;
/// Samples of one commit: some seconds of a large fleet.
const COMMIT_SAMPLES: u64 = 500_000;
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(60);

/// A message as the broker hands it over.
struct Message {
    vehicle_id: VehicleId,
    payload: Vec<u8>,
    received_at: Timestamp,
    samples: u64,
}

fn main() -> ExitCode {
    benches::main("ingest", |options, report| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(bench(options, report))
    })
}

async fn bench(options: &Options, report: &mut Report) -> Result<()> {
    let recording = Recording::of_map(&LOGS[0], CAR_MAP)?;
    let catalog = recording.catalog.encode();
    let messages = messages(&recording)?;
    let samples: u64 = messages.iter().map(|m| m.samples).sum();
    let (mut whole, mut alone) = (Vec::new(), Vec::new());
    let (mut pyarrow, mut pyarrow_synced) = (Vec::new(), Vec::new());
    for _ in 0..options.run_count.div_ceil(3) {
        let folder = tempfile::tempdir()?;
        let lake = Lake::create(folder.path())?;
        whole.push(rate(samples, whole_path(&lake, &catalog, &messages).await?));
        let files = files_of(&lake).await?;
        let folder = tempfile::tempdir()?;
        let lake = Lake::create(folder.path())?;
        alone.push(rate(samples, writer_alone(&lake, &recording, &messages).await?));
        if let Some(peers) = peers() {
            let (written, synced) = by_pyarrow(&peers, &files)?;
            pyarrow.push(rate(samples, written));
            pyarrow_synced.push(rate(samples, synced));
        }
    }
    let (mut committed, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.run_count.div_ceil(3) {
        bare.push(rate(messages.len() as u64, through_mosquitto(&messages).await?));
        committed.push(rate(messages.len() as u64, from_mosquitto(&catalog, &messages, samples).await?));
    }
    let case = format!("{VEHICLE_COUNT} cars, {samples} samples in {} batches", messages.len());
    for (what, ours) in [("whole path", &whole), ("writer alone", &alone)] {
        let case = format!("{case}, {what}");
        report.ours(&case, "samples/s", Figure::of(ours));
        if !pyarrow.is_empty() {
            report.peer(&case, "pyarrow, the same rows", "samples/s", Figure::of(&pyarrow));
            report.peer(&case, "pyarrow, each file synced", "samples/s", Figure::of(&pyarrow_synced));
        }
    }
    let case = format!("{case}, MQTT to committed");
    report.ours(&case, "messages/s", Figure::of(&committed));
    report.peer(&case, "bare mosquitto, QoS 1", "messages/s", Figure::of(&bare));
    let per_message = samples as f64 / messages.len() as f64;
    let committed: Vec<f64> = committed.iter().map(|rate| rate * per_message).collect();
    report.ours(&case, "samples/s", Figure::of(&committed));
    Ok(())
}

fn rate(samples: u64, elapsed: Duration) -> f64 {
    samples as f64 / elapsed.as_secs_f64()
}

/// What the fleet sends, in the order it comes.
fn messages(recording: &Recording) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    for batch in &recording.batches {
        for vehicle in 1..=VEHICLE_COUNT {
            let vehicle_id: VehicleId = format!("car-{vehicle:04}").parse()?;
            let stream_id = StreamId(Uuid::from_u128(vehicle));
            let own = Batch { vehicle_id: vehicle_id.clone(), stream_id, ..batch.clone() };
            let payload = Envelope { body: &own.encode_body()?, signature: &[] }.encode()?;
            let received_at = batch.base_time.plus_us((BATCH_S + 1) * 1_000_000);
            messages.push(Message { vehicle_id, payload, received_at, samples: own.sample_count() });
        }
    }
    Ok(messages)
}

/// Messages of one commit after the other.
fn commits(messages: &[Message]) -> Vec<&[Message]> {
    let (mut out, mut from, mut samples) = (Vec::new(), 0, 0);
    for (i, message) in messages.iter().enumerate() {
        samples += message.samples;
        if samples >= COMMIT_SAMPLES || i + 1 == messages.len() {
            out.push(&messages[from..=i]);
            (from, samples) = (i + 1, 0);
        }
    }
    out
}

async fn verified(verifier: &mut Verifier, message: &Message) -> Result<Verified> {
    let incoming = Incoming {
        topic: topics::topic(&message.vehicle_id, Channel::Telemetry),
        vehicle_id: message.vehicle_id.clone(),
        channel: Channel::Telemetry,
        payload: message.payload.clone(),
    };
    match verifier.verify(incoming, message.received_at).await {
        Verdict::Accept(verified) => Ok(*verified),
        other => bail!("not accepted: {other:?}"),
    }
}

async fn verifier(lake: &Lake, catalog: &[u8]) -> Result<Verifier> {
    let keys = DeviceKeys::new(None);
    let mut verifier = Verifier::new(lake.clone(), keys, SignaturePolicy::Off, CLOCK_AHEAD_MAX);
    verifier.learn_catalog(catalog).await.map_err(anyhow::Error::msg)?;
    Ok(verifier)
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
async fn whole_path(lake: &Lake, catalog: &[u8], messages: &[Message]) -> Result<Duration> {
    let mut verifier = verifier(lake, catalog).await?;
    let mut committer = Committer::open(lake, "bench".to_owned(), SystemClock::shared()).await?;
    let (stop, mut stored) = (CancellationToken::new(), 0);
    let start = Instant::now();
    for commit in commits(messages) {
        for message in commit {
            committer.accept(verified(&mut verifier, message).await?);
        }
        stored += committer.flush(&stop).await?.samples_stored;
    }
    let elapsed = start.elapsed();
    ensure!(stored == messages.iter().map(|m| m.samples).sum::<u64>(), "{stored} samples stored");
    Ok(elapsed)
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
async fn writer_alone(lake: &Lake, recording: &Recording, messages: &[Message]) -> Result<Duration> {
    let mut verifier = verifier(lake, &recording.catalog.encode()).await?;
    let mut elapsed = Duration::ZERO;
    for table in [Table::Readings, Table::Signals] {
        let mut written = lake.create_table(TableKind::of_wire(table)).await?;
        let mut version = 0;
        for commit in commits(messages) {
            let mut batches = Vec::with_capacity(commit.len());
            for message in commit {
                batches.push(verified(&mut verifier, message).await?);
            }
            let Some(rows) = rows::telemetry(table, &ByVehicle::of(&batches))? else { continue };
            version += 1;
            let start = Instant::now();
            written.append(rows, &AppTransaction { app_id: "bench".to_owned(), version }).await?;
            elapsed += start.elapsed();
        }
    }
    Ok(elapsed)
}

fn published(messages: &[Message]) -> Vec<(String, Vec<u8>)> {
    let topic = |m: &Message| topics::topic(&m.vehicle_id, Channel::Telemetry);
    messages.iter().map(|m| (topic(m), m.payload.clone())).collect()
}

/// The same messages, to one who only counts them.
#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
async fn through_mosquitto(messages: &[Message]) -> Result<Duration> {
    let broker = Mosquitto::start()?;
    let mut counter = broker.subscribe().await?;
    let messages = published(messages);
    let wanted = messages.len();
    let start = Instant::now();
    let publisher = broker.publish(messages);
    counter.take(wanted).await?;
    let elapsed = start.elapsed();
    publisher.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
    Ok(elapsed)
}

/// A whole ingest behind the broker, until everything is in the lake.
#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
async fn from_mosquitto(catalog: &[u8], messages: &[Message], samples: u64) -> Result<Duration> {
    let broker = Mosquitto::start()?;
    let folder = tempfile::tempdir()?;
    let mut config = Config { lake: LakeLocation::Folder(folder.path().join("lake")), ..Config::default() };
    config.broker.embedded_listen.clear();
    config.broker.external = Some(broker.address().to_string());
    let mut settings = Settings::check(Loaded { config, origin: "bench".to_owned() })?;
    settings.signatures = SignaturePolicy::Off;
    let tasks = Tasks::new();
    let ingest = ingest::start(settings, &tasks, SystemClock::shared()).await?;
    ingest.connected().await;
    let of_catalog = messages.first().map(|m| topics::topic(&m.vehicle_id, Channel::Catalog));
    let mut all: Vec<(String, Vec<u8>)> =
        of_catalog.map(|topic| (topic, catalog.to_vec())).into_iter().collect();
    all.extend(published(messages));
    let start = Instant::now();
    let publisher = broker.publish(all);
    while ingest.stats().samples_stored < samples {
        ensure!(ingest.stats().samples_quarantined == 0, "{:?}", ingest.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let elapsed = start.elapsed();
    publisher.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
    ingest.stop(Duration::from_secs(30)).await?;
    tasks.stop(Duration::from_secs(30)).await?;
    Ok(elapsed)
}

/// The files as they were committed.
async fn files_of(lake: &Lake) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for kind in [TableKind::Readings, TableKind::Signals] {
        let folder = lake.folder().context("a lake in a folder")?.join(kind.name());
        let table = lake.open_table(kind).await?;
        files.extend(table.file_paths()?.iter().map(|path| folder.join(path)));
    }
    Ok(files)
}

/// Time pyarrow takes to write the rows of these files, one file each; and with each synced to the disk.
fn by_pyarrow(peers: &Path, files: &[PathBuf]) -> Result<(Duration, Duration)> {
    let script = root().join("benches/peers/ingest.py");
    let output = Command::new(peers.join("venv/bin/python")).arg(script).args(files).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout)?;
    let (written, synced) = printed.trim().split_once(' ').context("two numbers of seconds")?;
    Ok((Duration::from_secs_f64(written.parse()?), Duration::from_secs_f64(synced.parse()?)))
}
