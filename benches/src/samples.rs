//! The samples of recorded logs: what the bench of the wire puts into its formats.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use edge_agent::{
    dbc::Dbc,
    decode::{Decoder, Raw},
    source::{CandumpReader, Source},
};
use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState, Column, Group, Table, Values},
    ids::{BootId, CatalogHash, StreamId, VehicleId},
};

use crate::root;

/// A time and the samples of one frame.
type Row<'a> = (i64, &'a [Sample]);

/// One value of one signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was on the bus.
    pub time_us: i64,
    /// Which message it was in: signals of one message share a clock.
    pub message: u32,
    /// Which signal.
    pub signal: u32,
    /// As it was on the bus.
    pub raw: Raw,
    /// In its unit.
    pub value: f64,
}

/// A recorded log with the DBC files of its signals, below `tests/data/`.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// What tables call it.
    pub name: &'static str,
    /// Folder of all files.
    pub folder: &'static str,
    /// The candump log.
    pub log: &'static str,
    /// Its DBC files.
    pub dbcs: &'static [&'static str],
}

/// Real logs: a car (OBD-II answers, GNSS, accelerometer), an electric car (GNSS), a truck (J1939).
pub const LOGS: [Log; 3] = [
    Log {
        name: "car",
        folder: "css-car-obd-gnss",
        log: "00000164.candump.log.gz",
        dbcs: &["OBD-v4.4.dbc", "canmod-gps.dbc"],
    },
    Log {
        name: "electric car",
        folder: "css-ev-uds-gnss",
        log: "2F6913DB-00001089-00000001-63BEF5CD.candump.log.gz",
        dbcs: &["gnss.dbc"],
    },
    Log {
        name: "truck",
        folder: "css-truck-j1939",
        log: "FCBF0606-00003482-00000001.candump.log.gz",
        dbcs: &["CSS-Electronics-SAE-J1939-DEMO.dbc"],
    },
];

impl Log {
    /// The log's file.
    pub fn path(&self) -> PathBuf {
        root().join("tests/data").join(self.folder).join(self.log)
    }

    /// The decoder of its DBC files.
    pub fn decoder(&self) -> Result<Decoder> {
        let folder = root().join("tests/data").join(self.folder);
        let dbcs: Vec<Dbc> =
            self.dbcs.iter().map(|f| Dbc::open(&folder.join(f))).collect::<Result<_, _>>()?;
        Ok(Decoder::compile(&dbcs)?)
    }

    /// Its signals' names, and every sample in the order of the bus.
    pub fn read(&self) -> Result<(Vec<String>, Vec<Sample>)> {
        let decoder = self.decoder()?;
        let mut log = CandumpReader::open(&self.path())?;
        let mut samples = Vec::new();
        while let Some(frame) = log.next()? {
            let at = samples.len();
            let message = decoder.decode(&frame, &mut |sample| {
                samples.push(Sample {
                    time_us: frame.time.0,
                    message: 0,
                    signal: u32::try_from(sample.signal.as_usize()).unwrap_or(u32::MAX),
                    raw: sample.raw,
                    value: decoder.signal(sample.signal).value(sample.raw),
                });
            });
            for sample in &mut samples[at..] {
                let message = message.map_or(usize::MAX, edge_agent::decode::MessageIndex::as_usize);
                sample.message = u32::try_from(message).unwrap_or(u32::MAX);
            }
        }
        let names =
            decoder.signals().iter().map(|s| format!("{}.{}", decoder.message(s.message).name, s.name));
        Ok((names.collect(), samples))
    }
}

/// Cuts samples into batches of so many seconds of event time.
pub fn cut(samples: &[Sample], seconds: i64) -> Vec<&[Sample]> {
    let (mut rest, mut out) = (samples, Vec::new());
    while let Some(first) = rest.first() {
        let end_us = first.time_us + seconds * 1_000_000;
        let count = rest.iter().position(|s| s.time_us >= end_us).unwrap_or(rest.len());
        let (batch, after) = rest.split_at(count);
        out.push(batch);
        rest = after;
    }
    out
}

/// Whose the logs are made out to be.
pub fn vehicle_id() -> VehicleId {
    "car-3ba199e2".parse().unwrap_or_else(|_| unreachable!("a valid id"))
}

/// A batch of ours: one group for the signals that one message carried together.
pub fn batch(samples: &[Sample], sequence: u64) -> Batch {
    let base_us = samples.first().map_or(0, |s| s.time_us);
    // Frames by message and the signals they carried, each with its time and values.
    let mut shapes: BTreeMap<(u32, Vec<u32>), Vec<Row<'_>>> = BTreeMap::new();
    for frame in samples.chunk_by(|a, b| (a.time_us, a.message) == (b.time_us, b.message)) {
        let Some(first) = frame.first() else { continue };
        let shape = (first.message, frame.iter().map(|s| s.signal).collect());
        shapes.entry(shape).or_default().push((first.time_us - base_us, frame));
    }
    let groups = shapes.into_iter().map(|((_, signals), rows)| {
        let columns = signals.iter().enumerate().map(|(i, signal)| {
            let cells = || rows.iter().filter_map(move |(_, frame)| frame.get(i));
            let integers: Option<Vec<i64>> =
                cells().map(|s| if let Raw::Int(v) = s.raw { Some(v) } else { None }).collect();
            let values =
                integers.map_or_else(|| Values::Number(cells().map(|s| s.value).collect()), Values::Raw);
            Column::dense(*signal, values)
        });
        Group {
            table: Table::Signals,
            times_us: rows.iter().map(|(time, _)| *time).collect(),
            columns: columns.collect(),
        }
    });
    Batch {
        vehicle_id: vehicle_id(),
        boot_id: BootId(Uuid::from_u128(1)),
        stream_id: StreamId(Uuid::from_u128(2)),
        sequence,
        oldest_sequence: sequence,
        catalog_hash: CatalogHash(Uuid::from_u128(3)),
        base_time: wire::time::Timestamp(base_us),
        monotonic_base_us: base_us / 2,
        groups: groups.collect(),
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_us: i64, message: u32, signal: u32, raw: i64) -> Sample {
        Sample { time_us, message, signal, raw: Raw::Int(raw), value: 0.0 }
    }

    #[test]
    fn every_sample_is_in_one_batch_and_one_column() {
        let samples = [
            sample(0, 0, 0, 5),
            sample(0, 0, 1, 6),
            sample(900_000, 0, 0, 7),
            sample(900_000, 0, 1, 8),
            sample(1_000_000, 1, 2, 9),
        ];
        let batches = cut(&samples, 1);
        assert_eq!(batches.iter().map(|b| b.len()).collect::<Vec<_>>(), [4, 1]);
        let first = batch(batches[0], 1);
        assert_eq!(first.sample_count(), 4);
        assert_eq!(first.groups.len(), 1);
        assert_eq!(first.groups[0].times_us, [0, 900_000]);
        assert_eq!(first.groups[0].columns[1].values, Values::Raw(vec![6, 8]));
    }
}
