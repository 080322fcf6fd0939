//! One batch of telemetry as bytes: columns, deltas, zstd, signature (design 3.2).
//!
//! Encoding is deterministic: equal batches make equal bytes. Decoding is total: any bytes make
//! a batch or a [`DecodeBatchError`], and no more memory is taken than the limits below allow
//! (a body of [`BODY_BYTES_MAX`], each byte at most one 8-byte value of a column).

use std::cell::RefCell;

use prost::Message;
use zstd::bulk::Decompressor;

use crate::{
    delta,
    ids::{BootId, CatalogHash, IdError, StreamId, VehicleId},
    proto,
    time::Timestamp,
};

/// The version this crate writes.
pub const BATCH_VERSION: u32 = 1;
/// Largest payload of one telemetry message: what brokers are set to let through.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Largest decompressed body.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most groups in one batch.
pub const GROUP_COUNT_MAX: usize = 4096;
/// Most rows times columns in one batch.
pub const CELL_COUNT_MAX: usize = 2_000_000;
const ZSTD_LEVEL: i32 = 9;

/// The table a group of samples is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// The state of a vehicle at one instant.
    Readings,
    /// One sample of any other signal.
    Signals,
    /// A fault seen, changed or cleared.
    Diagnostics,
}

impl Table {
    /// The table's name in the lake.
    pub fn name(self) -> &'static str {
        match self {
            Table::Readings => "readings",
            Table::Signals => "signals",
            Table::Diagnostics => "diagnostics",
        }
    }

    pub(crate) fn to_proto(self) -> i32 {
        match self {
            Table::Readings => proto::Table::Readings as i32,
            Table::Signals => proto::Table::Signals as i32,
            Table::Diagnostics => proto::Table::Diagnostics as i32,
        }
    }

    pub(crate) fn from_proto(value: i32) -> Option<Self> {
        match proto::Table::try_from(value).ok()? {
            proto::Table::Unspecified => None,
            proto::Table::Readings => Some(Table::Readings),
            proto::Table::Signals => Some(Table::Signals),
            proto::Table::Diagnostics => Some(Table::Diagnostics),
        }
    }
}

/// One telemetry batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whose it is.
    pub vehicle_id: VehicleId,
    /// The start of the agent that made it.
    pub boot_id: BootId,
    /// The log it belongs to.
    pub stream_id: StreamId,
    /// Its place in that log, from 1.
    pub sequence: u64,
    /// The lowest sequence of the log that may still come.
    pub oldest_sequence: u64,
    /// The catalogue its column ids are of.
    pub catalog_hash: CatalogHash,
    /// Vehicle clock of the first sample.
    pub base_time: Timestamp,
    /// Time since the unit's boot at `base_time`, for live sources.
    pub monotonic_base_us: i64,
    /// The samples, all for one table: so a batch is in the lake by one commit, or not at all.
    pub groups: Vec<Group>,
    /// What had to be dropped before.
    pub gaps: Vec<Gap>,
    /// How far its times can be believed.
    pub clock: ClockState,
}

/// What the unit knew of the time when it made a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClockState {
    /// The time was known.
    #[default]
    Synchronized,
    /// It was not: times are right to each other only.
    Unsynchronized,
    /// It was not, and times were set right afterwards.
    Corrected,
}

impl ClockState {
    /// As written in the lake; `None` for the ordinary case.
    pub fn word(self) -> Option<&'static str> {
        match self {
            ClockState::Synchronized => None,
            ClockState::Unsynchronized => Some("unsynchronized"),
            ClockState::Corrected => Some("corrected"),
        }
    }

    fn to_proto(self) -> i32 {
        match self {
            ClockState::Synchronized => proto::ClockState::Synchronized.into(),
            ClockState::Unsynchronized => proto::ClockState::Unsynchronized.into(),
            ClockState::Corrected => proto::ClockState::Corrected.into(),
        }
    }

    /// A state of a later release is believed least.
    fn from_proto(value: i32) -> Self {
        match proto::ClockState::try_from(value) {
            Ok(proto::ClockState::Synchronized) => ClockState::Synchronized,
            Ok(proto::ClockState::Corrected) => ClockState::Corrected,
            Ok(proto::ClockState::Unsynchronized) | Err(_) => ClockState::Unsynchronized,
        }
    }
}

/// Columns on one clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Where its rows go.
    pub table: Table,
    /// Microseconds after the batch's `base_time`, one a row.
    pub times_us: Vec<i64>,
    /// The columns, each of as many rows.
    pub columns: Vec<Column>,
}

/// The samples of one signal in a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Which signal, by the catalogue.
    pub column_id: u32,
    /// Which rows have a sample; as long as the group's times.
    pub present: Vec<bool>,
    /// One value for each present row.
    pub values: Values,
}

/// The values of a column's present rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Raw integers; the catalogue has scale and offset.
    Raw(Vec<i64>),
    /// Floating-point values as measured.
    Number(Vec<f64>),
    /// Texts.
    Text(Vec<String>),
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Raw(v) => v.len(),
            Values::Number(v) => v.len(),
            Values::Text(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Batches a vehicle had to drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Whose log.
    pub stream_id: StreamId,
    /// First dropped sequence.
    pub from_sequence: u64,
    /// Last dropped sequence.
    pub to_sequence: u64,
    /// Samples in them.
    pub sample_count: u64,
    /// Time of the first sample dropped.
    pub first_time: Timestamp,
    /// Time of the last sample dropped.
    pub last_time: Timestamp,
    /// `spool_full`, `spool_age`, `corrupt` or `rejected`.
    pub reason: String,
}

/// A payload taken apart, its signature not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// zstd frame of a batch: what the signature is over.
    pub body: Vec<u8>,
    /// Ed25519 signature, or empty.
    pub signature: Vec<u8>,
}

/// Why bytes are no batch.
#[derive(Debug, thiserror::Error)]
pub enum DecodeBatchError {
    /// Over [`PAYLOAD_BYTES_MAX`].
    #[error("payload of {0} bytes is over the limit of {PAYLOAD_BYTES_MAX}")]
    PayloadTooLarge(usize),
    /// Not protobuf of the message it should be.
    #[error("{what} is not protobuf of its message")]
    Protobuf {
        /// Envelope or batch.
        what: &'static str,
        /// The reader's error.
        source: prost::DecodeError,
    },
    /// Not a zstd frame, or one over [`BODY_BYTES_MAX`].
    #[error("body is not a zstd frame of at most {BODY_BYTES_MAX} bytes")]
    Decompress(#[source] std::io::Error),
    /// A version this crate does not read.
    #[error("batch version {0} is not known to this release (it reads {BATCH_VERSION})")]
    Version(u32),
    /// A malformed id.
    #[error("malformed id")]
    Id(#[from] IdError),
    /// Parts that contradict each other.
    #[error("malformed batch: {0}")]
    Malformed(&'static str),
}

/// Why a batch cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeBatchError {
    /// The compressor failed.
    #[error("cannot compress the batch")]
    Compress(#[source] std::io::Error),
    /// Over [`PAYLOAD_BYTES_MAX`]: make batches of fewer samples.
    #[error("payload of {0} bytes is over the limit of {PAYLOAD_BYTES_MAX}")]
    TooLarge(usize),
    /// A column whose values do not match its presence or its group's times.
    #[error("column {0} does not have one value for each present row")]
    Ragged(u32),
}

impl Batch {
    /// Samples in it: values, not rows.
    pub fn sample_count(&self) -> u64 {
        self.groups.iter().flat_map(|g| &g.columns).map(|c| c.values.len() as u64).sum()
    }

    /// The compressed body, to be signed and put in an [`Envelope`].
    pub fn encode_body(&self) -> Result<Vec<u8>, EncodeBatchError> {
        let bytes = self.to_proto()?.encode_to_vec();
        zstd::bulk::compress(&bytes, ZSTD_LEVEL).map_err(EncodeBatchError::Compress)
    }

    /// Reads a body made by [`Batch::encode_body`].
    pub fn decode_body(body: &[u8]) -> Result<Self, DecodeBatchError> {
        let declared = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
        let capacity = declared.map_or(BODY_BYTES_MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if capacity > BODY_BYTES_MAX {
            return Err(DecodeBatchError::Decompress(std::io::Error::other("declared size over the limit")));
        }
        let bytes = decompress(body, capacity).map_err(DecodeBatchError::Decompress)?;
        let message = proto::TelemetryBatch::decode(bytes.as_slice())
            .map_err(|source| DecodeBatchError::Protobuf { what: "batch", source })?;
        Self::from_proto(message)
    }

    fn to_proto(&self) -> Result<proto::TelemetryBatch, EncodeBatchError> {
        let groups = self.groups.iter().map(Group::to_proto).collect::<Result<_, _>>()?;
        Ok(proto::TelemetryBatch {
            version: BATCH_VERSION,
            vehicle_id: self.vehicle_id.as_str().to_owned(),
            boot_id: self.boot_id.as_bytes().to_vec(),
            stream_id: self.stream_id.as_bytes().to_vec(),
            sequence: self.sequence,
            oldest_sequence: self.oldest_sequence,
            catalog_hash: self.catalog_hash.as_bytes().to_vec(),
            base_time_us: self.base_time.0,
            monotonic_base_us: self.monotonic_base_us,
            groups,
            gaps: self.gaps.iter().map(Gap::to_proto).collect(),
            clock: self.clock.to_proto(),
        })
    }

    fn from_proto(message: proto::TelemetryBatch) -> Result<Self, DecodeBatchError> {
        if message.version != BATCH_VERSION {
            return Err(DecodeBatchError::Version(message.version));
        }
        if message.sequence == 0 || message.oldest_sequence == 0 {
            return Err(DecodeBatchError::Malformed("sequences start at 1"));
        }
        if message.oldest_sequence > message.sequence {
            return Err(DecodeBatchError::Malformed("oldest_sequence is above sequence"));
        }
        if message.groups.len() > GROUP_COUNT_MAX {
            return Err(DecodeBatchError::Malformed("too many groups"));
        }
        let mut cells_left = CELL_COUNT_MAX;
        let groups = message
            .groups
            .into_iter()
            .map(|g| Group::from_proto(g, &mut cells_left))
            .collect::<Result<Vec<Group>, _>>()?;
        if groups.windows(2).any(|w| w[0].table != w[1].table) {
            return Err(DecodeBatchError::Malformed("groups for more than one table"));
        }
        Ok(Self {
            vehicle_id: message.vehicle_id.parse()?,
            boot_id: BootId::from_slice(&message.boot_id)?,
            stream_id: StreamId::from_slice(&message.stream_id)?,
            sequence: message.sequence,
            oldest_sequence: message.oldest_sequence,
            catalog_hash: CatalogHash::from_slice(&message.catalog_hash)?,
            base_time: Timestamp(message.base_time_us),
            monotonic_base_us: message.monotonic_base_us,
            groups,
            gaps: message.gaps.into_iter().map(Gap::from_proto).collect::<Result<_, _>>()?,
            clock: ClockState::from_proto(message.clock),
        })
    }
}

thread_local! {
    /// Its making costs more than the reading of a batch.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(body: &[u8], capacity: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompressor.decompress(body, capacity),
        None => kept.insert(Decompressor::new()?).decompress(body, capacity),
    })
}

impl Group {
    fn to_proto(&self) -> Result<proto::Group, EncodeBatchError> {
        let columns =
            self.columns.iter().map(|c| c.to_proto(self.times_us.len())).collect::<Result<_, _>>()?;
        Ok(proto::Group {
            table: self.table.to_proto(),
            time_dod_us: delta::delta_of_delta(&self.times_us),
            columns,
        })
    }

    fn from_proto(message: proto::Group, cells_left: &mut usize) -> Result<Self, DecodeBatchError> {
        let table = Table::from_proto(message.table)
            .ok_or(DecodeBatchError::Malformed("group for an unknown table"))?;
        let rows = message.time_dod_us.len();
        let cells = rows.saturating_mul(message.columns.len().max(1));
        *cells_left = cells_left.checked_sub(cells).ok_or(DecodeBatchError::Malformed("too many cells"))?;
        let columns =
            message.columns.into_iter().map(|c| Column::from_proto(c, rows)).collect::<Result<_, _>>()?;
        let mut times_us = message.time_dod_us;
        delta::undelta_of_delta(&mut times_us);
        Ok(Self { table, times_us, columns })
    }
}

impl Column {
    /// A column with a value in every row.
    pub fn dense(column_id: u32, values: Values) -> Self {
        Self { column_id, present: vec![true; values.len()], values }
    }

    fn to_proto(&self, rows: usize) -> Result<proto::Column, EncodeBatchError> {
        let present = self.present.iter().filter(|&&p| p).count();
        if self.present.len() != rows || present != self.values.len() {
            return Err(EncodeBatchError::Ragged(self.column_id));
        }
        let mut message = proto::Column {
            column_id: self.column_id,
            presence_runs: delta::presence_runs(&self.present),
            ..Default::default()
        };
        match &self.values {
            Values::Raw(v) => message.raw_delta = delta::delta(v),
            Values::Number(v) => message.number.clone_from(v),
            Values::Text(v) => message.text.clone_from(v),
        }
        Ok(message)
    }

    fn from_proto(message: proto::Column, rows: usize) -> Result<Self, DecodeBatchError> {
        let present = delta::presence(&message.presence_runs, rows)
            .ok_or(DecodeBatchError::Malformed("presence runs do not add up to the rows"))?;
        let values = match (message.raw_delta.is_empty(), message.number.is_empty(), message.text.is_empty())
        {
            (_, true, true) => {
                let mut raw = message.raw_delta;
                delta::undelta(&mut raw);
                Values::Raw(raw)
            }
            (true, false, true) => Values::Number(message.number),
            (true, true, false) => Values::Text(message.text),
            _ => return Err(DecodeBatchError::Malformed("column with values of two kinds")),
        };
        if present.iter().filter(|&&p| p).count() != values.len() {
            return Err(DecodeBatchError::Malformed("column without one value for each present row"));
        }
        Ok(Self { column_id: message.column_id, present, values })
    }
}

impl Gap {
    fn to_proto(&self) -> proto::Gap {
        proto::Gap {
            stream_id: self.stream_id.as_bytes().to_vec(),
            from_sequence: self.from_sequence,
            to_sequence: self.to_sequence,
            sample_count: self.sample_count,
            first_time_us: self.first_time.0,
            last_time_us: self.last_time.0,
            reason: self.reason.clone(),
        }
    }

    fn from_proto(message: proto::Gap) -> Result<Self, DecodeBatchError> {
        Ok(Self {
            stream_id: StreamId::from_slice(&message.stream_id)?,
            from_sequence: message.from_sequence,
            to_sequence: message.to_sequence,
            sample_count: message.sample_count,
            first_time: Timestamp(message.first_time_us),
            last_time: Timestamp(message.last_time_us),
            reason: message.reason,
        })
    }
}

impl Envelope {
    /// The payload of a telemetry message.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeBatchError> {
        let message = proto::SignedBatch { body: self.body.clone(), signature: self.signature.clone() };
        let bytes = message.encode_to_vec();
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(EncodeBatchError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Takes a payload apart.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeBatchError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(DecodeBatchError::PayloadTooLarge(payload.len()));
        }
        let message = proto::SignedBatch::decode(payload)
            .map_err(|source| DecodeBatchError::Protobuf { what: "envelope", source })?;
        Ok(Self { body: message.body, signature: message.signature })
    }
}
