//! What commands ask of the control units, put to the collecting thread, which owns the poller.
//!
//! One ask at a time: a second is refused, not queued, for its asker waits.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    time::Duration,
};

use service::logs::chain;

use crate::{
    command::{DiagnosticError, DiagnosticPort},
    faults::{FaultList, FaultReport},
    poll::{ClearPermit, Cleared, Poller},
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    ReadSupported,
    Clear,
}

/// The lists of faults that were read, or why nothing came of it.
type Answer = Result<Vec<FaultReport>, String>;

#[derive(Debug)]
struct Ask {
    kind: Kind,
    answer: SyncSender<Answer>,
}

/// The asking side.
#[derive(Debug)]
pub(super) struct PollerPort(SyncSender<Ask>);

/// The answering side, beside the poller.
#[derive(Debug)]
pub(super) struct Asks {
    asks: Receiver<Ask>,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    ask: Ask,
    reports: Vec<FaultReport>,
    cleared_count: usize,
    faults: Vec<String>,
}

/// Both sides.
pub(super) fn port() -> (PollerPort, Asks) {
    let (sender, asks) = sync_channel(1);
    (PollerPort(sender), Asks { asks, under_way: None })
}

impl PollerPort {
    fn ask(&self, kind: Kind, time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        let failed = |why: &str| DiagnosticError::Failed(why.to_owned());
        let (answer, answers) = sync_channel(1);
        self.0.try_send(Ask { kind, answer }).map_err(|error| match error {
            TrySendError::Full(_) => failed("another request is under way"),
            TrySendError::Disconnected(_) => failed("the agent is ending"),
        })?;
        match answers.recv_timeout(time_max) {
            Ok(answer) => answer.map_err(DiagnosticError::Failed),
            Err(RecvTimeoutError::Timeout) => Err(failed("they did not answer in time")),
            Err(RecvTimeoutError::Disconnected) => Err(failed("the agent is ending")),
        }
    }
}

impl DiagnosticPort for PollerPort {
    fn read_dtcs(&self, time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        self.ask(Kind::Read, time_max)
    }

    fn read_supported_dtcs(&self, time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        self.ask(Kind::ReadSupported, time_max)
    }

    fn clear_dtcs(&self, time_max: Duration) -> Result<(), DiagnosticError> {
        self.ask(Kind::Clear, time_max).map(drop)
    }
}

impl Asks {
    /// Takes up an ask that waits, and answers the one that is done.
    pub(super) fn step(&mut self, poller: &mut Poller) {
        if let Some(done) = self.under_way.take_if(|under_way| match under_way.ask.kind {
            Kind::Read => !poller.is_reading_dtcs(),
            Kind::ReadSupported => !poller.is_reading_supported_dtcs(),
            Kind::Clear => !poller.is_clearing_dtcs(),
        }) {
            done.answer();
        }
        if self.under_way.is_some() {
            return;
        }
        let Ok(ask) = self.asks.try_recv() else { return };
        let begun = match ask.kind {
            Kind::Read => poller.read_dtcs_now(),
            Kind::ReadSupported => poller.read_supported_dtcs(),
            // The desk has checked the command's signature and the vehicle's configuration.
            Kind::Clear => poller.clear_dtcs(ClearPermit::of_checked_command()),
        };
        match begun {
            Ok(()) => {
                self.under_way =
                    Some(UnderWay { ask, reports: Vec::new(), cleared_count: 0, faults: Vec::new() });
            }
            // An asker that has given up waiting is told nothing.
            Err(refusal) => drop(ask.answer.try_send(Err(refusal.to_string()))),
        }
    }

    /// A list was read, perhaps the one that is waited for.
    pub(super) fn note_report(&mut self, report: &FaultReport) {
        let kind = if report.list == FaultList::Supported { Kind::ReadSupported } else { Kind::Read };
        if let Some(under_way) = self.under_way.as_mut().filter(|under_way| under_way.ask.kind == kind) {
            under_way.reports.push(report.clone());
        }
    }

    /// A control unit has answered an order to clear.
    pub(super) fn note_cleared(&mut self, cleared: &Cleared) {
        let Some(under_way) = &mut self.under_way else { return };
        match &cleared.result {
            Ok(()) => under_way.cleared_count += 1,
            Err(error) => under_way.faults.push(format!("{}: {}", cleared.ecu, chain(error))),
        }
    }
}

impl UnderWay {
    fn answer(self) {
        let answer = match self.ask.kind {
            Kind::ReadSupported if self.reports.is_empty() => {
                Err("none of them tells which codes it can set (UDS 0x19 0A)".to_owned())
            }
            Kind::Read | Kind::ReadSupported => Ok(self.reports),
            Kind::Clear if !self.faults.is_empty() => Err(self.faults.join("; ")),
            Kind::Clear if self.cleared_count == 0 => Err("the vehicle fell asleep before".to_owned()),
            Kind::Clear => Ok(Vec::new()),
        };
        drop(self.ask.answer.try_send(answer));
    }
}
