//! What a trip needs to know of a reading.

use wire::time::Timestamp;

/// A position on WGS 84.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// The state of one vehicle at one instant, the part trips are made of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Vehicle clock.
    pub ts: Timestamp,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Speed.
    pub speed_kmh: Option<f64>,
    /// Odometer.
    pub odometer_km: Option<f64>,
    /// Ignition, where the vehicle tells.
    pub ignition_on: Option<bool>,
    /// Engine speed.
    pub engine_speed_rpm: Option<f64>,
    /// Fuel level.
    pub fuel_level_pct: Option<f64>,
    /// Fuel rate.
    pub fuel_rate_lph: Option<f64>,
    /// Fuel counter.
    pub fuel_used_l: Option<f64>,
    /// Power into the traction battery; negative while it drives (VSS).
    pub traction_power_kw: Option<f64>,
    /// Energy counter.
    pub energy_used_kwh: Option<f64>,
    /// State of charge.
    pub soc_pct: Option<f64>,
    /// Acceleration forward (ISO 8855).
    pub accel_x_mps2: Option<f64>,
    /// Acceleration to the left (ISO 8855).
    pub accel_y_mps2: Option<f64>,
}

impl Reading {
    /// Its position, if it is one: in range, and not the 0, 0 of a receiver without a fix.
    pub fn fix(&self) -> Option<Fix> {
        let (latitude, longitude) = (self.latitude?, self.longitude?);
        let is_on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let is_null_island = latitude == 0.0 && longitude == 0.0;
        (is_on_earth && !is_null_island).then_some(Fix { latitude, longitude })
    }

    /// Joins two readings of one instant into one that does not depend on their order.
    #[must_use]
    pub(super) fn joined(self, other: &Self) -> Self {
        let number = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(if a.total_cmp(&b).is_ge() { a } else { b }),
            (a, b) => a.or(b),
        };
        // A position stays whole: both coordinates come from one of the two.
        let key =
            |r: &Self| (r.latitude.unwrap_or(f64::NEG_INFINITY), r.longitude.unwrap_or(f64::NEG_INFINITY));
        let (a, b) = (key(&self), key(other));
        let place = if a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_ge() { &self } else { other };
        Self {
            ts: self.ts,
            latitude: place.latitude,
            longitude: place.longitude,
            speed_kmh: number(self.speed_kmh, other.speed_kmh),
            odometer_km: number(self.odometer_km, other.odometer_km),
            ignition_on: match (self.ignition_on, other.ignition_on) {
                (Some(a), Some(b)) => Some(a || b),
                (a, b) => a.or(b),
            },
            engine_speed_rpm: number(self.engine_speed_rpm, other.engine_speed_rpm),
            fuel_level_pct: number(self.fuel_level_pct, other.fuel_level_pct),
            fuel_rate_lph: number(self.fuel_rate_lph, other.fuel_rate_lph),
            fuel_used_l: number(self.fuel_used_l, other.fuel_used_l),
            traction_power_kw: number(self.traction_power_kw, other.traction_power_kw),
            energy_used_kwh: number(self.energy_used_kwh, other.energy_used_kwh),
            soc_pct: number(self.soc_pct, other.soc_pct),
            accel_x_mps2: number(self.accel_x_mps2, other.accel_x_mps2),
            accel_y_mps2: number(self.accel_y_mps2, other.accel_y_mps2),
        }
    }
}
