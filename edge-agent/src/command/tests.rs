//! What a desk does with genuine, stale, repeated and forged commands.

use std::{path::Path, sync::atomic::AtomicU32, sync::atomic::Ordering};

use service::clock::ManualClock;
use wire::signature::BatchSigner;

use super::*;
use crate::faults::{FaultCode, FaultList, Protocol};

const NOW: &str = "2026-06-01T00:00:00Z";

fn now() -> Timestamp {
    Timestamp::parse(NOW).unwrap()
}

fn signer() -> BatchSigner {
    BatchSigner::from_secret(&[9; 32])
}

fn vehicle() -> VehicleId {
    "truck-7".parse().unwrap()
}

/// A vehicle with one fault, which counts what is asked of it.
#[derive(Debug, Default)]
struct OneFault {
    reads: AtomicU32,
    clears: AtomicU32,
}

impl DiagnosticPort for OneFault {
    fn read_dtcs(&self, _time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let code = FaultCode { code: "P0171".to_owned(), ..FaultCode::default() };
        Ok(vec![FaultReport {
            time: now(),
            protocol: Protocol::Obd,
            ecu: "7E8".to_owned(),
            list: FaultList::Confirmed,
            codes: vec![code],
        }])
    }

    fn read_supported_dtcs(&self, time_max: Duration) -> Result<Vec<FaultReport>, DiagnosticError> {
        let mut reports = self.read_dtcs(time_max)?;
        reports[0].list = FaultList::Supported;
        Ok(reports)
    }

    fn clear_dtcs(&self, _time_max: Duration) -> Result<(), DiagnosticError> {
        self.clears.fetch_add(1, Ordering::SeqCst);
        Err(DiagnosticError::Failed("negative response 22".to_owned()))
    }
}

fn command(id: &str, sequence: u64, kind: CommandKind) -> Command {
    Command {
        vehicle_id: vehicle(),
        command_id: id.to_owned(),
        sequence,
        issued_at: now(),
        expires_at: now().plus_us(600_000_000),
        kind,
    }
}

struct Rig {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    port: Arc<OneFault>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, clock: ManualClock::at(now().0), port: Arc::default() }
    }

    fn desk(&self, allow_clear_dtcs: bool) -> Arc<Desk> {
        self.desk_with(allow_clear_dtcs, None)
    }

    fn desk_with(&self, allow_clear_dtcs: bool, updater: Option<Updater>) -> Arc<Desk> {
        let verifier = BatchVerifier::from_public(&signer().public_key()).unwrap();
        let settings = CommandSettings { verifier: Some(verifier), allow_clear_dtcs, updater };
        let clock: SharedClock = self.clock.clone();
        let book = open_book(self.folder.path(), &clock).unwrap();
        Desk::new(settings, vehicle(), book, self.port.clone(), clock).unwrap().0
    }

    fn reads(&self) -> u32 {
        self.port.reads.load(Ordering::SeqCst)
    }
}

fn take_up(desk: &Desk, command: &Command) {
    desk.take_up(&command.encode_signed(&signer()));
}

fn reply_to(desk: &Desk, id: &str) -> CommandReply {
    let replies = desk.unanswered();
    let (_, payload) = replies.iter().find(|(command_id, _)| command_id == id).expect("a reply");
    CommandReply::decode(payload).unwrap()
}

#[test]
fn faults_are_read_once_however_often_the_command_comes() {
    let rig = Rig::new();
    let desk = rig.desk(false);
    let read = command("a", 1, CommandKind::ReadDtcs);
    take_up(&desk, &read);
    take_up(&desk, &read);
    let reply = reply_to(&desk, "a");
    assert_eq!((reply.outcome, reply.dtcs[0].code.as_str(), rig.reads()), (CommandOutcome::Done, "P0171", 1));
    assert_eq!((reply.dtcs[0].protocol.as_str(), reply.dtcs[0].list.as_str()), ("obd", "confirmed"));
    // Nor after a restart, answered or not.
    let desk = rig.desk(false);
    take_up(&desk, &read);
    assert_eq!((desk.unanswered().len(), rig.reads()), (1, 1));
    desk.note_answered("a");
    let desk = rig.desk(false);
    take_up(&desk, &read);
    assert_eq!((desk.unanswered().len(), rig.reads()), (0, 1));
}

#[test]
fn what_could_be_told_at_all_is_told_as_such() {
    let rig = Rig::new();
    let desk = rig.desk(false);
    take_up(&desk, &command("a", 1, CommandKind::ReadSupportedDtcs));
    let reply = reply_to(&desk, "a");
    assert_eq!((reply.outcome, reply.dtcs[0].list.as_str()), (CommandOutcome::Done, "supported"));
}

/// An updater that is a shell script.
fn updater(rig: &Rig, script: &str) -> Updater {
    Updater {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned(), "update".to_owned()],
        time_max: Duration::from_secs(60),
        log_file: rig.folder.path().join("update.log"),
    }
}

#[test]
fn an_update_is_done_once_by_the_configured_program_and_its_words_come_back() {
    let rig = Rig::new();
    let version = || CommandKind::ApplyUpdate { version: "1.4.0".to_owned() };
    let desk = rig.desk(false);
    take_up(&desk, &command("none", 1, version()));
    let reply = reply_to(&desk, "none");
    assert!(reply.outcome == CommandOutcome::Refused && reply.reason.contains("update_program"), "{reply:?}");

    let target = rig.folder.path().join("installed");
    let script = format!("echo applying $1; echo $1 >> {}", target.display());
    let desk = rig.desk_with(false, Some(updater(&rig, &script)));
    let update = command("good", 2, version());
    assert_eq!(desk.take_up(&update.encode_signed(&signer())), Some(Next::GoOn));
    assert_eq!(desk.take_up(&update.encode_signed(&signer())), None);
    let reply = reply_to(&desk, "good");
    assert_eq!((reply.outcome, reply.log.as_str()), (CommandOutcome::Done, "applying 1.4.0\n"));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "1.4.0\n");

    let desk = rig.desk_with(false, Some(updater(&rig, "echo in place; exit 10")));
    let update = command("again", 3, version());
    assert_eq!(desk.take_up(&update.encode_signed(&signer())), Some(Next::Restart));
    assert_eq!(reply_to(&desk, "again").outcome, CommandOutcome::Done);

    let desk = rig.desk_with(false, Some(updater(&rig, "echo bad signature >&2; exit 3")));
    take_up(&desk, &command("bad", 4, version()));
    let reply = reply_to(&desk, "bad");
    assert_eq!((reply.outcome, reply.log.as_str()), (CommandOutcome::Failed, "bad signature\n"));
    assert!(reply.reason.contains("exit code 3"), "{reply:?}");

    let missing = Updater { program: "/nowhere/update".into(), ..updater(&rig, "") };
    take_up(&rig.desk_with(false, Some(missing)), &command("missing", 5, version()));
    let reply = reply_to(&rig.desk(false), "missing");
    assert!(reply.outcome == CommandOutcome::Failed && reply.reason.contains("/nowhere/update"), "{reply:?}");
}

#[test]
fn an_updater_that_hangs_is_ended_with_all_it_started() {
    let rig = Rig::new();
    let pid_file = rig.folder.path().join("pid");
    let script = format!("sleep 300 & echo $! > {}; echo waiting; wait", pid_file.display());
    let slow = Updater { time_max: Duration::from_secs(3), ..updater(&rig, &script) };
    let error = slow.run("1", service::clock::SystemClock::shared().as_ref()).unwrap_err();
    assert!(matches!(&error, UpdateError::TooLong { log, .. } if log == "waiting\n"), "{error:?}");
    let child = std::fs::read_to_string(pid_file).unwrap();
    // Gone, or dead and waiting for whoever adopted it; a kill takes its moment.
    let is_gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let clock = service::clock::SystemClock::shared();
    let until_us = clock.monotonic_us() + 20_000_000;
    while !is_gone() {
        assert!(clock.monotonic_us() < until_us, "it lives on");
        std::thread::yield_now();
    }
}

#[test]
fn clearing_needs_the_agents_own_leave_and_a_failure_is_told() {
    let rig = Rig::new();
    let desk = rig.desk(false);
    take_up(&desk, &command("a", 1, CommandKind::ClearDtcs));
    let reply = reply_to(&desk, "a");
    assert!(
        reply.outcome == CommandOutcome::Refused && reply.reason.contains("allow_clear_dtcs"),
        "{reply:?}"
    );
    assert_eq!(rig.port.clears.load(Ordering::SeqCst), 0);
    let desk = rig.desk(true);
    take_up(&desk, &command("b", 2, CommandKind::ClearDtcs));
    let reply = reply_to(&desk, "b");
    assert!(reply.outcome == CommandOutcome::Failed && reply.reason.contains("response 22"), "{reply:?}");
}

#[test]
fn stale_early_and_endless_commands_are_refused_with_the_reason() {
    let rig = Rig::new();
    let desk = rig.desk(false);
    let base = command("x", 1, CommandKind::ReadDtcs);
    let hour = 3_600_000_000;
    let cases = [
        (
            "expired",
            Command { issued_at: now().plus_us(-2 * hour), expires_at: now(), ..base.clone() },
            "expired at",
        ),
        (
            "early",
            Command { issued_at: now().plus_us(hour), expires_at: now().plus_us(2 * hour), ..base.clone() },
            "still to come",
        ),
        ("endless", Command { expires_at: now().plus_us(8 * DAY_US), ..base.clone() }, "more than 7 days"),
    ];
    for (id, command, reason) in cases {
        take_up(&desk, &Command { command_id: id.to_owned(), ..command });
        let reply = reply_to(&desk, id);
        assert!(reply.outcome == CommandOutcome::Refused && reply.reason.contains(reason), "{reply:?}");
    }
    rig.clock.set_wall(0);
    take_up(&desk, &Command { command_id: "unset".to_owned(), ..base });
    assert!(reply_to(&desk, "unset").reason.contains("clock is not set"));
    assert_eq!(rig.reads(), 0);
}

#[test]
fn forged_and_foreign_commands_do_nothing_and_get_no_answer() {
    let rig = Rig::new();
    let desk = rig.desk(false);
    let read = command("a", 1, CommandKind::ReadDtcs);
    desk.take_up(&read.encode_signed(&BatchSigner::from_secret(&[1; 32])));
    desk.take_up(b"restart please");
    take_up(&desk, &Command { vehicle_id: "truck-8".parse().unwrap(), ..read });
    assert_eq!((desk.unanswered().len(), rig.reads()), (0, 0));
}

#[test]
fn a_command_older_than_all_the_book_knows_is_refused() {
    let rig = Rig::new();
    let desk = rig.desk(false);
    for i in 1..=70 {
        take_up(&desk, &command(&format!("c{i}"), i, CommandKind::ReadDtcs));
        desk.note_answered(&format!("c{i}"));
    }
    assert_eq!(rig.reads(), 70);
    take_up(&desk, &command("c3", 3, CommandKind::ReadDtcs));
    assert_eq!(rig.reads(), 70);
    assert!(reply_to(&desk, "c3").reason.contains("too old"));
}

#[test]
fn a_command_cut_short_by_a_crash_is_answered_as_failed_and_not_done_again() {
    let rig = Rig::new();
    let clock: SharedClock = rig.clock.clone();
    let mut book = open_book(rig.folder.path(), &clock).unwrap();
    let read = command("a", 1, CommandKind::ReadDtcs);
    book.take(&read).unwrap();
    drop(book);
    let desk = rig.desk(false);
    take_up(&desk, &read);
    assert_eq!((reply_to(&desk, "a").outcome, rig.reads()), (CommandOutcome::Failed, 0));
}

#[test]
fn a_book_that_cannot_be_read_refuses_what_was_issued_before() {
    let rig = Rig::new();
    std::fs::write(Path::new(rig.folder.path()).join("commands"), b"{").unwrap();
    rig.clock.advance(Duration::from_secs(60));
    let desk = rig.desk(false);
    take_up(&desk, &command("a", 1, CommandKind::ReadDtcs));
    assert!(reply_to(&desk, "a").reason.contains("too old"));
    let later = Command { issued_at: now().plus_us(61_000_000), ..command("b", 2, CommandKind::ReadDtcs) };
    take_up(&desk, &later);
    assert_eq!(reply_to(&desk, "b").outcome, CommandOutcome::Done);
}
