//! Maintenance: what comes due by distance and time, said once, and the orders for it.

mod killed;
mod orders;

use std::{collections::BTreeMap, time::Duration};

use analytics::row::TripRow;
use serde_json::{Value, json};

use super::{
    Server,
    access::{key_of, locked},
};
use crate::{
    client::{Answer, id},
    fake_lake::{revised, trip},
    server::NOW,
};
use killed::Stage;

const DAY: Duration = Duration::from_secs(86_400);
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
        let made = server.posted(SCHEDULES, plan(&organization, name, every)).await;
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
        server
            .posted(SCHEDULES, plan(&organization, &format!("{days}"), json!({ "every_days": days })))
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
async fn vehicles_that_come_later_begin_when_they_come() {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    let schedule = server.posted(SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 100 }))).await;
    assert_eq!(names(&due(&server, "").await), [("Oil", "unknown")], "no odometer is known");
    drive(&server, "car-1", (0, 7_000.0)).await;
    until_said(&server, "MaintenanceOdometerKnown", 1).await;
    assert_eq!(due(&server, "").await[0]["due_odometer_km"], 7_100.0, "from the first that is known");

    server.clock.advance(100 * DAY);
    server.posted("/v1/vehicles", json!({ "vehicle_id": "car-2", "organization_id": organization })).await;
    until_said(&server, "MaintenanceBegun", 2).await;
    drive(&server, "car-2", (0, 50.0)).await;
    until_said(&server, "MaintenanceOdometerKnown", 2).await;
    drive(&server, "car-2", (1, 140.0)).await;
    until_said(&server, "MaintenanceDueSoon", 1).await;
    assert_eq!(due(&server, "status=due_soon").await[0]["vehicle_name"], "car-2");

    // For some vehicles only, it is due for no other.
    let path = format!("{SCHEDULES}/{}", id(&schedule));
    let narrowed = server.patch(&path, 1, json!({ "vehicle_ids": ["car-1"] })).await;
    assert_eq!(narrowed.status, 200, "{}", narrowed.body);
    let rows = due(&server, "").await;
    assert_eq!(rows.iter().map(|r| &r["vehicle_name"]).collect::<Vec<_>>(), ["car-1"]);
    server.posted("/v1/vehicles", json!({ "vehicle_id": "nobodys" })).await;
    let foreign = server.patch(&path, 2, json!({ "vehicle_ids": ["nobodys"] })).await;
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
    let made = server
        .posted(SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 1_000, "every_days": 10 })))
        .await;
    assert_eq!((&made["remind_km"], &made["remind_days"]), (&json!(100), &json!(5)), "{made}");
    let path = format!("{SCHEDULES}/{}", id(&made));
    drive(&server, "car-1", (1, 1_500.0)).await;
    let shorter = server.patch(&path, 1, json!({ "every_km": 500, "every_days": null })).await.json();
    assert_eq!((&shorter["remind_km"], &shorter["remind_days"]), (&json!(100), &Value::Null), "{shorter}");
    // Said with the change, not a beat later.
    assert_eq!(said(&server).await.get("MaintenanceOverdue"), Some(&1));
    let longer = server.patch(&path, 2, json!({ "every_km": 550 })).await;
    assert_eq!(
        said(&server).await.get("MaintenanceDueSoon"),
        Some(&1),
        "anew, by another limit: {}",
        longer.body
    );
    assert_eq!(said(&server).await.get("WorkOrderOpened"), Some(&1), "which is still open");
    assert_eq!(server.patch(&path, 3, json!({ "is_enabled": false })).await.status, 200);
    assert_eq!(due(&server, "").await, [] as [Value; 0]);
    assert_eq!(server.send(&format!("DELETE {path}"), &[], None).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
    // Its order stays, and can be done.
    let order = server.json(&format!("{ORDERS}?status=open")).await["data"][0].clone();
    let order_path = format!("{ORDERS}/{}", id(&order));
    assert_eq!(server.patch(&order_path, 1, json!({ "status": "in_progress" })).await.status, 200);
    assert_eq!(server.posted(&format!("{order_path}/complete"), json!({})).await["status"], "done");
}

#[tokio::test]
async fn an_odometer_that_goes_back_closes_nothing_and_is_not_said_twice() {
    let (server, organization) = fleet().await;
    server.posted(SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 100 }))).await;
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
        let organization = server.posted("/v1/organizations", new).await["id"].clone();
        server
            .posted("/v1/vehicles", json!({ "vehicle_id": vehicle, "organization_id": organization }))
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
    let sold = server.patch("/v1/vehicles/van-1", 1, json!({ "organization_id": bolt })).await;
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

/// Schedules that were changed and deleted, work that was done, and orders in each state.
pub(super) async fn story(server: &Server, organization: &str) {
    let oil =
        server.posted(SCHEDULES, plan(organization, "Oil", json!({ "every_km": 1, "every_days": 30 }))).await;
    let path = format!("{SCHEDULES}/{}", id(&oil));
    assert_eq!(server.patch(&path, 1, json!({ "every_km": 2, "description": "5W-30" })).await.status, 200);
    server
        .posted(
            &format!("{path}/done"),
            json!({ "vehicle_id": "car-1", "done_at": "2026-01-01T00:00:00Z", "odometer_km": 0.333 }),
        )
        .await;
    let gone = server.posted(SCHEDULES, plan(organization, "Gone", json!({ "every_days": 1 }))).await;
    assert_eq!(server.send(&format!("DELETE {SCHEDULES}/{}", id(&gone)), &[], None).await.status, 204);
    for act in ["none", "start", "complete", "cancel"] {
        let order = server.posted(ORDERS, json!({ "vehicle_id": "car-1", "title": act, "notes": "n" })).await;
        let path = format!("{ORDERS}/{}", id(&order));
        if ["start", "complete"].contains(&act) {
            assert_eq!(server.patch(&path, 1, json!({ "status": "in_progress" })).await.status, 200);
        }
        let cost = json!({ "amount_minor": 1, "currency": "EUR" });
        match act {
            "complete" => drop(
                server
                    .posted(&format!("{path}/complete"), json!({ "odometer_km": 1_010.123, "cost": cost }))
                    .await,
            ),
            "cancel" => drop(server.posted(&format!("{path}/cancel"), json!({ "reason": "sold" })).await),
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
