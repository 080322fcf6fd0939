//! Fuel level and state of charge: where they stand, and refuels in a trip.

use wire::time::Timestamp;

use super::{
    Parameters,
    event::{DrivingEvent, EventKind},
    reading::{Fix, Reading},
    step::{Direction, Sample, Smoothed, StepRule, Steps},
};

/// A fuel level wanders by so much while the vehicle stands.
pub(super) const FUEL_NOISE_PCT: f64 = 2.0;
/// Filling is over when the level has not risen for so long.
pub(super) const FUEL_SETTLE_US: i64 = 180_000_000;
/// Who fills up in a trip stands at least so long.
const FILLING_HALT_US: i64 = 60_000_000;

/// What is known of a vehicle when its trip ends: all that its stop takes over from the trip, so
/// that a derivation which begins at the end of a stored trip knows it too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopStart {
    /// End of the trip.
    pub time: Timestamp,
    /// Where it ended.
    pub fix: Option<Fix>,
    /// Fuel level.
    pub fuel_level_pct: Option<f64>,
    /// State of charge.
    pub soc_pct: Option<f64>,
}

/// The levels of a trip.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Levels {
    fuel: Smoothed,
    first_fuel_pct: Option<f64>,
    first_soc_pct: Option<f64>,
    last_soc_pct: Option<f64>,
}

impl Levels {
    /// Takes a reading; says the fuel level if it told one.
    pub(super) fn add(&mut self, ts: Timestamp, reading: &Reading) -> Option<f64> {
        let soc_pct = reading.soc_pct.filter(|v| (0.0..=100.0).contains(v));
        self.first_soc_pct = self.first_soc_pct.or(soc_pct);
        self.last_soc_pct = soc_pct.or(self.last_soc_pct);
        let was_full = self.fuel.is_full();
        let fuel_pct = self.fuel.add(ts, reading.fuel_level_pct);
        if !was_full && fuel_pct.is_some() {
            self.first_fuel_pct = fuel_pct;
        }
        fuel_pct
    }

    /// The median of its first fuel levels, and the first state of charge.
    pub(super) fn first(&self) -> (Option<f64>, Option<f64>) {
        (self.first_fuel_pct, self.first_soc_pct)
    }

    /// For the stop after it.
    pub(super) fn rest(&self, time: Timestamp, fix: Option<Fix>) -> StopStart {
        StopStart { time, fix, fuel_level_pct: self.fuel.level_pct(), soc_pct: self.last_soc_pct }
    }
}

/// How a refuel shows in a smoothed level.
pub(super) fn refuel_rule(parameters: &Parameters) -> StepRule {
    StepRule {
        direction: Direction::Up,
        min_pct: parameters.refuel_min_pct,
        noise_pct: FUEL_NOISE_PCT,
        settle_us: FUEL_SETTLE_US,
    }
}

/// Litres of a part of the tank.
pub(super) fn litres(from_pct: f64, to_pct: f64, parameters: &Parameters) -> Option<f64> {
    Some((to_pct - from_pct).abs() / 100.0 * parameters.tank_capacity_l?)
}

/// Refuels in halts too short to end a trip.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    steps: Steps,
    halt: Option<(Timestamp, Timestamp)>,
    halts: Vec<(Timestamp, Timestamp)>,
}

impl Filled {
    pub(super) fn new(parameters: &Parameters) -> Self {
        Self { steps: Steps::new(refuel_rule(parameters)), halt: None, halts: Vec::new() }
    }

    /// Takes a fuel level.
    pub(super) fn add(&mut self, ts: Timestamp, pct: f64) {
        self.steps.add(Sample { ts, pct, mark: 0.0 });
    }

    /// The vehicle stood from one reading to the next.
    pub(super) fn stood(&mut self, from: Timestamp, to: Timestamp) {
        self.halt = Some((self.halt.map_or(from, |halt| halt.0), to));
    }

    /// It did not.
    pub(super) fn moved(&mut self) {
        self.halts.extend(self.halt.take().filter(|(from, to)| to.since_us(*from) >= FILLING_HALT_US));
    }

    /// A level that rose on the way was slosh, or a slope.
    pub(super) fn finish(mut self, parameters: &Parameters) -> Vec<DrivingEvent> {
        self.moved();
        let is_filled = |(from, to): &(Sample, Sample)| {
            self.halts.iter().any(|halt| halt.1 >= from.ts && halt.0 <= to.ts)
        };
        let steps = self.steps.finish().into_iter().map(|step| (step.from, step.to));
        let event = |(from, to): (Sample, Sample)| DrivingEvent {
            start_pct: Some(from.pct),
            end_pct: Some(to.pct),
            fuel_l: litres(from.pct, to.pct, parameters),
            ..DrivingEvent::of(EventKind::Refuel, from.ts, to.ts, "level")
        };
        steps.filter(is_filled).map(event).collect()
    }
}
