//! What a spool remembers beside its segments: acknowledgements, stream positions and gaps.
//!
//! One small log of framed entries, rewritten when it has grown. An acknowledgement is not
//! synced (losing one costs a resend); gaps and positions are, before a segment goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use wire::{batch::Gap, ids::StreamId, time::Timestamp};

use super::{
    Lane,
    format::{Fields, decode_gap, encode_gap, frame, unframe},
    storage::Storage,
};

const NAME: &str = "state";
const REWRITE_BYTES: u64 = 64 * 1024;
/// Days whose wear is remembered.
const WEAR_DAY_COUNT_MAX: usize = 31;
/// Streams without a batch on disk whose position is still remembered.
const QUIET_STREAM_COUNT_MAX: usize = 64;

/// The position of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPosition {
    /// Its lane.
    pub lane: Lane,
    /// Everything up to here is acknowledged; 0 when nothing is.
    pub acked: u64,
    /// Time of the last sample acknowledged.
    pub acked_time: Timestamp,
    /// The highest sequence used; after a restart, of what the disk kept or a gap told of.
    pub last_sequence: u64,
    /// Time of the last sample in it.
    pub last_time: Timestamp,
    /// The highest sequence of the gaps that were told for good, with the time of its last sample:
    /// used up, though nothing else on the disk may say so.
    pub(super) given_up: (u64, Timestamp),
}

impl StreamPosition {
    /// Of a stream with nothing in it.
    pub(super) fn start_of(lane: Lane) -> Self {
        let never = Timestamp(i64::MIN);
        Self { lane, acked: 0, acked_time: never, last_sequence: 0, last_time: never, given_up: (0, never) }
    }

    /// Notes that a sequence was told to be lost.
    fn give_up(&mut self, sequence: u64, time: Timestamp) {
        if sequence > self.given_up.0 {
            self.given_up = (sequence, time);
        }
        self.reach(sequence, time);
    }

    /// Notes that the stream reaches at least so far.
    pub(super) fn reach(&mut self, sequence: u64, time: Timestamp) {
        if sequence > self.last_sequence {
            (self.last_sequence, self.last_time) = (sequence, time);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) streams: BTreeMap<StreamId, StreamPosition>,
    pub(super) gaps: BTreeMap<u64, Gap>,
    /// Batches still in a segment that the cloud can never take; each is part of a gap.
    pub(super) rejected: BTreeSet<(StreamId, u64)>,
    pub(super) next_gap_id: u64,
    /// Bytes written by UTC day.
    pub(super) wear: BTreeMap<i32, u64>,
    log_bytes: u64,
    /// Entries the log lacks because a write failed: the next write is a whole one.
    is_log_behind: bool,
}

impl State {
    /// Reads the log up to its last whole entry; the caller rewrites it clean.
    pub(super) fn open(storage: &mut dyn Storage) -> io::Result<Self> {
        let mut state = Self { next_gap_id: 1, ..Self::default() };
        let files = storage.list()?;
        if let Some((_, len)) = files.iter().find(|(name, _)| name == NAME) {
            let bytes = storage.read_at(NAME, 0, usize::try_from(*len).unwrap_or(usize::MAX))?;
            let mut rest = bytes.as_slice();
            while let Some((content, len)) = unframe(rest) {
                state.apply(content);
                rest = &rest[len..];
            }
        }
        Ok(state)
    }

    fn apply(&mut self, content: &[u8]) -> Option<()> {
        let mut f = Fields(content);
        match f.u8()? {
            b'P' => {
                let stream_id = f.stream()?;
                let lane = Lane::from_code(f.u8()?)?;
                let (acked, acked_time) = (f.number()?, Timestamp(f.i64()?));
                let mut position = StreamPosition { acked, acked_time, ..StreamPosition::start_of(lane) };
                position.reach(acked, acked_time);
                if let (Some(sequence), Some(time)) = (f.number(), f.i64()) {
                    position.give_up(sequence, Timestamp(time));
                }
                self.streams.insert(stream_id, position);
            }
            b'G' => {
                let (id, gap) = (f.number()?, decode_gap(f.0)?);
                self.next_gap_id = self.next_gap_id.max(id + 1);
                self.gaps.insert(id, gap);
            }
            b'F' => {
                self.gaps.remove(&f.number()?);
            }
            b'R' => {
                let stream_id = f.stream()?;
                self.rejected.insert((stream_id, f.sequence()?));
            }
            b'W' => {
                let (day, bytes) = (f.i64()?, f.u64()?);
                self.wear.insert(i32::try_from(day).ok()?, bytes);
            }
            b'N' => self.next_gap_id = self.next_gap_id.max(f.number()?),
            _ => {}
        }
        Some(())
    }

    fn position_entry(stream_id: StreamId, position: &StreamPosition) -> Vec<u8> {
        let mut out = vec![b'P'];
        out.extend_from_slice(stream_id.as_bytes());
        out.push(position.lane.code());
        out.extend_from_slice(&position.acked.to_le_bytes());
        out.extend_from_slice(&position.acked_time.0.to_le_bytes());
        out.extend_from_slice(&position.given_up.0.to_le_bytes());
        out.extend_from_slice(&position.given_up.1.0.to_le_bytes());
        frame(&out)
    }

    fn gap_entry(id: u64, gap: &Gap) -> Vec<u8> {
        let mut out = vec![b'G'];
        out.extend_from_slice(&id.to_le_bytes());
        encode_gap(gap, &mut out);
        frame(&out)
    }

    fn numbered_entry(kind: u8, number: u64) -> Vec<u8> {
        let mut out = vec![kind];
        out.extend_from_slice(&number.to_le_bytes());
        frame(&out)
    }

    fn rejected_entry(stream_id: StreamId, sequence: u64) -> Vec<u8> {
        let mut out = vec![b'R'];
        out.extend_from_slice(stream_id.as_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        frame(&out)
    }

    fn wear_entry(day: i32, bytes: u64) -> Vec<u8> {
        let mut out = vec![b'W'];
        out.extend_from_slice(&i64::from(day).to_le_bytes());
        out.extend_from_slice(&bytes.to_le_bytes());
        frame(&out)
    }

    /// Adds bytes written on a day; returns the day's.
    pub(super) fn add_wear(&mut self, day: i32, bytes: u64) -> u64 {
        let of_day = self.wear.entry(day).or_default();
        *of_day += bytes;
        let total = *of_day;
        while self.wear.len() > WEAR_DAY_COUNT_MAX {
            self.wear.pop_first();
        }
        total
    }

    /// Notes a day's wear as it stands in memory.
    pub(super) fn write_wear(&mut self, storage: &mut dyn Storage, day: i32) -> io::Result<()> {
        let bytes = self.wear.get(&day).copied().unwrap_or(0);
        self.write(storage, &Self::wear_entry(day, bytes))
    }

    /// Remembers that a batch in a segment is given up alone. In memory it stands whether or not
    /// the write does.
    pub(super) fn put_rejected(
        &mut self,
        storage: &mut dyn Storage,
        stream_id: StreamId,
        sequence: u64,
    ) -> io::Result<()> {
        self.rejected.insert((stream_id, sequence));
        self.write(storage, &Self::rejected_entry(stream_id, sequence))
    }

    /// Notes the position of a stream as it stands in memory.
    pub(super) fn write_position(
        &mut self,
        storage: &mut dyn Storage,
        stream_id: StreamId,
    ) -> io::Result<()> {
        match self.streams.get(&stream_id) {
            Some(position) => {
                let entry = Self::position_entry(stream_id, position);
                self.write(storage, &entry)
            }
            None => Ok(()),
        }
    }

    /// Remembers a gap: under a new number, or as the longer form of `id`. In memory it stands
    /// whether or not the write does. The stream's position goes with it: a gap may be all that is
    /// left of a stream, and whose lane it is in no gap says.
    pub(super) fn put_gap(&mut self, storage: &mut dyn Storage, id: Option<u64>, gap: Gap) -> io::Result<()> {
        let id = id.unwrap_or(self.next_gap_id);
        self.next_gap_id = self.next_gap_id.max(id + 1);
        let position = self.streams.get(&gap.stream_id);
        let mut entries = position.map_or_else(Vec::new, |p| Self::position_entry(gap.stream_id, p));
        entries.extend(Self::gap_entry(id, &gap));
        self.gaps.insert(id, gap);
        self.write(storage, &entries)
    }

    /// Forgets a gap that has been told for good. Its sequences stay used up, also where nothing
    /// else on the disk says so: what took one of them again would be a duplicate to the cloud.
    pub(super) fn forget_gap(&mut self, storage: &mut dyn Storage, id: u64) -> io::Result<()> {
        match self.gaps.remove(&id) {
            Some(gap) => {
                if let Some(position) = self.streams.get_mut(&gap.stream_id) {
                    position.give_up(gap.to_sequence, gap.last_time);
                }
                self.write_position(storage, gap.stream_id)?;
                self.write(storage, &Self::numbered_entry(b'F', id))
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, storage: &mut dyn Storage, entry: &[u8]) -> io::Result<()> {
        if self.is_log_behind || self.log_bytes >= REWRITE_BYTES {
            return self.rewrite(storage);
        }
        match storage.append(NAME, entry) {
            Ok(()) => {
                self.log_bytes += entry.len() as u64;
                Ok(())
            }
            Err(e) => {
                self.is_log_behind = true;
                Err(e)
            }
        }
    }

    /// Makes everything noted durable.
    pub(super) fn sync(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        if self.is_log_behind { self.rewrite(storage) } else { storage.sync(NAME) }
    }

    /// Writes the whole state anew, atomically.
    pub(super) fn rewrite(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        let mut out = Self::numbered_entry(b'N', self.next_gap_id);
        for (stream_id, position) in &self.streams {
            out.extend(Self::position_entry(*stream_id, position));
        }
        for (id, gap) in &self.gaps {
            out.extend(Self::gap_entry(*id, gap));
        }
        for (stream_id, sequence) in &self.rejected {
            out.extend(Self::rejected_entry(*stream_id, *sequence));
        }
        for (day, bytes) in &self.wear {
            out.extend(Self::wear_entry(*day, *bytes));
        }
        self.is_log_behind = true;
        storage.replace(NAME, &out)?;
        self.is_log_behind = false;
        self.log_bytes = 0;
        Ok(())
    }

    /// Forgets the oldest streams that have nothing on disk, beyond a bound.
    pub(super) fn prune(&mut self, has_segment: impl Fn(StreamId) -> bool) {
        let mut quiet: Vec<(Timestamp, StreamId)> = self
            .streams
            .iter()
            .filter(|(id, _)| !has_segment(**id))
            .map(|(id, position)| (position.last_time, *id))
            .collect();
        quiet.sort();
        let excess = quiet.len().saturating_sub(QUIET_STREAM_COUNT_MAX);
        for (_, id) in quiet.into_iter().take(excess) {
            self.streams.remove(&id);
        }
    }
}
