//! Who drove: trips, pages of them, summaries, and vehicles that are sold.

use super::*;

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
    let first = server.posted(ASSIGNMENTS, times(&ana, "car-1", "09:00", Some("10:00"))).await;
    let second = server.posted(ASSIGNMENTS, times(&bo, "car-1", "10:00", None)).await;
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
    assert_eq!(server.patch(&path(&second), 1, json!({ "from": at("10:02") })).await.status, 200);
    assert_eq!(server.patch(&path(&first), 1, json!({ "to": at("10:02") })).await.status, 200);
    assert_eq!(server.patch(&path(&ana), 1, json!({ "name": "Ana Lund" })).await.status, 200);
    assert_eq!(by(&ana, "").await, told(&[("c", Some("Ana Lund")), ("b", Some("Ana Lund"))]));
    server.posted(&format!("{}/end", path(&second)), json!({ "at": at("11:59") })).await;
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
        server.posted("/v1/vehicles", json!({ "vehicle_id": vehicle })).await;
    }
    let ana = server.posted(DRIVERS, json!({ "name": "Ana" })).await;
    let bo = server.posted(DRIVERS, json!({ "name": "Bo" })).await;
    // A hundred and ten turns of 20 minutes: more windows than one statement takes.
    let start = wire::time::Timestamp::parse("2026-11-10T00:00:00Z").unwrap();
    let minute = |n: i64| start.plus_us(n * 60_000_000).to_string();
    for turn in 0..110_i64 {
        let turn_at = usize::try_from(turn).unwrap();
        for (who, vehicle) in [(&ana, vehicles[turn_at % 2]), (&bo, vehicles[(turn_at + 1) % 2])] {
            let (from, to) = (minute(20 * turn), minute(20 * turn + 20));
            let body = json!({ "driver_id": who["id"], "vehicle_id": vehicle, "from": from, "to": to });
            server.posted(ASSIGNMENTS, body).await;
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
        server.posted(ASSIGNMENTS, times(&ana, vehicle, from, Some(to))).await;
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
        let organization = server.posted("/v1/organizations", new).await["id"].clone();
        keys.push((key_of(&server, "dispatcher", &organization).await, organization));
    }
    let ((acme, of_acme), (bolt, of_bolt)) = (&keys[0], &keys[1]);
    server.posted("/v1/vehicles", json!({ "vehicle_id": "van-1", "organization_id": of_acme })).await;
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
    let sold = server.patch("/v1/vehicles/van-1", 1, json!({ "organization_id": of_bolt })).await;
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
