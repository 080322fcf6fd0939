//! A control unit that is computed: it answers OBD-II and UDS as a real one would.
//!
//! Sans-IO like the polling it answers: it is shown the bus's frames and the time, and gives the
//! frames it sends. It can be slow, busy or unwilling, so that those who ask are tried.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use wire::time::Timestamp;

use crate::{
    frame::{Frame, FrameId, FrameKind},
    isotp::{
        Address, Link, LinkEvent, LinkSettings, micros,
        pdu::{self, Pdu},
    },
    obd,
    uds::{self, DtcCode, NEGATIVE, NegativeCode},
};

/// Answers that may wait to be sent.
const ANSWERS_MAX: usize = 16;
/// Between two *response pending* (the client allows 5 s).
const PENDING_US: i64 = 1_000_000;
/// Status of a fault that is there: failed, failed in this cycle, pending, confirmed, failed since
/// the last clear (ISO 14229-1 D.2).
const STATUS_PRESENT: u8 = 0x2F;
/// The same once the test passes again: confirmed, failed since the last clear.
const STATUS_HEALED: u8 = 0x28;
/// What it can say of a code's status (`DTCStatusAvailabilityMask`).
const STATUS_AVAILABLE: u8 = 0x2F;
/// The one record of each kind a code has.
const RECORD: u8 = 0x01;

/// A control unit.
#[derive(Debug, Clone)]
pub struct EcuSettings {
    /// Its addresses, as it sees them.
    pub address: Address,
    /// Where requests to all come; `None` when it listens to its own alone.
    pub functional_id: Option<FrameId>,
    /// Its ISO-TP: block size, `STmin`, padding.
    pub link: LinkSettings,
    /// Its interface.
    pub interface: Arc<str>,
    /// Time it takes to answer.
    pub answer_after: Duration,
    /// Its vehicle identification number.
    pub vin: String,
    /// Its calibration identification.
    pub calibration: String,
    /// Its name.
    pub name: String,
}

impl EcuSettings {
    /// The engine's control unit of ISO 15765-4: 7E0 and 7E8.
    pub fn engine(interface: Arc<str>) -> Self {
        let id = |raw| FrameId { raw, is_extended: false };
        Self {
            address: Address::normal(id(0x7E8), id(0x7E0)),
            functional_id: Some(id(0x7DF)),
            link: LinkSettings { padding: Some(0xAA), ..LinkSettings::default() },
            interface,
            answer_after: Duration::from_millis(8),
            vin: "WRLZZZSVH00000001".to_owned(),
            calibration: "ROADLAKE-SIM-01".to_owned(),
            name: "ECM-EngineControl".to_owned(),
        }
    }
}

/// A fault it knows of.
#[derive(Debug, Clone)]
struct Fault {
    code: DtcCode,
    status: u8,
    occurrences: u8,
    /// Values when it was first seen, by PID.
    freeze: BTreeMap<u8, Vec<u8>>,
}

/// A simulated control unit.
#[derive(Debug)]
pub struct SimulatedEcu {
    settings: EcuSettings,
    link: Link,
    is_on: bool,
    pids: BTreeMap<u8, Vec<u8>>,
    dids: BTreeMap<u16, Vec<u8>>,
    faults: Vec<Fault>,
    refusals: BTreeMap<u8, NegativeCode>,
    /// Services that it is busy for, and how often.
    busy: BTreeMap<u8, u32>,
    /// Services that take so many *response pending*.
    pending: BTreeMap<u8, u32>,
    answers: VecDeque<(Timestamp, Vec<u8>)>,
    session: u8,
    requests: u64,
}

impl SimulatedEcu {
    /// A control unit that is on, with the PIDs that say how it is: monitor status and standard.
    pub fn new(settings: EcuSettings) -> Self {
        let mut ecu = Self {
            link: Link::new(settings.address, settings.link, Arc::clone(&settings.interface)),
            settings,
            is_on: true,
            pids: BTreeMap::new(),
            dids: BTreeMap::new(),
            faults: Vec::new(),
            refusals: BTreeMap::new(),
            busy: BTreeMap::new(),
            pending: BTreeMap::new(),
            answers: VecDeque::new(),
            session: 1,
            requests: 0,
        };
        ecu.set_pid(0x1C, &[6]);
        ecu
    }

    /// Switches it on or off; off, it is silent.
    pub fn set_on(&mut self, is_on: bool) {
        if !is_on {
            self.link.reset();
            self.answers.clear();
            self.session = 1;
        }
        self.is_on = is_on;
    }

    /// Gives it a value of service 01, as its data bytes.
    pub fn set_pid(&mut self, pid: u8, data: &[u8]) {
        self.pids.insert(pid, data.to_vec());
    }

    /// Gives it a data identifier.
    pub fn set_did(&mut self, identifier: u16, data: &[u8]) {
        self.dids.insert(identifier, data.to_vec());
    }

    /// Refuses a service from now on; `None` serves it again.
    pub fn refuse(&mut self, service: u8, code: Option<NegativeCode>) {
        match code {
            Some(code) => self.refusals.insert(service, code),
            None => self.refusals.remove(&service),
        };
    }

    /// Is busy for a service so many times.
    pub fn be_busy(&mut self, service: u8, times: u32) {
        self.busy.insert(service, times);
    }

    /// Says *response pending* so many times before each answer of a service.
    pub fn be_slow(&mut self, service: u8, times: u32) {
        self.pending.insert(service, times);
    }

    /// A fault appears; the values of now become its freeze frame.
    pub fn raise(&mut self, code: DtcCode) {
        if let Some(known) = self.faults.iter_mut().find(|fault| fault.code == code) {
            if known.status & uds::STATUS_FAILED == 0 {
                known.occurrences = known.occurrences.saturating_add(1);
            }
            known.status = STATUS_PRESENT;
        } else {
            let freeze = self.pids.clone();
            self.faults.push(Fault { code, status: STATUS_PRESENT, occurrences: 1, freeze });
        }
    }

    /// A fault is there no longer; its code stays confirmed until it is cleared.
    pub fn heal(&mut self, code: DtcCode) {
        for fault in self.faults.iter_mut().filter(|fault| fault.code == code) {
            fault.status = STATUS_HEALED;
        }
    }

    /// Whether it keeps any code.
    pub fn has_codes(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Requests it has served or refused.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The session it is in.
    pub fn session(&self) -> u8 {
        self.session
    }

    /// Takes a frame of the bus.
    pub fn observe(&mut self, frame: &Frame) {
        if !self.is_on {
            return;
        }
        if Some(frame.id) == self.settings.functional_id && frame.kind == FrameKind::Data {
            if let Ok(Pdu::Single(request)) = pdu::parse(frame.data(), 0) {
                self.serve(request, frame.time, true);
            }
            return;
        }
        if !self.link.observe(frame) {
            return;
        }
        while let Some(event) = self.link.take_event() {
            if let LinkEvent::Received { payload, time } = event {
                self.serve(&payload, time, false);
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        self.link.tick(now);
        if let Some((_, answer)) = self.answers.front().filter(|(at, _)| *at <= now)
            && self.link.send(answer, now).is_ok()
        {
            self.answers.pop_front();
        }
        while self.link.take_event().is_some() {}
    }

    /// The next frame it sends now.
    pub fn take_frame(&mut self, now: Timestamp) -> Option<Frame> {
        self.link.take_frame(now)
    }

    /// When it has something to do without a frame.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let answer = self.answers.front().map(|(at, _)| *at);
        // An answer behind one that is going out has its turn when the link wakes.
        self.link.wake_at().or(answer)
    }

    fn serve(&mut self, request: &[u8], now: Timestamp, is_functional: bool) {
        let Some(service) = request.first().copied() else { return };
        self.requests += 1;
        let mut at = now.plus_us(micros(self.settings.answer_after));
        if let Some(times) = self.busy.get_mut(&service).filter(|times| **times > 0) {
            *times -= 1;
            return self.put(at, vec![NEGATIVE, service, NegativeCode::BUSY.0]);
        }
        let result = match self.refusals.get(&service) {
            Some(code) => Err(*code),
            None => self.answer(request),
        };
        let answer = match result {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            // To a request that went to all, who does not have it is silent (ISO 14229-1 8.7.5).
            Err(NegativeCode(0x11 | 0x12 | 0x31)) if is_functional => return,
            Err(code) => vec![NEGATIVE, service, code.0],
        };
        for _ in 0..self.pending.get(&service).copied().unwrap_or(0) {
            self.put(at, vec![NEGATIVE, service, NegativeCode::PENDING.0]);
            at = at.plus_us(PENDING_US);
        }
        self.put(at, answer);
    }

    fn put(&mut self, at: Timestamp, answer: Vec<u8>) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push_back((at, answer));
        }
    }

    /// The positive answer, none where none is wanted, or why not.
    fn answer(&mut self, request: &[u8]) -> Result<Option<Vec<u8>>, NegativeCode> {
        const LENGTH: NegativeCode = NegativeCode(0x13);
        const RANGE: NegativeCode = NegativeCode(0x31);
        const SUB_FUNCTION: NegativeCode = NegativeCode(0x12);
        let found = match *request {
            [obd::CURRENT_DATA, pid] => {
                let data = self.current(pid).ok_or(SUB_FUNCTION)?;
                [&[0x41, pid], data.as_slice()].concat()
            }
            [obd::FREEZE_FRAME, pid, 0] => {
                let data = self.freeze(pid).ok_or(SUB_FUNCTION)?;
                [&[0x42, pid, 0], data.as_slice()].concat()
            }
            [obd::CONFIRMED_DTCS] => self.list(obd::CONFIRMED_DTCS, uds::STATUS_CONFIRMED),
            [obd::PENDING_DTCS] => self.list(obd::PENDING_DTCS, uds::STATUS_PENDING),
            // What is failing now is what no tool may clear.
            [obd::PERMANENT_DTCS] => self.list(obd::PERMANENT_DTCS, uds::STATUS_FAILED),
            [obd::CLEAR] => {
                self.faults.clear();
                vec![0x44]
            }
            [obd::VEHICLE_INFORMATION, info_type] => self.information(info_type).ok_or(SUB_FUNCTION)?,
            [uds::SESSION_CONTROL, kind @ 1..=3] => {
                self.session = kind;
                // P2 of 50 ms in 1 ms, P2* of 5 s in 10 ms (ISO 14229-1 table 29).
                vec![0x50, kind, 0x00, 0x32, 0x01, 0xF4]
            }
            [uds::TESTER_PRESENT, sub] if sub & !uds::SUPPRESS == 0 => {
                if sub & uds::SUPPRESS != 0 {
                    return Ok(None);
                }
                vec![0x7E, 0x00]
            }
            // One identifier or several; those there are are answered (ISO 14229-1 11.2).
            [uds::READ_DATA, ref dids @ ..] if !dids.is_empty() && dids.len() % 2 == 0 => {
                let known = dids.chunks_exact(2).filter_map(|did| {
                    let data = self.dids.get(&u16::from_be_bytes([did[0], did[1]]))?;
                    Some([did, data].concat())
                });
                let records: Vec<u8> = known.flatten().collect();
                if records.is_empty() {
                    return Err(RANGE);
                }
                [vec![0x62], records].concat()
            }
            [uds::CLEAR_DTCS, 0xFF, 0xFF, 0xFF] => {
                self.faults.clear();
                vec![0x54]
            }
            [uds::CLEAR_DTCS, _, _, _] => return Err(RANGE),
            [uds::READ_DTCS, uds::DTCS_BY_STATUS, mask] => self.codes(uds::DTCS_BY_STATUS, mask),
            [uds::READ_DTCS, uds::SUPPORTED_DTCS] => self.codes(uds::SUPPORTED_DTCS, 0xFF),
            [uds::READ_DTCS, sub @ (uds::SNAPSHOT_OF_DTC | uds::EXTENDED_DATA_OF_DTC), a, b, c, _record] => {
                self.records(sub, DtcCode([a, b, c])).ok_or(RANGE)?
            }
            [uds::READ_DTCS, uds::SNAPSHOT_OF_DTC | uds::EXTENDED_DATA_OF_DTC, ..]
            | [uds::SESSION_CONTROL | uds::TESTER_PRESENT | uds::CLEAR_DTCS]
            | [uds::READ_DATA, ..] => return Err(LENGTH),
            [uds::SESSION_CONTROL | uds::TESTER_PRESENT | uds::READ_DTCS, ..] => return Err(SUB_FUNCTION),
            _ => return Err(NegativeCode(0x11)),
        };
        Ok(Some(found))
    }

    fn current(&self, pid: u8) -> Option<Vec<u8>> {
        let known: BTreeSet<u8> = self.pids.keys().copied().chain([0x01]).collect();
        match pid {
            _ if pid.is_multiple_of(0x20) => supported(&known, pid),
            0x01 => {
                let confirmed = self.faults.iter().filter(|f| f.status & uds::STATUS_CONFIRMED != 0);
                let count = u8::try_from(confirmed.count().min(127)).unwrap_or(127);
                let lamp = if count > 0 { 0x80 } else { 0 };
                Some(vec![lamp | count, 0x07, 0xE5, 0x00])
            }
            _ => self.pids.get(&pid).cloned(),
        }
    }

    /// The freeze frame is of the first code that was confirmed (J1979 6.2.1).
    fn freeze(&self, pid: u8) -> Option<Vec<u8>> {
        let fault = self.faults.first();
        if pid == obd::PID_FREEZE_DTC {
            // Zeros are said where there is none.
            return Some(fault.map_or_else(|| vec![0, 0], |f| f.code.0[..2].to_vec()));
        }
        let fault = fault?;
        if pid.is_multiple_of(0x20) {
            return supported(&fault.freeze.keys().copied().chain([0x02]).collect(), pid);
        }
        fault.freeze.get(&pid).cloned()
    }

    fn list(&self, service: u8, status: u8) -> Vec<u8> {
        let codes: Vec<&Fault> = self.faults.iter().filter(|f| f.status & status != 0).take(255).collect();
        let mut answer = vec![service + uds::ANSWER, u8::try_from(codes.len()).unwrap_or(255)];
        codes.iter().for_each(|fault| answer.extend_from_slice(&fault.code.0[..2]));
        answer
    }

    fn information(&self, info_type: u8) -> Option<Vec<u8>> {
        let padded = |text: &str, bytes: usize| {
            let mut item = text.as_bytes().to_vec();
            item.resize(bytes, 0);
            item
        };
        let data = match info_type {
            0 => supported(&[obd::INFO_VIN, obd::INFO_CALIBRATION, obd::INFO_ECU_NAME].into(), 0)?,
            obd::INFO_VIN => [vec![1], padded(&self.settings.vin, 17)].concat(),
            obd::INFO_CALIBRATION => [vec![1], padded(&self.settings.calibration, 16)].concat(),
            obd::INFO_ECU_NAME => [vec![1], padded(&self.settings.name, 20)].concat(),
            _ => return None,
        };
        Some([vec![0x49, info_type], data].concat())
    }

    fn codes(&self, sub_function: u8, mask: u8) -> Vec<u8> {
        let mut answer = vec![0x59, sub_function, STATUS_AVAILABLE];
        for fault in self.faults.iter().filter(|fault| fault.status & mask != 0) {
            answer.extend_from_slice(&fault.code.0);
            answer.push(fault.status);
        }
        answer
    }

    fn records(&self, sub_function: u8, code: DtcCode) -> Option<Vec<u8>> {
        let fault = self.faults.iter().find(|fault| fault.code == code)?;
        let mut answer = vec![0x59, sub_function];
        answer.extend_from_slice(&code.0);
        answer.extend([fault.status, RECORD]);
        if sub_function == uds::EXTENDED_DATA_OF_DTC {
            answer.push(fault.occurrences);
        } else {
            // PIDs have the identifiers F400 to F4FF (ISO 14229-1 C.1).
            answer.push(u8::try_from(fault.freeze.len()).unwrap_or(u8::MAX));
            for (pid, data) in fault.freeze.iter().take(255) {
                answer.extend([0xF4, *pid]);
                answer.extend_from_slice(data);
            }
        }
        Some(answer)
    }
}

/// Which of the 32 after `base` there are, and at the last bit whether there are more.
fn supported(known: &BTreeSet<u8>, base: u8) -> Option<Vec<u8>> {
    let first = base.checked_add(1)?;
    let mut bits = 0_u32;
    for pid in known.range(first..=base.saturating_add(0x20)) {
        bits |= 0x8000_0000 >> (pid - first);
    }
    let has_more = base.checked_add(0x21).is_some_and(|next| known.range(next..).next().is_some());
    bits |= u32::from(has_more);
    (base == 0 || bits != 0).then(|| bits.to_be_bytes().to_vec())
}

#[cfg(test)]
mod tests;
