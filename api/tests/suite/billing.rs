//! From a trip to an invoice line and its evidence.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Server;
use crate::{
    fake_lake::{revised, trip, withdrawn},
    server::tariff,
};

pub(crate) async fn only_invoice(server: &Server, wanted: impl Fn(&Value) -> bool) -> Value {
    let page = server.until("/v1/invoices", |p| p["data"].get(0).is_some_and(&wanted)).await;
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    server.json(&format!("/v1/invoices/{id}")).await
}

pub(crate) fn amounts(invoice: &Value) -> Vec<(String, i64)> {
    let lines = invoice["lines"].as_array().unwrap().iter();
    lines
        .map(|l| (l["component"].as_str().unwrap().to_owned(), l["amount_minor"].as_i64().unwrap()))
        .collect()
}

pub(crate) fn pairs<const N: usize>(pairs: [(&str, i64); N]) -> Vec<(String, i64)> {
    pairs.into_iter().map(|(c, a)| (c.to_owned(), a)).collect()
}

async fn evidence(server: &Server, invoice: &Value, line: usize) -> Value {
    let (id, line) = (invoice["id"].as_str().unwrap(), invoice["lines"][line]["id"].as_str().unwrap());
    server.json(&format!("/v1/invoices/{id}/lines/{line}/evidence")).await
}

#[tokio::test]
async fn a_trip_becomes_lines_whose_evidence_agrees() {
    let server = Server::start().await;
    server.customer("car-1").await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00.5Z", (40_501, 2_389, 300))]);
    let invoice = only_invoice(&server, |i| i["line_count"] == 4).await;
    assert_eq!(amounts(&invoice), pairs([("FLAT", 100), ("DISTANCE", 1_175), ("TIME", 319), ("IDLE", 50)]));
    assert_eq!(invoice["subtotal_minor"], 1_644);
    assert_eq!(invoice["tax_minor"], 411);
    assert_eq!(invoice["total_minor"], 2_055);
    assert_eq!((&invoice["status"], &invoice["currency"]), (&json!("draft"), &json!("EUR")));
    assert_eq!(invoice["period_start"], "2026-10-31T23:00:00Z");
    let line = &invoice["lines"][1];
    assert_eq!(
        (&line["quantity"], &line["unit"], &line["unit_price"]),
        (&json!("40.501"), &json!("km"), &json!("0.29"))
    );
    assert_eq!(line["description"], "Distance, car-1 on 2026-11-02 09:00");
    for index in 0..4 {
        let proof = evidence(&server, &invoice, index).await;
        assert_eq!((&proof["agrees"], &proof["row_hash_matches"]), (&json!(true), &json!(true)), "{proof}");
        assert_eq!(proof["amount_minor_recomputed"], invoice["lines"][index]["amount_minor"]);
        assert_eq!(proof["rows"][0]["distance_m"], 40_501);
    }

    server.lake.tamper("trp_a", 30_000);
    let proof = evidence(&server, &invoice, 1).await;
    assert_eq!((&proof["agrees"], &proof["row_hash_matches"]), (&json!(false), &json!(false)));
    assert_eq!(proof["amount_minor_recomputed"], 870);
    let id = invoice["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/invoices/{id}/lines/inl_none/evidence")).await.status, 404);
}

#[tokio::test]
async fn a_revision_replaces_the_lines_of_a_draft() {
    let server = Server::start().await;
    server.customer("car-1").await;
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    server.lake.commit(vec![first.clone()]);
    only_invoice(&server, |i| i["subtotal_minor"] == 870).await;
    server.lake.commit(vec![revised(&first, 20_000)]);
    let invoice = only_invoice(&server, |i| i["subtotal_minor"] == 1_160).await;
    assert_eq!(amounts(&invoice), pairs([("FLAT", 100), ("DISTANCE", 580), ("TIME", 480)]));
    assert_eq!(invoice["lines"][1]["trip_revision"], 2);
    assert_eq!(evidence(&server, &invoice, 1).await["agrees"], true);
    server.lake.commit(vec![withdrawn(&revised(&first, 20_000))]);
    let empty = only_invoice(&server, |i| i["line_count"] == 0).await;
    assert_eq!(empty["total_minor"], 0);
}

pub(crate) async fn finalize(server: &Server, invoice: &Value, key: &str) -> (u16, Value) {
    let id = invoice["id"].as_str().unwrap();
    let answer =
        server.send(&format!("POST /v1/invoices/{id}/finalize"), &[("idempotency-key", key)], None).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn an_idempotency_key_answers_again_and_refuses_another_request() {
    let server = Server::start().await;
    let organization = server.customer("car-1").await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let invoice = only_invoice(&server, |i| i["line_count"] == 3).await;
    let (_, first) = finalize(&server, &invoice, "key").await;
    let (status, again) = finalize(&server, &invoice, "key").await;
    assert_eq!((status, &again), (200, &first));
    assert_eq!(finalize(&server, &invoice, "other").await.0, 409);

    let new = |start: &str, end: &str| json!({ "organization_id": organization.clone(), "period_start": start, "period_end": end });
    let october = new("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z");
    let post = async |key: &str, body: &Value| {
        server.send("POST /v1/invoices", &[("idempotency-key", key)], Some(body)).await
    };
    let reused = post("key", &october).await;
    assert_eq!(reused.status, 422, "{}", reused.body);
    let opened = post("key-2", &october).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let replayed = post("key-2", &october).await;
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(replayed.json(), opened.json());
    assert_eq!(post("key-3", &october).await.status, 409);
    let crooked = post("key-4", &new("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")).await;
    assert!(crooked.body.contains("2026-09-30T22:00:00Z"), "the right month is told: {}", crooked.body);
    server.clock.advance(std::time::Duration::from_secs(86_401));
    assert_eq!(
        post("key-2", &october).await.status,
        409,
        "forgotten after a day, and the act is refused by itself"
    );
}

#[tokio::test]
async fn a_trip_waits_until_somebody_pays_for_its_vehicle() {
    let server = Server::start().await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    server.until("/v1/trips", |p| p["data"][0]["id"] == "trp_a").await;
    assert!(server.json("/v1/invoices").await["data"].as_array().unwrap().is_empty());
    let id = server.customer("car-2").await;
    let patch = json!({ "organization_id": id });
    let changed = server.send("PATCH /v1/vehicles/car-1", &[("if-match", "\"1\"")], Some(&patch)).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let invoice = only_invoice(&server, |i| i["line_count"] == 3).await;
    assert_eq!(invoice["organization_id"], id);
}

#[tokio::test]
async fn a_trip_keeps_the_tariff_version_it_was_first_rated_by() {
    let server = Server::start().await;
    server.customer("car-1").await;
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    server.lake.commit(vec![first.clone()]);
    only_invoice(&server, |i| i["line_count"] == 3).await;
    let mut dearer = tariff();
    dearer["elements"][0]["components"][1]["price"] = json!("1.00");
    let id = server.json("/v1/tariffs").await["data"][0]["id"].as_str().unwrap().to_owned();
    let put = server.send(&format!("PUT /v1/tariffs/{id}"), &[("if-match", "\"1\"")], Some(&dearer)).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let later = trip("b", "car-1", "2026-11-03T08:00:00Z", (10_000, 3_600, 0));
    server.lake.commit(vec![revised(&first, 11_000), later]);
    let invoice = only_invoice(&server, |i| i["line_count"] == 6).await;
    assert_eq!(
        amounts(&invoice),
        pairs([
            ("FLAT", 100),
            ("DISTANCE", 319),
            ("TIME", 480),
            ("FLAT", 100),
            ("DISTANCE", 1_000),
            ("TIME", 480)
        ])
    );
    assert_eq!(evidence(&server, &invoice, 1).await["agrees"], true);
}

#[tokio::test]
async fn the_demo_seed_is_the_same_after_a_second_call() {
    let server = Server::start().await;
    let vehicles: Vec<_> =
        (0..4).map(|i| (format!("sim-{i}").parse().unwrap(), format!("Van {i}"))).collect();
    let first = api::seed_demo(&server.handle, &vehicles).await.unwrap();
    let position = server.json("/v1/events?limit=200").await["next_after"].clone();
    let second = api::seed_demo(&server.handle, &vehicles).await.unwrap();
    assert_eq!(first.organizations, second.organizations);
    assert_eq!(first.tariff, second.tariff);
    let due = server.json("/v1/maintenance-due").await;
    let names = due["data"].as_array().unwrap().iter().map(|row| row["vehicle_name"].as_str().unwrap());
    assert_eq!(
        names.collect::<BTreeSet<_>>(),
        BTreeSet::from(["sim-0", "sim-3"]),
        "of the first organization"
    );
    assert_eq!(server.json("/v1/events?limit=200").await["next_after"], position);
    let groups = server.json("/v1/groups").await;
    let groups = groups["data"].as_array().unwrap().iter().map(|g| (&g["name"], &g["vehicle_count"]));
    let one = json!(1);
    assert_eq!(groups.collect::<Vec<_>>(), [(&json!("North depot"), &one), (&json!("South depot"), &one)]);
    server.lake.commit(vec![trip("a", "sim-3", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let invoice = only_invoice(&server, |i| i["line_count"] == 3).await;
    assert_eq!(server.json("/v1/trips/trp_a").await["driver_name"], "Jonas Friis");
    assert_eq!(invoice["organization_name"], "Harbour Deliveries");
    assert_eq!(invoice["subtotal_minor"], 870);
}
