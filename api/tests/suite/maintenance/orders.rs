//! Work orders, work that was done elsewhere, and the intervals that begin with either.

use super::*;

#[tokio::test]
async fn a_completed_order_begins_the_next_interval() {
    let (server, organization) = fleet().await;
    let schedule = server
        .posted(SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 500, "every_days": 90 })))
        .await;
    drive(&server, "car-1", (1, 1_600.5)).await;
    until_said(&server, "MaintenanceOverdue", 1).await;
    let row = due(&server, "").await[0].clone();
    let path = format!("{ORDERS}/{}", row["work_order_id"].as_str().unwrap());
    let started =
        server.patch(&path, 1, json!({ "status": "in_progress", "assigned_to": " Ana's garage " })).await;
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
    let done = server.posted(&format!("{path}/complete"), done).await;
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
    let schedule = server
        .posted(SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 1_000, "every_days": 365 })))
        .await;
    let some = json!({ "every_km": 10, "vehicle_ids": [] });
    let other = server.posted(SCHEDULES, plan(&organization, "Other", some)).await;
    let path = format!("{SCHEDULES}/{}/done", id(&schedule));
    server.posted("/v1/vehicles", json!({ "vehicle_id": "nobodys" })).await;
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
    let row = server.posted(&path, done("2026-11-01T12:00:00Z", 800.0)).await;
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
    let row = server.posted(&path, done("2026-01-01T12:00:00Z", 10.0)).await;
    assert_eq!(row["status"], "overdue", "{row}");
    assert!(row["work_order_id"].is_string(), "{row}");
    // Nothing is closed by itself: whoever had it done elsewhere says so of the order too.
    let row = server.posted(&path, done("2026-11-23T12:00:00Z", 1_000.0)).await;
    assert_eq!(row["status"], "ok");
    let order = server.json(&format!("{ORDERS}/{}", row["work_order_id"].as_str().unwrap())).await;
    assert_eq!(order["status"], "open");
}

#[tokio::test]
async fn a_work_order_goes_one_way() {
    let (server, organization) = fleet().await;
    let schedule = server.posted(SCHEDULES, plan(&organization, "Oil", json!({ "every_km": 1_000 }))).await;
    let act = async |order: &Value, act: &str| -> Answer {
        let path = format!("{ORDERS}/{}", id(order));
        let version = server.json(&path).await["version"].as_i64().unwrap();
        match act {
            "complete" => server.post(&format!("{path}/complete"), json!({})).await,
            "cancel" => server.post(&format!("{path}/cancel"), json!({ "reason": "sold" })).await,
            "title" => server.patch(&path, version, json!({ "title": "New" })).await,
            status => server.patch(&path, version, json!({ "status": status })).await,
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
            let order = server.posted(ORDERS, json!({ "vehicle_id": "car-1", "title": "Mirror" })).await;
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
    let order = server.posted(ORDERS, new.clone()).await;
    assert_eq!((&order["schedule_id"], &order["is_automatic"]), (&schedule["id"], &json!(false)));
    let twice = server.post(ORDERS, new).await;
    assert!(twice.status == 409 && twice.body.contains(id(&order)), "{}", twice.body);
    let stale = server.patch(&format!("{ORDERS}/{}", id(&order)), 7, json!({ "title": "x" })).await;
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
