//! A control unit as polling knows it: what waits to be asked, and how it answers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde_json::{Map, Value};
use wire::time::Timestamp;

use super::{EcuFrames, job::Job};
use crate::{
    faults::FaultReport,
    frame::FRAME_BYTES_MAX,
    isotp::{Address, Link, LinkSettings},
    uds::{Client, DtcCode, DtcStatus, Timing},
};

/// Requests that may wait for one control unit; beyond it new ones are left until they are due
/// again.
const WAITING_MAX: usize = 256;
/// Requests for its identity that are asked again, all together.
const INFO_AGAIN_MAX: u32 = 20;
/// How much later. Meanwhile it answers other requests: one that takes no long messages is not to
/// be left alone for it.
const INFO_AGAIN_US: i64 = 15_000_000;
/// Requests without an answer after which a control unit is left alone for a while.
const SILENT_MAX: u32 = 3;
/// The shortest and the longest such while.
const REST_MIN_US: i64 = 5_000_000;
const REST_MAX_US: i64 = 300_000_000;

/// A control unit.
#[derive(Debug)]
pub(super) struct Ecu {
    /// As in reports: its configured name, or the id of its answers.
    pub(super) name: String,
    pub(super) frames: EcuFrames,
    pub(super) client: Client,
    /// Its place in the settings, where it is one of those.
    pub(super) configured: Option<usize>,
    /// PIDs of service 01 it has; `None` when it is no OBD control unit.
    pub(super) pids: Option<BTreeSet<u8>>,
    /// The request under way.
    pub(super) job: Option<Job>,
    /// Bits that are still expected of it.
    pub(super) bits_expected: u32,
    waiting: VecDeque<Job>,
    silent: u32,
    rests_until: Option<Timestamp>,
    has_answered: bool,
    /// Requests for its identity that were asked again.
    info_again: u32,
    /// Those that wait for their time.
    info_due: VecDeque<(Timestamp, Job)>,
    /// Whether it takes OBD requests to all only, as the standard's minimum is.
    pub(super) is_functional_only: bool,
    pub(super) scan: Scan,
    pub(super) last_request: Option<Timestamp>,
}

/// A reading of its codes that is under way, and what is kept from the last.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Whether codes are being read.
    pub(super) is_running: bool,
    /// OBD: the list that waits for its freeze frame.
    pub(super) report: Option<FaultReport>,
    /// OBD: the code the freeze frame is of, and its values.
    pub(super) freeze: Option<(String, Map<String, Value>)>,
    /// UDS: the codes that wait for their records.
    pub(super) codes: Vec<DtcStatus>,
    /// UDS: records of codes, while they are set.
    pub(super) records: BTreeMap<DtcCode, Map<String, Value>>,
    /// OBD: whether it keeps permanent codes.
    pub(super) lacks_permanent: bool,
}

impl Ecu {
    pub(super) fn new(name: String, address: Address, frames: EcuFrames, interface: Arc<str>) -> Self {
        let settings = LinkSettings {
            frame_bytes: if frames == EcuFrames::Classic { 8 } else { FRAME_BYTES_MAX },
            is_rate_switched: frames == EcuFrames::FdRateSwitched,
            ..LinkSettings::default()
        };
        let link = Link::new(address, settings, interface);
        Self {
            name,
            frames,
            client: Client::new(link, Timing::default()),
            configured: None,
            pids: None,
            job: None,
            bits_expected: 0,
            waiting: VecDeque::new(),
            silent: 0,
            rests_until: None,
            has_answered: false,
            info_again: 0,
            info_due: VecDeque::new(),
            is_functional_only: false,
            scan: Scan::default(),
            last_request: None,
        }
    }

    pub(super) fn address(&self) -> Address {
        self.client.link().address()
    }

    /// Asks when its turn comes, unless it is going to be asked already.
    pub(super) fn push(&mut self, job: Job) {
        if self.waiting.len() < WAITING_MAX && !self.waiting.contains(&job) && self.job != Some(job) {
            self.waiting.push_back(job);
        }
    }

    /// Asks for its identity again later, a bounded number of times.
    pub(super) fn ask_info_again(&mut self, job: Job, time: Timestamp) {
        if self.info_again < INFO_AGAIN_MAX {
            self.info_again += 1;
            self.info_due.push_back((time.plus_us(INFO_AGAIN_US), job));
        }
    }

    /// Asks what is due of its identity.
    pub(super) fn ask_due_info(&mut self, now: Timestamp) {
        while let Some((due, job)) = self.info_due.front().copied()
            && due <= now
        {
            self.info_due.pop_front();
            self.push(job);
        }
    }

    /// Asks next, in this order.
    pub(super) fn push_first(&mut self, jobs: &[Job]) {
        for job in jobs.iter().rev() {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_front(*job);
            }
        }
    }

    /// What is asked next, if it may be asked now.
    pub(super) fn next(&self, now: Timestamp) -> Option<Job> {
        let is_resting = self.rests_until.is_some_and(|until| now < until);
        let next = self.waiting.front().copied();
        next.filter(|_| self.job.is_none() && self.client.is_idle() && !is_resting)
    }

    /// Whether what is asked next is of that kind.
    pub(super) fn next_is(&self, is_kind: impl Fn(&Job) -> bool) -> bool {
        self.waiting.front().is_some_and(is_kind)
    }

    /// Whether something of that kind is asked or waits to be.
    pub(super) fn has(&self, is_kind: impl Fn(&Job) -> bool) -> bool {
        self.job.as_ref().is_some_and(&is_kind) || self.waiting.iter().any(is_kind)
    }

    /// Takes it off the waiting ones.
    pub(super) fn begin(&mut self, job: Job) {
        self.waiting.pop_front();
        self.job = Some(job);
    }

    /// The request under way is given up; `is_kept` puts it back in front.
    pub(super) fn abandon(&mut self, is_kept: bool) {
        self.client.abandon();
        self.bits_expected = 0;
        if let Some(job) = self.job.take()
            && is_kept
        {
            self.waiting.push_front(job);
        }
    }

    /// Forgets what waits: the vehicle is asleep.
    pub(super) fn rest(&mut self) {
        self.abandon(false);
        self.waiting.clear();
        self.scan.is_running = false;
        self.scan.report = None;
    }

    pub(super) fn note_answer(&mut self) {
        (self.silent, self.rests_until, self.has_answered) = (0, None, true);
    }

    /// Counts a request without an answer: after a few the control unit is left alone, each time
    /// for twice as long. One that never answered to itself is tried by a request to all.
    pub(super) fn note_silence(&mut self, now: Timestamp) {
        self.silent = self.silent.saturating_add(1);
        if self.silent < SILENT_MAX {
            return;
        }
        if self.pids.is_some() && !self.has_answered && !self.is_functional_only {
            (self.is_functional_only, self.silent) = (true, 0);
            return;
        }
        let doubled = REST_MIN_US << (self.silent - SILENT_MAX).min(6);
        self.rests_until = Some(now.plus_us(doubled.min(REST_MAX_US)));
    }
}
