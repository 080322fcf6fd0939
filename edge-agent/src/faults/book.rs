//! What became of each fault since it was last told: from whole lists to single events.
//!
//! A list is told again and again (DM1 each second), an event once. The first list of a control
//! unit after the agent's start cannot say since when its faults are there: they are *seen*, and
//! whatever was open before and is not among them is over ([`EventKind::None`] when the list is
//! empty, so that this is said too). After it a code is *raised* when it is new, *changed* when
//! its count, lamps or status differ, and *cleared* when it was missing from so many whole lists
//! in a row, or the unit acknowledged that it was cleared. A unit that falls silent clears nothing.
//!
//! Bounds: [`LIST_COUNT_MAX`] lists of [`CODE_COUNT_MAX`] codes; what is beyond is counted.

use std::collections::BTreeMap;

use wire::time::Timestamp;

use super::{FaultCode, FaultList, FaultReport, FreezeReport, Protocol};

/// Lists that are followed: more than any vehicle has.
pub const LIST_COUNT_MAX: usize = 1024;
/// Codes that are followed in one list: more than the longest DM1 has, 445.
pub const CODE_COUNT_MAX: usize = 512;

/// How patient the book is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSettings {
    /// Whole lists in a row that a code must be missing from before it is cleared, where units
    /// tell their lists by themselves: a code that flickers is one fault.
    pub absent_broadcasts: u32,
    /// The same for lists that are asked for.
    pub absent_polls: u32,
}

impl Default for FaultSettings {
    fn default() -> Self {
        Self { absent_broadcasts: 3, absent_polls: 1 }
    }
}

/// What became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// There when its list was first told after the agent's start.
    Seen,
    /// The list was empty when it was first told after the agent's start.
    None,
    /// New.
    Raise,
    /// Its count, lamps, status or freeze frame changed.
    Change,
    /// Gone.
    Clear,
}

impl EventKind {
    /// As written in the lake.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Seen => "seen",
            EventKind::None => "none",
            EventKind::Raise => "raise",
            EventKind::Change => "change",
            EventKind::Clear => "clear",
        }
    }
}

/// One row of the lake's `diagnostics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultEvent {
    /// When the list that tells it was on the bus.
    pub time: Timestamp,
    /// By what protocol.
    pub protocol: Protocol,
    /// Whose fault.
    pub ecu: String,
    /// In which list.
    pub list: FaultList,
    /// What became of it.
    pub kind: EventKind,
    /// Which fault; `None` for [`EventKind::None`].
    pub code: Option<FaultCode>,
}

/// The faults of one vehicle, by the list they are in.
#[derive(Debug, Default)]
pub struct FaultBook {
    settings: FaultSettings,
    lists: BTreeMap<ListKey, BTreeMap<String, Open>>,
    lists_beyond: u64,
    codes_beyond: u64,
}

type ListKey = (Protocol, String, FaultList);

#[derive(Debug)]
struct Open {
    code: FaultCode,
    absent_count: u32,
}

impl Open {
    /// Takes what its list says of it now; whether that is new. A list without freeze frames
    /// takes none away.
    fn take(&mut self, now: &FaultCode) -> bool {
        let freeze_frame = now.freeze_frame.as_ref().or(self.code.freeze_frame.as_ref());
        let is_same = self.code.freeze_frame.as_ref() == freeze_frame
            && self.code.spn == now.spn
            && self.code.fmi == now.fmi
            && self.code.occurrences == now.occurrences
            && self.code.status_bits == now.status_bits;
        if !is_same {
            self.code = FaultCode { freeze_frame: freeze_frame.cloned(), ..now.clone() };
        }
        !is_same
    }
}

impl FaultBook {
    /// A book that knows of no fault.
    pub fn new(settings: FaultSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Takes one whole list; what became of its faults is added to `out`, cleared ones last.
    pub fn report(&mut self, report: &FaultReport, out: &mut Vec<FaultEvent>) {
        let key = (report.protocol, report.ecu.clone(), report.list);
        let is_first = !self.lists.contains_key(&key);
        if is_first && self.lists.len() >= LIST_COUNT_MAX {
            self.lists_beyond += 1;
            return;
        }
        let tell = |kind, code: Option<FaultCode>| FaultEvent {
            time: report.time,
            protocol: report.protocol,
            ecu: report.ecu.clone(),
            list: report.list,
            kind,
            code,
        };
        let open = self.lists.entry(key).or_default();
        if is_first && report.codes.is_empty() {
            out.push(tell(EventKind::None, None));
        }
        for fault in open.values_mut() {
            fault.absent_count = fault.absent_count.saturating_add(1);
        }
        for code in &report.codes {
            let has_room = open.len() < CODE_COUNT_MAX;
            let kind = match open.get_mut(&code.code) {
                Some(known) => {
                    known.absent_count = 0;
                    if !known.take(code) {
                        continue;
                    }
                    out.push(tell(EventKind::Change, Some(known.code.clone())));
                    continue;
                }
                None if !has_room => {
                    self.codes_beyond += 1;
                    continue;
                }
                None => {
                    open.insert(code.code.clone(), Open { code: code.clone(), absent_count: 0 });
                    if is_first { EventKind::Seen } else { EventKind::Raise }
                }
            };
            out.push(tell(kind, Some(code.clone())));
        }
        let patience = match report.protocol {
            Protocol::J1939 => self.settings.absent_broadcasts,
            Protocol::Obd | Protocol::Uds => self.settings.absent_polls,
        };
        open.retain(|_, fault| {
            let is_open = fault.absent_count < patience.max(1);
            if !is_open {
                out.push(tell(EventKind::Clear, Some(fault.code.clone())));
            }
            is_open
        });
    }

    /// Takes freeze frames that were told apart from the lists: each changes the open fault it is
    /// of, the active one before one that was. Those of faults that are not known are passed over.
    pub fn freeze_frames(&mut self, report: &FreezeReport, out: &mut Vec<FaultEvent>) {
        for (code, frame) in &report.frames {
            for list in [FaultList::Active, FaultList::Previous] {
                let key = (report.protocol, report.ecu.clone(), list);
                let Some(fault) = self.lists.get_mut(&key).and_then(|open| open.get_mut(code)) else {
                    continue;
                };
                if fault.code.freeze_frame.as_ref() != Some(frame) {
                    fault.code.freeze_frame = Some(frame.clone());
                    let (time, protocol, ecu, code) =
                        (report.time, report.protocol, report.ecu.clone(), Some(fault.code.clone()));
                    out.push(FaultEvent { time, protocol, ecu, list, kind: EventKind::Change, code });
                }
                break;
            }
        }
    }

    /// Takes a unit's word that it has cleared a list: all of it is cleared at once. What is
    /// still there in the next list is raised anew.
    pub fn cleared(
        &mut self,
        time: Timestamp,
        (protocol, ecu, list): (Protocol, &str, FaultList),
        out: &mut Vec<FaultEvent>,
    ) {
        let Some(open) = self.lists.get_mut(&(protocol, ecu.to_owned(), list)) else { return };
        for fault in std::mem::take(open).into_values() {
            let (ecu, kind) = (ecu.to_owned(), EventKind::Clear);
            out.push(FaultEvent { time, protocol, ecu, list, kind, code: Some(fault.code) });
        }
    }

    /// Faults that are open, of all lists.
    pub fn open_count(&self) -> usize {
        self.lists.values().map(BTreeMap::len).sum()
    }

    /// Lists and codes that were beyond the bounds, and so not followed.
    pub fn beyond(&self) -> (u64, u64) {
        (self.lists_beyond, self.codes_beyond)
    }
}

#[cfg(test)]
mod tests;
