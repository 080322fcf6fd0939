//! Between intake and lake: verify, buffer, commit every interval or so many bytes, acknowledge.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use service::{SharedClock, tasks::TaskError};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wire::{ack::AckMessage, ids::VehicleId, time::Timestamp, topics::Channel};

use crate::{
    commit::{Committer, Flushed},
    downlink::Downlinks,
    intake::Incoming,
    last_state::LastStates,
    metrics,
    pressure::Pressure,
    verify::{Verdict, Verifier},
};

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    batches_received: AtomicU64,
    samples_stored: AtomicU64,
    samples_duplicate: AtomicU64,
    samples_quarantined: AtomicU64,
    commits: AtomicU64,
    messages_shed: AtomicU64,
}

/// A snapshot of [`Counters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Telemetry messages that came from the broker, copies included.
    pub batches_received: u64,
    /// Samples written.
    pub samples_stored: u64,
    /// Samples that were there already.
    pub samples_duplicate: u64,
    /// Samples in quarantined batches.
    pub samples_quarantined: u64,
    /// Flushes that wrote something.
    pub commits: u64,
    /// Messages left because the lake took nothing for long.
    pub messages_shed: u64,
}

impl Counters {
    /// The counts now.
    pub fn snapshot(&self) -> Stats {
        let read = |a: &AtomicU64| a.load(Ordering::Relaxed);
        Stats {
            batches_received: read(&self.batches_received),
            samples_stored: read(&self.samples_stored),
            samples_duplicate: read(&self.samples_duplicate),
            samples_quarantined: read(&self.samples_quarantined),
            commits: read(&self.commits),
            messages_shed: read(&self.messages_shed),
        }
    }

    pub(crate) fn message_shed(&self) {
        self.messages_shed.fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, flushed: &Flushed) {
        self.samples_stored.fetch_add(flushed.samples_stored, Ordering::Relaxed);
        self.samples_duplicate.fetch_add(flushed.samples_duplicate, Ordering::Relaxed);
        self.samples_quarantined.fetch_add(flushed.samples_quarantined, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
}

/// When a commit is made.
#[derive(Debug, Clone, Copy)]
pub struct FlushPolicy {
    /// Longest wait.
    pub interval: Duration,
    /// Bytes that make one at once.
    pub bytes: usize,
}

/// The stage between intake and lake.
pub struct Pipeline {
    /// Checks messages.
    pub verifier: Verifier,
    /// Writes batches.
    pub committer: Committer,
    /// What is known of each vehicle now.
    pub last_states: LastStates,
    /// Takes acks.
    pub downlinks: Downlinks,
    /// When to commit.
    pub policy: FlushPolicy,
    /// Counts.
    pub counters: Arc<Counters>,
    /// Tells intake how long a commit takes.
    pub pressure: Pressure,
    /// Time of receipt.
    pub clock: SharedClock,
}

impl Pipeline {
    /// Runs until `stop`, then commits what is buffered.
    pub async fn run(
        mut self,
        mut queue: mpsc::Receiver<Incoming>,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut tick = tokio::time::interval(self.policy.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => self.flush(&stop).await?,
                message = queue.recv() => match message {
                    Some(message) => self.take(message).await,
                    // Intake has closed; what it left is buffered.
                    None => {
                        self.flush(&stop).await?;
                        stop.cancelled().await;
                        break;
                    }
                },
            }
            if self.committer.buffer_bytes() >= self.policy.bytes {
                self.flush(&stop).await?;
            }
        }
        self.flush(&stop).await
    }

    async fn take(&mut self, message: Incoming) {
        let received_at = Timestamp(self.clock.now_us());
        let vehicle_id = message.vehicle_id.clone();
        match message.channel {
            Channel::Catalog => match self.verifier.learn_catalog(&message.payload).await {
                Ok(hash) => tracing::debug!(%vehicle_id, %hash, "signal catalogue learned"),
                Err(reason) => tracing::warn!(%vehicle_id, reason, "signal catalogue refused"),
            },
            Channel::Telemetry => {
                self.counters.batches_received.fetch_add(1, Ordering::Relaxed);
                metrics::batches_received();
                match self.verifier.verify(message, received_at).await {
                    Verdict::Accept(verified) => {
                        self.last_states.note(&verified);
                        self.committer.accept(*verified);
                    }
                    Verdict::Quarantine(item) => self.committer.quarantine(*item),
                    Verdict::NeedCatalog(hash) => {
                        let ask = AckMessage { need_catalog: vec![hash], ..AckMessage::default() };
                        self.downlinks.tell(&vehicle_id, ask);
                    }
                }
            }
            Channel::Status | Channel::Reply | Channel::Ack | Channel::Campaigns | Channel::Command => {}
        }
    }

    async fn flush(&mut self, stop: &CancellationToken) -> Result<(), TaskError> {
        if self.committer.is_empty() {
            return Ok(());
        }
        self.pressure.begin(self.clock.monotonic_us());
        let flushed = self.committer.flush(stop).await?;
        self.pressure.end();
        self.counters.add(&flushed);
        let Flushed { mut acks, mut rejected, .. } = flushed;
        let told: BTreeSet<VehicleId> = acks.keys().chain(rejected.keys()).cloned().collect();
        for vehicle_id in told {
            let durable = acks.remove(&vehicle_id).unwrap_or_default();
            let rejected = rejected.remove(&vehicle_id).unwrap_or_default().into_iter().collect();
            self.downlinks.tell(&vehicle_id, AckMessage { durable, rejected, ..AckMessage::default() });
        }
        Ok(())
    }
}
