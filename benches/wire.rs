//! Bytes a sample on the wire, and nanoseconds to write and read one, beside other formats of the
//! same samples: every signal of every frame of real logs, in batches of 1, 10 and 60 s.
//!
//! The peers: the layout of AWS IoT FleetWise (its agent's `vehicle_data.proto`: a head of two names,
//! an event and a time, then `{signal_id, relative_time_ms, double}` a sample) with Snappy as it ships
//! and with zstd; JSON rows with gzip and with zstd, and Arrow IPC with zstd by pyarrow, both without
//! any head. Ours has whole microseconds, FleetWise's milliseconds. The catalogue, which travels
//! once, is in none of them; JSON has the signals' numbers instead of their names.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use benches::{
    Figure, Options, Report, peers, root,
    samples::{LOGS, Log, Sample, batch, cut},
    time,
};
use wire::batch::{Batch, Envelope};

/// The level of the batches themselves, so that zstd is the same for all.
const ZSTD_LEVEL: i32 = 9;
const INTERVALS_S: [i64; 3] = [1, 10, 60];

fn main() -> ExitCode {
    benches::main("wire", |options, report| LOGS.iter().try_for_each(|log| bench_log(options, report, log)))
}

/// One way to write a batch and read it back.
struct Format {
    name: &'static str,
    write: fn(&[Sample], u64) -> Result<Vec<u8>>,
    /// How many samples it found.
    read: fn(&[u8]) -> Result<usize>,
}

const PEERS: [Format; 4] = [
    Format {
        name: "FleetWise's layout + Snappy",
        write: |s, _| Ok(snap::raw::Encoder::new().compress_vec(&fleetwise(s))?),
        read: |bytes| count_fleetwise(&snap::raw::Decoder::new().decompress_vec(bytes)?),
    },
    Format {
        name: "FleetWise's layout + zstd",
        write: |s, _| Ok(zstd::bulk::compress(&fleetwise(s), ZSTD_LEVEL)?),
        read: |bytes| count_fleetwise(&zstd::decode_all(bytes)?),
    },
    Format {
        name: "JSON + zstd",
        write: |s, _| Ok(zstd::bulk::compress(&json(s)?, ZSTD_LEVEL)?),
        read: |bytes| count_json(&zstd::decode_all(bytes)?),
    },
    Format {
        name: "JSON + gzip",
        write: |s, _| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&json(s)?)?;
            Ok(encoder.finish()?)
        },
        read: |bytes| {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain)?;
            count_json(&plain)
        },
    },
];

fn bench_log(options: &Options, report: &mut Report, log: &Log) -> Result<()> {
    let (names, samples) = log.read()?;
    ensure!(!samples.is_empty(), "{}: no sample", log.name);
    let arrow = peers().map(|folder| arrow_figures(&folder, &samples)).transpose()?;
    for (i, seconds) in INTERVALS_S.into_iter().enumerate() {
        let batches = cut(&samples, seconds);
        let case = |what: &str| {
            format!(
                "{} ({} signals, {} samples), {seconds} s, {what}",
                log.name,
                used(&names, &samples),
                samples.len()
            )
        };
        // Grouping happens while samples are collected, so ours begins with the grouped batch.
        let ours: Vec<Batch> = batches.iter().zip(1..).map(|(b, sequence)| batch(b, sequence)).collect();
        let write = |b: &Batch| -> Result<Vec<u8>> {
            Ok(Envelope { body: &b.encode_body()?, signature: &[] }.encode()?)
        };
        let read = |bytes: &[u8]| -> Result<usize> {
            Ok(usize::try_from(Batch::decode_body(Envelope::decode(bytes)?.body)?.sample_count())?)
        };
        let timed = timed(options, &ours, samples.len(), write, read)?;
        report.ours(&case("size"), "bytes/sample", Figure::exact(timed.bytes));
        let mut speeds = vec![("roadlake", timed)];
        for format in &PEERS {
            let write = |b: &(usize, &[Sample])| (format.write)(b.1, b.0 as u64);
            let numbered: Vec<(usize, &[Sample])> = batches.iter().copied().enumerate().collect();
            let timed = self::timed(options, &numbered, samples.len(), write, format.read)?;
            report.peer(&case("size"), format.name, "bytes/sample", Figure::exact(timed.bytes));
            speeds.push((format.name, timed));
        }
        if let Some(bytes) = arrow.as_ref().and_then(|sizes| sizes.get(i)) {
            report.peer(&case("size"), "Arrow IPC + zstd", "bytes/sample", Figure::exact(*bytes));
        }
        for (name, timed) in &speeds {
            report.peer(&case("write"), name, "ns/sample", timed.write);
        }
        for (name, timed) in &speeds {
            report.peer(&case("read"), name, "ns/sample", timed.read);
        }
    }
    Ok(())
}

fn used(names: &[String], samples: &[Sample]) -> usize {
    let mut seen = vec![false; names.len()];
    for sample in samples {
        if let Some(one) = seen.get_mut(sample.signal as usize) {
            *one = true;
        }
    }
    seen.into_iter().filter(|s| *s).count()
}

struct Timed {
    bytes: f64,
    write: Figure,
    read: Figure,
}

fn timed<B>(
    options: &Options,
    batches: &[B],
    sample_count: usize,
    write: impl Fn(&B) -> Result<Vec<u8>>,
    read: impl Fn(&[u8]) -> Result<usize>,
) -> Result<Timed> {
    let per_sample = |x: f64| x / sample_count as f64;
    let (mut writes, mut reads, mut bytes) = (Vec::new(), Vec::new(), 0);
    // A whole log takes long beside a frame: a third of the runs is enough.
    for _ in 0..options.run_count.div_ceil(3) {
        let (elapsed, written) = time(|| batches.iter().map(&write).collect::<Result<Vec<_>>>());
        let written = written?;
        writes.push(per_sample(elapsed.as_nanos() as f64));
        bytes = written.iter().map(Vec::len).sum();
        let (elapsed, found) =
            time(|| written.iter().try_fold(0, |sum, payload| anyhow::Ok(sum + read(payload)?)));
        ensure!(found? == sample_count, "a format lost samples");
        reads.push(per_sample(elapsed.as_nanos() as f64));
    }
    Ok(Timed { bytes: per_sample(bytes as f64), write: Figure::of(&writes), read: Figure::of(&reads) })
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// What names the campaign and the decoder in each message: their ARNs, of the form in its documents.
const FLEETWISE_NAMES: [&str; 2] = [
    "arn:aws:iotfleetwise:us-east-1:111122223333:campaign/fleet-readings",
    "arn:aws:iotfleetwise:us-east-1:111122223333:decoder-manifest/fleet-vehicles",
];

/// `VehicleData { campaign_sync_id = 1; decoder_sync_id = 2; collection_event_id = 3;
/// collection_event_time_ms_epoch = 4; repeated CapturedSignal { sint64 relative_time_ms = 1;
/// uint32 signal_id = 2; double double_value = 3 } = 5 }`.
fn fleetwise(samples: &[Sample]) -> Vec<u8> {
    let base_us = samples.first().map_or(0, |s| s.time_us);
    let (mut bytes, mut one) = (Vec::new(), Vec::new());
    for (tag, name) in [0x0A, 0x12].into_iter().zip(FLEETWISE_NAMES) {
        bytes.push(tag);
        varint(name.len() as u64, &mut bytes);
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes.push(0x18);
    // Random, as its agent makes them.
    varint(base_us.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32, &mut bytes);
    bytes.push(0x20);
    varint((base_us / 1000).unsigned_abs(), &mut bytes);
    for s in samples {
        one.clear();
        one.push(0x08);
        varint(((s.time_us - base_us) / 1000 * 2).unsigned_abs(), &mut one);
        one.push(0x10);
        varint(u64::from(s.signal) + 1, &mut one);
        one.push(0x19);
        one.extend_from_slice(&s.value.to_le_bytes());
        bytes.push(0x2a);
        varint(one.len() as u64, &mut bytes);
        bytes.extend_from_slice(&one);
    }
    bytes
}

fn unvarint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

/// Reads every field of every sample.
fn count_fleetwise(bytes: &[u8]) -> Result<usize> {
    let (mut rest, mut count, mut sum) = (bytes, 0, 0.0);
    for _ in FLEETWISE_NAMES {
        rest = rest.get(1..).context("no name")?;
        let len = usize::try_from(unvarint(&mut rest).context("no name")?)?;
        rest = rest.get(len..).context("no name")?;
    }
    for what in ["no event", "no time"] {
        rest = rest.get(1..).context(what)?;
        unvarint(&mut rest).context(what)?;
    }
    let mut one = || -> Option<(u64, u64, f64)> {
        rest = rest.get(1..)?;
        unvarint(&mut rest)?;
        rest = rest.get(1..)?;
        let time = unvarint(&mut rest)?;
        rest = rest.get(1..)?;
        let signal = unvarint(&mut rest)?;
        let (value, after) = rest.get(1..)?.split_first_chunk::<8>()?;
        rest = after;
        Some((signal, time, f64::from_le_bytes(*value)))
    };
    while let Some((signal, time, value)) = one() {
        count += 1;
        sum += value + (signal ^ time) as f64;
    }
    std::hint::black_box(sum);
    Ok(count)
}

/// `[[signal, milliseconds, value], ...]`: the shortest rows that JSON has.
fn json(samples: &[Sample]) -> Result<Vec<u8>> {
    let base_us = samples.first().map_or(0, |s| s.time_us);
    let rows: Vec<(u32, i64, f64)> =
        samples.iter().map(|s| (s.signal, (s.time_us - base_us) / 1000, s.value)).collect();
    Ok(serde_json::to_vec(&rows)?)
}

fn count_json(bytes: &[u8]) -> Result<usize> {
    let rows: Vec<(u32, i64, f64)> = serde_json::from_slice(bytes)?;
    Ok(std::hint::black_box(rows).len())
}

/// Bytes a sample of Arrow IPC with zstd, by interval.
fn arrow_figures(peers: &Path, samples: &[Sample]) -> Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("samples.bin");
    let mut bytes = Vec::with_capacity(samples.len() * 24);
    for s in samples {
        bytes.extend_from_slice(&s.time_us.to_le_bytes());
        bytes.extend_from_slice(&u64::from(s.signal).to_le_bytes());
        bytes.extend_from_slice(&s.value.to_le_bytes());
    }
    fs::write(&file, bytes)?;
    let mut command = Command::new(peers.join("venv/bin/python"));
    command.arg(root().join("benches/peers/arrow.py")).arg(&file);
    command.args(INTERVALS_S.map(|s| s.to_string()));
    let output = command.output().context("cannot start Python; run benches/peers/setup")?;
    ensure!(output.status.success(), "pyarrow: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.split_whitespace().map(|n| Ok(n.parse()?)).collect()
}
