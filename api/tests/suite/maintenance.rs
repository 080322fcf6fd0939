//! Maintenance: what comes due by distance and time, said once, and the orders for it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use analytics::row::TripRow;
use api::maintenance::inspector::Inspector;
use serde_json::{Value, json};
use service::clock::ManualClock;

use super::{
    Server,
    access::{key_of, locked},
    booking_saga::stopped,
    follow::{killed_after, killed_at, open},
    rebuild::rows,
};
use crate::{
    client::Answer,
    fake_lake::{revised, trip},
    place::Place,
    server::NOW,
};

const DAY: Duration = Duration::from_secs(86_400);
/// Points at which an inspector is killed.
const KILLS: usize = 12;
const SCHEDULES: &str = "/v1/maintenance-schedules";
const ORDERS: &str = "/v1/work-orders";

/// A trip at whose end the odometer shows so much; `n` orders them.
fn driven(vehicle: &str, n: u32, odometer_km: f64) -> TripRow {
    let start = format!("2026-11-23T10:{n:02}:00Z");
    let trip = trip(&format!("{vehicle}-{n}"), vehicle, &start, (1_000, 50, 0));
    TripRow { odometer_end_km: Some(odometer_km), ..trip }
}

/// Drives, and waits until that is known.
async fn drive(server: &Server, vehicle: &str, (n, odometer_km): (u32, f64)) {
    server.lake.commit(vec![driven(vehicle, n, odometer_km)]);
    server.until(&format!("/v1/vehicles/{vehicle}"), |v| v["odometer_km"] == odometer_km).await;
}

async fn posted(server: &Server, path: &str, body: Value) -> Value {
    let answer = server.post(path, body).await;
    assert!([200, 201].contains(&answer.status), "{path}: {}", answer.body);
    answer.json()
}

async fn patch(server: &Server, path: &str, version: i64, body: Value) -> Answer {
    server.send(&format!("PATCH {path}"), &[("if-match", &format!("\"{version}\""))], Some(&body)).await
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().unwrap()
}

/// The rows of what is due, by schedule's name.
async fn due(server: &Server, query: &str) -> Vec<Value> {
    server.json(&format!("/v1/maintenance-due?{query}")).await["data"].as_array().unwrap().clone()
}

fn names(rows: &[Value]) -> Vec<(&str, &str)> {
    rows.iter().map(|r| (r["schedule_name"].as_str().unwrap(), r["status"].as_str().unwrap())).collect()
}

/// How often each event of maintenance happened.
async fn said(server: &Server) -> BTreeMap<String, usize> {
    let page = server.json("/v1/events?limit=200").await;
    counts(page["data"].as_array().unwrap().iter().map(|e| e["event_type"].as_str().unwrap().to_owned()))
}

fn counts(types: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event_type in types.filter(|t| t.starts_with("Maintenance") || t.starts_with("WorkOrder")) {
        *counts.entry(event_type).or_default() += 1;
    }
    counts
}

/// Waits until that was said so often.
async fn until_said(server: &Server, event_type: &str, count: usize) {
    let is_it = |e: &&Value| e["event_type"] == event_type;
    let enough = |p: &Value| p["data"].as_array().unwrap().iter().filter(is_it).count() >= count;
    server.until("/v1/events?limit=200", enough).await;
}

/// A server with a customer whose car-1 has driven 1,000 km.
async fn fleet() -> (Server, String) {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    drive(&server, "car-1", (0, 1_000.0)).await;
    (server, organization)
}

fn plan(organization: &str, name: &str, every: Value) -> Value {
    let mut plan = json!({ "name": name, "organization_id": organization });
    plan.as_object_mut().unwrap().extend(every.as_object().unwrap().clone());
    plan
}

#[tokio::test]
async fn the_limit_that_comes_first_makes_work_due_and_is_said_once() {
    let (server, organization) = fleet().await;
    for (name, every) in [
        ("Oil", json!({ "every_km": 1_000 })),
        ("Brakes", json!({ "every_days": 30 })),
        ("Tyres", json!({ "every_km": 50_000, "every_days": 40, "remind_days": 1 })),
    ] {
        let made = posted(&server, SCHEDULES, plan(&organization, name, every)).await;
        assert_eq!((&made["is_enabled"], &made["vehicle_ids"]), (&json!(true), &json!([])), "{made}");
    }
    let rows = due(&server, "vehicle_id=car-1").await;
    assert_eq!(names(&rows).iter().map(|(_, status)| *status).collect::<Vec<_>>(), ["ok"; 3]);
    let of = |rows: &[Value], name: &str| rows.iter().find(|r| r["schedule_name"] == name).unwrap().clone();
    let oil = of(&rows, "Oil");
    assert_eq!((&oil["due_odometer_km"], &oil["left_km"]), (&json!(2_000.0), &json!(1_000.0)), "{oil}");
    assert_eq!(
        (&oil["due_at"], &oil["left_days"], &oil["last_done_at"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let brakes = of(&rows, "Brakes");
    assert_eq!((&brakes["due_at"], &brakes["left_days"]), (&json!("2026-12-23T12:00:00Z"), &json!(30)));
    assert_eq!((&brakes["due_odometer_km"], &brakes["left_km"]), (&Value::Null, &Value::Null));

    drive(&server, "car-1", (1, 1_900.0)).await;
    until_said(&server, "MaintenanceDueSoon", 1).await;
    let rows = due(&server, "").await;
    assert_eq!(names(&rows)[0], ("Oil", "due_soon"), "the most urgent first");
    let order = server.json(&format!("{ORDERS}/{}", rows[0]["work_order_id"].as_str().unwrap())).await;
    assert_eq!(
        (&order["title"], &order["is_automatic"], &order["status"]),
        (&json!("Oil"), &json!(true), &json!("open"))
    );
    assert_eq!((&order["vehicle_name"], &order["organization_id"]), (&json!("car-1"), &json!(organization)));

    drive(&server, "car-1", (2, 2_100.0)).await;
    until_said(&server, "MaintenanceOverdue", 1).await;
    // By the days, though not a kilometre was driven.
    server.clock.advance(30 * DAY);
    until_said(&server, "MaintenanceOverdue", 2).await;
    let rows = due(&server, "status=overdue").await;
    assert_eq!(names(&rows), [("Oil", "overdue"), ("Brakes", "overdue")]);
    assert_eq!((&rows[0]["left_km"], &rows[1]["left_days"]), (&json!(-100.0), &json!(0)));
    server.clock.advance(9 * DAY);
    until_said(&server, "MaintenanceDueSoon", 2).await;
    server.clock.advance(100 * DAY);
    until_said(&server, "MaintenanceOverdue", 3).await;
    let rows = due(&server, "").await;
    assert_eq!(rows[0]["schedule_name"], "Brakes", "over by more of its interval than the others: {rows:?}");
    assert_eq!(server.json(&format!("{ORDERS}?status=open")).await["data"].as_array().unwrap().len(), 3);

    // Whatever time passes, no more is said.
    let stage = Stage::of(server).await;
    stage.clock.advance(500 * DAY);
    assert_eq!(stage.inspector().look().await.unwrap(), 0);
    let told = stage.said().await;
    for (event_type, count) in [
        ("MaintenanceBegun", 3),
        ("MaintenanceDueSoon", 2),
        ("MaintenanceOverdue", 3),
        ("WorkOrderOpened", 3),
    ] {
        assert_eq!(told.get(event_type), Some(&count), "{event_type} in {told:?}");
    }
}

#[tokio::test]
async fn pages_of_what_is_due_hold_each_row_once() {
    let (server, organization) = fleet().await;
    for days in [10, 30, 20] {
        posted(&server, SCHEDULES, plan(&organization, &format!("{days}"), json!({ "every_days": days })))
            .await;
    }
    server.clock.advance(5 * DAY);
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.json(&format!("/v1/maintenance-due?limit=1{cursor}")).await;
        found.push(page["data"][0]["schedule_name"].as_str().unwrap().to_owned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, ["10", "20", "30"]);
    for bad in ["cursor=00", "limit=0"] {
        assert_eq!(server.get(&format!("/v1/maintenance-due?{bad}")).await.status, 422, "{bad}");
    }
    assert_eq!(server.get("/v1/maintenance-due?vehicle_id=car-9").await.status, 404);
    assert_eq!(server.get("/v1/maintenance-due?schedule_id=msc_none").await.status, 404);
}

#[tokio::test]
async fn a_completed_order_begins_the_next_interval() {
    let (server, organization) = fleet().await;
    let schedule =
        posted(&server, SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 500, "every_days": 90 })))
            .await;
    drive(&server, "car-1", (1, 1_600.5)).await;
    until_said(&server, "MaintenanceOverdue", 1).await;
    let row = due(&server, "").await[0].clone();
    let path = format!("{ORDERS}/{}", row["work_order_id"].as_str().unwrap());
    let started =
        patch(&server, &path, 1, json!({ "status": "in_progress", "assigned_to": " Ana's garage " })).await;
    assert_eq!(started.status, 200, "{}", started.body);
    let order = started.json();
    assert_eq!(
        (&order["assigned_to"], &order["started_at"], &order["version"]),
        (&json!("Ana's garage"), &json!(NOW), &json!(3))
    );

    server.clock.advance(DAY);
    for (wrong, field) in [
        (json!({ "done_at": "2026-11-24T12:00:01Z" }), "done_at"),
        (json!({ "done_at": "yesterday" }), "done_at"),
        (json!({ "odometer_km": 2_600.6 }), "odometer_km"),
        (json!({ "odometer_km": -1.0 }), "odometer_km"),
        // It has been driven since.
        (json!({ "done_at": "2026-11-23T09:00:00Z" }), "odometer_km"),
        (json!({ "cost": { "amount_minor": -1, "currency": "EUR" } }), "cost.amount_minor"),
        (json!({ "cost": { "amount_minor": 1, "currency": "euro" } }), "cost.currency"),
    ] {
        let refused = server.post(&format!("{path}/complete"), wrong.clone()).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.body);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{wrong}: {}", refused.body);
    }
    let done = json!({ "cost": { "amount_minor": 12_990, "currency": "EUR" }, "notes": "5W-30" });
    let done = posted(&server, &format!("{path}/complete"), done).await;
    assert_eq!((&done["status"], &done["odometer_km"]), (&json!("done"), &json!(1_600.5)), "the known one");
    assert_eq!(done["cost"], json!({ "amount_minor": 12_990, "currency": "EUR" }));
    let row = due(&server, &format!("schedule_id={}", id(&schedule))).await[0].clone();
    assert_eq!((&row["status"], &row["work_order_id"]), (&json!("ok"), &Value::Null), "{row}");
    assert_eq!(
        (&row["last_done_at"], &row["last_done_odometer_km"]),
        (&json!("2026-11-24T12:00:00Z"), &json!(1_600.5))
    );
    assert_eq!((&row["due_odometer_km"], &row["due_at"]), (&json!(2_100.5), &json!("2027-02-22T12:00:00Z")));

    // The next interval comes due as the first did.
    server.clock.advance(90 * DAY);
    until_said(&server, "MaintenanceOverdue", 2).await;
    let again = due(&server, "").await[0]["work_order_id"].clone();
    assert!(again.is_string() && again != order["id"], "{again}");
    assert_eq!(server.json(&format!("{ORDERS}?status=done")).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn work_done_before_or_elsewhere_counts_as_it_was() {
    let (server, organization) = fleet().await;
    let schedule = posted(
        &server,
        SCHEDULES,
        plan(&organization, "Oil", json!({ "every_km": 1_000, "every_days": 365 })),
    )
    .await;
    let some = json!({ "every_km": 10, "vehicle_ids": [] });
    let other = posted(&server, SCHEDULES, plan(&organization, "Other", some)).await;
    let path = format!("{SCHEDULES}/{}/done", id(&schedule));
    posted(&server, "/v1/vehicles", json!({ "vehicle_id": "nobodys" })).await;
    for (vehicle, at, odometer_km, field) in [
        ("car-1", "2026-11-23T12:00:01Z", json!(900), "done_at"),
        ("car-1", "2026-11-01T12:00:00Z", json!(2_000.1), "odometer_km"),
        ("car-1", "2026-11-01T12:00:00Z", Value::Null, "odometer_km"),
        ("nobodys", "2026-11-01T12:00:00Z", json!(900), "vehicle_id"),
        ("car-9", "2026-11-01T12:00:00Z", json!(900), "vehicle_id"),
    ] {
        let refused = server
            .post(&path, json!({ "vehicle_id": vehicle, "done_at": at, "odometer_km": odometer_km }))
            .await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.body);
    }
    let done = |at: &str, km: f64| json!({ "vehicle_id": "car-1", "done_at": at, "odometer_km": km });
    let row = posted(&server, &path, done("2026-11-01T12:00:00Z", 800.0)).await;
    assert_eq!(
        (&row["status"], &row["left_km"], &row["left_days"]),
        (&json!("ok"), &json!(800.0), &json!(343)),
        "{row}"
    );
    let earlier = server.post(&path, done("2026-10-01T12:00:00Z", 700.0)).await;
    assert_eq!(earlier.status, 409, "{}", earlier.body);
    assert!(earlier.body.contains("2026-11-01T12:00:00Z"), "{}", earlier.body);

    // So long ago that it is due again: said with it, in one transaction.
    let path = format!("{SCHEDULES}/{}/done", id(&other));
    let row = posted(&server, &path, done("2026-01-01T12:00:00Z", 10.0)).await;
    assert_eq!(row["status"], "overdue", "{row}");
    assert!(row["work_order_id"].is_string(), "{row}");
    // Nothing is closed by itself: whoever had it done elsewhere says so of the order too.
    let row = posted(&server, &path, done("2026-11-23T12:00:00Z", 1_000.0)).await;
    assert_eq!(row["status"], "ok");
    let order = server.json(&format!("{ORDERS}/{}", row["work_order_id"].as_str().unwrap())).await;
    assert_eq!(order["status"], "open");
}

#[tokio::test]
async fn a_work_order_goes_one_way() {
    let (server, organization) = fleet().await;
    let schedule = posted(&server, SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 1_000 }))).await;
    let act = async |order: &Value, act: &str| -> Answer {
        let path = format!("{ORDERS}/{}", id(order));
        let version = server.json(&path).await["version"].as_i64().unwrap();
        match act {
            "complete" => server.post(&format!("{path}/complete"), json!({})).await,
            "cancel" => server.post(&format!("{path}/cancel"), json!({ "reason": "sold" })).await,
            "title" => patch(&server, &path, version, json!({ "title": "New" })).await,
            status => patch(&server, &path, version, json!({ "status": status })).await,
        }
    };
    let acts = ["open", "in_progress", "done", "cancelled", "complete", "cancel", "title"];
    let ways: [(&[&str], &[&str]); 5] = [
        (&[], &["in_progress", "cancel", "title"]),
        (&["in_progress"], &["complete", "cancel", "title"]),
        (&["in_progress", "complete"], &[]),
        (&["cancel"], &[]),
        (&["in_progress", "cancel"], &[]),
    ];
    for (way, may) in ways {
        for last in acts {
            let order = posted(&server, ORDERS, json!({ "vehicle_id": "car-1", "title": "Mirror" })).await;
            for step in way {
                assert_eq!(act(&order, step).await.status, 200, "{way:?}");
            }
            let answer = act(&order, last).await;
            let meant = if may.contains(&last) { 200 } else { 409 };
            assert_eq!(answer.status, meant, "{last} after {way:?}: {}", answer.body);
            assert!(meant == 200 || answer.json()["detail"].as_str().unwrap().len() > 40, "{}", answer.body);
        }
    }
    let new = json!({ "vehicle_id": "car-1", "title": "Oil", "schedule_id": schedule["id"], "due_at": "2026-12-01T00:00:00Z" });
    let order = posted(&server, ORDERS, new.clone()).await;
    assert_eq!((&order["schedule_id"], &order["is_automatic"]), (&schedule["id"], &json!(false)));
    let twice = server.post(ORDERS, new).await;
    assert!(twice.status == 409 && twice.body.contains(id(&order)), "{}", twice.body);
    let stale = patch(&server, &format!("{ORDERS}/{}", id(&order)), 7, json!({ "title": "x" })).await;
    assert_eq!(stale.status, 412, "{}", stale.body);
    for (wrong, field) in [
        (json!({ "vehicle_id": "car-9", "title": "x" }), "vehicle_id"),
        (json!({ "vehicle_id": "car-1", "title": " " }), "title"),
        (json!({ "vehicle_id": "car-1", "title": "x", "due_at": "soon" }), "due_at"),
        (json!({ "vehicle_id": "car-1", "title": "x", "schedule_id": "msc_none" }), "schedule_id"),
    ] {
        let refused = server.post(ORDERS, wrong).await;
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{}",
            refused.body
        );
    }
    // What is ordered already is not ordered by itself when it comes due.
    drive(&server, "car-1", (1, 2_000.0)).await;
    until_said(&server, "MaintenanceOverdue", 1).await;
    assert_eq!(due(&server, "").await[0]["work_order_id"], order["id"]);
    let listed = server.json(&format!("{ORDERS}?schedule_id={}&vehicle_id=car-1", id(&schedule))).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn vehicles_that_come_later_begin_when_they_come() {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    let schedule = posted(&server, SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 100 }))).await;
    assert_eq!(names(&due(&server, "").await), [("Oil", "unknown")], "no odometer is known");
    drive(&server, "car-1", (0, 7_000.0)).await;
    until_said(&server, "MaintenanceOdometerKnown", 1).await;
    assert_eq!(due(&server, "").await[0]["due_odometer_km"], 7_100.0, "from the first that is known");

    server.clock.advance(100 * DAY);
    posted(&server, "/v1/vehicles", json!({ "vehicle_id": "car-2", "organization_id": organization })).await;
    until_said(&server, "MaintenanceBegun", 2).await;
    drive(&server, "car-2", (0, 50.0)).await;
    until_said(&server, "MaintenanceOdometerKnown", 2).await;
    drive(&server, "car-2", (1, 140.0)).await;
    until_said(&server, "MaintenanceDueSoon", 1).await;
    assert_eq!(due(&server, "status=due_soon").await[0]["vehicle_name"], "car-2");

    // For some vehicles only, it is due for no other.
    let path = format!("{SCHEDULES}/{}", id(&schedule));
    let narrowed = patch(&server, &path, 1, json!({ "vehicle_ids": ["car-1"] })).await;
    assert_eq!(narrowed.status, 200, "{}", narrowed.body);
    let rows = due(&server, "").await;
    assert_eq!(rows.iter().map(|r| &r["vehicle_name"]).collect::<Vec<_>>(), ["car-1"]);
    posted(&server, "/v1/vehicles", json!({ "vehicle_id": "nobodys" })).await;
    let foreign = patch(&server, &path, 2, json!({ "vehicle_ids": ["nobodys"] })).await;
    assert!(foreign.status == 422 && foreign.body.contains("another organization"), "{}", foreign.body);
}

#[tokio::test]
async fn a_change_of_limits_counts_at_once_and_what_is_off_is_due_nowhere() {
    let (server, organization) = fleet().await;
    for (wrong, field) in [
        (json!({}), "every_km"),
        (json!({ "every_km": 0 }), "every_km"),
        (json!({ "every_km": 1_000_001 }), "every_km"),
        (json!({ "every_days": 3_651 }), "every_days"),
        (json!({ "every_km": 100, "remind_km": 100 }), "remind_km"),
        (json!({ "every_km": 100, "remind_days": 1 }), "remind_days"),
        (json!({ "every_km": 100, "name": " " }), "name"),
        (json!({ "every_km": 100, "vehicle_ids": ["car-1", "car-9"] }), "vehicle_ids[1]"),
        (json!({ "every_km": 100, "organization_id": "org_none" }), "organization_id"),
    ] {
        let refused = server.post(SCHEDULES, plan(&organization, "x", wrong.clone())).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.body);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{wrong}: {}", refused.body);
    }
    let made = posted(
        &server,
        SCHEDULES,
        plan(&organization, "Oil", json!({ "every_km": 1_000, "every_days": 10 })),
    )
    .await;
    assert_eq!((&made["remind_km"], &made["remind_days"]), (&json!(100), &json!(5)), "{made}");
    let path = format!("{SCHEDULES}/{}", id(&made));
    drive(&server, "car-1", (1, 1_500.0)).await;
    let shorter = patch(&server, &path, 1, json!({ "every_km": 500, "every_days": null })).await.json();
    assert_eq!((&shorter["remind_km"], &shorter["remind_days"]), (&json!(100), &Value::Null), "{shorter}");
    // Said with the change, not a beat later.
    assert_eq!(said(&server).await.get("MaintenanceOverdue"), Some(&1));
    let longer = patch(&server, &path, 2, json!({ "every_km": 550 })).await;
    assert_eq!(
        said(&server).await.get("MaintenanceDueSoon"),
        Some(&1),
        "anew, by another limit: {}",
        longer.body
    );
    assert_eq!(said(&server).await.get("WorkOrderOpened"), Some(&1), "which is still open");
    assert_eq!(patch(&server, &path, 3, json!({ "is_enabled": false })).await.status, 200);
    assert_eq!(due(&server, "").await, [] as [Value; 0]);
    assert_eq!(server.send(&format!("DELETE {path}"), &[], None).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
    // Its order stays, and can be done.
    let order = server.json(&format!("{ORDERS}?status=open")).await["data"][0].clone();
    let order_path = format!("{ORDERS}/{}", id(&order));
    assert_eq!(patch(&server, &order_path, 1, json!({ "status": "in_progress" })).await.status, 200);
    assert_eq!(posted(&server, &format!("{order_path}/complete"), json!({})).await["status"], "done");
}

#[tokio::test]
async fn an_odometer_that_goes_back_closes_nothing_and_is_not_said_twice() {
    let (server, organization) = fleet().await;
    posted(&server, SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 100 }))).await;
    let far = driven("car-1", 1, 1_200.0);
    server.lake.commit(vec![far.clone()]);
    until_said(&server, "MaintenanceOverdue", 1).await;
    // Later data: it was not so far.
    server.lake.commit(vec![TripRow { odometer_end_km: Some(1_010.0), ..revised(&far, 1_000) }]);
    let back = server.until("/v1/maintenance-due", |p| p["data"][0]["status"] == "ok").await;
    let row = &back["data"][0];
    assert_eq!((&row["left_km"], row["work_order_id"].is_string()), (&json!(90.0), true), "{row}");
    drive(&server, "car-1", (2, 1_150.0)).await;
    assert_eq!(due(&server, "").await[0]["status"], "overdue");
    let stage = Stage::of(server).await;
    assert_eq!(stage.inspector().look().await.unwrap(), 0);
    let told = stage.said().await;
    assert_eq!(
        (told.get("MaintenanceOverdue"), told.get("WorkOrderOpened")),
        (Some(&1), Some(&1)),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_organization_has_its_own_maintenance_alone() {
    let server = locked(|config| config).await;
    let mut keys = Vec::new();
    for (name, vehicle) in [("Acme", "van-1"), ("Bolt", "van-2")] {
        let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
        let organization = posted(&server, "/v1/organizations", new).await["id"].clone();
        posted(&server, "/v1/vehicles", json!({ "vehicle_id": vehicle, "organization_id": organization }))
            .await;
        keys.push((key_of(&server, "dispatcher", &organization).await, organization));
    }
    let ((own, acme), (other, bolt)) = (&keys[0], &keys[1]);
    let new = json!({ "name": "Oil", "every_days": 1 });
    let schedule = server.by(own, &format!("POST {SCHEDULES}"), Some(&new)).await.json();
    assert_eq!(&schedule["organization_id"], acme);
    let repair = json!({ "vehicle_id": "van-1", "title": "Mirror" });
    let order = server.by(own, &format!("POST {ORDERS}"), Some(&repair)).await.json();
    assert_eq!(&order["organization_id"], acme);
    let (schedule_path, order_path) =
        (format!("{SCHEDULES}/{}", id(&schedule)), format!("{ORDERS}/{}", id(&order)));
    let done = json!({ "vehicle_id": "van-1", "done_at": NOW });
    for (what, body, status) in [
        (format!("GET {schedule_path}"), None, 404),
        (format!("DELETE {schedule_path}"), None, 404),
        (format!("POST {schedule_path}/done"), Some(done.clone()), 404),
        (format!("GET {order_path}"), None, 404),
        (format!("POST {order_path}/complete"), Some(json!({})), 404),
        (format!("POST {order_path}/cancel"), Some(json!({ "reason": "x" })), 404),
        (format!("POST {ORDERS}"), Some(repair.clone()), 422),
        (
            format!("POST {ORDERS}"),
            Some(json!({ "vehicle_id": "van-2", "title": "x", "schedule_id": schedule["id"] })),
            422,
        ),
        (
            format!("POST {SCHEDULES}"),
            Some(json!({ "name": "x", "every_days": 1, "vehicle_ids": ["van-1"] })),
            422,
        ),
        (
            format!("POST {SCHEDULES}"),
            Some(json!({ "name": "x", "every_days": 1, "organization_id": acme })),
            422,
        ),
        (format!("GET /v1/maintenance-due?schedule_id={}", id(&schedule)), None, 404),
        ("GET /v1/maintenance-due?vehicle_id=van-1".to_owned(), None, 404),
    ] {
        assert_eq!(server.by(other, &what, body.as_ref()).await.status, status, "{what}");
    }
    for list in [SCHEDULES, ORDERS, "/v1/maintenance-due", "/v1/work-orders?vehicle_id=van-1"] {
        assert_eq!(server.by(other, &format!("GET {list}"), None).await.json()["data"], json!([]), "{list}");
        assert_ne!(server.by(own, &format!("GET {list}"), None).await.json()["data"], json!([]), "{list}");
    }
    // The vehicle is sold: it is in no schedule of who had it, and what they order is of what they have.
    let sold = patch(&server, "/v1/vehicles/van-1", 1, json!({ "organization_id": bolt })).await;
    assert_eq!(sold.status, 200, "{}", sold.body);
    assert_eq!(server.by(own, "GET /v1/maintenance-due", None).await.json()["data"], json!([]));
    assert_eq!(server.by(own, &format!("POST {ORDERS}"), Some(&repair)).await.status, 422);
    assert_eq!(server.by(own, &format!("POST {schedule_path}/done"), Some(&done)).await.status, 422);
    assert_eq!(
        server.by(own, &format!("GET {order_path}"), None).await.status,
        200,
        "the order stays theirs"
    );
}

/// The database of a server that has stopped, and time in the test's hand.
struct Stage {
    place: Place,
    db: api::db::Db,
    clock: Arc<ManualClock>,
}

impl Stage {
    async fn of(server: Server) -> Self {
        let clock = server.clock.clone();
        Self::at(stopped(server).await, clock).await
    }

    async fn at(place: Place, clock: Arc<ManualClock>) -> Self {
        let db = open(&place).await;
        Self { place, db, clock }
    }

    fn inspector(&self) -> Inspector {
        Inspector::new(self.db.clone(), self.clock.clone())
    }

    async fn said(&self) -> BTreeMap<String, usize> {
        let mut conn = self.db.read().await.unwrap();
        let events = api::events::after(&mut conn, 0, 10_000).await.unwrap();
        counts(events.into_iter().map(|event| event.event_type))
    }
}

/// A stopped server's database: three vehicles with two schedules, of which one comes due while nobody looks.
async fn prepared() -> (Place, Arc<ManualClock>) {
    let (server, organization) = fleet().await;
    for vehicle in ["car-2", "car-3"] {
        posted(&server, "/v1/vehicles", json!({ "vehicle_id": vehicle, "organization_id": organization }))
            .await;
    }
    posted(&server, SCHEDULES, plan(&organization, "Brakes", json!({ "every_days": 10 }))).await;
    posted(
        &server,
        SCHEDULES,
        plan(&organization, "Tyres", json!({ "every_days": 100, "every_km": 90_000 })),
    )
    .await;
    let clock = server.clock.clone();
    let place = stopped(server).await;
    clock.advance(20 * DAY);
    (place, clock)
}

#[tokio::test]
async fn killed_at_any_await_what_is_due_is_said_and_ordered_once() {
    let (clean, clock) = prepared().await;
    let now_us = service::clock::Clock::now_us(clock.as_ref());
    killed_at(KILLS, async |polls| {
        let stage = Stage::at(clean.copy().await, ManualClock::at(now_us)).await;
        let mut inspector = stage.inspector();
        let cut = killed_after(polls, inspector.look()).await;
        let Stage { place, db, clock } = stage;
        db.close().await;

        let stage = Stage::at(place, clock).await;
        let mut inspector = stage.inspector();
        while inspector.look().await.unwrap() > 0 {}
        let told = stage.said().await;
        let once = [("MaintenanceOverdue", 3), ("WorkOrderOpened", 3), ("MaintenanceBegun", 6)];
        for (event_type, count) in once {
            assert_eq!(
                told.get(event_type),
                Some(&count),
                "{event_type}, killed after {polls} polls: {told:?}"
            );
        }
        assert_eq!(told.get("MaintenanceDueSoon"), None, "it is overdue");
        stage.db.close().await;
        cut
    })
    .await;
}

#[tokio::test]
async fn of_two_inspectors_one_says_it() {
    let (place, clock) = prepared().await;
    let other = open(&place).await;
    let stage = Stage::at(place, clock).await;
    let (mut one, mut two) = (stage.inspector(), Inspector::new(other.clone(), stage.clock.clone()));
    let (first, second) = tokio::join!(one.look(), two.look());
    assert_eq!(first.unwrap() + second.unwrap(), 3);
    assert_eq!(stage.said().await.get("WorkOrderOpened"), Some(&3));
    let before = rows(&stage.place).await;
    api::rebuild(&stage.db, &[api::Projection::Maintenance]).await.unwrap();
    assert_eq!(rows(&stage.place).await, before);
    other.close().await;
}

/// Schedules that were changed and deleted, work that was done, and orders in each state.
pub(super) async fn story(server: &Server, organization: &str) {
    let oil =
        posted(server, SCHEDULES, plan(organization, "Oil", json!({ "every_km": 1, "every_days": 30 })))
            .await;
    let path = format!("{SCHEDULES}/{}", id(&oil));
    assert_eq!(patch(server, &path, 1, json!({ "every_km": 2, "description": "5W-30" })).await.status, 200);
    posted(
        server,
        &format!("{path}/done"),
        json!({ "vehicle_id": "car-1", "done_at": "2026-01-01T00:00:00Z", "odometer_km": 0.333 }),
    )
    .await;
    let gone = posted(server, SCHEDULES, plan(organization, "Gone", json!({ "every_days": 1 }))).await;
    assert_eq!(server.send(&format!("DELETE {SCHEDULES}/{}", id(&gone)), &[], None).await.status, 204);
    for act in ["none", "start", "complete", "cancel"] {
        let order =
            posted(server, ORDERS, json!({ "vehicle_id": "car-1", "title": act, "notes": "n" })).await;
        let path = format!("{ORDERS}/{}", id(&order));
        if ["start", "complete"].contains(&act) {
            assert_eq!(patch(server, &path, 1, json!({ "status": "in_progress" })).await.status, 200);
        }
        let cost = json!({ "amount_minor": 1, "currency": "EUR" });
        match act {
            "complete" => drop(
                posted(
                    server,
                    &format!("{path}/complete"),
                    json!({ "odometer_km": 1_010.123, "cost": cost }),
                )
                .await,
            ),
            "cancel" => drop(posted(server, &format!("{path}/cancel"), json!({ "reason": "sold" })).await),
            _ => {}
        }
    }
}

/// A schedule and a work order of an organization, by its key for its vehicle.
pub(super) async fn of_tenant(server: &Server, (key, vehicle): (&str, &str)) -> (String, String) {
    let new = json!({ "name": format!("Oil of {vehicle}"), "every_days": 30 });
    let schedule = server.by(key, &format!("POST {SCHEDULES}"), Some(&new)).await.json();
    let new = json!({ "vehicle_id": vehicle, "title": "Mirror" });
    let order = server.by(key, &format!("POST {ORDERS}"), Some(&new)).await.json();
    (id(&schedule).to_owned(), id(&order).to_owned())
}
