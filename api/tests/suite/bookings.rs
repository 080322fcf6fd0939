//! Bookings over HTTP: from the wish to the price taken, and everything that may come between.

use std::time::Duration;

use api::config::Config;
use serde_json::{Value, json};

use super::{
    Server,
    access::{key_of, locked},
};
use crate::{client::Answer, fake_lake::trip, server::tariff};

/// What four hours cost: 1.00 and 4 x 4.80, with 25 % tax.
const FOUR_HOURS: i64 = 2_525;

/// A server, its customer with vehicle car-1, and the wallet with so much in it.
pub(super) struct Fleet {
    pub(super) server: Server,
    pub(super) organization: String,
    pub(super) wallet: String,
}

pub(super) async fn fleet(credit_minor: i64) -> Fleet {
    fleet_with(credit_minor, |config| config).await
}

pub(super) async fn fleet_with(credit_minor: i64, change: impl FnOnce(Config) -> Config) -> Fleet {
    let server = Server::start_with(change).await;
    let organization = server.customer("car-1").await;
    let wallet = fund(&server, &organization, credit_minor).await;
    Fleet { server, organization, wallet }
}

async fn fund(server: &Server, organization: &str, credit_minor: i64) -> String {
    let opened = send(server, "/v1/wallets", "open", json!({ "organization_id": organization })).await;
    let wallet = opened.json()["id"].as_str().unwrap().to_owned();
    let top_up = json!({ "amount_minor": credit_minor, "reference": "bank" });
    let funded = send(server, &format!("/v1/wallets/{wallet}/top-ups"), "fund", top_up).await;
    assert_eq!(funded.status, 201, "{}", funded.body);
    wallet
}

pub(super) async fn send(server: &Server, path: &str, key: &str, body: Value) -> Answer {
    server.send(&format!("POST {path}"), &[("idempotency-key", key)], Some(&body)).await
}

/// Of car-1, between hours of the 23rd; it is 12 o'clock.
pub(super) fn wish(from: u32, to: u32) -> Value {
    json!({
        "vehicle_id": "car-1",
        "from": format!("2026-11-23T{from:02}:00:00Z"), "to": format!("2026-11-23T{to:02}:00:00Z"),
    })
}

impl Fleet {
    async fn book(&self, key: &str, body: Value) -> Answer {
        send(&self.server, "/v1/bookings", key, body).await
    }

    /// Books, and is confirmed; the id.
    pub(super) async fn booked(&self, key: &str, body: Value) -> String {
        let answer = self.book(key, body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let booking = answer.json();
        assert_eq!(booking["status"], "confirmed", "{booking}");
        booking["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn act(&self, id: &str, act: &str, key: &str, body: Value) -> (u16, Value) {
        let answer = send(&self.server, &format!("/v1/bookings/{id}/{act}"), key, body).await;
        (answer.status, answer.json())
    }

    /// What the wallet has and what of it is held.
    pub(super) async fn money(&self) -> (i64, i64) {
        let wallet = self.server.json(&format!("/v1/wallets/{}", self.wallet)).await;
        (wallet["balance_minor"].as_i64().unwrap(), wallet["held_minor"].as_i64().unwrap())
    }

    async fn free(&self, from: u32, to: u32) -> Vec<String> {
        let period = wish(from, to);
        let (from, to) = (period["from"].as_str().unwrap(), period["to"].as_str().unwrap());
        let page = self.server.json(&format!("/v1/vehicles/available?from={from}&to={to}")).await;
        let vehicles = page["data"].as_array().unwrap().iter();
        vehicles.map(|v| v["vehicle_id"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn wait_hours(&self, hours: u64) {
        self.server.clock.advance(Duration::from_secs(hours * 3_600));
    }
}

#[tokio::test]
async fn a_vehicle_is_booked_driven_and_paid_by_its_trips_which_are_on_no_invoice() {
    let fleet = fleet(10_000).await;
    let server = &fleet.server;
    let mut wanted = wish(13, 17);
    wanted["expected_distance_m"] = json!(40_000);
    let id = fleet.booked("b", wanted).await;
    let path = format!("/v1/bookings/{id}");
    let read = server.get(&path).await;
    let booking = read.json();
    // 31.80 and a quarter of it.
    assert_eq!(
        (&booking["price"]["net_minor"], &booking["price"]["total_minor"]),
        (&json!(3_180), &json!(3_975))
    );
    assert_eq!(
        (&booking["price"]["basis"], &booking["price"]["tariff_version"]),
        (&json!("estimate"), &json!(1))
    );
    assert_eq!(fleet.money().await, (10_000, 3_975));
    let etag = read.header("etag").unwrap().to_owned();
    assert_eq!(server.send(&format!("GET {path}"), &[("if-none-match", &etag)], None).await.status, 304);
    assert_eq!(fleet.free(16, 18).await, [""; 0]);
    assert_eq!(fleet.free(17, 18).await, ["car-1"], "its end is excluded");
    let told = server.until("/v1/notifications", |p| p["data"][0]["kind"] == "booking_confirmed").await;
    assert_eq!(told["data"].as_array().unwrap().len(), 1);
    assert!(told["data"][0]["body"].as_str().unwrap().contains("39.75 EUR are set aside"), "{told}");

    let (status, early) = fleet.act(&id, "start", "s0", json!({})).await;
    assert_eq!(status, 409);
    assert!(early["detail"].as_str().unwrap().contains("from 2026-11-23T13:00:00Z"), "{early}");
    fleet.wait_hours(1);
    let (status, started) = fleet.act(&id, "start", "s1", json!({})).await;
    assert_eq!((status, &started["status"]), (200, &json!("started")), "{started}");
    server.lake.commit(vec![
        trip("a", "car-1", "2026-11-23T13:10:00Z", (10_000, 3_600, 0)),
        trip("b", "car-1", "2026-11-22T13:10:00Z", (10_000, 3_600, 0)),
    ]);
    server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 2).await;
    fleet.wait_hours(2);
    let (status, finished) = fleet.act(&id, "finish", "f", json!({})).await;
    assert_eq!((status, &finished["status"]), (200, &json!("finished")), "{finished}");
    // 8.70 and 2.18.
    assert_eq!((&finished["charged_minor"], &finished["owed_minor"]), (&json!(1_088), &json!(0)));
    assert_eq!(finished["price"]["basis"], "trips");
    assert_eq!(fleet.act(&id, "finish", "f", json!({})).await.1, finished, "once");
    assert_eq!(fleet.money().await, (10_000 - 1_088, 0));
    assert_eq!(fleet.free(15, 17).await, ["car-1"], "brought back early");
    let invoices = server.until("/v1/invoices", |p| p["data"][0]["line_count"] == 3).await;
    let invoice = invoices["data"][0]["id"].as_str().unwrap().to_owned();
    let lines = server.json(&format!("/v1/invoices/{invoice}")).await["lines"].clone();
    assert!(lines.as_array().unwrap().iter().all(|l| l["trip_id"] == "trp_b"), "{lines}");
    for act in ["start", "finish", "cancel"] {
        assert_eq!(fleet.act(&id, act, &format!("again {act}"), json!({})).await.0, 409);
    }
}

#[tokio::test]
async fn what_is_dearer_than_its_estimate_takes_what_else_the_wallet_has_and_then_is_owed() {
    let fleet = fleet(3_000).await;
    let id = fleet.booked("b", wish(12, 16)).await;
    assert_eq!(fleet.act(&id, "start", "s", json!({})).await.0, 200);
    fleet.server.lake.commit(vec![trip("a", "car-1", "2026-11-23T12:10:00Z", (100_000, 3_600, 0))]);
    fleet.server.until("/v1/trips", |p| p["data"].as_array().unwrap().len() == 1).await;
    let (_, finished) = fleet.act(&id, "finish", "f", json!({})).await;
    // 1.00 + 29.00 + 4.80 = 34.80, and 8.70.
    assert_eq!(finished["price"]["total_minor"], 4_350);
    assert_eq!((&finished["charged_minor"], &finished["owed_minor"]), (&json!(3_000), &json!(1_350)));
    assert_eq!(fleet.money().await, (0, 0));
}

#[tokio::test]
async fn a_double_submit_books_once() {
    let fleet = fleet(10_000).await;
    let (one, two) = tokio::join!(fleet.book("same", wish(13, 17)), fleet.book("same", wish(13, 17)));
    assert_eq!((one.status, two.status), (201, 201), "{one:?} {two:?}");
    assert_eq!(one.json()["id"], two.json()["id"]);
    let again = fleet.book("same", wish(13, 17)).await;
    assert_eq!(again.json()["status"], "confirmed");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(fleet.book("same", wish(13, 18)).await.status, 422, "another request under the key");
    assert_eq!(fleet.server.json("/v1/bookings").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(fleet.money().await, (10_000, FOUR_HOURS));
}

#[tokio::test]
async fn of_two_on_the_last_vehicle_one_wins_and_the_other_is_told_why_and_holds_nothing() {
    let fleet = fleet(10_000).await;
    let (one, two) = tokio::join!(fleet.book("one", wish(13, 17)), fleet.book("two", wish(14, 18)));
    let (won, lost, key) = if one.status == 201 { (one, two, "two") } else { (two, one, "one") };
    assert_eq!((won.status, lost.status), (201, 409), "{won:?} {lost:?}");
    let (won, told) = (won.json(), lost.json());
    let detail = told["detail"].as_str().unwrap();
    for part in
        ["car-1", won["id"].as_str().unwrap(), won["from"].as_str().unwrap(), won["to"].as_str().unwrap()]
    {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!(fleet.money().await, (10_000, FOUR_HOURS));
    let failed = fleet.server.json("/v1/bookings?status=failed").await;
    assert_eq!(failed["data"][0]["end_reason"]["code"], "vehicle_taken", "{failed}");
    assert_eq!(failed["data"].as_array().unwrap().len(), 1);
    let body = if key == "one" { wish(13, 17) } else { wish(14, 18) };
    let again = fleet.book(key, body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (409, Some("true")));
    assert_eq!(again.json()["detail"], detail);
}

#[tokio::test]
async fn where_any_vehicle_does_the_free_one_is_found() {
    let fleet = fleet(10_000).await;
    let new = json!({ "vehicle_id": "car-2", "organization_id": fleet.organization });
    assert_eq!(fleet.server.post("/v1/vehicles", new).await.status, 201);
    let mut any = wish(13, 14);
    any.as_object_mut().unwrap().remove("vehicle_id");
    any["organization_id"] = json!(fleet.organization);
    let (one, two) = tokio::join!(fleet.booked("one", any.clone()), fleet.booked("two", any.clone()));
    let mut vehicles = Vec::new();
    for id in [one, two] {
        vehicles.push(fleet.server.json(&format!("/v1/bookings/{id}")).await["vehicle_id"].clone());
    }
    vehicles.sort_by_key(ToString::to_string);
    assert_eq!(vehicles, [json!("car-1"), json!("car-2")]);
    let none = fleet.book("three", any).await;
    assert_eq!(none.status, 409);
    assert!(
        none.json()["detail"].as_str().unwrap().contains("no vehicle of the organization"),
        "{}",
        none.body
    );
}

#[tokio::test]
async fn too_little_credit_says_how_much_is_missing() {
    let fleet = fleet(2_000).await;
    let refused = fleet.book("b", wish(13, 17)).await;
    assert_eq!(refused.status, 409);
    assert!(refused.json()["detail"].as_str().unwrap().contains("5.25 EUR is missing"), "{}", refused.body);
    assert_eq!(fleet.money().await, (2_000, 0));
    assert_eq!(fleet.free(13, 17).await, ["car-1"]);
}

#[tokio::test]
async fn a_price_is_told_before_and_is_the_one_that_is_held() {
    let fleet = fleet(100_000).await;
    let server = &fleet.server;
    let mut far = wish(13, 17);
    far["expected_distance_m"] = json!(40_000);
    let quoted = server.posted("/v1/bookings:quote", far.clone()).await;
    assert_eq!((&quoted["basis"], &quoted["currency"]), (&json!("estimate"), &json!("EUR")));
    assert_eq!(fleet.money().await.1, 0, "nothing is held");
    let id = fleet.booked("q1", far).await;
    let path = format!("/v1/bookings/{id}");
    let booked = server.json(&path).await;
    assert_eq!(booked["price"], quoted);
    let held = fleet.money().await;
    assert_eq!(Some(held.1), quoted["total_minor"].as_i64());

    let until = json!({ "to": "2026-11-23T19:00:00Z" });
    let longer = server.posted(&format!("{path}/quote-extension"), until.clone()).await;
    assert!(longer["total_minor"].as_i64() > quoted["total_minor"].as_i64(), "{longer}");
    assert_eq!(server.json(&path).await, booked, "it stays as it is");
    let (status, extended) = fleet.act(&id, "extend", "q2", until).await;
    assert_eq!((status, &extended["price"]), (200, &longer));

    // What is wrong with a wish is told too.
    let refused = server.post("/v1/bookings:quote", wish(17, 13)).await;
    assert_eq!((refused.status, refused.json()["errors"][0]["field"].as_str()), (422, Some("to")));
    let earlier = json!({ "to": "2026-11-23T14:00:00Z" });
    assert_eq!(server.post(&format!("{path}/quote-extension"), earlier).await.status, 422);
    assert_eq!(server.post("/v1/bookings/bkg_none/quote-extension", json!({ "to": "x" })).await.status, 404);
}

#[tokio::test]
async fn an_extension_holds_more_and_does_not_go_over_another_booking() {
    let fleet = fleet(5_200).await;
    let id = fleet.booked("one", wish(13, 14)).await;
    let until = |hour: u32| json!({ "to": format!("2026-11-23T{hour:02}:00:00Z") });
    let (status, longer) = fleet.act(&id, "extend", "e1", until(15)).await;
    assert_eq!((status, &longer["to"]), (200, &json!("2026-11-23T15:00:00Z")), "{longer}");
    // 10.60 and 2.65.
    assert_eq!((longer["price"]["total_minor"].clone(), fleet.money().await.1), (json!(1_325), 1_325));
    assert_eq!(fleet.act(&id, "extend", "e1", until(15)).await.1, longer, "once");
    let other = fleet.booked("two", wish(16, 17)).await;
    let (status, refused) = fleet.act(&id, "extend", "e2", until(17)).await;
    assert_eq!(status, 409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("car-1") && detail.contains(&other), "{detail}");
    assert_eq!(fleet.act(&id, "extend", "e3", until(15)).await.0, 422, "no later than it is");
    assert_eq!(fleet.act(&id, "extend", "e4", until(16)).await.0, 200, "up to the other's start");
    assert_eq!(fleet.act(&other, "cancel", "c", json!({})).await.0, 200);
    let (status, refused) = fleet.act(&id, "extend", "e5", until(23)).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("is missing"), "{refused}");
    // 15.40 and 3.85 for the three hours it still has.
    assert_eq!(fleet.money().await, (5_200, 1_925));
}

/// Lets the tariff keep half of what is given up late.
async fn keep_half(fleet: &Fleet) {
    let path = format!("/v1/organizations/{}/tariff", fleet.organization);
    let id = fleet.server.json(&path).await["tariff_id"].as_str().unwrap().to_owned();
    let mut terms = tariff();
    terms["booking_kept_percent"] = json!("50");
    let put =
        fleet.server.send(&format!("PUT /v1/tariffs/{id}"), &[("if-match", "\"1\"")], Some(&terms)).await;
    assert_eq!(put.status, 200, "{}", put.body);
}

#[tokio::test]
async fn a_cancelled_booking_is_free_before_its_start_and_later_costs_what_the_tariff_keeps() {
    let fleet = fleet(10_000).await;
    keep_half(&fleet).await;
    let id = fleet.booked("one", wish(13, 17)).await;
    let (status, cancelled) = fleet.act(&id, "cancel", "c1", json!({})).await;
    assert_eq!(
        (status, &cancelled["status"], &cancelled["charged_minor"]),
        (200, &json!("cancelled"), &json!(0))
    );
    assert_eq!(fleet.act(&id, "cancel", "c1", json!({})).await.1, cancelled, "once");
    assert_eq!(fleet.act(&id, "cancel", "c2", json!({})).await.0, 409);
    assert_eq!(fleet.money().await, (10_000, 0));
    let id = fleet.booked("two", wish(13, 17)).await;
    fleet.wait_hours(2);
    let (_, cancelled) = fleet.act(&id, "cancel", "c3", json!({})).await;
    assert_eq!((&cancelled["status"], &cancelled["charged_minor"]), (&json!("cancelled"), &json!(1_263)));
    assert_eq!(fleet.money().await, (10_000 - 1_263, 0));
    assert_eq!(fleet.free(14, 17).await, ["car-1"]);
}

#[tokio::test]
async fn a_booking_that_nobody_begins_expires_by_its_end() {
    let fleet = fleet(10_000).await;
    let free = fleet.booked("free", wish(12, 13)).await;
    keep_half(&fleet).await;
    let kept = fleet.booked("kept", wish(13, 17)).await;
    fleet.wait_hours(1);
    let path = format!("/v1/bookings/{free}");
    let expired = fleet.server.until(&path, |b| b["status"] == "expired").await;
    assert_eq!((&expired["end_reason"]["code"], &expired["charged_minor"]), (&json!("not_begun"), &json!(0)));
    assert_eq!(fleet.money().await, (10_000, FOUR_HOURS));
    fleet.wait_hours(4);
    let path = format!("/v1/bookings/{kept}");
    let expired = fleet.server.until(&path, |b| b["status"] == "expired").await;
    assert_eq!(expired["charged_minor"], 1_263, "by the tariff it was booked with: {expired}");
    assert_eq!(fleet.money().await, (10_000 - 1_263, 0));
}

#[tokio::test]
async fn a_vehicle_that_is_not_brought_back_is_not_started_by_the_next() {
    let fleet = fleet(10_000).await;
    let late = fleet.booked("late", wish(12, 13)).await;
    assert_eq!(fleet.act(&late, "start", "s1", json!({})).await.0, 200);
    let next = fleet.booked("next", wish(13, 14)).await;
    fleet.wait_hours(1);
    let (status, refused) = fleet.act(&next, "start", "s2", json!({})).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains(&late), "{refused}");
    let (_, finished) = fleet.act(&late, "finish", "f", json!({})).await;
    assert_eq!(finished["charged_minor"], 725, "no trip has come in: the estimate");
    assert_eq!(fleet.act(&next, "start", "s3", json!({})).await.0, 200);
}

#[tokio::test]
async fn bad_wishes_are_refused_with_every_fault_and_book_nothing() {
    let fleet = fleet(10_000).await;
    let with = |field: &str, value: Value| {
        let mut body = wish(13, 17);
        body[field] = value;
        body
    };
    for (body, field, part) in [
        (wish(17, 13), "to", "after from"),
        (wish(13, 13), "to", "after from"),
        (wish(11, 13), "from", "past"),
        (with("to", json!("2026-12-24T00:00:00Z")), "to", "30 days"),
        (with("to", json!("2026-11-23T13:00:01Z")), "to", "minute"),
        (with("from", json!("tomorrow")), "from", "neither RFC 3339"),
        (
            json!({ "vehicle_id": "car-1", "from": "2027-11-23T13:00:00Z", "to": "2027-11-23T14:00:00Z" }),
            "from",
            "180 days",
        ),
        (with("vehicle_id", json!("car-9")), "vehicle_id", "no vehicle car-9"),
        (with("vehicle_id", Value::Null), "organization_id", "needed"),
        (with("organization_id", json!("org_none")), "organization_id", "no organization"),
        (with("user_id", json!("usr_none")), "user_id", "no such active user"),
        (with("expected_distance_m", json!(-1)), "expected_distance_m", "0 to"),
        (with("colour", json!("red")), "colour", "unknown field"),
    ] {
        let answer = fleet.book(&format!("{body}"), body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        let problem = answer.json();
        let told = problem["errors"].as_array().unwrap();
        let fits = |e: &&Value| e["field"] == field && e["message"].as_str().unwrap().contains(part);
        assert!(told.iter().any(|e| fits(&e)), "{body}: {problem}");
    }
    let all = json!({ "vehicle_id": "car-9", "from": "x", "to": "y" });
    assert_eq!(fleet.book("all", all).await.json()["errors"].as_array().unwrap().len(), 3);
    let nobody = fleet.server.post("/v1/bookings", wish(13, 17)).await;
    assert_eq!(nobody.status, 400, "no Idempotency-Key: {}", nobody.body);
    for query in ["status=open", "from=x", "cursor=zz", "limit=0"] {
        assert_eq!(fleet.server.get(&format!("/v1/bookings?{query}")).await.status, 422, "{query}");
    }
    let backwards = "/v1/vehicles/available?from=2026-11-23T13:00:00Z&to=2026-11-23T12:00:00Z";
    assert_eq!(fleet.server.get(backwards).await.status, 422);
    assert_eq!(fleet.server.json("/v1/bookings").await["data"], json!([]));
    assert_eq!(fleet.money().await, (10_000, 0));
    let new = json!({ "name": "Poor", "currency": "EUR", "time_zone": "UTC" });
    let poor = fleet.server.post("/v1/organizations", new).await.json()["id"].clone();
    fleet.server.post("/v1/vehicles", json!({ "vehicle_id": "car-3", "organization_id": poor })).await;
    let answer = fleet.book("poor", with("vehicle_id", json!("car-3"))).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("pays by no tariff"), "{}", answer.body);
}

#[tokio::test]
async fn bookings_are_listed_by_start_and_filtered_and_paged() {
    let fleet = fleet(50_000).await;
    let mut ids = Vec::new();
    for hour in [13, 15, 17] {
        ids.push(fleet.booked(&format!("{hour}"), wish(hour, hour + 1)).await);
    }
    ids.reverse();
    let listed = async |query: &str| {
        let page = fleet.server.json(&format!("/v1/bookings?{query}")).await;
        let found = page["data"].as_array().unwrap().iter();
        (found.map(|b| b["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), page["next_cursor"].clone())
    };
    assert_eq!(listed("").await.0, ids);
    let (first, cursor) = listed("limit=2").await;
    assert_eq!(first, ids[..2]);
    assert_eq!(
        listed(&format!("limit=2&cursor={}", cursor.as_str().unwrap())).await,
        (vec![ids[2].clone()], Value::Null)
    );
    assert_eq!(listed("from=2026-11-23T14:00:00Z&to=2026-11-23T17:00:00Z").await.0, [ids[1].clone()]);
    assert_eq!(listed("vehicle_id=car-2").await.0, [""; 0]);
    assert_eq!(listed("status=confirmed&vehicle_id=car-1").await.0.len(), 3);
    assert_eq!(listed("status=expired").await.0.len(), 0);
}

#[tokio::test]
async fn a_person_books_for_themselves_and_is_told_and_others_are_not() {
    let server = locked(|config| config).await;
    let organization = server.customer("car-1").await;
    fund(&server, &organization, 10_000).await;
    let owner = key_of(&server, "owner", &json!(organization)).await;
    let mut keys = Vec::new();
    for name in ["ana", "bo"] {
        let person = json!({ "email": format!("{name}@acme.example"), "name": name, "role": "driver" });
        let person = server.by(&owner, "POST /v1/users", Some(&person)).await.json();
        let key = json!({ "name": name, "role": "driver", "user_id": person["id"] });
        let key = server.by(&owner, "POST /v1/api-keys", Some(&key)).await.json();
        keys.push((person["id"].clone(), key["secret"].as_str().unwrap().to_owned()));
    }
    let bearer = format!("Bearer {}", keys[0].1);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "b")];
    let booked = server.send("POST /v1/bookings", &headers, Some(&wish(13, 17))).await;
    assert_eq!(booked.status, 201, "{}", booked.body);
    assert_eq!(booked.json()["user_id"], keys[0].0);
    server.until("/v1/notifications", |p| p["data"].as_array().unwrap().len() == 1).await;
    let count = async |key: &str| {
        let page = server.by(key, "GET /v1/notifications", None).await.json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!((count(&keys[0].1).await, count(&keys[1].1).await, count(&owner).await), (1, 0, 1));
    let log = server.json("/v1/audit-log").await;
    let row = log["data"].as_array().unwrap().iter().find(|e| e["route"] == "/v1/bookings").unwrap();
    assert_eq!((&row["result"], &row["role"]), (&json!("done"), &json!("driver")));
}
