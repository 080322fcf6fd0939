//! What a whole agent takes: CPU share and memory of `edge-agent run` as a process of its own, at
//! the rate of a full 500 kbit/s bus and of a busy CAN FD one, its broker absent, so that it
//! spools all the while. Frames of a real car's log, most of them mapped, come evenly spread; the
//! share holds unpacking and parsing the log's text too.
//!
//! `ROADLAKE_EDGE_AGENT` names the program; `scripts/bench` builds it with optimisation.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, Write},
    net::TcpListener,
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use benches::{
    Figure, Report,
    process::{AgentProcess, agent_program},
    root,
};

const RATES: [u32; 2] = [4_000, 15_000];
const RUN_S: u32 = 20;
/// What is measured begins when the start is over.
const WARM_S: u32 = 3;
/// `USER_HZ`, which Linux has fixed at 100 for all programs.
const TICKS_PER_SECOND: f64 = 100.0;
const LOG: &str = "tests/data/css-car-obd-gnss/00000164.candump.log.gz";

fn main() -> ExitCode {
    benches::main("agent", |_, report| {
        let program = agent_program()?;
        RATES.into_iter().try_for_each(|rate| bench_rate(report, &program, rate))
    })
}

fn bench_rate(report: &mut Report, program: &Path, rate: u32) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("even.log.gz");
    write_log(&log, rate)?;
    // A port that was free a moment ago: nobody answers there.
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let spool = folder.path().join("spool");
    let agent = Agent(AgentProcess::start(program, &spool, &log, nobody, &["--speed", "1"])?);
    // A bench lives in real time; nothing is synchronized by these waits.
    thread::sleep(Duration::from_secs(WARM_S.into()));
    let before = agent.ticks()?;
    thread::sleep(Duration::from_secs((RUN_S - WARM_S).into()));
    let ticks = agent.ticks()? - before;
    let memory = agent.memory_bytes()?;
    // Its last word on how many frames it has taken comes each ten seconds.
    thread::sleep(Duration::from_millis(1500));
    let told = agent.stop()?;
    let due = f64::from(rate * RUN_S);
    ensure!(told.frames >= due * 0.99, "only {} of {due} frames were taken in time", told.frames);
    let case = format!("{rate} frames/s for {RUN_S} s");
    let share = ticks / TICKS_PER_SECOND / f64::from(RUN_S - WARM_S) * 100.0;
    report.ours(&case, "% of one core", Figure::exact(share));
    report.ours(&case, "MiB at most (VmHWM)", Figure::exact(memory / 1024.0 / 1024.0));
    report.ours(&case, "frames taken", Figure::exact(told.frames));
    report.ours(&case, "samples collected", Figure::exact(told.collected));
    report.ours(&case, "samples dropped", Figure::exact(told.dropped));
    Ok(())
}

/// The car's frames, evenly spread at `rate`, some seconds longer than the run.
fn write_log(path: &Path, rate: u32) -> Result<()> {
    let source = flate2::read::GzDecoder::new(fs::File::open(root().join(LOG))?);
    let lines: Vec<String> = BufReader::new(source).lines().collect::<Result<_, _>>()?;
    let fast = flate2::Compression::fast();
    let mut out = BufWriter::new(flate2::write::GzEncoder::new(fs::File::create(path)?, fast));
    let count = u64::from(rate) * u64::from(RUN_S + 5);
    for (i, line) in (0..count).zip(lines.iter().cycle()) {
        let (_, frame) = line.split_once(") ").context("a line of the log has no time")?;
        let us = i * 1_000_000 / u64::from(rate);
        writeln!(out, "({}.{:06}) {frame}", 1_700_000_000 + us / 1_000_000, us % 1_000_000)?;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
    Ok(())
}

/// What the agent says as it stops.
struct Told {
    /// Of [`RUN_S`].
    frames: f64,
    collected: f64,
    dropped: f64,
}

/// An agent that is looked at.
struct Agent(AgentProcess);

impl Agent {
    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0.id());
        let ended = || format!("the agent has ended early ({path} is gone):\n{}", self.0.told());
        fs::read_to_string(&path).with_context(ended)
    }

    /// CPU time so far, in ticks.
    fn ticks(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        // Fields after the name in parentheses: the state is the first, utime and stime the 12th
        // and 13th (proc_pid_stat(5) counts them as 14 and 15).
        let (_, after) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let [user, system] = fields.get(11..13).context("a short /proc/PID/stat")? else {
            bail!("two fields")
        };
        Ok(user.parse::<f64>()? + system.parse::<f64>()?)
    }

    /// The most memory it has had.
    fn memory_bytes(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1024.0)
    }

    /// Stops it as systemd does and reads its last words.
    fn stop(mut self) -> Result<Told> {
        ensure!(self.0.terminate()?.success(), "the agent did not stop cleanly");
        let told = self.0.told();
        let field = |what: &str, name: &str| -> Result<f64> {
            let line = told.lines().rev().find(|l| l.contains(what));
            let after = line.and_then(|l| l.split_once(name)).map(|(_, after)| after);
            let after = after.with_context(|| format!("no {name} after {what} in:\n{told}"))?;
            Ok(after.split_whitespace().next().unwrap_or_default().parse()?)
        };
        Ok(Told {
            frames: field("progress", "frames=")?,
            collected: field("agent stopped", "collected=")?,
            dropped: field("agent stopped", "dropped=")?,
        })
    }
}
