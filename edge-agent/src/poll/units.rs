//! Asking the units of a J1939 bus: faults they had (DM2), what they were like when a fault appeared
//! (DM25 or DM4), who the vehicle is, and to clear.
//!
//! DM1 is told by every unit itself and needs no asking; when it names other faults than before,
//! the unit is asked for its freeze frames. For the rest the agent takes part on the
//! bus with an address of its own, claimed before the first request. One request is under way at a
//! time, within the same share of the bus as all polling; a unit that does not answer is left
//! alone for longer and longer. What is answered is read off the bus by a listener, as everything
//! of J1939 is; here it only says how a request ended.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use wire::time::Timestamp;

use super::{
    ClearFault, Cleared, Identity, J1939Poll, PollCounts, TAKEN_MAX,
    freeze::{self, FreezeFrames},
    keep,
    share::{Budget, bits_of, frame_bits},
};
use crate::{
    faults::{FaultList, FaultReport},
    frame::Frame,
    isotp::micros,
    j1939::{
        Acknowledgement, Event, Header, J1939Settings, Listener, Node, NodeEvent, NodeSettings, Pgn,
        SourceAddress,
    },
    obd::INFO_VIN,
};

/// Units that are asked; a truck with its trailers has some thirty that tell faults.
const UNITS_MAX: usize = 64;
/// Time to answer (J1939-21, 5.12.3: Tr of 200 ms, and up to 1.25 s for a connection to begin).
const ANSWER_US: i64 = 1_250_000;
/// Time for a long answer that has begun: 255 packets at 50 ms.
const LONG_ANSWER_US: i64 = 15_000_000;
/// Periods skipped at most after requests without an answer.
const SKIPPED_MAX: u32 = 16;
/// Times the identification is asked for before it is left.
const IDENTITY_ASKED_MAX: u32 = 3;
/// Time between two of them.
const IDENTITY_AGAIN_US: i64 = 30_000_000;
/// Frames an answer is expected to take.
const ANSWER_FRAMES: u32 = 5;

/// What is asked, of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ask {
    pgn: Pgn,
    of: SourceAddress,
    /// For a command, which waits for the answer.
    is_ordered: bool,
}

#[derive(Debug, Clone)]
struct Unit {
    due: Timestamp,
    silent_count: u32,
    freeze_frames: FreezeFrames,
}

/// The units of one bus.
#[derive(Debug)]
pub(super) struct Units {
    settings: J1939Poll,
    interface: Arc<str>,
    node: Node,
    listener: Listener,
    known: BTreeMap<SourceAddress, Unit>,
    asks: VecDeque<Ask>,
    current: Option<(Ask, Timestamp)>,
    identity_due: Timestamp,
    identity_asked: u32,
    has_identity: bool,
    /// Lists that were asked for.
    pub(super) reports: VecDeque<FaultReport>,
    pub(super) identities: VecDeque<Identity>,
    pub(super) cleared: VecDeque<Cleared>,
}

impl Units {
    pub(super) fn new(settings: J1939Poll, interface: Arc<str>) -> Self {
        let node = NodeSettings {
            name: settings.name,
            address: settings.address,
            interface: Arc::clone(&interface),
        };
        Self {
            node: Node::new(node),
            listener: Listener::new(J1939Settings {
                spn_conversion: settings.spn_conversion,
                ..J1939Settings::default()
            }),
            known: BTreeMap::new(),
            asks: VecDeque::new(),
            current: None,
            identity_due: Timestamp(i64::MIN),
            identity_asked: 0,
            has_identity: false,
            reports: VecDeque::new(),
            identities: VecDeque::new(),
            cleared: VecDeque::new(),
            settings,
            interface,
        }
    }

    /// Takes a frame of the bus; `true` for one of this node or for it, which is no sign that the
    /// vehicle is awake.
    pub(super) fn observe(&mut self, frame: &Frame, budget: &mut Budget, counts: &mut PollCounts) -> bool {
        let Some(header) = Header::of(frame.id) else { return false };
        let is_own = self.node.is_own(&header);
        self.node.observe(frame);
        let mut events = Vec::new();
        self.listener.receive(frame, &mut events);
        if let Some((ask, until)) = self.current.as_mut().filter(|(ask, _)| header.source == ask.of) {
            let begins_long = header.pgn == Pgn::TRANSPORT_CONTROL
                && frame.data().get(5..8).is_some_and(|bytes| bytes == &ask.pgn.number().to_le_bytes()[..3]);
            if begins_long {
                *until = (*until).max(frame.time.plus_us(LONG_ANSWER_US));
            }
            if header.pgn != Pgn::DM1 {
                budget.charge(bits_of(frame));
                counts.bits += u64::from(bits_of(frame));
            }
        }
        for event in events {
            if let Event::Faults(report) = &event
                && report.list == FaultList::Active
                && !is_own
                && header.source.0 < SourceAddress::NULL.0
            {
                // One with several faults tells them in many frames only.
                self.meet(header.source, frame.time);
                if self.settings.faults_every.is_some()
                    && let Some(unit) = self.known.get_mut(&header.source)
                {
                    unit.freeze_frames.named(report, frame.time);
                }
            }
            self.take(event, counts);
        }
        self.freeze_came(header.pgn, header.source, counts);
        while let Some(event) = self.node.take_event() {
            if let NodeEvent::Acknowledged { pgn, by, how } = event {
                self.acknowledged(pgn, by, how, counts);
            }
        }
        is_own || Some(header.destination) == self.node.address()
    }

    fn meet(&mut self, source: SourceAddress, now: Timestamp) {
        if self.known.len() < UNITS_MAX {
            let freeze_frames = FreezeFrames::default();
            self.known.entry(source).or_insert(Unit { due: now, silent_count: 0, freeze_frames });
        }
    }

    /// A message about freeze frames is whole: it may be the answer.
    fn freeze_came(&mut self, pgn: Pgn, of: SourceAddress, counts: &mut PollCounts) {
        let is_answer = self.current.is_some_and(|(ask, _)| ask.pgn == pgn && ask.of == of);
        if !freeze::is_about(pgn) || !is_answer {
            return;
        }
        self.end(true, counts);
        let layout = self.listener.freeze_layout(&self.interface, of);
        let has_layout = layout.is_some_and(|layout| !layout.is_empty());
        self.freeze_goes_on(of, |frames| frames.answered(pgn, has_layout));
    }

    fn freeze_goes_on(&mut self, of: SourceAddress, next: impl FnOnce(&mut FreezeFrames) -> Option<Pgn>) {
        if let Some(pgn) = self.known.get_mut(&of).and_then(|unit| next(&mut unit.freeze_frames)) {
            self.asks.push_front(Ask { pgn, of, is_ordered: false });
        }
    }

    fn take(&mut self, event: Event, counts: &mut PollCounts) {
        match event {
            Event::Faults(report) => {
                let Some((ask, _)) = self.current else { return };
                let list = if ask.pgn == Pgn::DM1 { FaultList::Active } else { FaultList::Previous };
                let is_asked = matches!(ask.pgn, Pgn::DM1 | Pgn::DM2) && report.list == list;
                if is_asked && self.called(ask.of) == report.ecu {
                    self.end(true, counts);
                    keep(&mut self.reports, report, TAKEN_MAX);
                }
            }
            Event::Message(message) if message.pgn == Pgn::VEHICLE_IDENTIFICATION => {
                // Ended by a delimiter; what follows is filling (J1939-71, SPN 237).
                let text = message.data.split(|byte| *byte == b'*').next().unwrap_or_default();
                let Ok(vin) = std::str::from_utf8(text) else { return };
                let (ecu, texts) = (self.called(message.source), vec![vin.trim().to_owned()]);
                self.has_identity = true;
                keep(&mut self.identities, Identity { ecu, info_type: INFO_VIN, texts }, TAKEN_MAX);
                if self.current.is_some_and(|(ask, _)| ask.pgn == Pgn::VEHICLE_IDENTIFICATION) {
                    self.end(true, counts);
                }
            }
            Event::Message(message) => self.freeze_came(message.pgn, message.source, counts),
            Event::FreezeFrames(_) | Event::Cleared { .. } => {}
        }
    }

    fn acknowledged(&mut self, pgn: Pgn, by: SourceAddress, how: Acknowledgement, counts: &mut PollCounts) {
        let Some((ask, _)) = self.current.filter(|(ask, _)| ask.pgn == pgn && ask.of == by) else { return };
        let is_clear = matches!(pgn, Pgn::DM11 | Pgn::DM3);
        if is_clear {
            let result = match how {
                Acknowledgement::Positive => Ok(()),
                _ => Err(ClearFault::NotAcknowledged(how)),
            };
            let cleared = Cleared { ecu: self.called(by), result };
            keep(&mut self.cleared, cleared, TAKEN_MAX);
        } else if how == Acknowledgement::Positive {
            // The message itself is the answer, and is still to come.
            return;
        }
        self.end(how == Acknowledgement::Positive, counts);
        if freeze::is_about(pgn) {
            self.freeze_goes_on(by, |frames| match how {
                Acknowledgement::CannotRespond => {
                    frames.later();
                    None
                }
                _ => frames.refused(pgn),
            });
        } else if !is_clear && let Some(unit) = self.known.get_mut(&ask.of) {
            // It does not have it: as good as silent, so it is asked less and less.
            unit.silent_count += 1;
        }
    }

    fn end(&mut self, is_positive: bool, counts: &mut PollCounts) {
        if let Some((ask, _)) = self.current.take() {
            if is_positive {
                counts.positive += 1;
            } else {
                counts.negative += 1;
            }
            if let Some(unit) = self.known.get_mut(&ask.of).filter(|_| is_positive) {
                unit.silent_count = 0;
            }
        }
    }

    fn called(&self, source: SourceAddress) -> String {
        self.listener.called(&self.interface, source).unwrap_or_else(|| format!("SA {}", source.0))
    }

    /// Does what is due; what is to be sent is added to `out`. Not called while the vehicle sleeps.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        budget: &mut Budget,
        counts: &mut PollCounts,
        out: &mut Vec<Frame>,
    ) {
        if let Some((ask, _)) = self.current.take_if(|(_, until)| now > *until) {
            counts.silent += 1;
            self.note_silence(ask);
        }
        if self.node.address().is_some() {
            self.wish(now);
            self.start(now, budget, counts);
        }
        while let Some(frame) = self.node.take_frame(now) {
            budget.charge(bits_of(&frame));
            counts.bits += u64::from(bits_of(&frame));
            out.push(frame);
        }
    }

    fn note_silence(&mut self, ask: Ask) {
        if matches!(ask.pgn, Pgn::DM11 | Pgn::DM3) {
            let cleared = Cleared { ecu: self.called(ask.of), result: Err(ClearFault::Silent) };
            keep(&mut self.cleared, cleared, TAKEN_MAX);
        }
        if freeze::is_about(ask.pgn) {
            self.freeze_goes_on(ask.of, |frames| frames.silent(ask.pgn));
        } else if let Some(unit) = self.known.get_mut(&ask.of) {
            unit.silent_count += 1;
        }
    }

    fn wish(&mut self, now: Timestamp) {
        if !self.has_identity && self.identity_asked < IDENTITY_ASKED_MAX && now >= self.identity_due {
            self.identity_asked += 1;
            self.identity_due = now.plus_us(IDENTITY_AGAIN_US);
            let (pgn, of) = (Pgn::VEHICLE_IDENTIFICATION, SourceAddress::GLOBAL);
            self.asks.push_back(Ask { pgn, of, is_ordered: false });
        }
        let Some(every) = self.settings.faults_every else { return };
        for (of, unit) in self.known.iter_mut().filter(|(_, unit)| unit.due <= now) {
            let periods = i64::from(1 + unit.silent_count.min(SKIPPED_MAX));
            unit.due = now.plus_us(micros(every).max(1).saturating_mul(periods));
            self.asks.push_back(Ask { pgn: Pgn::DM2, of: *of, is_ordered: false });
        }
        for (of, unit) in &mut self.known {
            let pgn = unit.freeze_frames.take_due(now);
            self.asks.extend(pgn.map(|pgn| Ask { pgn, of: *of, is_ordered: false }));
        }
    }

    fn start(&mut self, now: Timestamp, budget: &Budget, counts: &mut PollCounts) {
        if self.current.is_some() || !self.node.is_idle() {
            return;
        }
        let Some(ask) = self.asks.front().copied() else { return };
        let bits = frame_bits(true, 3) + ANSWER_FRAMES * frame_bits(true, 8);
        if !budget.allows(bits, 0) {
            return;
        }
        self.asks.pop_front();
        if self.node.ask(ask.pgn, ask.of).is_ok() {
            counts.requests += 1;
            self.current = Some((ask, now.plus_us(ANSWER_US)));
        }
    }

    /// Whether a unit is known that can be asked.
    pub(super) fn is_ready(&self) -> bool {
        self.node.address().is_some() && !self.known.is_empty()
    }

    /// Puts a request to every known unit before what is asked by the schedule.
    pub(super) fn order(&mut self, pgns: &[Pgn]) {
        if !self.is_ready() {
            return;
        }
        for of in self.known.keys().rev() {
            for pgn in pgns.iter().rev() {
                self.asks.push_front(Ask { pgn: *pgn, of: *of, is_ordered: true });
            }
        }
    }

    /// Whether a request for any of these, of a command, has not ended.
    pub(super) fn is_ordered(&self, pgns: &[Pgn]) -> bool {
        let under_way = self.current.iter().map(|(ask, _)| ask);
        under_way.chain(&self.asks).any(|ask| ask.is_ordered && pgns.contains(&ask.pgn))
    }

    /// Falls silent: what was asked is forgotten.
    pub(super) fn rest(&mut self) {
        self.node.rest();
        let under_way = self.current.take().map(|(ask, _)| ask);
        for ask in self.asks.drain(..).chain(under_way).filter(|ask| freeze::is_about(ask.pgn)) {
            if let Some(unit) = self.known.get_mut(&ask.of) {
                unit.freeze_frames.later();
            }
        }
    }

    /// When `tick` has something to do without a frame from the bus.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let until = self.current.as_ref().map(|(_, until)| until.plus_us(1));
        let units = self.settings.faults_every.and(self.known.values().map(|unit| unit.due).min());
        let freezes = self.known.values().filter_map(|unit| unit.freeze_frames.due()).min();
        [self.node.wake_at(), until, units, freezes].into_iter().flatten().min()
    }
}
