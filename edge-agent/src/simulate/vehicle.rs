//! How the vehicle moves: a driver who follows a speed profile, and the forces that costs.

use wire::time::Timestamp;

use super::{
    Powertrain, TICK_US,
    battery::Battery,
    engine::Engine,
    schedule::{self, Chance, Stop},
    track::{NODE_M, Track},
};

const GRAVITY_MPS2: f64 = 9.81;
/// Half the air's density times drag coefficient times front.
const DRAG: f64 = 0.42;
const ROLLING: f64 = 0.010;
const ACCELERATION_MAX_MPS2: f64 = 2.2;
const BRAKING_MAX_MPS2: f64 = 6.0;
const BRAKING_MPS2: f64 = 1.6;
/// So close to a stop, and so slow, it stands.
const STOP_NEAR_M: f64 = 0.6;
const CRAWL_MPS: f64 = 0.05;

/// What costs fuel or charge.
#[derive(Debug, Clone)]
pub(crate) enum Drive {
    Combustion(Engine),
    Battery(Battery),
}

#[derive(Debug, Clone)]
enum Phase {
    Parked {
        until: Timestamp,
    },
    /// Ignition on, not yet moving, or no longer.
    Waiting {
        until: Timestamp,
        is_arrived: bool,
    },
    Driving,
    Stopped {
        until: Timestamp,
    },
}

/// One drive over the track.
#[derive(Debug, Clone)]
struct Trip {
    at_m: f64,
    /// Speed allowed at each node.
    profile_mps: Vec<f64>,
    stops: Vec<Stop>,
    next_stop: usize,
    /// Where it last stood.
    stood_at_m: f64,
}

/// A vehicle as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Vehicle {
    track: Track,
    chance: Chance,
    phase: Phase,
    trip: Trip,
    mass_kg: f64,
    pub(crate) speed_mps: f64,
    pub(crate) acceleration_mps2: f64,
    pub(crate) odometer_m: f64,
    pub(crate) ambient_celsius: f64,
    ambient_mean_celsius: f64,
    pub(crate) drive: Drive,
    last_step: Timestamp,
}

impl Vehicle {
    pub(super) fn new(track: Track, powertrain: Powertrain, seed: u64, start: Timestamp) -> Self {
        let mut chance = Chance::new(seed);
        let track = if chance.happens(0.5) { track.reversed() } else { track };
        let ambient_mean_celsius = chance.between(4.0, 22.0);
        let drive = match powertrain {
            Powertrain::Combustion => Drive::Combustion(Engine::new(&mut chance, ambient_mean_celsius)),
            Powertrain::Battery => Drive::Battery(Battery::new(&mut chance)),
        };
        let until = start.plus_us(seconds_us(schedule::first_parking_s(&mut chance)));
        let trip = Trip::new(&track, &mut chance);
        Self {
            mass_kg: chance.between(1300.0, 2300.0),
            odometer_m: chance.between(8e6, 140e6).round(),
            phase: Phase::Parked { until },
            trip,
            track,
            speed_mps: 0.0,
            acceleration_mps2: 0.0,
            ambient_celsius: ambient_mean_celsius,
            ambient_mean_celsius,
            drive,
            last_step: start,
            chance,
        }
    }

    pub(crate) fn is_ignition_on(&self) -> bool {
        !matches!(self.phase, Phase::Parked { .. })
    }

    pub(crate) fn position(&self) -> (f64, f64) {
        self.track.position(self.trip.at_m)
    }

    pub(crate) fn heading_degrees(&self) -> f64 {
        let (i, _) = self.track.place(self.trip.at_m);
        self.track.nodes[i].heading_rad.to_degrees().rem_euclid(360.0)
    }

    pub(crate) fn height_m(&self) -> f64 {
        let (i, share) = self.track.place(self.trip.at_m);
        let (a, b) = (self.track.nodes[i].height_m, self.track.nodes[i + 1].height_m);
        a + (b - a) * share
    }

    pub(crate) fn lateral_mps2(&self) -> f64 {
        let (i, _) = self.track.place(self.trip.at_m);
        self.track.nodes[i].curvature * self.speed_mps * self.speed_mps
    }

    #[cfg(test)]
    pub(crate) fn track_length_m(&self) -> f64 {
        self.track.length_m()
    }

    /// Goes on to `now`.
    #[allow(clippy::cast_precision_loss, reason = "a step is short")]
    pub(super) fn step(&mut self, now: Timestamp) {
        let dt_s = now.since_us(self.last_step) as f64 / 1e6;
        self.last_step = now;
        let day_share = now.0.rem_euclid(wire::time::DAY_US) as f64 / wire::time::DAY_US as f64;
        self.ambient_celsius =
            self.ambient_mean_celsius - 4.0 * ((day_share - 0.1) * std::f64::consts::TAU).cos();
        match self.phase.clone() {
            Phase::Parked { until } => {
                self.rest(dt_s);
                if now >= until {
                    let wait = self.chance.between(4.0, 12.0);
                    self.phase = Phase::Waiting { until: now.plus_us(seconds_us(wait)), is_arrived: false };
                }
            }
            Phase::Waiting { until, is_arrived } => {
                self.roll(dt_s, 0.0);
                match (now >= until, is_arrived) {
                    (true, true) => self.park(now),
                    (true, false) => self.phase = Phase::Driving,
                    _ => {}
                }
            }
            Phase::Stopped { until } => {
                self.roll(dt_s, 0.0);
                if now >= until {
                    self.phase = Phase::Driving;
                }
            }
            Phase::Driving => self.drive_on(dt_s, now),
        }
    }

    fn drive_on(&mut self, dt_s: f64, now: Timestamp) {
        let end_m = self.trip.stops.get(self.trip.next_stop).map_or(self.track.length_m(), |s| s.at_m);
        let ahead_m = (self.trip.at_m + self.speed_mps * dt_s).min(end_m);
        let mut target_mps = self.trip.profile_at(&self.track, ahead_m);
        if self.trip.at_m - self.trip.stood_at_m < NODE_M + 1.0 {
            // Pulling away: the profile still says that it stands here.
            target_mps = target_mps.max(self.speed_mps + ACCELERATION_MAX_MPS2 * dt_s);
        }
        let by_power = self.power_max_kw() * 1000.0 / (self.mass_kg * self.speed_mps.max(3.0));
        let strongest = ACCELERATION_MAX_MPS2.min(by_power);
        let acceleration =
            ((target_mps - self.speed_mps) / dt_s.max(0.01)).clamp(-BRAKING_MAX_MPS2, strongest);
        self.roll(dt_s, acceleration);
        if end_m - self.trip.at_m < STOP_NEAR_M && self.speed_mps < CRAWL_MPS {
            self.stand(now);
        }
    }

    /// Stands at a stop, or at the end.
    fn stand(&mut self, now: Timestamp) {
        self.speed_mps = 0.0;
        self.trip.stood_at_m = self.trip.at_m;
        match self.trip.stops.get(self.trip.next_stop) {
            Some(stop) => {
                self.phase = Phase::Stopped { until: now.plus_us(seconds_us(stop.dwell_s)) };
                self.trip.next_stop += 1;
            }
            None => {
                let wait = self.chance.between(3.0, 9.0);
                self.phase = Phase::Waiting { until: now.plus_us(seconds_us(wait)), is_arrived: true };
            }
        }
    }

    /// Ignition off; the next drive goes back.
    fn park(&mut self, now: Timestamp) {
        let parking_s = schedule::parking_s(&mut self.chance);
        self.phase = Phase::Parked { until: now.plus_us(seconds_us(parking_s)) };
        self.track = self.track.reversed();
        self.trip = Trip::new(&self.track, &mut self.chance);
        self.rest(0.0);
    }

    fn rest(&mut self, dt_s: f64) {
        (self.speed_mps, self.acceleration_mps2) = (0.0, 0.0);
        match &mut self.drive {
            Drive::Combustion(engine) => {
                engine.rest(dt_s, self.ambient_celsius);
                engine.refuel_if_low();
            }
            Drive::Battery(battery) => battery.rest(dt_s),
        }
    }

    /// Moves with an acceleration, and pays for it.
    fn roll(&mut self, dt_s: f64, acceleration_mps2: f64) {
        let before_mps = self.speed_mps;
        self.speed_mps = (before_mps + acceleration_mps2 * dt_s).max(0.0);
        self.acceleration_mps2 = if dt_s > 0.0 { (self.speed_mps - before_mps) / dt_s } else { 0.0 };
        let moved_m = (before_mps + self.speed_mps) / 2.0 * dt_s;
        self.trip.at_m = (self.trip.at_m + moved_m).min(self.track.length_m());
        self.odometer_m += moved_m;
        let (i, _) = self.track.place(self.trip.at_m);
        let grade = if self.speed_mps > 0.0 { self.track.nodes[i].grade } else { 0.0 };
        let force_n = self.mass_kg * (self.acceleration_mps2 + GRAVITY_MPS2 * (grade + ROLLING))
            + DRAG * self.speed_mps * self.speed_mps;
        let wheel_kw = force_n * self.speed_mps / 1000.0;
        match &mut self.drive {
            Drive::Combustion(engine) => engine.run(dt_s, self.speed_mps, wheel_kw),
            Drive::Battery(battery) => battery.run(dt_s, wheel_kw),
        }
    }

    fn power_max_kw(&self) -> f64 {
        match self.drive {
            Drive::Combustion(_) => Engine::power_max_kw(),
            Drive::Battery(_) => Battery::power_max_kw(),
        }
    }
}

impl Trip {
    fn new(track: &Track, chance: &mut Chance) -> Self {
        let limit_kmh = |at_m: f64| track.nodes[track.place(at_m).0].limit_mps * 3.6;
        let stops = schedule::stops(chance, track.length_m(), limit_kmh);
        let haste = chance.between(0.88, 1.04);
        let mut profile_mps: Vec<f64> =
            track.nodes.iter().map(|n| (n.limit_mps * haste).min(n.bend_mps)).collect();
        let last = profile_mps.len() - 1;
        profile_mps[last] = 0.0;
        let mut braking = vec![BRAKING_MPS2; profile_mps.len()];
        for stop in &stops {
            let (i, _) = track.place(stop.at_m);
            profile_mps[i] = 0.0;
            // Braking begins some way before.
            for mps2 in &mut braking[i.saturating_sub(16)..=i] {
                *mps2 = stop.braking_mps2;
            }
        }
        // Stops are at nodes.
        let stops = stops
            .into_iter()
            .map(|stop| Stop { at_m: (stop.at_m / NODE_M).floor() * NODE_M, ..stop })
            .collect();
        for i in (0..last).rev() {
            let reachable = (profile_mps[i + 1].powi(2) + 2.0 * braking[i] * NODE_M).sqrt();
            profile_mps[i] = profile_mps[i].min(reachable);
        }
        Self { at_m: 0.0, profile_mps, stops, next_stop: 0, stood_at_m: 0.0 }
    }

    /// The allowed speed: between nodes as constant braking has it.
    fn profile_at(&self, track: &Track, at_m: f64) -> f64 {
        let (i, share) = track.place(at_m);
        let (a, b) = (self.profile_mps[i], self.profile_mps[i + 1]);
        (a * a + (b * b - a * a) * share).max(0.0).sqrt()
    }
}

/// Whole ticks, so that every moment of the simulation is one.
#[allow(clippy::cast_possible_truncation, reason = "minutes")]
fn seconds_us(seconds: f64) -> i64 {
    (seconds * 1e6 / TICK_US as f64).round() as i64 * TICK_US
}
