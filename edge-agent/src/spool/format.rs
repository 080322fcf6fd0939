//! The bytes of a spool's files: framed records, segment headers, batch records.
//!
//! Every file is a run of frames `[length u32][crc32 u32][content]`, little-endian. A frame that
//! is cut short or does not match its checksum ends the readable part of the file.

use wire::{
    batch::Gap,
    ids::{CatalogHash, StreamId},
    time::Timestamp,
};

use super::{Lane, seal::KeyId};

/// Bytes of a frame beside its content.
pub(super) const FRAME_HEADER_BYTES: usize = 8;
/// Longest content of a frame: a batch and its fields.
const CONTENT_BYTES_MAX: usize = 1024 * 1024;
/// A segment of plain records.
const MAGIC_PLAIN: &[u8; 4] = b"RLS1";
/// A segment of sealed records; the id of their key ends its header.
const MAGIC_SEALED: &[u8; 4] = b"RLS2";

/// Frames `content`.
pub(super) fn frame(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + content.len());
    out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    out.extend_from_slice(content);
    out
}

/// The frame at the start of `bytes`: its content and its whole length.
pub(super) fn unframe(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut fields = Fields(bytes);
    let (len, crc) = (fields.u32()? as usize, fields.u32()?);
    // Nothing is written empty: sectors of zeros, as a crash leaves them, are no frames.
    if len == 0 || len > CONTENT_BYTES_MAX {
        return None;
    }
    let content = fields.take(len)?;
    (crc32fast::hash(content) == crc).then_some((content, FRAME_HEADER_BYTES + len))
}

/// The highest sequence, gap number or count that is believed when read from a disk: no unit lives
/// long enough to reach it, and sums of such numbers do not overflow.
pub(super) const NUMBER_MAX: u64 = 1 << 48;

/// Reads fixed fields from the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    /// A sequence, a gap's number or a count.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.u64().filter(|n| *n <= NUMBER_MAX)
    }
    /// A sequence of a batch, from 1.
    pub(super) fn sequence(&mut self) -> Option<u64> {
        self.number().filter(|n| *n > 0)
    }
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
    pub(super) fn stream(&mut self) -> Option<StreamId> {
        StreamId::from_slice(self.take(16)?).ok()
    }
}

/// The first frame of a segment: what all its batches share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) lane: Lane,
    pub(super) stream_id: StreamId,
    pub(super) catalog_hash: CatalogHash,
    /// Sequence of its first record; the rest follow by one.
    pub(super) first_sequence: u64,
    /// Wall clock when it was begun.
    pub(super) created_us: i64,
    /// The key its records are sealed by, when they are.
    pub(super) key_id: Option<KeyId>,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        frame(&self.content())
    }

    /// Its bytes, which are authenticated with every sealed record.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut out = if self.key_id.is_some() { MAGIC_SEALED } else { MAGIC_PLAIN }.to_vec();
        out.push(self.lane.code());
        out.extend_from_slice(self.stream_id.as_bytes());
        out.extend_from_slice(self.catalog_hash.as_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.created_us.to_le_bytes());
        out.extend(self.key_id.into_iter().flatten());
        out
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut f = Fields(content);
        let is_sealed = match f.take(4)? {
            magic if magic == MAGIC_PLAIN => false,
            magic if magic == MAGIC_SEALED => true,
            _ => return None,
        };
        Some(Self {
            lane: Lane::from_code(f.u8()?)?,
            stream_id: f.stream()?,
            catalog_hash: CatalogHash::from_slice(f.take(16)?).ok()?,
            first_sequence: f.sequence()?,
            created_us: f.i64()?,
            key_id: if is_sealed { Some(f.array()?) } else { None },
        })
    }
}

/// What is kept beside a batch's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMeta {
    /// Its place in the stream.
    pub sequence: u64,
    /// The `oldest_sequence` written in the body.
    pub oldest_sequence: u64,
    /// Time of its first sample.
    pub first_time: Timestamp,
    /// Time of its last sample.
    pub last_time: Timestamp,
    /// Values in it.
    pub sample_count: u32,
    /// The gaps it tells of, by the spool's own numbers.
    pub gap_ids: Vec<u64>,
}

impl RecordMeta {
    /// The content of its frame.
    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + body.len());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.oldest_sequence.to_le_bytes());
        out.extend_from_slice(&self.first_time.0.to_le_bytes());
        out.extend_from_slice(&self.last_time.0.to_le_bytes());
        out.extend_from_slice(&self.sample_count.to_le_bytes());
        out.push(u8::try_from(self.gap_ids.len()).unwrap_or(u8::MAX));
        for id in self.gap_ids.iter().take(usize::from(u8::MAX)) {
            out.extend_from_slice(&id.to_le_bytes());
        }
        out.extend_from_slice(body);
        out
    }

    pub(super) fn decode(content: &[u8]) -> Option<(Self, &[u8])> {
        let mut f = Fields(content);
        let (sequence, oldest_sequence) = (f.sequence()?, f.number()?);
        let (first_time, last_time) = (Timestamp(f.i64()?), Timestamp(f.i64()?));
        let sample_count = f.u32()?;
        let gap_ids = (0..f.u8()?).map(|_| f.number()).collect::<Option<_>>()?;
        Some((Self { sequence, oldest_sequence, first_time, last_time, sample_count, gap_ids }, f.0))
    }
}

pub(super) fn encode_gap(gap: &Gap, out: &mut Vec<u8>) {
    out.extend_from_slice(gap.stream_id.as_bytes());
    for value in [gap.from_sequence, gap.to_sequence, gap.sample_count] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&gap.first_time.0.to_le_bytes());
    out.extend_from_slice(&gap.last_time.0.to_le_bytes());
    out.extend_from_slice(gap.reason.as_bytes());
}

pub(super) fn decode_gap(bytes: &[u8]) -> Option<Gap> {
    let mut f = Fields(bytes);
    let gap = Gap {
        stream_id: f.stream()?,
        from_sequence: f.sequence()?,
        to_sequence: f.sequence()?,
        sample_count: f.number()?,
        first_time: Timestamp(f.i64()?),
        last_time: Timestamp(f.i64()?),
        reason: String::from_utf8(f.0.to_vec()).ok()?,
    };
    (gap.from_sequence <= gap.to_sequence).then_some(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_unit_reaches_are_not_believed() {
        let id = StreamId(uuid::Uuid::nil());
        let header = |first_sequence| {
            let catalog_hash = CatalogHash(uuid::Uuid::nil());
            let header = SegmentHeader {
                lane: Lane::SIGNALS,
                stream_id: id,
                catalog_hash,
                first_sequence,
                created_us: 0,
                key_id: None,
            };
            let bytes = header.encode();
            unframe(&bytes).and_then(|(content, _)| SegmentHeader::decode(content))
        };
        assert!(header(1).is_some() && header(NUMBER_MAX).is_some());
        assert!(header(0).is_none() && header(NUMBER_MAX + 1).is_none() && header(u64::MAX).is_none());

        let gap = |from_sequence, to_sequence, sample_count| {
            let mut bytes = Vec::new();
            let (first_time, last_time) = (Timestamp(0), Timestamp(0));
            let reason = "corrupt".to_owned();
            let gap = Gap {
                stream_id: id,
                from_sequence,
                to_sequence,
                sample_count,
                first_time,
                last_time,
                reason,
            };
            encode_gap(&gap, &mut bytes);
            decode_gap(&bytes)
        };
        assert!(gap(1, 1, 0).is_some());
        assert!(gap(2, 1, 0).is_none() && gap(1, u64::MAX, 0).is_none() && gap(1, 1, u64::MAX).is_none());
    }
}
