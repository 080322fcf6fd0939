//! One signal of one campaign: which of its samples are taken.

use wire::time::Timestamp;

use super::{plan::Rule, program::exceeds, set::Aggregate};
use crate::map::RawValue;

/// A sample as taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Taken {
    pub(super) column_id: u32,
    pub(super) value: RawValue,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ItemState {
    /// The last sample taken, by its number in the signal's unit; for grids the last one offered.
    last: Option<(Timestamp, RawValue, f64)>,
    /// Samples passed over since one was taken.
    passed_over: u32,
    /// The grid point it waits for.
    due: Option<Timestamp>,
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
}

impl Rule {
    /// The column of a value sampled on a grid.
    pub(super) fn grid_column(&self) -> Option<u32> {
        match self {
            Rule::Every { column_id, .. } => Some(*column_id),
            _ => None,
        }
    }
}

impl ItemState {
    /// A campaign begins to collect; an interval in progress goes on.
    pub(super) fn begin(&mut self) {
        self.last = None;
        self.passed_over = 0;
        if self.count == 0 {
            self.due = None;
        }
    }

    /// Begins a grid at once, with a value heard before.
    pub(super) fn begin_grid(
        &mut self,
        rule: &Rule,
        now: Timestamp,
        last: Option<(Timestamp, RawValue, f64)>,
    ) {
        if let Rule::Every { interval_us, .. } = rule {
            self.last = last;
            self.due = Some(grid_from(now, *interval_us));
        }
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Takes a sample, or what it stands for later.
    pub(super) fn offer(
        &mut self,
        rule: &Rule,
        time: Timestamp,
        value: RawValue,
        number: f64,
    ) -> Option<Taken> {
        match rule {
            Rule::All { column_id, one_of, min_interval_us } => {
                let is_first = self.last.is_none();
                self.passed_over += 1;
                if !is_first && (self.passed_over < *one_of || self.is_too_soon(time, *min_interval_us)) {
                    return None;
                }
                self.passed_over = 0;
                self.last = Some((time, value, number));
                Some(Taken { column_id: *column_id, value })
            }
            Rule::Change { column_id, dead_band, min_interval_us } => {
                let is_change =
                    self.last.is_none_or(|(_, _, last)| exceeds((number - last).abs(), *dead_band));
                if !is_change || self.is_too_soon(time, *min_interval_us) {
                    return None;
                }
                self.last = Some((time, value, number));
                Some(Taken { column_id: *column_id, value })
            }
            Rule::Every { interval_us, .. } => {
                if self.due.is_none() {
                    // A sample at a grid point is known from the next one on.
                    self.due = Some(grid_after(time, *interval_us));
                }
                self.last = Some((time, value, number));
                None
            }
            Rule::Aggregate { interval_us, .. } => {
                if self.count == 0 {
                    self.due = Some(grid_after(time, *interval_us));
                    (self.sum, self.min, self.max) = (0.0, number, number);
                }
                self.count += 1;
                self.sum += number;
                self.min = self.min.min(number);
                self.max = self.max.max(number);
                None
            }
        }
    }

    /// A clock that went back a little is not waited for.
    fn is_too_soon(&self, time: Timestamp, min_interval_us: i64) -> bool {
        self.last.is_some_and(|(last, ..)| (0..min_interval_us).contains(&time.since_us(last)))
    }

    /// What the samples of the interval amount to; a new one begins.
    pub(super) fn end_interval(&mut self, rule: &Rule) -> [Option<Taken>; 3] {
        let mut taken = [None; 3];
        if let (Rule::Aggregate { columns, .. }, 1..) = (rule, self.count) {
            for (taken, (aggregate, column_id)) in taken.iter_mut().zip(columns) {
                let number = match aggregate {
                    Aggregate::Min => self.min,
                    Aggregate::Mean => self.sum / f64::from(self.count),
                    Aggregate::Max => self.max,
                };
                *taken = Some(Taken { column_id: *column_id, value: RawValue::Number(number) });
            }
            self.count = 0;
            self.due = None;
        }
        taken
    }

    /// The last value heard, unless it is too old.
    pub(super) fn last_before(&self, at: Timestamp, stale_us: i64) -> Option<RawValue> {
        self.last.filter(|(time, ..)| at.since_us(*time) <= stale_us).map(|(_, value, _)| value)
    }

    /// Waits for the next point after `resume_at`.
    pub(super) fn next_grid(&mut self, rule: &Rule, resume_at: Timestamp, is_collecting: bool) {
        if let Rule::Every { interval_us, .. } = rule {
            self.due = is_collecting.then(|| grid_after(resume_at, *interval_us));
        }
    }
}

/// The first multiple of `interval_us` after `time`.
fn grid_after(time: Timestamp, interval_us: i64) -> Timestamp {
    Timestamp(time.0.div_euclid(interval_us).saturating_add(1).saturating_mul(interval_us))
}

/// The first multiple of `interval_us` that is not before `time`.
fn grid_from(time: Timestamp, interval_us: i64) -> Timestamp {
    grid_after(time.plus_us(-1), interval_us)
}
