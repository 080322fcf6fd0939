//! Recorded logs as the batches that ingest gets: what the benches of the lake's side store.

use std::sync::Arc;

use anyhow::Result;
use edge_agent::{
    collect::{CollectSettings, Collector, Cut},
    map::{FrameOutcome, MappedDecoder, SignalMap},
    source::{CandumpReader, Source},
    spool::Lane,
};
use ingest::verify::Verified;
use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState, Table},
    catalog::{Catalog, ColumnDef, ValueKind},
    ids::{BootId, StreamId},
    time::Timestamp,
};

use crate::{
    Chance, root,
    samples::{self, Log},
};

/// Event time in one batch.
pub const BATCH_S: i64 = 10;
/// The map of the real car.
pub const CAR_MAP: &str = "configs/maps/css-car-obd-gnss.toml";

/// The batches of one drive, and what their columns mean.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What the columns mean.
    pub catalog: Arc<Catalog>,
    /// In their order, sequences from 1.
    pub batches: Vec<Batch>,
}

impl Recording {
    /// Every signal of every frame of a log, as rows of `signals`.
    pub fn of_every_signal(log: &Log) -> Result<Self> {
        let decoder = log.decoder()?;
        let column = |(id, signal): (usize, &edge_agent::decode::SignalDef)| {
            Ok(ColumnDef {
                column_id: u32::try_from(id)?,
                table: Table::Signals,
                signal: format!("{}.{}", decoder.message(signal.message).name, signal.name),
                unit: signal.unit.clone(),
                scale: signal.scale,
                offset: signal.offset,
                kind: if signal.is_float() { ValueKind::Number } else { ValueKind::Raw },
                labels: Vec::new(),
            })
        };
        let columns = decoder.signals().iter().enumerate().map(column).collect::<Result<_>>()?;
        let catalog = Catalog { vss_release: "none".to_owned(), columns };
        let (_, samples) = log.read()?;
        let hash = catalog.hash();
        let batches = samples::cut(&samples, BATCH_S).into_iter().zip(1..);
        let batches = batches
            .map(|(samples, sequence)| Batch { catalog_hash: hash, ..samples::batch(samples, sequence) })
            .collect();
        Ok(Self { catalog: Arc::new(catalog), batches })
    }

    /// What the agent collects of a log by a map: `readings`, and of `signals` what changes.
    pub fn of_map(log: &Log, map: &str) -> Result<Self> {
        let mut decoder = MappedDecoder::new(log.decoder()?, &[SignalMap::open(&root().join(map))?])?;
        let catalog = decoder.catalog().clone();
        let intervals: Vec<_> = decoder.columns().iter().map(|c| c.min_interval).collect();
        let min_interval = |id: u32| intervals.get(id as usize).copied().flatten();
        let mut collector =
            Collector::new(&catalog, CollectSettings::default(), min_interval, [None; Lane::COUNT]);
        let mut frames = CandumpReader::open(&log.path())?;
        let (mut values, mut cuts) = (Vec::new(), Vec::new());
        while let Some(frame) = frames.next()? {
            values.clear();
            let message = match decoder.samples(&frame, &mut values) {
                FrameOutcome::Mapped(message) => u32::try_from(message.as_usize())?,
                FrameOutcome::Unknown | FrameOutcome::Unmapped => 0,
            };
            collector.observe(frame.time, message, &values, &mut cuts);
        }
        collector.finish(&mut cuts);
        let hash = catalog.hash();
        let batch = |(cut, sequence): (Cut, u64)| Batch {
            vehicle_id: samples::vehicle_id(),
            boot_id: BootId(Uuid::from_u128(1)),
            stream_id: StreamId(Uuid::from_u128(2)),
            sequence,
            oldest_sequence: sequence,
            catalog_hash: hash,
            monotonic_base_us: cut.base_time.0 / 2,
            base_time: cut.base_time,
            groups: cut.groups,
            gaps: Vec::new(),
            clock: ClockState::Synchronized,
        };
        Ok(Self { catalog: Arc::new(catalog), batches: cuts.into_iter().zip(1..).map(batch).collect() })
    }

    /// Values in all batches.
    pub fn sample_count(&self) -> u64 {
        self.batches.iter().map(Batch::sample_count).sum()
    }

    /// As ingest has them once they are received, each a while after its end.
    pub fn verified(&self) -> Vec<Verified> {
        let mut chance = Chance(1);
        let verified = |batch: &Batch| {
            let late_us = i64::try_from(1_000_000 + chance.below(100_000)).unwrap_or_default();
            Verified {
                batch: batch.clone(),
                catalog: Arc::clone(&self.catalog),
                received_at: batch.base_time.plus_us(BATCH_S * 1_000_000 + late_us),
                payload_bytes: 0,
            }
        };
        self.batches.iter().map(verified).collect()
    }

    /// The end of the drive.
    pub fn end(&self) -> Timestamp {
        self.batches.iter().map(|b| b.base_time).max().unwrap_or_default().plus_us(BATCH_S * 1_000_000)
    }
}
