//! What the vehicle says on its bus, and when.

use std::{collections::VecDeque, sync::Arc};

use wire::time::Timestamp;

use super::{
    Powertrain, SimulateError, dbc,
    schedule::Chance,
    track::degrees_of,
    vehicle::{Drive, Vehicle},
};
use crate::{
    dbc::Dbc,
    decode::Decoder,
    encode::{EncodeError, EncodedFrame, Encoder, MessageEncoder},
    frame::Frame,
};

const SECOND_US: i64 = 1_000_000;
/// Frames of one moment follow each other by so much.
const FRAME_GAP_US: i64 = 250;
/// How much of a position's error the next second keeps, and what is added: about 2 m in all.
const NOISE_KEPT: f64 = 0.95;
const NOISE_ADDED_M: f64 = 0.45;

/// Makes the frames of one vehicle.
#[derive(Debug)]
pub(super) struct FrameMaker {
    interface: Arc<str>,
    motion: MessageEncoder,
    engine: MessageEncoder,
    powertrain: MessageEncoder,
    totals: MessageEncoder,
    battery: MessageEncoder,
    energy: MessageEncoder,
    position: MessageEncoder,
    navigation: MessageEncoder,
    chance: Chance,
    /// Error of the position, north and east.
    noise_m: (f64, f64),
}

impl FrameMaker {
    pub(super) fn new(powertrain: Powertrain, seed: u64) -> Result<Self, SimulateError> {
        let file = dbc();
        let decoder = Decoder::compile(&[Dbc::from_bytes(&file.name, &file.bytes)?])?;
        let encoder = Encoder::new(&decoder);
        let message = |name: &str| encoder.message(name).cloned();
        let salt = match powertrain {
            Powertrain::Combustion => 1,
            Powertrain::Battery => 2,
        };
        let maker = Self {
            interface: Arc::from("sim0"),
            motion: message("sim_motion")?,
            engine: message("sim_engine")?,
            powertrain: message("sim_powertrain")?,
            totals: message("sim_totals")?,
            battery: message("sim_battery")?,
            energy: message("sim_energy")?,
            position: message("sim_position")?,
            navigation: message("sim_navigation")?,
            chance: Chance::new(seed.rotate_left(17) ^ salt),
            noise_m: (0.0, 0.0),
        };
        // What cannot be encoded is found here, not on the way.
        maker.check()?;
        Ok(maker)
    }

    /// The interface of its frames.
    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    fn check(&self) -> Result<(), EncodeError> {
        self.motion.encode(&motion_values(0.0, 0.0, 0.0, 0.0, 0.0))?;
        self.engine.encode(&engine_values(0.0, 0.0, 0.0, 0.0))?;
        self.powertrain.encode(&powertrain_values(0.0, 0.0, 0.0, 0.0, 0.0))?;
        self.totals.encode(&[("Odometer", 0.0), ("FuelUsed", 0.0)])?;
        self.battery.encode(&battery_values(0.0, 0.0, 0.0, 0.0))?;
        self.energy.encode(&[("Odometer", 0.0), ("EnergyUsed", 0.0)])?;
        self.position.encode(&position_values(0.0, 0.0))?;
        self.navigation.encode(&[("Altitude", 0.0), ("Heading", 0.0)])?;
        Ok(())
    }

    /// Adds the frames of this moment; a silent one only moves chance on.
    pub(super) fn make(
        &mut self,
        vehicle: &Vehicle,
        now: Timestamp,
        is_silent: bool,
        out: &mut VecDeque<Frame>,
    ) {
        let is_on = vehicle.is_ignition_on();
        let is_second = now.0.rem_euclid(SECOND_US) == 0;
        if is_second {
            let (north, east) = self.noise_m;
            self.noise_m = (
                north * NOISE_KEPT + self.chance.normal() * NOISE_ADDED_M,
                east * NOISE_KEPT + self.chance.normal() * NOISE_ADDED_M,
            );
        }
        if is_silent {
            return;
        }
        let mut made: Vec<Result<EncodedFrame, EncodeError>> = Vec::with_capacity(8);
        let braking = if is_on { (-vehicle.acceleration_mps2 * 14.0).clamp(0.0, 100.0) } else { 0.0 };
        let ignition = f64::from(u8::from(is_on));
        made.push(self.motion.encode(&motion_values(
            vehicle.speed_mps * 3.6,
            vehicle.acceleration_mps2,
            vehicle.lateral_mps2(),
            ignition,
            braking,
        )));
        if is_second {
            let (latitude, longitude) = vehicle.position();
            let (north, east) = degrees_of(self.noise_m.0, self.noise_m.1, latitude);
            made.push(self.position.encode(&position_values(latitude + north, longitude + east)));
        }
        match &vehicle.drive {
            Drive::Combustion(engine) => {
                // One frame after the ignition goes off says that the engine stands.
                made.push(self.engine.encode(&engine_values(
                    engine.rpm,
                    engine.load_percent,
                    engine.pedal_percent,
                    f64::from(engine.gear),
                )));
                if is_on && is_second {
                    let level = 100.0 * engine.tank_l / engine.tank_size_l;
                    let voltage = if engine.rpm > 500.0 { 14.2 } else { 12.5 };
                    made.push(self.powertrain.encode(&powertrain_values(
                        level,
                        engine.fuel_lph,
                        engine.coolant_celsius,
                        vehicle.ambient_celsius,
                        voltage,
                    )));
                    let odometer = ("Odometer", vehicle.odometer_m / 1000.0);
                    made.push(self.totals.encode(&[odometer, ("FuelUsed", engine.fuel_used_l)]));
                }
            }
            Drive::Battery(battery) => {
                let is_half_second = now.0.rem_euclid(SECOND_US / 2) == 0;
                if is_half_second && (is_on || battery.is_charging) {
                    made.push(self.battery.encode(&battery_values(
                        battery.soc_percent(),
                        battery.power_kw * 1000.0,
                        battery.voltage_v(),
                        f64::from(u8::from(battery.is_charging)),
                    )));
                }
                if is_on && is_second {
                    let odometer = ("Odometer", vehicle.odometer_m / 1000.0);
                    made.push(self.energy.encode(&[odometer, ("EnergyUsed", battery.energy_used_kwh)]));
                }
            }
        }
        if is_on && is_second {
            let heading = ("Heading", vehicle.heading_degrees());
            made.push(self.navigation.encode(&[("Altitude", vehicle.height_m()), heading]));
        }
        let mut time = now;
        for frame in made.into_iter().flatten() {
            out.extend(frame.on(Arc::clone(&self.interface), time));
            time = time.plus_us(FRAME_GAP_US);
        }
    }
}

fn motion_values(
    speed: f64,
    longitudinal: f64,
    lateral: f64,
    ignition: f64,
    brake: f64,
) -> [(&'static str, f64); 5] {
    [
        ("VehicleSpeed", speed),
        ("LongitudinalAcceleration", longitudinal),
        ("LateralAcceleration", lateral),
        ("Ignition", ignition),
        ("BrakePedal", brake),
    ]
}

fn engine_values(rpm: f64, load: f64, pedal: f64, gear: f64) -> [(&'static str, f64); 4] {
    [("EngineSpeed", rpm), ("EngineLoad", load), ("AcceleratorPedal", pedal), ("Gear", gear)]
}

fn powertrain_values(
    level: f64,
    rate: f64,
    coolant: f64,
    ambient: f64,
    voltage: f64,
) -> [(&'static str, f64); 5] {
    [
        ("FuelLevel", level),
        ("FuelRate", rate),
        ("CoolantTemperature", coolant),
        ("AmbientTemperature", ambient),
        ("BatteryVoltage", voltage),
    ]
}

fn battery_values(soc: f64, power_w: f64, voltage: f64, charging: f64) -> [(&'static str, f64); 4] {
    [("StateOfCharge", soc), ("BatteryPower", power_w), ("PackVoltage", voltage), ("IsCharging", charging)]
}

fn position_values(latitude: f64, longitude: f64) -> [(&'static str, f64); 4] {
    [("PositionValid", 1.0), ("Latitude", latitude), ("Longitude", longitude), ("PositionAccuracy", 2.0)]
}
