//! What the collecting thread and the uplink share: the spool and the counts.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use wire::batch::Table;

use super::latest::LatestTable;
use crate::spool::{DropReason, Lane, Spool, SpoolCounts};
use crate::uplink::LinkState;

/// A replay or a simulation waits while more of the cap than this is in use, so that it never
/// drops what it could collect later.
const FULL_SHARE: f64 = 0.75;

/// The counts of an agent at one moment. Conservation: `samples_collected` of all tables and
/// `samples_recovered` together are `samples_acked`, `samples_in_spool` and `samples_dropped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames the source yielded.
    pub frames: u64,
    /// Of them, frames without a mapped signal.
    pub frames_undecoded: u64,
    /// Lines or frames of the source that were damaged.
    pub corrupt_lines: u64,
    /// Frames that were on a bus and did not arrive, as far as kernel and controllers tell.
    pub frames_lost: u64,
    /// Frames of a bus under an id of the agent's own, not believed.
    pub frames_refused: u64,
    /// Times a controller went bus-off.
    pub bus_offs: u64,
    /// Times an interface, a receiver or a connection was lost.
    pub interface_losses: u64,
    /// Interfaces that give nothing now.
    pub interfaces_out: u64,
    /// Samples put in the spool, by [`Lane::ALL`].
    pub samples_collected: [u64; Lane::COUNT],
    /// Samples that waited in the spool when the agent started.
    pub samples_recovered: u64,
    /// Samples covered by a durable ack since the start.
    pub samples_acked: u64,
    /// Samples waiting for one.
    pub samples_in_spool: u64,
    /// Samples dropped since the start, by [`DropReason::ALL`].
    pub samples_dropped: [u64; DropReason::COUNT],
    /// Batches put in the spool since the start.
    pub batches_spooled: u64,
    /// Batches covered by a durable ack since the start.
    pub batches_acked: u64,
    /// Batches waiting for one.
    pub batches_in_spool: u64,
    /// Batches sent, those sent again included.
    pub batches_sent: u64,
    /// Bytes of batch payloads sent.
    pub bytes_sent: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Times the window was sent again.
    pub resends: u64,
    /// Times ingest asked to wait.
    pub waits: u64,
    /// Bytes of the spool's files.
    pub spool_bytes: u64,
    /// Bytes the spool has written on this UTC day, restarts included.
    pub spool_written_today_bytes: u64,
    /// Whether the source has ended.
    pub is_source_done: bool,
    /// Whether the broker has accepted the agent.
    pub is_online: bool,
    /// How the way to the cloud is.
    pub link: LinkState,
    /// Event time of the last frame, in microseconds since 1970; 0 before the first.
    pub last_event_time_us: i64,
}

impl Stats {
    /// Samples put in the spool, of all tables.
    pub fn samples_collected_total(&self) -> u64 {
        self.samples_collected.iter().sum()
    }

    /// Samples dropped, of all reasons.
    pub fn samples_dropped_total(&self) -> u64 {
        self.samples_dropped.iter().sum()
    }

    /// Samples of one table put in the spool.
    pub fn samples_of(&self, table: Table) -> u64 {
        let of_table = Lane::ALL.iter().zip(&self.samples_collected).filter(|(l, _)| l.table() == table);
        of_table.map(|(_, samples)| samples).sum()
    }

    /// Samples dropped for one reason.
    pub fn dropped_by(&self, reason: DropReason) -> u64 {
        self.samples_dropped.get(reason as usize).copied().unwrap_or(0)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) frames_undecoded: AtomicU64,
    pub(crate) corrupt_lines: AtomicU64,
    pub(crate) frames_lost: AtomicU64,
    pub(crate) frames_refused: AtomicU64,
    pub(crate) bus_offs: AtomicU64,
    pub(crate) interface_losses: AtomicU64,
    pub(crate) interfaces_out: AtomicU64,
    pub(crate) samples_collected: [AtomicU64; Lane::COUNT],
    pub(crate) batches_spooled: AtomicU64,
    pub(crate) batches_sent: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) resends: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) is_source_done: AtomicBool,
    pub(crate) link: AtomicU8,
    /// Raised when what is collected from now on is to be in streams of its own.
    pub(crate) stream_epoch: AtomicU64,
    /// Monotonic time when the collecting thread and the uplink last went on.
    pub(crate) collect_pulse_us: AtomicI64,
    pub(crate) uplink_pulse_us: AtomicI64,
    pub(crate) last_event_time_us: AtomicI64,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// The spool behind its lock, the bells beside it, and the counts.
#[derive(Debug)]
pub(crate) struct Shared {
    spool: Mutex<Spool>,
    samples_recovered: u64,
    /// Something was appended.
    pub(crate) appended: Notify,
    /// Something was acknowledged, or the source ended.
    pub(crate) settled: Notify,
    has_room: Condvar,
    refusal: Mutex<Option<String>>,
    pub(crate) counters: Counters,
    pub(crate) latest: LatestTable,
}

impl Shared {
    pub(crate) fn new(spool: Spool) -> Self {
        let samples_recovered = spool.counts().samples;
        Self {
            spool: Mutex::new(spool),
            samples_recovered,
            appended: Notify::new(),
            settled: Notify::new(),
            has_room: Condvar::new(),
            refusal: Mutex::default(),
            counters: Counters::default(),
            latest: LatestTable::default(),
        }
    }

    /// The spool; file operations happen under it, so never on an async thread.
    pub(crate) fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the broker refused, or that all is well.
    pub(crate) fn note_refusal(&self, words: Option<String>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// What the broker refused last, unless batches became durable since.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rings after acknowledgements.
    pub(crate) fn ring_settled(&self) {
        self.has_room.notify_all();
        self.settled.notify_waiters();
    }

    /// Waits a while for room in the spool; `false` when there still is none.
    #[allow(clippy::cast_precision_loss, reason = "a share of a cap")]
    pub(crate) fn wait_for_room(&self, at_most: Duration) -> bool {
        let spool = self.spool();
        let is_full = |s: &mut Spool| s.counts().bytes as f64 > s.settings().bytes_max as f64 * FULL_SHARE;
        let result = self.has_room.wait_timeout_while(spool, at_most, is_full);
        let (_guard, waited) = result.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Which part has not gone on for longer than that, if any has not.
    pub(crate) fn stalled(&self, monotonic_us: i64, longer_than: Duration) -> Option<&'static str> {
        let c = &self.counters;
        let is_late = |pulse: &AtomicI64| {
            monotonic_us.saturating_sub(pulse.load(Ordering::Relaxed)) > service::clock::micros(longer_than)
        };
        if !c.is_source_done.load(Ordering::Acquire) && is_late(&c.collect_pulse_us) {
            return Some("collect");
        }
        is_late(&c.uplink_pulse_us).then_some("uplink")
    }

    /// The counts of now. Locks the spool for a moment, which a slow disk may make longer.
    pub(crate) fn stats(&self) -> Stats {
        let SpoolCounts {
            batches,
            samples,
            bytes,
            acked_batches,
            acked_samples,
            dropped_samples,
            written_today_bytes,
            ..
        } = self.spool().counts();
        let c = &self.counters;
        let link =
            LinkState::ALL.get(usize::from(c.link.load(Ordering::Relaxed))).copied().unwrap_or_default();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            frames: get(&c.frames),
            frames_undecoded: get(&c.frames_undecoded),
            corrupt_lines: get(&c.corrupt_lines),
            frames_lost: get(&c.frames_lost),
            frames_refused: get(&c.frames_refused),
            bus_offs: get(&c.bus_offs),
            interface_losses: get(&c.interface_losses),
            interfaces_out: get(&c.interfaces_out),
            samples_collected: Lane::ALL.map(|lane| get(&c.samples_collected[lane.index()])),
            samples_recovered: self.samples_recovered,
            samples_acked: acked_samples,
            samples_in_spool: samples,
            samples_dropped: dropped_samples,
            batches_spooled: get(&c.batches_spooled),
            batches_acked: acked_batches,
            batches_in_spool: batches,
            batches_sent: get(&c.batches_sent),
            bytes_sent: get(&c.bytes_sent),
            reconnects: get(&c.connects).saturating_sub(1),
            resends: get(&c.resends),
            waits: get(&c.waits),
            spool_bytes: bytes,
            spool_written_today_bytes: written_today_bytes,
            is_source_done: c.is_source_done.load(Ordering::Acquire),
            is_online: link != LinkState::Offline,
            link,
            last_event_time_us: c.last_event_time_us.load(Ordering::Relaxed),
        }
    }
}
