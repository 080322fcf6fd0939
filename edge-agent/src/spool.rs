//! The vehicle's disk log: what was collected waits here until a durable ack covers it.
//!
//! One *lane* a table, and of `signals` one for each priority and order that campaigns ask for; a
//! lane is a row of segment files, each of one stream with sequences rising by one, so a batch is
//! found by counting. [`Spool::append`] writes, [`Spool::next_batches`] reads by value and age,
//! [`Spool::ack`] lets go. When a
//! cap is reached or the disk is full, the oldest segment of the least valuable lane goes
//! first, is counted, and is told as a [`wire::batch::Gap`] in a later batch; gaps outlive a restart.
//!
//! After a crash: a torn tail is cut at the last whole record; a record the checksum refuses is
//! a gap of reason `corrupt`; an ack that was lost costs a resend. When full: *spill and shed*.

mod evict;
mod format;
mod open;
mod read;
mod reject;
mod seal;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod types;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
};

use wire::{
    ids::{CatalogHash, StreamId},
    time::Timestamp,
};

pub use format::RecordMeta;
use format::{FRAME_HEADER_BYTES, SegmentHeader, frame};
pub use seal::SpoolKey;
use seal::{SEAL_BYTES, Sealer};
use state::State;
pub use state::StreamPosition;
use storage::Metered;
pub use storage::{DiskStorage, OpenFolderError, Storage};
pub use types::{
    CatchUp, DropReason, Lane, NextBatch, Priority, SpoolCounts, SpoolError, SpoolSettings, StoredBatch,
    SyncPolicy,
};

/// Bytes written after which the state is told.
const WEAR_NOTE_BYTES: u64 = 1 << 20;
/// Most gaps told in one batch.
const GAPS_PER_BATCH_MAX: usize = 32;

#[derive(Debug, Clone, Copy)]
struct Record {
    offset: u64,
    samples: u32,
    first_time: Timestamp,
    last_time: Timestamp,
}

#[derive(Debug)]
struct Segment {
    name: String,
    header: SegmentHeader,
    len: u64,
    records: Vec<Record>,
    /// Which of its records tell which gap.
    gap_ids: Vec<(u64, u64)>,
    is_writable: bool,
    is_dirty: bool,
}

impl Segment {
    /// One past the last sequence in it.
    fn end_sequence(&self) -> u64 {
        self.header.first_sequence + self.records.len() as u64
    }

    /// Its records above `after`, with their sequences.
    fn above(&self, after: u64) -> impl Iterator<Item = (u64, &Record)> {
        let first = self.header.first_sequence;
        let skip = (after + 1).saturating_sub(first);
        self.records
            .iter()
            .enumerate()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .map(move |(i, record)| (first + i as u64, record))
    }
}

/// The disk log of one vehicle.
pub struct Spool {
    storage: Metered,
    settings: SpoolSettings,
    sealer: Option<Sealer>,
    state: State,
    lanes: [VecDeque<Segment>; Lane::COUNT],
    /// Gaps told by a batch that waits, by gap.
    told: BTreeMap<u64, (StreamId, u64)>,
    next_segment: u64,
    last_sync_us: i64,
    /// Bytes written that the state does not know of.
    wear_unnoted_bytes: u64,
    counts: SpoolCounts,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Spool {
    /// Its counts.
    pub fn counts(&self) -> SpoolCounts {
        self.counts
    }

    /// Its bounds.
    pub fn settings(&self) -> &SpoolSettings {
        &self.settings
    }

    /// The position of a stream, when there ever was one.
    pub fn position(&self, stream_id: StreamId) -> Option<StreamPosition> {
        self.state.streams.get(&stream_id).copied()
    }

    /// Time of the last sample a lane ever took, of any stream.
    pub fn last_time(&self, lane: Lane) -> Option<Timestamp> {
        let of_lane = self.state.streams.values().filter(|p| p.lane == lane && p.last_sequence > 0);
        of_lane.map(|p| p.last_time).max()
    }

    /// What the next batch of a stream must carry.
    pub fn next_batch(&self, lane: Lane, stream_id: StreamId) -> NextBatch {
        let position = self.position(stream_id).unwrap_or(StreamPosition::start_of(lane));
        let sequence = position.last_sequence + 1;
        let pending = self.state.gaps.iter().filter(|(id, _)| !self.told.contains_key(id));
        NextBatch {
            sequence,
            oldest_sequence: self.oldest_waiting(lane, stream_id).unwrap_or(sequence),
            gaps: pending.take(GAPS_PER_BATCH_MAX).map(|(id, gap)| (*id, gap.clone())).collect(),
        }
    }

    /// The lowest sequence of a stream that waits.
    fn oldest_waiting(&self, lane: Lane, stream_id: StreamId) -> Option<u64> {
        let acked = self.position(stream_id).map_or(0, |p| p.acked);
        let mut segments = self.lanes[lane.index()].iter().filter(|s| s.header.stream_id == stream_id);
        segments.find_map(|s| {
            s.above(acked)
                .map(|(sequence, _)| sequence)
                .find(|sequence| !self.is_rejected(stream_id, *sequence))
        })
    }

    /// Appends a batch. When there is no room for it even after older ones of its lane and of
    /// less valuable lanes went, it is dropped itself, counted and told.
    pub fn append(
        &mut self,
        lane: Lane,
        (stream_id, catalog_hash): (StreamId, CatalogHash),
        meta: &RecordMeta,
        body: &[u8],
        now_us: i64,
    ) -> Result<(), SpoolError> {
        let position = self.state.streams.entry(stream_id).or_insert(StreamPosition::start_of(lane));
        if meta.sequence != position.last_sequence + 1 {
            return Err(SpoolError::Order { given: meta.sequence, last: position.last_sequence });
        }
        position.reach(meta.sequence, meta.last_time);
        // From here on they are this batch's: making room for it must not make one of them longer
        // than it tells.
        for id in &meta.gap_ids {
            self.told.insert(*id, (stream_id, meta.sequence));
        }
        let content = meta.encode(body);
        let framed = content.len() + FRAME_HEADER_BYTES + if self.sealer.is_some() { SEAL_BYTES } else { 0 };
        loop {
            let is_over = self.counts.bytes + framed as u64 > self.settings.bytes_max;
            let result = if is_over {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            } else {
                self.write(lane, (stream_id, catalog_hash), meta, &content, now_us)
            };
            match result {
                Ok(()) => break,
                Err(e) if is_full(&e) => {
                    if !self.evict_for(lane)? {
                        self.take_back(&meta.gap_ids);
                        let record = Record {
                            offset: 0,
                            samples: meta.sample_count,
                            first_time: meta.first_time,
                            last_time: meta.last_time,
                        };
                        return self.drop_incoming(stream_id, meta.sequence, record);
                    }
                }
                Err(e) => {
                    self.take_back(&meta.gap_ids);
                    return Err(SpoolError::Append(e));
                }
            }
        }
        self.counts.batches += 1;
        self.counts.samples += u64::from(meta.sample_count);
        if self.settings.sync == SyncPolicy::Always {
            self.sync().map_err(SpoolError::Append)
        } else {
            Ok(())
        }
    }

    /// The batch that was to tell these gaps is not there: another one will.
    fn take_back(&mut self, gap_ids: &[u64]) {
        for id in gap_ids {
            self.told.remove(id);
        }
    }

    fn write(
        &mut self,
        lane: Lane,
        (stream_id, catalog_hash): (StreamId, CatalogHash),
        meta: &RecordMeta,
        content: &[u8],
        now_us: i64,
    ) -> io::Result<()> {
        let fits = self.lanes[lane.index()].back().is_some_and(|s| {
            s.is_writable
                && s.header.stream_id == stream_id
                && s.header.catalog_hash == catalog_hash
                && s.len < self.settings.segment_bytes
                && s.end_sequence() == meta.sequence
        });
        if !fits {
            self.begin_segment(lane, stream_id, catalog_hash, meta.sequence, now_us)?;
        }
        let Some(segment) = self.lanes[lane.index()].back_mut() else {
            return Err(io::Error::other("a segment was just begun"));
        };
        let bytes = match &self.sealer {
            Some(sealer) => frame(&sealer.seal(&segment.header.content(), content)?),
            None => frame(content),
        };
        if let Err(e) = self.storage.append(&segment.name, &bytes) {
            // Part of it may be there. If it cannot be cut off, a new segment follows and the
            // torn tail is found when the spool is opened.
            segment.is_writable = self.storage.truncate(&segment.name, segment.len).is_ok();
            return Err(e);
        }
        segment.records.push(Record {
            offset: segment.len,
            samples: meta.sample_count,
            first_time: meta.first_time,
            last_time: meta.last_time,
        });
        segment.gap_ids.extend(meta.gap_ids.iter().map(|id| (meta.sequence, *id)));
        segment.len += bytes.len() as u64;
        segment.is_dirty = true;
        self.counts.bytes += bytes.len() as u64;
        Ok(())
    }

    fn begin_segment(
        &mut self,
        lane: Lane,
        stream_id: StreamId,
        catalog_hash: CatalogHash,
        first_sequence: u64,
        now_us: i64,
    ) -> io::Result<()> {
        if self.settings.sync != SyncPolicy::Never {
            self.sync()?;
        }
        self.remove_acked(lane)?;
        let header = SegmentHeader {
            lane,
            stream_id,
            catalog_hash,
            first_sequence,
            created_us: now_us,
            key_id: self.sealer.as_ref().map(Sealer::key_id),
        };
        let name = format!("{:016}.segment", self.next_segment);
        let bytes = header.encode();
        let made = self.storage.create(&name).and_then(|()| self.storage.append(&name, &bytes));
        if let Err(e) = made {
            // A leftover is removed when the spool is opened, if not now.
            drop(self.storage.remove(&name));
            self.next_segment += 1;
            return Err(e);
        }
        self.next_segment += 1;
        self.counts.bytes += bytes.len() as u64;
        self.lanes[lane.index()].push_back(Segment {
            name,
            header,
            len: bytes.len() as u64,
            records: Vec::new(),
            gap_ids: Vec::new(),
            is_writable: true,
            is_dirty: true,
        });
        Ok(())
    }

    /// Forces everything appended to the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        for segment in self.lanes.iter_mut().flatten().filter(|s| s.is_dirty) {
            self.storage.sync(&segment.name)?;
            segment.is_dirty = false;
        }
        Ok(())
    }

    /// What time brings: the sync that is due, and segments past their age.
    pub fn maintain(&mut self, now_us: i64, monotonic_us: i64) -> Result<(), SpoolError> {
        self.maintain_moved(now_us, monotonic_us, &|_| 0)
    }

    /// The same where the clock that a stream's segments were begun by was wrong: `moved_us` says
    /// by how much.
    pub fn maintain_moved(
        &mut self,
        now_us: i64,
        monotonic_us: i64,
        moved_us: &dyn Fn(StreamId) -> i64,
    ) -> Result<(), SpoolError> {
        if let SyncPolicy::Interval(interval) = self.settings.sync
            && monotonic_us.saturating_sub(self.last_sync_us) >= service::clock::micros(interval)
        {
            self.last_sync_us = monotonic_us;
            self.sync().map_err(SpoolError::Append)?;
        }
        self.note_wear(now_us);
        let oldest_us = now_us.saturating_sub(service::clock::micros(self.settings.age_max));
        for lane in Lane::ALL {
            let began_us = |s: &Segment| s.header.created_us.saturating_add(moved_us(s.header.stream_id));
            while self.lanes[lane.index()].front().is_some_and(|s| began_us(s) < oldest_us) {
                self.evict(lane, DropReason::SpoolAge)?;
            }
        }
        Ok(())
    }

    /// Adds what was written to the day's wear. The state hears of it now and then, as telling it
    /// is wear itself: a crash may forget the last [`WEAR_NOTE_BYTES`].
    fn note_wear(&mut self, now_us: i64) {
        let bytes = self.storage.take_written();
        let day = Timestamp(now_us).utc_day();
        self.counts.written_today_bytes = self.state.add_wear(day, bytes);
        self.wear_unnoted_bytes += bytes;
        if self.wear_unnoted_bytes >= WEAR_NOTE_BYTES {
            self.wear_unnoted_bytes = 0;
            // What the disk does not take now goes with the next whole write.
            drop(self.state.write_wear(&mut self.storage, day));
        }
    }

    /// Bytes written by UTC day (days since 1970), for at most a month.
    pub fn wear(&self) -> BTreeMap<i32, u64> {
        self.state.wear.clone()
    }

    /// Lets go of every batch of a stream up to and including a sequence. Returns how many
    /// batches that were.
    pub fn ack(&mut self, stream_id: StreamId, up_to_sequence: u64) -> Result<u64, SpoolError> {
        let Some(position) = self.state.streams.get_mut(&stream_id) else { return Ok(0) };
        let (lane, before) = (position.lane, position.acked);
        let acked = up_to_sequence.min(position.last_sequence);
        if acked <= before {
            return Ok(0);
        }
        position.acked = acked;
        let rejected = &self.state.rejected;
        let (mut batches, mut samples, mut told) = (0, 0, Vec::new());
        for segment in self.lanes[lane.index()].iter().filter(|s| s.header.stream_id == stream_id) {
            for (sequence, record) in segment.above(before).take_while(|(sequence, _)| *sequence <= acked) {
                if !rejected.contains(&(stream_id, sequence)) {
                    batches += 1;
                    samples += u64::from(record.samples);
                }
                position.acked_time = record.last_time;
            }
            told.extend(
                segment.gap_ids.iter().filter(|(at, _)| *at > before && *at <= acked).map(|(_, id)| *id),
            );
        }
        self.counts.batches -= batches;
        self.counts.samples -= samples;
        self.counts.acked_batches += batches;
        self.counts.acked_samples += samples;
        self.state.write_position(&mut self.storage, stream_id).map_err(SpoolError::State)?;
        for id in told {
            self.told.remove(&id);
            self.state.forget_gap(&mut self.storage, id).map_err(SpoolError::State)?;
        }
        self.pass_rejected_end(lane, stream_id)?;
        self.remove_acked(lane).map_err(SpoolError::State)?;
        Ok(batches)
    }

    /// Removes the segments of a lane whose batches are all acknowledged, but the one being
    /// written.
    fn remove_acked(&mut self, lane: Lane) -> io::Result<()> {
        let streams = &self.state.streams;
        let is_done = |s: &Segment| {
            let acked = streams.get(&s.header.stream_id).map_or(0, |p| p.acked);
            s.end_sequence() <= acked + 1 && (!s.is_writable || s.len >= self.settings.segment_bytes)
        };
        if !self.lanes[lane.index()].iter().any(is_done) {
            return Ok(());
        }
        let (done, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.lanes[lane.index()]).into_iter().partition(is_done);
        self.lanes[lane.index()] = kept;
        // The acks must be durable before what they cover is gone.
        self.state.sync(&mut self.storage)?;
        for segment in done {
            self.forget_rejected_in(&segment);
            self.counts.bytes -= segment.len;
            self.storage.remove(&segment.name)?;
        }
        Ok(())
    }

    /// The catalogues the waiting batches are of.
    pub fn catalog_hashes(&self) -> Vec<CatalogHash> {
        let mut hashes: Vec<_> = self.lanes.iter().flatten().map(|s| s.header.catalog_hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// Keeps an encoded catalogue as long as batches of it wait.
    pub fn put_catalog(&mut self, hash: CatalogHash, encoded: &[u8]) -> Result<(), SpoolError> {
        self.storage.replace(&catalog_name(hash), encoded).map_err(SpoolError::Append)
    }

    /// An encoded catalogue kept before.
    pub fn catalog(&mut self, hash: CatalogHash) -> Option<Vec<u8>> {
        let bytes = self.storage.read_at(&catalog_name(hash), 0, wire::catalog::CATALOG_BYTES_MAX).ok()?;
        (wire::catalog::hash_of(&bytes) == hash).then_some(bytes)
    }
}

fn catalog_name(hash: CatalogHash) -> String {
    format!("{hash}.catalog")
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
