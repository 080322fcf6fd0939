//! From DBC signals to VSS signals, by a map file: what the agent collects and how it travels.
//!
//! [`SignalMap`] is the file as written; [`MappedDecoder`] joins it with a decoder, checks every
//! entry against the DBC files and the VSS catalogue, builds the catalogue that travels, and turns
//! frames into samples of column ids. Units are converted by folding the conversion into the
//! catalogue's scale and offset, so raw integers travel as they were on the bus.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use serde::Deserialize;
use service::config::DurationText;
use wire::{batch::Table, catalog::Catalog, catalogue};

use crate::{
    decode::{Decoder, MessageIndex, Raw, Sample, SignalIndex},
    frame::Frame,
    j1939::Message,
};

mod compile;
mod unavailable;

use unavailable::Unavailable;

/// The version every map file carries.
pub const MAP_VERSION: i64 = 1;

/// A map file as written, not yet checked against DBC files.
#[derive(Debug, Clone)]
pub struct SignalMap {
    file: String,
    text: String,
    entries: Vec<toml::Spanned<Entry>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    version: i64,
    #[serde(default)]
    signal: Vec<toml::Spanned<Entry>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dbc: String,
    vss: String,
    valid_when: Option<ValidWhen>,
    unit: Option<String>,
    scale: Option<f64>,
    offset: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    min_interval: Option<DurationText>,
    table: Option<TableName>,
    not_available: Option<NotAvailable>,
}

/// Which raw values say that there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotAvailable {
    /// Those of J1939-71: not available, error, reserved.
    J1939,
    /// None.
    None,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidWhen {
    signal: String,
    equals: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TableName {
    Readings,
    Signals,
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Not there or not readable.
    #[error("cannot read map file {path}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("map file {file}: {message}")]
    Parse {
        /// Which file.
        file: String,
        /// What and where, from the reader.
        message: String,
    },
    /// Entries that cannot be used; one line each, `file:line: what`.
    #[error("the signal map cannot be used:{}", .faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Faults {
        /// One for each fault.
        faults: Vec<String>,
    },
}

impl SignalMap {
    /// Reads a file from disk.
    pub fn open(path: &Path) -> Result<Self, MapError> {
        let file = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|source| MapError::Open { path: file.clone(), source })?;
        Self::parse(&file, &text)
    }

    /// Reads the text of a file that messages call `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, MapError> {
        let failed = |message: String| MapError::Parse { file: file.to_owned(), message };
        let map: MapFile =
            toml::from_str(text).map_err(|error| failed(error.to_string().trim_end().to_owned()))?;
        if map.version != MAP_VERSION {
            return Err(failed(format!(
                "version = {} is not known to this release; write version = {MAP_VERSION}",
                map.version
            )));
        }
        Ok(Self { file: file.to_owned(), text: text.to_owned(), entries: map.signal })
    }

    /// Without the VSS signals that `others` map; `None` when nothing is left.
    #[must_use]
    pub fn yielding_to(mut self, others: &[SignalMap]) -> Option<Self> {
        let is_taken = |vss: &str| others.iter().flat_map(|m| &m.entries).any(|e| e.get_ref().vss == vss);
        self.entries.retain(|entry| !is_taken(&entry.get_ref().vss));
        (!self.entries.is_empty()).then_some(self)
    }
}

/// A value as it travels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RawValue {
    /// A raw integer; the catalogue has scale and offset.
    Raw(i64),
    /// A value in the catalogue's unit.
    Number(f64),
}

/// One value of one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MappedSample {
    /// The column, by the catalogue; ids are dense from 0.
    pub column_id: u32,
    /// Its value.
    pub value: RawValue,
}

/// A column of the catalogue and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedColumn {
    /// Its id, also its place in [`MappedDecoder::columns`].
    pub column_id: u32,
    /// The DBC signal.
    pub signal: SignalIndex,
    /// The DBC message: columns of one message share a clock.
    pub message: MessageIndex,
    /// The VSS signal.
    pub vss: &'static catalogue::Signal,
    /// Where its samples go.
    pub table: Table,
    /// Its place in [`wire::readings::COLUMNS`], when it goes there.
    pub reading: Option<usize>,
    /// Least time between two samples, when the map says one.
    pub min_interval: Option<Duration>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameOutcome {
    /// No DBC file has its id, or it is a remote or error frame.
    Unknown,
    /// The map takes no signal of this message.
    Unmapped,
    /// Decoded; the samples of this message were appended.
    Mapped(MessageIndex),
}

/// How one DBC signal becomes one column.
#[derive(Debug, Clone, Copy)]
struct Target {
    column_id: u32,
    is_raw: bool,
    /// Raw to the VSS unit.
    scale: f64,
    offset: f64,
    min: f64,
    max: f64,
    valid_when: Option<(SignalIndex, i64)>,
    unavailable: Unavailable,
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Frame,
    /// J1939's transport protocol: so it is a message of J1939, whatever its file says.
    Transport,
}

/// A decoder and the map over it.
#[derive(Debug, Clone)]
pub struct MappedDecoder {
    decoder: Decoder,
    catalog: Catalog,
    columns: Vec<MappedColumn>,
    /// Targets of signal `i` are `targets[first_target[i]..first_target[i + 1]]`.
    first_target: Vec<u32>,
    targets: Vec<Target>,
    /// By message: whether any of its signals is mapped.
    is_mapped: Vec<bool>,
    scratch: Vec<Sample>,
}

impl MappedDecoder {
    /// Joins a decoder with its maps, telling every fault at once.
    pub fn new(decoder: Decoder, maps: &[SignalMap]) -> Result<Self, MapError> {
        compile::compile(decoder, maps)
    }

    /// What its column ids mean, as it travels.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Its columns, by id.
    pub fn columns(&self) -> &[MappedColumn] {
        &self.columns
    }

    /// The decoder below.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Appends the samples of a frame to `out`. Values that the map calls invalid, that lie
    /// outside its bounds, are not a number, or say in J1939's way that there is none
    /// (J1939-71, 5.1.4: error, not available, reserved) are left out.
    pub fn samples(&mut self, frame: &Frame, out: &mut Vec<MappedSample>) -> FrameOutcome {
        let scratch = &mut self.scratch;
        scratch.clear();
        let Some(message) = self.decoder.message_of(frame.id) else { return FrameOutcome::Unknown };
        if !self.is_mapped[message.as_usize()] {
            return FrameOutcome::Unmapped;
        }
        if self.decoder.decode(frame, &mut |sample| scratch.push(sample)).is_none() {
            return FrameOutcome::Unknown;
        }
        self.map_scratch(Carrier::Frame, out);
        FrameOutcome::Mapped(message)
    }

    /// Appends the samples of a message of many frames to `out`.
    pub fn message_samples(&mut self, message: &Message, out: &mut Vec<MappedSample>) -> FrameOutcome {
        let Some(index) = self.decoder.message_of_long(message) else { return FrameOutcome::Unknown };
        if !self.is_mapped[index.as_usize()] {
            return FrameOutcome::Unmapped;
        }
        let scratch = &mut self.scratch;
        scratch.clear();
        self.decoder.decode_payload(index, &message.data, &mut |sample| scratch.push(sample));
        self.map_scratch(Carrier::Transport, out);
        FrameOutcome::Mapped(index)
    }

    fn map_scratch(&self, carrier: Carrier, out: &mut Vec<MappedSample>) {
        for sample in &self.scratch {
            let i = sample.signal.as_usize();
            let targets = self.first_target[i] as usize..self.first_target[i + 1] as usize;
            for target in &self.targets[targets] {
                if target.unavailable.is(sample.raw, carrier) {
                    continue;
                }
                if let Some(value) = target.value(sample.raw, &self.scratch) {
                    out.push(MappedSample { column_id: target.column_id, value });
                }
            }
        }
    }
}

impl Target {
    fn value(&self, raw: Raw, frame: &[Sample]) -> Option<RawValue> {
        if let Some((signal, equals)) = self.valid_when {
            let switch = frame.iter().find(|sample| sample.signal == signal)?;
            if switch.raw.as_i64() != Some(equals) {
                return None;
            }
        }
        let scaled = raw.as_f64() * self.scale + self.offset;
        if !scaled.is_finite() || scaled < self.min || scaled > self.max {
            return None;
        }
        match (raw, self.is_raw) {
            (Raw::Int(raw), true) => Some(RawValue::Raw(raw)),
            _ => Some(RawValue::Number(scaled)),
        }
    }
}

#[cfg(test)]
mod tests;
