//! Which OBD control units there are: one request to all, until one answers.

use std::sync::Arc;

use wire::time::Timestamp;

use super::{EXCHANGES_MAX, EcuFrames, Poller, ecu::Ecu, job::Job};
use crate::{
    frame::{Frame, FrameKind},
    isotp::pdu::{self, Pdu},
    obd,
};

/// How long answers to the first request to all are waited for: the 50 ms of J1979 5.2.2.1 with
/// room for gateways.
const DISCOVERY_US: i64 = 300_000;
/// First and longest wait before that request is put again.
const DISCOVERY_AGAIN_US: i64 = 5_000_000;
const DISCOVERY_AGAIN_MAX_US: i64 = 300_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    Due { at: Timestamp, attempts: u32 },
    Running { until: Timestamp, attempts: u32 },
    Done,
}

impl Poller {
    /// An answer to the request that went to all: a control unit, and its first PIDs.
    pub(super) fn take_discovered(&mut self, frame: &Frame) {
        let Some(address) = self.settings.addressing.address_of_answer(frame.id) else { return };
        let Ok(Pdu::Single(answer)) = pdu::parse(frame.data(), 0) else { return };
        let Some(pids) = obd::parse_supported(answer).filter(|_| answer.starts_with(&[0x41, 0])) else {
            return;
        };
        let known = self.ecus.iter().position(|ecu| ecu.address().receive_id == frame.id);
        let place = known.unwrap_or(self.ecus.len());
        if known.is_none() {
            if self.ecus.len() == EXCHANGES_MAX {
                return;
            }
            let name = format!("{:X}", frame.id.raw);
            let interface = Arc::clone(&self.settings.interface);
            self.ecus.push(Ecu::new(name, address, EcuFrames::Classic, interface));
        }
        let ecu = &mut self.ecus[place];
        if ecu.pids.is_none() {
            if pids.contains(&0x20) {
                ecu.push(Job::Supported { base: 0x20 });
            }
            ecu.push(Job::Info { info_type: 0 });
            ecu.pids = Some(pids.into_iter().collect());
        }
    }

    /// Asks all control units whether they are there, until one is.
    pub(super) fn discover(&mut self, now: Timestamp) {
        match self.discovery {
            Discovery::Due { at, attempts } if at <= now => {
                let bits = Job::Supported { base: 0 }.bits_expected(true, EcuFrames::Classic)
                    * u32::from(obd::ECUS_MAX)
                    / 2;
                let is_free = self.ecus.iter().all(|ecu| ecu.job.is_none());
                if is_free && self.budget.allows(bits, 0) && self.ask_all(now) {
                    let until = now.plus_us(DISCOVERY_US);
                    self.discovery = Discovery::Running { until, attempts };
                }
            }
            Discovery::Running { until, attempts } if until < now => {
                self.discovery = if self.ecus.iter().any(|ecu| ecu.pids.is_some()) {
                    Discovery::Done
                } else {
                    self.counts.silent += 1;
                    let wait = (DISCOVERY_AGAIN_US << attempts.min(6)).min(DISCOVERY_AGAIN_MAX_US);
                    Discovery::Due { at: now.plus_us(wait), attempts: attempts + 1 }
                };
            }
            _ => {}
        }
    }

    fn ask_all(&mut self, now: Timestamp) -> bool {
        // Service 01, PID 00, in a single frame filled to 8 bytes as ISO 15765-4 wants it.
        let data = [0x02, obd::CURRENT_DATA, 0x00, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC];
        let interface = Arc::clone(&self.settings.interface);
        let id = self.settings.addressing.functional_id();
        let frame = Frame::new(now, interface, id, FrameKind::Data, &data);
        let is_made = frame.is_some();
        if let Some(frame) = frame {
            self.counts.requests += 1;
            self.put_out(frame);
        }
        is_made
    }
}
