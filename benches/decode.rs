//! Nanoseconds a frame of our decoder, beside the C that cantools generates (gcc -O2, in one
//! translation unit with its caller so that it may be inlined) and beside cantools itself.
//!
//! The frames are random: any 11-bit id of the file, any payload, so many that no branch
//! predictor knows them by heart. All see the same ones, a cache's worth at a time; the sums of
//! all values must agree. `raw` takes the integers out, `physical` also scales them.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use benches::{Chance, Figure, Options, Report, peers, root, time};
use edge_agent::{
    dbc::Dbc,
    decode::{Decoder, Raw},
    frame::{Frame, FrameId, FrameKind},
};
use wire::time::Timestamp;

const FRAME_COUNT: usize = 1_000_000;
/// Frames made ready at once, untimed, so that both decode out of the first cache.
const CHUNK: usize = 256;
const FILES: [(&str, &str); 3] = [
    ("ESR", "tests/data/opendbc/ESR.dbc"),
    ("hyundai_2015_ccan", "tests/data/opendbc/hyundai_2015_ccan.dbc"),
    ("Model3CAN", "tests/data/model3dbc/Model3CAN.dbc"),
];

/// A frame as the peers read it: the layout of Linux' `struct can_frame`.
struct Plain {
    id: u32,
    len: u8,
    data: [u8; 8],
}

/// What a pass over all frames came to.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    elapsed: Duration,
    samples: u64,
    /// Of raw values, wrapping.
    raw_sum: u64,
    physical_sum: f64,
}

fn main() -> ExitCode {
    benches::main("decode", |options, report| {
        for (name, path) in FILES {
            bench_file(options, report, name, &root().join(path))?;
        }
        Ok(())
    })
}

fn bench_file(options: &Options, report: &mut Report, name: &str, path: &Path) -> Result<()> {
    let decoder = Decoder::compile(&[Dbc::open(path)?])?;
    let frames = random_frames(&decoder, name)?;
    let folder = tempfile::tempdir()?;
    let frames_file = folder.path().join("frames.bin");
    write_frames(&frames_file, &frames)?;

    let mut peer = match peers() {
        Some(folder) => Some(Peer::start(&folder.join(format!("decode-{name}")), &frames_file)?),
        None => None,
    };
    let mut ours = [Vec::new(), Vec::new()];
    let mut theirs = [Vec::new(), Vec::new()];
    let mut per_frame = 0.0;
    for _ in 0..options.run_count {
        let raw = pass_raw(&decoder, &frames)?;
        let physical = pass_physical(&decoder, &frames)?;
        ours[0].push(nanos(raw.elapsed));
        ours[1].push(nanos(physical.elapsed));
        per_frame = raw.samples as f64 / frames.len() as f64;
        if let Some(peer) = &mut peer {
            let peer_raw = peer.pass("raw")?;
            let peer_physical = peer.pass("physical")?;
            agree(name, raw, peer_raw)?;
            agree(name, Totals { raw_sum: 0, ..physical }, Totals { raw_sum: 0, ..peer_physical })?;
            theirs[0].push(nanos(peer_raw.elapsed));
            theirs[1].push(nanos(peer_physical.elapsed));
        }
    }
    let python = peers().map(|folder| python_nanos(&folder, path, &frames_file)).transpose()?;
    for (i, kind) in ["raw", "physical"].into_iter().enumerate() {
        let case = format!("{name}, {kind}, {per_frame:.1} signals a frame");
        report.ours(&case, "ns/frame", Figure::of(&ours[i]));
        if !theirs[i].is_empty() {
            report.peer(&case, "cantools C, gcc -O2", "ns/frame", Figure::of(&theirs[i]));
        }
        if let (1, Some(python)) = (i, python) {
            report.peer(&case, "cantools Python", "ns/frame", Figure::exact(python));
        }
    }
    Ok(())
}

fn nanos(elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / FRAME_COUNT as f64
}

fn agree(name: &str, ours: Totals, theirs: Totals) -> Result<()> {
    let near = (ours.physical_sum - theirs.physical_sum).abs() <= 1e-6 * ours.physical_sum.abs().max(1.0);
    ensure!(
        ours.samples == theirs.samples && ours.raw_sum == theirs.raw_sum && near,
        "{name}: ours {ours:?} and cantools' C {theirs:?} do not decode the same"
    );
    Ok(())
}

/// Frames of every 11-bit message of up to 8 bytes that has signals, in random order; only those
/// that the peer decodes whole, by the list that `benches/peers/generate.py` writes and explains.
fn random_frames(decoder: &Decoder, name: &str) -> Result<Vec<Plain>> {
    let whole = match peers() {
        Some(folder) => {
            let text = fs::read_to_string(folder.join(format!("{name}.ids")))?;
            Some(text.split_whitespace().map(str::parse).collect::<Result<HashSet<u32>, _>>()?)
        }
        None => None,
    };
    let usable = decoder.messages().iter().filter(|m| {
        let is_float = m.signals().any(|i| decoder.signal(i).is_float());
        !m.id.is_extended
            && (1..=8).contains(&m.byte_count)
            && m.signals().next().is_some()
            && !is_float
            && whole.as_ref().is_none_or(|ids| ids.contains(&m.id.raw))
    });
    let ids: Vec<(u32, u8)> =
        usable.map(|m| Ok((m.id.raw, u8::try_from(m.byte_count)?))).collect::<Result<_>>()?;
    ensure!(!ids.is_empty(), "the file has no message of an 11-bit id");
    let mut chance = Chance(42);
    let frames = (0..FRAME_COUNT).map(|_| {
        let (id, len) = ids[chance.below(ids.len())];
        let mut data = [0; 8];
        data[..usize::from(len)].copy_from_slice(&chance.bits().to_le_bytes()[..usize::from(len)]);
        Plain { id, len, data }
    });
    Ok(frames.collect())
}

fn write_frames(path: &Path, frames: &[Plain]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for frame in frames {
        file.write_all(&frame.id.to_le_bytes())?;
        file.write_all(&[frame.len, 0, 0, 0])?;
        file.write_all(&frame.data)?;
    }
    Ok(file.flush()?)
}

/// Runs `pass` over frames made ready a chunk at a time, and times only `pass`.
fn in_chunks(frames: &[Plain], mut pass: impl FnMut(&[Frame])) -> Result<Duration> {
    let interface: Arc<str> = "can0".into();
    let mut elapsed = Duration::ZERO;
    let mut ready = Vec::with_capacity(CHUNK);
    for chunk in frames.chunks(CHUNK) {
        ready.clear();
        for plain in chunk {
            let id = FrameId { raw: plain.id, is_extended: false };
            let bytes = &plain.data[..usize::from(plain.len)];
            let frame = Frame::new(Timestamp(0), Arc::clone(&interface), id, FrameKind::Data, bytes);
            ready.push(frame.context("8 bytes are a frame")?);
        }
        elapsed += time(|| pass(&ready)).0;
    }
    Ok(elapsed)
}

fn pass_raw(decoder: &Decoder, frames: &[Plain]) -> Result<Totals> {
    let (mut sum, mut samples) = (0_u64, 0_u64);
    let elapsed = in_chunks(frames, |ready| {
        for frame in ready {
            decoder.decode(frame, &mut |sample| {
                let bits = match sample.raw {
                    Raw::Int(v) => v.cast_unsigned(),
                    Raw::Wide(v) => v,
                    Raw::Float(v) => v.to_bits(),
                };
                sum = sum.wrapping_add(bits);
                samples += 1;
            });
        }
    })?;
    Ok(Totals { elapsed, samples, raw_sum: sum, physical_sum: 0.0 })
}

fn pass_physical(decoder: &Decoder, frames: &[Plain]) -> Result<Totals> {
    // As the agent's map does: scales in a table of their own.
    let scales: Vec<(f64, f64)> = decoder.signals().iter().map(|s| (s.scale, s.offset)).collect();
    let (mut sum, mut samples) = (0.0, 0_u64);
    let elapsed = in_chunks(frames, |ready| {
        for frame in ready {
            decoder.decode(frame, &mut |sample| {
                let (scale, offset) = scales[sample.signal.as_usize()];
                sum += sample.raw.as_f64() * scale + offset;
                samples += 1;
            });
        }
    })?;
    Ok(Totals { elapsed, samples, raw_sum: 0, physical_sum: sum })
}

/// cantools' C in a process of its own, which makes a pass when told to.
struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &Path, frames: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(frames)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; run benches/peers/setup", program.display()))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{} has no pipes", program.display());
        };
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    fn pass(&mut self, kind: &str) -> Result<Totals> {
        writeln!(self.orders, "{kind}")?;
        self.orders.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [elapsed_ns, samples, raw_sum, physical_sum] = fields[..] else {
            bail!("the peer answered {line:?}");
        };
        Ok(Totals {
            elapsed: Duration::from_nanos(elapsed_ns.parse()?),
            samples: samples.parse()?,
            raw_sum: raw_sum.parse()?,
            physical_sum: physical_sum.parse()?,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has been asked for nothing more; its last pass is over.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn python_nanos(peers: &Path, dbc: &Path, frames: &Path) -> Result<f64> {
    let script: PathBuf = root().join("benches/peers/decode.py");
    let output = Command::new(peers.join("venv/bin/python")).arg(script).args([dbc, frames]).output()?;
    ensure!(output.status.success(), "cantools Python: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
