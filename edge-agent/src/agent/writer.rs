//! From the content of a batch to a record in the spool.

use std::sync::{Arc, atomic::Ordering};

use service::{SharedClock, logs::chain};
use tracing::error;
use wire::{
    batch::{Batch, ClockState, EncodeBatchError, Gap},
    ids::{BootId, CatalogHash, StreamId, VehicleId},
};

use super::shared::{Shared, add};
use crate::{
    clock::keeper::{Era, Sending, TimeKeeper},
    collect::Cut,
    metrics,
    spool::{CatchUp, DropReason, Lane, RecordMeta, SpoolError},
};

/// Who makes the batches.
pub(super) struct Identity {
    pub(super) vehicle_id: VehicleId,
    pub(super) boot_id: BootId,
    pub(super) catalog_hash: CatalogHash,
}

/// The streams of the lanes, by [`Lane::ALL`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Streams {
    /// New at each start.
    Live([StreamId; Lane::COUNT]),
    /// The same at each replay: what the spool has had already is made again, and not kept.
    Recorded([StreamId; Lane::COUNT]),
}

/// Why a batch could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("cannot append to the spool")]
    Spool(#[from] SpoolError),
}

/// Writes the batches of one agent.
pub(super) struct BatchWriter {
    identity: Identity,
    streams: Streams,
    /// Sequences made so far, by lane.
    made: [u64; Lane::COUNT],
    /// Sequences the spool has had before this start, by lane.
    had: [u64; Lane::COUNT],
    dropped_told: [u64; DropReason::COUNT],
    /// The epoch its streams are of.
    epoch: u64,
    shared: Arc<Shared>,
    clock: SharedClock,
    /// Of live sources; times of the others are known.
    time: Option<Arc<TimeKeeper>>,
    /// Of the samples that come.
    era: Option<Era>,
}

impl BatchWriter {
    pub(super) fn new(
        identity: Identity,
        streams: Streams,
        shared: Arc<Shared>,
        (clock, time): (SharedClock, Option<Arc<TimeKeeper>>),
    ) -> Self {
        let had = match streams {
            Streams::Live(_) => [0; Lane::COUNT],
            Streams::Recorded(ids) => {
                ids.map(|id| shared.spool().position(id).map_or(0, |p| p.last_sequence))
            }
        };
        Self {
            identity,
            streams,
            made: [0; Lane::COUNT],
            had,
            dropped_told: [0; DropReason::COUNT],
            epoch: 0,
            shared,
            clock,
            era: time.as_ref().map(|time| time.era()),
            time,
        }
    }

    /// Times of what is written from now on are of this era.
    pub(super) fn set_era(&mut self, era: Era) {
        self.era = Some(era);
    }

    /// Batches are of this encoded catalogue from now on.
    pub(super) fn change_catalog(&mut self, encoded: &[u8]) -> Result<CatalogHash, WriteError> {
        let hash = wire::catalog::hash_of(encoded);
        self.shared.spool().put_catalog(hash, encoded)?;
        self.identity.catalog_hash = hash;
        Ok(hash)
    }

    /// Appends the cuts to the spool, in order.
    pub(super) fn write(&mut self, cuts: &mut Vec<Cut>) -> Result<(), WriteError> {
        if cuts.is_empty() {
            return Ok(());
        }
        for cut in cuts.drain(..) {
            self.write_one(cut)?;
        }
        self.tell_dropped();
        self.shared.appended.notify_one();
        Ok(())
    }

    fn write_one(&mut self, cut: Cut) -> Result<(), WriteError> {
        let lane = cut.lane;
        self.begin_streams_if_asked();
        let (Streams::Live(ids) | Streams::Recorded(ids)) = self.streams;
        let stream_id = ids[lane.index()];
        self.made[lane.index()] += 1;
        if self.made[lane.index()] <= self.had[lane.index()] {
            return Ok(());
        }
        let (last_time, samples) = (cut.last_time, cut.sample_count);
        let (clock, monotonic_base_us, now_us) = match (&self.time, self.era) {
            (Some(time), Some(era)) => (era.clock, era.since_boot_us(cut.base_time), time.now().0),
            _ => (ClockState::Synchronized, self.clock.monotonic_us(), self.clock.now_us()),
        };
        // Only this thread appends, so what is read here still holds below.
        let next = self.shared.spool().next_batch(lane, stream_id);
        let batch = Batch {
            vehicle_id: self.identity.vehicle_id.clone(),
            boot_id: self.identity.boot_id,
            stream_id,
            sequence: next.sequence,
            oldest_sequence: next.oldest_sequence,
            catalog_hash: self.identity.catalog_hash,
            base_time: cut.base_time,
            monotonic_base_us,
            groups: cut.groups,
            gaps: next.gaps.iter().map(|(_, gap)| self.dated(gap.clone())).collect(),
            clock,
        };
        let body = match batch.encode_body() {
            Ok(body) => body,
            Err(error) => {
                self.refuse(lane, &error);
                return Ok(());
            }
        };
        let meta = RecordMeta {
            sequence: next.sequence,
            oldest_sequence: next.oldest_sequence,
            first_time: cut.base_time,
            last_time,
            sample_count: u32::try_from(samples).unwrap_or(u32::MAX),
            gap_ids: next.gaps.iter().map(|(id, _)| *id).collect(),
        };
        {
            let mut spool = self.shared.spool();
            spool.append(lane, (stream_id, self.identity.catalog_hash), &meta, &body, now_us)?;
            // Under the lock, so that no snapshot sees a sample waiting and not collected.
            add(&self.shared.counters.samples_collected[lane.index()], samples);
        }
        add(&self.shared.counters.batches_spooled, 1);
        metrics::spooled(lane, samples);
        Ok(())
    }

    /// After an outage, where the latest goes first: what is collected now need not wait for the
    /// acks of what waited.
    fn begin_streams_if_asked(&mut self) {
        let epoch = self.shared.counters.stream_epoch.load(Ordering::Relaxed);
        if epoch != self.epoch {
            self.epoch = epoch;
            let other = self.shared.spool().settings().catch_up;
            self.begin_streams_of(|lane| lane.catch_up(other) == CatchUp::LatestFirst);
        }
    }

    /// What follows is in streams of its own. A recorded log's streams are given and stay.
    pub(super) fn begin_streams(&mut self) {
        self.begin_streams_of(|_| true);
    }

    fn begin_streams_of(&mut self, is_meant: impl Fn(Lane) -> bool) {
        if let Streams::Live(ids) = &mut self.streams {
            let mut begun = Vec::new();
            for lane in Lane::ALL.into_iter().filter(|lane| is_meant(*lane)) {
                let id = StreamId(uuid::Uuid::new_v4());
                ids[lane.index()] = id;
                begun.push(id);
            }
            if let Some(time) = &self.time {
                time.enroll(&begun);
            }
        }
    }

    /// A gap, its times set right where they were not known and now are.
    fn dated(&self, mut gap: Gap) -> Gap {
        if let Some(Sending::Moved(us)) = self.time.as_ref().map(|time| time.sending(gap.stream_id)) {
            (gap.first_time, gap.last_time) = (gap.first_time.plus_us(us), gap.last_time.plus_us(us));
        }
        gap
    }

    /// A batch the format refuses is a fault of ours; it is not counted as collected.
    fn refuse(&self, lane: Lane, error: &EncodeBatchError) {
        let table = lane.table().name();
        error!(vehicle_id = %self.identity.vehicle_id, table, error = %chain(error), "batch cannot be encoded");
    }

    fn tell_dropped(&mut self) {
        let dropped = self.shared.spool().counts().dropped_samples;
        for (reason, (now, before)) in DropReason::ALL.into_iter().zip(dropped.iter().zip(&self.dropped_told))
        {
            if now > before {
                metrics::dropped(reason, now - before);
            }
        }
        self.dropped_told = dropped;
    }
}
