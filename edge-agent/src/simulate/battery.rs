//! A traction battery, its motor and its charger.

use super::schedule::Chance;

const POWER_MAX_KW: f64 = 120.0;
const REGENERATION_MAX_KW: f64 = 55.0;
const DRIVE_EFFICIENCY: f64 = 0.88;
const REGENERATION_EFFICIENCY: f64 = 0.65;
const AUXILIARY_KW: f64 = 0.7;
const CHARGE_KW: f64 = 11.0;
const CHARGE_EFFICIENCY: f64 = 0.93;

/// A battery as it is used.
#[derive(Debug, Clone)]
pub(crate) struct Battery {
    pub(crate) capacity_kwh: f64,
    pub(crate) charge_kwh: f64,
    /// Into the battery, as VSS has it.
    pub(crate) power_kw: f64,
    /// What left it, ever.
    pub(crate) energy_used_kwh: f64,
    pub(crate) is_charging: bool,
}

impl Battery {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let capacity_kwh = chance.between(48.0, 75.0);
        Self {
            capacity_kwh,
            charge_kwh: capacity_kwh * chance.between(0.55, 0.95),
            power_kw: 0.0,
            energy_used_kwh: chance.between(1000.0, 12_000.0),
            is_charging: false,
        }
    }

    pub(crate) fn soc_percent(&self) -> f64 {
        100.0 * self.charge_kwh / self.capacity_kwh
    }

    pub(crate) fn voltage_v(&self) -> f64 {
        330.0 + 0.7 * self.soc_percent() + self.power_kw * 0.1
    }

    pub(super) fn power_max_kw() -> f64 {
        POWER_MAX_KW * DRIVE_EFFICIENCY
    }

    /// Drives for `dt_s` with a power at the wheels; below zero some of it comes back.
    pub(super) fn run(&mut self, dt_s: f64, wheel_kw: f64) {
        self.is_charging = false;
        let drawn_kw = if wheel_kw > 0.0 {
            wheel_kw / DRIVE_EFFICIENCY
        } else {
            -(-wheel_kw * REGENERATION_EFFICIENCY).min(REGENERATION_MAX_KW)
        } + AUXILIARY_KW;
        self.power_kw = -drawn_kw;
        let kwh = drawn_kw * dt_s / 3600.0;
        self.energy_used_kwh += kwh.max(0.0);
        self.charge_kwh = (self.charge_kwh - kwh).clamp(0.0, self.capacity_kwh);
    }

    /// Stands for `dt_s`, charging when it had begun to or is below half.
    pub(super) fn rest(&mut self, dt_s: f64) {
        let share = self.charge_kwh / self.capacity_kwh;
        self.is_charging = share < 0.5 || (self.is_charging && share < 0.9);
        self.power_kw = if self.is_charging { CHARGE_KW * CHARGE_EFFICIENCY } else { 0.0 };
        self.charge_kwh = (self.charge_kwh + self.power_kw * dt_s / 3600.0).min(self.capacity_kwh);
    }
}
