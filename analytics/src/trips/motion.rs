//! Whether a vehicle moves: what its readings say, completed from those just before.

use std::collections::VecDeque;

use wire::time::Timestamp;

use super::{
    Parameters,
    distance::haversine_m,
    reading::{Fix, Reading},
};

/// Fixes this old still tell a speed where the vehicle tells none.
const WINDOW_US: i64 = 15_000_000;
/// Fixes kept at most (a receiver at 10 Hz fills the window with so many).
const WINDOW_LEN_MAX: usize = 160;
/// Within so many metres a fix may wander while the vehicle stands.
const DRIFT_M: f64 = 25.0;

/// A reading and what it means for motion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    /// The reading.
    pub(super) reading: Reading,
    /// Measured speed, if plausible.
    pub(super) measured_kmh: Option<f64>,
    /// Measured speed, or the speed its fixes imply.
    pub(super) speed_kmh: Option<f64>,
    /// Ignition of this reading or the last that told.
    pub(super) ignition_on: Option<bool>,
    /// Whether the engine runs: by its speed, else by the ignition.
    pub(super) is_engine_on: bool,
}

impl Observation {
    /// Vehicle clock.
    pub(super) fn ts(&self) -> Timestamp {
        self.reading.ts
    }

    /// Over the limit under which a vehicle stands; `None` when nothing tells.
    pub(super) fn is_moving(&self, parameters: &Parameters) -> Option<bool> {
        self.speed_kmh.map(|v| v >= parameters.moving_speed_kmh)
    }

    /// Driving whatever the ignition says.
    pub(super) fn is_driving(&self, parameters: &Parameters) -> bool {
        self.speed_kmh.is_some_and(|v| v >= parameters.start_speed_kmh)
    }
}

/// What the readings just before say.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    last: Option<Observation>,
    ignition_on: Option<bool>,
    fixes: VecDeque<(Timestamp, Fix)>,
}

impl Recent {
    /// The observation before.
    pub(super) fn last(&self) -> Option<&Observation> {
        self.last.as_ref()
    }

    /// Takes a reading in and says what it means.
    pub(super) fn observe(&mut self, reading: Reading, parameters: &Parameters) -> Observation {
        if let Some(told) = reading.ignition_on {
            self.ignition_on = Some(told);
        }
        let engine_turns = reading.engine_speed_rpm.map(|rpm| rpm > 0.0);
        // An engine that turns proves the ignition; one that rests does not disprove it
        // (stop-start, hybrids): then the standing rule decides.
        let ignition_on = self.ignition_on.or(engine_turns.filter(|turns| *turns));
        let measured_kmh = reading.speed_kmh.filter(|v| (0.0..=parameters.jump_speed_kmh).contains(v));
        let implied_kmh = self.implied_kmh(&reading);
        let observation = Observation {
            reading,
            measured_kmh,
            speed_kmh: measured_kmh.or(implied_kmh.filter(|v| *v <= parameters.jump_speed_kmh)),
            ignition_on,
            is_engine_on: engine_turns.or(ignition_on).unwrap_or(false),
        };
        self.last = Some(observation);
        observation
    }

    /// Speed over the last seconds of fixes, zero within the reach of drift.
    #[allow(clippy::cast_precision_loss, reason = "microseconds within a gap fit a double")]
    fn implied_kmh(&mut self, reading: &Reading) -> Option<f64> {
        let fix = reading.fix()?;
        // One fix older than the window stays: receivers that report every minute.
        while self.fixes.len() > WINDOW_LEN_MAX
            || (self.fixes.len() > 1
                && self.fixes.get(1).is_some_and(|f| reading.ts.since_us(f.0) >= WINDOW_US))
        {
            self.fixes.pop_front();
        }
        let implied = self.fixes.front().map(|(since, from)| {
            let metres = haversine_m(*from, fix);
            let seconds = reading.ts.since_us(*since) as f64 / 1e6;
            if metres < DRIFT_M || seconds <= 0.0 { 0.0 } else { metres / seconds * 3.6 }
        });
        self.fixes.push_back((reading.ts, fix));
        implied
    }
}
