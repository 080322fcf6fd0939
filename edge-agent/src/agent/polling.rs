//! Polling as the collecting thread does it: the poller between the source and the decoder.

use service::logs::chain;
use tracing::{debug, info, warn};
use wire::time::Timestamp;

use super::asks::{Asks, PollerPort, port};
use crate::{
    collect::is_vin,
    faults::FaultReport,
    frame::Frame,
    map::{MappedDecoder, MappedSample, RawValue},
    metrics,
    obd::INFO_VIN,
    poll::{Identity, PollCounts, PollSettings, Poller},
    source::{BusWriter, Source},
};

/// The VSS signal that says whether the vehicle is on.
const IGNITION: &str = "Vehicle.IsIgnitionOn";
/// Frames that could not be sent and were logged one by one; the rest is only counted.
const REFUSED_LOGGED_MAX: u64 = 5;

/// A poller, its way onto the bus, and what it found.
pub(super) struct Polling {
    poller: Poller,
    writer: Box<dyn BusWriter>,
    asks: Asks,
    ignition_column: Option<Ignition>,
    counted: PollCounts,
    /// Values of the settings that no control unit has, as last told.
    unsupported: usize,
    refused: u64,
    /// The identification number told last.
    vin: Option<String>,
}

/// What a step gave.
pub(super) struct Found {
    /// Answers, as frames to decode.
    pub(super) answers: Vec<Frame>,
    /// Lists of codes that were read.
    pub(super) reports: Vec<FaultReport>,
    /// The vehicle’s identification number, when it is not the one told before.
    pub(super) vin: Option<String>,
}

/// The column of the ignition, and how its raw value becomes one in its unit.
#[derive(Debug, Clone, Copy)]
struct Ignition {
    column_id: u32,
    scale: f64,
    offset: f64,
}

impl Polling {
    /// Polling by the settings, and where commands ask; `None` where the source has no way onto that bus, as a recorded
    /// log has none.
    pub(super) fn open(
        settings: PollSettings,
        source: &mut dyn Source,
        decoder: &MappedDecoder,
    ) -> Result<Option<(Self, PollerPort)>, crate::obd::ValueReaderError> {
        let Some(writer) = source.bus_writer(&settings.interface) else {
            warn!(interface = %settings.interface, "source cannot send on this interface; nothing is polled");
            return Ok(None);
        };
        let column = decoder.columns().iter().find(|column| column.vss.path == IGNITION);
        let ignition_column = column.and_then(|column| {
            let definition = decoder.catalog().columns.iter().find(|c| c.column_id == column.column_id)?;
            let (scale, offset) = (definition.scale, definition.offset);
            Some(Ignition { column_id: column.column_id, scale, offset })
        });
        let poller = Poller::new(settings)?;
        let (port, asks) = port();
        let polling = Self {
            poller,
            writer,
            asks,
            ignition_column,
            counted: PollCounts::default(),
            unsupported: 0,
            refused: 0,
            vin: None,
        };
        Ok(Some((polling, port)))
    }

    /// Takes a frame of the bus and the samples that were in it.
    pub(super) fn observe(&mut self, frame: &Frame, samples: &[MappedSample]) {
        if let Some(ignition) = self.ignition_column
            && let Some(sample) = samples.iter().find(|s| s.column_id == ignition.column_id)
        {
            self.poller.set_ignition(ignition.is_on(sample.value));
        }
        self.poller.observe(frame);
    }

    /// Does what is due, for the schedule and for commands. Called after each frame, and while the
    /// bus is quiet.
    pub(super) fn step(&mut self, now: Timestamp) -> Found {
        self.poller.tick(now);
        for frame in self.poller.take_outgoing() {
            if let Err(error) = self.writer.send(&frame) {
                self.refused += 1;
                if self.refused <= REFUSED_LOGGED_MAX {
                    warn!(error = %chain(&error), "request could not be sent");
                }
            }
        }
        let vin = self.take_vin();
        for cleared in self.poller.take_cleared() {
            self.asks.note_cleared(&cleared);
            match cleared.result {
                Ok(()) => debug!(ecu = cleared.ecu, "codes cleared"),
                Err(error) => warn!(ecu = cleared.ecu, error = %chain(&error), "codes not cleared"),
            }
        }
        let reports = self.poller.take_fault_reports();
        for report in &reports {
            self.asks.note_report(report);
            metrics::fault_report(report.protocol);
        }
        for report in self.poller.take_unit_reports() {
            self.asks.note_report(&report);
            metrics::fault_report(report.protocol);
        }
        for report in self.poller.take_supported_dtcs() {
            self.asks.note_report(&report);
        }
        self.asks.step(&mut self.poller);
        self.count();
        Found { answers: self.poller.take_answers(), reports, vin }
    }

    /// What control units told of themselves; a new identification number among it.
    fn take_vin(&mut self) -> Option<String> {
        let mut new = None;
        for Identity { ecu, info_type, texts } in self.poller.take_identities() {
            info!(ecu, info_type, ?texts, "control unit told its identity");
            let Some(vin) = texts.into_iter().find(|text| info_type == INFO_VIN && is_vin(text)) else {
                continue;
            };
            if self.vin.as_ref() != Some(&vin) {
                self.vin = Some(vin.clone());
                new = Some(vin);
            }
        }
        new
    }

    fn count(&mut self) {
        let (now, before) = (self.poller.counts(), self.counted);
        if now != before {
            metrics::polled("positive", now.positive - before.positive);
            metrics::polled("negative", now.negative - before.negative);
            metrics::polled("silent", now.silent - before.silent);
            metrics::polled("failed", now.failed - before.failed);
            metrics::poll_bits(now.bits - before.bits);
            self.counted = now;
        }
        let unsupported = self.poller.unsupported_pids().count();
        if unsupported > self.unsupported {
            warn!(count = unsupported, "values that no control unit has are not asked (poll.obd.pids)");
            self.unsupported = unsupported;
        }
    }
}

impl Ignition {
    #[allow(clippy::cast_precision_loss, reason = "a switch's raw value is small")]
    fn is_on(self, value: RawValue) -> bool {
        match value {
            RawValue::Raw(raw) => raw as f64 * self.scale + self.offset > 0.0,
            RawValue::Number(number) => number > 0.0,
        }
    }
}
