//! Corrections of trips: said, handed to the lake, taken back, and whose they are.

use analytics::row::{CorrectionKind, CorrectionStatus, Purpose, TripRow, TripStatus};
use api::lake_port::{LakeError, LakeErrorKind};
use serde_json::{Value, json};

use super::{
    Server,
    access::{key_of, locked},
};
use crate::fake_lake::trip;

/// One correction of an organization's vehicle.
pub(super) async fn of_tenant(server: &Server, (key, trip_id): (&str, &str)) -> String {
    let said = json!({ "trip_id": trip_id, "purpose": "business" });
    let made = server.by(key, "POST /v1/trips:mark", Some(&said)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Three trips of an hour of car-1, from 08:00, 10:00 and 12:00; one of car-2; one of car-1 the next day.
async fn driven(server: &Server) {
    let hour = |id: &str, vehicle: &str, start: &str| trip(id, vehicle, start, (10_000, 3_600, 60));
    server.lake.commit(vec![
        hour("a", "car-1", "2026-11-23T08:00:00Z"),
        hour("b", "car-1", "2026-11-23T10:00:00Z"),
        hour("c", "car-1", "2026-11-23T12:00:00Z"),
        hour("d", "car-1", "2026-11-24T12:00:00Z"),
        hour("x", "car-2", "2026-11-23T10:00:00Z"),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 5).await;
}

/// Waits until the lake has so many revisions of corrections.
async fn recorded(server: &Server, count: usize) -> Vec<analytics::row::CorrectionRow> {
    for _ in 0..400 {
        let rows = server.lake.corrections.lock().unwrap().clone();
        if rows.len() >= count {
            return rows;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the lake was told {:?}", server.lake.corrections.lock().unwrap());
}

fn field_of(answer: &Value) -> (String, String) {
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    (text(&answer["errors"][0]["field"]), text(&answer["errors"][0]["message"]))
}

#[tokio::test]
async fn trips_are_merged_split_and_marked_and_the_lake_is_told_in_order() {
    let server = Server::start().await;
    driven(&server).await;
    let merge = server.posted("/v1/trips:merge", json!({ "trip_ids": ["trp_c", "trp_a", "trp_b"] })).await;
    assert_eq!(
        (&merge["kind"], &merge["from"], &merge["to"]),
        (&json!("merge"), &json!("2026-11-23T09:00:00Z"), &json!("2026-11-23T12:00:00Z"))
    );
    let second = std::time::Duration::from_secs(1);
    server.clock.advance(second);
    let at = "2026-11-24T12:20:00Z";
    let split = server.posted("/v1/trips:split", json!({ "trip_id": "trp_d", "at": at })).await;
    server.clock.advance(second);
    let mark = server.posted("/v1/trips:mark", json!({ "trip_id": "trp_x", "purpose": "private" })).await;
    assert_eq!((&mark["vehicle_id"], &mark["purpose"]), (&json!("car-2"), &json!("private")));
    let rows = recorded(&server, 3).await;
    let kinds: Vec<_> = rows.iter().map(|row| (row.kind, row.revision, row.status)).collect();
    let active = CorrectionStatus::Active;
    assert_eq!(
        kinds,
        [
            (CorrectionKind::Merge, 1, active),
            (CorrectionKind::Split, 1, active),
            (CorrectionKind::Mark, 1, active)
        ]
    );
    assert_eq!(rows[2].purpose, Some(Purpose::Private));
    assert_eq!(rows[1].from_time, rows[1].to_time);

    // Around a trip, of a vehicle, of all; the latest first.
    let ids = async |query: &str| {
        let page = server.json(&format!("/v1/trip-corrections{query}")).await;
        page["data"].as_array().unwrap().iter().map(|c| c["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("?trip_id=trp_b").await, [merge["id"].clone()]);
    assert_eq!(ids("?trip_id=trp_d").await, [split["id"].clone()]);
    assert_eq!(ids("?vehicle_id=car-1").await, [split["id"].clone(), merge["id"].clone()]);
    assert_eq!(ids("").await, [mark["id"].clone(), split["id"].clone(), merge["id"].clone()]);
    let first = server.json("/v1/trip-corrections?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&format!("?limit=2&cursor={cursor}")).await, [merge["id"].clone()]);

    // The first part ends with the last reading before the split, which is one of it all the same.
    let day = trip("d", "car-1", "2026-11-24T12:00:00Z", (3_000, 1_190, 0));
    server.lake.commit(vec![TripRow { revision: 2, ..day }]);
    server.until("/v1/trips/trp_d", |t| t["revision"] == 2).await;
    assert_eq!(ids("?trip_id=trp_d").await, [split["id"].clone()]);

    // Taken back: once, however often.
    let path = format!("/v1/trip-corrections/{}", merge["id"].as_str().unwrap());
    for _ in 0..2 {
        let gone = server.send(&format!("DELETE {path}"), &[], None).await;
        assert_eq!((gone.status, &gone.json()["status"]), (200, &json!("revoked")));
    }
    let rows = recorded(&server, 4).await;
    assert_eq!((rows[3].revision, rows[3].status), (2, CorrectionStatus::Revoked));
    assert_eq!(server.json(&path).await["version"], 2);
    let events = server.json("/v1/events?limit=200").await;
    let types: Vec<_> = events["data"].as_array().unwrap().iter().map(|e| e["event_type"].clone()).collect();
    for wanted in ["TripsMerged", "TripSplit", "TripMarked", "TripCorrectionRevoked"] {
        assert_eq!(types.iter().filter(|t| **t == wanted).count(), 1, "{wanted}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_reason() {
    let server = Server::start().await;
    driven(&server).await;
    let refused = async |what: &str, body: Value| {
        let answer = server.post(&format!("/v1/trips:{what}"), body).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        field_of(&answer.json())
    };
    let many: Vec<String> = (0..21).map(|n| format!("trp_{n}")).collect();
    for (trips, says) in [
        (json!(["trp_a"]), "2 to 20"),
        (json!(many), "2 to 20"),
        (json!(["trp_a", "trp_none"]), "no trip trp_none"),
        (json!(["trp_a", "nonsense"]), "no trip nonsense"),
        (json!(["trp_a", "trp_a"]), "twice"),
        (json!(["trp_a", "trp_x"]), "one vehicle"),
        (json!(["trp_a", "trp_c"]), "trp_b is between"),
        (json!(["trp_c", "trp_d"]), "within 12 h"),
    ] {
        let (field, message) = refused("merge", json!({ "trip_ids": trips })).await;
        assert!(field == "trip_ids" && message.contains(says), "{field}: {message}");
    }
    for at in ["2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z", "2026-11-22T08:30:00Z", "soon"] {
        assert_eq!(refused("split", json!({ "trip_id": "trp_a", "at": at })).await.0, "at", "{at}");
    }
    assert_eq!(refused("mark", json!({ "trip_id": "trp_a", "purpose": "fun" })).await.0, "purpose");
    assert_eq!(refused("mark", json!({ "trip_id": "trp_none", "purpose": null })).await.0, "trip_id");
    let gone = trip("b", "car-1", "2026-11-23T10:00:00Z", (10_000, 3_600, 60));
    server.lake.commit(vec![TripRow { revision: 2, status: TripStatus::Withdrawn, ..gone }]);
    server.until("/v1/trips/trp_b", |t| t["status"] == "withdrawn").await;
    let (_, message) = refused("mark", json!({ "trip_id": "trp_b", "purpose": "private" })).await;
    assert!(message.contains("none any more"), "{message}");
    assert_eq!(server.get("/v1/trip-corrections?vehicle_id=car-1&trip_id=trp_a").await.status, 422);
    assert_eq!(server.get("/v1/trip-corrections/tco_none").await.status, 404);
    assert!(server.lake.corrections.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_lake_that_fails_is_told_when_it_is_back() {
    let server = Server::start().await;
    driven(&server).await;
    let down = LakeError { kind: LakeErrorKind::Internal, message: "no space left".to_owned() };
    *server.lake.corrections_fail.lock().unwrap() = Some(down);
    let made = server.posted("/v1/trips:mark", json!({ "trip_id": "trp_a", "purpose": "business" })).await;
    let path = format!("DELETE /v1/trip-corrections/{}", made["id"].as_str().unwrap());
    assert_eq!(server.send(&path, &[], None).await.status, 200);
    *server.lake.corrections_fail.lock().unwrap() = None;
    let rows = recorded(&server, 2).await;
    let said: Vec<_> = rows.iter().map(|row| (row.revision, row.status)).collect();
    assert_eq!(said, [(1, CorrectionStatus::Active), (2, CorrectionStatus::Revoked)]);
}

#[tokio::test]
async fn where_a_private_trip_was_is_told_to_nobody_and_its_distance_counts() {
    let server = Server::start().await;
    driven(&server).await;
    assert_eq!(server.json("/v1/trips/trp_a").await["start_latitude"], 55.0);
    let first = trip("a", "car-1", "2026-11-23T08:00:00Z", (10_000, 3_600, 60));
    server.lake.commit(vec![TripRow { revision: 2, purpose: Some(Purpose::Private), ..first }]);
    let told = server.until("/v1/trips/trp_a", |t| t["purpose"] == "private").await;
    let places = |trip: &Value| {
        ["start_latitude", "start_longitude", "end_latitude", "end_longitude"].map(|name| trip[name].clone())
    };
    assert_eq!(places(&told), [const { Value::Null }; 4]);
    assert_eq!(told["distance_m"], 10_000);
    let revisions = server.json("/v1/trips/trp_a/revisions").await;
    assert_eq!(revisions["data"].as_array().unwrap().len(), 2);
    for revision in revisions["data"].as_array().unwrap() {
        assert_eq!(places(revision), [const { Value::Null }; 4]);
    }
    // What is hidden is what was marked: a longer trip is marked as a whole.
    let merged = server.post("/v1/trips:merge", json!({ "trip_ids": ["trp_a", "trp_b"] })).await;
    let (field, message) = field_of(&merged.json());
    assert!(merged.status == 422 && field == "trip_ids" && message.contains("trp_a is private"), "{message}");
    let track = server.get("/v1/trips/trp_a/positions").await;
    assert_eq!(track.status, 409, "{}", track.body);
    assert_eq!(server.get("/v1/trips/trp_b/positions").await.status, 200);
}

#[tokio::test]
async fn trips_of_another_organization_are_none() {
    let server = locked(|config| config).await;
    let new = json!({ "name": "Acme", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let acme = server.post("/v1/organizations", new).await.json()["id"].clone();
    let vehicle = json!({ "vehicle_id": "car-1", "organization_id": acme });
    assert_eq!(server.post("/v1/vehicles", vehicle).await.status, 201);
    driven(&server).await;
    let key = key_of(&server, "dispatcher", &acme).await;
    let made = of_tenant(&server, (&key, "trp_a")).await;
    let theirs = json!({ "trip_id": "trp_x", "purpose": "private" });
    let refused = server.by(&key, "POST /v1/trips:mark", Some(&theirs)).await;
    assert_eq!((refused.status, field_of(&refused.json()).0), (422, "trip_id".to_owned()));
    let other = server.posted("/v1/trips:mark", theirs).await;
    let path = format!("DELETE /v1/trip-corrections/{}", other["id"].as_str().unwrap());
    assert_eq!(server.by(&key, &path, None).await.status, 404);
    let page = server.by(&key, "GET /v1/trip-corrections", None).await.json();
    assert_eq!(page["data"].as_array().unwrap().iter().map(|c| &c["id"]).collect::<Vec<_>>(), [&json!(made)]);
    assert_eq!(server.by(&key, "GET /v1/trip-corrections?vehicle_id=car-2", None).await.status, 404);
}
