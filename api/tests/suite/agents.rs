//! Agents: what they tell, and the campaigns they are given.

use std::{path::Path, time::Duration};

use api::config::Config;
use serde_json::{Value, json};
use wire::{
    ack::{CampaignSetName, CampaignStatus, LinkState, VehicleStatus},
    batch::Table,
    campaigns::{SetHash, SetPayload},
    catalog::{Catalog, ColumnDef, ValueKind},
    command::{CommandOutcome, CommandReply},
    ids::{BootId, CatalogHash},
    signature::{BatchSigner, BatchVerifier},
    time::Timestamp,
    topics::Channel,
};

use super::{
    Server,
    access::{key_of, locked},
};
use crate::{
    broker::{Broker, Told},
    client::Answer,
    server::NOW,
};

const CAMPAIGNS_SECRET: [u8; 32] = [7; 32];
pub(super) const COMMANDS_SECRET: [u8; 32] = [8; 32];
const FAST: &str = "# of the winter\n[[campaign]]\nname = \"fast\"\nwhen = \"Vehicle.Speed > 120 km/h\"\nafter = \"5s\"\n\n\
                    [[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n";

/// The configuration of a server that reaches the broker and signs.
pub(super) fn reaching(mut config: Config, broker: &Broker, keys: &Path) -> Config {
    let file = |name: &str, secret: [u8; 32]| {
        let path = keys.join(name);
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&path, hex).unwrap();
        Some(path)
    };
    config.agents.broker = Some(broker.address.to_string());
    config.agents.campaigns_key_file = file("campaigns", CAMPAIGNS_SECRET);
    config.agents.commands_key_file = file("commands", COMMANDS_SECRET);
    super::devices::signing(config, keys)
}

/// Such a server, asked as the operator.
pub(super) async fn reached() -> (Server, Broker) {
    let broker = Broker::start().await;
    let keys = tempfile::tempdir().unwrap();
    let server = locked(|config| reaching(config, &broker, keys.path())).await;
    broker.subscribed().await;
    (server, broker)
}

pub(super) async fn vehicle(server: &Server, id: &str, organization: &Value) {
    let made =
        server.post("/v1/vehicles", json!({ "vehicle_id": id, "organization_id": organization })).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

/// A request under a key of its own.
pub(super) async fn keyed(server: &Server, key: &str, path: &str, body: &Value) -> Answer {
    server.send(&format!("POST {path}"), &[("idempotency-key", key)], Some(body)).await
}

async fn set(server: &Server, name: &str, text: &str) -> Value {
    let made = server.post("/v1/campaign-sets", json!({ "name": name, "text": text })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()
}

pub(super) fn status(in_force: Option<CampaignSetName>, refusal: &str) -> VehicleStatus {
    VehicleStatus {
        is_online: true,
        agent_version: "0.1.0".to_owned(),
        boot_id: BootId(uuid::Uuid::from_u128(1)),
        catalog_hash: hash_of(&catalog(&["Vehicle.Speed"])),
        since: Timestamp::parse(NOW).unwrap(),
        link: LinkState::Live,
        campaigns: CampaignStatus { in_force, refusal: refusal.to_owned() },
    }
}

/// The signals of a vehicle, in km/h.
fn catalog(signals: &[&str]) -> Catalog {
    let column = |(column_id, signal): (u32, &&str)| ColumnDef {
        column_id,
        table: Table::Signals,
        signal: (*signal).to_owned(),
        unit: "km/h".to_owned(),
        scale: 0.1,
        offset: 0.0,
        kind: ValueKind::Raw,
        labels: Vec::new(),
    };
    Catalog { vss_release: "6.0".to_owned(), columns: (0..).zip(signals).map(column).collect() }
}

fn hash_of(catalog: &Catalog) -> CatalogHash {
    wire::catalog::hash_of(&catalog.encode())
}

/// The set in a delivered payload, whose signature must be right.
fn delivered(told: &Told) -> (String, CampaignSetName) {
    assert!(told.channel == Channel::Campaigns && told.is_retained);
    let key = BatchSigner::from_secret(&CAMPAIGNS_SECRET).public_key();
    let payload = SetPayload::split(&told.payload).unwrap();
    payload.verify(&BatchVerifier::from_public(&key).unwrap()).unwrap();
    let set = edge_agent::campaign::CampaignSet::parse(payload.text).unwrap();
    let name = CampaignSetName { set_id: set.id, revision: set.revision, hash: SetHash::of(payload.text) };
    (told.vehicle_id.to_string(), name)
}

async fn uptake(server: &Server, deployment: &Value, wanted: [i64; 4]) -> Value {
    let [in_force, pending, refused, replaced] = wanted;
    let wanted =
        json!({ "in_force": in_force, "pending": pending, "refused": refused, "replaced": replaced });
    let path = format!("/v1/campaign-deployments/{}", deployment["id"].as_str().unwrap());
    server.until(&path, |deployment| deployment["uptake"] == wanted).await
}

#[tokio::test]
async fn what_an_agent_tells_is_shown_and_listed() {
    let (server, broker) = reached().await;
    vehicle(&server, "van-1", &Value::Null).await;
    assert_eq!(server.get("/v1/vehicles/van-1/agent").await.status, 404);
    let in_force = CampaignSetName { set_id: "other".to_owned(), revision: 4, hash: SetHash::of("x") };
    broker.say("van-1", Channel::Status, b"\xff\xff no status".to_vec());
    broker.say("van-1", Channel::Status, status(Some(in_force), "").encode());
    broker.say("van-2", Channel::Status, VehicleStatus { is_online: false, ..status(None, "") }.encode());
    let two = server.until("/v1/agents", |page| page["data"].as_array().unwrap().len() == 2).await;
    assert_eq!(
        (&two["data"][0]["vehicle_id"], &two["data"][1]["is_online"]),
        (&json!("van-1"), &json!(false))
    );
    let agent = server.json("/v1/vehicles/van-1/agent").await;
    assert_eq!((&agent["agent_version"], &agent["link"]), (&json!("0.1.0"), &json!("live")));
    assert_eq!((&agent["since"], &agent["heard_at"]), (&json!(NOW), &json!(NOW)));
    assert_eq!(agent["campaigns_in_force"]["name"], "other");
    assert_eq!(agent["campaigns_wanted"], Value::Null);
    for (query, count) in
        [("is_online=true", 1), ("is_online=false", 1), ("agent_version=0.2.0", 0), ("limit=1", 1)]
    {
        let page = server.json(&format!("/v1/agents?{query}")).await;
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
    // The last will, or a good bye.
    broker.say("van-1", Channel::Status, VehicleStatus { is_online: false, ..status(None, "") }.encode());
    server.until("/v1/vehicles/van-1/agent", |agent| agent["is_online"] == false).await;
}

#[tokio::test]
async fn a_set_is_made_changed_and_taken_away_and_what_is_wrong_with_it_is_told() {
    let (server, _broker) = reached().await;
    let made = set(&server, "fast", FAST).await;
    let path = format!("/v1/campaign-sets/{}", made["id"].as_str().unwrap());
    assert_eq!((&made["text"], &made["version"]), (&json!(FAST), &json!(1)));
    for (new, field, part) in [
        (json!({ "name": "Fast One", "text": "" }), "name", "a-z, 0-9 and -"),
        (json!({ "name": "a", "text": "[[campaign]" }), "text", "cannot be read"),
        (
            json!({ "name": "a", "text": "[[campaign]]\nname = \"b\"\nwhen = \"Vehicle.Speed >\"\n" }),
            "text",
            "when: column",
        ),
    ] {
        let refused = server.post("/v1/campaign-sets", new).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        let fault = &refused.json()["errors"][0];
        assert_eq!(fault["field"], field);
        assert!(fault["message"].as_str().unwrap().contains(part), "{fault}");
    }
    let change = json!({ "description": "who is fast" });
    let changed = server.send(&format!("PATCH {path}"), &[("if-match", "\"1\"")], Some(&change)).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{}", changed.body);
    let stale = server.send(&format!("PATCH {path}"), &[("if-match", "\"1\"")], Some(&change)).await;
    assert_eq!(stale.status, 412);
    assert_eq!(server.json("/v1/campaign-sets?q=FAS").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(server.json("/v1/campaign-sets?q=slow").await["data"].as_array().unwrap().len(), 0);
    assert_eq!(server.send(&format!("DELETE {path}"), &[], None).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_deployment_is_signed_delivered_taken_up_and_replaced_by_the_next() {
    let (server, broker) = reached().await;
    for id in ["van-1", "van-2"] {
        vehicle(&server, id, &Value::Null).await;
    }
    // It runs a set from elsewhere: what comes from here must be above that.
    let elsewhere = CampaignSetName { set_id: "other".to_owned(), revision: 40, hash: SetHash::of("x") };
    broker.say("van-1", Channel::Status, status(Some(elsewhere), "").encode());
    server.until("/v1/agents", |page| page["data"].as_array().unwrap().len() == 1).await;
    let set = set(&server, "fast", FAST).await;
    let new = json!({ "campaign_set_id": set["id"], "vehicle_ids": ["van-1", "van-2"] });
    let first = keyed(&server, "one", "/v1/campaign-deployments", &new).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let first = first.json();
    assert_eq!((&first["name"], &first["revision"]), (&json!("fast"), &json!(41)));
    assert_eq!(first["uptake"], json!({ "in_force": 0, "pending": 2, "refused": 0, "replaced": 0 }));
    // The same request again is the same deployment.
    assert_eq!(keyed(&server, "one", "/v1/campaign-deployments", &new).await.json()["id"], first["id"]);

    let told = broker.until_told(2).await;
    let (mut vehicles, names): (Vec<_>, Vec<_>) = told.iter().map(delivered).unzip();
    vehicles.sort();
    assert_eq!(vehicles, ["van-1", "van-2"]);
    assert_eq!((names[0].set_id.as_str(), names[0].revision), ("fast", 41));
    assert_eq!(names[0].hash.to_string(), first["hash"].as_str().unwrap());
    assert_eq!(names[0], names[1]);

    broker.say("van-1", Channel::Status, status(Some(names[0].clone()), "").encode());
    uptake(&server, &first, [1, 1, 0, 0]).await;
    server.clock.advance(Duration::from_secs(1));
    broker.say("van-2", Channel::Status, status(None, "its bus has no such signal").encode());
    uptake(&server, &first, [1, 0, 1, 0]).await;
    let path = format!("/v1/campaign-deployments/{}/vehicles", first["id"].as_str().unwrap());
    let refused = server.json(&format!("{path}?uptake=refused")).await;
    assert_eq!(refused["data"].as_array().unwrap().len(), 1);
    assert_eq!(refused["data"][0]["refusal"], "its bus has no such signal");
    let agent = server.json("/v1/vehicles/van-1/agent").await;
    assert_eq!(agent["campaigns_wanted"]["uptake"], "in_force");
    // Neither who runs it nor who refused it is given it again.
    assert_eq!(broker.told().len(), 2);

    // One without a set ends it, for one of them.
    server.clock.advance(Duration::from_secs(1));
    let end = keyed(&server, "two", "/v1/campaign-deployments", &json!({ "vehicle_ids": ["van-1"] })).await;
    assert_eq!(end.json()["revision"], 42, "{}", end.body);
    uptake(&server, &first, [0, 0, 1, 1]).await;
    let told = broker.until_told(3).await;
    let (to, name) = delivered(&told[2]);
    assert_eq!((to.as_str(), name.set_id.as_str(), name.revision), ("van-1", "no-campaigns", 42));
    let page = server.json("/v1/campaign-deployments").await;
    let all: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|d| &d["revision"]).collect();
    assert_eq!(all, [&json!(42), &json!(41)]);
}

/// More vehicles than a statement takes.
#[tokio::test]
async fn a_deployment_is_for_a_whole_fleet() {
    const VEHICLES: usize = 501;
    let (server, broker) = reached().await;
    for number in 0..VEHICLES {
        vehicle(&server, &format!("van-{number:03}"), &Value::Null).await;
    }
    broker.say("van-500", Channel::Status, status(None, "").encode());
    server.until("/v1/agents", |page| page["data"].as_array().unwrap().len() == 1).await;
    let set = set(&server, "fast", FAST).await;
    let all = json!({ "campaign_set_id": set["id"], "all_vehicles": true });
    let first = keyed(&server, "one", "/v1/campaign-deployments", &all).await.json();
    let count = i64::try_from(VEHICLES).unwrap();
    uptake(&server, &first, [0, count, 0, 0]).await;
    let told = broker.until_told(VEHICLES).await;
    let vehicles: std::collections::BTreeSet<_> = told.iter().map(|told| told.vehicle_id.clone()).collect();
    assert_eq!(vehicles.len(), VEHICLES);
    server.clock.advance(Duration::from_secs(1));
    let second = keyed(&server, "two", "/v1/campaign-deployments", &json!({ "all_vehicles": true })).await;
    uptake(&server, &second.json(), [0, count, 0, 0]).await;
    uptake(&server, &first, [0, 0, 0, count]).await;
}

#[tokio::test]
async fn a_vehicle_that_lost_it_and_a_broker_that_was_away_are_given_it_again() {
    let (server, broker) = reached().await;
    vehicle(&server, "van-1", &Value::Null).await;
    let set = set(&server, "fast", FAST).await;
    let new = json!({ "campaign_set_id": set["id"], "all_vehicles": true });
    let deployment = keyed(&server, "one", "/v1/campaign-deployments", &new).await.json();
    let told = broker.until_told(1).await;
    // It comes and does not run it: the broker has forgotten what it kept.
    broker.say("van-1", Channel::Status, status(None, "").encode());
    let again = broker.until_told(2).await;
    assert_eq!(again[1].payload, told[0].payload);
    // The connection is lost and comes back: what was handed to it may not have arrived.
    broker.cut();
    broker.subscribed().await;
    let again = broker.until_told(3).await;
    assert_eq!(again[2].payload, told[0].payload);
    let (_, name) = delivered(&again[2]);
    broker.say("van-1", Channel::Status, status(Some(name), "").encode());
    uptake(&server, &deployment, [1, 0, 0, 0]).await;
    broker.cut();
    broker.subscribed().await;
    // A command is behind it in every way, so by its coming nothing else came.
    let command = json!({ "vehicle_id": "van-1", "task": { "kind": "restart" } });
    assert_eq!(keyed(&server, "two", "/v1/commands", &command).await.status, 201);
    let told = broker.until_told(4).await;
    assert_eq!(told[3].channel, Channel::Command);
}

#[tokio::test]
async fn what_a_vehicle_would_refuse_is_told_before_it_is_sent() {
    let (server, broker) = reached().await;
    for id in ["van-1", "van-2", "van-3"] {
        vehicle(&server, id, &Value::Null).await;
    }
    // van-2 has no speed, of van-3 nothing is known; campaigns that run are no signals of a vehicle.
    let (with, without) =
        (catalog(&["Vehicle.Speed", "Vehicle.Speed#old"]), catalog(&["Vehicle.Exterior.AirTemperature"]));
    for (id, catalog) in [("van-1", &with), ("van-2", &without)] {
        server.lake.catalogs.lock().unwrap().insert(hash_of(catalog), catalog.clone());
        let told = VehicleStatus { catalog_hash: hash_of(catalog), ..status(None, "") };
        broker.say(id, Channel::Status, told.encode());
    }
    server.until("/v1/agents", |page| page["data"].as_array().unwrap().len() == 2).await;
    let set = set(&server, "fast", FAST).await;
    let check = format!("/v1/campaign-sets/{}/check", set["id"].as_str().unwrap());
    let found = server.post(&check, json!({ "all_vehicles": true })).await.json();
    let fits: Vec<&Value> = found["data"].as_array().unwrap().iter().map(|item| &item["fit"]).collect();
    assert_eq!(fits, [&json!("fits"), &json!("refused"), &json!("unknown")], "{found}");
    let line = &found["data"][0]["collects"][0];
    assert_eq!((&line["campaign"], &line["signals"]), (&json!("fast"), &json!(["Vehicle.Speed#fast"])));
    assert!(found["data"][1]["faults"][0].as_str().unwrap().contains("Vehicle.Speed"), "{found}");

    let new = json!({ "campaign_set_id": set["id"], "vehicle_ids": ["van-1", "van-2"] });
    let refused = keyed(&server, "one", "/v1/campaign-deployments", &new).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert_eq!(refused.json()["errors"][0]["field"], "vehicle van-2");
    let new = json!({ "campaign_set_id": set["id"], "vehicle_ids": ["van-1", "van-3"] });
    assert_eq!(keyed(&server, "two", "/v1/campaign-deployments", &new).await.status, 201);
    // Those of a group, as it is now.
    let group = server.post("/v1/groups", json!({ "name": "North" })).await.json()["id"].clone();
    let members = format!("/v1/groups/{}/vehicles", group.as_str().unwrap());
    assert_eq!(server.post(&members, json!({ "add": ["van-1", "van-3"] })).await.status, 200);
    let found = server.post(&check, json!({ "group_id": group })).await.json();
    let ids: Vec<&Value> = found["data"].as_array().unwrap().iter().map(|item| &item["vehicle_id"]).collect();
    assert_eq!(ids, [&json!("van-1"), &json!("van-3")], "{found}");
    let new = json!({ "campaign_set_id": set["id"], "group_id": group });
    let deployed = keyed(&server, "three", "/v1/campaign-deployments", &new).await;
    assert_eq!(
        (deployed.status, &deployed.json()["uptake"]["pending"]),
        (201, &json!(2)),
        "{}",
        deployed.body
    );
    for (new, part) in [
        (json!({ "campaign_set_id": set["id"] }), "one of them alone"),
        (json!({ "vehicle_ids": ["van-1"], "all_vehicles": true }), "one of them alone"),
        (json!({ "vehicle_ids": ["van-1"], "group_id": group }), "one of them alone"),
        (json!({ "group_id": "grp_none" }), "no group"),
        (json!({ "vehicle_ids": ["van-1", "van-9"] }), "vehicle_ids[1]"),
        (json!({ "vehicle_ids": [] }), "1 to 10000"),
        (json!({ "campaign_set_id": "cst_none", "all_vehicles": true }), "no campaign set"),
    ] {
        let refused = keyed(&server, &part.replace(' ', "-"), "/v1/campaign-deployments", &new).await;
        assert_eq!(refused.status, 422, "{new}");
        assert!(refused.body.contains(part), "{part} in {}", refused.body);
    }
}

/// Sets that were changed and deleted, deployments of which one is replaced, commands of which one is answered.
pub(super) async fn story(server: &Server, broker: &Broker) {
    let first = set(server, "fast", FAST).await;
    let gone = set(server, "gone", FAST).await;
    let path = |set: &Value| format!("/v1/campaign-sets/{}", set["id"].as_str().unwrap());
    let change = json!({ "description": "who is fast" });
    let patch = format!("PATCH {}", path(&first));
    assert_eq!(server.send(&patch, &[("if-match", "\"1\"")], Some(&change)).await.status, 200);
    assert_eq!(server.send(&format!("DELETE {}", path(&gone)), &[], None).await.status, 204);
    let deployed = json!({ "campaign_set_id": first["id"], "vehicle_ids": ["car-1", "car-9"] });
    for (key, new) in [("campaigns", deployed), ("no campaigns", json!({ "vehicle_ids": ["car-1"] }))] {
        let made = keyed(server, key, "/v1/campaign-deployments", &new).await;
        assert_eq!(made.status, 201, "{}", made.body);
        server.clock.advance(Duration::from_secs(1));
    }
    let mut ids = Vec::new();
    for kind in ["read_dtcs", "restart"] {
        let new = json!({ "vehicle_id": "car-1", "task": { "kind": kind } });
        ids.push(keyed(server, kind, "/v1/commands", &new).await.json()["id"].as_str().unwrap().to_owned());
    }
    let reply = CommandReply {
        command_id: ids[0].clone(),
        outcome: CommandOutcome::Refused,
        reason: "the ignition is off".to_owned(),
        replied_at: Timestamp::parse(NOW).unwrap(),
        dtcs: Vec::new(),
        log: String::new(),
    };
    broker.say("car-1", Channel::Reply, reply.encode());
    server.until(&format!("/v1/commands/{}", ids[0]), |command| command["state"] == "refused").await;
}

/// A set, a deployment and a command of an organization, by its key for its vehicle.
pub(super) async fn of_tenant(server: &Server, (key, vehicle): (&str, &str)) -> (String, String, String) {
    let bearer = format!("Bearer {key}");
    let post = async |path: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", path)];
        let made = server.send(&format!("POST {path}"), &headers, Some(&body)).await;
        assert_eq!(made.status, 201, "{path}: {}", made.body);
        made.json()["id"].as_str().unwrap().to_owned()
    };
    let name = format!("set-of-{vehicle}");
    let set = post("/v1/campaign-sets", json!({ "name": name, "text": FAST })).await;
    let new = json!({ "campaign_set_id": set, "all_vehicles": true });
    let deployment = post("/v1/campaign-deployments", new).await;
    let new = json!({ "vehicle_id": vehicle, "task": { "kind": "restart" } });
    (set, deployment, post("/v1/commands", new).await)
}

/// A vehicle's agent comes.
pub(super) async fn online(server: &Server, broker: &Broker, vehicle: &str) {
    broker.say(vehicle, Channel::Status, status(None, "").encode());
    server
        .until("/v1/agents", |page| {
            page["data"].as_array().unwrap().iter().any(|agent| agent["vehicle_id"] == vehicle)
        })
        .await;
}

#[tokio::test]
async fn an_organization_reaches_its_own_vehicles_sets_and_commands_alone() {
    let (server, broker) = reached().await;
    let mut keys = Vec::new();
    for (name, id) in [("Acme", "van-1"), ("Bolt", "van-2")] {
        let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
        let organization = server.post("/v1/organizations", new).await.json()["id"].clone();
        vehicle(&server, id, &organization).await;
        broker.say(id, Channel::Status, status(None, "").encode());
        keys.push(key_of(&server, "device_admin", &organization).await);
    }
    server.until("/v1/agents", |page| page["data"].as_array().unwrap().len() == 2).await;
    let (own, other) = (&keys[0], &keys[1]);
    let page = server.by(own, "GET /v1/agents", None).await.json();
    assert_eq!(
        (&page["data"][0]["vehicle_id"], page["data"].as_array().unwrap().len()),
        (&json!("van-1"), 1)
    );
    assert_eq!(server.by(other, "GET /v1/vehicles/van-1/agent", None).await.status, 404);

    let made = server.by(own, "POST /v1/campaign-sets", Some(&json!({ "name": "fast", "text": FAST }))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {own}");
    let post = async |key: &str, path: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        server.send(&format!("POST {path}"), &headers, Some(&body)).await
    };
    let foreign = json!({ "campaign_set_id": id, "vehicle_ids": ["van-2"] });
    assert_eq!(post("one", "/v1/campaign-deployments", foreign).await.status, 422);
    let all =
        post("two", "/v1/campaign-deployments", json!({ "campaign_set_id": id, "all_vehicles": true })).await;
    assert_eq!(all.json()["uptake"]["pending"], 1, "{}", all.body);
    let foreign = json!({ "vehicle_id": "van-2", "task": { "kind": "restart" } });
    assert_eq!(post("three", "/v1/commands", foreign).await.status, 422);
    let command = json!({ "vehicle_id": "van-1", "task": { "kind": "restart" } });
    let command = post("four", "/v1/commands", command).await.json();
    let paths = [
        format!("/v1/campaign-sets/{id}"),
        format!("/v1/campaign-deployments/{}", all.json()["id"].as_str().unwrap()),
        format!("/v1/commands/{}", command["id"].as_str().unwrap()),
    ];
    for path in &paths {
        assert_eq!(server.by(own, &format!("GET {path}"), None).await.status, 200, "{path}");
        assert_eq!(server.by(other, &format!("GET {path}"), None).await.status, 404, "{path}");
    }
    for list in ["campaign-sets", "campaign-deployments", "commands", "commands?vehicle_id=van-2"] {
        let page = server.by(other, &format!("GET /v1/{list}"), None).await.json();
        assert_eq!(page["data"], json!([]), "{list}");
    }
    assert_eq!(server.by(other, "GET /v1/commands?vehicle_id=van-1", None).await.status, 404);
}

#[tokio::test]
async fn without_a_broker_or_a_key_it_is_said_what_is_missing() {
    let server = Server::start().await;
    vehicle(&server, "van-1", &Value::Null).await;
    let command = json!({ "vehicle_id": "van-1", "task": { "kind": "restart" } });
    for (path, body) in
        [("/v1/commands", command), ("/v1/campaign-deployments", json!({ "vehicle_ids": ["van-1"] }))]
    {
        let refused = keyed(&server, "one", path, &body).await;
        assert_eq!(refused.status, 409, "{}", refused.body);
        assert!(refused.body.contains("agents.broker is not set"), "{}", refused.body);
    }
}
