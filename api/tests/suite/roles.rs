//! Every role on every route, as the table of docs/api.md says; and no organization sees another's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wire::time::Timestamp;

use super::{
    Server,
    access::{OPERATOR, key_of, locked},
    agents, alerts, corrections, devices, drivers,
    geofences::square,
    groups, maintenance,
};
use crate::{
    broker::Broker,
    client::read_until,
    fake_lake::{state, trip},
    server::{NOW, tariff},
};

const DOCUMENT: &str = include_str!("../../../docs/api.md");
const ROLES: [&str; 6] = ["owner", "dispatcher", "analyst", "driver", "billing", "device_admin"];

/// What the document says of a route.
struct Told {
    roles: BTreeSet<String>,
    whose: String,
}

/// The rows of the document's table, by method and route.
fn told() -> BTreeMap<String, Told> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `") && line.contains("` | "));
    let mut told = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [route, marks @ .., whose] = cells.as_slice() else { continue };
        if marks.len() != ROLES.len() {
            continue;
        }
        let marked = ROLES.iter().zip(marks).filter(|(_, mark)| **mark == "x");
        let roles = marked.map(|(role, _)| (*role).to_owned()).collect();
        told.insert(route.trim_matches('`').to_owned(), Told { roles, whose: (*whose).to_owned() });
    }
    told
}

/// The routes of the description, by method and route.
async fn described(server: &Server) -> BTreeSet<String> {
    let description = server.json("/v1/openapi.json").await;
    let mut routes = BTreeSet::from(["GET /v1/openapi.json".to_owned()]);
    for (route, methods) in description["paths"].as_object().unwrap() {
        routes.extend(methods.as_object().unwrap().keys().map(|m| format!("{} {route}", m.to_uppercase())));
    }
    routes
}

/// A request's status; what follows the head may never end.
async fn status(server: &Server, what: &str, key: &str) -> u16 {
    let head = read_until(server.handle.addr, what, key, |text| text.contains("\r\n")).await;
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_role_may_call_what_the_document_says_and_nothing_else() {
    let server = locked(|config| config).await;
    let new = json!({ "name": "Acme", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let organization = server.post("/v1/organizations", new).await.json()["id"].clone();
    let told = told();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), described(&server).await);
    let mut refused = 0;
    for role in ROLES {
        let (all, own) =
            (key_of(&server, role, &Value::Null).await, key_of(&server, role, &organization).await);
        for (key, is_operators) in [(&all, true), (&own, false)] {
            let may = server.by(key, "GET /v1/me", None).await.json()["may"].clone();
            let may: BTreeSet<String> = serde_json::from_value(may).unwrap();
            let theirs = told.iter().filter(|(_, told)| {
                told.roles.contains(role)
                    && told.whose != "anybody"
                    && (is_operators || told.whose != "operator")
            });
            let theirs: BTreeSet<String> = theirs.map(|(route, _)| route.clone()).collect();
            assert_eq!(may, theirs, "what a {role} is told");
        }
        for (route, told) in &told {
            let what = route.replace("{id}", "none").replace("{line_id}", "none");
            if told.whose == "anybody" {
                let answer = status(&server, &what, "no key at all").await;
                assert!(![401, 403].contains(&answer), "{what} without a key: {answer}");
                continue;
            }
            assert_eq!(status(&server, &what, "no key at all").await, 401, "{what} without a key");
            let may = told.roles.contains(role);
            let cases =
                [(&all, may, "operator's"), (&own, may && told.whose != "operator", "organization's")];
            for (key, may, whose) in cases {
                let answer = status(&server, &what, key).await;
                assert_eq!(answer != 403, may, "{what} by the {whose} {role}: {answer}");
                assert_ne!(answer, 401, "{what} by the {whose} {role}");
                refused += usize::from(!may);
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// An organization with one of each, and the key of its owner.
struct Tenant {
    key: String,
    /// The id of its thing, by the route's first part.
    ids: BTreeMap<&'static str, String>,
    line: String,
}

async fn tenant((server, broker): &(Server, Broker), name: &str) -> Tenant {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let organization = text(&server.post("/v1/organizations", new).await.json()["id"]);
    let mut terms = tariff();
    terms["name"] = json!(format!("Prices of {name}"));
    let prices = text(&server.post("/v1/tariffs", terms).await.json()["id"]);
    let choice = json!({ "tariff_id": prices });
    let what = format!("PUT /v1/organizations/{organization}/tariff");
    assert_eq!(server.send(&what, &[], Some(&choice)).await.status, 200);
    let (vehicle, trip_id) = (format!("car-{name}"), format!("trp_{name}"));
    let new = json!({ "vehicle_id": vehicle, "organization_id": organization });
    assert_eq!(server.post("/v1/vehicles", new).await.status, 201);
    server.lake.commit(vec![trip(name, &vehicle, "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let path = format!("/v1/invoices?organization_id={organization}");
    let page = server.until(&path, |p| p["data"][0]["line_count"] == 3).await;
    let invoice = text(&page["data"][0]["id"]);
    let lines = server.json(&format!("/v1/invoices/{invoice}")).await;
    let booking = booking(server, (name, &vehicle, &organization)).await;
    let key = key_of(server, "owner", &json!(organization)).await;
    let person = json!({ "email": format!("ana@{name}.example"), "name": "Ana", "role": "driver" });
    let user = text(&server.by(&key, "POST /v1/users", Some(&person)).await.json()["id"]);
    let place = json!({ "name": format!("Depot of {name}"), "geometry": square(55.0) });
    let geofence = text(&server.by(&key, "POST /v1/geofences", Some(&place)).await.json()["id"]);
    let hook = json!({ "url": format!("https://hooks.{name}.example/"), "event_types": ["Nothing"] });
    let hook = text(&server.by(&key, "POST /v1/webhook-endpoints", Some(&hook)).await.json()["id"]);
    let (set, deployment, command) = agents::of_tenant(server, (&key, &vehicle)).await;
    agents::online(server, broker, &vehicle).await;
    let (device, certificate) = devices::of_tenant(server, (&key, &vehicle)).await;
    let (schedule, order) = maintenance::of_tenant(server, (&key, &vehicle)).await;
    let (driver, assignment) = drivers::of_tenant(server, (&key, &vehicle)).await;
    let group = groups::of_tenant(server, (&key, &vehicle)).await;
    let correction = corrections::of_tenant(server, (&key, &trip_id)).await;
    let (rule, alert) = alerts::of_tenant(server, (&key, &vehicle)).await;
    let own_keys = server.by(&key, "GET /v1/api-keys", None).await.json();
    let ids = BTreeMap::from([
        ("organizations", organization),
        ("tariffs", prices),
        ("vehicles", vehicle),
        ("trips", trip_id),
        ("invoices", invoice),
        ("bookings", booking),
        ("users", user),
        ("geofences", geofence),
        ("campaign-sets", set),
        ("campaign-deployments", deployment),
        ("commands", command),
        ("devices", device),
        ("certificates", certificate),
        ("maintenance-schedules", schedule),
        ("work-orders", order),
        ("drivers", driver),
        ("driver-assignments", assignment),
        ("groups", group),
        ("trip-corrections", correction),
        ("alert-rules", rule),
        ("alerts", alert),
        ("webhook-endpoints", hook),
        ("api-keys", text(&own_keys["data"][0]["id"])),
    ]);
    Tenant { key, ids, line: text(&lines["lines"][0]["id"]) }
}

/// A booking of the organization's vehicle, that it was told of.
async fn booking(server: &Server, (name, vehicle, organization): (&str, &str, &str)) -> String {
    let posted = async |path: &str, body: Value| {
        let key = format!("{name} {path}");
        let answer = server.send(&format!("POST {path}"), &[("idempotency-key", &key)], Some(&body)).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let wallet = posted("/v1/wallets", json!({ "organization_id": organization })).await;
    let top_up = json!({ "amount_minor": 10_000, "reference": "x" });
    posted(&format!("/v1/wallets/{wallet}/top-ups"), top_up).await;
    let new = json!({ "vehicle_id": vehicle, "from": "2026-11-24T08:00:00Z", "to": "2026-11-24T12:00:00Z" });
    let booking = posted("/v1/bookings", new).await;
    let path = format!("/v1/notifications?organization_id={organization}");
    server.until(&path, |p| p["data"][0]["subject_id"] == booking.as_str()).await;
    booking
}

#[tokio::test]
async fn an_organization_sees_its_own_on_every_get_and_nothing_of_another() {
    let reached = agents::reached().await;
    let (acme, bolt) = (tenant(&reached, "acme").await, tenant(&reached, "bolt").await);
    let server = reached.0;
    let now = Timestamp::parse(NOW).unwrap();
    server.lake.see(vec![state("car-acme", now, 50.0), state("car-bolt", now, 50.0)]);
    let told = told();
    for what in described(&server).await.iter().filter(|what| what.starts_with("GET ")) {
        let route = what.strip_prefix("GET ").unwrap();
        if told[what].whose != "own" {
            continue;
        }
        if route.contains("{id}") {
            let thing = route.split('/').nth(2).unwrap();
            let path = |of: &Tenant| route.replace("{id}", &of.ids[thing]).replace("{line_id}", &of.line);
            let own = server.by(&acme.key, &format!("GET {}", path(&acme)), None).await;
            assert_eq!(own.status, 200, "{route}: {}", own.body);
            let others = server.by(&bolt.key, &format!("GET {}", path(&acme)), None).await;
            assert_eq!(others.status, 404, "{route}: {}", others.body);
            let none = path(&acme).replace(&acme.ids[thing], &absent(&acme.ids[thing]));
            let none = server.by(&bolt.key, &format!("GET {none}"), None).await;
            let like = others.body.replace(&acme.ids[thing], &absent(&acme.ids[thing]));
            assert_eq!(none.body, like, "{route}: one of another's is as one that is not there");
            continue;
        }
        let own = match route {
            // Nobody's in particular.
            "/v1/openapi.json" | "/v1/certificate-authority" | "/v1/basemap" => continue,
            // Nobody has signed in; sign_in_sessions.rs has that.
            "/v1/sessions" => continue,
            "/v1/tracking" => {
                read_until(server.handle.addr, what, &bolt.key, |text| text.contains("\"car-bolt\"")).await
            }
            _ => {
                let answer = server.by(&bolt.key, what, None).await;
                assert_eq!(answer.status, 200, "{route}: {}", answer.body);
                answer.body
            }
        };
        assert!(own.contains("bolt") || bolt.ids.values().any(|id| own.contains(id)), "{route}: {own}");
        assert!(!own.contains("acme"), "{route}: {own}");
        assert!(!acme.ids.values().any(|id| own.contains(id)), "{route}: {own}");
    }
    let query = json!({ "query": "SELECT vehicle_id FROM trips" });
    let rows = |key: &str| {
        let (server, query, key) = (&server, &query, key.to_owned());
        async move { server.by(&key, "POST /v1/sql", Some(query)).await.json()["rows"].clone() }
    };
    assert_eq!(rows(&bolt.key).await, json!([["car-bolt"]]));
    assert_eq!(rows(OPERATOR).await, json!([["car-acme"], ["car-bolt"]]));
    let filtered = format!("GET /v1/vehicles?organization_id={}", acme.ids["organizations"]);
    assert_eq!(server.by(&bolt.key, &filtered, None).await.status, 404);
    for list in ["vehicles", "fleet/status", "tracking", "trips", "maintenance-due"] {
        let filtered = format!("GET /v1/{list}?group_id={}", acme.ids["groups"]);
        assert_eq!(server.by(&bolt.key, &filtered, None).await.status, 404, "{list}");
    }
    let filtered = server.by(&bolt.key, "GET /v1/trips?vehicle_id=car-acme", None).await;
    assert_eq!(filtered.json()["data"], json!([]));
}

/// An id of the same kind that is nothing's.
fn absent(id: &str) -> String {
    match id.split_once('_') {
        Some((prefix, _)) => format!("{prefix}_absent"),
        None => "absent".to_owned(),
    }
}

#[tokio::test]
async fn an_organization_changes_nothing_of_another() {
    let reached = agents::reached().await;
    let (acme, bolt) = (tenant(&reached, "acme").await, tenant(&reached, "bolt").await);
    let server = reached.0;
    let theirs = &acme.ids["organizations"];
    let patch = json!({ "name": "mine" });
    for (what, body, status) in [
        ("PATCH /v1/vehicles/car-acme".to_owned(), patch.clone(), 404),
        // The path is decoded before it is looked at.
        ("PATCH /v1/vehicles/car%2Dacme".to_owned(), patch.clone(), 404),
        (format!("PATCH /v1/users/{}", acme.ids["users"]), patch, 404),
        (format!("PATCH /v1/geofences/{}", acme.ids["geofences"]), json!({ "name": "mine" }), 404),
        (format!("DELETE /v1/geofences/{}", acme.ids["geofences"]), Value::Null, 404),
        (
            "POST /v1/geofences".to_owned(),
            json!({ "name": "x", "geometry": square(1.0), "organization_id": theirs }),
            422,
        ),
        (format!("DELETE /v1/webhook-endpoints/{}", acme.ids["webhook-endpoints"]), Value::Null, 404),
        (
            format!("POST /v1/webhook-endpoints/{}/rotate-secret", acme.ids["webhook-endpoints"]),
            Value::Null,
            404,
        ),
        (format!("PATCH /v1/devices/{}", acme.ids["devices"]), json!({ "name": "mine" }), 404),
        (format!("POST /v1/devices/{}/retire", acme.ids["devices"]), Value::Null, 404),
        (
            format!("POST /v1/certificates/{}/revoke", acme.ids["certificates"]),
            json!({ "reason": "unspecified" }),
            404,
        ),
        (
            format!("PATCH /v1/maintenance-schedules/{}", acme.ids["maintenance-schedules"]),
            json!({ "name": "mine" }),
            404,
        ),
        (format!("PATCH /v1/work-orders/{}", acme.ids["work-orders"]), json!({ "title": "mine" }), 404),
        (
            format!("POST /v1/work-orders/{}/cancel", acme.ids["work-orders"]),
            json!({ "reason": "mine" }),
            404,
        ),
        (format!("PATCH /v1/drivers/{}", acme.ids["drivers"]), json!({ "name": "mine" }), 404),
        ("POST /v1/drivers".to_owned(), json!({ "name": "x", "organization_id": theirs }), 422),
        ("POST /v1/drivers".to_owned(), json!({ "name": "x", "user_id": acme.ids["users"] }), 422),
        (
            format!("PATCH /v1/driver-assignments/{}", acme.ids["driver-assignments"]),
            json!({ "note": "mine" }),
            404,
        ),
        (format!("DELETE /v1/driver-assignments/{}", acme.ids["driver-assignments"]), Value::Null, 404),
        (format!("POST /v1/driver-assignments/{}/end", acme.ids["driver-assignments"]), json!({}), 404),
        (
            "POST /v1/driver-assignments".to_owned(),
            json!({ "driver_id": acme.ids["drivers"], "vehicle_id": "car-bolt", "replaces": true }),
            422,
        ),
        (
            "POST /v1/driver-assignments".to_owned(),
            json!({ "driver_id": bolt.ids["drivers"], "vehicle_id": "car-acme", "replaces": true }),
            422,
        ),
        (format!("DELETE /v1/trip-corrections/{}", acme.ids["trip-corrections"]), Value::Null, 404),
        (
            "POST /v1/trips:mark".to_owned(),
            json!({ "trip_id": acme.ids["trips"], "purpose": "private" }),
            422,
        ),
        (format!("PATCH /v1/alert-rules/{}", acme.ids["alert-rules"]), json!({ "is_enabled": false }), 404),
        (format!("DELETE /v1/alert-rules/{}", acme.ids["alert-rules"]), Value::Null, 404),
        (format!("POST /v1/alerts/{}/acknowledge", acme.ids["alerts"]), json!({ "note": "mine" }), 404),
        (format!("PATCH /v1/groups/{}", acme.ids["groups"]), json!({ "name": "mine" }), 404),
        (format!("DELETE /v1/groups/{}", acme.ids["groups"]), Value::Null, 404),
        (format!("PUT /v1/groups/{}/vehicles/car-bolt", acme.ids["groups"]), Value::Null, 404),
        (format!("PUT /v1/groups/{}/vehicles/car-acme", bolt.ids["groups"]), Value::Null, 404),
        (format!("DELETE /v1/groups/{}/vehicles/car-acme", acme.ids["groups"]), Value::Null, 404),
        (format!("POST /v1/groups/{}/vehicles", acme.ids["groups"]), json!({ "remove": ["car-acme"] }), 404),
        (format!("POST /v1/groups/{}/vehicles", bolt.ids["groups"]), json!({ "add": ["car-acme"] }), 422),
        ("POST /v1/groups".to_owned(), json!({ "name": "x", "organization_id": theirs }), 422),
        (format!("DELETE /v1/api-keys/{}", acme.ids["api-keys"]), Value::Null, 404),
        ("PATCH /v1/vehicles/car-bolt".to_owned(), json!({ "organization_id": theirs }), 422),
        // Nor may it take a vehicle that is nobody's yet: its readings may be there.
        ("POST /v1/vehicles".to_owned(), json!({ "vehicle_id": "car-9", "organization_id": theirs }), 403),
        ("POST /v1/vehicles".to_owned(), json!({ "vehicle_id": "car-9" }), 403),
        (
            "POST /v1/api-keys".to_owned(),
            json!({ "name": "x", "role": "owner", "organization_id": theirs }),
            422,
        ),
        (
            "POST /v1/users".to_owned(),
            json!({ "name": "x", "email": "x@y.example", "role": "owner", "organization_id": theirs }),
            422,
        ),
        (
            "POST /v1/api-keys".to_owned(),
            json!({ "name": "x", "role": "driver", "user_id": acme.ids["users"] }),
            422,
        ),
        ("POST /v1/organizations".to_owned(), json!({}), 403),
        (format!("POST /v1/bookings/{}/cancel", acme.ids["bookings"]), Value::Null, 404),
        (format!("POST /v1/bookings/{}/start", acme.ids["bookings"]), Value::Null, 404),
        (
            format!("POST /v1/bookings/{}/extend", acme.ids["bookings"]),
            json!({ "to": "2026-11-24T13:00:00Z" }),
            404,
        ),
        (
            "POST /v1/bookings".to_owned(),
            json!({ "vehicle_id": "car-acme", "from": "2026-11-25T08:00:00Z", "to": "2026-11-25T09:00:00Z" }),
            422,
        ),
    ] {
        let bearer = format!("Bearer {}", bolt.key);
        let headers =
            [("authorization", bearer.as_str()), ("if-match", "\"1\""), ("idempotency-key", what.as_str())];
        let answer = server.send(&what, &headers, Some(&body).filter(|b| !b.is_null())).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
    }
    assert_eq!(server.json("/v1/vehicles/car-acme").await["name"], "car-acme");
    assert_eq!(server.by(&acme.key, "GET /v1/vehicles", None).await.status, 200, "its key is not revoked");
    // What is new is their own without being told.
    let new = json!({ "name": "z", "email": "z@bolt.example", "role": "driver" });
    let made = server.by(&bolt.key, "POST /v1/users", Some(&new)).await;
    assert_eq!(made.json()["organization_id"], json!(bolt.ids["organizations"]));
}
