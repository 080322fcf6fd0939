//! Geofences: what a client makes of them, who is in them, and who is told to have come and gone.

use std::time::Duration;

use analytics::row::VehicleState;
use serde_json::{Value, json};
use wire::time::Timestamp;

use super::{
    Server,
    access::{key_of, locked},
};
use crate::{fake_lake::state, server::NOW};

/// A square of a hundredth of a degree about longitude 12, from a latitude north.
pub(super) fn square(south: f64) -> Value {
    let (west, east, north) = (11.995, 12.005, south + 0.01);
    json!({
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    })
}

pub(super) async fn fence(server: &Server, name: &str, geometry: Value, organization: &Value) -> Value {
    let new = json!({ "name": name, "geometry": geometry, "organization_id": organization });
    let made = server.post("/v1/geofences", new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()
}

fn path(fence: &Value, rest: &str) -> String {
    format!("/v1/geofences/{}{rest}", fence["id"].as_str().unwrap())
}

/// A vehicle's reading so many seconds after the start, at longitude 12.
pub(super) fn reading(vehicle: &str, after_s: i64, latitude: f64) -> VehicleState {
    let ts = Timestamp::parse(NOW).unwrap().plus_us(after_s * 1_000_000);
    VehicleState { latitude: Some(latitude), ..state(vehicle, ts, 30.0) }
}

/// Who has crossed what, oldest first.
async fn crossings(server: &Server, vehicle: &str) -> Vec<(String, String)> {
    let events = server.json("/v1/events?limit=200").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = events["data"].as_array().unwrap().iter();
    all.filter(|e| e["aggregate_type"] == "geofence-presence" && e["data"]["vehicle_id"] == vehicle)
        .map(|e| (text(&e["event_type"]), text(&e["data"]["geofence"])))
        .collect()
}

fn told(what: &[(&str, &str)]) -> Vec<(String, String)> {
    what.iter().map(|(event, fence)| (format!("Geofence{event}"), (*fence).to_owned())).collect()
}

/// Gives readings and waits until the watcher has looked at them: with them comes a vehicle that goes from one
/// place to the next, and is told to have come in there. It is made after the geofences of a test: who knows its
/// places knows those before them.
struct Steps {
    marker: &'static str,
    done: i64,
}

impl Steps {
    async fn of(server: &Server, marker: &'static str) -> Self {
        for step in 1..=8 {
            let name = format!("{marker} {step}");
            fence(server, &name, square(f64::from(step)), &Value::Null).await;
        }
        Self { marker, done: 0 }
    }

    async fn take(&mut self, server: &Server, mut readings: Vec<VehicleState>) {
        self.done += 1;
        let step = self.done;
        readings.push(reading(self.marker, step, step as f64 + 0.005));
        server.lake.see(readings);
        let name = format!("{} {step}", self.marker);
        server
            .until("/v1/events?limit=200", |page| {
                page["data"].as_array().unwrap().iter().any(|event| {
                    event["data"]["vehicle_id"] == self.marker && event["data"]["geofence"] == name.as_str()
                })
            })
            .await;
    }
}

#[tokio::test]
async fn a_geofence_is_made_found_changed_and_taken_away() {
    let server = Server::start().await;
    let new = json!({
        "name": " Depot North ", "kind": "depot", "tags": ["Night", "zone 2", "night"], "colour": "#AABBCC",
        "geometry": { "type": "Circle", "centre": [12.0, 55.0, 3.5], "radius_m": 250 },
    });
    let made = server.post("/v1/geofences", new).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")), "{}", made.body);
    let made = made.json();
    assert_eq!((&made["name"], &made["colour"]), (&json!("Depot North"), &json!("#aabbcc")));
    assert_eq!(made["tags"], json!(["night", "zone 2"]));
    assert_eq!(made["geometry"], json!({ "type": "Circle", "centre": [12.0, 55.0], "radius_m": 250.0 }));
    // Lists go by id, which begins with the time of its making.
    server.clock.advance(Duration::from_secs(1));
    let other = fence(&server, "Customer 100%", square(55.0), &Value::Null).await;
    assert_eq!((&other["kind"], &other["tags"]), (&json!("other"), &json!([])));

    let names = async |query: &str| -> Vec<String> {
        let page = server.json(&format!("/v1/geofences?{query}")).await;
        let all = page["data"].as_array().unwrap().iter();
        all.map(|g| g["name"].as_str().unwrap().to_owned()).collect()
    };
    for (query, found) in [
        ("", &["Depot North", "Customer 100%"][..]),
        ("q=NORTH", &["Depot North"][..]),
        ("q=100%25", &["Customer 100%"]),
        ("kind=depot", &["Depot North"][..]),
        ("tag=Zone%202", &["Depot North"][..]),
        ("tag=zone", &[][..]),
        ("kind=customer", &[][..]),
    ] {
        assert_eq!(names(query).await, found, "{query}");
    }
    let first = server.json("/v1/geofences?limit=1").await;
    let next = format!("/v1/geofences?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = server.json(&next).await;
    assert_eq!((&rest["data"][0]["id"], &rest["next_cursor"]), (&other["id"], &Value::Null));

    let own = path(&made, "");
    let body = json!({ "name": "Depot", "tags": [] });
    assert_eq!(server.send(&format!("PATCH {own}"), &[], Some(&body)).await.status, 428);
    let changed = server.patch(&own, 1, body.clone()).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{}", changed.body);
    assert_eq!(server.patch(&own, 1, body.clone()).await.status, 412);
    assert_eq!(server.patch(&own, 2, body).await.json()["version"], 2, "nothing has changed");
    assert_eq!(server.json(&own).await["kind"], "depot");
    assert_eq!(server.send(&format!("GET {own}"), &[("if-none-match", "\"2\"")], None).await.status, 304);
    for status in [204, 404] {
        assert_eq!(server.send(&format!("DELETE {own}"), &[], None).await.status, status);
    }
    assert_eq!(server.get(&own).await.status, 404);
}

#[tokio::test]
async fn every_fault_of_a_geofence_is_told_at_its_place() {
    let server = Server::start().await;
    let bad = json!({
        "name": "", "colour": "blue", "tags": ["a\"b"], "organization_id": "org_none",
        "geometry": { "type": "Polygon", "coordinates": [
            [[12.0, 95.0], [12.1, 55.0], [12.1, 55.1], [12.0, 95.0]], [[12.0, 55.0], [12.1, 55.0], [12.1, 55.1]]] },
    });
    let refused = server.post("/v1/geofences", bad).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let errors = refused.json()["errors"].clone();
    let fields: Vec<&str> =
        errors.as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "geometry.coordinates[0][0]",
            "geometry.coordinates[0][3]",
            "geometry.coordinates[1]",
            "organization_id",
            "name",
            "colour",
            "tags"
        ]
    );
    let made = fence(&server, "Square", square(55.0), &Value::Null).await;
    let bow = json!({ "type": "Polygon", "coordinates": [[[0, 0], [4, 4], [4, 0], [0, 2], [0, 0]]] });
    let refused = server.patch(&path(&made, ""), 1, json!({ "geometry": bow })).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("must not cross itself"), "{}", refused.body);
    let point = json!({ "name": "x", "geometry": { "type": "Point", "coordinates": [0, 0] } });
    assert_eq!(server.post("/v1/geofences", point).await.status, 422);
}

#[tokio::test]
async fn vehicles_inside_are_those_whose_last_place_is() {
    let server = Server::start().await;
    let around = fence(&server, "Around", square(55.0), &Value::Null).await;
    server.lake.see(vec![
        reading("car-3", 0, 55.005),
        reading("car-1", 0, 55.01),
        reading("car-2", 0, 55.02),
        VehicleState { latitude: None, ..reading("car-4", 0, 0.0) },
    ]);
    let inside = path(&around, "/vehicles");
    let page = server.until(&inside, |page| page["data"][1]["entered_at"] == NOW).await;
    let items = page["data"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{page}");
    assert_eq!((&items[0]["vehicle_id"], &items[0]["state"]), (&json!("car-1"), &json!("moving")));
    let one = server.json(&format!("{inside}?limit=1")).await;
    let next = format!("{inside}?limit=1&cursor={}", one["next_cursor"].as_str().unwrap());
    let rest = server.json(&next).await;
    assert_eq!((&rest["data"][0]["vehicle_id"], &rest["next_cursor"]), (&json!("car-3"), &Value::Null));
    assert_eq!(server.get("/v1/geofences/geo_none/vehicles").await.status, 404);
}

#[tokio::test]
async fn who_is_outside_for_less_than_a_minute_has_not_left() {
    let server = Server::start().await;
    fence(&server, "A", square(55.0), &Value::Null).await;
    let mut steps = Steps::of(&server, "marker").await;
    steps.take(&server, vec![reading("car-1", 0, 55.005)]).await;
    assert_eq!(crossings(&server, "car-1").await, told(&[("Entered", "A")]));
    // Out and in again, and out again for not quite a minute.
    steps.take(&server, vec![reading("car-1", 40, 55.011)]).await;
    steps.take(&server, vec![reading("car-1", 80, 55.009)]).await;
    steps.take(&server, vec![reading("car-1", 120, 55.011)]).await;
    steps.take(&server, vec![reading("car-1", 179, 55.5)]).await;
    assert_eq!(crossings(&server, "car-1").await, told(&[("Entered", "A")]));
    steps.take(&server, vec![reading("car-1", 180, 55.5)]).await;
    assert_eq!(crossings(&server, "car-1").await, told(&[("Entered", "A"), ("Exited", "A")]));

    let events = server.json("/v1/events?limit=200").await;
    let all = events["data"].as_array().unwrap().iter();
    let exit =
        all.filter(|event| event["event_type"] == "GeofenceExited" && event["data"]["geofence"] == "A");
    let exit = exit.collect::<Vec<_>>();
    let data = &exit[0]["data"];
    assert_eq!((&data["ts"], &data["entered_at"]), (&json!("2026-11-23T12:02:00Z"), &json!(NOW)));
    assert_eq!((&data["duration_s"], &data["reason"]), (&json!(120), &json!("left")));
    assert_eq!((&exit[0]["version"], exit.len()), (&json!(2), 1));
    assert!(data.get("latitude").is_none(), "the log has no places of vehicles");
    // The next visit is another.
    steps.take(&server, vec![reading("car-1", 400, 55.005)]).await;
    assert_eq!(crossings(&server, "car-1").await.len(), 3);
}

#[tokio::test]
async fn who_falls_silent_outside_has_left() {
    let server = Server::start().await;
    let around = fence(&server, "A", square(55.0), &Value::Null).await;
    let mut steps = Steps::of(&server, "marker").await;
    steps.take(&server, vec![reading("car-1", 0, 55.005), reading("car-2", 0, 55.005)]).await;
    steps.take(&server, vec![reading("car-1", 1, 55.5), reading("car-2", 1, 55.005)]).await;
    assert_eq!(crossings(&server, "car-1").await, told(&[("Entered", "A")]));
    server.clock.advance(Duration::from_secs(302));
    let left = |page: &Value| {
        let mut all = page["data"].as_array().unwrap().iter();
        all.any(|e| e["event_type"] == "GeofenceExited" && e["data"]["vehicle_id"] == "car-1")
    };
    let events = server.until("/v1/events?limit=200", left).await;
    let all = events["data"].as_array().unwrap().iter();
    let exit = all.filter(|e| e["event_type"] == "GeofenceExited" && e["data"]["vehicle_id"] == "car-1");
    assert_eq!(exit.map(|e| e["data"]["ts"].clone()).collect::<Vec<_>>(), ["2026-11-23T12:00:01Z"]);
    // One that fell silent inside is inside.
    assert_eq!(crossings(&server, "car-2").await, told(&[("Entered", "A")]));
    let inside = server.json(&path(&around, "/vehicles")).await;
    assert_eq!((&inside["data"][0]["vehicle_id"], &inside["data"][1]), (&json!("car-2"), &Value::Null));
}

#[tokio::test]
async fn two_processes_and_a_start_anew_tell_of_a_crossing_once() {
    let one = Server::start().await;
    let two = Server::start_at(one.place.again(), |config| config).await;
    fence(&one, "A", square(55.0), &Value::Null).await;
    let (mut first, mut second) = (Steps::of(&one, "marker-1").await, Steps::of(&one, "marker-2").await);
    for (after_s, latitude) in [(0, 55.005), (10, 55.5), (70, 55.5)] {
        let readings = || vec![reading("car-1", after_s, latitude)];
        tokio::join!(first.take(&one, readings()), second.take(&two, readings()));
    }
    let expected = told(&[("Entered", "A"), ("Exited", "A")]);
    assert_eq!(crossings(&one, "car-1").await, expected);
    // One that is behind, as a start may be, tells nothing again.
    second.take(&two, vec![reading("car-1", 0, 55.005)]).await;
    assert_eq!(crossings(&one, "car-1").await, expected);
    two.tasks.stop(Duration::from_secs(10)).await.unwrap();
    two.handle.close().await;
    let three = Server::start_at(one.place.again(), |config| config).await;
    second.take(&three, vec![reading("car-1", 70, 55.5)]).await;
    assert_eq!(crossings(&one, "car-1").await, expected);
}

#[tokio::test]
async fn an_organization_watches_its_own_vehicles_alone() {
    let server = locked(|config| config).await;
    let organization = async |name: &str| {
        let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
        server.post("/v1/organizations", new).await.json()["id"].clone()
    };
    let (acme, bolt) = (organization("Acme").await, organization("Bolt").await);
    for (vehicle, own) in [("car-a", &acme), ("car-b", &bolt)] {
        let new = json!({ "vehicle_id": vehicle, "organization_id": own });
        assert_eq!(server.post("/v1/vehicles", new).await.status, 201);
    }
    let key = key_of(&server, "dispatcher", &acme).await;
    let new = json!({ "name": "Acme's", "geometry": square(55.0) });
    let made = server.by(&key, "POST /v1/geofences", Some(&new)).await;
    assert_eq!((made.status, &made.json()["organization_id"]), (201, &acme), "{}", made.body);
    let made = made.json();
    let everybodys = fence(&server, "All", square(55.0), &Value::Null).await;
    let mut steps = Steps::of(&server, "marker").await;
    steps.take(&server, vec![reading("car-a", 0, 55.005), reading("car-b", 0, 55.005)]).await;
    let mut of_a = crossings(&server, "car-a").await;
    of_a.sort();
    assert_eq!(of_a, told(&[("Entered", "Acme's"), ("Entered", "All")]));
    assert_eq!(crossings(&server, "car-b").await, told(&[("Entered", "All")]));
    let inside = server.by(&key, &format!("GET {}", path(&made, "/vehicles")), None).await.json();
    assert_eq!((&inside["data"][0]["vehicle_id"], &inside["data"][1]), (&json!("car-a"), &Value::Null));
    for what in [path(&everybodys, ""), path(&everybodys, "/vehicles")] {
        assert_eq!(server.by(&key, &format!("GET {what}"), None).await.status, 404);
    }
    let beta = key_of(&server, "dispatcher", &bolt).await;
    for what in ["GET", "DELETE", "PATCH"] {
        assert_eq!(server.by(&beta, &format!("{what} {}", path(&made, "")), None).await.status, 404);
    }

    // Another's now: it is in theirs no more, wherever it is.
    let moved = server.patch("/v1/vehicles/car-a", 1, json!({ "organization_id": bolt })).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let gone = |page: &Value| {
        page["data"].as_array().unwrap().iter().any(|e| {
            e["event_type"] == "GeofenceExited"
                && e["data"]["reason"] == "reassigned"
                && e["data"]["organization_id"] == acme
        })
    };
    server.until("/v1/events?limit=200", gone).await;
    let inside = server.by(&key, &format!("GET {}", path(&made, "/vehicles")), None).await.json();
    assert_eq!(inside["data"], json!([]));
}

#[tokio::test]
async fn webhooks_tell_who_came_in() {
    let server = Server::start().await;
    // Nobody listens there: what it was to be told is kept.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = server
        .post("/v1/webhook-endpoints", json!({ "url": url, "event_types": ["GeofenceEntered"] }))
        .await
        .json();
    fence(&server, "A", square(55.0), &Value::Null).await;
    server.lake.see(vec![reading("car-1", 0, 55.005)]);
    let deliveries = format!("/v1/webhook-endpoints/{}/deliveries", endpoint["id"].as_str().unwrap());
    let page = server.until(&deliveries, |page| !page["data"].as_array().unwrap().is_empty()).await;
    assert_eq!(page["data"][0]["event_type"], "GeofenceEntered");
}
