//! Commands come back as they were signed, and nothing else is one.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::{fs, path::Path};

use proptest::prelude::*;
use wire::{
    command::{Command, CommandKind, CommandOutcome, CommandReply, DecodeCommandError, ReportedDtc},
    signature::{BatchSigner, BatchVerifier, SignatureError},
    time::Timestamp,
};

fn signer() -> BatchSigner {
    BatchSigner::from_secret(&[9; 32])
}

fn verifier() -> BatchVerifier {
    BatchVerifier::from_public(&signer().public_key()).unwrap()
}

fn command(kind: CommandKind) -> Command {
    Command {
        vehicle_id: "truck-7".parse().unwrap(),
        command_id: "2f1c".to_owned(),
        sequence: 12,
        issued_at: Timestamp(1_780_000_000_000_000),
        expires_at: Timestamp(1_780_000_600_000_000),
        kind,
    }
}

fn reply() -> CommandReply {
    CommandReply {
        command_id: "2f1c".to_owned(),
        outcome: CommandOutcome::Failed,
        reason: "the control unit did not answer".to_owned(),
        replied_at: Timestamp(1_780_000_001_000_000),
        dtcs: vec![ReportedDtc {
            protocol: "uds".to_owned(),
            ecu: "7E8".to_owned(),
            list: "confirmed".to_owned(),
            code: "P0171".to_owned(),
            time: Timestamp(1_780_000_000_500_000),
        }],
        log: "a line\n".to_owned(),
    }
}

#[test]
fn every_kind_comes_back_and_only_under_its_key() {
    let kinds = [
        CommandKind::ReadDtcs,
        CommandKind::ClearDtcs,
        CommandKind::SendLog { bytes_max: 7000 },
        CommandKind::Restart,
        CommandKind::ReadSupportedDtcs,
        CommandKind::ApplyUpdate { version: "1.4.0~rc1+b2".to_owned() },
    ];
    for kind in kinds {
        let payload = command(kind.clone()).encode_signed(&signer());
        assert_eq!(Command::decode_verified(&payload, &verifier()).unwrap(), command(kind));
        let other = BatchVerifier::from_public(&BatchSigner::from_secret(&[8; 32]).public_key()).unwrap();
        let error = Command::decode_verified(&payload, &other).unwrap_err();
        assert!(matches!(error, DecodeCommandError::Signature(SignatureError::Mismatch)));
    }
    assert_eq!(CommandReply::decode(&reply().encode()).unwrap(), reply());
}

#[test]
fn a_version_is_no_option_no_path_and_no_shell() {
    for version in ["", "-rf", "../1", "1 2", "1;x", "$(x)", "1\n", "ä", &"1".repeat(65)] {
        let payload =
            command(CommandKind::ApplyUpdate { version: version.to_owned() }).encode_signed(&signer());
        let error = Command::decode_verified(&payload, &verifier()).unwrap_err();
        assert!(matches!(error, DecodeCommandError::Malformed(_)), "{version:?}: {error}");
    }
}

#[test]
fn version_1_reads_for_ever() {
    let golden = |name: &str, make: &dyn Fn() -> Vec<u8>| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
        if !path.exists() && std::env::var_os("ROADLAKE_WRITE_GOLDEN").is_some() {
            fs::write(&path, make()).unwrap();
        }
        fs::read(&path).unwrap()
    };
    let kind = CommandKind::SendLog { bytes_max: 65_536 };
    let payload = golden("command-v1.pb", &|| command(kind.clone()).encode_signed(&signer()));
    assert_eq!(Command::decode_verified(&payload, &verifier()).unwrap(), command(kind));
    let bytes = golden("reply-v1.pb", &|| reply().encode());
    assert_eq!(CommandReply::decode(&bytes).unwrap(), reply());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_a_reply(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Command::decode_verified(&bytes, &verifier()).is_err());
        let _ = CommandReply::decode(&bytes);
    }

    #[test]
    fn a_command_with_a_flipped_bit_is_none(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut payload = command(CommandKind::ClearDtcs).encode_signed(&signer());
        let i = at.index(payload.len());
        payload[i] ^= 1_u8 << bit;
        prop_assert!(Command::decode_verified(&payload, &verifier()).is_err());
    }
}
