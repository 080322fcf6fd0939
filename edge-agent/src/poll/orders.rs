//! What commands order, whatever the schedule says.

use super::{ClearPermit, PollRefusal, Poller, ecu::Ecu, job::Job, units::Units};
use crate::{faults::FaultReport, j1939::Pgn};

/// What is asked of units of J1939 for their faults: those there are, and those there were.
const READ: [Pgn; 2] = [Pgn::DM1, Pgn::DM2];
/// What clears both.
const CLEAR: [Pgn; 2] = [Pgn::DM11, Pgn::DM3];

impl Poller {
    /// Reads all codes now, whatever the schedule says, within the share of the bus.
    pub fn read_dtcs_now(&mut self) -> Result<(), PollRefusal> {
        self.check_ready()?;
        for i in 0..self.ecus.len() {
            self.begin_scan(i);
        }
        if let Some(units) = &mut self.units {
            units.order(&READ);
        }
        Ok(())
    }

    /// Asks every control unit of UDS now which codes it can set.
    pub fn read_supported_dtcs(&mut self) -> Result<(), PollRefusal> {
        self.check_ready()?;
        let mut is_any_asked = false;
        for ecu in &mut self.ecus {
            let Some(poll) = ecu.configured.and_then(|place| self.settings.ecus.get(place)) else { continue };
            if let Some(kind) = poll.session {
                ecu.push(Job::Session { kind });
            }
            ecu.push(Job::SupportedDtcs);
            is_any_asked = true;
        }
        if is_any_asked { Ok(()) } else { Err(PollRefusal::NoControlUnit) }
    }

    /// Whether a control unit still has to answer that.
    pub fn is_reading_supported_dtcs(&self) -> bool {
        self.ecus.iter().any(|ecu| ecu.has(|job| matches!(job, Job::SupportedDtcs)))
    }

    /// Its answers, in their order.
    pub fn take_supported_dtcs(&mut self) -> Vec<FaultReport> {
        self.supported.drain(..).collect()
    }

    /// Clears the codes of every control unit whose codes are read, and reads them again.
    pub fn clear_dtcs(&mut self, _permit: ClearPermit) -> Result<(), PollRefusal> {
        self.check_ready()?;
        for ecu in &mut self.ecus {
            match (&ecu.pids, ecu.configured) {
                // The wider service where there are both: it clears what OBD sees too.
                (_, Some(_)) => ecu.push(Job::ClearUds),
                (Some(_), None) => ecu.push(Job::ClearObd),
                (None, None) => {}
            }
        }
        if let Some(units) = &mut self.units {
            units.order(&[CLEAR.as_slice(), &READ].concat());
        }
        Ok(())
    }

    /// Whether codes are being read.
    pub fn is_reading_dtcs(&self) -> bool {
        self.ecus.iter().any(|ecu| ecu.scan.is_running) || self.is_ordered(&READ)
    }

    /// Whether a control unit still has to answer an order to clear its codes.
    pub fn is_clearing_dtcs(&self) -> bool {
        let is_clearing = |job: &Job| matches!(job, Job::ClearObd | Job::ClearUds);
        self.ecus.iter().any(|ecu| ecu.has(is_clearing)) || self.is_ordered(&CLEAR)
    }

    fn check_ready(&self) -> Result<(), PollRefusal> {
        if !self.is_awake {
            return Err(PollRefusal::Asleep);
        }
        let is_known = |ecu: &Ecu| ecu.pids.is_some() || ecu.configured.is_some();
        let is_any_unit = self.units.as_ref().is_some_and(Units::is_ready);
        if is_any_unit || self.ecus.iter().any(is_known) { Ok(()) } else { Err(PollRefusal::NoControlUnit) }
    }

    fn is_ordered(&self, pgns: &[Pgn]) -> bool {
        self.units.as_ref().is_some_and(|units| units.is_ordered(pgns))
    }
}
