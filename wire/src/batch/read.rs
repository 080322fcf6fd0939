//! From the bytes of a payload to the columns of its batch.

use std::cell::RefCell;

use zstd::bulk::Decompressor;

use super::{
    BATCH_VERSION, BODY_BYTES_MAX, Batch, CELL_COUNT_MAX, ClockState, Column, DecodeBatchError, Envelope,
    GROUP_COUNT_MAX, Gap, Group, PAYLOAD_BYTES_MAX, Presence, Table, Values,
};
use crate::{
    delta,
    fields::{FieldError, Fields},
    ids::{BootId, CatalogHash, StreamId},
    time::Timestamp,
};

thread_local! {
    /// Its making costs more than the reading of a batch.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

pub(super) fn envelope(payload: &[u8]) -> Result<Envelope<'_>, DecodeBatchError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(DecodeBatchError::PayloadTooLarge(payload.len()));
    }
    let read = || {
        let mut envelope = Envelope { body: &[], signature: &[] };
        for field in Fields::of(payload) {
            match field? {
                (1, body) => envelope.body = body.bytes()?,
                (2, signature) => envelope.signature = signature.bytes()?,
                _ => {}
            }
        }
        Ok(envelope)
    };
    read().map_err(|source| DecodeBatchError::Protobuf { what: "envelope", source })
}

pub(super) fn body(body: &[u8]) -> Result<Batch, DecodeBatchError> {
    let declared = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
    let capacity = declared.map_or(BODY_BYTES_MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if capacity > BODY_BYTES_MAX {
        return Err(DecodeBatchError::Decompress(std::io::Error::other("declared size over the limit")));
    }
    message(&decompress(body, capacity).map_err(DecodeBatchError::Decompress)?)
}

fn decompress(body: &[u8], capacity: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(decompressor) => decompressor.decompress(body, capacity),
        None => kept.insert(Decompressor::new()?).decompress(body, capacity),
    })
}

/// What a message holds, before it is known to be a batch.
#[derive(Default)]
struct Draft<'a> {
    version: u32,
    vehicle_id: &'a str,
    boot_id: &'a [u8],
    stream_id: &'a [u8],
    sequence: u64,
    oldest_sequence: u64,
    catalog_hash: &'a [u8],
    base_time_us: i64,
    monotonic_base_us: i64,
    groups: Vec<GroupDraft>,
    gaps: Vec<GapDraft<'a>>,
    clock: i32,
}

#[derive(Default)]
struct GroupDraft {
    table: i32,
    time_dod_us: Vec<i64>,
    columns: Vec<ColumnDraft>,
}

#[derive(Default)]
struct ColumnDraft {
    column_id: u32,
    presence_runs: Vec<u32>,
    raw_delta: Vec<i64>,
    number: Vec<f64>,
    text: Vec<String>,
}

#[derive(Default)]
struct GapDraft<'a> {
    stream_id: &'a [u8],
    from_sequence: u64,
    to_sequence: u64,
    sample_count: u64,
    first_time_us: i64,
    last_time_us: i64,
    reason: &'a str,
}

pub(super) fn message(bytes: &[u8]) -> Result<Batch, DecodeBatchError> {
    Draft::read(bytes).map_err(|source| DecodeBatchError::Protobuf { what: "batch", source })?.batch()
}

impl<'a> Draft<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut draft = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => draft.version = value.uint32()?,
                (2, value) => draft.vehicle_id = value.text()?,
                (3, value) => draft.boot_id = value.bytes()?,
                (4, value) => draft.stream_id = value.bytes()?,
                (5, value) => draft.sequence = value.uint64()?,
                (6, value) => draft.oldest_sequence = value.uint64()?,
                (7, value) => draft.catalog_hash = value.bytes()?,
                (8, value) => draft.base_time_us = value.sfixed64()?,
                (9, value) => draft.monotonic_base_us = value.sint64()?,
                (10, value) => draft.groups.push(GroupDraft::read(value.bytes()?)?),
                (11, value) => draft.gaps.push(GapDraft::read(value.bytes()?)?),
                (12, value) => draft.clock = value.int32()?,
                _ => {}
            }
        }
        Ok(draft)
    }

    fn batch(self) -> Result<Batch, DecodeBatchError> {
        if self.version != BATCH_VERSION {
            return Err(DecodeBatchError::Version(self.version));
        }
        if self.sequence == 0 || self.oldest_sequence == 0 {
            return Err(DecodeBatchError::Malformed("sequences start at 1"));
        }
        if self.oldest_sequence > self.sequence {
            return Err(DecodeBatchError::Malformed("oldest_sequence is above sequence"));
        }
        if self.groups.len() > GROUP_COUNT_MAX {
            return Err(DecodeBatchError::Malformed("too many groups"));
        }
        let mut cells_left = CELL_COUNT_MAX;
        let groups = self.groups.into_iter().map(|draft| draft.group(&mut cells_left));
        let groups = groups.collect::<Result<Vec<Group>, _>>()?;
        if groups.windows(2).any(|w| w[0].table != w[1].table) {
            return Err(DecodeBatchError::Malformed("groups for more than one table"));
        }
        Ok(Batch {
            vehicle_id: self.vehicle_id.parse()?,
            boot_id: BootId::from_slice(self.boot_id)?,
            stream_id: StreamId::from_slice(self.stream_id)?,
            sequence: self.sequence,
            oldest_sequence: self.oldest_sequence,
            catalog_hash: CatalogHash::from_slice(self.catalog_hash)?,
            base_time: Timestamp(self.base_time_us),
            monotonic_base_us: self.monotonic_base_us,
            groups,
            gaps: self.gaps.into_iter().map(GapDraft::gap).collect::<Result<_, _>>()?,
            clock: ClockState::from_proto(self.clock),
        })
    }
}

impl GroupDraft {
    fn read(bytes: &[u8]) -> Result<Self, FieldError> {
        let mut draft = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => draft.table = value.int32()?,
                (2, value) => value.sint64s(&mut draft.time_dod_us)?,
                (3, value) => draft.columns.push(ColumnDraft::read(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(draft)
    }

    fn group(self, cells_left: &mut usize) -> Result<Group, DecodeBatchError> {
        let table =
            Table::from_proto(self.table).ok_or(DecodeBatchError::Malformed("group for an unknown table"))?;
        let rows = self.time_dod_us.len();
        let cells = rows.saturating_mul(self.columns.len().max(1));
        *cells_left = cells_left.checked_sub(cells).ok_or(DecodeBatchError::Malformed("too many cells"))?;
        let columns = self.columns.into_iter().map(|draft| draft.column(rows)).collect::<Result<_, _>>()?;
        let mut times_us = self.time_dod_us;
        delta::undelta_of_delta(&mut times_us);
        Ok(Group { table, times_us, columns })
    }
}

impl ColumnDraft {
    fn read(bytes: &[u8]) -> Result<Self, FieldError> {
        let mut draft = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => draft.column_id = value.uint32()?,
                (2, value) => value.uint32s(&mut draft.presence_runs)?,
                (3, value) => value.sint64s(&mut draft.raw_delta)?,
                (4, value) => value.doubles(&mut draft.number)?,
                (5, value) => draft.text.push(value.text()?.to_owned()),
                _ => {}
            }
        }
        Ok(draft)
    }

    fn column(self, rows: usize) -> Result<Column, DecodeBatchError> {
        let present = Presence::from_runs(self.presence_runs, rows)
            .ok_or(DecodeBatchError::Malformed("presence runs do not add up to the rows"))?;
        let values = match (self.raw_delta.is_empty(), self.number.is_empty(), self.text.is_empty()) {
            (_, true, true) => {
                let mut raw = self.raw_delta;
                delta::undelta(&mut raw);
                Values::Raw(raw)
            }
            (true, false, true) => Values::Number(self.number),
            (true, true, false) => Values::Text(self.text),
            _ => return Err(DecodeBatchError::Malformed("column with values of two kinds")),
        };
        if present.count() != values.len() {
            return Err(DecodeBatchError::Malformed("column without one value for each present row"));
        }
        Ok(Column { column_id: self.column_id, present, values })
    }
}

impl<'a> GapDraft<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut draft = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => draft.stream_id = value.bytes()?,
                (2, value) => draft.from_sequence = value.uint64()?,
                (3, value) => draft.to_sequence = value.uint64()?,
                (4, value) => draft.sample_count = value.uint64()?,
                (5, value) => draft.first_time_us = value.sfixed64()?,
                (6, value) => draft.last_time_us = value.sfixed64()?,
                (7, value) => draft.reason = value.text()?,
                _ => {}
            }
        }
        Ok(draft)
    }

    fn gap(self) -> Result<Gap, DecodeBatchError> {
        Ok(Gap {
            stream_id: StreamId::from_slice(self.stream_id)?,
            from_sequence: self.from_sequence,
            to_sequence: self.to_sequence,
            sample_count: self.sample_count,
            first_time: Timestamp(self.first_time_us),
            last_time: Timestamp(self.last_time_us),
            reason: self.reason.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
