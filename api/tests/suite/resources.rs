//! Vehicles, fleet, trips, tariffs, events, SQL: what a client sees of them.

use std::time::Duration;

use serde_json::json;
use wire::time::Timestamp;

use super::Server;
use crate::{
    fake_lake::{revised, state, trip, withdrawn},
    server::{NOW, tariff},
};

#[tokio::test]
async fn a_vehicle_is_registered_listed_changed_and_guarded_by_its_etag() {
    let server = Server::start().await;
    let made = server.post("/v1/vehicles", json!({ "vehicle_id": "car-1", "name": "Red van" })).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")), "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("veh_"));
    assert_eq!(server.post("/v1/vehicles", json!({ "vehicle_id": "car-1" })).await.status, 409);

    let path = format!("/v1/vehicles/{id}");
    let patch = json!({ "name": "Blue van" });
    assert_eq!(server.send(&format!("PATCH {path}"), &[], Some(&patch)).await.status, 428);
    let changed = server.send(&format!("PATCH {path}"), &[("if-match", "\"1\"")], Some(&patch)).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{}", changed.body);
    let stale = server.send(&format!("PATCH {path}"), &[("if-match", "\"1\"")], Some(&patch)).await;
    assert_eq!(stale.status, 412);
    assert!(stale.body.contains("version 2"), "{}", stale.body);
    assert_eq!(server.json("/v1/vehicles/car-1").await["name"], "Blue van");

    let found = server.json("/v1/vehicles?q=BLUE").await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert!(server.json("/v1/vehicles?q=_%25").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended() {
    let server = Server::start().await;
    for i in 0..5 {
        server.post("/v1/vehicles", json!({ "vehicle_id": format!("car-{i}") })).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/vehicles?limit=2".to_owned();
    loop {
        let page = server.json(&path).await;
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|v| v["vehicle_id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/vehicles?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["car-0", "car-1", "car-2", "car-3", "car-4"]);
}

#[tokio::test]
async fn the_fleet_shows_where_vehicles_are_and_goes_offline_by_our_clock() {
    let server = Server::start().await;
    let now = Timestamp::parse(NOW).unwrap();
    server.post("/v1/vehicles", json!({ "vehicle_id": "car-1", "name": "Red van" })).await;
    server.lake.see(vec![state("car-2", now, 0.0), state("car-1", now, 50.0)]);
    let fleet = server.json("/v1/fleet/status").await;
    let item = &fleet["data"][0];
    assert_eq!((item["name"].as_str(), item["state"].as_str()), (Some("Red van"), Some("moving")));
    assert_eq!(fleet["data"][1]["state"], "idling");
    assert_eq!(fleet["data"][1]["name"], "car-2");
    assert_eq!(fleet["as_of"], NOW);
    server.clock.advance(Duration::from_secs(301));
    assert_eq!(server.json("/v1/fleet/status").await["data"][0]["state"], "offline");
    assert_eq!(server.json("/v1/vehicles/car-1").await["last_seen"], NOW);
}

#[tokio::test]
async fn tracking_streams_every_vehicle_first_and_ends_with_the_process() {
    let server = Server::start().await;
    server.lake.see(vec![state("car-1", Timestamp::parse(NOW).unwrap(), 50.0)]);
    let addr = server.handle.addr;
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /v1/tracking HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0_u8; 4096];
    while !text.contains("data: {\"vehicle_id\":\"car-1\"") {
        let count = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(text.contains("text/event-stream"), "{text}");
    server.tasks.stop(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn trips_come_from_the_lake_with_revisions_mileage_and_events() {
    let server = Server::start().await;
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (12_000, 900, 0));
    let second = trip("b", "car-1", "2026-11-03T08:00:00Z", (5_000, 600, 60));
    let gone = trip("c", "car-2", "2026-11-03T09:00:00Z", (1_000, 300, 0));
    server.lake.commit(vec![first.clone(), second.clone(), gone.clone()]);
    server.lake.commit(vec![]);
    server.lake.commit(vec![revised(&first, 13_000), withdrawn(&gone)]);
    let page = server.until("/v1/trips", |p| p["data"][1]["revision"] == 2).await;
    let ids: Vec<_> = page["data"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["trp_b", "trp_a"], "newest first, without the withdrawn one");

    let vehicle = server.json("/v1/vehicles/car-1").await;
    assert_eq!((&vehicle["trip_count"], &vehicle["distance_m"]), (&json!(2), &json!(18_000)));
    assert_eq!(vehicle["odometer_km"], 1010.5);
    assert_eq!(server.json("/v1/vehicles/car-2").await["distance_m"], 0);
    let revisions = server.json("/v1/trips/trp_a/revisions").await;
    assert_eq!(revisions["data"].as_array().unwrap().len(), 2);
    assert_eq!(revisions["data"][1]["lake_version"], 2);

    let events = server.json("/v1/events?limit=200").await;
    let of = |id: &str| -> Vec<(String, i64)> {
        let all = events["data"].as_array().unwrap().iter();
        let of_id = all.filter(|e| e["aggregate_id"] == id);
        of_id
            .map(|e| (e["event_type"].as_str().unwrap().to_owned(), e["version"].as_i64().unwrap()))
            .collect()
    };
    assert_eq!(of("trp_a"), [("TripCompleted".to_owned(), 1), ("TripRevised".to_owned(), 2)]);
    assert_eq!(of("trp_c"), [("TripCompleted".to_owned(), 1), ("TripWithdrawn".to_owned(), 2)]);

    let ranged =
        server.json("/v1/trips?from=2026-11-03T00:00:00Z&to=2026-11-04T00:00:00Z&vehicle_id=car-1").await;
    assert_eq!(ranged["data"].as_array().unwrap().len(), 1);
    let one = server.json("/v1/trips?limit=1").await;
    let rest =
        server.json(&format!("/v1/trips?limit=1&cursor={}", one["next_cursor"].as_str().unwrap())).await;
    assert_eq!((rest["data"][0]["id"].as_str(), rest["next_cursor"].is_null()), (Some("trp_a"), true));
}

#[tokio::test]
async fn a_track_leaves_out_readings_without_a_position() {
    let server = Server::start().await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (500, 30, 0))]);
    server.until("/v1/trips", |p| p["data"][0]["id"] == "trp_a").await;
    let track = server.json("/v1/trips/trp_a/positions").await;
    let points = track["data"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    assert_eq!(points[1]["ts"], "2026-11-02T08:00:20Z");
    assert_eq!(
        server.json("/v1/trips/trp_a/positions?max_points=2").await["data"].as_array().unwrap().len(),
        1
    );
    assert_eq!(server.get("/v1/trips/trp_a/positions?max_points=1").await.status, 422);
    assert_eq!(server.get("/v1/trips/trp_none/positions").await.status, 404);
}

#[tokio::test]
async fn a_tariff_has_versions_and_its_faults_are_all_named() {
    let server = Server::start().await;
    let made = server.post("/v1/tariffs", tariff()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let mut dearer = tariff();
    dearer["elements"][0]["components"][0]["price"] = json!("2.00");
    let path = format!("/v1/tariffs/{id}");
    assert_eq!(
        server.send(&format!("PUT {path}"), &[("if-match", "\"7\"")], Some(&dearer)).await.status,
        412
    );
    let second = server.send(&format!("PUT {path}"), &[("if-match", "\"1\"")], Some(&dearer)).await;
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(2)), "{}", second.body);
    assert_eq!(
        server.json(&format!("{path}?version=1")).await["elements"][0]["components"][0]["price"],
        "1.00"
    );
    assert_eq!(server.json(&path).await["elements"][0]["components"][0]["price"], "2.00");
    assert_eq!(server.json("/v1/tariffs").await["data"].as_array().unwrap().len(), 1);

    let mut bad = tariff();
    bad["name"] = json!("other");
    bad["currency"] = json!("EURO");
    bad["elements"][0]["components"][1]["price"] = json!("-1");
    let refused = server.post("/v1/tariffs", bad).await;
    assert_eq!(refused.status, 422);
    let fields: Vec<_> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fields, ["currency", "elements[0].components[1].price"]);
    let mut float = tariff();
    float["elements"][0]["components"][1]["price"] = json!(0.29);
    assert_eq!(server.post("/v1/tariffs", float).await.status, 422, "no float touches money");
}

#[tokio::test]
async fn sql_answers_json_csv_and_arrow_and_says_what_the_engine_said() {
    let server = Server::start().await;
    let answer = server.post("/v1/sql", json!({ "query": "SELECT 1" })).await.json();
    assert_eq!(answer["columns"][0]["name"], "name");
    assert_eq!(answer["rows"][1], json!([null, 2.5]));
    let csv = server.post("/v1/sql", json!({ "query": "SELECT 1", "format": "csv", "max_rows": 1 })).await;
    assert_eq!(csv.body, "Csv: 1 rows\r\n");
    assert_eq!(csv.header("roadlake-truncated"), Some("true"));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.header("roadlake-lake-versions"), Some("readings=7, trips=3"));
    let query = json!({ "query": "SELECT 1" });
    let arrow = "application/vnd.apache.arrow.stream";
    let accepts =
        async |accept: &'static str| server.send("POST /v1/sql", &[("accept", accept)], Some(&query)).await;
    let answer = accepts("text/csv;q=0.1, application/vnd.apache.arrow.stream").await;
    assert_eq!((answer.header("content-type"), answer.body.as_str()), (Some(arrow), "Arrow: 2 rows\r\n"));
    assert_eq!(answer.header("roadlake-truncated"), Some("false"));
    let answer = accepts("text/html").await;
    assert_eq!((answer.status, answer.header("content-type")), (406, Some("application/problem+json")));
    let wrong =
        server.post("/v1/sql", json!({ "query": "SELECT spead FROM readings", "format": "arrow" })).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (422, Some("application/problem+json")));
    let wrong = server.post("/v1/sql", json!({ "query": "SELECT spead FROM readings" })).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (422, Some("application/problem+json")));
    assert!(wrong.json()["detail"].as_str().unwrap().contains("Did you mean 'speed_kmh'?"));
    assert_eq!(server.post("/v1/sql", json!({ "query": " " })).await.status, 422);
    assert_eq!(server.post("/v1/sql", json!({ "query": "SELECT 1", "max_rows": 0 })).await.status, 422);
    let none = json!({ "query": "SELECT 1", "max_rows": 0, "format": "csv" });
    assert_eq!(server.post("/v1/sql", none).await.status, 422);
}

/// What HTTP's own end says, and the bytes say again.
#[tokio::test]
async fn an_answer_that_fails_under_way_does_not_look_whole() {
    let server = Server::start().await;
    let ask = async |query: &str| {
        let body = json!({ "query": query, "format": "csv" }).to_string();
        let accepts = [("accept-encoding", "identity")];
        crate::client::bytes_of(server.handle.addr, "POST /v1/sql", &accepts, body.as_bytes()).await
    };
    let whole = ask("long 9").await;
    let count = whole.iter().filter(|byte| **byte == b'x').count();
    // Some are of the head.
    assert!((900_000..900_010).contains(&count), "{count}");
    assert!(whole.ends_with(b"\r\n0\r\n\r\n"), "the last chunk of HTTP/1.1");
    let cut = ask("cut 9").await;
    let text = String::from_utf8_lossy(&cut);
    assert!(text.starts_with("HTTP/1.1 200"), "{}", &text[..100]);
    assert!(!text.ends_with("\r\n0\r\n\r\n"), "a client takes it for whole");
    let end = &text[text.len() - 100..];
    assert!(end.contains("\"this answer is not whole: it took 'too' long"), "{end}");
    // One that fails early is a problem like any other.
    let early = server.post("/v1/sql", json!({ "query": "cut 2", "format": "csv" })).await;
    assert_eq!((early.status, early.header("content-type")), (503, Some("application/problem+json")));
    assert_eq!(early.header("retry-after"), Some("1"));
}
