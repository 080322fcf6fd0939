//! The batches in flight: sent, and not yet durable.
//!
//! A broker's PUBACK releases nothing here; only a durable ack, or a rejection, does. Without
//! either for a while what is above the last durable ack is sent again, one batch first ([`Pace`]). While
//! ingest has asked to wait, nothing is sent; then everything again, as what was on its way may have been
//! left.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use service::clock::micros;
use tracing::{error, info, warn};
use wire::{
    ack::{DurableAck, payload_crc32},
    batch::{BATCH_VERSION, Batch, ClockState, Envelope},
    ids::StreamId,
    topics::Channel,
};

use super::{
    READ_COUNT_MAX, SessionError, Uplink, jittered,
    link::{About, HandOverError},
    pace::Pace,
    session::{Handed, Session},
};
use crate::{agent::shared::add, clock::keeper::Sending, metrics, spool::StoredBatch};

/// Longest wait that ingest can ask for.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// A batch sent and not yet durable.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    stream_id: StreamId,
    sequence: u64,
    /// Of the payload as it was sent: what a rejection names.
    crc32: u32,
}

/// What is in flight on one connection.
#[derive(Debug)]
pub(super) struct Window {
    pace: Pace,
    /// The highest sequence sent, by stream.
    sent: HashMap<StreamId, u64>,
    in_flight: VecDeque<InFlight>,
    /// Monotonic time of the last durable ack, or of the first batch in an empty window.
    progress_us: i64,
    has_progressed: bool,
    /// Monotonic time until which ingest has asked to wait.
    wait_until_us: Option<i64>,
}

impl Window {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            sent: HashMap::new(),
            in_flight: VecDeque::new(),
            progress_us: 0,
            has_progressed: false,
            wait_until_us: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether anything became durable on this connection.
    pub(super) fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    /// Waiting for an ack begins anew.
    pub(super) fn restart_wait(&mut self, monotonic_us: i64) {
        self.progress_us = monotonic_us;
    }

    pub(super) fn note_progress(&mut self, monotonic_us: i64) {
        self.progress_us = monotonic_us;
        self.has_progressed = true;
        self.pace.note_ack();
    }

    /// A window of the next connection: what ingest asked for still holds, and so does the pace.
    pub(super) fn after(&self) -> Self {
        Self { wait_until_us: self.wait_until_us, ..Self::new(self.pace) }
    }

    /// How many more may be sent.
    fn room(&self) -> usize {
        self.pace.limit().saturating_sub(self.in_flight.len())
    }

    fn is_waiting(&self) -> bool {
        self.wait_until_us.is_some()
    }

    /// Lets go of what is durable.
    pub(super) fn release(&mut self, ack: &DurableAck) {
        self.in_flight.retain(|b| b.stream_id != ack.stream_id || b.sequence > ack.up_to_sequence);
    }

    /// Takes out what was sent just so and is rejected.
    pub(super) fn take_rejected(&mut self, crcs: &[u32]) -> Vec<(StreamId, u64)> {
        let (rejected, kept): (VecDeque<_>, VecDeque<_>) =
            self.in_flight.drain(..).partition(|b| crcs.contains(&b.crc32));
        self.in_flight = kept;
        rejected.into_iter().map(|b| (b.stream_id, b.sequence)).collect()
    }

    /// Everything above the last durable ack is to be sent again.
    pub(super) fn begin_again(&mut self) {
        self.sent.clear();
        self.in_flight.clear();
    }

    fn note_sent(&mut self, batch: InFlight, monotonic_us: i64) {
        if self.in_flight.is_empty() {
            self.progress_us = monotonic_us;
        }
        self.in_flight.push_back(batch);
        self.sent.insert(batch.stream_id, batch.sequence);
    }

    /// Whether the ack is late. Then it is waited for anew.
    fn times_out(&mut self, monotonic_us: i64) -> bool {
        let waited_us = monotonic_us.saturating_sub(self.progress_us);
        if self.in_flight.is_empty() || waited_us < micros(self.pace.due_after()) {
            return false;
        }
        self.pace.note_timeout();
        self.restart_wait(monotonic_us);
        true
    }
}

impl Uplink {
    /// Fills the window.
    pub(super) async fn fill(&self, session: &mut Session) -> Result<(), SessionError> {
        while session.is_connected && session.has_more && !session.window.is_waiting() {
            let room = session.window.room().min(READ_COUNT_MAX);
            if room == 0 {
                return Ok(());
            }
            let mut sent = session.window.sent.clone();
            // Nothing of a held stream is above this.
            sent.extend(self.time.iter().flat_map(|time| time.held()).map(|id| (id, u64::MAX - 1)));
            let batches = self.with_spool(move |spool| spool.next_batches(&sent, room)).await?;
            session.has_more = batches.len() == room;
            for batch in batches {
                let (stream_id, sequence) = (batch.stream_id, batch.meta.sequence);
                let payload = self.payload(batch)?;
                let (bytes, crc32) = (payload.len() as u64, payload_crc32(&payload));
                let user_properties = vec![
                    ("schema".to_owned(), BATCH_VERSION.to_string()),
                    ("batch".to_owned(), sequence.to_string()),
                ];
                let about = About { content_type: "application/vnd.roadlake.batch+zstd", user_properties };
                let handed = Handed::Batch;
                match self.hand_over(session, Channel::Telemetry, payload, about, handed) {
                    Ok(()) => {}
                    // The library is busy; the next event comes here again.
                    Err(HandOverError::Full) => {
                        session.has_more = true;
                        return Ok(());
                    }
                    Err(HandOverError::TooLarge { bytes, bytes_max }) => {
                        error!(vehicle_id = %self.vehicle_id, bytes, bytes_max, "packet larger than the broker takes");
                        self.give_up(session, stream_id, sequence).await?;
                        continue;
                    }
                }
                let batch = InFlight { stream_id, sequence, crc32 };
                session.window.note_sent(batch, self.clock.monotonic_us());
                add(&self.shared.counters.batches_sent, 1);
                add(&self.shared.counters.bytes_sent, bytes);
                metrics::sent(bytes);
            }
        }
        Ok(())
    }

    /// The bytes to publish: signed now; where older batches of the stream were dropped since, with
    /// the lowest sequence that may still come; where its time was not known and now is, set right.
    fn payload(&self, stored: StoredBatch) -> Result<Vec<u8>, SessionError> {
        let floor = stored.floor.filter(|floor| *floor > stored.meta.oldest_sequence);
        let moved_us = self.moved_us(stored.stream_id);
        let body = if floor.is_none() && moved_us.is_none() {
            stored.body
        } else {
            let mut batch = Batch::decode_body(&stored.body)?;
            if let Some(floor) = floor {
                batch.oldest_sequence = floor.min(batch.sequence);
            }
            if let Some(us) = moved_us {
                self.set_right(&mut batch, us);
            }
            batch.encode_body()?
        };
        let signature = self.signer.as_ref().map(|s| s.sign(&body)).unwrap_or_default();
        Ok(Envelope { body: &body, signature: &signature }.encode()?)
    }

    /// By how much the times of a stream's batches are to be moved.
    fn moved_us(&self, stream_id: StreamId) -> Option<i64> {
        match self.time.as_ref()?.sending(stream_id) {
            Sending::Moved(us) => Some(us),
            Sending::AsIs | Sending::Held => None,
        }
    }

    /// Moves the times of a batch; those of its samples are after its base.
    fn set_right(&self, batch: &mut Batch, us: i64) {
        batch.base_time = batch.base_time.plus_us(us);
        batch.clock = ClockState::Corrected;
        for gap in &mut batch.gaps {
            if let Some(us) = self.moved_us(gap.stream_id) {
                (gap.first_time, gap.last_time) = (gap.first_time.plus_us(us), gap.last_time.plus_us(us));
            }
        }
    }

    /// Gives up a batch that can never be taken; it is told as a gap.
    pub(super) async fn give_up(
        &self,
        session: &mut Session,
        stream_id: StreamId,
        sequence: u64,
    ) -> Result<(), SessionError> {
        if self.with_spool(move |spool| spool.reject(stream_id, sequence)).await? {
            error!(vehicle_id = %self.vehicle_id, sequence, reason = "rejected", "batch given up");
            session.window.restart_wait(self.clock.monotonic_us());
            session.has_more = true;
            self.shared.ring_settled();
        }
        Ok(())
    }

    /// Takes ingest's wish to be left alone for a while. Vehicles come back at different times, some
    /// time after it.
    pub(super) fn wait(&self, session: &mut Session, wait_s: u32) {
        let asked = Duration::from_secs(u64::from(wait_s)).min(WAIT_MAX);
        let wait = asked + jittered(asked) / 2;
        session.window.wait_until_us = Some(self.clock.monotonic_us().saturating_add(micros(wait)));
        add(&self.shared.counters.waits, 1);
        metrics::asked_to_wait();
        let wait_ms = micros(wait) / 1000;
        info!(vehicle_id = %self.vehicle_id, wait_ms, "ingest cannot store now, waiting");
    }

    /// Ingest stores again, or the wait is over.
    pub(super) fn end_wait(&self, session: &mut Session) {
        if session.window.wait_until_us.take().is_some() {
            session.window.restart_wait(self.clock.monotonic_us());
            session.send_again();
        }
    }

    pub(super) fn resend_if_due(&self, session: &mut Session) {
        let monotonic_us = self.clock.monotonic_us();
        if let Some(until_us) = session.window.wait_until_us {
            if monotonic_us >= until_us {
                self.end_wait(session);
            }
            return;
        }
        if session.window.times_out(monotonic_us) {
            session.send_again();
            add(&self.shared.counters.resends, 1);
            metrics::resent();
            warn!(vehicle_id = %self.vehicle_id, "no durable ack, sending again");
        }
    }
}
