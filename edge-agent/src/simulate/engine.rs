//! A combustion engine, its gearbox and its tank.

use super::schedule::Chance;

const IDLE_RPM: f64 = 800.0;
const POWER_MAX_KW: f64 = 95.0;
const POWER_MAX_RPM: f64 = 4200.0;
/// Engine speed at 1 m/s, by gear.
const RPM_PER_MPS: [f64; 6] = [415.0, 234.0, 154.0, 117.0, 92.0, 77.0];
/// Speed above which the next gear is taken; the one below again at four fifths of it.
const UPSHIFT_MPS: [f64; 5] = [4.5, 8.5, 13.0, 18.5, 24.5];
/// Lights, fan, pumps.
const AUXILIARY_KW: f64 = 0.6;
const GEARBOX_EFFICIENCY: f64 = 0.92;
/// Shaft energy in a litre.
const KWH_PER_L: f64 = 3.5;
const IDLE_LPH: f64 = 0.7;
const OVERRUN_RPM: f64 = 1200.0;
const WARM_CELSIUS: f64 = 90.0;

/// A combustion engine as it runs.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) rpm: f64,
    pub(crate) load_percent: f64,
    pub(crate) pedal_percent: f64,
    pub(crate) gear: u8,
    pub(crate) fuel_lph: f64,
    pub(crate) fuel_used_l: f64,
    pub(crate) tank_l: f64,
    pub(crate) tank_size_l: f64,
    pub(crate) coolant_celsius: f64,
}

impl Engine {
    pub(super) fn new(chance: &mut Chance, ambient_celsius: f64) -> Self {
        let tank_size_l = chance.between(45.0, 70.0);
        Self {
            rpm: 0.0,
            load_percent: 0.0,
            pedal_percent: 0.0,
            gear: 0,
            fuel_lph: 0.0,
            fuel_used_l: chance.between(500.0, 9000.0),
            tank_l: tank_size_l * chance.between(0.35, 1.0),
            tank_size_l,
            coolant_celsius: ambient_celsius,
        }
    }

    /// The most power at the wheels.
    pub(super) fn power_max_kw() -> f64 {
        POWER_MAX_KW * GEARBOX_EFFICIENCY
    }

    /// Runs for `dt_s` at a speed with a power at the wheels.
    pub(super) fn run(&mut self, dt_s: f64, speed_mps: f64, wheel_kw: f64) {
        self.shift(speed_mps);
        let geared_rpm = usize::from(self.gear)
            .checked_sub(1)
            .and_then(|g| RPM_PER_MPS.get(g))
            .map_or(0.0, |r| r * speed_mps);
        let wanted_rpm = geared_rpm.max(IDLE_RPM);
        // The shaft has inertia: half of the way in a fifth of a second.
        self.rpm += (wanted_rpm - self.rpm) * (dt_s / 0.2).min(1.0) * 0.5;
        let is_overrun = wheel_kw < 0.0 && self.rpm > OVERRUN_RPM && speed_mps > 3.0;
        let shaft_kw = if wheel_kw > 0.0 { wheel_kw / GEARBOX_EFFICIENCY } else { 0.0 } + AUXILIARY_KW;
        let friction_lph = IDLE_LPH * (self.rpm / IDLE_RPM).max(0.5);
        let cold = 1.0 + 0.25 * ((WARM_CELSIUS - self.coolant_celsius) / WARM_CELSIUS).clamp(0.0, 1.0);
        self.fuel_lph = if is_overrun { 0.0 } else { (friction_lph + shaft_kw / KWH_PER_L) * cold };
        let at_this_rpm_kw = POWER_MAX_KW * (self.rpm / POWER_MAX_RPM).clamp(0.1, 1.0);
        self.load_percent =
            if is_overrun { 0.0 } else { (100.0 * shaft_kw / at_this_rpm_kw + 12.0).clamp(0.0, 100.0) };
        self.pedal_percent =
            if wheel_kw > 0.0 { (100.0 * wheel_kw / at_this_rpm_kw).clamp(0.0, 100.0) } else { 0.0 };
        let used_l = self.fuel_lph * dt_s / 3600.0;
        self.fuel_used_l += used_l;
        self.tank_l = (self.tank_l - used_l).max(0.0);
        let warming = (0.4 + self.load_percent / 60.0) / 420.0;
        self.coolant_celsius += (WARM_CELSIUS - self.coolant_celsius) * (warming * dt_s).min(1.0);
    }

    /// Stands still, off, for `dt_s`.
    pub(super) fn rest(&mut self, dt_s: f64, ambient_celsius: f64) {
        (self.rpm, self.load_percent, self.pedal_percent, self.fuel_lph, self.gear) = (0.0, 0.0, 0.0, 0.0, 0);
        self.coolant_celsius += (ambient_celsius - self.coolant_celsius) * (dt_s / 3600.0).min(1.0);
    }

    /// Fills up when it is time to.
    pub(super) fn refuel_if_low(&mut self) {
        if self.tank_l < self.tank_size_l * 0.2 {
            self.tank_l = self.tank_size_l * 0.97;
        }
    }

    fn shift(&mut self, speed_mps: f64) {
        if speed_mps < 0.1 {
            self.gear = 0;
            return;
        }
        self.gear = self.gear.max(1);
        while UPSHIFT_MPS.get(usize::from(self.gear) - 1).is_some_and(|up| speed_mps > *up) {
            self.gear += 1;
        }
        while self.gear > 1
            && UPSHIFT_MPS.get(usize::from(self.gear) - 2).is_some_and(|up| speed_mps < up * 0.8)
        {
            self.gear -= 1;
        }
    }
}
