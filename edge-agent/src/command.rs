//! One-shot requests to this vehicle: checked, done once, answered once.
//!
//! The uplink puts payloads into the desk; a task of its own takes them up one at a time, on a
//! blocking thread. A payload that is not signed by the configured key, or is another vehicle's,
//! is counted and not answered: it names nothing that could be believed. Every other command gets
//! exactly one reply, which is sent until the broker has it. [`book`] remembers on disk what was
//! taken up, so a command that comes again, or after a crash in its midst, is not done again.
//!
//! Bounds: eight payloads wait, more are *shed* with a warning; the book keeps a fixed
//! number of commands and refuses what is older than all of them.

pub mod book;
mod update;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use service::{SharedClock, clock::micros, logs::chain, tasks::TaskError};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use wire::{
    command::{Command, CommandKind, CommandOutcome, CommandReply, ReportedDtc},
    ids::VehicleId,
    signature::BatchVerifier,
    time::{DAY_US, Timestamp},
};

use crate::{clock::RELEASE_TIME, faults::FaultReport, metrics};
use book::{Book, BookError};

pub use update::{RESTART_CODE, UpdateError, Updater};

/// Payloads that may wait to be taken up.
const INBOX_LEN: usize = 8;
/// How far ahead of the vehicle's clock the sender's may be.
const SKEW_MAX: Duration = Duration::from_secs(300);
/// Longest validity of a command: bounds what a stolen one can do.
const VALIDITY_US_MAX: i64 = 7 * DAY_US;
/// Longest a diagnostic request may take.
const DIAGNOSTIC_TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of log in a reply: half of what a message may have.
const LOG_BYTES_MAX: usize = wire::batch::PAYLOAD_BYTES_MAX / 2;
/// Most faults in a reply.
const DTC_COUNT_MAX: usize = 1000;
/// How long a restart waits for its reply to be with the broker; else it is sent afterwards.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(2);

/// Whether and from whom the vehicle takes commands.
#[derive(Debug, Clone, Default)]
pub struct CommandSettings {
    /// The key that signs them; none: no command is taken.
    pub verifier: Option<BatchVerifier>,
    /// Whether a command may have control units forget their faults.
    pub allow_clear_dtcs: bool,
    /// What brings the unit to another version of its software; none: a command cannot.
    pub updater: Option<Updater>,
}

/// What is to come after a command that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    /// The agent ends, for its supervisor to start it again.
    Restart,
}

/// The vehicle's control units, as far as commands need them.
pub trait DiagnosticPort: Send + Sync {
    /// Asks for the faults now.
    fn read_dtcs(&self, time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError>;
    /// Asks which faults can be told at all.
    fn read_supported_dtcs(&self, time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError>;
    /// Has the faults forgotten.
    fn clear_dtcs(&self, time_max: Duration) -> Result<(), DiagnosticError>;
}

/// Why control units did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DiagnosticError {
    /// The agent may not ask anything on the bus.
    #[error("no diagnostic polling is configured")]
    NotConfigured,
    /// It may, and it did not work.
    #[error("the control units could not be asked: {0}")]
    Failed(String),
}

/// A vehicle on whose bus nothing is ever sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDiagnostics;

impl DiagnosticPort for NoDiagnostics {
    fn read_dtcs(&self, _time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        Err(DiagnosticError::NotConfigured)
    }

    fn read_supported_dtcs(&self, _time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        Err(DiagnosticError::NotConfigured)
    }

    fn clear_dtcs(&self, _time_max: Duration) -> Result<(), DiagnosticError> {
        Err(DiagnosticError::NotConfigured)
    }
}

/// Takes commands, does them and keeps their replies until they are with the broker.
pub(crate) struct Desk {
    vehicle_id: VehicleId,
    verifier: BatchVerifier,
    allow_clear_dtcs: bool,
    updater: Option<Updater>,
    port: Arc<dyn DiagnosticPort>,
    clock: SharedClock,
    book: Mutex<Book>,
    inbox: mpsc::Sender<Vec<u8>>,
    /// A reply is to be sent.
    pub(crate) replied: Notify,
    /// A reply is with the broker.
    answered: Notify,
    /// The agent is to end, for its supervisor to start it again.
    pub(crate) restart: Notify,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("vehicle_id", &self.vehicle_id).finish_non_exhaustive()
    }
}

/// Where payloads wait.
pub(crate) type Inbox = mpsc::Receiver<Vec<u8>>;

impl Desk {
    /// A desk over its book; `None` when no key is configured.
    pub(crate) fn new(
        settings: CommandSettings,
        vehicle_id: VehicleId,
        book: Book,
        port: Arc<dyn DiagnosticPort>,
        clock: SharedClock,
    ) -> Option<(Arc<Self>, Inbox)> {
        let (inbox, payloads) = mpsc::channel(INBOX_LEN);
        let desk = Self {
            vehicle_id,
            verifier: settings.verifier?,
            allow_clear_dtcs: settings.allow_clear_dtcs,
            updater: settings.updater,
            port,
            clock,
            book: Mutex::new(book),
            inbox,
            replied: Notify::new(),
            answered: Notify::new(),
            restart: Notify::new(),
        };
        Some((Arc::new(desk), payloads))
    }

    /// Takes up what comes until stopped.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut inbox: Inbox,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        loop {
            let payload = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                payload = inbox.recv() => payload,
            };
            let Some(payload) = payload else { return Ok(()) };
            let desk = Arc::clone(&self);
            let taken_up = tokio::select! {
                // What control units or an updater still do is not waited for; the next start
                // answers that it was cut short.
                () = stop.cancelled() => return Ok(()),
                taken_up = tokio::task::spawn_blocking(move || desk.take_up(&payload)) => taken_up?,
            };
            self.replied.notify_one();
            if taken_up == Some(Next::Restart) {
                let told = self.all_answered();
                // Not told in time: the next start tells it.
                drop(tokio::time::timeout(RESTART_WAIT_MAX, told).await);
                self.restart.notify_one();
            }
        }
    }

    async fn all_answered(&self) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if self.book().unanswered().next().is_none() {
                return;
            }
            answered.await;
        }
    }

    /// Puts a payload before the desk.
    pub(crate) fn submit(&self, payload: &[u8]) {
        if self.inbox.try_send(payload.to_vec()).is_err() {
            metrics::command("any", "shed");
            warn!(vehicle_id = %self.vehicle_id, "too many commands at once, one is shed");
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replies the broker does not have: command ids and payloads.
    pub(crate) fn unanswered(&self) -> Vec<(String, Vec<u8>)> {
        self.book().unanswered().map(|(id, payload)| (id.to_owned(), payload.to_vec())).collect()
    }

    /// Notes that the broker has a reply.
    pub(crate) fn note_answered(&self, command_id: &str) {
        if let Err(error) = self.book().answered(command_id) {
            // At worst it is sent again after a restart.
            warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "command book cannot be written");
        }
        self.answered.notify_waiters();
    }

    /// Checks a payload, does what it asks, and leaves the reply in the book. Returns what is to
    /// come after it, if it was done.
    fn take_up(&self, payload: &[u8]) -> Option<Next> {
        let command = match Command::decode_verified(payload, &self.verifier) {
            Ok(command) if command.vehicle_id == self.vehicle_id => command,
            Ok(_) => {
                metrics::command("any", "other_vehicle");
                warn!(vehicle_id = %self.vehicle_id, "command of another vehicle passed over");
                return None;
            }
            Err(error) => {
                metrics::command("any", "unverified");
                warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "command passed over");
                return None;
            }
        };
        let kind = command.kind.name();
        let refused = {
            let mut book = self.book();
            if book.knows(&command.command_id) {
                metrics::command(kind, "repeated");
                info!(vehicle_id = %self.vehicle_id, topic = kind, "command came again");
                return None;
            }
            let refused = self.refusal(&command, &book);
            if let Err(error) = book.take(&command) {
                // Not done rather than perhaps done twice; the sender asks again.
                metrics::command(kind, "failed");
                error!(vehicle_id = %self.vehicle_id, error = %chain(&error), "command book cannot be written");
                return None;
            }
            refused
        };
        let (reply, next) = match refused {
            Some(reason) => (self.reply(&command, CommandOutcome::Refused, reason), Next::GoOn),
            None => self.execute(&command),
        };
        let outcome = match reply.outcome {
            CommandOutcome::Done => "done",
            CommandOutcome::Refused => "refused",
            CommandOutcome::Failed => "failed",
        };
        metrics::command(kind, outcome);
        info!(vehicle_id = %self.vehicle_id, topic = kind, outcome, reason = reply.reason, "command answered");
        if let Err(error) = self.book().replied(&command.command_id, reply.encode()) {
            warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "command book cannot be written");
        }
        (reply.outcome == CommandOutcome::Done).then_some(next)
    }

    /// Why a genuine command is not done, if it is not.
    fn refusal(&self, command: &Command, book: &Book) -> Option<String> {
        let now = Timestamp(self.clock.now_us());
        if now < RELEASE_TIME {
            return Some("the vehicle's clock is not set".to_owned());
        }
        if now >= command.expires_at {
            return Some(format!("expired at {}", command.expires_at));
        }
        if command.issued_at > now.plus_us(micros(SKEW_MAX)) {
            return Some(format!("issued at {}, which is still to come", command.issued_at));
        }
        if command.expires_at.since_us(command.issued_at) > VALIDITY_US_MAX {
            return Some("valid for more than 7 days".to_owned());
        }
        if command.sequence <= book.floor_sequence() || command.issued_at < book.not_before() {
            return Some("too old to know whether it was done before".to_owned());
        }
        if command.kind == CommandKind::ClearDtcs && !self.allow_clear_dtcs {
            return Some("clearing is not allowed here (`commands.allow_clear_dtcs`)".to_owned());
        }
        None
    }

    fn execute(&self, command: &Command) -> (CommandReply, Next) {
        let done = || self.reply(command, CommandOutcome::Done, String::new());
        let asked = match &command.kind {
            CommandKind::ReadDtcs => self.port.read_dtcs(DIAGNOSTIC_TIME_MAX),
            CommandKind::ReadSupportedDtcs => self.port.read_supported_dtcs(DIAGNOSTIC_TIME_MAX),
            CommandKind::ClearDtcs => self.port.clear_dtcs(DIAGNOSTIC_TIME_MAX).map(|()| Vec::new()),
            CommandKind::SendLog { bytes_max } => {
                let bytes_max = usize::try_from(*bytes_max).unwrap_or(usize::MAX).min(LOG_BYTES_MAX);
                return (CommandReply { log: service::logs::recent(bytes_max), ..done() }, Next::GoOn);
            }
            CommandKind::Restart => return (done(), Next::Restart),
            CommandKind::ApplyUpdate { version } => return self.update(command, version),
        };
        let reply = match asked {
            Ok(reports) => CommandReply { dtcs: reported(&reports), ..done() },
            Err(error @ DiagnosticError::NotConfigured) => {
                self.reply(command, CommandOutcome::Refused, error.to_string())
            }
            Err(error @ DiagnosticError::Failed(_)) => {
                self.reply(command, CommandOutcome::Failed, error.to_string())
            }
        };
        (reply, Next::GoOn)
    }

    fn update(&self, command: &Command, version: &str) -> (CommandReply, Next) {
        let Some(updater) = &self.updater else {
            let reason = "no updater is configured here (`commands.update_program`)".to_owned();
            return (self.reply(command, CommandOutcome::Refused, reason), Next::GoOn);
        };
        match updater.run(version, self.clock.as_ref()) {
            Ok((log, next)) => {
                (CommandReply { log, ..self.reply(command, CommandOutcome::Done, String::new()) }, next)
            }
            Err(error) => {
                let log = error.log().to_owned();
                let reply = self.reply(command, CommandOutcome::Failed, chain(&error).to_string());
                (CommandReply { log, ..reply }, Next::GoOn)
            }
        }
    }

    fn reply(&self, command: &Command, outcome: CommandOutcome, reason: String) -> CommandReply {
        CommandReply {
            command_id: command.command_id.clone(),
            outcome,
            reason,
            replied_at: Timestamp(self.clock.now_us()),
            dtcs: Vec::new(),
            log: String::new(),
        }
    }
}

fn reported(reports: &[FaultReport]) -> Vec<ReportedDtc> {
    let of_report = |report: &FaultReport| {
        let base = ReportedDtc {
            protocol: report.protocol.name().to_owned(),
            ecu: report.ecu.clone(),
            list: report.list.name().to_owned(),
            code: String::new(),
            time: report.time,
        };
        let with_code =
            |code: &crate::faults::FaultCode| ReportedDtc { code: code.code.clone(), ..base.clone() };
        report.codes.iter().map(with_code).collect::<Vec<_>>()
    };
    reports.iter().flat_map(of_report).take(DTC_COUNT_MAX).collect()
}

/// The book of an agent, in its spool's folder.
pub(crate) fn open_book(folder: &std::path::Path, clock: &SharedClock) -> Result<Book, BookError> {
    Book::open(&folder.join("commands"), Timestamp(clock.now_us()))
}

#[cfg(test)]
mod tests;
