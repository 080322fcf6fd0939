//! Position, motion and time of a GNSS receiver: gpsd, or NMEA 0183 from a device, a pipe, a file
//! or a TCP port.
//!
//! `nmea.rs` and `gpsd.rs` turn lines into reports and know no connection; `connection.rs` brings
//! the lines and connects again with back-off. A report becomes frames of the agent's own, at the
//! time it came; the receiver's time is one of the values.

pub(crate) mod connection;
pub(crate) mod gpsd;
pub(crate) mod nmea;

use std::{path::PathBuf, sync::Arc, time::Duration};

use service::{SharedClock, logs::chain};
use tracing::{error, info, warn};
use wire::time::Timestamp;

use crate::{clock::keeper::TimeKeeper, encode::EncodeError, frame::Frame};

use super::{
    merge::{FrameSink, SideSource},
    own::{OwnFrames, OwnFramesError, flagged},
};
use connection::{Connection, LineEvent};
use gpsd::GpsdReader;
use nmea::NmeaReader;

/// Waits before connecting again: from, to.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// A gpsd at `host:port`.
    Gpsd(String),
    /// NMEA sentences from `host:port`.
    NmeaTcp(String),
    /// NMEA sentences from a serial device at a rate, a pipe or a file.
    NmeaFile {
        /// Which.
        path: PathBuf,
        /// Bits a second, where it is a serial device.
        baud: u32,
    },
}

/// An address of a receiver that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no receiver; write \"gpsd://127.0.0.1:2947\", \"tcp://HOST:PORT\" or a device such as \"/dev/ttyUSB0\""
)]
pub struct ReceiverError(String);

impl Receiver {
    /// Reads `gpsd://host[:port]`, `tcp://host:port` or a path.
    pub fn parse(text: &str, baud: u32) -> Result<Self, ReceiverError> {
        let refused = || ReceiverError(text.chars().take(80).collect());
        let with_port = |address: &str, port: Option<u16>| match (address.rsplit_once(':'), port) {
            (Some((host, port)), _) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(address.to_owned())
            }
            (None, Some(port)) if !address.is_empty() => Ok(format!("{address}:{port}")),
            _ => Err(refused()),
        };
        if let Some(address) = text.strip_prefix("gpsd://") {
            // 2947 is gpsd's port.
            return with_port(address, Some(2947)).map(Self::Gpsd);
        }
        if let Some(address) = text.strip_prefix("tcp://") {
            return with_port(address, None).map(Self::NmeaTcp);
        }
        if text.is_empty() || text.contains("://") {
            return Err(refused());
        }
        Ok(Self::NmeaFile { path: PathBuf::from(text), baud })
    }

    /// Reads its lines, from the first on.
    fn reader(&self) -> Box<dyn LineReader> {
        match self {
            Self::Gpsd(_) => Box::new(GpsdReader::default()),
            Self::NmeaTcp(_) | Self::NmeaFile { .. } => Box::new(NmeaReader::default()),
        }
    }

    /// Whether a receiver's serial device can be set to that rate.
    pub fn is_rate(baud: u32) -> bool {
        connection::rate(baud).is_ok()
    }
}

/// How well a position is known, as VSS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FixType {
    /// No position.
    #[default]
    None = 0,
    /// Latitude and longitude.
    TwoD = 1,
    /// The same, corrected by satellite.
    TwoDSatellite = 2,
    /// The same, corrected from the ground.
    TwoDGround = 3,
    /// With altitude.
    ThreeD = 5,
    /// The same, corrected by satellite.
    ThreeDSatellite = 6,
    /// The same, corrected from the ground.
    ThreeDGround = 7,
}

/// What a receiver told at once. What it did not tell is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Report {
    /// Latitude and longitude in degrees.
    pub(crate) position: Option<(f64, f64)>,
    /// Speed over ground, heading and altitude, when any of them was told.
    pub(crate) motion: Option<Motion>,
    /// How good the position is.
    pub(crate) fix: Option<Fix>,
    /// The receiver's time, UTC.
    pub(crate) time: Option<Timestamp>,
}

/// How the vehicle moves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Motion {
    pub(crate) speed_kmh: Option<f64>,
    pub(crate) heading_deg: Option<f64>,
    pub(crate) altitude_m: Option<f64>,
}

/// How good a position is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Fix {
    pub(crate) fix_type: FixType,
    pub(crate) satellites: Option<f64>,
    pub(crate) hdop: Option<f64>,
    pub(crate) horizontal_accuracy_m: Option<f64>,
    pub(crate) vertical_accuracy_m: Option<f64>,
}

/// What a line was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// It told something.
    Report(Box<Report>),
    /// It is of no interest.
    Other,
    /// It is damaged.
    Damaged,
}

/// A receiver as a source beside the bus.
#[derive(Debug)]
pub(crate) struct GnssSource {
    receiver: Receiver,
    frames: OwnFrames,
    clock: SharedClock,
    time: Option<Arc<TimeKeeper>>,
}

impl GnssSource {
    /// A source that will connect when it runs.
    pub(crate) fn new(receiver: Receiver, clock: SharedClock) -> Result<Self, OwnFramesError> {
        Ok(Self { receiver, frames: OwnFrames::new("gnss")?, clock, time: None })
    }

    /// Tells the receiver's time to one who may not know it.
    pub(crate) fn telling(self, time: Arc<TimeKeeper>) -> Self {
        Self { time: Some(time), ..self }
    }

    /// Tells the time of a report that has a position: without one it may be the receiver's guess.
    fn tell_time(&self, report: &Report) {
        if let (Some(keeper), Some(utc), Some(_)) = (&self.time, report.time, report.position) {
            keeper.tell_utc(utc);
        }
    }

    fn put(&self, report: &Report, sink: &FrameSink) {
        for made in frames_of(&self.frames, report, Timestamp(self.clock.now_us())) {
            match made {
                Ok(frame) => sink.put(frame),
                Err(error) => {
                    sink.count_damaged();
                    error!(error = %chain(&error), "a receiver's values make no frame");
                }
            }
        }
    }

    /// Reads one connection to its end; whether it is not to be opened again.
    fn read(&self, connection: &mut Connection, sink: &FrameSink) -> bool {
        let mut reader = self.receiver.reader();
        while !sink.is_stopped() {
            match connection.next_line() {
                Ok(LineEvent::Line(line)) => match reader.read(&line) {
                    Reading::Report(report) => {
                        // A file is of another day.
                        if !connection.is_file() {
                            self.tell_time(&report);
                        }
                        self.put(&report, sink);
                    }
                    Reading::Other => {}
                    Reading::Damaged => sink.count_damaged(),
                },
                Ok(LineEvent::Quiet) => {}
                Ok(LineEvent::End) => return connection.is_file(),
                Err(error) => {
                    warn!(error = %chain(&error), "receiver lost; connecting again");
                    return false;
                }
            }
        }
        true
    }
}

/// Turns lines into reports; remembers what belongs together.
pub(crate) trait LineReader {
    /// Takes one line, without its end.
    fn read(&mut self, line: &[u8]) -> Reading;
}

impl SideSource for GnssSource {
    fn name(&self) -> &'static str {
        "gnss"
    }

    fn run(self: Box<Self>, sink: &FrameSink) {
        let mut wait = RETRY_MIN;
        let mut is_told = false;
        while !sink.is_stopped() {
            match Connection::open(&self.receiver, &self.clock) {
                Ok(mut connection) => {
                    info!("receiver connected");
                    is_told = false;
                    if self.read(&mut connection, sink) {
                        return;
                    }
                    sink.count_loss();
                    if connection.has_read() {
                        wait = RETRY_MIN;
                    }
                }
                Err(error) if !is_told => {
                    warn!(error = %chain(&error), "cannot connect to the receiver; trying again and again");
                    is_told = true;
                }
                Err(_) => {}
            }
            if sink.wait(wait) {
                return;
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// Makes frames of lines that are there already: what a source does with those of a connection.
#[derive(Debug)]
pub struct RecordedLines {
    frames: OwnFrames,
}

impl RecordedLines {
    /// Ready for any receiver's.
    pub fn new() -> Result<Self, OwnFramesError> {
        Ok(Self { frames: OwnFrames::new("gnss")? })
    }

    /// The frames of the lines of one connection to `receiver`, and how many lines or values were damaged.
    pub fn read(&self, receiver: &Receiver, lines: &[u8], time: Timestamp) -> (Vec<Frame>, u64) {
        let (mut reader, mut frames, mut damaged) = (receiver.reader(), Vec::new(), 0);
        for line in lines.split(|b| *b == b'\n') {
            match reader.read(line) {
                Reading::Report(report) => {
                    for made in frames_of(&self.frames, &report, time) {
                        made.map_or_else(|_| damaged += 1, |frame| frames.push(frame));
                    }
                }
                Reading::Other => {}
                Reading::Damaged => damaged += 1,
            }
        }
        (frames, damaged)
    }
}

/// The frames of a report.
fn frames_of(
    frames: &OwnFrames,
    report: &Report,
    time: Timestamp,
) -> impl Iterator<Item = Result<Frame, EncodeError>> {
    let values = values_of(report).into_iter();
    values.filter_map(move |(message, values)| frames.frame(time, message, &values).transpose())
}

/// The messages of a report and their values.
#[allow(clippy::cast_precision_loss, reason = "milliseconds are exact in a double until year 287396")]
fn values_of(report: &Report) -> Vec<(&'static str, Vec<(&'static str, f64)>)> {
    let mut messages = Vec::with_capacity(4);
    if let Some(time) = report.time.filter(|time| time.0 >= 0) {
        messages.push(("rl_gnss_time", vec![("UnixTime", (time.0 / 1000) as f64)]));
    }
    if let Some((latitude, longitude)) = report.position {
        let values = vec![("PositionValid", 1.0), ("Latitude", latitude), ("Longitude", longitude)];
        messages.push(("rl_gnss_position", values));
    }
    if let Some(motion) = report.motion {
        let mut values = flagged("SpeedValid", "Speed", motion.speed_kmh).to_vec();
        values.extend(flagged("HeadingValid", "Heading", motion.heading_deg));
        values.extend(flagged("AltitudeValid", "Altitude", motion.altitude_m));
        messages.push(("rl_gnss_motion", values));
    }
    if let Some(fix) = report.fix {
        let mut values = vec![("FixType", f64::from(fix.fix_type as u8))];
        values.extend(flagged("SatellitesValid", "SatellitesUsed", fix.satellites));
        values.extend(flagged("HdopValid", "Hdop", fix.hdop));
        values.extend(flagged("HorizontalAccuracyValid", "HorizontalAccuracy", fix.horizontal_accuracy_m));
        values.extend(flagged("VerticalAccuracyValid", "VerticalAccuracy", fix.vertical_accuracy_m));
        messages.push(("rl_gnss_fix", values));
    }
    messages
}

#[cfg(test)]
mod tests;
