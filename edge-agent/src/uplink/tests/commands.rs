//! Commands over the link: done once, answered once, whatever is cut.

use service::clock::ManualClock;
use wire::{
    command::{Command, CommandKind, CommandOutcome},
    ids::VehicleId,
};

use super::*;
use crate::command::{CommandSettings, NoDiagnostics, open_book};

const NOW: &str = "2026-06-01T00:00:00Z";

fn signer() -> BatchSigner {
    BatchSigner::from_secret(&[9; 32])
}

fn payload(vehicle_id: VehicleId, id: &str, sequence: u64) -> Vec<u8> {
    let issued_at = Timestamp::parse(NOW).unwrap();
    let command = Command {
        vehicle_id,
        command_id: id.to_owned(),
        sequence,
        issued_at,
        expires_at: issued_at.plus_us(3_600_000_000),
        kind: CommandKind::ReadDtcs,
    };
    command.encode_signed(&signer())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_whose_way_was_cut_is_sent_again_and_the_command_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock: SharedClock = ManualClock::at(Timestamp::parse(NOW).unwrap().0);
    let verifier = BatchVerifier::from_public(&signer().public_key()).unwrap();
    let settings = CommandSettings { verifier: Some(verifier), allow_clear_dtcs: false, updater: None };
    let book = open_book(folder.path(), &clock).unwrap();
    let (desk, inbox) = Desk::new(settings, vehicle(), book, Arc::new(NoDiagnostics), clock.clone()).unwrap();
    let rig = Rig::with(SpoolSettings::default(), None, None, Some(Arc::clone(&desk)), |cloud, shared| {
        // Every connection brings both again, as a broker that never saw a PUBACK would.
        *cloud.commands.lock().unwrap() = vec![payload(vehicle(), "one", 1), payload(vehicle(), "two", 2)];
        *cloud.reply_cuts.lock().unwrap() = 1;
        fill(shared, Lane::Readings, stream(1), 5);
    })
    .await;
    let mut changed = rig.cloud.changed.subscribe();
    rig.tasks.spawn("commands", Arc::clone(&desk).run(inbox, rig.tasks.stop_token()));
    let told = async {
        while !desk.unanswered().is_empty() || rig.cloud.cloud.lock().unwrap().replies.len() < 3 {
            let _ = tokio::time::timeout(Duration::from_millis(50), changed.changed()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("both are answered");
    rig.drained().await;
    let replies = rig.cloud.cloud.lock().unwrap().replies.clone();
    let of = |id: &str| replies.iter().filter(|r| r.command_id == id).cloned().collect::<Vec<_>>();
    assert!(of("one").len() + of("two").len() == replies.len() && !of("two").is_empty());
    for id in ["one", "two"] {
        // The same words each time: it was done once.
        assert!(of(id).windows(2).all(|w| w[0] == w[1]));
        assert_eq!(of(id)[0].outcome, CommandOutcome::Refused);
        assert_eq!(of(id)[0].reason, "no diagnostic polling is configured");
    }
    rig.stop().await;
}
