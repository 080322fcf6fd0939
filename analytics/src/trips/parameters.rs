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
    /// Speeding up so hard is a harsh event of low, medium and high severity.
    pub harsh_accelerating_mps2: [f64; 3],
    /// The same for braking.
    pub harsh_braking_mps2: [f64; 3],
    /// The same for cornering.
    pub harsh_cornering_mps2: [f64; 3],
    /// A harsh event is over its lowest limit for so long without a break.
    pub harsh_min: Duration,
    /// Two of a kind so close are one.
    pub harsh_merge: Duration,
    /// A fuel level that rises by so much was filled.
    pub refuel_min_pct: f64,
    /// A fuel level that falls by so much with the engine off was stolen.
    pub theft_min_pct: f64,
    /// A state of charge that rises by so much in a stop was charged.
    pub charging_min_pct: f64,
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
            // The lowest are 0.45 g along and 0.56 g across; one third and two thirds more make
            // the higher classes.
            harsh_accelerating_mps2: [4.4, 5.9, 7.3],
            harsh_braking_mps2: [4.4, 5.9, 7.3],
            harsh_cornering_mps2: [5.5, 7.3, 9.2],
            // As the recorder of the US naturalistic driving study in `tests/data` has it.
            harsh_min: Duration::from_secs(1),
            harsh_merge: Duration::from_secs(2),
            // Twice what a float wanders on a slope or in the cold.
            refuel_min_pct: 10.0,
            theft_min_pct: 10.0,
            // Batteries that rest may be told a percent higher.
            charging_min_pct: 2.0,
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
