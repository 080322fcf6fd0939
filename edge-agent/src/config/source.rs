//! `[source]`: where frames come from.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use service::config::{DurationText, Faults};
use wire::time::Timestamp;

use super::read;
use crate::{
    agent::{FrameFilter, LiveSettings, ReplayLog, ReplaySettings, SourceSettings},
    clock::ClockSettings,
    simulate::{self, Powertrain, SimulateSettings},
    source::{gnss::Receiver, replay::Pace},
};

/// Most CAN interfaces of one agent.
const INTERFACE_COUNT_MAX: usize = 32;

/// `[source]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// `socketcan`, `replay` or `simulate`.
    pub kind: SourceKind,
    /// Live: CAN interfaces.
    pub interfaces: Vec<String>,
    /// Live: whether the kernel passes only what the DBC files and diagnostics have.
    pub filter: bool,
    /// Live: a GNSS receiver, `gpsd://host:port`, `tcp://host:port` or a device.
    pub gnss: Option<String>,
    /// Live: bits a second of a receiver's serial device.
    pub gnss_baud: u32,
    /// Live: time between two looks at the unit's own state; `0s` for none.
    pub unit_interval: DurationText,
    /// Replay: the log, candump, ASC or BLF.
    pub log_file: Option<PathBuf>,
    /// How fast: a number, or `flat`.
    pub speed: String,
    /// Replay: moves the log so that it begins here.
    pub shift_to: Option<Timestamp>,
    /// Simulate: the track; one that comes with the agent when absent.
    pub track_file: Option<PathBuf>,
    /// Simulate: `combustion` or `battery`.
    pub powertrain: PowertrainName,
    /// Simulate: where chance comes from.
    pub seed: u64,
    /// Simulate: when it begins.
    pub start_time: Option<Timestamp>,
    /// Simulate: when it ends.
    pub until: Option<Timestamp>,
}

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Live buses.
    #[serde(rename = "socketcan")]
    SocketCan,
    /// A recorded log.
    Replay,
    /// A computed vehicle.
    Simulate,
}

/// A kind of powertrain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowertrainName {
    /// Combustion engine.
    Combustion,
    /// Battery-electric.
    Battery,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            kind: SourceKind::Replay,
            interfaces: Vec::new(),
            filter: false,
            gnss: None,
            gnss_baud: 9600,
            unit_interval: DurationText(Duration::from_secs(10)),
            log_file: None,
            speed: "1".to_owned(),
            shift_to: None,
            track_file: None,
            powertrain: PowertrainName::Combustion,
            seed: 1,
            start_time: None,
            until: None,
        }
    }
}

impl SourceConfig {
    pub(super) fn check(&self, faults: &mut Faults, now: Timestamp) -> Option<SourceSettings> {
        let pace = faults.check("source.speed", self.speed.parse::<Pace>());
        match self.kind {
            SourceKind::SocketCan => self.check_live(faults).map(SourceSettings::Live),
            SourceKind::Replay => {
                let Some(path) = &self.log_file else {
                    faults.add("source.log_file", "is missing; name the log to replay");
                    return None;
                };
                let opened = ReplayLog::File(path.clone());
                let readable = opened.open().map_err(|e| service::logs::chain(&e).to_string());
                let log = faults.check("source.log_file", readable.map(|_| opened))?;
                Some(SourceSettings::Replay(ReplaySettings { log, pace: pace?, shift_to: self.shift_to }))
            }
            SourceKind::Simulate => {
                let track = match &self.track_file {
                    Some(path) => read(faults, "source.track_file", path)?,
                    None => {
                        let tracks = simulate::tracks();
                        let index = usize::try_from(self.seed).unwrap_or(0) % tracks.len().max(1);
                        tracks.into_iter().nth(index)?
                    }
                };
                let speed = match pace? {
                    Pace::Recorded(factor) => factor,
                    // As fast as the clock lets it.
                    Pace::FlatOut => 1e6,
                };
                Some(SourceSettings::Simulate(SimulateSettings {
                    track,
                    powertrain: match self.powertrain {
                        PowertrainName::Combustion => Powertrain::Combustion,
                        PowertrainName::Battery => Powertrain::Battery,
                    },
                    seed: self.seed,
                    start_time: self.start_time.unwrap_or(now),
                    speed,
                    until: self.until,
                }))
            }
        }
    }

    fn check_live(&self, faults: &mut Faults) -> Option<LiveSettings> {
        // IFNAMSIZ of Linux is 16, with the end.
        let is_name = |name: &String| {
            (1..16).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
        };
        if !self.interfaces.iter().all(is_name) || self.interfaces.len() > INTERFACE_COUNT_MAX {
            faults.add("source.interfaces", "must be at most 32 names of interfaces, such as \"can0\"");
            return None;
        }
        let gnss = self.gnss.as_deref().map(|text| Receiver::parse(text, self.gnss_baud));
        let gnss = faults.check("source.gnss", gnss.transpose())?;
        if !Receiver::is_rate(self.gnss_baud) {
            faults.add(
                "source.gnss_baud",
                "is no rate of receivers; write 4800, 9600, 19200, 38400, 57600, 115200 or 230400",
            );
        }
        if self.interfaces.is_empty() && gnss.is_none() {
            faults.add("source.interfaces", "is empty; name a CAN interface, such as [\"can0\"]");
            return None;
        }
        let interval = self.unit_interval.0;
        if !interval.is_zero() && interval < Duration::from_secs(1) {
            faults.add("source.unit_interval", "is too short; write at least \"1s\", or \"0s\" for none");
        }
        Some(LiveSettings {
            interfaces: self.interfaces.clone(),
            filter: if self.filter { FrameFilter::Known } else { FrameFilter::All },
            gnss,
            unit_interval: (!interval.is_zero()).then_some(interval),
            clock: ClockSettings::default(),
        })
    }
}
