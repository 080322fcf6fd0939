//! The collecting thread: pulls, waits, decodes, collects, appends.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use service::{Clock, SharedClock, logs::chain};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::time::Timestamp;

use super::{
    campaigns::Campaigns,
    faults::FaultWatch,
    polling::{Found, Polling},
    shared::{Shared, add},
    watch::SourceWatch,
    writer::{BatchWriter, WriteError},
};
use crate::{
    campaign::engine::Engine,
    clock::keeper::{Change, TimeKeeper},
    collect::{Collector, Cut, VinColumn},
    frame::{Frame, FrameId},
    map::{FrameOutcome, MappedDecoder, MappedSample},
    metrics,
    simulate::SimulateSettings,
    source::{
        Polled, Source, SourceError,
        replay::{Pace, Pacer},
    },
    spool::SpoolError,
};

/// Shorter waits are not waited: frames then come in bursts, which costs a thread less.
const WAIT_MIN: Duration = Duration::from_millis(20);
/// Longest wait while control units are asked: well below the 50 ms one has to answer.
const POLL_STEP: Duration = Duration::from_millis(10);
/// Longest wait without looking whether to stop.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Damaged lines logged one by one; the rest is only counted.
const CORRUPT_LOGGED_MAX: u64 = 20;
/// Frames counted at once.
const FRAMES_AT_ONCE: u64 = 256;
/// Event time after which the frames of a live source are counted, however few.
const LIVE_COUNT_US: i64 = 1_000_000;

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
    /// A live bus: frames are taken as they come, and time goes on while it is quiet.
    Live,
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
        matches!(self, Self::Simulate { .. } | Self::Live)
    }

    /// Whether nothing waits for the spool, and the clock says how time goes on.
    fn is_live(&self) -> bool {
        matches!(self, Self::Live)
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
            Self::Live => Duration::ZERO,
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
    pub(super) faults: FaultWatch,
    /// Where the identification number goes.
    pub(super) vin: Option<VinColumn>,
    pub(super) writer: BatchWriter,
    pub(super) keeper: Keeper,
    /// Of live sources.
    pub(super) time: Option<Arc<TimeKeeper>>,
    pub(super) watch: SourceWatch,
    /// Event time at which a live source's frames were last counted.
    pub(super) counted_at: Timestamp,
    /// Asks the vehicle; only where it is configured.
    pub(super) polling: Option<Polling>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: SharedClock,
    pub(super) campaigns: Campaigns,
}

/// Why collecting ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    #[error("cannot read on from the source")]
    Source(#[from] SourceError),
    #[error("cannot make the last batches durable")]
    Sync(#[from] SpoolError),
    #[error("cannot keep a batch")]
    Write(#[from] WriteError),
}

impl Worker {
    /// Runs until the source ends or the agent is stopped.
    pub(super) fn run(mut self, stop: &CancellationToken) -> Result<(), CollectError> {
        let (mut samples, mut cuts, mut uncounted) = (Vec::new(), Vec::new(), 0);
        let mut wait_again: Option<Frame> = None;
        while !stop.is_cancelled() {
            self.pulse();
            self.change_campaigns(&mut cuts)?;
            self.look_at_clock(&mut cuts)?;
            let frame = match wait_again.take() {
                Some(frame) => frame,
                None => match self.source.next_within(self.quiet_max()) {
                    Ok(Polled::Frame(mut frame)) => {
                        self.keeper.shift(&mut frame);
                        self.date(&mut frame, &mut cuts)?;
                        *frame
                    }
                    Ok(Polled::Quiet) => {
                        self.be_quiet(&mut uncounted, &mut samples, &mut cuts)?;
                        continue;
                    }
                    Ok(Polled::End) => return self.end(&mut cuts, uncounted),
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
            self.poll(&frame, &mut samples, &mut cuts);
            uncounted += 1;
            if uncounted >= FRAMES_AT_ONCE
                || (self.keeper.is_live() && frame.time.since_us(self.counted_at) >= LIVE_COUNT_US)
            {
                self.counted_at = frame.time;
                self.count(&mut uncounted);
            }
            if !cuts.is_empty() {
                self.count(&mut uncounted);
                // A live bus does not wait: the spool drops by its own order, and counts it.
                while !self.keeper.is_live() && !self.shared.wait_for_room(WAIT_MAX) && !stop.is_cancelled() {
                    self.pulse();
                }
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

    /// Ends the batches in progress when the clock was set or the time became known: one batch is
    /// by one clock.
    fn look_at_clock(&mut self, cuts: &mut Vec<Cut>) -> Result<(), CollectError> {
        let Some(time) = &self.time else { return Ok(()) };
        let change = time.look();
        let era = time.era();
        if change.is_some() {
            self.collector.finish(cuts);
            self.writer.write(cuts)?;
        }
        self.writer.set_era(era);
        if change == Some(Change::Knowledge) {
            self.writer.begin_streams();
        }
        Ok(())
    }

    /// Gives a frame its time by the present era.
    fn date(&mut self, frame: &mut Frame, cuts: &mut Vec<Cut>) -> Result<(), CollectError> {
        // Stamped after the clock was set and before that was seen, most likely.
        if self.time.as_ref().is_some_and(|time| !time.is_current(frame.time)) {
            self.look_at_clock(cuts)?;
        }
        if let Some(time) = &self.time {
            frame.time = time.date(frame.time);
        }
        Ok(())
    }

    /// How long to wait for a frame: what is asked of control units has timeouts of its own.
    fn quiet_max(&self) -> Duration {
        if self.polling.is_some() { POLL_STEP } else { WAIT_MAX }
    }

    /// Lets time go on while nothing comes, so that batches end and readings are taken.
    fn be_quiet(
        &mut self,
        uncounted: &mut u64,
        samples: &mut Vec<MappedSample>,
        cuts: &mut Vec<Cut>,
    ) -> Result<(), CollectError> {
        self.count(uncounted);
        if self.keeper.is_live() {
            let now = self.time.as_ref().map_or(Timestamp(self.clock.now_us()), |time| time.now());
            self.collector.observe(now, 0, &[], cuts);
            self.poll_step(now, samples, cuts);
            self.writer.write(cuts)?;
            self.campaigns.note(&self.collector, self.clock.as_ref());
        }
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
        self.shared.latest.observe(frame.time, samples);
        self.collector.observe(frame.time, message_key(frame.id), samples, cuts);
        self.take_long(frame, samples, cuts);
        self.shared.counters.last_event_time_us.store(frame.time.0, Ordering::Relaxed);
    }

    /// What frames of J1939 tell beyond their own signals: faults, and messages of many frames.
    fn take_long(&mut self, frame: &Frame, samples: &mut Vec<MappedSample>, cuts: &mut Vec<Cut>) {
        let (decoder, collector) = (&mut self.decoder, &mut self.collector);
        let mut long = Vec::new();
        self.faults.frame(frame, cuts, |message| {
            samples.clear();
            if matches!(decoder.message_samples(message, samples), FrameOutcome::Mapped(_)) {
                collector.observe(message.time, message_key(message.id()), samples, &mut long);
            }
        });
        cuts.append(&mut long);
    }

    /// Shows the poller a frame that was taken, and its samples; takes the answers it has.
    fn poll(&mut self, frame: &Frame, samples: &mut Vec<MappedSample>, cuts: &mut Vec<Cut>) {
        let Some(polling) = &mut self.polling else { return };
        polling.observe(frame, samples);
        self.poll_step(frame.time, samples, cuts);
    }

    /// Lets the poller do what is due, also while the bus is quiet.
    fn poll_step(&mut self, now: Timestamp, samples: &mut Vec<MappedSample>, cuts: &mut Vec<Cut>) {
        let Some(polling) = &mut self.polling else { return };
        let Found { answers, reports, vin } = polling.step(now);
        cuts.extend(vin.zip(self.vin).map(|(vin, column)| column.cut(&vin, now)));
        for answer in answers {
            self.take(&answer, samples, cuts);
        }
        for report in &reports {
            debug!(ecu = report.ecu, count = report.codes.len(), "trouble codes read");
            self.faults.report(report, cuts);
        }
    }

    /// Says that this thread is alive.
    fn pulse(&self) {
        self.shared.counters.collect_pulse_us.store(self.clock.monotonic_us(), Ordering::Relaxed);
    }

    fn count(&mut self, uncounted: &mut u64) {
        self.faults.count();
        self.watch.look(self.source.counts(), &self.shared, self.clock.as_ref());
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
