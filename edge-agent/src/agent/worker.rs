//! The collecting thread: pulls, waits, decodes, collects, appends.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use service::{Clock, SharedClock, logs::chain};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::time::Timestamp;

use super::{
    campaigns::Campaigns,
    shared::{Shared, add},
    writer::{BatchWriter, WriteError},
};
use crate::{
    campaign::engine::Engine,
    collect::{Collector, Cut},
    frame::{Frame, FrameId},
    map::{FrameOutcome, MappedDecoder, MappedSample},
    metrics,
    simulate::SimulateSettings,
    source::{
        Source, SourceError,
        replay::{Pace, Pacer},
    },
};

/// Shorter waits are not waited: frames then come in bursts, which costs a thread less.
const WAIT_MIN: Duration = Duration::from_millis(20);
/// Longest wait without looking whether to stop.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Damaged lines logged one by one; the rest is only counted.
const CORRUPT_LOGGED_MAX: u64 = 20;
/// Frames counted at once.
const FRAMES_AT_ONCE: u64 = 256;

/// Keeps frames to their time.
#[derive(Debug)]
pub(super) enum Keeper {
    /// A log: its own speed, perhaps moved in time.
    Replay {
        /// When frames are due.
        pacer: Pacer,
        /// Where the first frame is moved.
        shift_to: Option<Timestamp>,
        /// By how much that is, once the first frame is known.
        shift_us: Option<i64>,
    },
    /// A simulation: faster than time until it has caught up, never ahead of the clock.
    Simulate {
        /// Event time that begins at `since_us`.
        from: Timestamp,
        /// On the monotonic clock.
        since_us: i64,
        /// How much faster than time.
        factor: f64,
    },
}

impl Keeper {
    pub(super) fn replay(pace: Pace, shift_to: Option<Timestamp>) -> Self {
        Self::Replay { pacer: Pacer::new(pace), shift_to, shift_us: None }
    }

    pub(super) fn simulate(
        settings: &SimulateSettings,
        resumed_to: Option<Timestamp>,
        clock: &dyn Clock,
    ) -> Self {
        let from = resumed_to.map_or(settings.start_time, |t| t.max(settings.start_time));
        Self::Simulate { from, since_us: clock.monotonic_us(), factor: settings.speed }
    }

    /// Whether an end in the midst may be made where it comes.
    fn may_cut_anywhere(&self) -> bool {
        matches!(self, Self::Simulate { .. })
    }

    fn shift(&mut self, frame: &mut Frame) {
        if let Self::Replay { shift_to: Some(to), shift_us, .. } = self {
            let us = *shift_us.get_or_insert_with(|| to.since_us(frame.time));
            frame.time = frame.time.plus_us(us);
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a waiting time")]
    fn wait(&mut self, time: Timestamp, clock: &dyn Clock) -> Duration {
        match self {
            Self::Replay { pacer, .. } => pacer.wait(time, clock.monotonic_us()),
            Self::Simulate { from, since_us, factor } => {
                let passed_us = clock.monotonic_us().saturating_sub(*since_us);
                let by_speed_us = (time.since_us(*from) as f64 / *factor) as i64 - passed_us;
                let by_clock_us = time.0.saturating_sub(clock.now_us());
                Duration::from_micros(u64::try_from(by_speed_us.max(by_clock_us)).unwrap_or(0))
            }
        }
    }
}

/// Everything the collecting thread owns.
pub(super) struct Worker {
    pub(super) source: Box<dyn Source + Send>,
    pub(super) decoder: MappedDecoder,
    pub(super) collector: Collector,
    pub(super) writer: BatchWriter,
    pub(super) keeper: Keeper,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: SharedClock,
    pub(super) campaigns: Campaigns,
}

/// Why collecting ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    #[error("cannot read on from the source")]
    Source(#[from] SourceError),
    #[error("cannot keep a batch")]
    Write(#[from] WriteError),
}

impl Worker {
    /// Runs until the source ends or the agent is stopped.
    pub(super) fn run(mut self, stop: &CancellationToken) -> Result<(), CollectError> {
        let (mut samples, mut cuts, mut uncounted) = (Vec::new(), Vec::new(), 0);
        let mut wait_again: Option<Frame> = None;
        while !stop.is_cancelled() {
            self.change_campaigns(&mut cuts)?;
            let frame = match wait_again.take() {
                Some(frame) => frame,
                None => match self.source.next() {
                    Ok(Some(mut frame)) => {
                        self.keeper.shift(&mut frame);
                        frame
                    }
                    Ok(None) => return self.end(&mut cuts, uncounted),
                    Err(error) if error.is_passing() => {
                        self.note_corrupt(&error);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            let wait = self.keeper.wait(frame.time, self.clock.as_ref());
            if wait > WAIT_MIN {
                self.count(&mut uncounted);
                std::thread::sleep(wait.min(WAIT_MAX));
                wait_again = (wait > WAIT_MAX).then_some(frame.clone());
                if wait_again.is_some() {
                    continue;
                }
            }
            self.take(&frame, &mut samples, &mut cuts);
            uncounted += 1;
            if uncounted >= FRAMES_AT_ONCE {
                self.count(&mut uncounted);
            }
            if !cuts.is_empty() {
                self.count(&mut uncounted);
                while !self.shared.wait_for_room(WAIT_MAX) && !stop.is_cancelled() {}
                self.writer.write(&mut cuts)?;
                self.campaigns.note(&self.collector, self.clock.as_ref());
            }
        }
        self.count(&mut uncounted);
        if self.keeper.may_cut_anywhere() {
            self.collector.finish(&mut cuts);
            self.writer.write(&mut cuts)?;
        }
        self.campaigns.end(&self.collector);
        Ok(())
    }

    /// Puts a newly accepted campaign set in force: what is in progress goes out under the old
    /// catalogue, what follows comes under the new one, and no frame is between.
    fn change_campaigns(&mut self, cuts: &mut Vec<Cut>) -> Result<(), CollectError> {
        let Some(plan) = self.campaigns.take_new() else { return Ok(()) };
        let catalog = plan.catalog().encode();
        let spent = self.campaigns.desk.spent();
        self.collector.install(Engine::new(plan, &spent), cuts);
        self.writer.write(cuts)?;
        let hash = self.writer.change_catalog(&catalog)?;
        self.campaigns.desk.took_effect(hash);
        Ok(())
    }

    fn end(&mut self, cuts: &mut Vec<Cut>, mut uncounted: u64) -> Result<(), CollectError> {
        self.count(&mut uncounted);
        self.collector.finish(cuts);
        self.writer.write(cuts)?;
        self.campaigns.end(&self.collector);
        self.shared.counters.is_source_done.store(true, Ordering::Release);
        self.shared.ring_settled();
        info!("source has ended");
        Ok(())
    }

    fn take(&mut self, frame: &Frame, samples: &mut Vec<MappedSample>, cuts: &mut Vec<Cut>) {
        samples.clear();
        let outcome = self.decoder.samples(frame, samples);
        if !matches!(outcome, FrameOutcome::Mapped(_)) {
            add(&self.shared.counters.frames_undecoded, 1);
        }
        self.collector.observe(frame.time, message_key(frame.id), samples, cuts);
        self.shared.counters.last_event_time_us.store(frame.time.0, Ordering::Relaxed);
    }

    fn count(&self, uncounted: &mut u64) {
        add(&self.shared.counters.frames, *uncounted);
        metrics::frames(*uncounted);
        *uncounted = 0;
    }

    fn note_corrupt(&self, error: &SourceError) {
        let before = self.shared.counters.corrupt_lines.fetch_add(1, Ordering::Relaxed);
        metrics::corrupt_line();
        if before < CORRUPT_LOGGED_MAX {
            warn!(error = %chain(error), "line passed over");
        }
    }
}

fn message_key(id: FrameId) -> u32 {
    id.raw | (u32::from(id.is_extended) << 31)
}
