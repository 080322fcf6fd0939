//! Alert rules: asked of what is new, whatever it is and however it comes; what they raise, and whose that is.

use std::{sync::Arc, time::Duration};

use api::{
    alerts::evaluator::Evaluator,
    lake_port::{LakeError, LakeErrorKind},
};
use serde_json::{Value, json};
use wire::time::Timestamp;

use super::{
    Server,
    access::{key_of, locked},
    follow::open,
};
use crate::{fake_lake::state, server::NOW};

fn at(seconds: i64) -> Timestamp {
    Timestamp::parse(NOW).unwrap().plus_us((seconds - 3_600) * 1_000_000)
}

fn seconds(from: i64, to: i64) -> Vec<Timestamp> {
    (from..=to).map(at).collect()
}

fn tell(server: &Server, vehicle: &str, (from, to): (i64, i64), moments: &[Timestamp]) {
    server.lake.rules.lock().unwrap().tell(vehicle, (at(from), at(to)), moments);
}

fn new(name: &str) -> Value {
    json!({ "name": name, "query": "SELECT vehicle_id, ts FROM readings", "quiet_s": 60 })
}

async fn made(server: &Server, rule: Value) -> Value {
    server.posted("/v1/alert-rules", rule).await
}

/// The alerts of a rule, the earliest first, once there are so many.
async fn alerts(server: &Server, rule: &Value, count: usize) -> Vec<Value> {
    let path = format!("/v1/alerts?rule_id={}", rule["id"].as_str().unwrap());
    let page = server.until(&path, |page| page["data"].as_array().unwrap().len() == count).await;
    let mut data = page["data"].as_array().unwrap().clone();
    data.reverse();
    data
}

fn spans(alerts: &[Value]) -> Vec<(&str, &str, &str, &str)> {
    alerts
        .iter()
        .map(|alert| {
            let text = |name: &str| alert[name].as_str().unwrap();
            (text("vehicle_id"), text("status"), text("started_at"), text("last_at"))
        })
        .collect()
}

/// What happened to alerts, in order.
async fn events(server: &Server) -> Vec<String> {
    let page = server.json("/v1/events?limit=200").await;
    let all = page["data"].as_array().unwrap().iter().filter(|e| e["aggregate_type"] == "alert");
    all.map(|e| e["event_type"].as_str().unwrap().to_owned()).collect()
}

/// A rule of an organization, and an alert of its vehicle.
pub(super) async fn of_tenant(server: &Server, (key, vehicle): (&str, &str)) -> (String, String) {
    let rule = server.by(key, "POST /v1/alert-rules", Some(&new("fast"))).await;
    assert_eq!(rule.status, 201, "{}", rule.body);
    let rule = rule.json();
    tell(server, vehicle, (0, 10), &seconds(0, 10));
    let alert = alerts(server, &rule, 1).await[0]["id"].as_str().unwrap().to_owned();
    (rule["id"].as_str().unwrap().to_owned(), alert)
}

/// Rules of an organization that were made, changed and deleted.
pub(super) async fn story(server: &Server, organization: &str) {
    for name in ["stays", "changes", "goes"] {
        let mut rule = new(name);
        rule["organization_id"] = json!(organization);
        let path = format!("/v1/alert-rules/{}", made(server, rule).await["id"].as_str().unwrap());
        if name == "changes" {
            let patch =
                json!({ "query": "SELECT vehicle_id, ts FROM trips", "quiet_s": 5, "severity": "critical" });
            assert_eq!(server.patch(&path, 1, patch).await.status, 200);
        }
        if name == "goes" {
            assert_eq!(server.send(&format!("DELETE {path}"), &[], None).await.status, 204);
        }
    }
}

#[tokio::test]
async fn an_alert_is_raised_once_goes_on_and_ends() {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    // What was before the rule is none of its matter.
    tell(&server, "car-1", (0, 100), &seconds(0, 100));
    let mut rule = new("Faster than 130 km/h");
    rule["organization_id"] = json!(organization);
    let rule = made(&server, rule).await;
    assert_eq!(
        (&rule["severity"], &rule["look_back_s"], &rule["version"]),
        (&json!("warning"), &json!(3_600), &json!(1))
    );
    assert_eq!(rule["reads"], json!(["readings"]));

    tell(&server, "car-1", (1_000, 1_010), &seconds(1_003, 1_010));
    let found = alerts(&server, &rule, 1).await;
    assert_eq!(spans(&found), [("car-1", "open", "2026-11-23T11:16:43Z", "2026-11-23T11:16:50Z")]);
    let first = &found[0];
    assert_eq!(
        (&first["value"], &first["message"], &first["details"]),
        (&json!(140.5), &json!("fast"), &json!({ "gear": 6 }))
    );
    assert_eq!(
        (&first["rule_name"], &first["organization_id"]),
        (&json!("Faster than 130 km/h"), &json!(organization))
    );

    // It goes on, which is no event; somebody takes it on.
    tell(&server, "car-1", (1_011, 1_050), &seconds(1_011, 1_050));
    let path = format!("/v1/alerts/{}", first["id"].as_str().unwrap());
    server.until(&path, |alert| alert["last_at"] == "2026-11-23T11:17:30Z").await;
    let taken = server.posted(&format!("{path}/acknowledge"), json!({ "note": "calling the driver" })).await;
    assert_eq!((&taken["acknowledged_by"], &taken["note"]), (&json!("local"), &json!("calling the driver")));
    let again = server.send(&format!("POST {path}/acknowledge"), &[], None).await;
    assert_eq!((again.status, &again.json()["version"]), (200, &json!(2)));
    let long = server.post(&format!("{path}/acknowledge"), json!({ "note": "x".repeat(2_001) })).await;
    assert_eq!(long.status, 422);

    // Later data without it ends it, after its quiet time.
    tell(&server, "car-1", (1_051, 1_100), &[]);
    tell(&server, "car-1", (1_101, 1_120), &[]);
    let ended = server.until(&path, |alert| alert["status"] == "ended").await;
    assert_eq!(
        (&ended["last_at"], &ended["note"]),
        (&json!("2026-11-23T11:17:30Z"), &json!("calling the driver"))
    );
    assert_eq!(events(&server).await, ["AlertRaised", "AlertAcknowledged", "AlertEnded"]);
    let told = server.until("/v1/notifications", |page| page["data"].as_array().unwrap().len() == 1).await;
    let told = &told["data"][0];
    assert_eq!(told["body"], "Faster than 130 km/h of car-1 since 2026-11-23T11:16:43Z: fast");
    assert_eq!((&told["kind"], &told["subject_id"]), (&json!("alert_raised"), &first["id"]));

    // And so does silence.
    tell(&server, "car-1", (2_000, 2_010), &seconds(2_000, 2_010));
    assert_eq!(spans(&alerts(&server, &rule, 2).await)[1].1, "open");
    server.clock.advance(Duration::from_secs(61));
    server.until("/v1/alerts?status=open", |page| page["data"].as_array().unwrap().is_empty()).await;
    let state = server.json(&format!("/v1/alert-rules/{}", rule["id"].as_str().unwrap())).await;
    assert_eq!((&state["open_count"], &state["fault"]), (&json!(0), &Value::Null));
    assert!(state["evaluated_at"].is_string());
}

#[tokio::test]
async fn late_data_joins_splits_and_takes_back_what_was_raised() {
    let server = Server::start().await;
    let rule = made(&server, new("fast")).await;
    tell(&server, "car-1", (1_000, 1_010), &seconds(1_000, 1_010));
    tell(&server, "car-1", (1_200, 1_210), &seconds(1_200, 1_210));
    tell(&server, "car-1", (2_000, 2_010), &[]);
    server.lake.see(vec![state("car-1", at(2_010), 50.0)]);
    server.until("/v1/alerts?status=ended", |page| page["data"].as_array().unwrap().len() == 2).await;
    let before = alerts(&server, &rule, 2).await;
    // What was missing in between says that it was one; the first stays.
    tell(&server, "car-1", (1_011, 1_199), &seconds(1_011, 1_199));
    let joined = alerts(&server, &rule, 1).await;
    assert_eq!(joined[0]["id"], before[0]["id"]);
    let ended = server
        .until(&format!("/v1/alerts/{}", before[0]["id"].as_str().unwrap()), |a| a["status"] == "ended")
        .await;
    assert_eq!((&ended["started_at"], &ended["last_at"]), (&before[0]["started_at"], &before[1]["last_at"]));
    let gone = server.json("/v1/alerts?status=withdrawn").await;
    assert_eq!(gone["data"][0]["id"], before[1]["id"]);
    // A correction says that it was not so for a while.
    tell(&server, "car-1", (1_050, 1_150), &[]);
    let split = alerts(&server, &rule, 2).await;
    assert_eq!((&split[0]["id"], &split[0]["last_at"]), (&before[0]["id"], &json!("2026-11-23T11:17:29Z")));
    // And that it never was.
    tell(&server, "car-1", (900, 1_300), &[]);
    alerts(&server, &rule, 0).await;
    assert_eq!(server.json("/v1/alerts?status=withdrawn").await["data"].as_array().unwrap().len(), 3);
    // Of a long one only what is near the news is asked about.
    tell(&server, "car-2", (0, 3_000), &seconds(0, 3_000));
    alerts(&server, &rule, 1).await;
    tell(&server, "car-2", (3_001, 3_002), &seconds(3_001, 3_002));
    server.until("/v1/alerts", |page| page["data"][0]["last_at"] == "2026-11-23T11:50:02Z").await;
    let asked = server.lake.rules.lock().unwrap().asked.last().unwrap().clone();
    assert!(asked.1 > at(2_900), "{asked:?}");
}

#[tokio::test]
async fn a_moment_that_is_not_sure_yet_waits_for_later_data_or_for_silence() {
    let server = Server::start().await;
    let mut rule = new("bucket");
    rule["look_ahead_s"] = json!(300);
    let rule = made(&server, rule).await;
    tell(&server, "car-1", (1_000, 1_200), &[at(1_000)]);
    let path = format!("/v1/alert-rules/{}", rule["id"].as_str().unwrap());
    server.until(&path, |state| state["evaluated_at"].is_string()).await;
    alerts(&server, &rule, 0).await;
    tell(&server, "car-1", (1_201, 1_299), &[]);
    tell(&server, "car-1", (1_300, 1_310), &[at(1_310)]);
    assert_eq!(spans(&alerts(&server, &rule, 1).await)[0].2, "2026-11-23T11:16:40Z");
    // The vehicle is silent then.
    server.clock.advance(Duration::from_secs(299));
    alerts(&server, &rule, 1).await;
    server.clock.advance(Duration::from_secs(62));
    assert_eq!(spans(&alerts(&server, &rule, 2).await)[1].2, "2026-11-23T11:21:50Z");
}

/// What waits of a vehicle is not told to an organization that it has left meanwhile.
#[tokio::test]
async fn a_vehicle_that_has_become_anothers_is_asked_about_no_more() {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    let mut rule = new("bucket");
    rule["look_ahead_s"] = json!(300);
    rule["organization_id"] = json!(organization);
    let rule = made(&server, rule).await;
    tell(&server, "car-1", (1_000, 1_200), &[at(1_000)]);
    let path = format!("/v1/alert-rules/{}", rule["id"].as_str().unwrap());
    server.until(&path, |state| state["evaluated_at"].is_string()).await;
    let new = json!({ "name": "Bolt", "currency": "EUR", "time_zone": "UTC" });
    let other = server.posted("/v1/organizations", new).await;
    let version = server.json("/v1/vehicles/car-1").await["version"].as_i64().unwrap();
    let moved = server.patch("/v1/vehicles/car-1", version, json!({ "organization_id": other["id"] })).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    // Longer than what waits does.
    server.clock.advance(Duration::from_secs(3_600));
    let asked = server.lake.rules.lock().unwrap().asked.len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.lake.rules.lock().unwrap().asked.len(), asked);
    alerts(&server, &rule, 0).await;
    assert_eq!(server.json(&path).await["fault"], Value::Null);
}

#[tokio::test]
async fn what_lasts_too_short_is_none() {
    let server = Server::start().await;
    let mut rule = new("long");
    rule["min_duration_s"] = json!(30);
    let rule = made(&server, rule).await;
    tell(&server, "car-1", (1_000, 1_020), &seconds(1_000, 1_020));
    let path = format!("/v1/alert-rules/{}", rule["id"].as_str().unwrap());
    server.until(&path, |state| state["evaluated_at"].is_string()).await;
    alerts(&server, &rule, 0).await;
    tell(&server, "car-1", (1_021, 1_030), &seconds(1_021, 1_030));
    assert_eq!(spans(&alerts(&server, &rule, 1).await)[0].2, "2026-11-23T11:16:40Z");
}

#[tokio::test]
async fn a_rule_that_cannot_be_asked_says_why_and_misses_nothing() {
    let server = Server::start().await;
    let rule = made(&server, new("fast")).await;
    let path = format!("/v1/alert-rules/{}", rule["id"].as_str().unwrap());
    let message = "Cast error: Cannot cast string 'x' to value of Float64 type".to_owned();
    server.lake.rules.lock().unwrap().fails =
        Some(LakeError { kind: LakeErrorKind::Invalid, message: message.clone() });
    tell(&server, "car-1", (1_000, 1_010), &seconds(1_000, 1_010));
    server.until(&path, |state| state["fault"] == json!(message)).await;
    server.lake.rules.lock().unwrap().fails = None;
    tell(&server, "car-1", (2_000, 2_010), &seconds(2_000, 2_010));
    // It is asked again in a minute.
    server.clock.advance(Duration::from_secs(61));
    alerts(&server, &rule, 2).await;
    server.until(&path, |state| state["fault"].is_null()).await;
}

/// Two processes look at the same database, and one dies at any step: each alert is raised once.
#[tokio::test]
async fn of_two_processes_one_raises_it() {
    let server = Server::start().await;
    let rule = made(&server, new("fast")).await;
    let other = open(&server.place).await;
    let lake: Arc<dyn api::lake_port::LakeReader> = server.lake.clone();
    let mut evaluator = Evaluator::new(other.clone(), lake, server.clock.clone());
    for round in 0..20 {
        let from = 100 * round;
        tell(&server, "car-1", (from, from + 99), &seconds(from, from + 10));
        // Given up at some point of its way.
        let _ = tokio::time::timeout(
            Duration::from_micros(u64::try_from(round * 300).unwrap()),
            evaluator.look(),
        )
        .await;
    }
    evaluator.look().await.unwrap();
    let found = alerts(&server, &rule, 20).await;
    assert_eq!(found.len(), 20);
    assert_eq!(events(&server).await.iter().filter(|e| *e == "AlertRaised").count(), 20);
    other.close().await;
}

#[tokio::test]
async fn what_makes_no_rule_is_refused_with_all_its_faults() {
    let server = Server::start().await;
    let bad = json!({ "name": " ", "query": "SELECT spead", "look_back_s": 700_000, "quiet_s": 0, "min_duration_s": -1,
                      "organization_id": "org_none" });
    let answer = server.post("/v1/alert-rules", bad).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let answer = answer.json();
    let fields: Vec<&str> =
        answer["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    for field in ["query", "name", "look_back_s", "quiet_s", "min_duration_s", "organization_id"] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("speed_kmh"));
    for (period, field) in [
        (("2026-11-23T00:00:00Z", "2026-11-22T00:00:00Z"), "to"),
        (("2026-01-01T00:00:00Z", "2026-11-22T00:00:00Z"), "to"),
        (("soon", "2026-11-22T00:00:00Z"), "from"),
    ] {
        let trial = json!({ "query": "SELECT", "from": period.0, "to": period.1 });
        let answer = server.post("/v1/alert-rules:try", trial).await;
        assert_eq!(
            (answer.status, answer.json()["errors"][0]["field"].as_str()),
            (422, Some(field)),
            "{}",
            answer.body
        );
    }
    for path in ["/v1/alerts/alt_none", "/v1/alert-rules/alr_none"] {
        assert_eq!(server.get(path).await.status, 404);
    }
    for path in ["/v1/alerts?from=soon", "/v1/alerts?status=lost", "/v1/alerts?limit=0"] {
        assert!([400, 422].contains(&server.get(path).await.status), "{path}");
    }
}

#[tokio::test]
async fn a_rule_that_asks_something_else_or_nothing_ends_its_alerts_and_begins_anew() {
    let server = Server::start().await;
    let rule = made(&server, new("fast")).await;
    let path = format!("/v1/alert-rules/{}", rule["id"].as_str().unwrap());
    tell(&server, "car-1", (1_000, 1_010), &seconds(1_000, 1_010));
    alerts(&server, &rule, 1).await;
    // Another name asks the same.
    assert_eq!(server.patch(&path, 1, json!({ "name": "Fast", "notify": false })).await.status, 200);
    assert_eq!(server.patch(&path, 1, json!({ "name": "Faster" })).await.status, 412);
    assert_eq!(spans(&alerts(&server, &rule, 1).await)[0].1, "open");
    let changed = server.patch(&path, 2, json!({ "quiet_s": 5 })).await.json();
    assert_eq!((&changed["asked_version"], &changed["open_count"]), (&json!(3), &json!(0)));
    tell(&server, "car-1", (1_011, 1_012), &seconds(1_011, 1_012));
    let found = alerts(&server, &rule, 2).await;
    assert_eq!((&found[0]["status"], &found[0]["asked_version"]), (&json!("ended"), &json!(1)));
    // What comes while it is off is not asked afterwards.
    assert_eq!(server.patch(&path, 3, json!({ "is_enabled": false })).await.json()["open_count"], 0);
    tell(&server, "car-1", (1_500, 1_510), &seconds(1_500, 1_510));
    assert_eq!(server.patch(&path, 4, json!({ "is_enabled": true })).await.status, 200);
    tell(&server, "car-1", (2_000, 2_010), &seconds(2_000, 2_010));
    assert_eq!(spans(&alerts(&server, &rule, 3).await)[2].2, "2026-11-23T11:33:20Z");
    assert_eq!(server.send(&format!("DELETE {path}"), &[], None).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
    assert_eq!(spans(&alerts(&server, &rule, 3).await)[2].1, "ended");
}

#[tokio::test]
async fn a_trial_tells_what_would_have_been_and_keeps_nothing() {
    let server = Server::start().await;
    server.customer("car-1").await;
    tell(&server, "car-1", (0, 3_000), &[seconds(0, 10), seconds(1_000, 1_100)].concat());
    tell(&server, "car-2", (0, 3_000), &seconds(500, 600));
    let trial = json!({ "query": "SELECT vehicle_id, ts FROM readings;", "from": "2026-11-01T00:00:00Z",
                        "to": "2026-12-01T00:00:00Z", "quiet_s": 60, "min_duration_s": 20 });
    let told = server.posted("/v1/alert-rules:try", trial.clone()).await;
    assert_eq!((&told["alert_count"], &told["is_truncated"]), (&json!(2), &json!(false)));
    assert_eq!(told["days"], json!([{ "date": "2026-11-23", "alert_count": 2 }]));
    assert_eq!(told["vehicles"][0], json!({ "vehicle_id": "car-1", "alert_count": 1 }));
    assert_eq!(
        (&told["alerts"][0]["vehicle_id"], &told["alerts"][0]["started_at"]),
        (&json!("car-2"), &json!("2026-11-23T11:08:20Z"))
    );
    let mut own = trial;
    own["organization_id"] = server.json("/v1/organizations").await["data"][0]["id"].clone();
    assert_eq!(server.posted("/v1/alert-rules:try", own).await["alert_count"], 1);
    assert_eq!(server.json("/v1/alerts").await["data"], json!([]));
    assert_eq!(events(&server).await, [""; 0]);
}

#[tokio::test]
async fn a_rule_is_of_the_vehicles_of_its_organization() {
    let server = locked(|config| config).await;
    let acme = server.customer("car-1").await;
    server.posted("/v1/vehicles", json!({ "vehicle_id": "car-2" })).await;
    let key = key_of(&server, "analyst", &json!(acme)).await;
    let rule = server.by(&key, "POST /v1/alert-rules", Some(&new("fast"))).await;
    assert_eq!((rule.status, &rule.json()["organization_id"]), (201, &json!(acme)), "{}", rule.body);
    let all = made(&server, new("everybody's")).await;
    for vehicle in ["car-1", "car-2"] {
        tell(&server, vehicle, (1_000, 1_010), &seconds(1_000, 1_010));
    }
    assert_eq!(alerts(&server, &all, 2).await.len(), 2);
    assert_eq!(spans(&alerts(&server, &rule.json(), 1).await)[0].0, "car-1");
    let own = server.by(&key, "GET /v1/alerts", None).await.json();
    assert_eq!(own["data"].as_array().unwrap().len(), 1);
    assert_eq!(server.by(&key, "GET /v1/alerts?vehicle_id=car-2", None).await.status, 404);
    assert_eq!(server.json("/v1/alerts?vehicle_id=car-2").await["data"].as_array().unwrap().len(), 1);
    // Who may not ask the lake may not have it asked.
    let dispatcher = key_of(&server, "dispatcher", &json!(acme)).await;
    assert_eq!(server.by(&dispatcher, "POST /v1/alert-rules", Some(&new("x"))).await.status, 403);
    assert_eq!(server.by(&dispatcher, "GET /v1/alerts", None).await.status, 200);
}
