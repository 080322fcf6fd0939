//! Commands: signed, sent, sent again, answered.

use std::time::Duration;

use serde_json::{Value, json};
use wire::{
    command::{Command, CommandKind, CommandOutcome, CommandReply, ReportedDtc},
    signature::{BatchSigner, BatchVerifier},
    time::Timestamp,
    topics::Channel,
};

use super::agents::{COMMANDS_SECRET, keyed, reached, status, vehicle};
use crate::{broker::Told, server::NOW};

fn command(told: &Told) -> Command {
    assert!(told.channel == Channel::Command && !told.is_retained);
    let key = BatchSigner::from_secret(&COMMANDS_SECRET).public_key();
    Command::decode_verified(&told.payload, &BatchVerifier::from_public(&key).unwrap()).unwrap()
}

#[tokio::test]
async fn a_command_is_signed_sent_again_to_who_comes_and_answered_once() {
    let (server, broker) = reached().await;
    vehicle(&server, "van-1", &Value::Null).await;
    let new = json!({ "vehicle_id": "van-1", "task": { "kind": "read_dtcs" }, "valid_for_s": 3600 });
    let made = keyed(&server, "one", "/v1/commands", &new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    assert_eq!((&made["state"], &made["reply"]), (&json!("waiting"), &Value::Null));
    let sent = command(&broker.until_told(1).await[0]);
    assert_eq!((sent.command_id.as_str(), sent.kind), (made["id"].as_str().unwrap(), CommandKind::ReadDtcs));
    assert_eq!(sent.expires_at.0 - sent.issued_at.0, 3_600_000_000);
    // The vehicle was not there; now it is.
    broker.say("van-1", Channel::Status, status(None, "").encode());
    assert_eq!(command(&broker.until_told(2).await[1]).sequence, sent.sequence);

    let dtc = ReportedDtc {
        protocol: "uds".to_owned(),
        ecu: "engine".to_owned(),
        list: "confirmed".to_owned(),
        code: "P0301".to_owned(),
        time: Timestamp::parse(NOW).unwrap(),
    };
    let reply = CommandReply {
        command_id: sent.command_id.clone(),
        outcome: CommandOutcome::Done,
        reason: String::new(),
        replied_at: Timestamp::parse(NOW).unwrap(),
        dtcs: vec![dtc],
        log: String::new(),
    };
    // Neither another vehicle's answer nor one to no command is its.
    broker.say("van-2", Channel::Reply, reply.encode());
    broker.say(
        "van-1",
        Channel::Reply,
        CommandReply { command_id: "mine".to_owned(), ..reply.clone() }.encode(),
    );
    for _ in 0..2 {
        broker.say("van-1", Channel::Reply, reply.encode());
    }
    let path = format!("/v1/commands/{}", sent.command_id);
    let done = server.until(&path, |command| command["state"] == "done").await;
    assert_eq!(done["reply"]["dtcs"][0]["code"], "P0301");
    let events = server.json("/v1/events?limit=200").await;
    let answers = events["data"].as_array().unwrap().iter().filter(|e| e["event_type"] == "CommandAnswered");
    assert_eq!(answers.count(), 1);
    // What is answered is not sent again.
    broker.say("van-1", Channel::Status, status(None, "").encode());
    let next = json!({ "vehicle_id": "van-1", "task": { "kind": "send_log" } });
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(keyed(&server, "two", "/v1/commands", &next).await.status, 201);
    let told = broker.until_told(3).await;
    let second = command(&told[2]);
    assert_eq!(second.kind, CommandKind::SendLog { bytes_max: 65_536 });
    assert!(second.sequence > sent.sequence);
    let page = server.json("/v1/commands?vehicle_id=van-1").await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);

    // Nobody answers until its time is over.
    server.clock.advance(Duration::from_secs(2 * 86_400));
    let path = format!("/v1/commands/{}", second.command_id);
    assert_eq!(server.json(&path).await["state"], "expired");
    for (body, part) in [
        (json!({ "vehicle_id": "van-9", "task": { "kind": "restart" } }), "no vehicle"),
        (
            json!({ "vehicle_id": "van-1", "task": { "kind": "restart" }, "valid_for_s": 604_801 }),
            "valid_for_s",
        ),
        (json!({ "vehicle_id": "van-1", "task": { "kind": "apply_update", "version": "-x" } }), "version"),
        (json!({ "vehicle_id": "van-1", "task": { "kind": "send_log", "bytes_max": 0 } }), "bytes_max"),
    ] {
        let refused = keyed(&server, &format!("bad-{part}").replace(' ', "-"), "/v1/commands", &body).await;
        assert_eq!(refused.status, 422, "{body}");
        assert!(refused.body.contains(part), "{part} in {}", refused.body);
    }
}
