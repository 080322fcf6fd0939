//! API keys from making to revoking, the audit log, and how often a key may ask.

use std::time::Duration;

use api::config::Config;
use serde_json::{Value, json};
use service::config::DurationText;

use super::Server;
use crate::{
    client::{read_until, send},
    fake_lake::trip,
};

/// The key of `api_key_file`.
pub(super) const OPERATOR: &str = "open sesame";

/// A server that asks for a key; the operator's is sent unless another is named.
pub(super) async fn locked(change: impl FnOnce(Config) -> Config) -> Server {
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("key");
    std::fs::write(&file, OPERATOR).unwrap();
    let unlimited =
        |config: Config| Config { requests_per_second_max: 0, api_key_file: Some(file), ..config };
    let mut server = Server::start_with(|config| change(unlimited(config))).await;
    server.key = Some(OPERATOR.to_owned());
    server
}

async fn made(server: &Server, new: Value) -> Value {
    let answer = server.post("/v1/api-keys", new).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

/// A new key's text.
pub(super) async fn key_of(server: &Server, role: &str, organization: &Value) -> String {
    let new = json!({ "name": "a test's", "role": role, "organization_id": organization });
    made(server, new).await["secret"].as_str().unwrap().to_owned()
}

/// Why a key is not taken, as the problem is named.
async fn refusal(server: &Server, key: &str) -> String {
    let answer = server.by(key, "GET /v1/me", None).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(!answer.body.contains(key) || key.is_empty(), "the key is not told again: {}", answer.body);
    answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

async fn status(server: &Server, key: &str) -> u16 {
    server.by(key, "GET /v1/vehicles", None).await.status
}

#[tokio::test]
async fn who_comes_in_with_a_key_waits_for_no_turn_to_write() {
    let server = locked(|config| config).await;
    let key = made(&server, json!({ "name": "reader", "role": "analyst" })).await;
    let secret = key["secret"].as_str().unwrap();
    assert_eq!(status(&server, secret).await, 200);
    // A minute later its use is to be noted again.
    server.clock.advance(Duration::from_secs(61));
    let other = super::follow::open(&server.place).await;
    // Somebody writes, for longer than anybody waits.
    let writing = other.write().await.unwrap();
    let asked = status(&server, secret);
    assert_eq!(tokio::time::timeout(Duration::from_secs(8), asked).await, Ok(200));
    writing.rollback().await.unwrap();
    let path = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
    server.until(&path, |key| key["last_used_at"] == "2026-11-23T12:01:01Z").await;
    other.close().await;
}

#[tokio::test]
async fn the_audit_log_forgets_what_is_older_than_it_keeps() {
    let kept = DurationText(Duration::from_secs(2 * 86_400));
    let server = locked(|config| Config { audit_log_retention: Some(kept), ..config }).await;
    let add = async |id: &str| server.post("/v1/vehicles", json!({ "vehicle_id": id })).await.status;
    assert_eq!(add("car-1").await, 201);
    server.clock.advance(Duration::from_secs(86_400));
    assert_eq!(add("car-2").await, 201);
    assert_eq!(server.json("/v1/audit-log").await["data"].as_array().unwrap().len(), 2);
    server.clock.advance(Duration::from_secs(86_401));
    let log = server.until("/v1/audit-log", |log| log["data"].as_array().unwrap().len() == 1).await;
    assert_eq!(log["data"][0]["at"], "2026-11-24T12:00:00Z");
}

#[tokio::test]
async fn a_key_is_shown_once_and_lives_until_it_expires_is_revoked_or_its_person_goes() {
    let server = locked(|config| config).await;
    let person = json!({ "email": " Ana@Example.com ", "name": "Ana", "role": "dispatcher" });
    let person = server.post("/v1/users", person).await.json();
    assert_eq!(person["email"], "ana@example.com");
    let twice = json!({ "email": "ANA@example.com", "name": "Ana", "role": "driver" });
    assert_eq!(server.post("/v1/users", twice).await.status, 409);
    let hour = json!({ "name": "an hour's", "role": "driver", "expires_at": "2026-11-23T13:00:00Z" });
    let (hour, plain, hers) = (
        made(&server, hour).await,
        made(&server, json!({ "name": "plain", "role": "driver" })).await,
        made(&server, json!({ "name": "hers", "role": "driver", "user_id": person["id"] })).await,
    );
    let secret = |key: &Value| key["secret"].as_str().unwrap().to_owned();
    for key in [&hour, &plain, &hers] {
        assert_eq!(status(&server, &secret(key)).await, 200);
        assert!(secret(key).starts_with(&format!("rlk_{}_", key["prefix"].as_str().unwrap())));
    }
    let listed = server.get("/v1/api-keys").await;
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 3);
    assert!(!listed.body.contains("secret") && !listed.body.contains("argon2"), "{}", listed.body);
    let events = server.get("/v1/events?limit=200").await.body;
    for never in [secret(&plain), "argon2".to_owned(), "ana@example.com".to_owned(), "Ana".to_owned()] {
        assert!(!events.contains(&never), "the log has no secret and no person: {never}");
    }
    let path = format!("/v1/api-keys/{}", plain["id"].as_str().unwrap());
    server.until(&path, |key| key["last_used_at"] == "2026-11-23T12:00:00Z").await;

    let mut forged = secret(&plain);
    let last = forged.pop().unwrap();
    forged.push(if last == '0' { '1' } else { '0' });
    for wrong in [forged.as_str(), "rlk_000000000000_00", "", "open"] {
        assert_eq!(refusal(&server, wrong).await, "unauthorized", "{wrong}");
    }
    server.clock.advance(Duration::from_secs(3_599));
    assert_eq!(status(&server, &secret(&hour)).await, 200);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(refusal(&server, &secret(&hour)).await, "key-expired");
    assert_eq!(status(&server, &secret(&plain)).await, 200);
    let revoked = server.send(&format!("DELETE {path}"), &[], None).await;
    assert_eq!(revoked.json()["revoked_at"], "2026-11-23T13:00:00Z");
    let why = refusal(&server, &secret(&plain)).await;
    assert_eq!(why, "key-revoked", "at once, though it was found right before");
    assert_eq!(refusal(&server, &forged).await, "unauthorized", "who has not the key is not told of its end");
    assert_eq!(server.send(&format!("DELETE {path}"), &[], None).await.status, 200, "twice is once");
    let leaves = format!("PATCH /v1/users/{}", person["id"].as_str().unwrap());
    let left = server.send(&leaves, &[("if-match", "\"1\"")], Some(&json!({ "is_active": false }))).await;
    assert_eq!((left.status, left.header("etag")), (200, Some("\"2\"")), "{}", left.body);
    assert_eq!(refusal(&server, &secret(&hers)).await, "key-inactive");
    let past = json!({ "name": "past", "role": "driver", "expires_at": "2026-11-23T12:59:59Z" });
    assert_eq!(server.post("/v1/api-keys", past).await.status, 422);
    let role = json!({ "name": "king", "role": "king" });
    assert_eq!(server.post("/v1/api-keys", role).await.status, 422);
}

#[tokio::test]
async fn without_a_key_file_nobody_needs_a_key_and_who_sends_one_is_held_to_it() {
    let server = Server::start().await;
    let driver = key_of(&server, "driver", &Value::Null).await;
    assert_eq!(status(&server, &driver).await, 200);
    let new = json!({ "vehicle_id": "car-1" });
    assert_eq!(server.by(&driver, "POST /v1/vehicles", Some(&new)).await.status, 403);
    assert_eq!(server.post("/v1/vehicles", new).await.status, 201);
    let unknown = format!("rlk_{}_{}", "0".repeat(12), "0".repeat(64));
    assert_eq!(status(&server, &unknown).await, 401);
    assert_eq!(status(&server, &driver[..driver.len() - 1]).await, 401, "a key that was cut");
    // A page of another site may send requests here, and under a name of its own read their answers.
    let port = server.handle.addr.port();
    for (name, value, told) in [
        ("sec-fetch-site", "cross-site".to_owned(), 403),
        ("sec-fetch-site", "same-origin".to_owned(), 200),
        ("host", format!("rebound.example:{port}"), 403),
        ("host", format!("localhost:{port}"), 200),
        ("host", format!("[::1]:{port}"), 200),
    ] {
        let answer = send(server.handle.addr, "GET /v1/vehicles", &[(name, &value)], None).await;
        assert_eq!(answer.status, told, "{name}: {value}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_person_s_key_may_no_more_than_they_may_now() {
    let server = locked(|config| config).await;
    let person = json!({ "email": "ana@example.com", "name": "Ana", "role": "owner" });
    let person = server.post("/v1/users", person).await.json();
    let hers = made(&server, json!({ "name": "hers", "role": "owner", "user_id": person["id"] })).await;
    let hers = hers["secret"].as_str().unwrap();
    assert_eq!(server.by(hers, "GET /v1/users", None).await.status, 200);
    let path = format!("PATCH /v1/users/{}", person["id"].as_str().unwrap());
    let demoted = json!({ "role": "driver" });
    assert_eq!(server.send(&path, &[("if-match", "\"1\"")], Some(&demoted)).await.status, 200);
    let refused = server.by(hers, "GET /v1/users", None).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("driver"), "{}", refused.body);
    assert_eq!(status(&server, hers).await, 200);
}

#[tokio::test]
async fn who_asks_is_told_whose_key_it_is() {
    let server = locked(|config| config).await;
    let operator = server.get("/v1/me").await;
    assert_eq!(operator.header("cache-control"), Some("no-store"));
    let operator = operator.json();
    assert_eq!((&operator["actor"], &operator["role"]), (&json!("operator"), &json!("owner")));
    assert_eq!((&operator["key_name"], &operator["organization_id"]), (&Value::Null, &Value::Null));
    let acme = json!({ "name": "Acme", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let acme = server.post("/v1/organizations", acme).await.json()["id"].clone();
    let ana = json!({ "email": "ana@x.example", "name": "Ana", "role": "driver", "organization_id": acme });
    let ana = server.post("/v1/users", ana).await.json()["id"].clone();
    let key = json!({ "name": "hers", "role": "dispatcher", "organization_id": acme, "user_id": ana,
        "expires_at": "2026-11-24T12:00:00Z" });
    let key = made(&server, key).await;
    let mut hers = server.by(key["secret"].as_str().unwrap(), "GET /v1/me", None).await.json();
    let may = hers["may"].take();
    assert_eq!(
        hers,
        json!({ "actor": key["id"], "key_name": "hers", "user_id": ana, "person_name": "Ana", "email": "ana@x.example",
            "signed_in_by": null, "ends_at": null, "role": "dispatcher", "may": null,
            "organization_id": acme, "organization_name": "Acme", "expires_at": "2026-11-24T12:00:00Z" })
    );
    let may = may.as_array().unwrap();
    // A dispatcher changes vehicles, a driver does not; so she may not by this key either.
    assert!(may.contains(&json!("POST /v1/bookings")) && !may.contains(&json!("PATCH /v1/vehicles/{id}")));
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let server = locked(|config| config).await;
    let key = made(&server, json!({ "name": "screen", "role": "dispatcher" })).await;
    let secret = key["secret"].as_str().unwrap();
    let begun = tokio::sync::Notify::new();
    let listening = read_until(server.handle.addr, "GET /v1/tracking", secret, |text| {
        begun.notify_one();
        !text.contains("200 OK") && text.contains("\r\n")
    });
    let revoking = async {
        // It is asked once before anything is read.
        begun.notified().await;
        begun.notified().await;
        let path = format!("DELETE /v1/api-keys/{}", key["id"].as_str().unwrap());
        assert_eq!(server.send(&path, &[], None).await.status, 200);
        server.clock.advance(Duration::from_secs(10));
    };
    let both = async { tokio::join!(listening, revoking) };
    let (heard, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it ends");
    assert!(heard.contains("200 OK"), "{heard}");
}

#[tokio::test]
async fn secrets_are_not_tried_for_a_key_without_end() {
    let server = locked(|config| config).await;
    let key = key_of(&server, "driver", &Value::Null).await;
    let wrong = format!("{}{}", &key[..key.len() - 64], "0".repeat(64));
    let mut told = Vec::new();
    for _ in 0..41 {
        told.push(status(&server, &wrong).await);
    }
    assert_eq!((told[0], told[39], told[40]), (401, 401, 429));
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&server, &key).await, 200);
}

async fn results(server: &Server, key: &str) -> Vec<(String, String, String)> {
    let page = server.by(key, "GET /v1/audit-log?limit=200", None).await.json();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|e| (text(e, "actor"), format!("{} {}", text(e, "method"), text(e, "path")), text(e, "result")))
        .collect()
}

#[tokio::test]
async fn every_write_is_in_the_audit_log_with_who_and_what_came_of_it() {
    let server = locked(|config| config).await;
    let organization = server.customer("car-1").await;
    let driver = made(&server, json!({ "name": "d", "role": "driver" })).await;
    let (driver_id, driver) = (driver["id"].as_str().unwrap(), driver["secret"].as_str().unwrap());
    let owner = key_of(&server, "owner", &json!(organization)).await;
    let step = async |seconds| server.clock.advance(Duration::from_secs(seconds));

    step(1).await;
    let new = json!({ "vehicle_id": "car-2" });
    let named = [("x-request-id", "my-request-1")];
    let answer = server.send("POST /v1/vehicles", &named, Some(&new)).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (201, Some("my-request-1")));
    step(1).await;
    assert_eq!(server.post("/v1/vehicles", new.clone()).await.status, 409);
    step(1).await;
    assert_eq!(server.by(driver, "POST /v1/vehicles", Some(&new)).await.status, 403);
    step(1).await;
    let user = json!({ "name": "u", "email": "u@x.example", "role": "driver" });
    let own = server.by(&owner, "POST /v1/users", Some(&user)).await;
    assert_eq!(own.status, 201, "{}", own.body);
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let page = server.until("/v1/invoices", |p| p["data"][0]["line_count"] == 3).await;
    let finalize = format!("POST /v1/invoices/{}/finalize", page["data"][0]["id"].as_str().unwrap());
    for _ in 0..2 {
        step(1).await;
        assert_eq!(server.send(&finalize, &[("idempotency-key", "k")], None).await.status, 200);
    }
    server.post("/v1/sql", json!({ "query": "SELECT 1" })).await;

    let told = results(&server, OPERATOR).await;
    let row = |actor: &str, what: &str, result: &str| (actor.to_owned(), what.to_owned(), result.to_owned());
    assert_eq!(
        told[..6],
        [
            row("operator", &finalize, "replayed"),
            row("operator", &finalize, "done"),
            told[2].clone(),
            row(driver_id, "POST /v1/vehicles", "refused 403"),
            row("operator", "POST /v1/vehicles", "refused 409"),
            row("operator", "POST /v1/vehicles", "done"),
        ]
    );
    assert!(told[2].0.starts_with("key_") && told[2].2 == "done", "{:?}", told[2]);
    assert_eq!(told.len(), 12, "six more made the customer and its keys; no GET, no query: {told:?}");
    assert_eq!(results(&server, &owner).await, [told[2].clone()], "an organization's owner sees its own");
    let page = server.json("/v1/audit-log?limit=200").await;
    let entry = &page["data"][5];
    assert_eq!(
        (&entry["request_id"], &entry["route"], &entry["role"], &entry["at"]),
        (&json!("my-request-1"), &json!("/v1/vehicles"), &json!("owner"), &json!("2026-11-23T12:00:01Z"))
    );
    let first = server.json("/v1/audit-log?limit=5").await;
    let rest = first["next_cursor"].as_str().unwrap();
    let rest = server.json(&format!("/v1/audit-log?limit=200&cursor={rest}")).await;
    assert_eq!(rest["data"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_back_and_others_go_on() {
    let server = locked(|config| Config { requests_per_second_max: 2, ..config }).await;
    let (one, two) =
        (key_of(&server, "driver", &Value::Null).await, key_of(&server, "driver", &Value::Null).await);
    for _ in 0..4 {
        assert_eq!(status(&server, &one).await, 200);
    }
    let refused = server.by(&one, "GET /v1/vehicles", None).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.body);
    assert_eq!(status(&server, &two).await, 200);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&server, &one).await, 200);
}
