//! The state of the unit the agent runs on: processor, memory, disk, temperature, network, modem.
//!
//! Read from `/proc` and `/sys` every interval, on a thread beside the bus. What the machine does
//! not tell is absent, never zero. [`parse`] reads the files' text and knows no file.

mod parse;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::statvfs::statvfs;
use service::{SharedClock, logs::chain};
use tracing::error;
use wire::time::Timestamp;

use super::{
    merge::{FrameSink, SideSource},
    own::{OwnFrames, OwnFramesError, flagged},
};
use parse::{CpuTimes, Traffic};

/// Most of a file of `/proc` or `/sys` that is looked at.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Thermal zones and interfaces looked at.
const ENTRY_COUNT_MAX: usize = 64;
const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// A counter of 32 bits in KiB starts anew after 4 TiB.
const COUNTER_MODULUS: f64 = 4_294_967_296.0;

/// The unit's state as a source beside the bus.
#[derive(Debug)]
pub(crate) struct UnitSource {
    interval: Duration,
    /// Where `proc` and `sys` are; a test has its own.
    root: PathBuf,
    /// The folder whose disk matters.
    spool_folder: PathBuf,
    frames: OwnFrames,
    clock: SharedClock,
    cpu_before: Option<CpuTimes>,
}

/// The state at one moment; what is not known is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct UnitState {
    cpu_percent: Option<f64>,
    load_average: Option<f64>,
    memory_percent: Option<f64>,
    agent_memory_mib: Option<f64>,
    disk_free_mib: Option<f64>,
    temperature_celsius: Option<f64>,
    signal_dbm: Option<f64>,
    uptime_s: Option<f64>,
    traffic: Option<Traffic>,
}

impl UnitSource {
    /// A source that looks every `interval`.
    pub(crate) fn new(
        interval: Duration,
        spool_folder: &Path,
        clock: SharedClock,
    ) -> Result<Self, OwnFramesError> {
        let frames = OwnFrames::new("unit")?;
        let (root, spool_folder) = (PathBuf::from("/"), spool_folder.to_owned());
        Ok(Self { interval, root, spool_folder, frames, clock, cpu_before: None })
    }

    fn text(&self, path: &str) -> Option<String> {
        read_text(&self.root.join(path))
    }

    fn look(&mut self) -> UnitState {
        let cpu = self.text("proc/stat").and_then(|text| parse::cpu_times(&text));
        let cpu_percent = self.cpu_before.zip(cpu).and_then(|(before, now)| now.busy_percent_since(before));
        self.cpu_before = cpu;
        UnitState {
            cpu_percent,
            load_average: self.text("proc/loadavg").and_then(|text| parse::first_number(&text)),
            memory_percent: self.text("proc/meminfo").and_then(|text| parse::memory_percent(&text)),
            agent_memory_mib: self.text("proc/self/status").and_then(|text| parse::resident_mib(&text)),
            disk_free_mib: disk_free_mib(&self.spool_folder),
            temperature_celsius: self.temperature_celsius(),
            signal_dbm: self.text("proc/net/wireless").and_then(|text| parse::wireless_dbm(&text)),
            uptime_s: self.text("proc/uptime").and_then(|text| parse::first_number(&text)),
            traffic: self.text("proc/net/dev").map(|text| parse::traffic(&text)),
        }
    }

    /// The hottest of the processor's zones; of all zones where none is named so.
    fn temperature_celsius(&self) -> Option<f64> {
        let zones: Vec<(bool, f64)> = fs::read_dir(self.root.join("sys/class/thermal"))
            .ok()?
            .flatten()
            .take(ENTRY_COUNT_MAX)
            .filter_map(|entry| {
                let kind = read_text(&entry.path().join("type"))?;
                let celsius = parse::first_number(&read_text(&entry.path().join("temp"))?)? / 1000.0;
                // Zones that are off tell zero or less than any unit survives.
                (-60.0..200.0).contains(&celsius).then_some((parse::is_processor_zone(&kind), celsius))
            })
            .collect();
        let of_processor = zones.iter().any(|zone| zone.0);
        zones.iter().filter(|zone| zone.0 || !of_processor).map(|zone| zone.1).reduce(f64::max)
    }

    fn put(&self, state: &UnitState, sink: &FrameSink) {
        let time = Timestamp(self.clock.now_us());
        for (message, values) in values_of(state) {
            match self.frames.frame(time, message, &values) {
                Ok(frame) => frame.into_iter().for_each(|frame| sink.put(frame)),
                Err(error) => {
                    sink.count_damaged();
                    error!(error = %chain(&error), "the unit's values make no frame");
                }
            }
        }
    }
}

impl SideSource for UnitSource {
    fn name(&self) -> &'static str {
        "unit"
    }

    fn run(mut self: Box<Self>, sink: &FrameSink) {
        loop {
            let state = self.look();
            self.put(&state, sink);
            if sink.wait(self.interval) {
                return;
            }
        }
    }
}

fn values_of(state: &UnitState) -> Vec<(&'static str, Vec<(&'static str, f64)>)> {
    let mut load = flagged("CpuValid", "CpuUsage", state.cpu_percent).to_vec();
    load.extend(flagged("MemoryValid", "MemoryUsed", state.memory_percent));
    load.extend(flagged("LoadValid", "LoadAverage", state.load_average));
    let mut storage = flagged("DiskValid", "DiskFree", state.disk_free_mib).to_vec();
    storage.extend(flagged("AgentMemoryValid", "AgentMemory", state.agent_memory_mib));
    let mut health = flagged("TemperatureValid", "Temperature", state.temperature_celsius).to_vec();
    health.extend(flagged("SignalValid", "SignalStrength", state.signal_dbm));
    health.extend(flagged("UptimeValid", "Uptime", state.uptime_s));
    let mut messages = vec![("rl_unit_load", load), ("rl_unit_storage", storage), ("rl_unit_health", health)];
    if let Some(Traffic { received_bytes, sent_bytes }) = state.traffic {
        let kib = |bytes: f64| (bytes / KIB).floor() % COUNTER_MODULUS;
        messages
            .push(("rl_unit_network", vec![("Received", kib(received_bytes)), ("Sent", kib(sent_bytes))]));
    }
    messages
}

fn read_text(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    fs::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Room that the agent, which is no superuser, has on the disk of its spool.
#[allow(clippy::cast_precision_loss, reason = "mebibytes")]
fn disk_free_mib(folder: &Path) -> Option<f64> {
    let disk = statvfs(folder).ok()?;
    Some(disk.blocks_available() as f64 * disk.fragment_size() as f64 / MIB)
}

#[cfg(test)]
mod tests;
