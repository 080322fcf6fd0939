//! A level that rises or falls by more than its noise, and stays there.

use wire::time::Timestamp;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Refuels, charging.
    Up,
    /// Theft.
    Down,
}

/// What counts as a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepRule {
    pub(super) direction: Direction,
    /// Less is none.
    pub(super) min_pct: f64,
    /// Less is noise.
    pub(super) noise_pct: f64,
    /// It is over when the level has not moved on for so long.
    pub(super) settle_us: i64,
}

/// A value of a level. `mark` is a sum that runs beside it (energy, time): a step tells by how
/// much it grew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) ts: Timestamp,
    pub(super) pct: f64,
    pub(super) mark: f64,
}

/// A step that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// The last sample before it.
    pub(super) from: Sample,
    /// The sample with which it had gone as far as it went.
    pub(super) to: Sample,
}

/// Follows one level.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    rule: StepRule,
    base: Option<Sample>,
    peak: Option<Sample>,
    done: Vec<Step>,
}

impl Steps {
    pub(super) fn new(rule: StepRule) -> Self {
        Self { rule, base: None, peak: None, done: Vec::new() }
    }

    /// How far `to` is beyond `from`, in the step's direction.
    fn beyond_pct(&self, from: &Sample, to: &Sample) -> f64 {
        match self.rule.direction {
            Direction::Up => to.pct - from.pct,
            Direction::Down => from.pct - to.pct,
        }
    }

    /// Takes the level here as it is, without a step to it.
    pub(super) fn rebase(&mut self, sample: Sample) {
        self.end();
        self.base = Some(sample);
    }

    /// Takes the next sample.
    pub(super) fn add(&mut self, sample: Sample) {
        let Some(base) = self.base else {
            self.base = Some(sample);
            return;
        };
        if let Some(peak) = self.peak {
            let further_pct = self.beyond_pct(&peak, &sample);
            if further_pct > 0.0 {
                if sample.ts.since_us(peak.ts) < self.rule.settle_us {
                    self.peak = Some(sample);
                    return;
                }
            } else if further_pct > -self.rule.noise_pct && sample.ts.since_us(peak.ts) < self.rule.settle_us
            {
                return;
            }
            // Over. What comes now is measured from where the step ended.
            self.end();
            self.add(sample);
            return;
        }
        let beyond_pct = self.beyond_pct(&base, &sample);
        if beyond_pct >= self.rule.min_pct {
            self.peak = Some(sample);
        } else if beyond_pct <= 0.0 {
            self.base = Some(sample);
        } else if beyond_pct < self.rule.noise_pct {
            // Still there, so the step begins later.
            self.base = Some(Sample { pct: base.pct, ..sample });
        }
    }

    fn end(&mut self) {
        if let (Some(from), Some(to)) = (self.base, self.peak.take()) {
            self.done.push(Step { from, to });
            self.base = Some(to);
        }
    }

    /// What is over so far.
    pub(super) fn done(&self) -> &[Step] {
        &self.done
    }

    /// No more samples.
    pub(super) fn finish(mut self) -> Vec<Step> {
        self.end();
        self.done
    }
}

/// Samples of a level so far apart that a wave in the tank is in one of them only.
const SPACING_US: i64 = 10_000_000;
const MEDIAN_OF: usize = 5;

/// The median of the last samples of a level, taken some seconds apart: fuel sloshes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Smoothed {
    last: Option<Timestamp>,
    values: [f64; MEDIAN_OF],
    len: usize,
    taken: usize,
}

impl Smoothed {
    /// Takes a value; says the level when the value was far enough from the one before.
    pub(super) fn add(&mut self, ts: Timestamp, pct: Option<f64>) -> Option<f64> {
        let pct = pct.filter(|v| (0.0..=100.0).contains(v))?;
        if self.last.is_some_and(|last| ts.since_us(last) < SPACING_US) {
            return None;
        }
        self.last = Some(ts);
        self.values[self.taken % MEDIAN_OF] = pct;
        self.taken += 1;
        self.len = self.taken.min(MEDIAN_OF);
        self.level_pct()
    }

    /// As many as are needed.
    pub(super) fn is_full(&self) -> bool {
        self.len == MEDIAN_OF
    }

    /// The level now.
    pub(super) fn level_pct(&self) -> Option<f64> {
        let mut sorted = self.values;
        let known = sorted.get_mut(..self.len)?;
        known.sort_by(f64::total_cmp);
        // Of two in the middle the lower: a real value, not a mean.
        known.get(self.len.checked_sub(1)? / 2).copied()
    }
}
