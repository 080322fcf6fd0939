//! The committer: one Delta commit a table, duplicates dropped, acks after the commit.
//!
//! Exactly once rests on three things. Each row carries `(stream_id, sequence)`, so the lake is
//! the record of what is in: a stream seen for the first time since the start is looked up there
//! before anything of it is written. A batch is for one table, so one commit holds all of it.
//! Each commit moves this instance's application transaction from the version it last saw, and a
//! process that starts claims its shards, which moves those of whoever had some of them: the newest
//! owner is the only one, any other is refused ([`CommitterError::Fenced`]).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use arrow::{array::RecordBatch, error::ArrowError};
use lake::{AppTransaction, CommitError, CommitMark, Lake, LakeTable, OpenLakeError, ReadError, TableKind};
use service::SharedClock;
use wire::{
    ack::{DurableAck, payload_crc32},
    batch::{Gap, Table},
    ids::{StreamId, VehicleId},
    time::Timestamp,
};

use crate::{
    dedupe::SequenceSet,
    metrics::{self, Outcome},
    rows::{self, ByVehicle},
    share::Share,
    verify::{Quarantined, Verified},
};

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
const TABLES: [TableKind; 5] =
    [TableKind::Gaps, TableKind::Quarantine, TableKind::Diagnostics, TableKind::Readings, TableKind::Signals];

/// Why the committer cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CommitterError {
    /// The lake cannot be opened.
    #[error("cannot open the lake")]
    Open(#[from] OpenLakeError),
    /// The lake cannot be read.
    #[error("cannot read the lake")]
    Read(#[from] ReadError),
    /// Rows could not be built: a fault of ours.
    #[error("cannot build rows")]
    Rows(#[from] ArrowError),
    /// Another process writes the same shards.
    #[error(
        "another ingest has taken shards of this one; run one process a share: stop the other, or give this one another `instance` or `instances`"
    )]
    Fenced(#[source] CommitError),
    /// The shards cannot be taken over from who had them.
    #[error("cannot claim the shards")]
    Claim(#[source] CommitError),
    /// The lake refused, and we were asked to stop.
    #[error("stopped while the lake refused a commit; what was not committed was not acknowledged")]
    Refused(#[source] CommitError),
}

/// What a flush did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Flushed {
    /// Per vehicle, how far each stream is durable now.
    pub acks: HashMap<VehicleId, Vec<DurableAck>>,
    /// Per vehicle, CRC-32 of payloads in quarantine that cannot be acked by stream: the vehicle
    /// gives them up.
    pub rejected: HashMap<VehicleId, BTreeSet<u32>>,
    /// Samples written.
    pub samples_stored: u64,
    /// Samples that were there already.
    pub samples_duplicate: u64,
    /// Samples in quarantined batches.
    pub samples_quarantined: u64,
}

/// Writes batches into the lake.
#[derive(Debug)]
pub struct Committer {
    tables: HashMap<TableKind, LakeTable>,
    app_id: String,
    app_versions: HashMap<TableKind, i64>,
    streams: HashMap<StreamId, SequenceSet>,
    /// Rows of `gaps` about those streams: stream, first and last sequence.
    gaps_told: HashSet<(StreamId, u64, u64)>,
    accepted: Vec<Verified>,
    quarantined: Vec<Quarantined>,
    quarantined_payloads: HashSet<u32>,
    /// To be told after the next commit.
    rejected: HashMap<VehicleId, BTreeSet<u32>>,
    buffer_bytes: usize,
    purpose: Purpose,
    clock: SharedClock,
}

/// Where the batches come from, which says what makes one a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// From vehicles: a batch is in if anything accounts for it, also a gap or its quarantine.
    Live,
    /// From `quarantine`: a batch is in only if its samples are.
    Replay,
}

impl Committer {
    /// Opens the tables and takes the shards of `share` from whoever has some of them: from now
    /// on they cannot commit, and what they have committed is there to be looked up.
    pub async fn claim(lake: &Lake, share: Share, clock: SharedClock) -> Result<Self, CommitterError> {
        let app_id = share.app_id();
        let is_rival =
            |id: &str| Share::of_app_id(id).is_some_and(|other| other != share && other.overlaps(share));
        let mut committer = Self::open(lake, app_id.clone(), clock).await?;
        for kind in TABLES {
            let Some(table) = committer.tables.get_mut(&kind) else { continue };
            let version = table.claim(&app_id, is_rival).await.map_err(CommitterError::Claim)?;
            committer.app_versions.insert(kind, version);
        }
        // Two that start at once may each have won some tables. All are one's own only if they are
        // when the last has been claimed.
        for kind in TABLES {
            let Some(table) = committer.tables.get_mut(&kind) else { continue };
            table.refresh().await?;
            if table.app_version(&app_id).await? != committer.app_versions.get(&kind).copied() {
                let table = kind.name();
                return Err(CommitterError::Fenced(CommitError::Fenced { table, app_id }));
            }
        }
        Ok(committer)
    }

    /// Opens the tables and reads where this writer (`app_id`) left off. For work that nobody else
    /// can be at; an ingest of shards uses [`Committer::claim`].
    pub async fn open(lake: &Lake, app_id: String, clock: SharedClock) -> Result<Self, CommitterError> {
        let (mut tables, mut app_versions) = (HashMap::new(), HashMap::new());
        for kind in TABLES {
            let table = lake.create_table(kind).await?;
            app_versions.insert(kind, table.app_version(&app_id).await?.unwrap_or(0));
            tables.insert(kind, table);
        }
        Ok(Self {
            tables,
            app_id,
            app_versions,
            streams: HashMap::new(),
            gaps_told: HashSet::new(),
            accepted: Vec::new(),
            quarantined: Vec::new(),
            quarantined_payloads: HashSet::new(),
            rejected: HashMap::new(),
            buffer_bytes: 0,
            purpose: Purpose::Live,
            clock,
        })
    }

    /// The same for batches of another origin.
    #[must_use]
    pub fn with_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// Buffers a batch for the next commit.
    pub fn accept(&mut self, verified: Verified) {
        self.buffer_bytes += verified.payload_bytes;
        metrics::buffer_bytes(self.buffer_bytes);
        self.accepted.push(verified);
    }

    /// Buffers a payload for the next commit of `quarantine`. The same bytes sent again, as a
    /// vehicle does that gets no ack, are kept once.
    pub fn quarantine(&mut self, item: Quarantined) {
        const REMEMBERED_MAX: usize = 65_536;
        metrics::batches_quarantined(item.reason.word());
        if self.quarantined_payloads.len() >= REMEMBERED_MAX {
            self.quarantined_payloads.clear();
        }
        let crc32 = payload_crc32(&item.payload);
        if item.reason.is_hopeless() {
            self.rejected.entry(item.vehicle_id.clone()).or_default().insert(crc32);
        }
        if !self.quarantined_payloads.insert(crc32) && item.batch.is_none() {
            return;
        }
        tracing::warn!(vehicle_id = %item.vehicle_id, reason = item.reason.word(), detail = item.detail, "batch quarantined");
        self.buffer_bytes += item.payload.len();
        metrics::buffer_bytes(self.buffer_bytes);
        self.quarantined.push(item);
    }

    /// Payload bytes that wait.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.quarantined.is_empty() && self.rejected.is_empty()
    }

    /// Commits what is buffered. The lake's refusals are retried, with back-off, until it takes
    /// them or `stop` is cancelled.
    pub async fn flush(
        &mut self,
        stop: &tokio_util::sync::CancellationToken,
    ) -> Result<Flushed, CommitterError> {
        let accepted = std::mem::take(&mut self.accepted);
        let quarantined = std::mem::take(&mut self.quarantined);
        self.buffer_bytes = 0;
        self.look_up_unknown(&accepted, &quarantined, stop).await?;

        let mut flushed = Flushed { rejected: std::mem::take(&mut self.rejected), ..Flushed::default() };
        let (fresh, touched) = self.drop_duplicates(&accepted, &mut flushed);
        let fresh_quarantined = self.drop_known_quarantined(&quarantined, &mut flushed);

        let untold = self.drop_known_gaps(&fresh);
        if let Some(batch) = rows::gaps(&untold)? {
            self.commit(TableKind::Gaps, batch, stop).await?;
        }
        if !fresh_quarantined.is_empty() {
            self.commit(TableKind::Quarantine, rows::quarantine(&fresh_quarantined)?, stop).await?;
        }
        let by_vehicle = ByVehicle::of(fresh.iter().copied());
        for table in [Table::Diagnostics, Table::Readings, Table::Signals] {
            if let Some(batch) = rows::telemetry(table, &by_vehicle)? {
                self.commit(TableKind::of_wire(table), batch, stop).await?;
            }
        }
        self.account(&fresh, &fresh_quarantined, &mut flushed);
        metrics::buffer_bytes(0);
        self.tell_lag(&accepted);
        for (vehicle_id, stream_id) in touched {
            let up_to_sequence = self.streams.get(&stream_id).map_or(0, SequenceSet::contiguous);
            if up_to_sequence > 0 {
                flushed.acks.entry(vehicle_id).or_default().push(DurableAck { stream_id, up_to_sequence });
            }
        }
        Ok(flushed)
    }

    /// Reads from the lake what it has of streams this process has not met; retried until it can.
    async fn look_up_unknown(
        &mut self,
        accepted: &[Verified],
        quarantined: &[Quarantined],
        stop: &tokio_util::sync::CancellationToken,
    ) -> Result<(), CommitterError> {
        let of_gaps = accepted.iter().flat_map(|v| v.batch.gaps.iter().map(|g| g.stream_id));
        let of_quarantined = quarantined.iter().filter_map(|q| q.batch.as_ref()).map(|b| b.stream_id);
        let unknown: BTreeSet<StreamId> = accepted
            .iter()
            .map(|v| v.batch.stream_id)
            .chain(of_gaps)
            .chain(of_quarantined)
            .filter(|s| !self.streams.contains_key(s))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<StreamId> = unknown.into_iter().collect();
        let mut pause = RETRY_MIN;
        loop {
            match self.look_up(&unknown).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(error = %service::logs::chain(&error), "lake cannot be read, retrying");
                    tokio::select! {
                        () = stop.cancelled() => return Err(error.into()),
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn look_up(&mut self, unknown: &[StreamId]) -> Result<(), ReadError> {
        let mut sets: HashMap<StreamId, SequenceSet> =
            unknown.iter().map(|&s| (s, SequenceSet::default())).collect();
        for kind in TABLES {
            let Some(table) = self.tables.get_mut(&kind) else { continue };
            table.refresh().await?;
            for (stream, ranges) in table.stored_sequences(unknown).await? {
                let set = sets.entry(stream).or_default();
                let is_stored = !matches!(kind, TableKind::Gaps | TableKind::Quarantine);
                for (from, to) in ranges {
                    if is_stored || self.purpose == Purpose::Live {
                        set.insert_range(from, to);
                    }
                    if kind == TableKind::Gaps {
                        self.gaps_told.insert((stream, from, to));
                    }
                }
            }
        }
        self.streams.extend(sets);
        Ok(())
    }

    /// The batches not yet in, and every stream that was heard of.
    fn drop_duplicates<'a>(
        &mut self,
        accepted: &'a [Verified],
        flushed: &mut Flushed,
    ) -> (Vec<&'a Verified>, BTreeSet<(VehicleId, StreamId)>) {
        let mut in_this_flush: HashSet<(StreamId, u64)> = HashSet::new();
        let (mut fresh, mut touched) = (Vec::new(), BTreeSet::new());
        for verified in accepted {
            let batch = &verified.batch;
            touched.insert((batch.vehicle_id.clone(), batch.stream_id));
            let set = self.streams.entry(batch.stream_id).or_default();
            if self.purpose == Purpose::Live {
                set.raise_oldest(batch.oldest_sequence);
            }
            if set.contains(batch.sequence) || !in_this_flush.insert((batch.stream_id, batch.sequence)) {
                flushed.samples_duplicate += batch.sample_count();
            } else {
                fresh.push(verified);
            }
        }
        metrics::samples(Outcome::Duplicate, flushed.samples_duplicate);
        (fresh, touched)
    }

    fn drop_known_quarantined<'a>(
        &self,
        quarantined: &'a [Quarantined],
        flushed: &mut Flushed,
    ) -> Vec<&'a Quarantined> {
        let mut in_this_flush: HashSet<(StreamId, u64)> = HashSet::new();
        let mut fresh = Vec::new();
        for item in quarantined {
            let is_known = item.batch.as_ref().is_some_and(|b| {
                self.streams.get(&b.stream_id).is_some_and(|set| set.contains(b.sequence))
                    || !in_this_flush.insert((b.stream_id, b.sequence))
            });
            if is_known {
                let samples = item.batch.as_ref().map_or(0, wire::batch::Batch::sample_count);
                metrics::samples(Outcome::Duplicate, samples);
                flushed.samples_duplicate += samples;
            } else {
                fresh.push(item);
            }
        }
        fresh
    }

    /// The gaps of these batches the lake has not been told of. Gaps are committed before the
    /// samples of their batch, so a process killed between the two is told them again. A batch
    /// that is nothing but gaps always has its rows: they are what says that it is in.
    fn drop_known_gaps<'a>(&self, fresh: &[&'a Verified]) -> Vec<(&'a Verified, &'a Gap)> {
        let mut in_this_flush = HashSet::new();
        let mut untold = Vec::new();
        for verified in fresh {
            for gap in &verified.batch.gaps {
                let key = (gap.stream_id, gap.from_sequence, gap.to_sequence);
                let is_known = self.gaps_told.contains(&key) || !in_this_flush.insert(key);
                let is_record = verified.batch.groups.is_empty() && self.purpose == Purpose::Live;
                if !is_known || is_record {
                    untold.push((*verified, gap));
                }
            }
        }
        untold
    }

    fn account(&mut self, fresh: &[&Verified], quarantined: &[&Quarantined], flushed: &mut Flushed) {
        for verified in fresh {
            let batch = &verified.batch;
            flushed.samples_stored += batch.sample_count();
            self.streams.entry(batch.stream_id).or_default().insert(batch.sequence);
            for gap in &batch.gaps {
                if self.purpose == Purpose::Live {
                    self.streams
                        .entry(gap.stream_id)
                        .or_default()
                        .insert_range(gap.from_sequence, gap.to_sequence);
                }
                self.gaps_told.insert((gap.stream_id, gap.from_sequence, gap.to_sequence));
            }
        }
        for batch in quarantined.iter().filter_map(|q| q.batch.as_ref()) {
            flushed.samples_quarantined += batch.sample_count();
            let set = self.streams.entry(batch.stream_id).or_default();
            set.insert(batch.sequence);
            let ack = DurableAck { stream_id: batch.stream_id, up_to_sequence: set.contiguous() };
            if ack.up_to_sequence > 0 {
                flushed.acks.entry(batch.vehicle_id.clone()).or_default().push(ack);
            }
        }
        metrics::samples(Outcome::Stored, flushed.samples_stored);
        metrics::samples(Outcome::Quarantined, flushed.samples_quarantined);
    }

    /// How long the oldest batch of each shard waited to be durable.
    fn tell_lag(&self, durable: &[Verified]) {
        let mut oldest: HashMap<u32, Timestamp> = HashMap::new();
        for verified in durable {
            let oldest = oldest.entry(verified.batch.vehicle_id.shard()).or_insert(verified.received_at);
            *oldest = (*oldest).min(verified.received_at);
        }
        let now = Timestamp(self.clock.now_us());
        for (shard, received_at) in oldest {
            metrics::lag(shard, now.since_us(received_at).max(0));
        }
    }

    async fn commit(
        &mut self,
        kind: TableKind,
        batch: RecordBatch,
        stop: &tokio_util::sync::CancellationToken,
    ) -> Result<(), CommitterError> {
        let (Some(table), Some(app_version)) = (self.tables.get_mut(&kind), self.app_versions.get_mut(&kind))
        else {
            return Ok(());
        };
        let txn = AppTransaction { app_id: self.app_id.clone(), version: *app_version + 1 };
        let mark = CommitMark::default();
        let mut pause = RETRY_MIN;
        let started_us = self.clock.monotonic_us();
        loop {
            match table.append_marked(batch.clone(), &txn, &mark).await {
                Ok(_) => break,
                Err(error @ CommitError::Fenced { .. }) => return Err(CommitterError::Fenced(error)),
                Err(error) => {
                    tracing::warn!(error = %service::logs::chain(&error), table = kind.name(), "commit refused, retrying");
                    metrics::commit_retries(kind.name());
                    tokio::select! {
                        () = stop.cancelled() => return Err(CommitterError::Refused(error)),
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
        *app_version += 1;
        metrics::commit(kind.name(), self.clock.monotonic_us() - started_us);
        Ok(())
    }
}
