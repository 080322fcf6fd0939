//! The batch in progress of each lane.

use std::{collections::BTreeMap, iter};

use wire::{
    batch::{Column, Group, Table, Values},
    catalog::ValueKind,
    time::Timestamp,
};

use super::{Cut, SAMPLES_PER_BATCH_MAX};
use crate::{
    campaign::engine::Emitted,
    map::{MappedSample, RawValue},
    spool::{CatchUp, Lane},
};

/// Values of one column in progress.
#[derive(Debug)]
struct Cells {
    /// Rows that have a value, and the values, in order.
    rows: Vec<usize>,
    values: Values,
}

impl Cells {
    fn of_kind(is_number: bool) -> Self {
        let values = if is_number { Values::Number(Vec::new()) } else { Values::Raw(Vec::new()) };
        Self { rows: Vec::new(), values }
    }

    /// A value of the other kind than the column's is not taken; `false` then.
    fn push(&mut self, row: usize, value: RawValue) -> bool {
        match (&mut self.values, value) {
            (Values::Raw(values), RawValue::Raw(raw)) => values.push(raw),
            (Values::Number(values), RawValue::Number(number)) => values.push(number),
            _ => return false,
        }
        self.rows.push(row);
        true
    }

    fn take(&mut self, column_id: u32, row_count: usize) -> Option<Column> {
        if self.rows.is_empty() {
            return None;
        }
        let mut present = vec![false; row_count];
        for row in self.rows.drain(..) {
            if let Some(cell) = present.get_mut(row) {
                *cell = true;
            }
        }
        let values = match &mut self.values {
            Values::Raw(v) => Values::Raw(std::mem::take(v)),
            Values::Number(v) => Values::Number(std::mem::take(v)),
            Values::Text(v) => Values::Text(std::mem::take(v)),
        };
        Some(Column { column_id, present: present.into_iter().collect(), values })
    }
}

/// What batches in progress share.
#[derive(Debug, Default)]
struct Progress {
    window: i64,
    sample_count: u64,
    first_time: Option<Timestamp>,
    last_time: Timestamp,
}

impl Progress {
    fn take_row(&mut self, time: Timestamp, window: i64, samples: u64) {
        match self.first_time {
            None => (self.window, self.first_time, self.last_time) = (window, Some(time), time),
            Some(first) => {
                self.first_time = Some(first.min(time));
                self.last_time = self.last_time.max(time);
            }
        }
        self.sample_count += samples;
    }

    fn is_due(&self, window: i64) -> bool {
        self.first_time.is_some() && self.window < window
    }

    fn cut(&mut self, lane: Lane, groups: impl FnOnce(Timestamp) -> Vec<Group>) -> Option<Cut> {
        let base_time = self.first_time.take()?;
        let (last_time, sample_count) = (self.last_time, std::mem::take(&mut self.sample_count));
        Some(Cut { lane, base_time, last_time, sample_count, groups: groups(base_time) })
    }
}

fn after(base: Timestamp, times: &mut Vec<Timestamp>) -> Vec<i64> {
    times.drain(..).map(|t| t.since_us(base)).collect()
}

/// The readings batch: one group, a row an instant.
#[derive(Debug)]
pub(super) struct ReadingsLane {
    progress: Progress,
    times: Vec<Timestamp>,
    columns: Vec<(u32, Cells)>,
}

impl ReadingsLane {
    pub(super) fn new(columns: Vec<(u32, ValueKind)>) -> Self {
        let columns =
            columns.into_iter().map(|(id, kind)| (id, Cells::of_kind(kind == ValueKind::Number))).collect();
        Self { progress: Progress::default(), times: Vec::new(), columns }
    }

    pub(super) fn is_due(&self, window: i64) -> bool {
        self.progress.is_due(window)
    }

    pub(super) fn sample_count(&self) -> u64 {
        self.progress.sample_count
    }

    /// Adds a row of what `value` gives; none when it gives nothing.
    pub(super) fn take_row(&mut self, time: Timestamp, window: i64, value: impl Fn(u32) -> Option<RawValue>) {
        let row = self.times.len();
        let mut samples = 0;
        for (column_id, cells) in &mut self.columns {
            if let Some(value) = value(*column_id) {
                samples += u64::from(cells.push(row, value));
            }
        }
        if samples > 0 {
            self.times.push(time);
            self.progress.take_row(time, window, samples);
        }
    }

    pub(super) fn cut(&mut self) -> Option<Cut> {
        let (times, columns) = (&mut self.times, &mut self.columns);
        self.progress.cut(Lane::Readings, |base| {
            let rows = times.len();
            let columns = columns.iter_mut().filter_map(|(id, cells)| cells.take(*id, rows)).collect();
            vec![Group { table: Table::Readings, times_us: after(base, times), columns }]
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Last {
    value: RawValue,
    time: Timestamp,
}

#[derive(Debug, Default)]
struct MessageRows {
    times: Vec<Timestamp>,
    columns: BTreeMap<u32, Cells>,
}

/// The signals batches: that of what changes, and one for each other lane that campaigns ask for.
#[derive(Debug)]
pub(super) struct SignalsLanes {
    pub(super) changes: SignalsLane,
    campaigns: Vec<SignalsLane>,
    /// By campaign: which of `campaigns`; none: it shares that of what changes.
    places: Vec<Option<usize>>,
}

impl SignalsLanes {
    pub(super) fn new(catch_up: CatchUp, column_count: usize) -> Self {
        let lane = Lane::of(Table::Signals, catch_up);
        Self { changes: SignalsLane::new(lane, column_count), campaigns: Vec::new(), places: Vec::new() }
    }

    /// From now on campaigns are these, by the lane of each. Nothing may be in progress.
    pub(super) fn install(&mut self, lanes: &[Lane]) {
        self.campaigns.clear();
        self.places.clear();
        for &lane in lanes {
            if lane == self.changes.lane {
                self.places.push(None);
                continue;
            }
            let known = self.campaigns.iter().position(|c| c.lane == lane);
            self.places.push(Some(known.unwrap_or(self.campaigns.len())));
            if known.is_none() {
                self.campaigns.push(SignalsLane::new(lane, 0));
            }
        }
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut SignalsLane> {
        iter::once(&mut self.changes).chain(&mut self.campaigns)
    }

    /// Takes a campaign's sample into the batch of the frame at hand, cut when it is full.
    pub(super) fn take(&mut self, emitted: Emitted, window: i64, out: &mut Vec<Cut>) {
        let campaign = emitted.group.0.checked_sub(1).and_then(|c| usize::try_from(c).ok());
        let place = campaign.and_then(|c| self.places.get(c).copied().flatten());
        let signals = match place.and_then(|place| self.campaigns.get_mut(place)) {
            Some(signals) => signals,
            None => &mut self.changes,
        };
        if signals.is_due(window) {
            out.extend(signals.cut());
        }
        signals.push(emitted, window);
        if signals.sample_count() >= SAMPLES_PER_BATCH_MAX {
            out.extend(signals.cut());
        }
    }
}

/// A signals batch: a group a CAN message, a row a frame that changed something.
#[derive(Debug)]
pub(super) struct SignalsLane {
    lane: Lane,
    progress: Progress,
    /// By who asked (0: the default collection; campaigns from 1) and CAN message.
    messages: BTreeMap<(u32, u32), MessageRows>,
    last: Vec<Option<Last>>,
    /// The changed samples of the frame at hand.
    row: Vec<MappedSample>,
}

impl SignalsLane {
    fn new(lane: Lane, column_count: usize) -> Self {
        Self {
            lane,
            progress: Progress::default(),
            messages: BTreeMap::new(),
            last: vec![None; column_count],
            row: Vec::new(),
        }
    }

    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    pub(super) fn is_due(&self, window: i64) -> bool {
        self.progress.is_due(window)
    }

    pub(super) fn sample_count(&self) -> u64 {
        self.progress.sample_count
    }

    /// Whether the sample is a change worth keeping; if so it is part of the row at hand.
    pub(super) fn offer(
        &mut self,
        time: Timestamp,
        _message: u32,
        sample: &MappedSample,
        min_interval_us: i64,
    ) -> bool {
        let Some(last) = self.last.get_mut(sample.column_id as usize) else { return false };
        let is_kept = last.is_none_or(|l| {
            let waited_us = time.since_us(l.time);
            // A clock that went back starts anew.
            !is_same(l.value, sample.value) && !(0..min_interval_us).contains(&waited_us)
        });
        if is_kept {
            *last = Some(Last { value: sample.value, time });
            self.row.push(*sample);
        }
        is_kept
    }

    /// Adds the row at hand, or only forgets it.
    pub(super) fn take_row(&mut self, time: Timestamp, message: u32, window: i64, is_kept: bool) {
        if !is_kept {
            self.row.clear();
            return;
        }
        let rows = self.messages.entry((0, message)).or_default();
        let row = rows.times.len();
        rows.times.push(time);
        let mut samples = 0;
        for sample in self.row.drain(..) {
            let is_number = matches!(sample.value, RawValue::Number(_));
            let cells = rows.columns.entry(sample.column_id).or_insert_with(|| Cells::of_kind(is_number));
            // A multiplexed frame has a column once; a second value would have no row.
            if cells.rows.last() != Some(&row) {
                samples += u64::from(cells.push(row, sample.value));
            }
        }
        self.progress.take_row(time, window, samples);
    }

    /// Adds a campaign's sample, to the row before where that is of the same time.
    pub(super) fn push(&mut self, emitted: Emitted, window: i64) {
        let rows = self.messages.entry(emitted.group).or_default();
        let is_number = matches!(emitted.value, RawValue::Number(_));
        let cells = rows.columns.entry(emitted.column_id).or_insert_with(|| Cells::of_kind(is_number));
        let last = rows.times.len().checked_sub(1);
        let shares_row = rows.times.last() == Some(&emitted.time) && cells.rows.last().copied() != last;
        if !shares_row {
            rows.times.push(emitted.time);
        }
        let samples = u64::from(cells.push(rows.times.len() - 1, emitted.value));
        self.progress.take_row(emitted.time, window, samples);
    }

    pub(super) fn cut(&mut self) -> Option<Cut> {
        let (lane, messages) = (self.lane, &mut self.messages);
        self.progress.cut(lane, |base| {
            let with_rows = messages.values_mut().filter(|m| !m.times.is_empty());
            with_rows
                .map(|message| {
                    let rows = message.times.len();
                    let columns =
                        message.columns.iter_mut().filter_map(|(id, cells)| cells.take(*id, rows)).collect();
                    Group { table: Table::Signals, times_us: after(base, &mut message.times), columns }
                })
                .collect()
        })
    }
}

fn is_same(a: RawValue, b: RawValue) -> bool {
    match (a, b) {
        (RawValue::Raw(a), RawValue::Raw(b)) => a == b,
        (RawValue::Number(a), RawValue::Number(b)) => a.to_bits() == b.to_bits(),
        _ => false,
    }
}
