//! When, and in which way, one unit of J1939 is asked for its freeze frames.
//!
//! It is asked when its DM1 names other faults than before, once in [`AGAIN_US`] at most. Which way it
//! has is found out once: DM24 lists the parameters of DM25; without it the frames are those of DM4,
//! and a unit that refuses those has none. Silence says less than a refusal: a unit that has answered
//! in a way keeps it.

use wire::time::Timestamp;

use crate::{faults::FaultReport, j1939::Pgn};

/// Time between two requests, however the faults flicker.
const AGAIN_US: i64 = 10_000_000;
/// Requests in a row without an answer, after which a way is left.
const SILENT_MAX: u32 = 3;

/// Which freeze frames a unit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To be found out by its DM24.
    Unknown,
    /// Those of DM25.
    Expanded,
    /// Those of DM4, as far as is known.
    Basic,
    /// None.
    None,
}

impl Way {
    fn pgn(self) -> Option<Pgn> {
        match self {
            Way::Unknown => Some(Pgn::DM24),
            Way::Expanded => Some(Pgn::DM25),
            Way::Basic => Some(Pgn::DM4),
            Way::None => None,
        }
    }
}

/// What is known of one unit's freeze frames.
#[derive(Debug, Clone)]
pub(super) struct FreezeFrames {
    way: Way,
    has_answered: bool,
    /// The faults that its last DM1 named.
    active: Vec<String>,
    due: Option<Timestamp>,
    asked: Option<Timestamp>,
    silent_count: u32,
}

impl Default for FreezeFrames {
    fn default() -> Self {
        Self {
            way: Way::Unknown,
            has_answered: false,
            active: Vec::new(),
            due: None,
            asked: None,
            silent_count: 0,
        }
    }
}

/// Whether a message is about freeze frames.
pub(super) fn is_about(pgn: Pgn) -> bool {
    matches!(pgn, Pgn::DM24 | Pgn::DM25 | Pgn::DM4)
}

impl FreezeFrames {
    /// Takes its DM1: other faults than before have other frames.
    pub(super) fn named(&mut self, report: &FaultReport, now: Timestamp) {
        if self.active.iter().eq(report.codes.iter().map(|code| &code.code)) {
            return;
        }
        self.active = report.codes.iter().map(|code| code.code.clone()).collect();
        if !self.active.is_empty() && self.way != Way::None {
            let again = self.asked.map_or(now, |asked| asked.plus_us(AGAIN_US));
            self.due = Some(now.max(again));
        }
    }

    /// When it is asked next, if it is.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// What is to be asked now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Pgn> {
        self.due.take_if(|due| *due <= now)?;
        self.asked = Some(now);
        self.way.pgn()
    }

    /// It has answered; what is to be asked at once. `has_layout`: it has told the parameters of DM25.
    pub(super) fn answered(&mut self, pgn: Pgn, has_layout: bool) -> Option<Pgn> {
        self.silent_count = 0;
        if pgn != Pgn::DM24 {
            self.has_answered = true;
            return None;
        }
        self.go(if has_layout { Way::Expanded } else { Way::Basic })
    }

    /// It does not know the message; what is to be asked instead.
    pub(super) fn refused(&mut self, pgn: Pgn) -> Option<Pgn> {
        self.go(if pgn == Pgn::DM4 { Way::None } else { Way::Basic })
    }

    /// It is busy, or what was asked is forgotten: it is asked once more.
    pub(super) fn later(&mut self) {
        self.due = self.asked.map(|asked| asked.plus_us(AGAIN_US));
    }

    /// It did not answer; what is to be asked instead.
    pub(super) fn silent(&mut self, pgn: Pgn) -> Option<Pgn> {
        self.silent_count += 1;
        if self.silent_count < SILENT_MAX {
            self.later();
            return None;
        }
        self.silent_count = 0;
        // Until its faults change.
        if self.has_answered { None } else { self.refused(pgn) }
    }

    fn go(&mut self, way: Way) -> Option<Pgn> {
        self.way = way;
        self.silent_count = 0;
        way.pgn()
    }
}
