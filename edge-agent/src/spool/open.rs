//! Opening a spool after whatever happened: reads every segment, cuts torn tails, drops what is
//! acknowledged or given up, and tells of holes.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
};

use wire::{batch::Gap, ids::StreamId, time::Timestamp};

use super::{
    DropReason, Record, Segment, Spool, SpoolCounts, SpoolError, SpoolSettings, StreamPosition, catalog_name,
    format::{NUMBER_MAX, SegmentHeader, unframe},
    read::read_record,
    seal::Sealer,
    state::State,
    storage::{Metered, Storage},
};

impl Spool {
    /// Opens the spool in `storage`.
    pub fn open(storage: Box<dyn Storage>, settings: SpoolSettings) -> Result<Self, SpoolError> {
        let mut storage = Metered::new(storage);
        let sealer = settings.key.as_ref().map(Sealer::new).transpose().map_err(SpoolError::Open)?;
        let state = State::open(&mut storage).map_err(SpoolError::Open)?;
        let mut spool = Self {
            storage,
            settings,
            sealer,
            state,
            lanes: Default::default(),
            told: std::collections::BTreeMap::new(),
            next_segment: 1,
            last_sync_us: 0,
            wear_unnoted_bytes: 0,
            counts: SpoolCounts::default(),
        };
        spool.read_segments()?;
        spool.reach_by_gaps();
        spool.mark_rejected();
        spool.drop_settled().map_err(SpoolError::Open)?;
        spool.tell_holes().map_err(SpoolError::Open)?;
        spool.count();
        spool.remove_unused_catalogs().map_err(SpoolError::Open)?;
        let lanes = &spool.lanes;
        spool.state.prune(|id| lanes.iter().flatten().any(|s| s.header.stream_id == id));
        spool.state.rewrite(&mut spool.storage).map_err(SpoolError::Open)?;
        Ok(spool)
    }

    fn read_segments(&mut self) -> Result<(), SpoolError> {
        let of_disk = SpoolError::Open;
        for (name, len) in self.storage.list().map_err(of_disk)? {
            let number = name.strip_suffix(".segment").and_then(|n| n.parse::<u64>().ok());
            // A name above is not one of ours: nothing could be numbered after it.
            let Some(number) = number.filter(|n| *n <= NUMBER_MAX) else {
                if name.ends_with(".new") {
                    self.storage.remove(&name).map_err(of_disk)?;
                }
                continue;
            };
            self.next_segment = self.next_segment.max(number + 1);
            let whole = usize::try_from(len).unwrap_or(usize::MAX);
            let bytes = self.storage.read_at(&name, 0, whole).map_err(of_disk)?;
            let Some(segment) = parse_segment(&name, &bytes, self.sealer.as_ref())? else {
                self.counts.torn_tails += 1;
                self.storage.remove(&name).map_err(of_disk)?;
                continue;
            };
            if segment.len < len {
                self.counts.torn_tails += 1;
                self.storage.truncate(&name, segment.len).map_err(of_disk)?;
            }
            let header = segment.header;
            let position =
                self.state.streams.entry(header.stream_id).or_insert(StreamPosition::start_of(header.lane));
            if let Some(last) = segment.records.last() {
                position.reach(segment.end_sequence() - 1, last.last_time);
            }
            self.lanes[header.lane.index()].push_back(segment);
        }
        Ok(())
    }

    /// A dropped sequence is used up.
    fn reach_by_gaps(&mut self) {
        for gap in self.state.gaps.values() {
            if let Some(position) = self.state.streams.get_mut(&gap.stream_id) {
                position.reach(gap.to_sequence, gap.last_time);
            }
        }
    }

    /// Marks the records a gap of reason `rejected` covers: the machine may have stopped before
    /// the mark was written. Marks without a segment go.
    fn mark_rejected(&mut self) {
        let reason = DropReason::Rejected.name();
        let gaps = self.state.gaps.values().filter(|g| g.reason == reason);
        let mut found = BTreeSet::new();
        for gap in gaps {
            for segment in self.lanes.iter().flatten().filter(|s| s.header.stream_id == gap.stream_id) {
                let last = gap.to_sequence.min(segment.end_sequence().saturating_sub(1));
                let first = gap.from_sequence.max(segment.header.first_sequence);
                found.extend((first..=last).map(|sequence| (gap.stream_id, sequence)));
            }
        }
        let mut rejected = std::mem::take(&mut self.state.rejected);
        rejected.retain(|(stream_id, sequence)| {
            self.lanes.iter().flatten().any(|s| {
                s.header.stream_id == *stream_id
                    && (s.header.first_sequence..s.end_sequence()).contains(sequence)
            })
        });
        rejected.append(&mut found);
        for segment in self.lanes.iter_mut().flatten() {
            let id = segment.header.stream_id;
            segment.gap_ids.retain(|(sequence, _)| !rejected.contains(&(id, *sequence)));
        }
        self.state.rejected = rejected;
    }

    /// Removes segments whose every batch is acknowledged or was given up just before a crash.
    fn drop_settled(&mut self) -> io::Result<()> {
        for lane in &mut self.lanes {
            let mut kept = VecDeque::new();
            for segment in lane.drain(..) {
                let stream_id = segment.header.stream_id;
                let acked = self.state.streams.get(&stream_id).map_or(0, |p| p.acked);
                let gaps = &self.state.gaps;
                let is_given_up = |sequence: u64| gaps.values().any(|g| covers(g, stream_id, sequence));
                let rejected = &self.state.rejected;
                let is_settled = segment
                    .above(acked)
                    .all(|(sequence, _)| is_given_up(sequence) || rejected.contains(&(stream_id, sequence)));
                if is_settled {
                    self.storage.remove(&segment.name)?;
                } else {
                    kept.push_back(segment);
                }
            }
            *lane = kept;
        }
        Ok(())
    }

    /// A hole before or between segments that no gap explains: the disk lost it.
    fn tell_holes(&mut self) -> io::Result<()> {
        let mut holes: Vec<(StreamId, u64, u64, Timestamp)> = Vec::new();
        for lane in &self.lanes {
            let mut reached: std::collections::HashMap<StreamId, u64> = std::collections::HashMap::new();
            for segment in lane {
                let id = segment.header.stream_id;
                let acked = self.state.streams.get(&id).map_or(0, |p| p.acked);
                let expected = reached.get(&id).copied().unwrap_or(0).max(acked + 1);
                let time = segment.records.first().map_or(Timestamp::default(), |r| r.first_time);
                let gaps = self.state.gaps.values().filter(|g| g.stream_id == id);
                for (from, to) in uncovered(gaps, expected, segment.header.first_sequence) {
                    holes.push((id, from, to, time));
                }
                reached.insert(id, segment.end_sequence());
            }
        }
        for (stream_id, from_sequence, to_sequence, time) in holes {
            let gap = Gap {
                stream_id,
                from_sequence,
                to_sequence,
                sample_count: 0,
                first_time: time,
                last_time: time,
                reason: DropReason::Corrupt.name().to_owned(),
            };
            self.note_gap(gap, DropReason::Corrupt)?;
        }
        Ok(())
    }

    fn count(&mut self) {
        for segment in self.lanes.iter().flatten() {
            let acked = self.state.streams.get(&segment.header.stream_id).map_or(0, |p| p.acked);
            self.counts.bytes += segment.len;
            let id = segment.header.stream_id;
            let rejected = &self.state.rejected;
            for (_, record) in segment.above(acked).filter(|(at, _)| !rejected.contains(&(id, *at))) {
                self.counts.batches += 1;
                self.counts.samples += u64::from(record.samples);
            }
            for (sequence, id) in &segment.gap_ids {
                if *sequence > acked && self.state.gaps.contains_key(id) {
                    self.told.insert(*id, (segment.header.stream_id, *sequence));
                } else {
                    // The ack that covered its telling is known; the forgetting was lost.
                    self.state.gaps.remove(id);
                }
            }
        }
    }

    fn remove_unused_catalogs(&mut self) -> io::Result<()> {
        let used: Vec<String> = self.catalog_hashes().into_iter().map(catalog_name).collect();
        for (name, _) in self.storage.list()? {
            if name.ends_with(".catalog") && !used.contains(&name) {
                self.storage.remove(&name)?;
            }
        }
        Ok(())
    }
}

/// The stretches of `[from, end)` that no gap covers, both ends included: by whole stretches, since
/// a damaged disk may tell of a hole too long to be counted through.
fn uncovered<'a>(gaps: impl Iterator<Item = &'a Gap>, from: u64, end: u64) -> Vec<(u64, u64)> {
    let mut covered: Vec<(u64, u64)> = gaps.map(|g| (g.from_sequence, g.to_sequence)).collect();
    covered.sort_unstable();
    let (mut next, mut out) = (from, Vec::new());
    for (low, high) in covered.into_iter().chain([(end, end)]) {
        let low = low.min(end);
        if next < low {
            out.push((next, low - 1));
        }
        next = next.max(high.saturating_add(1));
    }
    out
}

fn covers(gap: &Gap, stream_id: StreamId, sequence: u64) -> bool {
    gap.stream_id == stream_id && (gap.from_sequence..=gap.to_sequence).contains(&sequence)
}

/// Reads a segment up to its last whole record in order; `None` when it has no header.
fn parse_segment(name: &str, bytes: &[u8], sealer: Option<&Sealer>) -> Result<Option<Segment>, SpoolError> {
    let header = unframe(bytes).and_then(|(content, len)| Some((SegmentHeader::decode(content)?, len)));
    let Some((header, len)) = header else { return Ok(None) };
    // Without its key every record would look torn, and be cut away.
    if header.key_id.is_some() && header.key_id != sealer.map(Sealer::key_id) {
        return Err(SpoolError::Key { name: name.to_owned() });
    }
    let mut segment = Segment {
        name: name.to_owned(),
        header,
        len: len as u64,
        records: Vec::new(),
        gap_ids: Vec::new(),
        is_writable: false,
        is_dirty: false,
    };
    let mut rest = &bytes[len..];
    while let Some((content, len)) = unframe(rest) {
        let Some((meta, _)) = read_record(&header, content, sealer) else { break };
        if meta.sequence != segment.end_sequence() {
            break;
        }
        segment.records.push(Record {
            offset: segment.len,
            samples: meta.sample_count,
            first_time: meta.first_time,
            last_time: meta.last_time,
        });
        segment.gap_ids.extend(meta.gap_ids.iter().map(|id| (meta.sequence, *id)));
        segment.len += len as u64;
        rest = &rest[len..];
    }
    Ok(Some(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from_sequence: u64, to_sequence: u64) -> Gap {
        Gap {
            stream_id: StreamId(uuid::Uuid::nil()),
            from_sequence,
            to_sequence,
            sample_count: 0,
            first_time: Timestamp(0),
            last_time: Timestamp(0),
            reason: String::new(),
        }
    }

    #[test]
    fn a_hole_is_what_no_gap_covers_however_long_it_is() {
        let of = |gaps: &[Gap], from, end| uncovered(gaps.iter(), from, end);
        assert_eq!(of(&[], 1, 1), []);
        assert_eq!(of(&[], 1, 1 << 48), [(1, (1 << 48) - 1)]);
        assert_eq!(of(&[gap(3, 4), gap(8, 9), gap(4, 5)], 1, 12), [(1, 2), (6, 7), (10, 11)]);
        assert_eq!(of(&[gap(1, 20)], 5, 12), []);
        assert_eq!(of(&[gap(20, 30)], 5, 12), [(5, 11)]);
    }
}
