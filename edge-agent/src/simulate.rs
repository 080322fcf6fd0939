//! A vehicle that is computed: driven along a real track by plausible physics, speaking real CAN
//! frames of our own DBC, so that everything behind the bus is exercised.
//!
//! [`Simulator`] is a [`Source`]. `track.rs` is where it can go, `schedule.rs` when it drives,
//! parks and stops, `vehicle.rs` how it moves, `engine.rs` and `battery.rs` what that costs.
//! All of it is a pure function of seed and start time: a restart computes the way to where it
//! was again and goes on from there. It knows no clock; who pulls the frames paces them.

pub(crate) mod battery;
mod diagnosis;
pub mod ecu;
pub(crate) mod engine;
mod frames;
mod schedule;
#[cfg(test)]
mod tests;
pub(crate) mod track;
pub mod unit;
pub(crate) mod vehicle;

use std::collections::VecDeque;

use wire::time::Timestamp;

use crate::{
    agent::NamedBytes,
    frame::Frame,
    source::{BusWriter, Source, SourceError},
};
use diagnosis::Diagnosis;
use frames::FrameMaker;
pub use track::TrackError;
use vehicle::Vehicle;

/// The step of the physics and the period of the fastest frames.
const TICK_US: i64 = 100_000;
/// The step of a parked vehicle and the period of its frames.
const PARKED_TICK_US: i64 = 5_000_000;
/// A resumed simulation speaks from so long before the moment it resumes at, so that what is
/// known of the vehicle is known again.
const WARM_UP_US: i64 = 60_000_000;

/// What drives the vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Powertrain {
    /// A combustion engine and a tank.
    Combustion,
    /// A battery and a motor.
    Battery,
}

/// A simulated vehicle.
#[derive(Debug, Clone)]
pub struct SimulateSettings {
    /// Where it drives, to and fro: `lat,lon,ele_m,speed_limit_kmh`.
    pub track: NamedBytes,
    /// What drives it.
    pub powertrain: Powertrain,
    /// Everything that is chance comes from here.
    pub seed: u64,
    /// The moment the simulation begins.
    pub start_time: Timestamp,
    /// How many times faster than time it goes, until it has caught up with the clock.
    pub speed: f64,
    /// The moment it ends, if it does.
    pub until: Option<Timestamp>,
}

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The track.
    #[error("cannot use the track")]
    Track(#[from] TrackError),
    /// The simulator's own DBC lacks what it wants to say.
    #[error("cannot encode frames by the simulator's DBC")]
    Encode(#[from] crate::encode::EncodeError),
    /// The simulator's own DBC is damaged.
    #[error("cannot read the simulator's DBC")]
    Dbc(#[from] crate::dbc::DbcError),
    /// The simulator's own DBC makes no decoder.
    #[error("cannot compile the simulator's DBC")]
    Compile(#[from] crate::decode::CompileDbcError),
    /// A speed that is no speed.
    #[error("simulation speed {0} must be a number above 0, such as 1 or 60")]
    Speed(f64),
}

/// The DBC that simulated vehicles speak.
pub fn dbc() -> NamedBytes {
    let text = include_str!("../../configs/dbc/roadlake-simulator.dbc");
    NamedBytes::new("roadlake-simulator.dbc", text.as_bytes())
}

/// The map of a simulated vehicle.
pub fn map(powertrain: Powertrain) -> NamedBytes {
    match powertrain {
        Powertrain::Combustion => NamedBytes::new(
            "simulator-combustion.toml",
            include_str!("../../configs/maps/simulator-combustion.toml").as_bytes(),
        ),
        Powertrain::Battery => NamedBytes::new(
            "simulator-battery.toml",
            include_str!("../../configs/maps/simulator-battery.toml").as_bytes(),
        ),
    }
}

/// The tracks that come with the agent.
pub fn tracks() -> Vec<NamedBytes> {
    let files = [
        ("css-car.csv", include_str!("../../tests/data/tracks/css-car.csv")),
        ("nds-1.csv", include_str!("../../tests/data/tracks/nds-1.csv")),
        ("nds-5.csv", include_str!("../../tests/data/tracks/nds-5.csv")),
        ("nds-11.csv", include_str!("../../tests/data/tracks/nds-11.csv")),
        ("nrel-1.csv", include_str!("../../tests/data/tracks/nrel-1.csv")),
        ("nrel-2.csv", include_str!("../../tests/data/tracks/nrel-2.csv")),
        ("visnjan.csv", include_str!("../../tests/data/tracks/visnjan.csv")),
    ];
    files.iter().map(|(name, text)| NamedBytes::new(name, text.as_bytes())).collect()
}

/// The frames of a simulated vehicle.
#[derive(Debug)]
pub struct Simulator {
    vehicle: Vehicle,
    maker: FrameMaker,
    /// Its control unit, once somebody may ask it.
    diagnosis: Option<Diagnosis>,
    seed: u64,
    now: Timestamp,
    silent_until: Timestamp,
    until: Timestamp,
    ready: VecDeque<Frame>,
}

impl Simulator {
    /// A simulation from its start, or going on where it was.
    pub fn new(settings: &SimulateSettings, resume_from: Option<Timestamp>) -> Result<Self, SimulateError> {
        if !(settings.speed.is_finite() && settings.speed > 0.0) {
            return Err(SimulateError::Speed(settings.speed));
        }
        let start = Timestamp(settings.start_time.0.div_euclid(PARKED_TICK_US) * PARKED_TICK_US);
        let track = track::Track::parse(&settings.track)?;
        Ok(Self {
            vehicle: Vehicle::new(track, settings.powertrain, settings.seed, start),
            maker: FrameMaker::new(settings.powertrain, settings.seed)?,
            diagnosis: None,
            seed: settings.seed,
            now: start,
            silent_until: resume_from.map_or(start, |t| t.plus_us(-WARM_UP_US)),
            until: settings.until.unwrap_or(Timestamp(i64::MAX)),
            ready: VecDeque::new(),
        })
    }

    /// The vehicle as it is, for comparison with what its frames say.
    #[cfg(test)]
    pub(crate) fn vehicle(&self) -> &Vehicle {
        &self.vehicle
    }
}

impl Simulator {
    /// Computes on until there is a frame to say.
    fn fill(&mut self) -> bool {
        while self.ready.is_empty() {
            let step_us = if self.vehicle.is_ignition_on() { TICK_US } else { PARKED_TICK_US };
            self.now = Timestamp(self.now.0.div_euclid(step_us).saturating_add(1).saturating_mul(step_us));
            if self.now >= self.until {
                return false;
            }
            self.vehicle.step(self.now);
            let is_silent = self.now < self.silent_until;
            self.maker.make(&self.vehicle, self.now, is_silent, &mut self.ready);
        }
        true
    }
}

impl Source for Simulator {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        if !self.fill() {
            return Ok(None);
        }
        if let (Some(diagnosis), Some(next)) = (&mut self.diagnosis, self.ready.front())
            && let Some(frame) = diagnosis.frame_before(next.time, &self.vehicle)
        {
            return Ok(Some(frame));
        }
        let frame = self.ready.pop_front();
        if let (Some(diagnosis), Some(frame)) = (&mut self.diagnosis, &frame) {
            diagnosis.pass(frame.time);
        }
        Ok(frame)
    }

    fn bus_writer(&mut self, interface: &str) -> Option<Box<dyn BusWriter>> {
        if interface != self.maker.interface() {
            return None;
        }
        let diagnosis = self.diagnosis.get_or_insert_with(|| Diagnosis::new(interface, self.seed));
        Some(diagnosis.writer())
    }
}
