//! The numbers of the trip rules, as one versioned set.

use std::time::Duration;

use service::clock::micros;

/// The parameter set of a derivation. Every trip row names its `version`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Names the set; change it with any other field.
    pub version: i64,
    /// At or over this a vehicle drives, whatever its ignition says.
    pub start_speed_kmh: f64,
    /// Under this a vehicle stands.
    pub moving_speed_kmh: f64,
    /// Ignition off so long ends a trip.
    pub ignition_off: Duration,
    /// Standing so long ends a trip.
    pub stationary: Duration,
    /// No reading for so long ends a trip at its last reading.
    pub gap: Duration,
    /// No reading received for so long (our clock) ends the trip that is still open.
    pub silence: Duration,
    /// A trip shorter than this and than `duration_min` is dropped.
    pub distance_min_m: i64,
    /// A trip shorter than this and than `distance_min_m` is dropped.
    pub duration_min: Duration,
    /// A step that implies more is a jump: flagged, not summed.
    pub jump_speed_kmh: f64,
    /// Standing with the engine on counts as idling when longer than this.
    pub idle_min: Duration,
    /// A coarser odometer does not measure a trip.
    pub odometer_resolution_max_km: f64,
    /// GNSS measures a trip when so much of its moving time has fixes.
    pub fix_share_min: f64,
    /// Litres in a full tank, where known: without it a fuel level says nothing in litres.
    pub tank_capacity_l: Option<f64>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            version: 1,
            start_speed_kmh: 8.0,
            moving_speed_kmh: 1.0,
            ignition_off: Duration::from_secs(60),
            stationary: Duration::from_secs(300),
            gap: Duration::from_secs(900),
            silence: Duration::from_secs(900),
            distance_min_m: 200,
            duration_min: Duration::from_secs(180),
            jump_speed_kmh: 250.0,
            idle_min: Duration::from_secs(200),
            odometer_resolution_max_km: 0.2,
            fix_share_min: 0.9,
            tank_capacity_l: None,
        }
    }
}

impl Parameters {
    /// After the last reading of a trip and so long, no further reading can change it: either a
    /// reading met a deadline, or there is a gap.
    pub fn settle_us(&self) -> i64 {
        micros(self.gap) + micros(self.stationary.max(self.ignition_off))
    }
}
