//! One batch of telemetry as bytes: columns, deltas, zstd, signature (design 3.2).
//!
//! Encoding is deterministic: equal batches make equal bytes. Decoding is total: any bytes make
//! a batch or a [`DecodeBatchError`], and no more memory is taken than the limits below allow
//! (a body of [`BODY_BYTES_MAX`], each byte at most one 8-byte value of a column).

mod presence;
mod read;

use prost::Message;

pub use self::presence::Presence;
pub use crate::fields::FieldError;
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
    /// Which rows have a sample, of as many as the group's times.
    pub present: Presence,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// zstd frame of a batch: what the signature is over.
    pub body: &'a [u8],
    /// Ed25519 signature, or empty.
    pub signature: &'a [u8],
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
        source: FieldError,
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
        read::body(body)
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
}

impl Column {
    /// A column with a value in every row.
    pub fn dense(column_id: u32, values: Values) -> Self {
        Self { column_id, present: Presence::all(values.len()), values }
    }

    fn to_proto(&self, rows: usize) -> Result<proto::Column, EncodeBatchError> {
        if self.present.rows() != rows || self.present.count() != self.values.len() {
            return Err(EncodeBatchError::Ragged(self.column_id));
        }
        let mut message = proto::Column {
            column_id: self.column_id,
            presence_runs: self.present.runs().to_vec(),
            ..Default::default()
        };
        match &self.values {
            Values::Raw(v) => message.raw_delta = delta::delta(v),
            Values::Number(v) => message.number.clone_from(v),
            Values::Text(v) => message.text.clone_from(v),
        }
        Ok(message)
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
}

impl<'a> Envelope<'a> {
    /// The payload of a telemetry message.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeBatchError> {
        let message = proto::SignedBatch { body: self.body.to_vec(), signature: self.signature.to_vec() };
        let bytes = message.encode_to_vec();
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(EncodeBatchError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Takes a payload apart.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeBatchError> {
        read::envelope(payload)
    }
}
