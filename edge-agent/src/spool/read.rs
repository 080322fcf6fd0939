//! Reading batches back in the order they are to be sent.

use std::collections::HashMap;

use wire::ids::StreamId;

use super::{
    CatchUp, DropReason, Lane, RecordMeta, Spool, SpoolError, Storage, StoredBatch,
    format::{FRAME_HEADER_BYTES, SegmentHeader, unframe},
    seal::Sealer,
};

/// Most bytes read from a segment at once.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// How far the reading of a segment went.
enum Reading {
    /// To its end, or to as many batches as were wanted.
    Done,
    /// To the most that is read at once: what follows comes before any later segment.
    Cut,
    /// To bytes that are not what was written.
    Corrupt,
}

impl Spool {
    /// The next batches to send, most valuable lane and oldest stream first: of each stream
    /// those above what is acknowledged and above what `sent` says.
    pub fn next_batches(
        &mut self,
        sent: &HashMap<StreamId, u64>,
        count_max: usize,
    ) -> Result<Vec<StoredBatch>, SpoolError> {
        let mut out = Vec::new();
        for (lane, i) in self.sending_order() {
            let room = count_max.saturating_sub(out.len());
            if room == 0 {
                return Ok(out);
            }
            match self.read_segment(lane, i, sent, room, &mut out)? {
                Reading::Done => {}
                Reading::Cut => return Ok(out),
                Reading::Corrupt => {
                    self.evict_at(lane, i, DropReason::Corrupt)?;
                    return Ok(out);
                }
            }
        }
        Ok(out)
    }

    /// Whether batches wait in lanes where that goes first after an outage.
    pub fn has_waiting(&self, catch_up: CatchUp) -> bool {
        let lanes = Lane::ALL.into_iter().filter(|lane| lane.catch_up(self.settings.catch_up) == catch_up);
        lanes.flat_map(|lane| &self.lanes[lane.index()]).any(|segment| {
            let acked = self.position(segment.header.stream_id).map_or(0, |p| p.acked);
            segment.above(acked).next().is_some()
        })
    }

    /// The segments in the order they are sent, by the value of their lanes: what is collected now
    /// where the latest goes first, what goes by age, and what waited where the latest goes first.
    fn sending_order(&self) -> Vec<(Lane, usize)> {
        let mut order = Vec::new();
        for lanes in Lane::ALL.chunk_by(|a, b| a.rank() == b.rank()) {
            let (mut by_age, mut waited) = (Vec::new(), Vec::new());
            for &lane in lanes {
                let segments = &self.lanes[lane.index()];
                let all = (0..segments.len()).map(|i| (lane, i));
                if lane.catch_up(self.settings.catch_up) == CatchUp::OldestFirst {
                    by_age.extend(all);
                    continue;
                }
                // Of one stream always the oldest first, as an ack covers a stream from its start.
                let stream = |i: &(Lane, usize)| segments[i.1].header.stream_id;
                let mut streams: Vec<StreamId> = Vec::new();
                for segment in segments.iter().rev() {
                    if !streams.contains(&segment.header.stream_id) {
                        streams.push(segment.header.stream_id);
                    }
                }
                for (age, id) in streams.into_iter().enumerate() {
                    let of_stream = all.clone().filter(|i| stream(i) == id);
                    if age == 0 { order.extend(of_stream) } else { waited.extend(of_stream) }
                }
            }
            order.append(&mut by_age);
            order.append(&mut waited);
        }
        order
    }

    /// Reads from one segment.
    fn read_segment(
        &mut self,
        lane: Lane,
        index: usize,
        sent: &HashMap<StreamId, u64>,
        room: usize,
        out: &mut Vec<StoredBatch>,
    ) -> Result<Reading, SpoolError> {
        let segment = &self.lanes[lane.index()][index];
        let stream_id = segment.header.stream_id;
        let acked = self.position(stream_id).map_or(0, |p| p.acked);
        let after = acked.max(sent.get(&stream_id).copied().unwrap_or(0));
        // Given-up batches in front are passed over: a read cut within them would yield nothing.
        let waiting = segment.above(after).skip_while(|(s, _)| self.is_rejected(stream_id, *s));
        let wanted: Vec<(u64, u64)> = waiting.take(room).map(|(s, r)| (s, r.offset)).collect();
        let (Some((_, start)), Some((last, _))) = (wanted.first().copied(), wanted.last().copied()) else {
            return Ok(Reading::Done);
        };
        let end = segment.above(last).next().map_or(segment.len, |(_, r)| r.offset);
        let end = end.min(start + READ_BYTES_MAX.max(FRAME_HEADER_BYTES as u64));
        let floor = self.oldest_waiting(lane, stream_id).filter(|oldest| *oldest > acked + 1);
        let (name, header) = (segment.name.clone(), segment.header);
        let len = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = self
            .storage
            .read_at(&name, start, len)
            .map_err(|source| SpoolError::Read { name: name.clone(), source })?;
        let is_cut_by_size = wanted.len() > 1;
        let mut rest = bytes.as_slice();
        for (i, (sequence, _)) in wanted.iter().enumerate() {
            let record = unframe(rest)
                .and_then(|(content, len)| Some((read_record(&header, content, self.sealer.as_ref())?, len)));
            match record {
                Some(((meta, body), len)) if meta.sequence == *sequence => {
                    rest = &rest[len..];
                    if self.is_rejected(stream_id, *sequence) {
                        continue;
                    }
                    out.push(StoredBatch { stream_id, meta, floor, body });
                }
                // The rest was beyond this read; the next call goes on there.
                _ if i > 0
                    && is_cut_by_size
                    && bytes.len() == len
                    && end < self.lanes[lane.index()][index].len =>
                {
                    return Ok(Reading::Cut);
                }
                _ => return Ok(Reading::Corrupt),
            }
        }
        Ok(Reading::Done)
    }
}

/// A record by the content of its frame, unsealed where its segment is sealed.
pub(super) fn read_record(
    header: &SegmentHeader,
    content: &[u8],
    sealer: Option<&Sealer>,
) -> Option<(RecordMeta, Vec<u8>)> {
    if header.key_id.is_some() {
        let opened = sealer?.open(&header.content(), content)?;
        return RecordMeta::decode(&opened).map(|(meta, body)| (meta, body.to_vec()));
    }
    RecordMeta::decode(content).map(|(meta, body)| (meta, body.to_vec()))
}
