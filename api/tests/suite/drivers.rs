//! Drivers: who has which vehicle when, and by that who drove.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    Server,
    access::{key_of, locked},
};
use crate::{
    client::Answer,
    fake_lake::{revised, trip},
    server::NOW,
};

const DRIVERS: &str = "/v1/drivers";
const ASSIGNMENTS: &str = "/v1/driver-assignments";
const HOUR: Duration = Duration::from_secs(3_600);

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

fn path(thing: &Value) -> String {
    let of = if id(thing).starts_with("drv_") { DRIVERS } else { ASSIGNMENTS };
    format!("{of}/{}", id(thing))
}

/// A driver of an organization.
async fn driver(server: &Server, organization: &str, name: &str) -> Value {
    posted(server, DRIVERS, json!({ "name": name, "organization_id": organization })).await
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
    posted(&server, "/v1/vehicles", json!({ "vehicle_id": "car-2", "organization_id": organization })).await;
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
    let user = posted(&server, "/v1/users", user).await;
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
    posted(&server, DRIVERS, json!({ "name": "Dan", "employee_number": "47_11" })).await;
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
    assert_eq!(patch(&server, &path(&cy), 2, json!({ "name": "x" })).await.status, 412);
    let less = json!({ "phone": null, "user_id": null, "licence_valid_until": null, "employee_number": " " });
    let changed = patch(&server, &path(&cy), 1, less).await.json();
    assert_eq!((&changed["version"], &changed["name"]), (&json!(2), &json!("Cy Østergård")), "{changed}");
    for field in ["phone", "user_id", "licence_valid_until", "employee_number"] {
        assert_eq!(changed[field], Value::Null, "{field}");
    }
    assert_eq!(patch(&server, &path(&cy), 2, json!({ "name": "Cy Østergård" })).await.json()["version"], 2);

    // What Bo has ends, what was to come is taken back.
    let now = posted(&server, ASSIGNMENTS, times(&bo, "car-1", "11:00", Some("15:00"))).await;
    let later = posted(&server, ASSIGNMENTS, times(&bo, "car-2", "16:00", None)).await;
    let driven = server.json(&path(&bo)).await;
    assert_eq!((&driven["vehicle_id"], &driven["vehicle_name"]), (&now["vehicle_id"], &json!("car-1")));
    assert_eq!(names(&server, "vehicle_id=car-1").await, ["Bo"]);
    assert_eq!(names(&server, "vehicle_id=car-2").await, [] as [&str; 0], "not yet");
    assert_eq!(server.get(&format!("{DRIVERS}?vehicle_id=car-9")).await.status, 404);
    server.clock.advance(HOUR);
    let left = patch(&server, &path(&bo), 1, json!({ "status": "left", "name": "Bo B" })).await;
    let left = left.json();
    assert_eq!(
        (&left["status"], &left["version"], &left["vehicle_id"]),
        (&json!("left"), &json!(3), &Value::Null)
    );
    assert_eq!(server.json(&path(&now)).await["to"], at("13:00"));
    assert_eq!(server.get(&path(&later)).await.status, 404);
    assert_eq!(names(&server, "status=left").await, ["Bo B"]);
    assert_eq!(fields(&server.post(ASSIGNMENTS, times(&bo, "car-2", "12:00", None)).await), ["driver_id"]);
    posted(&server, ASSIGNMENTS, times(&bo, "car-2", "09:00", Some("10:00"))).await;
    let longer = patch(&server, &path(&now), 2, json!({ "to": null })).await;
    assert_eq!(fields(&longer), ["to"]);
    assert_eq!(patch(&server, &path(&bo), 3, json!({ "status": "active" })).await.json()["version"], 4);
    posted(&server, ASSIGNMENTS, times(&bo, "car-2", "13:00", None)).await;

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
    let first = posted(&server, ASSIGNMENTS, times(&ana, "car-1", "08:00", Some("12:00"))).await;
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
    let before = posted(&server, ASSIGNMENTS, times(&bo, "car-1", "07:00", Some("08:00"))).await;
    let open = posted(&server, ASSIGNMENTS, times(&bo, "car-1", "12:00", None)).await;
    posted(&server, ASSIGNMENTS, times(&ana, "car-2", "12:00", Some("13:00"))).await;

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
    let other = posted(&server, ASSIGNMENTS, times(&ana, "car-2", "13:00", None)).await;
    let new = posted(&server, ASSIGNMENTS, replacing("14:00")).await;
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
    let foreign = posted(&server, DRIVERS, json!({ "name": "Dan" })).await;
    assert_eq!(
        fields(&server.post(ASSIGNMENTS, times(&foreign, "car-1", "10:00", None)).await),
        ["vehicle_id"]
    );

    let year = json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "from": "2025-11-22T12:00:00Z", "to": at("08:00") });
    posted(&server, ASSIGNMENTS, year).await;
    let open = posted(
        &server,
        ASSIGNMENTS,
        json!({ "driver_id": ana["id"], "vehicle_id": "car-1", "note": " night " }),
    )
    .await;
    assert_eq!((&open["from"], &open["to"], &open["note"]), (&json!(NOW), &Value::Null, &json!("night")));
    let own = path(&open);
    assert_eq!(server.send(&format!("PATCH {own}"), &[], Some(&json!({}))).await.status, 428);
    assert_eq!(patch(&server, &own, 7, json!({})).await.status, 412);
    assert_eq!(patch(&server, &own, 1, json!({ "note": "night" })).await.json()["version"], 1);
    let earlier =
        patch(&server, &own, 1, json!({ "from": at("08:00"), "to": at("18:00"), "note": null })).await;
    let earlier = earlier.json();
    assert_eq!((&earlier["from"], &earlier["to"]), (&json!(at("08:00")), &json!(at("18:00"))), "{earlier}");
    assert_eq!((&earlier["version"], &earlier["note"]), (&json!(2), &Value::Null));
    assert_eq!(patch(&server, &own, 2, json!({ "from": at("07:59") })).await.status, 409);
    for (body, field) in [(json!({ "from": at("18:00") }), "to"), (json!({ "to": "never" }), "to")] {
        assert_eq!(fields(&patch(&server, &own, 2, body).await), [field]);
    }
    // An end that was planned comes sooner; it cannot come again, nor before the begin.
    let end = format!("{own}/end");
    assert_eq!(fields(&server.post(&end, json!({ "at": at("08:00") })).await), ["at"]);
    assert_eq!(server.post(&end, json!({ "at": at("18:00") })).await.status, 409);
    let ended = server.send(&format!("POST {end}"), &[], None).await;
    assert_eq!((ended.status, &ended.json()["to"]), (200, &json!(NOW)), "without a body: {}", ended.body);
    let again = server.post(&end, json!({})).await;
    assert!(again.status == 409 && again.body.contains(NOW), "{}", again.body);
    assert_eq!(patch(&server, &own, 3, json!({ "to": null })).await.json()["to"], Value::Null, "open again");

    let planned = posted(&server, ASSIGNMENTS, times(&bo, "car-2", "20:00", None)).await;
    let refused = server.post(&format!("{}/end", path(&planned)), json!({})).await;
    assert!(refused.status == 409 && refused.body.contains("DELETE"), "{}", refused.body);
    let later = posted(&server, &format!("{}/end", path(&planned)), json!({ "at": at("21:00") })).await;
    assert_eq!(later["to"], at("21:00"));
    for status in [204, 404] {
        assert_eq!(server.send(&format!("DELETE {}", path(&planned)), &[], None).await.status, status);
    }
    posted(&server, ASSIGNMENTS, times(&bo, "car-2", "20:00", Some("21:00"))).await;
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

/// The drivers of trips, by the end of their ids.
async fn drove(server: &Server, query: &str) -> Vec<(String, Value)> {
    let page = server.json(&format!("/v1/trips?limit=200&{query}")).await;
    let all = page["data"].as_array().unwrap().iter();
    all.map(|t| (t["id"].as_str().unwrap()[4..].to_owned(), t["driver_name"].clone())).collect()
}

fn told(what: &[(&str, Option<&str>)]) -> Vec<(String, Value)> {
    what.iter().map(|(trip, name)| ((*trip).to_owned(), json!(name))).collect()
}

#[tokio::test]
async fn trips_tell_who_drove_and_a_correction_corrects_them() {
    let (server, _, [ana, bo]) = fleet().await;
    let hour = |id: &str, vehicle: &str, start: &str| trip(id, vehicle, &at(start), (10_000, 3_600, 60));
    let d = hour("d", "car-1", "11:30");
    server.lake.commit(vec![
        hour("a", "car-1", "06:00"),
        hour("b", "car-1", "08:30"),
        hour("c", "car-1", "09:31"),
        d.clone(),
        hour("e", "car-2", "09:00"),
        trip("f", "car-1", &at("10:30"), (1, 0, 0)),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 6).await;
    assert!(drove(&server, "").await.iter().all(|(_, name)| name.is_null()));
    let first = posted(&server, ASSIGNMENTS, times(&ana, "car-1", "09:00", Some("10:00"))).await;
    let second = posted(&server, ASSIGNMENTS, times(&bo, "car-1", "10:00", None)).await;
    let (ana_s, bo_s) = (Some("Ana"), Some("Bo"));
    // Half of b is Ana's; of c 29 minutes are, the rest is Bo's.
    let all = [("d", bo_s), ("f", bo_s), ("c", bo_s), ("e", None), ("b", ana_s), ("a", None)];
    assert_eq!(drove(&server, "").await, told(&all));
    let one = server.json("/v1/trips/trp_b").await;
    assert_eq!((&one["driver_id"], &one["driver_name"]), (&ana["id"], &json!("Ana")));
    assert_eq!(one["distance_m"], 10_000, "with the trip itself");
    let by =
        async |driver: &Value, more: &str| drove(&server, &format!("driver_id={}{more}", id(driver))).await;
    assert_eq!(by(&ana, "").await, told(&[("b", ana_s)]));
    assert_eq!(by(&bo, "").await, told(&[("d", bo_s), ("f", bo_s), ("c", bo_s)]));
    assert_eq!(by(&bo, "&vehicle_id=car-2").await, []);
    assert_eq!(by(&bo, "&vehicle_id=car-1&from=2026-11-23T11:00:00Z").await, told(&[("d", bo_s)]));
    // Though it overlaps the period only outside of the time it was driven by Bo.
    assert_eq!(by(&bo, "&to=2026-11-23T09:40:00Z").await, told(&[("c", bo_s)]));
    assert_eq!(server.get("/v1/trips?driver_id=drv_none").await.status, 404);

    // A correction, a name, a revision, an end: all of it counts at once.
    assert_eq!(patch(&server, &path(&second), 1, json!({ "from": at("10:02") })).await.status, 200);
    assert_eq!(patch(&server, &path(&first), 1, json!({ "to": at("10:02") })).await.status, 200);
    assert_eq!(patch(&server, &path(&ana), 1, json!({ "name": "Ana Lund" })).await.status, 200);
    assert_eq!(by(&ana, "").await, told(&[("c", Some("Ana Lund")), ("b", Some("Ana Lund"))]));
    posted(&server, &format!("{}/end", path(&second)), json!({ "at": at("11:59") })).await;
    assert_eq!(by(&bo, "").await, told(&[("f", bo_s)]));
    let shorter = analytics::row::TripRow { end_time: d.start_time.plus_us(60_000_000), ..revised(&d, 500) };
    server.lake.commit(vec![shorter]);
    server.until("/v1/trips/trp_d", |t| t["driver_name"] == "Bo").await;
    let tag = server.get("/v1/trips/trp_d").await;
    let seen = [("if-none-match", tag.header("etag").unwrap())];
    assert_eq!(server.send(&format!("DELETE {}", path(&second)), &[], None).await.status, 204);
    let after = server.send("GET /v1/trips/trp_d", &seen, None).await;
    assert_eq!((after.status, &after.json()["driver_id"]), (200, &Value::Null), "whatever the revision is");
    let revisions = server.json("/v1/trips/trp_d/revisions").await;
    assert_eq!(revisions["data"].as_array().unwrap().len(), 2);
}

/// A driver who changes vehicles again and again, beside others: pages of their trips are those that lists tell.
#[tokio::test]
async fn pages_of_a_driver_s_trips_are_what_trips_say() {
    let server = Server::start().await;
    let vehicles = ["car-1", "car-2"];
    for vehicle in vehicles {
        posted(&server, "/v1/vehicles", json!({ "vehicle_id": vehicle })).await;
    }
    let ana = posted(&server, DRIVERS, json!({ "name": "Ana" })).await;
    let bo = posted(&server, DRIVERS, json!({ "name": "Bo" })).await;
    // A hundred and ten turns of 20 minutes: more windows than one statement takes.
    let start = wire::time::Timestamp::parse("2026-11-10T00:00:00Z").unwrap();
    let minute = |n: i64| start.plus_us(n * 60_000_000).to_string();
    for turn in 0..110_i64 {
        let turn_at = usize::try_from(turn).unwrap();
        for (who, vehicle) in [(&ana, vehicles[turn_at % 2]), (&bo, vehicles[(turn_at + 1) % 2])] {
            let (from, to) = (minute(20 * turn), minute(20 * turn + 20));
            let body = json!({ "driver_id": who["id"], "vehicle_id": vehicle, "from": from, "to": to });
            posted(&server, ASSIGNMENTS, body).await;
        }
    }
    // Trips of 17 minutes, one after the other: they cross the turns in every way.
    for some in (0..129_i64).collect::<Vec<_>>().chunks(20) {
        let of = |n: &i64| {
            vehicles.map(|car| trip(&format!("{car}-{n:03}"), car, &minute(17 * n), (1_000, 1_020, 0)))
        };
        server.lake.commit(some.iter().flat_map(of).collect());
        let last = format!("-{:03}", some.last().unwrap());
        let is_in = |p: &Value| p["data"][0]["id"].as_str().is_some_and(|id| id.ends_with(&last));
        server.until("/v1/trips?limit=1", is_in).await;
    }
    let ids = async |query: &str, limit: usize| -> Vec<(String, Value)> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.json(&format!("/v1/trips?limit={limit}{query}{cursor}")).await;
            let rows = page["data"].as_array().unwrap();
            assert!(
                rows.len() == limit || page["next_cursor"].is_null(),
                "a page that is not full is the last"
            );
            found.extend(rows.iter().map(|t| (t["id"].as_str().unwrap().to_owned(), t["driver_id"].clone())));
            let Some(next) = page["next_cursor"].as_str() else { return found };
            cursor = format!("&cursor={next}");
        }
    };
    let all = ids("", 200).await;
    assert_eq!(all.len(), 258);
    for who in [&ana, &bo] {
        let expected: Vec<_> = all.iter().filter(|(_, driver)| *driver == who["id"]).cloned().collect();
        assert!(expected.len() > 110, "{}", expected.len());
        for limit in [7, 50, 200] {
            assert_eq!(ids(&format!("&driver_id={}", id(who)), limit).await, expected, "pages of {limit}");
        }
        let of_one = format!("&driver_id={}&vehicle_id=car-2", id(who));
        let expected: Vec<_> = expected.into_iter().filter(|(id, _)| id.contains("car-2")).collect();
        assert_eq!(ids(&of_one, 50).await, expected);
        let sum = server.json(&format!("{DRIVERS}/{}/summary", id(who))).await;
        let with = |n: usize| &sum["vehicles"][n];
        assert_eq!(
            sum["trips"].as_u64().unwrap(),
            with(0)["trips"].as_u64().unwrap() + with(1)["trips"].as_u64().unwrap()
        );
        let of_car_2 =
            sum["vehicles"].as_array().unwrap().iter().find(|v| v["vehicle_name"] == "car-2").unwrap();
        assert_eq!(of_car_2["trips"], json!(expected.len()), "{sum}");
    }
}

#[tokio::test]
async fn a_summary_is_of_the_trips_that_started_in_the_period() {
    let (server, _, [ana, _]) = fleet().await;
    for (vehicle, from, to) in [("car-1", "06:00", "09:00"), ("car-2", "09:00", "12:00")] {
        posted(&server, ASSIGNMENTS, times(&ana, vehicle, from, Some(to))).await;
    }
    server.lake.commit(vec![
        trip("a", "car-1", &at("06:30"), (10_500, 3_600, 600)),
        trip("b", "car-1", &at("08:00"), (2_000, 600, 0)),
        trip("c", "car-2", &at("10:00"), (30_000, 1_800, 300)),
        trip("d", "car-2", &at("20:00"), (99_000, 60, 0)),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 4).await;
    let summary = format!("{}/summary", path(&ana));
    let sum = server.json(&summary).await;
    assert_eq!((&sum["to"], &sum["from"]), (&json!(NOW), &json!("2026-10-24T12:00:00Z")));
    assert_eq!((&sum["trips"], &sum["distance_km"]), (&json!(3), &json!(42.5)), "{sum}");
    assert_eq!((&sum["driving_duration_s"], &sum["idle_duration_s"]), (&json!(5_100), &json!(900)));
    let with: Vec<_> =
        sum["vehicles"].as_array().unwrap().iter().map(|v| (&v["vehicle_name"], &v["distance_km"])).collect();
    assert_eq!(with, [(&json!("car-2"), &json!(30.0)), (&json!("car-1"), &json!(12.5))]);
    assert!(sum["vehicles"][0]["vehicle_id"].as_str().unwrap().starts_with("veh_"));
    let part = server.json(&format!("{summary}?from={}&to={}", at("07:00"), at("10:00"))).await;
    assert_eq!(
        (&part["trips"], &part["distance_km"]),
        (&json!(1), &json!(2.0)),
        "of the start, not the end: {part}"
    );
    for (query, field) in [
        ("from=x", "from"),
        ("to=2025-11-20T00:00:00Z&from=2025-11-20T00:00:00Z", "to"),
        ("from=2025-11-22T11:00:00Z", "to"),
    ] {
        assert_eq!(fields(&server.get(&format!("{summary}?{query}")).await), [field], "{query}");
    }
    assert_eq!(server.get(&format!("{DRIVERS}/drv_none/summary")).await.status, 404);
}

#[tokio::test]
async fn a_vehicle_that_is_sold_tells_its_buyer_of_no_driver() {
    let server = locked(|config| config).await;
    let mut keys = Vec::new();
    for name in ["Acme", "Bolt"] {
        let new = json!({ "name": name, "currency": "EUR", "time_zone": "Europe/Copenhagen" });
        let organization = posted(&server, "/v1/organizations", new).await["id"].clone();
        keys.push((key_of(&server, "dispatcher", &organization).await, organization));
    }
    let ((acme, of_acme), (bolt, of_bolt)) = (&keys[0], &keys[1]);
    posted(&server, "/v1/vehicles", json!({ "vehicle_id": "van-1", "organization_id": of_acme })).await;
    let by = async |key: &str, what: &str, body: Value| {
        let answer = server.by(key, what, Some(&body)).await;
        assert!([200, 201].contains(&answer.status), "{what}: {}", answer.body);
        answer.json()
    };
    let ana = by(acme, &format!("POST {DRIVERS}"), json!({ "name": "Ana of Acme" })).await;
    assert_eq!(&ana["organization_id"], of_acme);
    let bo = by(bolt, &format!("POST {DRIVERS}"), json!({ "name": "Bo of Bolt" })).await;
    let open = by(acme, &format!("POST {ASSIGNMENTS}"), times(&ana, "van-1", "08:00", None)).await;
    assert!(open["made_by"].as_str().unwrap().starts_with("key_"));
    server.lake.commit(vec![trip("a", "van-1", &at("09:00"), (10_000, 3_600, 0))]);
    server.until("/v1/trips", |p| p["data"][0]["driver_name"] == "Ana of Acme").await;
    server.clock.advance(HOUR);
    let sold = patch(&server, "/v1/vehicles/van-1", 1, json!({ "organization_id": of_bolt })).await;
    assert_eq!(sold.status, 200, "{}", sold.body);

    let ended = server.by(acme, &format!("GET {}", path(&open)), None).await.json();
    assert_eq!((&ended["to"], &ended["version"]), (&json!(at("13:00")), &json!(2)), "with the sale: {ended}");
    // Its trips of before are the buyer's, who drove them is not theirs to know.
    let bought = server.by(bolt, "GET /v1/trips/trp_a", None).await;
    assert_eq!((bought.status, &bought.json()["driver_id"]), (200, &Value::Null));
    assert!(!bought.body.contains("Ana"), "{}", bought.body);
    assert!(!server.by(bolt, "GET /v1/trips", None).await.body.contains("Ana"));
    assert_eq!(server.by(acme, "GET /v1/trips/trp_a", None).await.status, 404);
    let of_ana = format!("GET /v1/trips?driver_id={}", id(&ana));
    assert_eq!(server.by(bolt, &of_ana, None).await.status, 404);
    assert_eq!(server.by(acme, &of_ana, None).await.json()["data"], json!([]), "the trips are Bolt's");
    // Nor when it was driven, but for when they may begin.
    let wish = |from: &str| times(&bo, "van-1", from, None);
    let refused = server.by(bolt, &format!("POST {ASSIGNMENTS}"), Some(&wish("12:00"))).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains(&at("13:00")), "{}", refused.body);
    for secret in [id(&open), id(&ana), "Ana", &at("08:00")] {
        assert!(!refused.body.contains(secret), "{secret} in {}", refused.body);
    }
    by(bolt, &format!("POST {ASSIGNMENTS}"), wish("13:00")).await;
    // Acme corrects what was; it has the vehicle no longer than it had.
    let change = async |version: &str, body: Value| {
        let bearer = format!("Bearer {acme}");
        let headers = [("authorization", bearer.as_str()), ("if-match", version)];
        server.send(&format!("PATCH {}", path(&open)), &headers, Some(&body)).await
    };
    let longer = change("\"2\"", json!({ "from": at("07:00") })).await;
    assert!(longer.status == 409 && longer.body.contains("another organization now"), "{}", longer.body);
    assert_eq!(change("\"2\"", json!({ "to": at("12:00") })).await.status, 200);
    let wish = times(&ana, "van-1", "14:00", None);
    let refused = server.by(acme, &format!("POST {ASSIGNMENTS}"), Some(&wish)).await;
    assert_eq!(fields(&refused), ["vehicle_id"]);
    for what in [path(&ana), path(&open), format!("{}/summary", path(&ana))] {
        assert_eq!(server.by(bolt, &format!("GET {what}"), None).await.status, 404, "{what}");
    }
}

#[tokio::test]
async fn who_may_not_see_drivers_is_told_of_themself_alone() {
    let server = locked(|config| config).await;
    let organization = server.customer("car-1").await;
    let user =
        json!({ "email": "ana@x.example", "name": "Ana", "role": "driver", "organization_id": organization });
    let user = posted(&server, "/v1/users", user).await;
    let ana = json!({ "name": "Ana", "organization_id": organization, "user_id": user["id"] });
    let ana = posted(&server, DRIVERS, ana).await;
    let bo = driver(&server, &organization, "Bo").await;
    posted(&server, ASSIGNMENTS, times(&ana, "car-1", "06:00", Some("08:00"))).await;
    posted(&server, ASSIGNMENTS, times(&bo, "car-1", "08:00", Some("10:00"))).await;
    server.lake.commit(vec![
        trip("a", "car-1", &at("07:00"), (1_000, 600, 0)),
        trip("b", "car-1", &at("09:00"), (1_000, 600, 0)),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 2).await;
    let key =
        json!({ "name": "hers", "role": "driver", "organization_id": organization, "user_id": user["id"] });
    let hers = posted(&server, "/v1/api-keys", key).await["secret"].as_str().unwrap().to_owned();
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
    assert_eq!(patch(server, &path(&ana), 1, more).await.status, 200);
    let give = async |who: &Value, more: Value| {
        let mut body = json!({ "driver_id": who["id"], "vehicle_id": "car-1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        posted(server, ASSIGNMENTS, body).await
    };
    let first = give(&ana, json!({ "from": "2026-11-01T00:00:00Z", "note": "n" })).await;
    let second = give(&bo, json!({ "from": "2026-11-02T00:00:00Z", "replaces": true })).await;
    assert_eq!(patch(server, &path(&first), 2, json!({ "from": "2026-11-01T06:00:00Z" })).await.status, 200);
    let gone = give(&ana, json!({ "from": "2026-10-01T00:00:00Z", "to": "2026-10-02T00:00:00Z" })).await;
    assert_eq!(server.send(&format!("DELETE {}", path(&gone)), &[], None).await.status, 204);
    assert_eq!(patch(server, &path(&bo), 1, json!({ "status": "left" })).await.status, 200);
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
