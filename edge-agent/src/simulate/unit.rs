//! A unit of a J1939 bus that is computed: it claims its address, tells its active faults each
//! second, and answers requests as a truck's unit would, in messages of any length.
//!
//! Sans-IO like what asks it: it is shown the bus's frames and the time, and gives the frames it
//! sends.

use wire::time::Timestamp;

use crate::{
    frame::Frame,
    j1939::{
        Acknowledgement, Dm, Dtc, Node, NodeEvent, NodeSettings, Pgn, SourceAddress, Spn,
        dm::{LampKind, Lamps},
        freeze::{self, Place},
    },
};

/// How often DM1 is told (J1939-73, 5.7.1).
const DM1_US: i64 = 1_000_000;
/// Lamps of a unit without a fault: all off, none of them flashing.
const LAMPS_OFF: Lamps = Lamps { states: 0, flashes: 0xFF };
/// What DM4 tells of a unit that was told nothing else: torque mode 1, 120 kPa, 1500 rpm, 40 %,
/// 85 °C, 64 km/h.
const BASIC_VALUES: [u8; 8] = [1, 60, 0xE0, 0x2E, 40, 125, 0x00, 0x40];

/// What a fault found.
#[derive(Debug)]
struct Frozen {
    dtc: Dtc,
    basic: Vec<u8>,
    expanded: Vec<u8>,
}

/// A simulated unit.
#[derive(Debug)]
pub struct SimulatedUnit {
    node: Node,
    vin: String,
    is_on: bool,
    is_mute: bool,
    active: Vec<Dtc>,
    previous: Vec<Dtc>,
    /// The newest frame of each fault that is or was there: the values DM4 and DM25 have of it.
    freezes: Vec<Frozen>,
    layout: Vec<Place>,
    /// What a fault finds now: the values of DM4, and those of DM25.
    values_now: (Vec<u8>, Vec<u8>),
    refused: Vec<Pgn>,
    next_dm1: Option<Timestamp>,
    requests: u64,
}

impl SimulatedUnit {
    /// A unit that is on, without faults.
    pub fn new(node: NodeSettings, vin: &str) -> Self {
        Self {
            node: Node::new(node),
            vin: vin.to_owned(),
            is_on: true,
            is_mute: false,
            active: Vec::new(),
            previous: Vec::new(),
            freezes: Vec::new(),
            layout: Vec::new(),
            values_now: (BASIC_VALUES.to_vec(), Vec::new()),
            refused: Vec::new(),
            next_dm1: None,
            requests: 0,
        }
    }

    /// Switches it on or off; off, it is silent.
    pub fn set_on(&mut self, is_on: bool) {
        if !is_on {
            self.node.rest();
        }
        self.is_on = is_on;
    }

    /// Lets requests go unanswered, as a unit that is too busy does.
    pub fn set_mute(&mut self, is_mute: bool) {
        self.is_mute = is_mute;
    }

    /// Refuses a request from now on.
    pub fn refuse(&mut self, pgn: Pgn) {
        self.refused.push(pgn);
    }

    /// The values that faults from now on find: those of DM4, and those of DM25 with their layout,
    /// which is empty in a unit that has none.
    pub fn set_values(&mut self, basic: &[u8], layout: &[Place], expanded: &[u8]) {
        self.values_now = (basic.to_vec(), expanded.to_vec());
        self.layout = layout.to_vec();
    }

    /// A fault appears, or appears again.
    pub fn raise(&mut self, spn: Spn, fmi: u8) {
        let is_it = |dtc: &Dtc| dtc.spn == Some(spn) && dtc.fmi == fmi;
        let before = self.previous.iter().position(is_it).map(|i| self.previous.swap_remove(i));
        let count = before.and_then(|dtc| dtc.occurrences).unwrap_or(0);
        if !self.active.iter().any(is_it) {
            let dtc = Dtc::new(spn, fmi, Some(count.saturating_add(1)));
            self.active.push(dtc);
            self.freezes.retain(|frozen| !is_it(&frozen.dtc));
            let (basic, expanded) = self.values_now.clone();
            self.freezes.push(Frozen { dtc, basic, expanded });
        }
    }

    /// A fault is there no longer: it moves to those that were.
    pub fn heal(&mut self, spn: Spn, fmi: u8) {
        let is_it = |dtc: &Dtc| dtc.spn == Some(spn) && dtc.fmi == fmi;
        if let Some(i) = self.active.iter().position(is_it) {
            self.previous.push(self.active.remove(i));
        }
    }

    /// Faults that are there.
    pub fn active_count(&self) -> usize {
        self.active.len()
    }

    /// Faults that were there.
    pub fn previous_count(&self) -> usize {
        self.previous.len()
    }

    /// Requests it has answered or refused.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Its address, once it is its own.
    pub fn address(&self) -> Option<SourceAddress> {
        self.node.address()
    }

    /// Takes a frame of the bus.
    pub fn observe(&mut self, frame: &Frame) {
        if !self.is_on {
            return;
        }
        self.node.observe(frame);
        while let Some(event) = self.node.take_event() {
            if let NodeEvent::Asked { pgn, by, is_global, .. } = event {
                self.requests += 1;
                if !self.is_mute {
                    self.answer(pgn, by, is_global);
                }
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        if !self.is_on {
            return;
        }
        self.node.tick(now);
        let is_due = self.next_dm1.is_none_or(|at| at <= now);
        // One that is longer than a second on its way is not told twice at a time.
        if self.node.address().is_some() && is_due && self.node.is_idle() {
            self.next_dm1 = Some(now.plus_us(DM1_US));
            let dm1 = self.dm(&self.active);
            self.say(Pgn::DM1, SourceAddress::GLOBAL, &dm1);
        }
    }

    /// The next frame it sends now.
    pub fn take_frame(&mut self, now: Timestamp) -> Option<Frame> {
        if self.is_on { self.node.take_frame(now) } else { None }
    }

    fn answer(&mut self, pgn: Pgn, by: SourceAddress, is_global: bool) {
        // A long answer to one asker goes to that one alone (J1939-21, 5.10.3).
        let to = if is_global { SourceAddress::GLOBAL } else { by };
        if !self.refused.contains(&pgn) {
            match pgn {
                Pgn::DM1 => return self.say(pgn, to, &self.dm(&self.active)),
                Pgn::DM2 => return self.say(pgn, to, &self.dm(&self.previous)),
                Pgn::DM4 => return self.say(pgn, to, &self.frames(|frozen| &frozen.basic)),
                Pgn::DM24 if !self.layout.is_empty() => {
                    return self.say(pgn, to, &freeze::encode_layout(&self.layout));
                }
                Pgn::DM25 if !self.layout.is_empty() => {
                    return self.say(pgn, to, &self.frames(|frozen| &frozen.expanded));
                }
                Pgn::VEHICLE_IDENTIFICATION => {
                    let text = format!("{}*", self.vin);
                    return self.say(pgn, to, text.as_bytes());
                }
                Pgn::DM11 => {
                    self.active.clear();
                    self.forget_frames();
                    return self.acknowledge(pgn, by, is_global, Acknowledgement::Positive);
                }
                Pgn::DM3 => {
                    self.previous.clear();
                    self.forget_frames();
                    return self.acknowledge(pgn, by, is_global, Acknowledgement::Positive);
                }
                _ => {}
            }
        }
        self.acknowledge(pgn, by, is_global, Acknowledgement::Negative);
    }

    fn frames(&self, values: fn(&Frozen) -> &Vec<u8>) -> Vec<u8> {
        let frames: Vec<_> = self.freezes.iter().map(|frozen| (frozen.dtc, values(frozen).clone())).collect();
        freeze::encode(&frames)
    }

    /// Frames of faults that are in neither list any more.
    fn forget_frames(&mut self) {
        let (active, previous) = (&self.active, &self.previous);
        let is_it = |dtc: &Dtc, frozen: &Frozen| dtc.spn == frozen.dtc.spn && dtc.fmi == frozen.dtc.fmi;
        self.freezes.retain(|frozen| active.iter().chain(previous).any(|dtc| is_it(dtc, frozen)));
    }

    /// To a request that went to everyone nobody says how it was taken (J1939-21, 5.4.4).
    fn acknowledge(&mut self, pgn: Pgn, by: SourceAddress, is_global: bool, how: Acknowledgement) {
        if !is_global {
            // With too much to say it is lost; whoever asked asks again.
            let _ = self.node.acknowledge(pgn, by, how);
        }
    }

    fn say(&mut self, pgn: Pgn, to: SourceAddress, data: &[u8]) {
        let _ = self.node.send(pgn, to, data);
    }

    fn dm(&self, dtcs: &[Dtc]) -> Vec<u8> {
        let lamps =
            if self.active.is_empty() { LAMPS_OFF } else { LAMPS_OFF.with_on(LampKind::AmberWarning) };
        Dm { lamps, dtcs: dtcs.to_vec() }.encode()
    }
}

#[cfg(test)]
mod tests;
