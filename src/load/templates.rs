//! Real batches to send: an agent's own, of a simulated vehicle.

use std::{collections::HashMap, path::Path, time::Duration};

use anyhow::{Context, ensure};
use edge_agent::{
    agent::{self, Settings, SourceSettings},
    simulate::{self, Powertrain, SimulateSettings},
    spool::{DiskStorage, Spool, SpoolSettings},
    uplink::UplinkSettings,
};
use service::{Tasks, clock::SystemClock};
use wire::{
    batch::{Batch, Envelope},
    ids::{StreamId, VehicleId},
    time::Timestamp,
};

/// The simulated drive: ten minutes of a vehicle that drives for most of them.
const LENGTH_US: i64 = 600_000_000;
/// 2025-10-09 09:00 UTC, a Thursday.
const START: Timestamp = Timestamp(1_760_000_400_000_000);
/// Longest the drive may take to be computed.
const TIME_MAX: Duration = Duration::from_secs(120);
const GRACE: Duration = Duration::from_secs(20);

/// Batches, and the catalogue of their columns.
#[derive(Debug)]
pub(super) struct Templates {
    pub(super) catalog: Vec<u8>,
    batches: Vec<Batch>,
}

/// Which batch of a vehicle it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) stream_id: StreamId,
    pub(super) sequence: u64,
    /// The lowest sequence that may still come.
    pub(super) oldest: u64,
    /// Which template.
    pub(super) template: usize,
    /// Vehicle clock of its first sample.
    pub(super) base_time: Timestamp,
}

impl Templates {
    /// Has an agent spool a drive without a broker, and reads what it would have sent.
    pub(super) async fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let tasks = Tasks::new();
        let clock = SystemClock::shared();
        let agent = agent::start(settings(folder.path())?, &tasks, clock).await?;
        let ended = async {
            while !agent.stats().is_source_done {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let ended = tokio::time::timeout(TIME_MAX, ended).await;
        tasks.stop(GRACE).await?;
        // The spool's lock goes with its last owner.
        drop((agent, tasks));
        ended.context("the simulated drive did not end in time")?;
        let mut spool = Spool::open(Box::new(DiskStorage::open(folder.path())?), SpoolSettings::default())?;
        let stored = spool.next_batches(&HashMap::new(), usize::MAX)?;
        let mut batches = Vec::new();
        for stored in &stored {
            let batch = Batch::decode_body(&stored.body)?;
            if batch.sample_count() > 0 {
                batches.push(batch);
            }
        }
        let hash = batches.first().map(|batch| batch.catalog_hash).context("the drive gave no batch")?;
        batches.retain(|batch| batch.catalog_hash == hash);
        let catalog = spool.catalog(hash).context("the spool has lost its catalogue")?;
        ensure!(batches.len() > 10, "the drive gave only {} batches", batches.len());
        Ok(Self { catalog, batches })
    }

    pub(super) fn count(&self) -> usize {
        self.batches.len()
    }

    /// The payload of a vehicle's batch, and the samples in it. The same place gives the same
    /// samples, so what is sent again is the same batch.
    pub(super) fn payload(&self, vehicle_id: &VehicleId, place: Place) -> anyhow::Result<(Vec<u8>, u64)> {
        let template = self.batches.get(place.template % self.batches.len()).context("no template")?;
        let batch = Batch {
            vehicle_id: vehicle_id.clone(),
            stream_id: place.stream_id,
            sequence: place.sequence,
            oldest_sequence: place.oldest,
            base_time: place.base_time,
            gaps: Vec::new(),
            ..template.clone()
        };
        let body = batch.encode_body()?;
        Ok((Envelope { body: &body, signature: &[] }.encode()?, batch.sample_count()))
    }
}

fn settings(folder: &Path) -> anyhow::Result<Settings> {
    let powertrain = Powertrain::Combustion;
    let track = simulate::tracks().into_iter().nth(1).context("there is no track")?;
    let source = SourceSettings::Simulate(SimulateSettings {
        track,
        powertrain,
        seed: 2,
        start_time: START,
        speed: 1e9,
        until: Some(START.plus_us(LENGTH_US)),
    });
    let files = (vec![simulate::dbc()], vec![simulate::map(powertrain)]);
    let settings = Settings::new("template".parse()?, folder.to_owned(), source, files);
    // Nobody answers there, and nobody is to.
    let uplink = UplinkSettings { host: "127.0.0.1".to_owned(), port: 9, ..settings.uplink };
    Ok(Settings { uplink, ..settings })
}
