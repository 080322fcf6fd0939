//! `edge-agent command`: what it signs a vehicle takes, and what a vehicle replies it shows.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::{
    fs,
    path::Path,
    process::{Command as Process, Output},
};

use wire::{
    command::{Command, CommandKind, CommandOutcome, CommandReply, ReportedDtc},
    signature::BatchVerifier,
    time::Timestamp,
};

fn run(arguments: &[&str], folder: &Path) -> Output {
    Process::new(env!("CARGO_BIN_EXE_edge-agent"))
        .arg("command")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_command_is_signed_by_the_made_key_for_one_vehicle_and_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(&["keygen", "--out", "commands.key"], folder.path());
    assert!(made.status.success(), "{}", told(&made));
    let public = fs::read_to_string(folder.path().join("commands.key.pub")).unwrap();
    let bytes: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&public[2 * i..2 * i + 2], 16).unwrap()).collect();
    let verifier = BatchVerifier::from_public(&<[u8; 32]>::try_from(bytes).unwrap()).unwrap();
    let sign = |more: &[&str]| {
        let fixed = ["sign", "--vehicle", "truck-7", "--key", "commands.key"];
        run(&[&fixed[..], more].concat(), folder.path())
    };

    let first = sign(&["--id", "a", "--valid-for", "1h", "apply-update", "1.4.0"]);
    let first_command = Command::decode_verified(&first.stdout, &verifier).unwrap();
    assert_eq!(first_command.kind, CommandKind::ApplyUpdate { version: "1.4.0".to_owned() });
    assert_eq!((first_command.vehicle_id.as_str(), first_command.command_id.as_str()), ("truck-7", "a"));
    assert_eq!(first_command.expires_at.since_us(first_command.issued_at), 3_600_000_000);
    assert!(told(&first).contains("/truck-7/command"), "{}", told(&first));

    let second = Command::decode_verified(&sign(&["read-supported-dtcs"]).stdout, &verifier).unwrap();
    assert_eq!(second.kind, CommandKind::ReadSupportedDtcs);
    assert!(second.sequence > first_command.sequence && second.command_id.len() > 20);

    // A key is never written over, and what makes no sense is not signed.
    assert!(!run(&["keygen", "--out", "commands.key"], folder.path()).status.success());
    for bad in [&["apply-update", "../1"][..], &["--valid-for", "soon", "restart"], &["--id", "", "restart"]]
    {
        let output = sign(bad);
        assert!(!output.status.success() && output.stdout.is_empty(), "{bad:?}");
    }
    let output = run(&["sign", "--vehicle", "truck-7", "--key", "none.key", "restart"], folder.path());
    assert!(told(&output).contains("none.key"), "{}", told(&output));
}

#[test]
fn a_reply_is_shown_as_text_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let at = Timestamp::parse("2026-06-01T00:00:00Z").unwrap();
    let reply = CommandReply {
        command_id: "a".to_owned(),
        outcome: CommandOutcome::Failed,
        reason: "negative response 22".to_owned(),
        replied_at: at,
        dtcs: vec![ReportedDtc {
            protocol: "uds".to_owned(),
            ecu: "bms".to_owned(),
            list: "active".to_owned(),
            code: "P0171-00".to_owned(),
            time: at,
        }],
        log: "last line\n".to_owned(),
    };
    fs::write(folder.path().join("reply"), reply.encode()).unwrap();
    let text = String::from_utf8(run(&["show", "reply"], folder.path()).stdout).unwrap();
    assert!(text.contains("a failed: negative response 22\n") && text.ends_with("last line\n"), "{text}");
    assert!(text.lines().nth(1).unwrap().ends_with("uds   bms         active     P0171-00"), "{text}");
    let json = run(&["show", "--json", "reply"], folder.path()).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (json["outcome"].as_str(), json["dtcs"][0]["code"].as_str()),
        (Some("failed"), Some("P0171-00"))
    );

    fs::write(folder.path().join("noise"), b"not a reply").unwrap();
    let output = run(&["show", "noise"], folder.path());
    assert!(told(&output).contains("noise is no reply of a vehicle"), "{}", told(&output));
}
