//! Giving up one batch in the midst of a segment, because the cloud can never take it.
//!
//! The record stays where it is until its segment goes; a mark in the state says that it is
//! neither sent nor counted. The gap is noted before the mark: after a crash between the two
//! the gap alone says it. The mark outlives the gap's telling, since the segment may.

use wire::ids::StreamId;

use super::{DropReason, Lane, Segment, Spool, SpoolError, evict::gap_of};

impl Spool {
    /// Whether a batch was given up by [`Spool::reject`] while its segment is still there.
    pub(super) fn is_rejected(&self, stream_id: StreamId, sequence: u64) -> bool {
        self.state.rejected.contains(&(stream_id, sequence))
    }

    /// Gives up one waiting batch, counted and told as a gap of reason `rejected`; `false` when
    /// no such batch waits.
    pub fn reject(&mut self, stream_id: StreamId, sequence: u64) -> Result<bool, SpoolError> {
        let Some(position) = self.position(stream_id) else { return Ok(false) };
        let lane = position.lane;
        if sequence <= position.acked || self.is_rejected(stream_id, sequence) {
            return Ok(false);
        }
        let mut segments = self.lanes[lane.index()].iter_mut().filter(|s| s.header.stream_id == stream_id);
        let found = segments.find_map(|s| {
            let record = s.above(sequence - 1).next().filter(|(at, _)| *at == sequence).map(|(_, r)| *r)?;
            Some((s, record))
        });
        let Some((segment, record)) = found else { return Ok(false) };
        // What this batch would have told is to be told again.
        let (gone, kept) = segment.gap_ids.drain(..).partition(|(at, _)| *at == sequence);
        segment.gap_ids = kept;
        let gone: Vec<(u64, u64)> = gone;
        for (_, id) in gone {
            self.told.remove(&id);
        }
        self.counts.batches -= 1;
        self.counts.samples -= u64::from(record.samples);
        let reason = DropReason::Rejected;
        // As in an eviction, what a full disk does not take stands in memory.
        let gap = self.note_gap(gap_of(stream_id, sequence, &record, reason), reason);
        let mark = self.state.put_rejected(&mut self.storage, stream_id, sequence);
        drop(gap.and(mark).and_then(|()| self.state.sync(&mut self.storage)));
        self.pass_rejected_end(lane, stream_id)?;
        self.remove_acked(lane).map_err(SpoolError::State)?;
        Ok(true)
    }

    /// When nothing of a stream waits, its given-up end is passed like acknowledged batches: no
    /// ack will come for it, and the next batch says by itself that nothing older comes.
    pub(super) fn pass_rejected_end(&mut self, lane: Lane, stream_id: StreamId) -> Result<(), SpoolError> {
        let Some(position) = self.position(stream_id) else { return Ok(()) };
        let has_rejected_end = self.is_rejected(stream_id, position.last_sequence);
        if !has_rejected_end
            || position.acked >= position.last_sequence
            || self.oldest_waiting(lane, stream_id).is_some()
        {
            return Ok(());
        }
        if let Some(position) = self.state.streams.get_mut(&stream_id) {
            (position.acked, position.acked_time) = (position.last_sequence, position.last_time);
        }
        self.state.write_position(&mut self.storage, stream_id).map_err(SpoolError::State)
    }

    /// The marks of a segment go with it.
    pub(super) fn forget_rejected_in(&mut self, segment: &Segment) {
        let id = segment.header.stream_id;
        let range = segment.header.first_sequence..segment.end_sequence();
        self.state.rejected.retain(|(stream_id, sequence)| *stream_id != id || !range.contains(sequence));
    }
}
