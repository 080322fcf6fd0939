//! A stop in the making, and a stop made: the time from the end of a trip to the next one's start.

use service::clock::micros;
use wire::time::Timestamp;

use super::{
    Parameters,
    distance::seconds,
    event::{DrivingEvent, EventKind},
    idling::Idling,
    levels::{FUEL_NOISE_PCT, FUEL_SETTLE_US, StopStart, litres, refuel_rule},
    motion::Observation,
    reading::Fix,
    segment::{Segment, whole_seconds},
    step::{Direction, Sample, Smoothed, Step, StepRule, Steps},
};

/// A session is over when the state of charge has not risen for so long: 2 kW fill a large
/// battery, told in whole percents, by one in half an hour.
const CHARGING_SETTLE_US: i64 = 3_600_000_000;
/// A state of charge falls by so much while nothing charges or drives.
const SOC_NOISE_PCT: f64 = 1.0;

/// The figures of one stop.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedStop {
    /// What it starts from: the end of a trip.
    pub start: StopStart,
    /// Start of the next trip, and what was found up to then; `None` while there is none.
    pub end: Option<StopEnd>,
    /// What happened in it and is over, by start and kind.
    pub events: Vec<DrivingEvent>,
}

/// What is known when a stop is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopEnd {
    /// Start of the next trip.
    pub time: Timestamp,
    /// Fuel level in the first minute of that trip.
    pub fuel_level_pct: Option<f64>,
    /// State of charge at its start.
    pub soc_pct: Option<f64>,
    /// Time in long stretches of engine on without motion.
    pub idle_s: i64,
    /// How often the ignition was seen going on, up to the start of the next trip.
    pub ignition_on_count: i64,
    /// Readings in it.
    pub reading_count: i64,
}

/// Everything found since the end of a trip.
#[derive(Debug, Clone)]
pub(super) struct StopTrack {
    start: StopStart,
    last: Option<Observation>,
    fix: Option<Fix>,
    idling: Idling,
    fuel: Smoothed,
    refuels: Steps,
    thefts: Steps,
    charges: Steps,
    charged_kws: f64,
    ignition_on_count: i64,
    reading_count: i64,
}

impl StopTrack {
    /// Starts where a trip ended.
    pub(super) fn new(start: StopStart, parameters: &Parameters) -> Self {
        let theft = StepRule {
            direction: Direction::Down,
            min_pct: parameters.theft_min_pct,
            noise_pct: FUEL_NOISE_PCT,
            settle_us: FUEL_SETTLE_US,
        };
        let charge = StepRule {
            direction: Direction::Up,
            min_pct: parameters.charging_min_pct,
            noise_pct: SOC_NOISE_PCT,
            settle_us: CHARGING_SETTLE_US,
        };
        let mut track = Self {
            start,
            last: None,
            fix: start.fix,
            idling: Idling::default(),
            fuel: Smoothed::default(),
            refuels: Steps::new(refuel_rule(parameters)),
            thefts: Steps::new(theft),
            charges: Steps::new(charge),
            charged_kws: 0.0,
            ignition_on_count: 0,
            reading_count: 0,
        };
        track.add_fuel(start.time, start.fuel_level_pct, false);
        track.add_soc(start.time, start.soc_pct);
        track
    }

    /// The end of the trip before it.
    pub(super) fn start_time(&self) -> Timestamp {
        self.start.time
    }

    /// Takes the next reading. One that was taken already is left out: a trip that proved too
    /// short is gone through again.
    pub(super) fn add(&mut self, next: &Observation, parameters: &Parameters) {
        let last = self.last;
        if last.is_some_and(|last| next.ts() <= last.ts()) {
            return;
        }
        self.reading_count += 1;
        self.fix = self.fix.or(next.reading.fix());
        if let Some(last) = &last {
            if last.ignition_on == Some(false) && next.ignition_on == Some(true) {
                self.ignition_on_count += 1;
            }
            self.idling.add(last, next, parameters);
            if next.ts().since_us(last.ts()) >= micros(parameters.gap) {
                self.fuel = Smoothed::default();
            } else if let (Some(from_kw), Some(to_kw)) =
                (last.reading.traction_power_kw, next.reading.traction_power_kw)
            {
                self.charged_kws += (from_kw + to_kw).max(0.0) / 2.0 * seconds(last.ts(), next.ts());
            }
        }
        let fuel_pct = self.fuel.add(next.ts(), next.reading.fuel_level_pct);
        self.add_fuel(next.ts(), fuel_pct, next.is_engine_on);
        self.add_soc(next.ts(), next.reading.soc_pct);
        self.last = Some(*next);
    }

    fn add_fuel(&mut self, ts: Timestamp, pct: Option<f64>, is_engine_on: bool) {
        let Some(pct) = pct else { return };
        let sample = Sample { ts, pct, mark: 0.0 };
        self.refuels.add(sample);
        if is_engine_on {
            // What falls now is burnt.
            self.thefts.rebase(sample);
        } else {
            self.thefts.add(sample);
        }
    }

    fn add_soc(&mut self, ts: Timestamp, pct: Option<f64>) {
        if let Some(pct) = pct.filter(|v| (0.0..=100.0).contains(v)) {
            self.charges.add(Sample { ts, pct, mark: self.charged_kws });
        }
    }

    /// The stop while there is no next trip: nothing of it that further readings may change.
    pub(super) fn open(&self, parameters: &Parameters) -> DerivedStop {
        let steps = [self.refuels.done(), self.thefts.done(), self.charges.done()];
        let events = self.events(self.idling.events().to_vec(), steps, parameters);
        DerivedStop { start: self.start, end: None, events }
    }

    /// The stop that a trip has ended. What happened while nothing was told shows in the levels
    /// with which that one starts.
    pub(super) fn close(mut self, next: &Segment, parameters: &Parameters) -> DerivedStop {
        let time = next.start_time();
        let (fuel_level_pct, soc_pct) = next.levels().first();
        if self.last.is_some_and(|last| last.ignition_on == Some(false))
            && next.starts_with_ignition_on() == Some(true)
        {
            self.ignition_on_count += 1;
        }
        // An engine must run before a trip, and burns little.
        self.add_fuel(time, fuel_level_pct, false);
        self.add_soc(time, soc_pct);
        let (idle_us, idling) = std::mem::take(&mut self.idling).finish(parameters);
        let end = StopEnd {
            time,
            fuel_level_pct,
            soc_pct,
            idle_s: whole_seconds(idle_us),
            ignition_on_count: self.ignition_on_count,
            reading_count: self.reading_count,
        };
        let (refuels, thefts, charges) =
            (self.refuels.clone().finish(), self.thefts.clone().finish(), self.charges.clone().finish());
        let events = self.events(idling, [&refuels, &thefts, &charges], parameters);
        DerivedStop { start: self.start, end: Some(end), events }
    }

    fn events(
        &self,
        mut events: Vec<DrivingEvent>,
        [refuels, thefts, charges]: [&[Step]; 3],
        parameters: &Parameters,
    ) -> Vec<DrivingEvent> {
        let stepped = |kind, step: &Step, source| DrivingEvent {
            fix: self.fix,
            start_pct: Some(step.from.pct),
            end_pct: Some(step.to.pct),
            ..DrivingEvent::of(kind, step.from.ts, step.to.ts, source)
        };
        for (kind, steps) in [(EventKind::Refuel, refuels), (EventKind::FuelTheft, thefts)] {
            events.extend(steps.iter().map(|step| DrivingEvent {
                fuel_l: litres(step.from.pct, step.to.pct, parameters),
                ..stepped(kind, step, "level")
            }));
        }
        events.extend(charges.iter().map(|step| DrivingEvent {
            energy_kwh: Some((step.to.mark - step.from.mark) / 3600.0).filter(|kwh| *kwh > 0.0),
            ..stepped(EventKind::Charging, step, "soc")
        }));
        events.sort_by_key(|event| (event.start_time, event.kind));
        events
    }
}
