//! Harsh driving: the accelerometer where the vehicle has one, else differences of its speed.
//!
//! Every sample stands for a stretch of time: an acceleration until the next reading, a
//! difference of speed for the time between its two ends. Stretches over the lowest limit that
//! touch, or lie at most `harsh_merge` apart, are one event.

use std::collections::VecDeque;

use service::clock::micros;
use wire::time::Timestamp;

use super::{
    Parameters,
    event::{DrivingEvent, EventKind, Severity},
    motion::Observation,
    reading::Fix,
};

/// An acceleration stands for so long at most, and silences differences of speed for so long.
const HOLD_US: i64 = 2_000_000;
/// Speeds so far apart make a difference: nearer, a step of a whole km/h would look harsh;
/// farther, a harsh second would be lost in its mean.
const STEP_US: std::ops::RangeInclusive<i64> = 800_000..=1_500_000;
/// Speeds kept at most (20 a second for as long as a step).
const SPEEDS_LEN_MAX: usize = 32;
const KINDS: [EventKind; 3] =
    [EventKind::HarshAccelerating, EventKind::HarshBraking, EventKind::HarshCornering];
/// The place of cornering in it.
const ACROSS: usize = 2;

/// Finds the harsh events of a trip.
#[derive(Debug, Clone, Default)]
pub(super) struct Harsh {
    speeds: VecDeque<Speed>,
    accelerated: Option<Observation>,
    fix: Option<Fix>,
    runs: [Option<Run>; 3],
    events: Vec<DrivingEvent>,
}

/// A speed, and since when it has been told without a change.
#[derive(Debug, Clone, Copy)]
struct Speed {
    ts: Timestamp,
    kmh: f64,
    since: Timestamp,
}

/// An acceleration over a stretch of time.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    mps2: f64,
    speed_kmh: Option<f64>,
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Accelerometer,
    Speed,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accelerometer => "accelerometer",
            Self::Speed => "speed",
        }
    }

    /// Tyres on a dry road give little over 1 g, so a speed that changes faster was told wrong. A
    /// sensor also feels kerbs and blows, up to the 4 g that those of trackers measure.
    fn plausible_max_mps2(self) -> f64 {
        match self {
            Self::Accelerometer => 40.0,
            Self::Speed => 12.0,
        }
    }
}

/// Stretches that are one event, if one of them is long enough.
#[derive(Debug, Clone)]
struct Run {
    event: DrivingEvent,
    peak_mps2: f64,
    since: Timestamp,
    longest_us: i64,
}

impl Harsh {
    /// Takes the next reading of a trip.
    pub(super) fn add(&mut self, now: &Observation, parameters: &Parameters) {
        let has_sample = now.reading.accel_x_mps2.is_some() || now.reading.accel_y_mps2.is_some();
        let is_over = |held: &Observation| has_sample || now.ts().since_us(held.ts()) >= HOLD_US;
        if let Some(held) = self.accelerated.take_if(|held| is_over(held)) {
            self.add_accelerated(&held, now, parameters);
        }
        if has_sample {
            self.accelerated = Some(*now);
        }
        if self.accelerated.is_none() {
            self.add_speed(now, parameters);
        }
        if let Some(kmh) = now.measured_kmh {
            let same = self.speeds.back().filter(|last| last.kmh.total_cmp(&kmh).is_eq());
            let since = same.map_or(now.ts(), |last| last.since);
            self.speeds.push_back(Speed { ts: now.ts(), kmh, since });
            if self.speeds.len() > SPEEDS_LEN_MAX {
                self.speeds.pop_front();
            }
        }
        self.fix = now.reading.fix().or(self.fix);
    }

    fn add_accelerated(&mut self, held: &Observation, now: &Observation, parameters: &Parameters) {
        if [held, now].iter().all(|o| o.is_moving(parameters) != Some(true)) {
            return;
        }
        let (from, to) = (held.ts(), now.ts().min(held.ts().plus_us(HOLD_US)));
        let stretch =
            |mps2| Stretch { from, to, mps2, speed_kmh: held.speed_kmh, source: Source::Accelerometer };
        if let Some(mps2) = held.reading.accel_x_mps2 {
            self.take_along(stretch(mps2), parameters);
        }
        if let Some(mps2) = held.reading.accel_y_mps2 {
            self.take(ACROSS, stretch(mps2.abs()), parameters);
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "microseconds within a step fit a double")]
    fn add_speed(&mut self, now: &Observation, parameters: &Parameters) {
        let Some(kmh) = now.measured_kmh else { return };
        let before = self.speeds.iter().rev().find(|s| now.ts().since_us(s.ts) >= *STEP_US.start());
        let Some(&Speed { kmh: before_kmh, since, .. }) = before else { return };
        // Units that go on telling a frozen speed jump to the true one in the end: the step from a
        // speed told for long was made in all that time.
        if !STEP_US.contains(&now.ts().since_us(since)) {
            return;
        }
        let mps2 = (kmh - before_kmh) / 3.6 / (now.ts().since_us(since) as f64 / 1e6);
        let (to, speed_kmh) = (now.ts(), Some(before_kmh));
        let stretch = Stretch { from: since, to, mps2, speed_kmh, source: Source::Speed };
        self.take_along(stretch, parameters);
    }

    /// ISO 8855: x points forward.
    fn take_along(&mut self, stretch: Stretch, parameters: &Parameters) {
        let which = usize::from(stretch.mps2 < 0.0);
        self.take(which, Stretch { mps2: stretch.mps2.abs(), ..stretch }, parameters);
    }

    fn take(&mut self, which: usize, stretch: Stretch, parameters: &Parameters) {
        let [lowest, ..] = limits(parameters)[which];
        if !(lowest..=stretch.source.plausible_max_mps2()).contains(&stretch.mps2) {
            return;
        }
        let merge_us = micros(parameters.harsh_merge);
        let near = self.runs[which].take_if(|run| stretch.from.since_us(run.event.end_time) > merge_us);
        if let Some(over) = near {
            self.end(which, over, parameters);
        }
        let run = self.runs[which].get_or_insert_with(|| {
            let event = DrivingEvent::of(KINDS[which], stretch.from, stretch.from, stretch.source.as_str());
            Run {
                event: DrivingEvent { fix: self.fix, speed_kmh: stretch.speed_kmh, ..event },
                peak_mps2: 0.0,
                since: stretch.from,
                longest_us: 0,
            }
        });
        if stretch.from > run.event.end_time {
            run.since = stretch.from;
        }
        run.event.end_time = run.event.end_time.max(stretch.to);
        run.longest_us = run.longest_us.max(stretch.to.since_us(run.since));
        run.peak_mps2 = run.peak_mps2.max(stretch.mps2);
    }

    fn end(&mut self, which: usize, run: Run, parameters: &Parameters) {
        // Clocks of samples jitter: a tenth less will do.
        if run.longest_us.saturating_mul(10) < micros(parameters.harsh_min).saturating_mul(9) {
            return;
        }
        let [_, medium, high] = limits(parameters)[which];
        let severity = match run.peak_mps2 {
            peak if peak >= high => Severity::High,
            peak if peak >= medium => Severity::Medium,
            _ => Severity::Low,
        };
        self.events.push(DrivingEvent {
            severity: Some(severity),
            peak_mps2: Some(run.peak_mps2),
            ..run.event
        });
    }

    /// All of them, in no order.
    pub(super) fn finish(mut self, parameters: &Parameters) -> Vec<DrivingEvent> {
        for which in 0..KINDS.len() {
            if let Some(run) = self.runs[which].take() {
                self.end(which, run, parameters);
            }
        }
        self.events
    }
}

fn limits(parameters: &Parameters) -> [[f64; 3]; 3] {
    [parameters.harsh_accelerating_mps2, parameters.harsh_braking_mps2, parameters.harsh_cornering_mps2]
}
