//! Nanoseconds a frame of our decoder, beside the C that cantools generates and cantools itself.
//!
//! The frames are random: any 11-bit id of the file, any payload, so many that no branch
//! predictor knows them by heart. All see the same ones, a cache's worth at a time; how many
//! samples they hold and the sums of all values must agree. `raw` takes the integers out,
//! `physical` also scales them to doubles.
//!
//! The C finds the message's function in a table by id, calls cantools' `NAME_unpack`, and sums
//! the fields of the struct that it fills (`raw`), or what cantools' `NAME_SIGNAL_decode` makes of
//! each (`physical`); below a multiplexer those of its value. `NAME_SIGNAL_is_in_range` is not
//! called, as our decoder does not look at ranges either. The C is compiled by gcc -O2 twice: in
//! one file with its caller, so that `unpack` and `decode` are inlined and the struct is never
//! written, which is the most that can be had of it; and as a file of its own with a header, which
//! is how generated code is built.

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
const CHUNK: usize = 128;
/// The same generated C twice: by its program's name and what it is called here.
const PEERS_C: [(&str, &str); 2] = [("", "cantools C -O2, inlined"), ("-apart", "cantools C -O2, own file")];
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
    /// Counted in a pass of its own, which is not timed.
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

    let mut peers_c = Vec::new();
    if let Some(folder) = peers() {
        for (file, label) in PEERS_C {
            let peer = Peer::start(&folder.join(format!("decode-{name}{file}")), &frames_file)?;
            peers_c.push((label, peer, [Vec::new(), Vec::new()]));
        }
    }
    let samples = sample_count(&decoder, &frames)?;
    for (label, peer, _) in &mut peers_c {
        let theirs = peer.pass("count")?.samples;
        ensure!(samples == theirs, "{name}: {samples} samples by ours and {theirs} by {label}");
    }
    let mut ours = [Vec::new(), Vec::new()];
    for _ in 0..options.run_count {
        let raw = pass_raw(&decoder, &frames)?;
        let physical = pass_physical(&decoder, &frames)?;
        ours[0].push(nanos(raw.elapsed));
        ours[1].push(nanos(physical.elapsed));
        for (_, peer, theirs) in &mut peers_c {
            for ((kind, ours), theirs) in [("raw", raw), ("physical", physical)].into_iter().zip(theirs) {
                let totals = peer.pass(kind)?;
                agree(name, ours, totals)?;
                theirs.push(nanos(totals.elapsed));
            }
        }
    }
    let python = peers().map(|folder| python_nanos(&folder, path, &frames_file)).transpose()?;
    let per_frame = samples as f64 / frames.len() as f64;
    for (i, kind) in ["raw", "physical"].into_iter().enumerate() {
        let case = format!("{name}, {kind}, {per_frame:.1} signals a frame");
        report.ours(&case, "ns/frame", Figure::of(&ours[i]));
        for (label, _, theirs) in &peers_c {
            report.peer(&case, label, "ns/frame", Figure::of(&theirs[i]));
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
        ours.raw_sum == theirs.raw_sum && near,
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
    let mut all = 0_u64;
    let elapsed = in_chunks(frames, |ready| {
        let mut sum = all;
        for frame in ready {
            decoder.decode(frame, &mut |sample| {
                let bits = match sample.raw {
                    Raw::Int(v) => v.cast_unsigned(),
                    Raw::Wide(v) => v,
                    Raw::Float(v) => v.to_bits(),
                };
                sum = sum.wrapping_add(bits);
            });
        }
        all = sum;
    })?;
    Ok(Totals { elapsed, raw_sum: all, ..Totals::default() })
}

fn pass_physical(decoder: &Decoder, frames: &[Plain]) -> Result<Totals> {
    // As the agent's map does: scales in a table of their own.
    let scales: Vec<(f64, f64)> = decoder.signals().iter().map(|s| (s.scale, s.offset)).collect();
    let scales = scales.as_slice();
    let mut all = 0.0;
    let elapsed = in_chunks(frames, |ready| {
        let mut sum = all;
        for frame in ready {
            decoder.decode(frame, &mut |sample| {
                let (scale, offset) = scales[sample.signal.as_usize()];
                sum += sample.raw.as_f64() * scale + offset;
            });
        }
        all = sum;
    })?;
    Ok(Totals { elapsed, physical_sum: all, ..Totals::default() })
}

/// Untimed: how many samples the frames hold.
fn sample_count(decoder: &Decoder, frames: &[Plain]) -> Result<u64> {
    let mut count = 0;
    in_chunks(frames, |ready| {
        for frame in ready {
            decoder.decode(frame, &mut |_| count += 1);
        }
    })?;
    Ok(count)
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
