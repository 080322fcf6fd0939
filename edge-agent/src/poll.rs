//! Asking the vehicle: OBD-II and UDS requests by a schedule, politely.
//!
//! Nothing here transmits unless a [`Poller`] was made, and one is made only when `[poll]` is
//! enabled. It is a state machine without thread, socket or clock: it is shown the bus's frames
//! and the time; it gives frames to send, answers as frames of the agent's own ids (which go the
//! way of every frame: decode, map, collect), and reports of faults.
//!
//! Polite is: one request at a time to a control unit; requests, answers and flow control together
//! stay under a stated share of the bus (`share.rs`); silent when the ignition is off; a control
//! unit that does not answer is left alone for longer and longer; when another tester speaks, this
//! one is silent for a while and never answers the other's messages.
//!
//! `schedule.rs` says when, `job.rs` what, `ecu.rs` whom, `conclude.rs` what an answer leads to,
//! `scan.rs` how codes are read; `units.rs` asks the units of J1939, and `orders.rs` is what commands ask.
//!
//! Bounds: [`EXCHANGES_MAX`] control units, 256 requests waiting for each; what is not taken out
//! is bounded by [`TAKEN_MAX`].

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use wire::time::Timestamp;

use crate::{
    faults::FaultReport,
    frame::{Frame, FrameId, FrameKind},
    isotp::micros,
    obd::{ValueReader, ValueReaderError},
};

mod conclude;
pub mod config;
mod discover;
mod ecu;
mod freeze;
mod job;
mod orders;
mod scan;
mod schedule;
mod share;
#[cfg(test)]
mod tests;
mod types;
mod units;

use discover::Discovery;
use ecu::Ecu;
use job::Job;
use schedule::{Schedule, Topic};
use share::{Budget, bits_of};
pub use share::{fd_frame_bits, frame_bits};
pub use types::{
    ClearFault, ClearPermit, Cleared, DidPoll, EcuFrames, EcuPoll, Identity, J1939Poll, PidPoll, PollCounts,
    PollRefusal, PollSettings,
};
use units::Units;

/// Most control units that are spoken with.
pub const EXCHANGES_MAX: usize = 32;
/// Most frames, answers or reports kept for a caller who does not take them; the oldest go first.
pub const TAKEN_MAX: usize = 1024;
/// A session other than the default one ends after `S3` of 5 s without a request
/// (ISO 14229-2 table 5).
const SESSION_KEPT_US: i64 = 2_000_000;
/// Own frames remembered, to know them when the interface gives them back.
const ECHOES_MAX: usize = 64;

/// Asks one bus's control units.
#[derive(Debug)]
pub struct Poller {
    settings: PollSettings,
    reader: ValueReader,
    schedule: Schedule,
    budget: Budget,
    ecus: Vec<Ecu>,
    units: Option<Units>,
    discovery: Discovery,
    ignition: Option<bool>,
    last_traffic: Option<Timestamp>,
    is_awake: bool,
    paused_until: Option<Timestamp>,
    echoes: VecDeque<(FrameId, Vec<u8>)>,
    first_ecu: usize,
    outgoing: VecDeque<Frame>,
    answers: VecDeque<Frame>,
    reports: Vec<FaultReport>,
    identities: VecDeque<Identity>,
    cleared: VecDeque<Cleared>,
    supported: VecDeque<FaultReport>,
    unsupported: BTreeSet<u8>,
    counts: PollCounts,
}

impl Poller {
    /// A poller that has not yet heard anything; it asks nothing before it has.
    pub fn new(settings: PollSettings) -> Result<Self, ValueReaderError> {
        let interface = &settings.interface;
        let ecus = settings.ecus.iter().take(EXCHANGES_MAX).enumerate().map(|(i, ecu)| {
            let mut known = Ecu::new(ecu.name.clone(), ecu.address, ecu.frames, Arc::clone(interface));
            known.configured = Some(i);
            known
        });
        Ok(Self {
            reader: ValueReader::new()?,
            schedule: Schedule::new(&settings),
            budget: Budget::new(settings.bitrate, settings.bus_share_max),
            ecus: ecus.collect(),
            units: settings.j1939.map(|j1939| Units::new(j1939, Arc::clone(interface))),
            discovery: Discovery::Done,
            ignition: None,
            last_traffic: None,
            is_awake: false,
            paused_until: None,
            echoes: VecDeque::new(),
            first_ecu: 0,
            outgoing: VecDeque::new(),
            answers: VecDeque::new(),
            reports: Vec::new(),
            identities: VecDeque::new(),
            cleared: VecDeque::new(),
            supported: VecDeque::new(),
            unsupported: BTreeSet::new(),
            counts: PollCounts::default(),
            settings,
        })
    }

    /// What the vehicle's own signal says of the ignition, where it has one. Without it, a bus
    /// that is quiet is one that is off.
    pub fn set_ignition(&mut self, is_on: bool) {
        self.ignition = Some(is_on);
    }

    /// Whether requests are put at all now.
    pub fn is_awake(&self) -> bool {
        self.is_awake
    }

    /// What has happened so far.
    pub fn counts(&self) -> PollCounts {
        self.counts
    }

    /// PIDs of the settings that no control unit has.
    pub fn unsupported_pids(&self) -> impl Iterator<Item = u8> + '_ {
        self.unsupported.iter().copied()
    }

    /// Takes a frame of the bus.
    pub fn observe(&mut self, frame: &Frame) {
        let is_data = matches!(frame.kind, FrameKind::Data | FrameKind::Fd);
        if !is_data || frame.id.is_own() || frame.interface != self.settings.interface {
            return;
        }
        let units = self.units.as_mut();
        if units.is_some_and(|units| units.observe(frame, &mut self.budget, &mut self.counts)) {
            return;
        }
        if self.is_request(frame.id) {
            if !self.is_echo(frame) {
                self.yield_to_tester(frame.time);
            }
        } else if self.is_answer(frame.id) {
            // While another tester is about, answers are its.
            if self.is_awake && self.paused_until.is_none() {
                self.take_answer_frame(frame);
            }
        } else {
            self.last_traffic = self.last_traffic.max(Some(frame.time));
        }
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Timestamp) {
        self.budget.tick(now);
        self.turn(now);
        if !self.is_awake {
            return;
        }
        for i in 0..self.ecus.len() {
            self.ecus[i].client.tick(now);
            self.settle(i, now);
            self.ecus[i].ask_due_info(now);
        }
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        self.discover(now);
        self.wish(now);
        self.start(now);
        self.flush(now);
        if let Some(units) = &mut self.units {
            let mut frames = Vec::new();
            units.tick(now, &mut self.budget, &mut self.counts, &mut frames);
            frames.into_iter().for_each(|frame| keep(&mut self.outgoing, frame, TAKEN_MAX));
        }
    }

    /// Frames to put on the bus, in their order.
    pub fn take_outgoing(&mut self) -> Vec<Frame> {
        self.outgoing.drain(..).collect()
    }

    /// Answers as frames of own ids, in their order.
    pub fn take_answers(&mut self) -> Vec<Frame> {
        self.answers.drain(..).collect()
    }

    /// Lists of codes, in their order.
    pub fn take_fault_reports(&mut self) -> Vec<FaultReport> {
        std::mem::take(&mut self.reports)
    }

    /// Lists that units of J1939 were asked for. They are on the bus for every listener
    /// too, which is where faults are followed.
    pub fn take_unit_reports(&mut self) -> Vec<FaultReport> {
        self.units.iter_mut().flat_map(|units| units.reports.drain(..)).collect()
    }

    /// What control units said of themselves.
    pub fn take_identities(&mut self) -> Vec<Identity> {
        let of_units = self.units.iter_mut().flat_map(|units| units.identities.drain(..));
        self.identities.drain(..).chain(of_units).collect()
    }

    /// How control units took an order to clear their codes.
    pub fn take_cleared(&mut self) -> Vec<Cleared> {
        let of_units = self.units.iter_mut().flat_map(|units| units.cleared.drain(..));
        self.cleared.drain(..).chain(of_units).collect()
    }

    /// When `tick` has something to do without a frame from the bus, at the latest.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if !self.is_awake {
            return None;
        }
        let clients = self.ecus.iter().filter_map(|ecu| ecu.client.wake_at()).min();
        let discovery = match self.discovery {
            Discovery::Due { at, .. } => Some(at),
            Discovery::Running { until, .. } => Some(until.plus_us(1)),
            Discovery::Done => self.schedule.wake_at(),
        };
        let units = self.units.as_ref().and_then(Units::wake_at);
        let due = [clients, discovery, units].into_iter().flatten().min();
        due.map(|due| self.paused_until.map_or(due, |until| due.max(until)))
    }

    /// Falls asleep or wakes up.
    fn turn(&mut self, now: Timestamp) {
        let quiet_us = micros(self.settings.quiet_after);
        let has_traffic = self.last_traffic.is_some_and(|at| now.since_us(at) <= quiet_us);
        let is_awake = has_traffic && self.ignition != Some(false);
        match (self.is_awake, is_awake) {
            (true, false) => {
                for ecu in &mut self.ecus {
                    ecu.rest();
                }
                if let Some(units) = &mut self.units {
                    units.rest();
                }
                self.outgoing.clear();
            }
            (false, true) if self.schedule.wants_obd() => {
                self.discovery = Discovery::Due { at: now, attempts: 0 };
            }
            _ => {}
        }
        self.is_awake = is_awake;
    }

    fn is_request(&self, id: FrameId) -> bool {
        self.settings.addressing.is_request(id) || self.ecus.iter().any(|ecu| ecu.address().send_id == id)
    }

    fn is_answer(&self, id: FrameId) -> bool {
        self.settings.addressing.address_of_answer(id).is_some()
            || self.ecus.iter().any(|ecu| ecu.address().receive_id == id)
    }

    /// Whether the interface gives back a frame of ours.
    fn is_echo(&mut self, frame: &Frame) -> bool {
        let place = self.echoes.iter().position(|(id, data)| *id == frame.id && data == frame.data());
        place.and_then(|i| self.echoes.remove(i)).is_some()
    }

    fn yield_to_tester(&mut self, now: Timestamp) {
        self.counts.testers += 1;
        self.paused_until = Some(now.plus_us(micros(self.settings.tester_pause)));
        for ecu in &mut self.ecus {
            ecu.abandon(true);
        }
        if let Discovery::Running { attempts, .. } = self.discovery {
            self.discovery = Discovery::Due { at: now, attempts };
        }
        self.outgoing.clear();
    }

    fn take_answer_frame(&mut self, frame: &Frame) {
        let bits = bits_of(frame);
        self.budget.charge(bits);
        self.counts.bits += u64::from(bits);
        if matches!(self.discovery, Discovery::Running { .. }) {
            self.take_discovered(frame);
        }
        for ecu in self.ecus.iter_mut().filter(|ecu| ecu.address().receive_id == frame.id) {
            ecu.bits_expected = ecu.bits_expected.saturating_sub(bits);
            ecu.client.observe(frame);
        }
        self.flush(frame.time);
    }

    /// Puts what is due before the control units it concerns.
    fn wish(&mut self, now: Timestamp) {
        let is_asking = |job: &Job| matches!(job, Job::Supported { .. });
        let is_obd_known = self.discovery == Discovery::Done
            && self
                .ecus
                .iter()
                .all(|ecu| !ecu.job.is_some_and(|job| is_asking(&job)) && !ecu.next_is(is_asking));
        let is_ready = |topic: Topic| match topic {
            Topic::Pid(_) | Topic::ObdFaults => is_obd_known,
            Topic::Did(_) | Topic::UdsFaults(_) => true,
        };
        for topic in self.schedule.due(now, is_ready) {
            match topic {
                Topic::Pid(pid) => {
                    let has_it = |ecu: &&mut Ecu| ecu.pids.as_ref().is_some_and(|pids| pids.contains(&pid));
                    let with_it = self.ecus.iter_mut().filter(has_it);
                    match with_it.min_by_key(|ecu| ecu.address().receive_id) {
                        Some(ecu) => ecu.push(Job::Current { pid }),
                        None => {
                            self.schedule.stop(topic);
                            self.unsupported.insert(pid);
                        }
                    }
                }
                Topic::ObdFaults => {
                    for ecu in self.ecus.iter_mut().filter(|ecu| ecu.pids.is_some()) {
                        // One that is configured for UDS has its codes read by that alone.
                        if ecu.configured.is_none() {
                            scan::begin_obd(ecu);
                        }
                    }
                }
                Topic::Did(index) => {
                    let Some(did) = self.settings.dids.get(index) else { continue };
                    let job = Job::Did { index, identifier: did.identifier };
                    if let Some(ecu) = self.ecus.iter_mut().find(|ecu| ecu.configured == Some(did.ecu)) {
                        ecu.push(job);
                    }
                }
                Topic::UdsFaults(place) => {
                    if let Some(i) = self.ecus.iter().position(|ecu| ecu.configured == Some(place)) {
                        self.begin_scan(i);
                    }
                }
            }
        }
    }

    fn begin_scan(&mut self, i: usize) {
        let Some(ecu) = self.ecus.get_mut(i) else { return };
        match ecu.configured.and_then(|place| self.settings.ecus.get(place)) {
            Some(poll) => scan::begin_uds(ecu, poll.session, poll.status_mask),
            None if ecu.pids.is_some() => scan::begin_obd(ecu),
            None => {}
        }
    }

    /// Puts requests, as far as the share of the bus goes; each time another control unit is first.
    fn start(&mut self, now: Timestamp) {
        if matches!(self.discovery, Discovery::Running { .. }) {
            return;
        }
        let count = self.ecus.len();
        for turn in 0..count {
            let i = (self.first_ecu + turn) % count;
            let reserved = self.ecus.iter().fold(0_u32, |sum, ecu| sum.saturating_add(ecu.bits_expected));
            let is_any_asked = self.ecus.iter().any(|ecu| ecu.job.is_some());
            let is_all_asked =
                self.ecus.iter().any(|ecu| ecu.is_functional_only && ecu.job.is_some_and(Job::is_obd));
            let poll = self.ecus[i].configured.and_then(|place| self.settings.ecus.get(place));
            let ecu = &mut self.ecus[i];
            let keeps_session = ecu.scan.is_running && poll.is_some_and(|poll| poll.session.is_some());
            if keeps_session
                && ecu.job.is_none()
                && ecu.last_request.is_some_and(|at| now.since_us(at) > SESSION_KEPT_US)
                && !ecu.next_is(|job| *job == Job::TesterPresent)
            {
                ecu.push_first(&[Job::TesterPresent]);
            }
            let Some(job) = ecu.next(now) else { continue };
            let is_functional = ecu.is_functional_only && job.is_obd();
            if is_all_asked || (is_functional && is_any_asked) {
                continue;
            }
            let bits = job.bits_expected(ecu.address().send_id.is_extended, ecu.frames);
            if !self.budget.allows(bits, reserved) {
                return;
            }
            ecu.begin(job);
            let functional_id = is_functional.then(|| self.settings.addressing.functional_id());
            if ecu.client.ask(&job.request(), functional_id, now).is_err() {
                ecu.job = None;
                continue;
            }
            ecu.bits_expected = bits;
            ecu.last_request = Some(now);
            self.counts.requests += 1;
            self.first_ecu = i + 1;
        }
    }

    /// Brings out the frames that are due.
    fn flush(&mut self, now: Timestamp) {
        for i in 0..self.ecus.len() {
            while let Some(frame) = self.ecus[i].client.take_frame(now) {
                let ecu = &mut self.ecus[i];
                ecu.bits_expected = ecu.bits_expected.saturating_sub(bits_of(&frame));
                self.put_out(frame);
            }
        }
    }

    fn put_out(&mut self, frame: Frame) {
        let bits = bits_of(&frame);
        self.budget.charge(bits);
        self.counts.bits += u64::from(bits);
        keep(&mut self.echoes, (frame.id, frame.data().to_vec()), ECHOES_MAX);
        keep(&mut self.outgoing, frame, TAKEN_MAX);
    }
}

fn keep<T>(queue: &mut VecDeque<T>, item: T, count_max: usize) {
    if queue.len() >= count_max {
        queue.pop_front();
    }
    queue.push_back(item);
}
