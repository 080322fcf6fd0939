//! The control unit of a simulated vehicle, and the way requests come to it.
//!
//! Requests wait in a bounded queue until the next frame is asked for, and are answered in the
//! time of the simulation. A queue that is full refuses, as a bus without acknowledgement does.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use wire::time::Timestamp;

use super::{
    ecu::{EcuSettings, SimulatedEcu},
    vehicle::{Drive, Vehicle},
};
use crate::{frame::Frame, source::BusWriter, uds::DtcCode};

/// Requests that may wait.
const REQUESTS_MAX: usize = 64;
/// Every so many metres a fault comes, and stays for as many.
const FAULT_EVERY_M: f64 = 60_000.0;
const FAULT_LENGTH_M: f64 = 20_000.0;
/// A catalyst below its efficiency (SAE J2012: P0420), and a high voltage system that lost its
/// isolation (P0AA6).
const COMBUSTION_FAULT: DtcCode = DtcCode([0x04, 0x20, 0x00]);
const BATTERY_FAULT: DtcCode = DtcCode([0x0A, 0xA6, 0x00]);

#[derive(Debug)]
pub(super) struct Diagnosis {
    ecu: SimulatedEcu,
    /// Moves the places of faults, so that vehicles differ.
    fault_offset_m: f64,
    requests: Receiver<Frame>,
    sender: SyncSender<Frame>,
    now: Timestamp,
}

struct Writer(SyncSender<Frame>);

impl BusWriter for Writer {
    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let refused = |_| io::Error::new(io::ErrorKind::WouldBlock, "the simulated bus has no room");
        self.0.try_send(frame.clone()).map_err(refused)
    }
}

impl Diagnosis {
    #[allow(clippy::cast_precision_loss, reason = "a place among a thousand")]
    pub(super) fn new(interface: &str, seed: u64) -> Self {
        let (sender, requests) = sync_channel(REQUESTS_MAX);
        Self {
            ecu: SimulatedEcu::new(EcuSettings::engine(Arc::from(interface))),
            fault_offset_m: (seed % 1000) as f64 * FAULT_EVERY_M / 1000.0,
            requests,
            sender,
            now: Timestamp(i64::MIN),
        }
    }

    pub(super) fn writer(&self) -> Box<dyn BusWriter> {
        Box::new(Writer(self.sender.clone()))
    }

    /// The time of the frame that was said last.
    pub(super) fn pass(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// What the control unit says before `next`, the time of the vehicle's next frame.
    pub(super) fn frame_before(&mut self, next: Timestamp, vehicle: &Vehicle) -> Option<Frame> {
        self.ecu.set_on(vehicle.is_ignition_on());
        let mut is_measured = false;
        while let Ok(mut request) = self.requests.try_recv() {
            if !is_measured {
                self.measure(vehicle);
                is_measured = true;
            }
            request.time = self.now;
            self.ecu.observe(&request);
        }
        // One wait after another until something is said; each is at a later time.
        while let Some(at) = self.ecu.wake_at().filter(|at| *at <= next) {
            self.now = self.now.max(at);
            self.ecu.tick(self.now);
            if let Some(frame) = self.ecu.take_frame(self.now) {
                return Some(frame);
            }
            if self.ecu.wake_at().is_some_and(|again| again <= at) {
                break;
            }
        }
        None
    }

    /// Gives the control unit what the vehicle is like, by the scaling of SAE J1979-DA.
    fn measure(&mut self, vehicle: &Vehicle) {
        let ecu = &mut self.ecu;
        ecu.set_pid(0x0D, &bytes::<1>(vehicle.speed_mps * 3.6));
        ecu.set_pid(0x46, &bytes::<1>(vehicle.ambient_celsius + 40.0));
        ecu.set_pid(0xA6, &bytes::<4>(vehicle.odometer_m / 100.0));
        let fault = match &vehicle.drive {
            Drive::Combustion(engine) => {
                ecu.set_pid(0x04, &bytes::<1>(engine.load_percent * 2.55));
                ecu.set_pid(0x05, &bytes::<1>(engine.coolant_celsius + 40.0));
                ecu.set_pid(0x0C, &bytes::<2>(engine.rpm * 4.0));
                ecu.set_pid(0x11, &bytes::<1>(engine.pedal_percent * 2.55));
                ecu.set_pid(0x2F, &bytes::<1>(255.0 * engine.tank_l / engine.tank_size_l));
                ecu.set_pid(0x5E, &bytes::<2>(engine.fuel_lph * 20.0));
                let voltage_mv = if engine.rpm > 500.0 { 14_200.0 } else { 12_500.0 };
                ecu.set_pid(0x42, &bytes::<2>(voltage_mv));
                COMBUSTION_FAULT
            }
            Drive::Battery(battery) => {
                ecu.set_pid(0x5B, &bytes::<1>(battery.soc_percent() * 2.55));
                ecu.set_pid(0x42, &bytes::<2>(13_800.0));
                BATTERY_FAULT
            }
        };
        let place_m = (vehicle.odometer_m + self.fault_offset_m).rem_euclid(FAULT_EVERY_M);
        if place_m < FAULT_LENGTH_M {
            ecu.raise(fault);
        } else {
            ecu.heal(fault);
        }
    }
}

/// A value as so many bytes, most significant first, clamped to what they hold.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn bytes<const COUNT: usize>(value: f64) -> [u8; COUNT] {
    let bits = u32::try_from(COUNT * 8).unwrap_or(32).min(32);
    let most = u32::MAX >> (32 - bits);
    let raw = (value.round() as u32).min(most).to_be_bytes();
    let mut bytes = [0; COUNT];
    for (slot, byte) in bytes.iter_mut().rev().zip(raw.iter().rev()) {
        *slot = *byte;
    }
    bytes
}
