//! What happened at one time: in a trip, or in the stop after one.

use wire::time::Timestamp;

use super::reading::Fix;

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// Sped up harder than the limit.
    HarshAccelerating,
    /// Slowed down harder than the limit.
    HarshBraking,
    /// Pushed sideways harder than the limit.
    HarshCornering,
    /// Stood with the engine on for longer than the limit.
    Idling,
    /// The fuel level rose.
    Refuel,
    /// The fuel level fell while the engine was off.
    FuelTheft,
    /// The state of charge rose while the vehicle stood.
    Charging,
}

impl EventKind {
    /// As the `driving_events` table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HarshAccelerating => "harsh_accelerating",
            Self::HarshBraking => "harsh_braking",
            Self::HarshCornering => "harsh_cornering",
            Self::Idling => "idling",
            Self::Refuel => "refuel",
            Self::FuelTheft => "fuel_theft",
            Self::Charging => "charging",
        }
    }
}

/// How hard a harsh event was, by the highest limit it reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The lowest limit.
    Low,
    /// The middle one.
    Medium,
    /// The highest.
    High,
}

impl Severity {
    /// As the `driving_events` table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One event. What its kind does not know is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrivingEvent {
    /// What kind.
    pub kind: EventKind,
    /// How hard.
    pub severity: Option<Severity>,
    /// Its first instant; where readings were far apart, the last one before it.
    pub start_time: Timestamp,
    /// Its last instant.
    pub end_time: Timestamp,
    /// Where it began, as far as known.
    pub fix: Option<Fix>,
    /// Speed when it began.
    pub speed_kmh: Option<f64>,
    /// Highest acceleration, without its sign.
    pub peak_mps2: Option<f64>,
    /// Fuel level, or state of charge, when it began.
    pub start_pct: Option<f64>,
    /// The same when it ended.
    pub end_pct: Option<f64>,
    /// Fuel filled in or gone, where the tank is known.
    pub fuel_l: Option<f64>,
    /// Energy charged, where the power is known.
    pub energy_kwh: Option<f64>,
    /// What it was seen by: `accelerometer`, `speed`, `engine`, `level` or `soc`.
    pub source: &'static str,
}

impl DrivingEvent {
    /// One that knows nothing but its time.
    pub(super) fn of(
        kind: EventKind,
        start_time: Timestamp,
        end_time: Timestamp,
        source: &'static str,
    ) -> Self {
        Self {
            kind,
            severity: None,
            start_time,
            end_time,
            fix: None,
            speed_kmh: None,
            peak_mps2: None,
            start_pct: None,
            end_pct: None,
            fuel_l: None,
            energy_kwh: None,
            source,
        }
    }
}
