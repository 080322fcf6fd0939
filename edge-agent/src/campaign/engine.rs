//! Campaigns at work: a pure function of the frames, so a log replayed twice gives the same.
//!
//! For each frame: grids that lie behind are sampled, what is known is brought up to date,
//! conditions that read it (or wait for the time) are run, triggered campaigns take what the
//! ring holds of the time before, and every collecting campaign takes the frame's samples. A
//! sample reaches a campaign once, whichever triggers overlap.
//!
//! Bounds: no allocation per frame once the ring is full; a ring, a state for each item.

use std::sync::Arc;

use wire::time::Timestamp;

use super::{
    budget::{Budget, Spent, cost},
    item::{ItemState, Taken},
    plan::{Plan, Trigger},
    program::{Known, View},
    ring::{Kept, Ring},
    set::Span,
};
use crate::{
    map::{MappedSample, RawValue},
    spool::{CatchUp, Lane},
};

/// Without any frame for so long the grids are not sampled.
const SILENCE_US: i64 = 5_000_000;
/// Rows of a campaign that are of no CAN message; 29-bit ids and the format bit leave it free.
const NO_MESSAGE: u32 = u32::MAX;

/// A sample a campaign takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Emitted {
    /// Samples of one group share a clock: the campaign, from 1, and the CAN message.
    pub(crate) group: (u32, u32),
    pub(crate) time: Timestamp,
    pub(crate) column_id: u32,
    pub(crate) value: RawValue,
}

/// What came of all frames so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    /// Triggers.
    pub triggers: u64,
    /// Triggers that came too soon after the last one.
    pub suppressed: u64,
    /// Triggers whose time before was no longer all in the ring.
    pub cut_short: u64,
    /// Samples taken.
    pub samples: u64,
    /// Samples not taken because of a daily cap.
    pub capped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Off,
    /// Triggered.
    On,
    /// The condition holds, but it came too soon.
    Suppressed,
}

#[derive(Debug, Default)]
struct CampaignState {
    phase: Phase,
    last_trigger: Option<Timestamp>,
    /// Collects until here, beside what `phase` says.
    collect_until: Option<Timestamp>,
    /// When a condition may become true by time alone.
    due: Option<Timestamp>,
    is_touched: bool,
    when_timers: Vec<Option<Timestamp>>,
    until_timers: Vec<Option<Timestamp>>,
    items: Vec<ItemState>,
    /// The number, in the ring, up to which this campaign has taken all it may.
    taken_until: u64,
}

/// Campaigns at work.
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Arc<Plan>,
    known: Vec<Option<Known>>,
    ring: Ring,
    states: Vec<CampaignState>,
    budget: Budget,
    /// By column, the last raw value, for the cost of the next.
    last_raw: Vec<i64>,
    counts: CampaignCounts,
    /// The number of the frame at hand, from 1.
    frame: u64,
    latest: Timestamp,
    /// The earliest grid point any item waits for.
    next_due: Timestamp,
    /// Time of the frame at hand.
    now: Timestamp,
    /// By campaign: until then nothing is emitted or spent, as it was before a restart.
    silent_until: Vec<Option<Timestamp>>,
}

impl Engine {
    pub(crate) fn new(plan: Arc<Plan>, spent: &Spent) -> Self {
        let len = plan.scales.len();
        let states = plan.campaigns.iter().map(|c| CampaignState {
            items: vec![ItemState::default(); c.items.len()],
            when_timers: timers(c.trigger.as_ref().map(|t| t.when.timer_count)),
            until_timers: timers(c.trigger.as_ref().and_then(|t| t.until.as_ref()).map(|p| p.timer_count)),
            ..CampaignState::default()
        });
        let ring_bytes_max = if plan.before_us_max > 0 { plan.bounds.ring_bytes_max } else { 0 };
        let all = plan.catalog.columns.last().map_or(0, |c| c.column_id as usize + 1);
        Self {
            last_raw: vec![0; all],
            known: vec![None; len],
            ring: Ring::new(ring_bytes_max),
            states: states.collect(),
            budget: Budget::resume(spent, names(&plan)),
            counts: CampaignCounts::default(),
            frame: 0,
            latest: Timestamp(i64::MIN),
            next_due: Timestamp(i64::MAX),
            now: Timestamp(i64::MIN),
            silent_until: Vec::new(),
            plan,
        }
    }

    pub(crate) fn collects_changes(&self) -> bool {
        self.plan.collects_changes
    }

    pub(crate) fn counts(&self) -> CampaignCounts {
        self.counts
    }

    pub(crate) fn spent(&self) -> Spent {
        self.budget.spent(names(&self.plan))
    }

    /// Bytes of its ring.
    #[cfg(test)]
    pub(crate) fn ring_bytes(&self) -> usize {
        self.ring.bytes()
    }

    /// Goes on where another engine was: what is known and kept, and the state of every campaign
    /// that is the same in both.
    pub(crate) fn adopt(&mut self, old: &mut Engine) {
        self.known.clone_from(&old.known);
        (self.counts, self.frame, self.latest) = (old.counts, old.frame, old.latest);
        self.budget = Budget::resume(&old.spent(), names(&self.plan));
        if self.plan.before_us_max > 0 {
            let oldest = Timestamp(i64::MIN);
            // Numbers go on, or a campaign would take twice what it has.
            self.ring.begin_at(old.ring.first());
            for kept in old.ring.since(0, oldest) {
                self.ring.push(kept, oldest);
            }
        }
        for (campaign, state) in self.plan.campaigns.iter().zip(&mut self.states) {
            let name = &campaign.definition.name;
            let Some(i) = old.plan.campaigns.iter().position(|c| c.definition.name == *name) else {
                continue;
            };
            if old.plan.campaigns[i].definition == campaign.definition {
                *state = std::mem::take(&mut old.states[i]);
            } else {
                // What its old form took goes by the same names, and is not taken again.
                state.taken_until = old.states[i].taken_until;
                state.last_trigger = old.states[i].last_trigger;
            }
        }
        self.plan_next_due();
    }

    /// The clock went back: what was before is of another time.
    pub(crate) fn reset(&mut self, sink: &mut dyn FnMut(Emitted)) {
        self.flush(sink);
        self.known.fill(None);
        self.ring.clear();
        for state in &mut self.states {
            *state = CampaignState {
                items: vec![ItemState::default(); state.items.len()],
                when_timers: vec![None; state.when_timers.len()],
                until_timers: vec![None; state.until_timers.len()],
                taken_until: self.ring.end(),
                ..CampaignState::default()
            };
        }
        self.latest = Timestamp(i64::MIN);
        self.next_due = Timestamp(i64::MAX);
    }

    /// Tells the intervals in progress as they are.
    pub(crate) fn flush(&mut self, sink: &mut dyn FnMut(Emitted)) {
        let plan = Arc::clone(&self.plan);
        for (c, campaign) in plan.campaigns.iter().enumerate() {
            for (i, item) in campaign.items.iter().enumerate() {
                let Some(state) = self.states.get_mut(c).and_then(|s| s.items.get_mut(i)) else { continue };
                let taken = state.end_interval(&item.rule);
                let at = self.latest;
                self.emit_all(c, at, taken, sink);
            }
        }
        self.plan_next_due();
    }

    /// The lane of each campaign's samples; `catch_up` is for those that say nothing.
    pub(crate) fn lanes(&self, catch_up: CatchUp) -> Vec<Lane> {
        let definitions = self.plan.campaigns.iter().map(|c| &c.definition);
        definitions.map(|d| Lane::Signals(d.priority, d.catch_up.unwrap_or(catch_up))).collect()
    }

    /// Up to those times, by campaign, it only learns.
    pub(crate) fn be_silent_until(&mut self, times: Vec<Option<Timestamp>>) {
        self.silent_until = times;
    }

    fn is_silent(&self, c: usize) -> bool {
        self.silent_until.get(c).copied().flatten().is_some_and(|until| self.now <= until)
    }

    /// Takes the samples of one frame.
    pub(crate) fn observe(
        &mut self,
        time: Timestamp,
        message: u32,
        samples: &[MappedSample],
        sink: &mut dyn FnMut(Emitted),
    ) {
        let plan = Arc::clone(&self.plan);
        self.now = time;
        self.frame += 1;
        if self.next_due <= time {
            self.sample_grids(&plan, time, sink);
        }
        self.latest = self.latest.max(time);
        for sample in samples {
            self.learn(&plan, time, sample);
        }
        for c in 0..plan.campaigns.len() {
            if self.states[c].is_touched || self.states[c].due.is_some_and(|due| due <= time) {
                self.states[c].is_touched = false;
                self.decide(&plan, c, time, sink);
            }
        }
        for sample in samples {
            let Some(routes) = plan.routes.get(sample.column_id as usize) else { continue };
            for &(c, i) in routes {
                if self.is_collecting(&plan, c, time) {
                    self.offer(&plan, (c, i), message, time, sample.value, sink);
                }
            }
            if plan.is_in_ring[sample.column_id as usize] {
                let kept = Kept { time, message, source: sample.column_id, value: sample.value };
                self.ring.push(kept, self.latest.plus_us(-plan.before_us_max));
            }
        }
        if plan.before_us_max > 0 {
            for c in 0..plan.campaigns.len() {
                if self.is_collecting(&plan, c, time) {
                    self.states[c].taken_until = self.ring.end();
                }
            }
        }
    }

    fn learn(&mut self, plan: &Plan, time: Timestamp, sample: &MappedSample) {
        let column = sample.column_id as usize;
        let Some(known) = self.known.get_mut(column) else { return };
        let value = scaled(sample.value, plan.scales[column]);
        let changed_by = match known {
            #[allow(clippy::float_cmp, reason = "the same value, not a near one")]
            Some(k) if k.value != value => self.frame,
            Some(k) => k.changed_by,
            None => 0,
        };
        *known = Some(Known { raw: sample.value, value, time, changed_by });
        for &c in &plan.watchers[column] {
            self.states[c].is_touched = true;
        }
    }

    /// Runs the conditions of a campaign.
    fn decide(&mut self, plan: &Plan, c: usize, time: Timestamp, sink: &mut dyn FnMut(Emitted)) {
        let campaign = &plan.campaigns[c];
        let Some(trigger) = &campaign.trigger else { return };
        let state = &mut self.states[c];
        let view = View { known: &self.known, now: time, stale_us: campaign.stale_us, frame: self.frame };
        let when = trigger.when.run(&view, &mut state.when_timers);
        let until = trigger.until.as_ref().map(|p| p.run(&view, &mut state.until_timers));
        let ends = !when.is_true && until.is_none_or(|u| u.is_true);
        state.due = match (when.due, until.and_then(|u| u.due)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if when.is_true {
            // By silence alone it becomes unknown.
            let heard =
                trigger.when.reads.iter().filter_map(|r| self.known.get(*r as usize).copied().flatten());
            let ages = heard.map(|k| k.time.plus_us(campaign.stale_us + 1)).filter(|at| *at > time);
            state.due = ages.chain(state.due).min();
        }
        match state.phase {
            Phase::Off if when.is_true && (campaign.not_before..campaign.not_after).contains(&time) => {
                let waited = state.last_trigger.map(|last| time.since_us(last));
                if waited.is_some_and(|us| us < trigger.min_interval_us) {
                    state.phase = Phase::Suppressed;
                    self.counts.suppressed += u64::from(!self.is_silent(c));
                } else {
                    self.begin(plan, c, trigger, time, sink);
                }
            }
            Phase::On if ends => {
                state.phase = Phase::Off;
                if campaign.definition.span == Span::While {
                    state.collect_until = Some(time.plus_us(trigger.after_us));
                }
            }
            Phase::Suppressed if ends => state.phase = Phase::Off,
            _ => {}
        }
    }

    /// A trigger: tells it and takes what came before.
    fn begin(
        &mut self,
        plan: &Plan,
        c: usize,
        trigger: &Trigger,
        time: Timestamp,
        sink: &mut dyn FnMut(Emitted),
    ) {
        self.counts.triggers += u64::from(!self.is_silent(c));
        let was_collecting = self.is_collecting(plan, c, time);
        let state = &mut self.states[c];
        state.phase = Phase::On;
        state.last_trigger = Some(time);
        state.collect_until = Some(time.plus_us(trigger.after_us));
        let told = Taken { column_id: trigger.column_id, value: RawValue::Raw(1) };
        self.emit(c, NO_MESSAGE, time, told, sink);
        if was_collecting {
            return;
        }
        let oldest = time.plus_us(-trigger.before_us);
        for state in &mut self.states[c].items {
            state.begin();
        }
        if trigger.before_us > 0 {
            self.counts.cut_short += u64::from(!self.is_silent(c) && self.ring.is_short_of(oldest));
            let from = self.states[c].taken_until;
            // The ring is taken out for a moment, since what it gives goes back into `self`.
            let ring = std::mem::take(&mut self.ring);
            for kept in ring.since(from, oldest) {
                for &(campaign, i) in &plan.routes[kept.source as usize] {
                    if campaign == c {
                        self.offer(plan, (c, i), kept.message, kept.time, kept.value, sink);
                    }
                }
            }
            self.ring = ring;
        } else {
            for (i, item) in plan.campaigns[c].items.iter().enumerate() {
                let known = self.known.get(item.source as usize).copied().flatten();
                let last = known.map(|k| (k.time, k.raw, k.value));
                self.states[c].items[i].begin_grid(&item.rule, time, last);
            }
        }
        self.plan_next_due();
    }

    /// Whether a campaign collects at that moment.
    fn is_collecting(&self, plan: &Plan, c: usize, time: Timestamp) -> bool {
        let (campaign, state) = (&plan.campaigns[c], &self.states[c]);
        let is_within = (campaign.not_before..campaign.not_after).contains(&time);
        let Some(_) = campaign.trigger else { return is_within };
        let is_held = campaign.definition.span == Span::While && state.phase == Phase::On;
        is_within && (is_held || state.collect_until.is_some_and(|until| time < until))
    }

    fn offer(
        &mut self,
        plan: &Plan,
        (c, i): (usize, usize),
        message: u32,
        time: Timestamp,
        value: RawValue,
        sink: &mut dyn FnMut(Emitted),
    ) {
        let item = &plan.campaigns[c].items[i];
        let number = scaled(value, plan.scales[item.source as usize]);
        // A grid that lies behind, of a sample from the ring.
        while let Some(due) = self.states[c].items[i].due().filter(|due| *due <= time) {
            self.sample_grid(plan, (c, i), due, time, sink);
        }
        let state = &mut self.states[c].items[i];
        let taken = state.offer(&item.rule, time, value, number);
        if let Some(due) = state.due() {
            self.next_due = self.next_due.min(due);
        }
        if let Some(taken) = taken {
            self.emit(c, message, time, taken, sink);
        }
    }

    /// Samples every grid point before `time`, the earliest first.
    fn sample_grids(&mut self, plan: &Plan, time: Timestamp, sink: &mut dyn FnMut(Emitted)) {
        while self.next_due <= time {
            let at = self.next_due;
            for (c, campaign) in plan.campaigns.iter().enumerate() {
                for i in 0..campaign.items.len() {
                    if self.states[c].items[i].due() == Some(at) {
                        self.sample_grid(plan, (c, i), at, time, sink);
                    }
                }
            }
            self.plan_next_due();
        }
    }

    fn sample_grid(
        &mut self,
        plan: &Plan,
        (c, i): (usize, usize),
        at: Timestamp,
        now: Timestamp,
        sink: &mut dyn FnMut(Emitted),
    ) {
        let campaign = &plan.campaigns[c];
        let rule = &campaign.items[i].rule;
        let is_collecting = self.is_collecting(plan, c, at);
        let is_heard = at <= self.latest.plus_us(SILENCE_US);
        let state = &mut self.states[c].items[i];
        let taken = state.end_interval(rule);
        let last = state.last_before(at, campaign.stale_us);
        state.next_grid(rule, if is_heard { at } else { now }, is_collecting);
        if let (Some(value), true, Some(column_id)) = (last, is_collecting && is_heard, rule.grid_column()) {
            self.emit(c, NO_MESSAGE, at, Taken { column_id, value }, sink);
        }
        self.emit_all(c, at, taken, sink);
    }

    fn emit_all(
        &mut self,
        c: usize,
        time: Timestamp,
        taken: [Option<Taken>; 3],
        sink: &mut dyn FnMut(Emitted),
    ) {
        for taken in taken.into_iter().flatten() {
            self.emit(c, NO_MESSAGE, time, taken, sink);
        }
    }

    fn emit(&mut self, c: usize, message: u32, time: Timestamp, taken: Taken, sink: &mut dyn FnMut(Emitted)) {
        if self.is_silent(c) {
            return;
        }
        let campaign = &self.plan.campaigns[c];
        let cost = cost(taken.value, &mut self.last_raw[taken.column_id as usize]);
        let share = campaign.definition.priority.share_percent();
        let set_max = self.plan.bounds.bytes_per_day_max / 100 * share;
        if !self.budget.spend(self.latest, c, cost, (campaign.bytes_per_day_max, set_max)) {
            self.counts.capped += 1;
            return;
        }
        self.counts.samples += 1;
        let group = (u32::try_from(c).unwrap_or(u32::MAX).saturating_add(1), message);
        sink(Emitted { group, time, column_id: taken.column_id, value: taken.value });
    }

    fn plan_next_due(&mut self) {
        let dues = self.states.iter().flat_map(|s| s.items.iter().filter_map(ItemState::due));
        self.next_due = dues.min().unwrap_or(Timestamp(i64::MAX));
    }
}

fn timers(count: Option<u16>) -> Vec<Option<Timestamp>> {
    vec![None; usize::from(count.unwrap_or(0))]
}

fn names(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    plan.campaigns.iter().map(|c| c.definition.name.clone())
}

#[allow(clippy::cast_precision_loss, reason = "as ingest scales it")]
fn scaled(value: RawValue, (scale, offset): (f64, f64)) -> f64 {
    match value {
        RawValue::Raw(raw) => raw as f64 * scale + offset,
        RawValue::Number(number) => number,
    }
}
