//! From frames to events: what a J1939 bus says of itself.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use wire::time::Timestamp;

use super::{
    Dm, Header, Message, Name, Pgn, SourceAddress, SpnConversion, Transport, TransportCounts,
    address::AddressBook,
    freeze::{self, Place},
    header_of,
};
use crate::{
    faults::{FaultList, FaultReport, FreezeReport, Protocol},
    frame::Frame,
};

/// Interfaces that are listened on; frames of further ones are counted and passed over.
pub const BUS_COUNT_MAX: usize = 8;

/// Control byte of a positive acknowledgement (J1939-21, 5.4.4).
const ACKNOWLEDGED: u8 = 0;

/// When J1939 is listened to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Listen {
    /// When a message of the DBC files is one of J1939.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How J1939 is listened to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct J1939Settings {
    /// Whether it is.
    pub listen: Listen,
    /// The interfaces that speak it; all when there are none here.
    pub interfaces: Vec<String>,
    /// How SPNs of old units are laid out.
    pub spn_conversion: SpnConversion,
}

/// What was learned from a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message of more than one frame is whole.
    Message(Message),
    /// A unit has told one of its lists of faults.
    Faults(FaultReport),
    /// A unit has told what it was like when its faults appeared (DM4, DM25).
    FreezeFrames(FreezeReport),
    /// A unit has acknowledged a request to clear one of its lists (DM11, DM3).
    Cleared {
        /// When.
        time: Timestamp,
        /// Which unit.
        ecu: String,
        /// Which list.
        list: FaultList,
    },
}

/// Listens to every bus of a vehicle.
#[derive(Debug)]
pub struct Listener {
    settings: J1939Settings,
    buses: Vec<(Arc<str>, Bus)>,
    frames_elsewhere: u64,
}

#[derive(Debug, Default)]
struct Bus {
    transport: Transport,
    addresses: AddressBook,
    /// What the freeze frames of a unit have in them, by its DM24.
    layouts: BTreeMap<SourceAddress, Vec<Place>>,
}

impl Listener {
    /// A listener that has heard nothing.
    pub fn new(settings: J1939Settings) -> Self {
        Self { settings, buses: Vec::new(), frames_elsewhere: 0 }
    }

    /// Takes a frame and adds what it tells to `out`. `false` for a frame that this listener does
    /// not read: no J1939, or a message of one frame that is for the decoder alone.
    #[inline]
    pub fn receive(&mut self, frame: &Frame, out: &mut Vec<Event>) -> bool {
        match header_of(frame) {
            Some(header) if is_read(header.pgn) => self.read(frame, &header, out),
            _ => false,
        }
    }

    fn read(&mut self, frame: &Frame, header: &Header, out: &mut Vec<Event>) -> bool {
        let Some(bus) = Self::bus(&mut self.buses, &self.settings, &frame.interface) else {
            self.frames_elsewhere += 1;
            return false;
        };
        let whole = match header.pgn {
            Pgn::TRANSPORT_CONTROL
            | Pgn::TRANSPORT_DATA
            | Pgn::EXTENDED_TRANSPORT_CONTROL
            | Pgn::EXTENDED_TRANSPORT_DATA => bus.transport.receive(frame.time, header, frame.data()),
            _ => {
                let from = (frame.time, header.source);
                return bus.message(from, header.pgn, frame.data(), &self.settings, out);
            }
        };
        if let Some(message) = whole {
            let from = (message.time, message.source);
            bus.message(from, message.pgn, &message.data, &self.settings, out);
            out.push(Event::Message(message));
        }
        true
    }

    fn bus<'a>(
        buses: &'a mut Vec<(Arc<str>, Bus)>,
        settings: &J1939Settings,
        interface: &Arc<str>,
    ) -> Option<&'a mut Bus> {
        if let Some(i) = buses.iter().position(|(name, _)| name == interface) {
            return buses.get_mut(i).map(|(_, bus)| bus);
        }
        let is_wanted =
            settings.interfaces.is_empty() || settings.interfaces.iter().any(|i| **i == **interface);
        if !is_wanted || buses.len() >= BUS_COUNT_MAX {
            return None;
        }
        buses.push((Arc::clone(interface), Bus::default()));
        buses.last_mut().map(|(_, bus)| bus)
    }

    /// How long messages have ended so far, on all buses.
    pub fn counts(&self) -> TransportCounts {
        let mut sum = TransportCounts::default();
        for (_, bus) in &self.buses {
            sum = sum.plus(bus.transport.counts());
        }
        sum
    }

    /// Frames of J1939 on interfaces that are not listened to.
    pub fn frames_elsewhere(&self) -> u64 {
        self.frames_elsewhere
    }

    /// What the unit at an address of an interface is called.
    pub fn called(&self, interface: &str, source: SourceAddress) -> Option<String> {
        let (_, bus) = self.buses.iter().find(|(name, _)| **name == *interface)?;
        Some(bus.addresses.called(source))
    }

    /// What the freeze frames (DM25) of the unit at an address have in them, once it has told;
    /// nothing when it has none.
    pub fn freeze_layout(&self, interface: &str, source: SourceAddress) -> Option<&[Place]> {
        let (_, bus) = self.buses.iter().find(|(name, _)| **name == *interface)?;
        bus.layouts.get(&source).map(Vec::as_slice)
    }

    /// The name of the unit at an address of an interface, once it has claimed it.
    pub fn name(&self, interface: &str, source: SourceAddress) -> Option<Name> {
        let (_, bus) = self.buses.iter().find(|(name, _)| **name == *interface)?;
        bus.addresses.name(source)
    }
}

impl Bus {
    fn message(
        &mut self,
        (time, source): (Timestamp, SourceAddress),
        pgn: Pgn,
        data: &[u8],
        settings: &J1939Settings,
        out: &mut Vec<Event>,
    ) -> bool {
        match pgn {
            Pgn::DM1 | Pgn::DM2 => {
                let list = if pgn == Pgn::DM1 { FaultList::Active } else { FaultList::Previous };
                if let Some(dm) = Dm::parse(data, settings.spn_conversion) {
                    out.push(Event::Faults(FaultReport {
                        time,
                        protocol: Protocol::J1939,
                        ecu: self.addresses.called(source),
                        list,
                        codes: dm.dtcs.iter().map(|dtc| dtc.code(dm.lamps)).collect(),
                    }));
                }
                true
            }
            Pgn::DM24 => {
                self.layouts.insert(source, freeze::parse_layout(data));
                true
            }
            Pgn::DM4 | Pgn::DM25 => {
                let frames = if pgn == Pgn::DM4 {
                    freeze::parse_basic(data, settings.spn_conversion)
                } else {
                    let layout = self.layouts.get(&source).map(Vec::as_slice).unwrap_or_default();
                    freeze::parse_expanded(data, layout, settings.spn_conversion)
                };
                let of = |frame: freeze::FreezeFrame| (frame.dtc.text(), json!(frame.values).to_string());
                out.push(Event::FreezeFrames(FreezeReport {
                    time,
                    protocol: Protocol::J1939,
                    ecu: self.addresses.called(source),
                    frames: frames.into_iter().map(of).collect(),
                }));
                true
            }
            Pgn::ADDRESS_CLAIMED => {
                if let Some(bytes) = data.first_chunk::<8>() {
                    self.addresses.claim(source, Name(u64::from_le_bytes(*bytes)));
                }
                true
            }
            Pgn::ACKNOWLEDGEMENT => {
                let Some(&[control, _, _, _, _, p0, p1, p2]) = data.first_chunk::<8>() else { return true };
                let list = match Pgn::from_le_bytes([p0, p1, p2]) {
                    Some(Pgn::DM11) => FaultList::Active,
                    Some(Pgn::DM3) => FaultList::Previous,
                    _ => return true,
                };
                if control == ACKNOWLEDGED {
                    out.push(Event::Cleared { time, ecu: self.addresses.called(source), list });
                }
                true
            }
            _ => false,
        }
    }
}

/// Whether a parameter group is one that the listener reads itself.
#[inline]
fn is_read(pgn: Pgn) -> bool {
    matches!(
        pgn,
        Pgn::TRANSPORT_CONTROL
            | Pgn::TRANSPORT_DATA
            | Pgn::EXTENDED_TRANSPORT_CONTROL
            | Pgn::EXTENDED_TRANSPORT_DATA
            | Pgn::DM1
            | Pgn::DM2
            | Pgn::DM4
            | Pgn::DM24
            | Pgn::DM25
            | Pgn::ADDRESS_CLAIMED
            | Pgn::ACKNOWLEDGEMENT
    )
}

#[cfg(test)]
mod tests;
