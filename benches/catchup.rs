//! How long a vehicle takes to get rid of a day it was out of reach: `edge-agent run` as a process
//! of its own first spools 24 hours of a real car's log with no broker there, then is started on
//! that spool with one, and everything is to be acked. Beside it the same bytes read from the same
//! files and sent through a loopback socket, which is all that a copy could save.
//!
//! The broker is a thread of the bench: MQTT 3.1.1, PUBACK for each message, and as the lake would
//! a durable ack for every batch that it could decode, at once. So neither a network nor a lake is
//! in the figure, but a decoder of every batch is, on the machine's other CPU.
//!
//! `ROADLAKE_EDGE_AGENT` names the program; `scripts/bench` builds it with optimisation.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use benches::{
    Figure, Options, Report,
    process::{AgentProcess, agent_program},
    root, time,
};
use wire::{
    ack::{AckMessage, DurableAck},
    batch::{Batch, Envelope},
    topics::{self, Channel},
};

const OUTAGE_US: i64 = 24 * 3600 * 1_000_000;
const DATA: &str = "tests/data/css-car-obd-gnss";
const LOG: &str = "00000164.candump.log.gz";
/// Longest the spool may take to be filled.
const FILL_TIME_MAX: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    benches::main("catchup", |options, report| bench(options, report, &agent_program()?))
}

fn bench(options: &Options, report: &mut Report, program: &Path) -> Result<()> {
    let folder = match std::env::var_os("ROADLAKE_BENCH_DISK") {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let (day, moment) = (folder.path().join("day.log.gz"), folder.path().join("moment.log"));
    let frames = write_logs(&day, &moment)?;
    let spooled = folder.path().join("spooled");
    fill(program, &spooled, &day)?;

    let (mut seconds, mut rates, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut drained = Drained::default();
    for run in 0..options.run_count.div_ceil(3) {
        let spool = folder.path().join(format!("run-{run}"));
        copy(&spooled, &spool)?;
        plain.push(read_and_send(&spool)?);
        drained = drain(program, &spool, &moment)?;
        seconds.push(drained.elapsed.as_secs_f64());
        rates.push(drained.bytes as f64 / 1e6 / drained.elapsed.as_secs_f64());
        fs::remove_dir_all(&spool)?;
    }
    let case = format!(
        "24 h of the car: {:.1} million frames, {} batches, {:.1} MB",
        frames as f64 / 1e6,
        drained.batches,
        drained.bytes as f64 / 1e6
    );
    report.ours(&case, "s until all is acked", Figure::of(&seconds));
    report.ours(&case, "MB/s", Figure::of(&rates));
    report.peer(&case, "read the files, send by loopback", "MB/s", Figure::of(&plain));
    Ok(())
}

/// The car's log again and again until a day is full, and a log of one frame a day later.
fn write_logs(day: &Path, moment: &Path) -> Result<u64> {
    let source = flate2::read::GzDecoder::new(fs::File::open(root().join(DATA).join(LOG))?);
    let mut lines = Vec::new();
    for line in BufReader::new(source).lines() {
        let line = line?;
        let (stamp, frame) = line.split_once(") ").context("a line of the log has no time")?;
        let (s, us) = stamp.trim_start_matches('(').split_once('.').context("a time has no point")?;
        lines.push((s.parse::<i64>()? * 1_000_000 + us.parse::<i64>()?, frame.to_owned()));
    }
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { bail!("the log is empty") };
    let (start_us, span_us) = (first.0, last.0 - first.0 + 1_000);
    let fast = flate2::Compression::fast();
    let mut out = BufWriter::new(flate2::write::GzEncoder::new(fs::File::create(day)?, fast));
    let mut count = 0;
    for turn in 0.. {
        for (time_us, frame) in &lines {
            let time_us = time_us + turn * span_us;
            if time_us - start_us >= OUTAGE_US {
                out.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
                let time_us = start_us + 2 * OUTAGE_US;
                fs::write(
                    moment,
                    format!("({}.{:06}) {}\n", time_us / 1_000_000, time_us % 1_000_000, first.1),
                )?;
                return Ok(count);
            }
            writeln!(out, "({}.{:06}) {frame}", time_us / 1_000_000, time_us % 1_000_000)?;
            count += 1;
        }
    }
    bail!("the day did not end")
}

/// On a log as fast as it goes, to its end.
const FLAT_OUT: [&str; 3] = ["--speed", "flat", "--exit-when-done"];

/// Spools the day with no broker there.
fn fill(program: &Path, spool: &Path, log: &Path) -> Result<()> {
    // A port that was free a moment ago: nobody answers there.
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut agent = AgentProcess::start(program, spool, log, nobody, &FLAT_OUT)?;
    let step = Duration::from_millis(200);
    let mut waited = Duration::ZERO;
    while !agent.told().contains("source has ended") {
        ensure!(agent.child().try_wait()?.is_none(), "the agent ended early:\n{}", agent.told());
        ensure!(waited < FILL_TIME_MAX, "the day was not spooled in time:\n{}", agent.told());
        thread::sleep(step);
        waited += step;
    }
    // Its end is not clean by its own measure: not everything is in a lake.
    agent.terminate()?;
    ensure!(agent.told().contains("agent stopped"), "the agent did not stop in order:\n{}", agent.told());
    Ok(())
}

/// What the broker got.
#[derive(Debug, Clone, Copy, Default)]
struct Drained {
    /// From the connection to the last ack.
    elapsed: Duration,
    batches: u64,
    /// Of telemetry payloads.
    bytes: u64,
}

fn drain(program: &Path, spool: &Path, log: &Path) -> Result<Drained> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut agent = AgentProcess::start(program, spool, log, listener.local_addr()?, &FLAT_OUT)?;
    let drained = serve(&listener).with_context(|| agent.told())?;
    let status = agent.child().wait()?;
    ensure!(status.success(), "the agent did not get rid of all:\n{}", agent.told());
    Ok(drained)
}

/// One session of a broker, until the vehicle leaves.
fn serve(listener: &TcpListener) -> Result<Drained> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::with_capacity(1 << 18, stream);
    let mut drained = Drained::default();
    #[allow(clippy::disallowed_methods, reason = "a bench times a real process")]
    let start = Instant::now();
    loop {
        let mut kind = [0];
        if input.read(&mut kind)? == 0 {
            return Ok(drained);
        }
        let body = packet_body(&mut input)?;
        match kind[0] >> 4 {
            CONNECT => out.write_all(&[0x20, 2, 0, 0])?,
            PUBLISH => {
                let acked = publish(&mut out, kind[0], &body)?;
                if let Some(bytes) = acked {
                    drained.batches += 1;
                    drained.bytes += bytes;
                    drained.elapsed = start.elapsed();
                }
            }
            SUBSCRIBE => suback(&mut out, &body)?,
            PINGREQ => out.write_all(&[0xD0, 0])?,
            DISCONNECT => return Ok(drained),
            // The vehicle's PUBACK of an ack, or nothing it may send.
            _ => {}
        }
    }
}

/// Packet types of MQTT 3.1.1, 2.2.1.
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

/// What follows the first byte, by its length of up to four bytes of seven bits.
fn packet_body(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7F) << shift;
        if byte[0] < 0x80 {
            let mut body = vec![0; len];
            input.read_exact(&mut body)?;
            return Ok(body);
        }
    }
    bail!("a packet's length has more than four bytes")
}

/// A return code of quality 1 for each filter asked for.
fn suback(out: &mut TcpStream, body: &[u8]) -> Result<()> {
    let (id, mut rest) = body.split_at_checked(2).context("a SUBSCRIBE without an id")?;
    let mut answer = id.to_vec();
    while let Some(head) = rest.first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*head));
        rest = rest.get(2 + len + 1..).context("a SUBSCRIBE that ends in a filter")?;
        answer.push(1);
    }
    Ok(out.write_all(&[&[0x90, u8::try_from(answer.len())?], answer.as_slice()].concat())?)
}

/// Answers a PUBLISH: a PUBACK, and a durable ack when it is a batch; the payload's bytes then.
fn publish(out: &mut TcpStream, flags: u8, body: &[u8]) -> Result<Option<u64>> {
    let head = body.first_chunk::<2>().context("a PUBLISH without a topic")?;
    let (topic, rest) =
        body[2..].split_at_checked(usize::from(u16::from_be_bytes(*head))).context("a short PUBLISH")?;
    let topic = std::str::from_utf8(topic)?;
    let mut answer = Vec::new();
    let payload = if flags & 0b110 == 0 {
        rest
    } else {
        let (id, payload) = rest.split_at_checked(2).context("a PUBLISH without an id")?;
        answer.extend_from_slice(&[0x40, 2]);
        answer.extend_from_slice(id);
        payload
    };
    let (vehicle_id, channel) = topics::parse(topic).context("a topic that is none of ours")?;
    let mut acked = None;
    if channel == Channel::Telemetry {
        let batch = Batch::decode_body(Envelope::decode(payload)?.body)?;
        let durable = vec![DurableAck { stream_id: batch.stream_id, up_to_sequence: batch.sequence }];
        let message = AckMessage { durable, ..AckMessage::default() }.encode();
        let topic = topics::topic(&vehicle_id, Channel::Ack);
        let len = 2 + topic.len() + message.len();
        ensure!(len < 0x80, "an ack does not fit a length of one byte");
        answer.extend_from_slice(&[0x30, u8::try_from(len)?]);
        answer.extend_from_slice(&u16::try_from(topic.len())?.to_be_bytes());
        answer.extend_from_slice(topic.as_bytes());
        answer.extend_from_slice(&message);
        acked = Some(payload.len() as u64);
    }
    out.write_all(&answer)?;
    Ok(acked)
}

/// MB a second of the spool's files, read and sent through a loopback socket to one who reads.
fn read_and_send(spool: &Path) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let reader = thread::spawn(move || -> std::io::Result<u64> {
        std::io::copy(&mut listener.accept()?.0, &mut std::io::sink())
    });
    let files = files(spool)?;
    let (elapsed, sent) = time(|| -> Result<u64> {
        let mut socket = TcpStream::connect(address)?;
        let mut sent = 0;
        for file in &files {
            let bytes = fs::read(file)?;
            socket.write_all(&bytes)?;
            sent += bytes.len() as u64;
        }
        drop(socket);
        let Ok(received) = reader.join() else { bail!("the reading thread panicked") };
        ensure!(received? == sent, "not all was received");
        Ok(sent)
    });
    Ok(sent? as f64 / 1e6 / elapsed.as_secs_f64())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().context("a file has a folder")?)?;
        fs::copy(&file, &target)?;
    }
    Ok(())
}
