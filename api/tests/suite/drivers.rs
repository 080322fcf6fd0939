//! Drivers: who has which vehicle when, and by that who drove.

mod driving;

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
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

const DRIVERS: &str = "/v1/drivers";
const ASSIGNMENTS: &str = "/v1/driver-assignments";
const HOUR: Duration = Duration::from_secs(3_600);

fn path(thing: &Value) -> String {
    let of = if id(thing).starts_with("drv_") { DRIVERS } else { ASSIGNMENTS };
    format!("{of}/{}", id(thing))
}

/// A driver of an organization.
async fn driver(server: &Server, organization: &str, name: &str) -> Value {
    server.posted(DRIVERS, json!({ "name": name, "organization_id": organization })).await
}

/// A time of the day of the clock.
fn at(time: &str) -> String {
    format!("2026-11-23T{time}:00Z")
}

fn times(driver: &Value, vehicle: &str, from: &str, to: Option<&str>) -> Value {
    json!({ "driver_id": driver["id"], "vehicle_id": vehicle, "from": at(from), "to": to.map(at) })
}

/// A server with an organization, two of its vehicles and two of its drivers.
async fn fleet() -> (Server, String, [Value; 2]) {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    server.posted("/v1/vehicles", json!({ "vehicle_id": "car-2", "organization_id": organization })).await;
    let drivers = [driver(&server, &organization, "Ana").await, driver(&server, &organization, "Bo").await];
    (server, organization, drivers)
}

async fn names(server: &Server, query: &str) -> Vec<String> {
    let page = server.json(&format!("{DRIVERS}?{query}")).await;
    page["data"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap().to_owned()).collect()
}

fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 422, "{}", answer.body);
    let errors = answer.json()["errors"].clone();
    errors.as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_driver_is_registered_found_changed_and_leaves() {
    let (server, organization, [ana, bo]) = fleet().await;
    assert_eq!((&ana["status"], &ana["licence_classes"]), (&json!("active"), &json!([])));
    let user =
        json!({ "email": "cy@x.example", "name": "Cy", "role": "driver", "organization_id": organization });
    let user = server.posted("/v1/users", user).await;
    let new = json!({
        "name": " Cy Østergård ", "employee_number": "47_11", "user_id": user["id"], "licence_number": "DK 1",
        "licence_classes": ["ce", "B", "CE"], "licence_valid_until": "2027-01-31", "phone": "+45 12 34 56 78",
        "organization_id": organization,
    });
    let made = server.post(DRIVERS, new.clone()).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")), "{}", made.body);
    let cy = made.json();
    assert_eq!((&cy["name"], &cy["licence_classes"]), (&json!("Cy Østergård"), &json!(["B", "CE"])));
    assert_eq!(server.json(&path(&cy)).await, cy);
    for (query, found) in [
        ("", &["Ana", "Bo", "Cy Østergård"][..]),
        ("q=ØSTER", &["Cy Østergård"]),
        ("q=47_", &["Cy Østergård"]),
        ("q=4__1", &[]),
        ("q=%25", &[]),
        ("licence_ends_before=2027-02-01", &["Cy Østergård"]),
        ("licence_ends_before=2027-01-31", &[]),
        ("status=left", &[]),
        ("organization_id=org_none", &[]),
    ] {
        assert_eq!(names(&server, query).await, found, "{query}");
    }
    let first = server.json(&format!("{DRIVERS}?limit=2")).await;
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(names(&server, &format!("limit=2&cursor={next}")).await, ["Cy Østergård"]);

    for (twice, told) in [
        (json!({ "name": "Dan", "organization_id": organization, "employee_number": "47_11" }), "47_11"),
        (json!({ "name": "Dan", "organization_id": organization, "user_id": user["id"] }), id(&user)),
    ] {
        let refused = server.post(DRIVERS, twice).await;
        assert_eq!(refused.status, 409, "{}", refused.body);
        assert!(refused.body.contains(told) && refused.body.contains(id(&cy)), "{}", refused.body);
    }
    // Another employer numbers anew.
    server.posted(DRIVERS, json!({ "name": "Dan", "employee_number": "47_11" })).await;
    let bad = json!({
        "name": " ", "employee_number": "x".repeat(41), "user_id": "usr_none", "licence_number": "a\nb",
        "licence_classes": ["a b"], "licence_valid_until": "31.1.2027", "phone": "call me",
        "organization_id": organization,
    });
    let all = [
        "name",
        "employee_number",
        "user_id",
        "licence_number",
        "licence_classes",
        "licence_valid_until",
        "phone",
    ];
    assert_eq!(fields(&server.post(DRIVERS, bad).await), all);
    assert_eq!(
        fields(&server.get(&format!("{DRIVERS}?licence_ends_before=soon")).await),
        ["licence_ends_before"]
    );
    assert_eq!(server.send(&format!("PATCH {}", path(&cy)), &[], Some(&json!({}))).await.status, 428);
    assert_eq!(server.patch(&path(&cy), 2, json!({ "name": "x" })).await.status, 412);
    let less = json!({ "phone": null, "user_id": null, "licence_valid_until": null, "employee_number": " " });
    let changed = server.patch(&path(&cy), 1, less).await.json();
    assert_eq!((&changed["version"], &changed["name"]), (&json!(2), &json!("Cy Østergård")), "{changed}");
    for field in ["phone", "user_id", "licence_valid_until", "employee_number"] {
        assert_eq!(changed[field], Value::Null, "{field}");
    }
    assert_eq!(server.patch(&path(&cy), 2, json!({ "name": "Cy Østergård" })).await.json()["version"], 2);

    // What Bo has ends, what was to come is taken back.
    let now = server.posted(ASSIGNMENTS, times(&bo, "car-1", "11:00", Some("15:00"))).await;
    let later = server.posted(ASSIGNMENTS, times(&bo, "car-2", "16:00", None)).await;
    let driven = server.json(&path(&bo)).await;
    assert_eq!((&driven["vehicle_id"], &driven["vehicle_name"]), (&now["vehicle_id"], &json!("car-1")));
    assert_eq!(names(&server, "vehicle_id=car-1").await, ["Bo"]);
    assert_eq!(names(&server, "vehicle_id=car-2").await, [] as [&str; 0], "not yet");
    assert_eq!(server.get(&format!("{DRIVERS}?vehicle_id=car-9")).await.status, 404);
    server.clock.advance(HOUR);
    let left = server.patch(&path(&bo), 1, json!({ "status": "left", "name": "Bo B" })).await;
    let left = left.json();
    assert_eq!(
        (&left["status"], &left["version"], &left["vehicle_id"]),
        (&json!("left"), &json!(3), &Value::Null)
    );
    assert_eq!(server.json(&path(&now)).await["to"], at("13:00"));
    assert_eq!(server.get(&path(&later)).await.status, 404);
    assert_eq!(names(&server, "status=left").await, ["Bo B"]);
    assert_eq!(fields(&server.post(ASSIGNMENTS, times(&bo, "car-2", "12:00", None)).await), ["driver_id"]);
    server.posted(ASSIGNMENTS, times(&bo, "car-2", "09:00", Some("10:00"))).await;
    let longer = server.patch(&path(&now), 2, json!({ "to": null })).await;
    assert_eq!(fields(&longer), ["to"]);
    assert_eq!(server.patch(&path(&bo), 3, json!({ "status": "active" })).await.json()["version"], 4);
    server.posted(ASSIGNMENTS, times(&bo, "car-2", "13:00", None)).await;

    let page = server.json("/v1/events?limit=200").await;
    let all = page["data"].as_array().unwrap().iter();
    let of_bo = all.filter(|e| e["aggregate_id"] == bo["id"]).map(|e| e["event_type"].as_str().unwrap());
    assert_eq!(
        of_bo.collect::<Vec<_>>(),
        ["DriverRegistered", "DriverChanged", "DriverLeft", "DriverChanged"]
    );
    let registered = page["data"].as_array().unwrap().iter().find(|e| e["aggregate_id"] == bo["id"]).unwrap();
    assert_eq!(registered["data"]["organization_id"], json!(organization), "webhooks go by it");
}

#[tokio::test]
async fn a_vehicle_has_one_driver_at_a_time_and_a_driver_one_vehicle() {
    let (server, _, [ana, bo]) = fleet().await;
    let first = server.posted(ASSIGNMENTS, times(&ana, "car-1", "08:00", Some("12:00"))).await;
    assert_eq!((&first["from"], &first["to"]), (&json!(at("08:00")), &json!(at("12:00"))));
    assert_eq!((&first["driver_name"], &first["vehicle_name"]), (&json!("Ana"), &json!("car-1")));
    assert_eq!((&first["made_by"], &first["version"]), (&json!("local"), &json!(1)));
    assert_eq!(server.json(&path(&first)).await, first);
    for (who, vehicle, from, to) in [
        // The vehicle is taken.
        (&bo, "car-1", "07:00", Some("08:01")),
        (&bo, "car-1", "11:59", Some("13:00")),
        (&bo, "car-1", "09:00", Some("10:00")),
        (&bo, "car-1", "07:00", None),
        // The driver is.
        (&ana, "car-2", "11:59", None),
        (&ana, "car-2", "07:00", Some("08:01")),
        (&ana, "car-1", "08:00", Some("12:00")),
    ] {
        let refused = server.post(ASSIGNMENTS, times(who, vehicle, from, to)).await;
        assert_eq!(refused.status, 409, "{vehicle} {from} {to:?}: {}", refused.body);
        for told in [id(&first), &at("08:00"), &at("12:00")] {
            assert!(refused.body.contains(told), "{told} in {}", refused.body);
        }
    }
    // Where one ends the next begins.
    let before = server.posted(ASSIGNMENTS, times(&bo, "car-1", "07:00", Some("08:00"))).await;
    let open = server.posted(ASSIGNMENTS, times(&bo, "car-1", "12:00", None)).await;
    server.posted(ASSIGNMENTS, times(&ana, "car-2", "12:00", Some("13:00"))).await;

    // What is open is replaced if that is asked for, and it began before.
    let taken = server.post(ASSIGNMENTS, times(&ana, "car-1", "14:00", None)).await;
    assert!(taken.status == 409 && taken.body.contains("replaces"), "{}", taken.body);
    let replacing = |from: &str| {
        let mut body = times(&ana, "car-1", from, None);
        body["replaces"] = json!(true);
        body
    };
    for from in ["11:30", "12:00", "12:30"] {
        let refused = server.post(ASSIGNMENTS, replacing(from)).await;
        assert_eq!(refused.status, 409, "{from}: {}", refused.body);
    }
    assert_eq!(server.json(&path(&open)).await["to"], Value::Null, "a refusal changes nothing");
    let other = server.posted(ASSIGNMENTS, times(&ana, "car-2", "13:00", None)).await;
    let new = server.posted(ASSIGNMENTS, replacing("14:00")).await;
    assert_eq!(server.json(&path(&open)).await["to"], at("14:00"), "the vehicle's");
    assert_eq!(server.json(&path(&other)).await["to"], at("14:00"), "and the driver's");

    let listed = async |query: &str| -> Vec<String> {
        let page = server.json(&format!("{ASSIGNMENTS}?{query}")).await;
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["from"].as_str().unwrap()[11..16].to_owned())
            .collect()
    };
    let day = "2026-11-23T";
    for (query, found) in [
        ("", &["14:00", "13:00", "12:00", "12:00", "08:00", "07:00"][..]),
        (&format!("driver_id={}", id(&ana)), &["14:00", "13:00", "12:00", "08:00"]),
        ("vehicle_id=car-1", &["14:00", "12:00", "08:00", "07:00"]),
        (
            &format!("vehicle_id={}", first["vehicle_id"].as_str().unwrap()),
            &["14:00", "12:00", "08:00", "07:00"],
        ),
        ("open=true", &["14:00"]),
        ("open=false&vehicle_id=car-1", &["12:00", "08:00", "07:00"]),
        (&format!("vehicle_id=car-1&at={day}12:00:00Z"), &["12:00"]),
        (&format!("vehicle_id=car-1&at={day}11:59:59Z"), &["08:00"]),
        (&format!("vehicle_id=car-1&at={day}06:59:59Z"), &[]),
        (&format!("from={day}08:00:00Z&to={day}12:00:00Z"), &["08:00"]),
        ("vehicle_id=car-9", &[]),
    ] {
        assert_eq!(listed(query).await, found, "{query}");
    }
    assert_eq!(server.get(&format!("{ASSIGNMENTS}?driver_id=drv_none")).await.status, 404);
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.json(&format!("{ASSIGNMENTS}?limit=1{cursor}")).await;
        all.push(id(&page["data"][0]).to_owned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 6);
    assert_eq!((all.len(), all[0].as_str(), all[5].as_str()), (6, id(&new), id(&before)));
}

#[tokio::test]
async fn an_assignment_is_corrected_ended_and_taken_back() {
    let (server, _, [ana, bo]) = fleet().await;
    for (body, wrong) in [
        (json!({ "driver_id": "drv_none", "vehicle_id": "car-9" }), &["driver_id", "vehicle_id"][..]),
        (times(&ana, "car-1", "10:00", Some("10:00")), &["to"]),
        (
            json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "from": "soon", "to": "2027-11-24T12:00:01Z" }),
            &["from", "to"],
        ),
        (json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "from": "2025-11-22T11:59:59Z" }), &["from"]),
        (json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "note": "x".repeat(501) }), &["note"]),
    ] {
        assert_eq!(fields(&server.post(ASSIGNMENTS, body).await), wrong);
    }
    let foreign = server.posted(DRIVERS, json!({ "name": "Dan" })).await;
    assert_eq!(
        fields(&server.post(ASSIGNMENTS, times(&foreign, "car-1", "10:00", None)).await),
        ["vehicle_id"]
    );

    let year = json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "from": "2025-11-22T12:00:00Z", "to": at("08:00") });
    server.posted(ASSIGNMENTS, year).await;
    let open = server
        .posted(ASSIGNMENTS, json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "note": " night " }))
        .await;
    assert_eq!((&open["from"], &open["to"], &open["note"]), (&json!(NOW), &Value::Null, &json!("night")));
    let own = path(&open);
    assert_eq!(server.send(&format!("PATCH {own}"), &[], Some(&json!({}))).await.status, 428);
    assert_eq!(server.patch(&own, 7, json!({})).await.status, 412);
    assert_eq!(server.patch(&own, 1, json!({ "note": "night" })).await.json()["version"], 1);
    let earlier =
        server.patch(&own, 1, json!({ "from": at("08:00"), "to": at("18:00"), "note": null })).await;
    let earlier = earlier.json();
    assert_eq!((&earlier["from"], &earlier["to"]), (&json!(at("08:00")), &json!(at("18:00"))), "{earlier}");
    assert_eq!((&earlier["version"], &earlier["note"]), (&json!(2), &Value::Null));
    assert_eq!(server.patch(&own, 2, json!({ "from": at("07:59") })).await.status, 409);
    for (body, field) in [(json!({ "from": at("18:00") }), "to"), (json!({ "to": "never" }), "to")] {
        assert_eq!(fields(&server.patch(&own, 2, body).await), [field]);
    }
    // An end that was planned comes sooner; it cannot come again, nor before the begin.
    let end = format!("{own}/end");
    assert_eq!(fields(&server.post(&end, json!({ "at": at("08:00") })).await), ["at"]);
    assert_eq!(server.post(&end, json!({ "at": at("18:00") })).await.status, 409);
    let ended = server.send(&format!("POST {end}"), &[], None).await;
    assert_eq!((ended.status, &ended.json()["to"]), (200, &json!(NOW)), "without a body: {}", ended.body);
    let again = server.post(&end, json!({})).await;
    assert!(again.status == 409 && again.body.contains(NOW), "{}", again.body);
    assert_eq!(server.patch(&own, 3, json!({ "to": null })).await.json()["to"], Value::Null, "open again");

    let planned = server.posted(ASSIGNMENTS, times(&bo, "car-2", "20:00", None)).await;
    let refused = server.post(&format!("{}/end", path(&planned)), json!({})).await;
    assert!(refused.status == 409 && refused.body.contains("DELETE"), "{}", refused.body);
    let later = server.posted(&format!("{}/end", path(&planned)), json!({ "at": at("21:00") })).await;
    assert_eq!(later["to"], at("21:00"));
    for status in [204, 404] {
        assert_eq!(server.send(&format!("DELETE {}", path(&planned)), &[], None).await.status, status);
    }
    server.posted(ASSIGNMENTS, times(&bo, "car-2", "20:00", Some("21:00"))).await;
    let page = server.json("/v1/events?limit=200").await;
    let of = |thing: &Value| -> Vec<String> {
        let all = page["data"].as_array().unwrap().iter();
        all.filter(|e| e["aggregate_id"] == thing["id"])
            .map(|e| e["event_type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        of(&open),
        ["DriverAssigned", "DriverAssignmentChanged", "DriverAssignmentEnded", "DriverAssignmentChanged"]
    );
    assert_eq!(of(&planned), ["DriverAssigned", "DriverAssignmentEnded", "DriverAssignmentRemoved"]);
    let log = server.json("/v1/audit-log?limit=200").await;
    let removed = log["data"].as_array().unwrap().iter().filter(|row| row["method"] == "DELETE");
    let removed: BTreeSet<_> = removed.map(|row| row["result"].as_str().unwrap()).collect();
    assert_eq!(removed, BTreeSet::from(["done", "refused 404"]));
}

#[tokio::test]
async fn of_two_processes_that_assign_at_once_one_wins() {
    let (one, organization, _) = fleet().await;
    let two = Server::start_at(one.place.again(), |config| config).await;
    let mut drivers = Vec::new();
    for n in 0..6 {
        drivers.push(driver(&one, &organization, &format!("Driver {n}")).await);
    }
    let wishes = drivers.iter().enumerate().map(|(n, driver)| {
        let server = [&one, &two][n % 2];
        let body = json!({ "driver_id": driver["id"], "vehicle_id": "car-1", "from": at("12:00") });
        async move { server.post(ASSIGNMENTS, body).await.status }
    });
    let mut told = join_all(wishes).await;
    told.sort_unstable();
    assert_eq!(told, [201, 409, 409, 409, 409, 409]);
    // The same for a driver whom two vehicles want, and for those who replace.
    let wishes = [(&one, "car-1"), (&two, "car-2")].map(|(server, vehicle)| {
        let body = json!({ "driver_id": drivers[0]["id"], "vehicle_id": vehicle, "from": at("08:00"), "to": at("09:00") });
        async move { server.post(ASSIGNMENTS, body).await.status }
    });
    let mut told = join_all(wishes).await;
    told.sort_unstable();
    assert_eq!(told, [201, 409]);
    let wishes = drivers.iter().enumerate().map(|(n, driver)| {
        let server = [&one, &two][n % 2];
        let body = json!({ "driver_id": driver["id"], "vehicle_id": "car-1", "from": format!("2026-11-23T13:0{n}:00Z"), "replaces": true });
        async move { server.post(ASSIGNMENTS, body).await.status }
    });
    let won = join_all(wishes).await.into_iter().filter(|status| *status == 201).count();
    assert!(won >= 1, "{won}");
    let page = one.json(&format!("{ASSIGNMENTS}?vehicle_id=car-1&limit=200")).await;
    let mut next: Option<String> = None;
    for row in page["data"].as_array().unwrap() {
        let to = row["to"].as_str().map(str::to_owned);
        assert!(next.is_none() == to.is_none() || to <= next, "{page}");
        next = row["from"].as_str().map(str::to_owned);
    }
}

#[tokio::test]
async fn who_may_not_see_drivers_is_told_of_themself_alone() {
    let server = locked(|config| config).await;
    let organization = server.customer("car-1").await;
    let user =
        json!({ "email": "ana@x.example", "name": "Ana", "role": "driver", "organization_id": organization });
    let user = server.posted("/v1/users", user).await;
    let ana = json!({ "name": "Ana", "organization_id": organization, "user_id": user["id"] });
    let ana = server.posted(DRIVERS, ana).await;
    let bo = driver(&server, &organization, "Bo").await;
    server.posted(ASSIGNMENTS, times(&ana, "car-1", "06:00", Some("08:00"))).await;
    server.posted(ASSIGNMENTS, times(&bo, "car-1", "08:00", Some("10:00"))).await;
    server.lake.commit(vec![
        trip("a", "car-1", &at("07:00"), (1_000, 600, 0)),
        trip("b", "car-1", &at("09:00"), (1_000, 600, 0)),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 2).await;
    let key =
        json!({ "name": "hers", "role": "driver", "organization_id": organization, "user_id": user["id"] });
    let hers = server.posted("/v1/api-keys", key).await["secret"].as_str().unwrap().to_owned();
    let nobodys = key_of(&server, "driver", &json!(organization)).await;
    let billing = key_of(&server, "billing", &json!(organization)).await;
    for (key, a, b) in [
        (&hers, json!("Ana"), Value::Null),
        (&nobodys, Value::Null, Value::Null),
        (&billing, json!("Ana"), json!("Bo")),
    ] {
        let page = server.by(key, "GET /v1/trips", None).await.json();
        assert_eq!((&page["data"][1]["driver_name"], &page["data"][0]["driver_name"]), (&a, &b));
        assert_eq!(server.by(key, "GET /v1/trips/trp_b", None).await.json()["driver_name"], b);
    }
    let of = |driver: &Value| format!("GET /v1/trips?driver_id={}", id(driver));
    assert_eq!(server.by(&hers, &of(&ana), None).await.json()["data"].as_array().unwrap().len(), 1);
    for (key, who) in [(&hers, &bo), (&nobodys, &ana)] {
        assert_eq!(server.by(key, &of(who), None).await.status, 404);
    }
    assert_eq!(server.by(&hers, &format!("GET {}", path(&ana)), None).await.status, 403);
}

/// Drivers who came, changed and left, with times that were replaced, corrected and taken back.
pub(super) async fn story(server: &Server, organization: &str) {
    let (ana, bo) = (driver(server, organization, "Ana").await, driver(server, organization, "Bo").await);
    let more = json!({
        "employee_number": "1", "licence_classes": ["B"], "licence_valid_until": "2027-01-31", "phone": "112",
        "licence_number": "x",
    });
    assert_eq!(server.patch(&path(&ana), 1, more).await.status, 200);
    let give = async |who: &Value, more: Value| {
        let mut body = json!({ "driver_id": who["id"], "vehicle_id": "car-1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.posted(ASSIGNMENTS, body).await
    };
    let first = give(&ana, json!({ "from": "2026-11-01T00:00:00Z", "note": "n" })).await;
    let second = give(&bo, json!({ "from": "2026-11-02T00:00:00Z", "replaces": true })).await;
    assert_eq!(server.patch(&path(&first), 2, json!({ "from": "2026-11-01T06:00:00Z" })).await.status, 200);
    let gone = give(&ana, json!({ "from": "2026-10-01T00:00:00Z", "to": "2026-10-02T00:00:00Z" })).await;
    assert_eq!(server.send(&format!("DELETE {}", path(&gone)), &[], None).await.status, 204);
    assert_eq!(server.patch(&path(&bo), 1, json!({ "status": "left" })).await.status, 200);
    assert!(server.json(&path(&second)).await["to"].is_string());
}

/// A driver and an assignment of an organization, by its key for its vehicle.
pub(super) async fn of_tenant(server: &Server, (key, vehicle): (&str, &str)) -> (String, String) {
    let new = json!({ "name": format!("Driver of {vehicle}") });
    let driver = server.by(key, &format!("POST {DRIVERS}"), Some(&new)).await.json();
    let new = json!({ "driver_id": driver["id"], "vehicle_id": vehicle });
    let assignment = server.by(key, &format!("POST {ASSIGNMENTS}"), Some(&new)).await.json();
    (id(&driver).to_owned(), id(&assignment).to_owned())
}
