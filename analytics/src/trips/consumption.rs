//! What a trip used: the counter first, the rate integrated next, the level last.

use wire::time::Timestamp;

use super::{Parameters, distance::Integral, reading::Reading};

/// A level that rises by so much has been filled, so its fall measures nothing.
const REFILL_PCT: f64 = 3.0;

/// A counter from end to end; one that falls has been reset and measures nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    first: Option<f64>,
    last: Option<f64>,
    count: u32,
    was_reset: bool,
}

impl Counter {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|v| v.is_finite()) else { return };
        self.was_reset |= self.last.is_some_and(|last| value < last);
        self.first.get_or_insert(value);
        self.last = Some(value);
        self.count = self.count.saturating_add(1);
    }

    fn used(&self) -> Option<f64> {
        (self.count > 1 && !self.was_reset).then(|| Some(self.last? - self.first?)).flatten()
    }
}

/// A level, in percent of the tank.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    first_pct: Option<f64>,
    last_pct: Option<f64>,
    lowest_pct: f64,
    was_refilled: bool,
}

impl Level {
    fn add(&mut self, value_pct: Option<f64>) {
        let Some(value_pct) = value_pct.filter(|v| (0.0..=100.0).contains(v)) else { return };
        if self.first_pct.is_none() {
            self.first_pct = Some(value_pct);
            self.lowest_pct = value_pct;
        }
        self.was_refilled |= value_pct > self.lowest_pct + REFILL_PCT;
        self.lowest_pct = self.lowest_pct.min(value_pct);
        self.last_pct = Some(value_pct);
    }

    fn used_l(&self, tank_capacity_l: Option<f64>) -> Option<f64> {
        let fallen_pct = self.first_pct? - self.last_pct?;
        (!self.was_refilled).then_some(fallen_pct.max(0.0) / 100.0 * tank_capacity_l?)
    }
}

/// Fuel and energy of a trip.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Consumption {
    fuel: Counter,
    fuel_rate: Integral,
    fuel_level: Level,
    energy: Counter,
    power: Integral,
}

impl Consumption {
    /// Adds a reading.
    pub(super) fn add(&mut self, ts: Timestamp, reading: &Reading) {
        self.fuel.add(reading.fuel_used_l);
        self.fuel_rate.add(ts, reading.fuel_rate_lph.filter(|v| *v >= 0.0));
        self.fuel_level.add(reading.fuel_level_pct);
        self.energy.add(reading.energy_used_kwh);
        self.power.add(ts, reading.traction_power_kw);
    }

    /// Litres, and by which measure.
    pub(super) fn fuel_used_l(&self, parameters: &Parameters) -> Option<(f64, &'static str)> {
        let counted = self.fuel.used().map(|l| (l, "counter"));
        let integrated = || self.fuel_rate.total().map(|l| (l / 3600.0, "rate"));
        let fallen = || self.fuel_level.used_l(parameters.tank_capacity_l).map(|l| (l, "level"));
        counted.or_else(integrated).or_else(fallen)
    }

    /// Kilowatt-hours: the counter, or the power that left the battery less what came back.
    pub(super) fn energy_used_kwh(&self) -> Option<f64> {
        self.energy.used().or_else(|| self.power.total().map(|kws| -kws / 3600.0))
    }
}
