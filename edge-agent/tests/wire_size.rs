//! Bytes a sample on the wire, beside the layout of AWS IoT FleetWise (protobuf of
//! `{signal_id, relative_time_ms, double}`, Snappy), on the same samples of a real log: every
//! mapped sample of every frame, in batches of 10 s and of 1 s.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{collections::BTreeMap, path::Path};

use edge_agent::{
    dbc::Dbc,
    decode::Decoder,
    map::{FrameOutcome, MappedDecoder, MappedSample, RawValue, SignalMap},
    source::{CandumpReader, Source},
};
use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState, Column, Envelope, Group, Table, Values},
    ids::{BootId, StreamId},
    time::Timestamp,
};

struct Sample {
    time: Timestamp,
    message: usize,
    mapped: MappedSample,
}

fn samples() -> (MappedDecoder, Vec<Sample>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = root.join("tests/data/css-car-obd-gnss");
    let dbcs = ["OBD-v4.4.dbc", "canmod-gps.dbc"].map(|f| Dbc::open(&data.join(f)).unwrap());
    let map = SignalMap::open(&root.join("configs/maps/css-car-obd-gnss.toml")).unwrap();
    let mut decoder = MappedDecoder::new(Decoder::compile(&dbcs).unwrap(), &[map]).unwrap();
    let mut log = CandumpReader::open(&data.join("00000164.candump.log.gz")).unwrap();
    let (mut all, mut of_frame) = (Vec::new(), Vec::new());
    while let Some(frame) = log.next().unwrap() {
        of_frame.clear();
        if let FrameOutcome::Mapped(message) = decoder.samples(&frame, &mut of_frame) {
            let message = message.as_usize();
            all.extend(of_frame.iter().map(|&mapped| Sample { time: frame.time, message, mapped }));
        }
    }
    (decoder, all)
}

/// A message and the columns a frame of it carried.
type Shape = (usize, Vec<u32>);
/// A frame's time and samples.
type Row<'a> = (i64, Vec<&'a MappedSample>);

/// The groups of one batch: the signals that one message carried together share a clock.
fn groups(samples: &[Sample], base: Timestamp) -> Vec<Group> {
    let mut frames: BTreeMap<(usize, i64), Vec<&MappedSample>> = BTreeMap::new();
    for s in samples {
        frames.entry((s.message, s.time.0)).or_default().push(&s.mapped);
    }
    let mut by_shape: BTreeMap<Shape, Vec<Row>> = BTreeMap::new();
    for ((message, time), mapped) in frames {
        let shape = mapped.iter().map(|m| m.column_id).collect();
        by_shape.entry((message, shape)).or_default().push((time, mapped));
    }
    let made = by_shape.into_iter().map(|((_, ids), rows)| {
        let column = |(i, &column_id): (usize, &u32)| {
            let raw = rows.iter().map(|(_, cells)| match cells[i].value {
                RawValue::Raw(raw) => raw,
                RawValue::Number(x) => panic!("a raw log has raw integers, not {x}"),
            });
            Column::dense(column_id, Values::Raw(raw.collect()))
        };
        Group {
            table: Table::Signals,
            times_us: rows.iter().map(|(t, _)| t - base.0).collect(),
            columns: ids.iter().enumerate().map(column).collect(),
        }
    });
    made.collect()
}

fn ours(samples: &[Sample], sequence: u64, decoder: &MappedDecoder) -> usize {
    let base_time = samples[0].time;
    let batch = Batch {
        vehicle_id: "car-3ba199e2".parse().unwrap(),
        boot_id: BootId(Uuid::from_u128(1)),
        stream_id: StreamId(Uuid::from_u128(2)),
        sequence,
        oldest_sequence: sequence,
        catalog_hash: decoder.catalog().hash(),
        base_time,
        monotonic_base_us: base_time.0 / 2,
        groups: groups(samples, base_time),
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    };
    assert_eq!(batch.sample_count(), samples.len() as u64);
    Envelope { body: &batch.encode_body().unwrap(), signature: &[] }.encode().unwrap().len()
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `repeated CapturedSignal { uint32 signal_id = 1; sint64 relative_time_ms = 2; double = 3 }`.
fn fleetwise(samples: &[Sample], decoder: &MappedDecoder) -> usize {
    let base = samples[0].time;
    let mut bytes = Vec::new();
    for s in samples {
        let def = decoder.catalog().column(s.mapped.column_id).unwrap();
        let value = match s.mapped.value {
            RawValue::Raw(raw) => def.scaled(raw),
            RawValue::Number(x) => x,
        };
        let mut one = vec![0x08];
        varint(u64::from(s.mapped.column_id) + 1, &mut one);
        one.push(0x10);
        varint((s.time.since_us(base) / 1000 * 2) as u64, &mut one);
        one.push(0x19);
        one.extend_from_slice(&value.to_le_bytes());
        bytes.push(0x2a);
        varint(one.len() as u64, &mut bytes);
        bytes.extend_from_slice(&one);
    }
    snap::raw::Encoder::new().compress_vec(&bytes).unwrap().len()
}

#[test]
fn a_sample_takes_a_fraction_of_what_fleetwise_takes() {
    let (decoder, all) = samples();
    for (seconds, ratio_min) in [(10, 6.0), (1, 3.0)] {
        let (mut our_bytes, mut their_bytes, mut rest, mut sequence) = (0, 0, all.as_slice(), 0);
        while let Some(first) = rest.first() {
            let end = first.time.plus_us(seconds * 1_000_000);
            let (batch, after) = rest.split_at(rest.partition_point(|s| s.time < end));
            sequence += 1;
            our_bytes += ours(batch, sequence, &decoder);
            their_bytes += fleetwise(batch, &decoder);
            rest = after;
        }
        let per = |bytes: usize| bytes as f64 / all.len() as f64;
        let ratio = their_bytes as f64 / our_bytes as f64;
        println!(
            "{} samples, batches of {seconds:>2} s: {:.2} bytes a sample, FleetWise's layout {:.2}, {ratio:.1} times",
            all.len(),
            per(our_bytes),
            per(their_bytes)
        );
        assert!(ratio > ratio_min, "{ratio}");
    }
}
