//! Letting go of what no ack covers: always counted, always told.

use wire::{batch::Gap, ids::StreamId};

use super::{DropReason, Lane, Record, Spool, SpoolError, Storage};

impl Spool {
    /// Makes room for a batch of `lane`: the oldest segment of the least valuable lanes that are
    /// not more valuable goes. `false` when there is none.
    pub(super) fn evict_for(&mut self, lane: Lane) -> Result<bool, SpoolError> {
        while let Some(candidate) = self.least_valuable(lane.rank()) {
            // A segment that was begun and took nothing makes no room worth trying again.
            let front = self.lanes[candidate.index()].front();
            let has_records = front.is_some_and(|segment| !segment.records.is_empty());
            self.evict(candidate, DropReason::SpoolFull)?;
            if has_records {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The lane whose oldest segment goes first, of those of a rank or below.
    fn least_valuable(&self, rank: usize) -> Option<Lane> {
        let fronts = Lane::ALL.into_iter().filter_map(|lane| Some((lane, self.lanes[lane.index()].front()?)));
        // Names rise from one segment to the next.
        fronts
            .filter(|(lane, _)| lane.rank() >= rank)
            .max_by_key(|(lane, front)| (lane.rank(), std::cmp::Reverse(front.name.clone())))
            .map(|(lane, _)| lane)
    }

    /// Gives up the oldest segment of a lane.
    pub(super) fn evict(&mut self, lane: Lane, reason: DropReason) -> Result<(), SpoolError> {
        self.evict_at(lane, 0, reason)
    }

    pub(super) fn evict_at(
        &mut self,
        lane: Lane,
        index: usize,
        reason: DropReason,
    ) -> Result<(), SpoolError> {
        let Some(segment) = self.lanes[lane.index()].remove(index) else { return Ok(()) };
        let stream_id = segment.header.stream_id;
        let acked = self.position(stream_id).map_or(0, |p| p.acked);
        let mut gaps: Vec<Gap> = Vec::new();
        for (sequence, record) in segment.above(acked) {
            if self.is_rejected(stream_id, sequence) {
                // It is in a gap of its own.
                continue;
            }
            self.counts.batches -= 1;
            self.counts.samples -= u64::from(record.samples);
            let of_record = gap_of(stream_id, sequence, record, reason);
            match gaps.last_mut() {
                Some(gap) if gap.to_sequence + 1 == sequence => *gap = joined(gap, &of_record),
                _ => gaps.push(of_record),
            }
        }
        // What these batches would have told is to be told again.
        for (_, id) in &segment.gap_ids {
            self.told.remove(id);
        }
        let noted = gaps.into_iter().try_for_each(|gap| self.note_gap(gap, reason));
        // The gap is durable before the data goes, unless the disk is so full that only the
        // data's going lets it be written: it stands in memory, and is written next time.
        drop(noted.and_then(|()| self.state.sync(&mut self.storage)));
        self.forget_rejected_in(&segment);
        self.counts.bytes -= segment.len;
        let removed = self.storage.remove(&segment.name);
        drop(self.state.sync(&mut self.storage));
        removed.map_err(SpoolError::State)
    }

    /// Counts and tells a batch that never got onto the disk.
    pub(super) fn drop_incoming(
        &mut self,
        stream_id: StreamId,
        sequence: u64,
        record: Record,
    ) -> Result<(), SpoolError> {
        let reason = DropReason::SpoolFull;
        // It stands in memory if the full disk does not take it; see `State::put_gap`.
        let noted = self.note_gap(gap_of(stream_id, sequence, &record, reason), reason);
        drop(noted.and_then(|()| self.state.sync(&mut self.storage)));
        Ok(())
    }

    /// Remembers a gap until a batch that tells it is acknowledged, joined to the one before
    /// it where they touch.
    pub(super) fn note_gap(&mut self, gap: Gap, reason: DropReason) -> std::io::Result<()> {
        self.counts.dropped_batches += gap.to_sequence + 1 - gap.from_sequence;
        if let Some(dropped) = self.counts.dropped_samples.get_mut(reason as usize) {
            *dropped += gap.sample_count;
        }
        let touching = self.state.gaps.iter().find(|(id, g)| {
            !self.told.contains_key(id)
                && g.stream_id == gap.stream_id
                && g.reason == gap.reason
                && g.to_sequence + 1 == gap.from_sequence
        });
        let (id, gap) = match touching {
            Some((id, before)) => (Some(*id), joined(before, &gap)),
            None => (None, gap),
        };
        self.state.put_gap(&mut self.storage, id, gap)
    }
}

pub(super) fn gap_of(stream_id: StreamId, sequence: u64, record: &Record, reason: DropReason) -> Gap {
    Gap {
        stream_id,
        from_sequence: sequence,
        to_sequence: sequence,
        sample_count: u64::from(record.samples),
        first_time: record.first_time,
        last_time: record.last_time,
        reason: reason.name().to_owned(),
    }
}

fn joined(before: &Gap, after: &Gap) -> Gap {
    Gap {
        to_sequence: after.to_sequence,
        sample_count: before.sample_count + after.sample_count,
        first_time: before.first_time.min(after.first_time),
        last_time: before.last_time.max(after.last_time),
        ..before.clone()
    }
}
