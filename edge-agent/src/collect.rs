//! From samples to batches: which samples are kept, and where one batch ends.
//!
//! `readings`: the state of the vehicle at each whole second of event time while signals
//! arrive, every 30 s when it has been parked for two minutes. `signals`: each change, no more
//! often than the map's interval, columns of one CAN message on one clock. Batches end at
//! multiples of `batch_interval` of event time, or at [`SAMPLES_PER_BATCH_MAX`]: a pure
//! function of the frames, so a log replayed twice makes the same batches. `diagnostics`: each
//! event of a fault, in a batch of its own at once.
//!
//! Campaigns add samples of their own to `signals`; the default collection is the same with and
//! without them.
//!
//! A clock that goes back by more than a second ends the batches and collection goes on from
//! there; late data is legal. Bounds: one batch a lane in memory.

mod faults;
mod identity;
mod lanes;
#[cfg(test)]
mod tests;

pub use faults::FaultColumns;
pub use identity::{VinColumn, is_vin};

use std::time::Duration;

use service::clock::micros;
use wire::{
    batch::{Group, Table},
    catalog::Catalog,
    readings,
    time::Timestamp,
};

use crate::{
    campaign::{CampaignCounts, Spent, engine::Engine},
    map::{MappedSample, RawValue},
    spool::{CatchUp, Lane},
};
use lanes::{ReadingsLane, SignalsLane, SignalsLanes};

/// Most samples in one batch: at twenty bytes a sample, the worst there is, the payload stays
/// below what brokers let through.
pub const SAMPLES_PER_BATCH_MAX: u64 = 10_000;
/// Time between readings of a moving vehicle.
const READING_US: i64 = 1_000_000;
/// Time between readings of a parked vehicle.
const PARKED_READING_US: i64 = 30_000_000;
/// Time at rest, engine off, after which a vehicle is parked.
const PARKED_AFTER_US: i64 = 120_000_000;
/// Frames of two interfaces may be out of order by so much.
const DISORDER_US: i64 = 1_000_000;
/// Without any signal for so long there are no readings.
const SILENCE_US: i64 = 5_000_000;
/// Below this a vehicle stands.
const STANDING_KMH: f64 = 1.0;

/// How samples are collected.
#[derive(Debug, Clone, Copy)]
pub struct CollectSettings {
    /// Event time in one batch.
    pub batch_interval: Duration,
    /// Least time between two samples of one signal in `signals`, where the map says nothing.
    pub signal_interval: Duration,
    /// What is sent first after an outage, of what changes and of campaigns that say nothing.
    pub catch_up: CatchUp,
}

impl Default for CollectSettings {
    fn default() -> Self {
        Self {
            batch_interval: Duration::from_secs(10),
            signal_interval: Duration::from_millis(100),
            catch_up: CatchUp::OldestFirst,
        }
    }
}

/// The content of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// Where it goes.
    pub lane: Lane,
    /// Time of its first sample; the groups' times are after it.
    pub base_time: Timestamp,
    /// Time of its last sample.
    pub last_time: Timestamp,
    /// Values in it.
    pub sample_count: u64,
    /// The samples.
    pub groups: Vec<Group>,
}

/// What is known of one column id.
#[derive(Debug, Clone, Copy)]
struct Known {
    value: RawValue,
    time: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct ColumnRule {
    table: Table,
    /// Older values are not part of a reading.
    max_age_us: i64,
    /// Least time between two samples in `signals`.
    min_interval_us: i64,
    /// Of the scaled value.
    scale: f64,
    offset: f64,
}

/// Columns that tell whether the vehicle is in use.
#[derive(Debug, Clone, Copy, Default)]
struct Roles {
    speed: Option<usize>,
    ignition: Option<usize>,
    engine_speed: Option<usize>,
}

/// Collects the samples of one vehicle.
#[derive(Debug)]
pub struct Collector {
    interval_us: i64,
    catch_up: CatchUp,
    rules: Vec<Option<ColumnRule>>,
    known: Vec<Option<Known>>,
    roles: Roles,
    readings: ReadingsLane,
    signals: SignalsLanes,
    engine: Option<Engine>,
    /// Samples up to here are in the spool already, by [`Lane::ALL`].
    resume_after: [Option<Timestamp>; Lane::COUNT],
    /// The latest frame, since the clock last went back.
    latest: Option<Timestamp>,
    /// The next whole second to read the state at.
    next_reading: Timestamp,
    last_active: Timestamp,
}

/// How old a value may be to be part of a reading: levels, counters and temperatures change
/// slowly and are sent rarely; motion does not.
fn max_age_us(column: &str) -> i64 {
    match column {
        "odometer_km"
        | "coolant_temperature_c"
        | "fuel_level_pct"
        | "fuel_used_l"
        | "soc_pct"
        | "energy_used_kwh"
        | "ambient_temperature_c"
        | "load_kg" => 120_000_000,
        "ignition_on" => 30_000_000,
        _ => SILENCE_US,
    }
}

impl Collector {
    /// A collector of the columns of `catalog`. `min_interval` says what the map asks of a
    /// column id; `resume_after` what each lane has in the spool already.
    pub fn new(
        catalog: &Catalog,
        settings: CollectSettings,
        min_interval: impl Fn(u32) -> Option<Duration>,
        resume_after: [Option<Timestamp>; Lane::COUNT],
    ) -> Self {
        let len = catalog.columns.last().map_or(0, |c| c.column_id as usize + 1);
        let mut rules = vec![None; len];
        let (mut roles, mut reading_columns) = (Roles::default(), Vec::new());
        for column in &catalog.columns {
            let index = column.column_id as usize;
            let name = readings::column_of_signal(&column.signal).and_then(|i| readings::COLUMNS.get(i));
            rules[index] = Some(ColumnRule {
                table: column.table,
                max_age_us: name.map_or(SILENCE_US, |c| max_age_us(c.name)),
                min_interval_us: micros(min_interval(column.column_id).unwrap_or(settings.signal_interval)),
                scale: column.scale,
                offset: column.offset,
            });
            if column.table == Table::Readings {
                reading_columns.push((column.column_id, column.kind));
            }
            match name.map(|c| c.name) {
                Some("speed_kmh") => roles.speed = Some(index),
                Some("ignition_on") => roles.ignition = Some(index),
                Some("engine_speed_rpm") => roles.engine_speed = Some(index),
                _ => {}
            }
        }
        Self {
            interval_us: micros(settings.batch_interval).max(1),
            catch_up: settings.catch_up,
            known: vec![None; len],
            rules,
            roles,
            readings: ReadingsLane::new(reading_columns),
            signals: SignalsLanes::new(settings.catch_up, len),
            engine: None,
            resume_after,
            latest: None,
            next_reading: Timestamp::default(),
            last_active: Timestamp::default(),
        }
    }

    /// Puts campaigns in force, between two frames, with what goes on from those before them. The
    /// batches in progress end: they are of the old catalogue.
    pub(crate) fn install(&mut self, mut engine: Engine, out: &mut Vec<Cut>) {
        if let Some(old) = &mut self.engine {
            engine.adopt(old);
        }
        self.finish(out);
        let lanes = engine.lanes(self.catch_up);
        engine.be_silent_until(lanes.iter().map(|lane| self.resume_after[lane.index()]).collect());
        self.signals.install(&lanes);
        self.engine = Some(engine);
    }

    /// What campaigns have done and spent so far; `None` without campaigns.
    pub(crate) fn campaigns(&self) -> Option<(CampaignCounts, Spent)> {
        self.engine.as_ref().map(|e| (e.counts(), e.spent()))
    }

    /// Takes the samples of one frame; whole batches are added to `out`. A frame without mapped
    /// samples moves the time on.
    pub fn observe(&mut self, time: Timestamp, message: u32, samples: &[MappedSample], out: &mut Vec<Cut>) {
        match self.latest {
            Some(latest) if latest.since_us(time) <= DISORDER_US => {
                self.read_state_until(time, out);
                self.latest = Some(latest.max(time));
            }
            _ => {
                self.reset_campaigns(out);
                self.finish(out);
                self.latest = Some(time);
                self.next_reading = Timestamp(round_up(time.0, READING_US));
                self.last_active = time;
            }
        }
        let mut row = false;
        let collects_changes = self.engine.as_ref().is_none_or(Engine::collects_changes);
        for sample in samples {
            let index = sample.column_id as usize;
            let Some(Some(rule)) = self.rules.get(index).copied() else { continue };
            if rule.table == Table::Signals {
                row |= collects_changes
                    && self.signals.changes.offer(time, message, sample, rule.min_interval_us);
            } else {
                self.known[index] = Some(Known { value: sample.value, time });
            }
        }
        if self.is_active(time) {
            self.last_active = self.last_active.max(time);
        }
        let window = time.0.div_euclid(self.interval_us);
        if row {
            let changes = &mut self.signals.changes;
            let is_kept = self.resume_after[changes.lane().index()].is_none_or(|after| time > after);
            if is_kept && changes.is_due(window) {
                out.extend(changes.cut());
            }
            changes.take_row(time, message, window, is_kept);
            if changes.sample_count() >= SAMPLES_PER_BATCH_MAX {
                out.extend(changes.cut());
            }
        }
        if let Some(engine) = &mut self.engine {
            engine.observe(time, message, samples, &mut |emitted| self.signals.take(emitted, window, out));
        }
        self.cut_past_windows(out);
    }

    /// The clock went back: campaigns begin anew.
    fn reset_campaigns(&mut self, out: &mut Vec<Cut>) {
        if let (Some(engine), Some(latest)) = (&mut self.engine, self.latest) {
            let window = latest.0.div_euclid(self.interval_us);
            engine.reset(&mut |emitted| self.signals.take(emitted, window, out));
        }
    }

    /// Ends the batches in progress.
    pub fn finish(&mut self, out: &mut Vec<Cut>) {
        if let (Some(engine), Some(latest)) = (&mut self.engine, self.latest) {
            let window = latest.0.div_euclid(self.interval_us);
            engine.flush(&mut |emitted| self.signals.take(emitted, window, out));
        }
        out.extend(self.readings.cut());
        out.extend(self.signals.all().filter_map(SignalsLane::cut));
    }

    /// Whether the vehicle is in use, by what is known at `time`.
    fn is_active(&self, time: Timestamp) -> bool {
        let fresh = |role: Option<usize>, min: f64| {
            role.and_then(|i| self.fresh(i, time)).is_some_and(|value| value > min)
        };
        fresh(self.roles.speed, STANDING_KMH)
            || fresh(self.roles.ignition, 0.5)
            || fresh(self.roles.engine_speed, 0.5)
    }

    /// The scaled value of a column, unless it is too old.
    #[allow(clippy::cast_precision_loss, reason = "compared with a small limit")]
    fn fresh(&self, index: usize, time: Timestamp) -> Option<f64> {
        let (rule, known) = (self.rules.get(index).copied()??, self.known.get(index).copied()??);
        let raw = match known.value {
            RawValue::Raw(raw) => raw as f64,
            RawValue::Number(number) => number,
        };
        (time.since_us(known.time) <= rule.max_age_us).then_some(raw * rule.scale + rule.offset)
    }

    /// Reads the state at every whole second before `time`.
    fn read_state_until(&mut self, time: Timestamp, out: &mut Vec<Cut>) {
        let Some(latest) = self.latest else { return };
        // Nothing was heard after `latest`, so what follows its silence is not read.
        let heard_until = latest.plus_us(SILENCE_US);
        while self.next_reading < time {
            let at = self.next_reading;
            if at > heard_until {
                self.next_reading = Timestamp(round_up(time.0, READING_US));
                return;
            }
            self.next_reading = at.plus_us(READING_US);
            let is_parked = at.since_us(self.last_active) > PARKED_AFTER_US;
            if is_parked && at.0.rem_euclid(PARKED_READING_US) != 0 {
                continue;
            }
            if self.resume_after[Lane::Readings.index()].is_some_and(|after| at <= after) {
                continue;
            }
            let window = at.0.div_euclid(self.interval_us);
            if self.readings.is_due(window) {
                out.extend(self.readings.cut());
            }
            let (rules, known) = (&self.rules, &self.known);
            self.readings.take_row(at, window, |column_id| {
                let index = column_id as usize;
                let (rule, known) = (rules.get(index).copied()??, known.get(index).copied()??);
                (at.since_us(known.time) <= rule.max_age_us).then_some(known.value)
            });
            if self.readings.sample_count() >= SAMPLES_PER_BATCH_MAX {
                out.extend(self.readings.cut());
            }
        }
    }

    /// Ends batches whose window lies behind, also when their lane has nothing new.
    fn cut_past_windows(&mut self, out: &mut Vec<Cut>) {
        let Some(latest) = self.latest else { return };
        let window = latest.plus_us(-DISORDER_US).0.div_euclid(self.interval_us);
        if self.readings.is_due(window) {
            out.extend(self.readings.cut());
        }
        out.extend(self.signals.all().filter(|s| s.is_due(window)).filter_map(SignalsLane::cut));
    }
}

fn round_up(us: i64, step: i64) -> i64 {
    us.div_euclid(step).saturating_add(i64::from(us.rem_euclid(step) != 0)).saturating_mul(step)
}
