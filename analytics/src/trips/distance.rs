//! Three measures of a distance, kept apart: odometer, GNSS and the integral of speed.

use wire::time::Timestamp;

use super::{Parameters, reading::Fix};

/// Mean radius of the earth (IUGG R1).
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A sampled value may be this much older than its reading.
const SAMPLE_AGE_S: f64 = 1.0;
/// An odometer that counts whole kilometres or miles may step so far at once.
const ODOMETER_STEP_KM: f64 = 1.7;
/// Steps below are rounding of floats, not steps.
const ODOMETER_EPSILON_KM: f64 = 1e-6;
/// The odometer must be known so close to both ends of a trip.
const ODOMETER_EDGE_US: i64 = 60_000_000;

/// Which measure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistanceSource {
    /// Difference of the odometer.
    Odometer,
    /// Sum of plausible steps between fixes.
    Gnss,
    /// Integral of speed.
    Speed,
}

impl DistanceSource {
    /// As the `trips` table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Odometer => "odometer",
            Self::Gnss => "gnss",
            Self::Speed => "speed",
        }
    }
}

/// Great-circle distance.
pub fn haversine_m(from: Fix, to: Fix) -> f64 {
    let (lat1, lat2) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_lat = (lat2 - lat1) / 2.0;
    let half_lon = (to.longitude - from.longitude).to_radians() / 2.0;
    let a = half_lat.sin().powi(2) + lat1.cos() * lat2.cos() * half_lon.sin().powi(2);
    2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
}

/// Seconds between two times.
#[allow(clippy::cast_precision_loss, reason = "microseconds within a trip fit a double")]
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.since_us(from) as f64 / 1e6
}

/// The trapezoid under a sampled value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Integral {
    last: Option<(Timestamp, f64)>,
    has_step: bool,
    value_seconds: f64,
}

impl Integral {
    /// Starts from here, without area.
    pub(super) fn seed(&mut self, ts: Timestamp, value: f64) {
        self.last = Some((ts, value));
    }

    /// Adds a sample.
    pub(super) fn add(&mut self, ts: Timestamp, value: Option<f64>) {
        let Some(value) = value.filter(|v| v.is_finite()) else { return };
        if let Some((since, before)) = self.last {
            self.value_seconds += (before + value) / 2.0 * seconds(since, ts);
            self.has_step = true;
        }
        self.last = Some((ts, value));
    }

    /// Value times seconds; `None` without two samples.
    pub(super) fn total(&self) -> Option<f64> {
        self.has_step.then_some(self.value_seconds)
    }
}

/// Steps between fixes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GnssTrack {
    anchor: Option<(Timestamp, Fix)>,
    /// A fix that looked like a jump; a second beside it proves it right.
    doubtful: Option<(Timestamp, Fix)>,
    has_step: bool,
    distance_m: f64,
    /// Jumps seen.
    pub(super) jump_count: i64,
}

impl GnssTrack {
    /// Adds a fix. While the vehicle stands the anchor stays, so that drift adds nothing.
    pub(super) fn add(&mut self, ts: Timestamp, fix: Fix, is_standing: bool, jump_speed_kmh: f64) {
        let Some(anchor) = self.anchor else {
            self.anchor = Some((ts, fix));
            return;
        };
        // The same fix again is no new one: time runs on from the first.
        if is_standing || anchor.1 == fix {
            return;
        }
        let step = |from: (Timestamp, Fix)| {
            let metres = haversine_m(from.1, fix);
            let reach_m = jump_speed_kmh / 3.6 * (seconds(from.0, ts) + SAMPLE_AGE_S);
            (metres <= reach_m).then_some(metres)
        };
        let metres = match (step(anchor), self.doubtful.and_then(step)) {
            (Some(metres), _) | (None, Some(metres)) => metres,
            (None, None) => {
                self.jump_count += 1;
                self.doubtful = Some((ts, fix));
                return;
            }
        };
        self.distance_m += metres;
        self.has_step = true;
        self.anchor = Some((ts, fix));
        self.doubtful = None;
    }

    /// Metres; `None` without a step.
    pub(super) fn distance_m(&self) -> Option<f64> {
        self.has_step.then_some(self.distance_m)
    }
}

/// The odometer from end to end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OdometerTrack {
    first: Option<(Timestamp, f64)>,
    last: Option<(Timestamp, f64)>,
    step_min_km: Option<f64>,
    is_broken: bool,
}

impl OdometerTrack {
    /// Adds a value.
    pub(super) fn add(&mut self, ts: Timestamp, value_km: Option<f64>, jump_speed_kmh: f64) {
        let Some(value_km) = value_km.filter(|v| v.is_finite() && *v >= 0.0) else { return };
        if let Some((since, before_km)) = self.last {
            let step_km = value_km - before_km;
            let reach_km = jump_speed_kmh / 3600.0 * (seconds(since, ts) + SAMPLE_AGE_S) + ODOMETER_STEP_KM;
            if step_km < -ODOMETER_EPSILON_KM || step_km > reach_km {
                self.is_broken = true;
            } else if step_km > ODOMETER_EPSILON_KM {
                self.step_min_km = Some(self.step_min_km.map_or(step_km, |least| least.min(step_km)));
            }
        }
        self.first.get_or_insert((ts, value_km));
        self.last = Some((ts, value_km));
    }

    /// First value.
    pub(super) fn start_km(&self) -> Option<f64> {
        self.first.map(|f| f.1)
    }

    /// Last value.
    pub(super) fn end_km(&self) -> Option<f64> {
        self.last.map(|l| l.1)
    }

    /// Metres, if this odometer can measure a trip from `start` to `end`.
    pub(super) fn measured_m(
        &self,
        start: Timestamp,
        end: Timestamp,
        parameters: &Parameters,
    ) -> Option<f64> {
        let (first, last) = (self.first?, self.last?);
        let is_fine = self.step_min_km? <= parameters.odometer_resolution_max_km + ODOMETER_EPSILON_KM;
        let is_whole =
            first.0.since_us(start) <= ODOMETER_EDGE_US && end.since_us(last.0) <= ODOMETER_EDGE_US;
        (is_fine && is_whole && !self.is_broken).then_some((last.1 - first.1) * 1000.0)
    }
}
